"""A model's shape and what it says about speed before anything was measured.

One token of depth costs a run rho times the cost of one token: attention work against all other work. For
reading a prompt that is arithmetic, 4 L H d / 2 P; for writing it is memory, the KV bytes of a token against
the weights. The machine's share, kappa, was about 3 and 7 on one CPU over three models; GPUs are expected
nearer 1 to 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KAPPA = {"cpu": (3.0, 7.0), "gpu": (1.5, 1.5), "split": (2.5, 4.0)}
_KAPPA_UNKNOWN = (2.5, 4.0)
KV_BYTES = 2.0
"""One cached number, f16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What makes a token of one model cheap or dear."""

    params: float
    size_bytes: float
    layers: int
    heads: int
    kv_heads: int
    head_dim: int

    def depth_costs(self, processor: str = "unknown") -> tuple[float, float]:
        """(rho of reading, rho of writing): the relative cost of one token of depth."""
        kappa_read, kappa_write = KAPPA.get(processor, _KAPPA_UNKNOWN)
        attention = 4.0 * self.layers * self.heads * self.head_dim / (2.0 * self.params)
        cache = 2.0 * self.layers * self.kv_heads * self.head_dim * KV_BYTES / self.size_bytes
        return kappa_read * attention, kappa_write * cache


TYPICAL = Shape(params=8e9, size_bytes=4.9e9, layers=32, heads=32, kv_heads=8, head_dim=128)
"""Used where a server tells no shape: an 8B model at 4 bits."""


def shape_of(show: Mapping[str, object], size_bytes: float | None = None) -> Shape | None:
    """The shape in an `/api/show` answer, None when it tells too little. `size_bytes`: see `/api/tags`."""
    info = show.get("model_info")
    if not isinstance(info, Mapping):
        return None
    family = info.get("general.architecture")
    params = _positive(info.get("general.parameter_count"))
    layers, heads = (
        _positive(info.get(f"{family}.{key}")) for key in ("block_count", "attention.head_count")
    )
    width = _positive(info.get(f"{family}.embedding_length"))
    head_dim = _positive(info.get(f"{family}.attention.key_length")) or (
        width / heads if width and heads else None
    )
    if params is None or layers is None or heads is None or head_dim is None:
        return None
    kv_heads = _positive(info.get(f"{family}.attention.head_count_kv")) or heads
    return Shape(
        params=params,
        size_bytes=size_bytes or params * _bytes_per_weight(show),
        layers=int(layers),
        heads=int(heads),
        kv_heads=int(kv_heads),
        head_dim=max(int(head_dim), 1),
    )


def _bytes_per_weight(show: Mapping[str, object]) -> float:
    """From the quantization's name: Q4_K_M is 4 bits and a little more."""
    details = show.get("details")
    name = str(details.get("quantization_level", "")) if isinstance(details, Mapping) else ""
    bits = next((float(c) for c in name if c.isdigit()), 4.0) if name[:1] in "QI" and name else 0.0
    return (bits + 0.6) / 8 if bits else 4.0 if "32" in name else 2.0 if "16" in name else 0.6


def _positive(value: object) -> float | None:
    """A number above 0; of a list (layers that differ) its mean."""
    if isinstance(value, list) and value:
        known = [n for n in (_positive(v) for v in value) if n is not None]
        return sum(known) / len(known) if known else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e18:
        return None
    return float(value)
