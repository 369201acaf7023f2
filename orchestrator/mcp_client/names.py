"""Names of tools that every vendor takes, one for each tool."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

MAX_CHARS = 64  # Bedrock's and OpenAI's limit


def portable_names(server: str, tools: Iterable[str]) -> dict[str, str]:
    """{`server__tool`: the tool's own name}. Different tools have different names, whatever was changed in them.

    A name depends on the tool alone, and not on its neighbours, except where two would be the same: there those
    that had to be changed end in a short hash.
    """
    own = tuple(dict.fromkeys(tools))
    prefix = _prefix(server)
    plain = {tool: _plain(prefix + tool) for tool in own}
    counts: dict[str, int] = {}
    for name in plain.values():
        counts[name] = counts.get(name, 0) + 1
    taken: dict[str, str] = {}
    for tool in own:  # first those that keep their name
        if plain[tool] == prefix + tool and len(plain[tool]) <= MAX_CHARS:
            taken[plain[tool]] = tool
    kept = {*taken.values()}
    for tool in own:
        if tool not in kept:
            name = plain[tool]
            if len(name) > MAX_CHARS or counts[name] > 1 or name in taken:
                name = _marked(name, tool, taken)
            taken[name] = tool
    return {name: tool for tool in own for name, of in taken.items() if of == tool}


def _prefix(server: str) -> str:
    """Ends where its first `__` is, so that no two servers share a name."""
    name = _plain(server)
    if "__" in name or name.endswith("_"):
        name = f"{re.sub('_+', '_', name).rstrip('_')}-{_hash(server)}"
    return f"{name}__"


def _plain(name: str) -> str:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    return safe if safe[0].isalpha() or safe[0] == "_" else f"_{safe}"


def _marked(name: str, tool: str, taken: Iterable[str]) -> str:
    for length in (6, 16, 32):
        mark = f"_{_hash(tool, length)}"
        if (marked := name[: MAX_CHARS - len(mark)] + mark) not in taken:
            return marked
    raise AssertionError("two names with one SHA-256")


def _hash(text: str, length: int = 6) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
