"""Which tool a model means, however it decorates the name."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BEFORE = re.compile(
    r"^(?:(?:functions?|default_api|tools?|assistant|commentary|namespace)[.:/]|to=)+", re.IGNORECASE
)
_AFTER = re.compile(r"(?:<\||<｜|\[ARGS\]|:\d+$|\(\)$).*$", re.DOTALL)
_BETWEEN = re.compile(r"\s*(?:\.|/|::|__|:|-)\s*")


def meant(written: str, names: Mapping[str, str]) -> str | None:
    """The tool that `written` names; None when it names none of them, or more than one.

    `names`: the tools offered, by their names on the wire. As models write it: `functions.x`, `default_api.x`,
    `x<|channel|>commentary`, `x:0`, `server.tool` and `server/tool` for `server__tool`, a tool without its server.
    """
    if written in names:
        return names[written]
    bare = _BEFORE.sub("", _AFTER.sub("", written.strip()).strip("`'\"* \t\n"))
    every = {*names.values()}
    for candidate in (written, bare):
        if candidate in names:
            return names[candidate]
        if candidate in every:
            return candidate
    plain = _plain(bare)
    if not plain:
        return None
    same = {name for wire, name in names.items() if plain in (_plain(wire), _plain(name))}
    if not same:
        same = {name for name in every if _plain(name).endswith(f"__{plain}")}
    return same.pop() if len(same) == 1 else None


def _plain(name: str) -> str:
    return _BETWEEN.sub("__", name.casefold()).strip("_")
