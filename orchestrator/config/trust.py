"""Which files of a workspace the user allowed to start programs or to name servers elsewhere.

An approval holds for one content of one file: its hash is recorded, so a changed file asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from servers.protocol.registry import SERVER_COMMANDS
from servers.state.home import home
from servers.state.whole_file import write_whole

from .files import Layer, Place, short

HARMLESS = {
    "kind",
    "base_url",
    "max_parallel",
    "retries",
    "retry_first_s",
    "retry_max_s",
    "breaker_failures",
    "breaker_cooldown_s",
    "cache_ttl_s",
    "default_model",
    "max_tokens",
    "temperature",
    "timeout_s",
}
"""Of a provider, when its address is on this machine."""
BUDGET = (
    "budget_usd",
    "budget_usd_per_day",
    "budget_usd_per_conversation",
    "budget_usd_per_label",
    "budget_allows_unknown",
    "labels",
)
MAX_COMMAND_CHARS = 2_000
"""Of a program with its arguments: what is approved must be seen, not only how it begins."""
Approve = Callable[[Path, Sequence[str]], bool]
"""Puts to the person what a file of the workspace asks for; True approves this content of this file."""


def is_trusted(path: Path, data: bytes) -> bool:
    """Whether exactly this content of this file was approved."""
    return _approved().get(_key(path)) == _digest(data)


def trust(path: Path, data: bytes | None = None) -> None:
    """Approve the file as it is now, or as it was read into `data`. Raises OSError when it cannot be read."""
    content = path.read_bytes() if data is None else data
    _save(_approved() | {_key(path): _digest(content)})


def distrust(path: Path) -> bool:
    """Take an approval back; False when there was none."""
    approved = _approved()
    if approved.pop(_key(path), None) is None:
        return False
    _save(approved)
    return True


def needs_trust(layer: Layer, folder: Path) -> dict[Place, str]:
    """What of a workspace's file starts programs, writes files, spends money or sends prompts and keys elsewhere."""
    asked: dict[Place, str] = {}
    for name, entry in _entries(layer, "providers"):
        url = entry.get("base_url")
        if isinstance(url, str) and not loopback(url):
            asked[("providers", name)] = f"send the prompts for {short(name)} to {short(url)}"
        elif risky := sorted(
            key for key in entry.keys() - HARMLESS if (key, entry[key]) != ("cache", "memory")
        ):
            asked[("providers", name)] = f"set {', '.join(map(short, risky))} of the provider {short(name)}"
    for name, entry in _entries(layer, "models"):
        if risky := sorted(entry.keys() & {"options", "price"}):
            asked[("models", name)] = f"set {', '.join(risky)} of {short(name)}"
    for name, _ in _entries(layer, "patterns"):
        asked[("patterns", name)] = f"have models work together as {short(name)}"
    if "panel" in layer.values:
        asked[("panel",)] = f"ask the models {short(layer.values['panel'])} where a pattern names none"
    for key in BUDGET:
        if key in layer.values:
            asked[(key,)] = f"set {key} to {short(layer.values[key])}"
    if layer.values.get("tools"):
        asked[("tools",)] = f"run the Python code of {short(layer.values['tools'], 200)}"
    for name, entry in _entries(layer, "agents"):
        tools = entry.get("tools")
        if any(mark in str(one) for one in (tools if isinstance(tools, list) else ()) for mark in ":."):
            asked[("agents", name)] = f"run the Python code of {short(tools, 200)}"
    if layer.values.get("cache") not in (None, "memory"):
        asked[("cache",)] = f"keep answers in {short(layer.values['cache'])}"
    if "telemetry" in layer.values:
        asked[("telemetry",)] = f"send what happens to {short(layer.values['telemetry'])}"
    if "memory" in layer.values:
        asked[("memory",)] = f"set memory to {short(layer.values['memory'])}"
    for name, entry in _entries(layer, "hosts"):
        asked[("hosts", name)] = f"let models at {short(entry.get('address'))} read and write files here"
    for name, entry in _entries(layer, "servers"):
        if not _as_built_in(entry, folder):
            asked[("servers", name)] = _wants(entry)
    return asked


def _wants(entry: Mapping[str, Any]) -> str:
    """What a server's entry asks for: the program, where it runs, what it is told; or the address and what goes there."""
    if url := entry.get("url"):
        headers = _named(entry.get("headers"))
        return f"connect to {short(url, 200)}" + (f" with the headers {headers}" if headers else "")
    args = entry.get("args")
    words = [entry.get("command"), *(cast(list[Any], args) if isinstance(args, list) else ())]
    folder, variables = entry.get("cwd"), _named(entry.get("env"))
    return (
        f"start the program {short(' '.join(map(str, words)), MAX_COMMAND_CHARS)}"
        + (f" in {short(folder)}" if folder not in (None, ".", "") else "")
        + (f" with the variables {variables}" if variables else "")
    )


def _named(values: object) -> str:
    return ", ".join(short(name) for name in cast(dict[str, Any], values)) if isinstance(values, dict) else ""


def _entries(layer: Layer, section: str) -> list[tuple[str, dict[str, Any]]]:
    """The named parts of a section; what is no mapping is left for the validation to refuse."""
    found = layer.values.get(section)
    named = cast(dict[str, Any], found) if isinstance(found, dict) else {}
    return [(name, cast(dict[str, Any], entry)) for name, entry in named.items() if isinstance(entry, dict)]


def _as_built_in(entry: Mapping[str, Any], folder: Path) -> bool:
    """Whether an entry starts one of our servers on this folder or below it, as would happen without it."""
    args, cwd = entry.get("args") or [], entry.get("cwd") or "."
    if not isinstance(args, list) or not all(isinstance(arg, str) for arg in (*args, cwd)):
        return False
    try:
        base = (folder / cwd).resolve()
        roots = [(base / arg).resolve() for arg in args]
    except (OSError, ValueError):
        return False
    return (
        entry.get("command") in SERVER_COMMANDS.values()
        and not entry.get("env")
        and not any(arg.startswith("-") for arg in args)
        and all(root.is_relative_to(folder) for root in (base, *roots))
    )


def loopback(url: str) -> bool:
    with suppress(ValueError):  # no address at all
        return urlsplit(url if "//" in url else f"//{url}").hostname in ("localhost", "127.0.0.1", "::1")
    return False


def allowed(
    path: Path, data: bytes, asked: Sequence[str], approve: Approve | None, notices: list[str]
) -> bool:
    if is_trusted(path, data):
        return True
    if approve is not None and approve(path, asked):
        trust(path, data)
        return True
    notices.append(
        f"{path} wants to {'; '.join(asked)}: left out until you approve it with 'understudy trust {path}'"
    )
    return False


def _record() -> Path:
    return home() / "trusted.json"


def _approved() -> dict[str, str]:
    """Unreadable records approve nothing."""
    try:
        found: Any = json.loads(_record().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _save(approved: dict[str, str]) -> None:
    write_whole(_record(), json.dumps(approved, indent=1, sort_keys=True))


def _key(path: Path) -> str:
    return str(path.resolve())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
