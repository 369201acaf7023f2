"""What a simulated Ollama says about its models: listed, shown, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .api import Refused, World, now
from .machine import SimulatedModel


def tags(world: World) -> dict[str, Any]:
    models = [
        {
            "name": m.name,
            "model": m.name,
            "modified_at": "2026-01-01T00:00:00Z",
            "size": int(m.size_bytes),
            "digest": m.digest,
            "details": {
                **_details(m),
                "context_length": m.context_length,
                "embedding_length": m.heads * m.head_dim,
            },
            "capabilities": ["completion"],
        }
        for m in world.machine.models.values()
    ]
    return {"models": models}


def ps(world: World) -> dict[str, Any]:
    world.machine.advance(0)
    models: list[dict[str, Any]] = []
    for name, held in world.machine.loaded.items():
        m = world.machine.models[name]
        size, ctx = int(m.size_bytes * 1.1), cast("int", held.options.get("num_ctx", 4096))
        left = min(held.expires - world.machine.clock, 1e9)
        models.append(
            {
                "name": name,
                "model": name,
                "size": size,
                "digest": m.digest,
                "details": _details(m),
                "expires_at": now(after_s=left),
                "size_vram": int(size * m.gpu_share),
                "context_length": ctx,
            }
        )
    return {"models": models}


def show(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Refused."""
    name = str(body.get("model") or body.get("name") or "")
    m = world.machine.model(name)
    if m is None:
        raise Refused(404, f"model '{name if ':' in name else name + ':latest'}' not found")
    arch = "simulated"
    return {
        "modelfile": f"# simulated\nFROM {m.name}\n",
        "template": "{{ .Prompt }}",
        "details": _details(m),
        "model_info": {
            "general.architecture": arch,
            "general.parameter_count": int(m.params),
            f"{arch}.block_count": m.layers,
            f"{arch}.attention.head_count": m.heads,
            f"{arch}.attention.head_count_kv": m.kv_heads,
            f"{arch}.attention.key_length": m.head_dim,
            f"{arch}.embedding_length": m.heads * m.head_dim,
            f"{arch}.context_length": m.context_length,
        },
        "capabilities": list(m.capabilities),
        "modified_at": "2026-01-01T00:00:00Z",
    }


def pull(world: World, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a pull: models that are here succeed, others fail inside a stream that began well."""
    name = str(body.get("model") or body.get("name") or "")
    first = {"status": "pulling manifest"}
    if world.machine.model(name) is None:
        return [first, {"error": f"pull model manifest: simulated server has no {name!r} and no network"}]
    return [
        first,
        {"status": "verifying sha256 digest"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]


def delete(world: World, body: Mapping[str, Any]) -> None:
    """Raises Refused."""
    name = str(body.get("model") or body.get("name") or "")
    if (found := world.machine.model(name)) is None:
        raise Refused(404, f"model '{name}' not found")
    world.machine.unload(found)
    del world.machine.models[found.name]


def _details(m: SimulatedModel) -> dict[str, Any]:
    bits = m.size_bytes * 8 / m.params
    return {
        "parent_model": "",
        "format": "gguf",
        "family": "simulated",
        "families": ["simulated"],
        "parameter_size": f"{m.params / 1e9:.1f}B" if m.params >= 1e9 else f"{m.params / 1e6:.1f}M",
        "quantization_level": "F16" if bits > 12 else "Q8_0" if bits > 6.5 else "Q4_K_M",
    }
