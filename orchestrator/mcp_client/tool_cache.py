"""The tool lists of servers, and how they say to use them, as last seen: the first model request waits for none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from servers.state.home import home

from ..types import ToolSpec

_OURS = Path(__file__).resolve().parents[2] / "servers"


def key_of(command: str, args: Sequence[str], env: Mapping[str, str], cwd: str) -> str:
    """Changes when the command, what is installed under it, its arguments or its environment change."""
    facts = [command, list(args), sorted(env.items()), cwd, version("understudy"), _times(command)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def load(key: str) -> tuple[tuple[ToolSpec, ...], str] | None:
    """The list and the instructions kept under `key`; None when there are none that can be read."""
    try:
        kept = json.loads((home() / "tools" / f"{key}.json").read_text(encoding="utf-8"))
        return tuple(ToolSpec(**spec) for spec in kept["tools"]), str(kept["instructions"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def save(key: str, specs: Sequence[ToolSpec], instructions: str) -> None:
    """Keep them under `key`. A cache that cannot be written is no reason to fail."""
    with suppress(OSError):
        folder = home() / "tools"
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = {"tools": [asdict(spec) for spec in specs], "instructions": instructions}
        temporary = folder / f"{key}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(kept), encoding="utf-8")
        temporary.replace(folder / f"{key}.json")


def _times(command: str) -> list[int]:
    if command.startswith("understudy-"):
        return [path.stat().st_mtime_ns for path in sorted(_OURS.rglob("*.py"))]
    found = shutil.which(command)
    return [Path(found).stat().st_mtime_ns] if found else []
