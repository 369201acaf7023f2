"""The tools a server lists: each usable one, and a sentence about each that is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..sanitize import one_line
from ..types import JsonObject
from .json_schema import fault

MAX_DESCRIPTION_CHARS = 8_000
MAX_TOOLS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTool:
    name: str  # the server's own
    description: str
    parameters: JsonObject
    output_schema: JsonObject | None = None  # None: it promises no structured result
    read_only: bool | None = None
    destructive: bool | None = None


def read_tools(sent: Iterable[Any], *, checked: bool = True) -> tuple[list[ListedTool], list[str]]:
    """(the tools that can be used, what is wrong with the others). `checked` False: the schemas are known to be right."""
    usable: dict[str, ListedTool] = {}
    faults: list[str] = []
    for place, raw in enumerate(sent, 1):
        name = raw.get("name") if isinstance(raw, Mapping) else None
        if not isinstance(raw, Mapping) or not isinstance(name, str) or not name.strip():
            faults.append(f"the {_ordinal(place)} has no name")
        elif name in usable:
            faults.append(f"{_shown(name)} is listed twice, the first is used")
        elif len(usable) == MAX_TOOLS:
            faults.append(f"{_shown(name)} and all after it are over the limit of {MAX_TOOLS}")
            break
        elif (wrong := _wrong(raw, checked)) is not None:
            faults.append(f"{_shown(name)} {wrong}")
        else:
            usable[name] = _tool(name, raw)
    return list(usable.values()), faults


def _wrong(raw: Mapping[str, Any], checked: bool) -> str | None:
    schema = raw.get("inputSchema")
    if schema is None:
        return "has no inputSchema"
    if not isinstance(schema, Mapping):
        return f"has an inputSchema that is no object: {one_line(repr(schema), 60)}"
    kinds = schema.get("type", "object")
    if "object" not in (kinds if isinstance(kinds, list) else [kinds]):
        return f"has an inputSchema of type {one_line(repr(kinds), 60)}; it must be 'object'"
    if checked and (why := fault(schema)) is not None:
        return f"has an inputSchema that is no JSON Schema: {why}"
    return None


def _tool(name: str, raw: Mapping[str, Any]) -> ListedTool:
    hints, words, promised = raw.get("annotations"), raw.get("description"), raw.get("outputSchema")
    said = hints if isinstance(hints, Mapping) else {}
    return ListedTool(
        name=name,
        description=_cut(words) if isinstance(words, str) else "",
        parameters={**raw["inputSchema"], "type": "object"},
        output_schema=promised if isinstance(promised, Mapping) else None,
        read_only=_truth(said.get("readOnlyHint")),
        destructive=_truth(said.get("destructiveHint")),
    )


def _cut(text: str) -> str:
    rest = len(text) - MAX_DESCRIPTION_CHARS
    return text if rest <= 0 else f"{text[:MAX_DESCRIPTION_CHARS]}... ({rest:,} more characters were cut)"


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _shown(name: str) -> str:
    return f"`{one_line(name, 80)}`"


def _ordinal(place: int) -> str:
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"
