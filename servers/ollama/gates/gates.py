"""What is asked of a candidate, in any of the ways a caller may say it, and the verdict of all its gates.

A gate answers passed, failed, or "there was nothing to check", which is never a pass.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from ...output import ToolError
from ..ledger.receipt import NOISE_S, Checked, Gated
from .answer_checks import unjudged
from .json_schema import schema_wrong
from .judged import Judged
from .kinds import KINDS

MAX_NOTE_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What is asked: by a gate's name, its value. What nobody asks for, the task itself may ask for."""

    asked: Mapping[str, object] = field(default_factory=dict[str, object])
    off: bool = False
    """No gate at all."""

    @property
    def schema(self) -> Mapping[str, object] | None:
        return cast("Mapping[str, object] | None", self.asked.get("schema"))

    def without(self, name: str) -> Gates:
        return Gates(asked={key: value for key, value in self.asked.items() if key != name}, off=self.off)


def parse_gates(given: object, schema: Mapping[str, object] | None) -> Gates:
    """The gates a caller asked for in any of the forms they may take. ToolError says which there are."""
    asked: dict[str, object] = {} if schema is None else {"schema": schema}
    try:
        _add(asked, "auto" if given is None else given)
    except RecursionError:
        raise ToolError(f"the gate is nested too deeply; a gate is {_forms()}") from None
    off = asked.pop("none", False) is True
    known = cast("Mapping[str, object] | None", asked.get("schema"))
    if known is not None and (wrong := schema_wrong(known)):
        raise ToolError(f"the schema is not valid JSON Schema: {wrong}")
    if off and any(value is not False and name != "schema" for name, value in asked.items()):
        raise ToolError('gate "none" cannot stand beside another gate')
    return Gates(asked=asked, off=off)


async def verdict(gates: Gates, judged: Judged) -> Gated:
    """The verdict of all gates; cheap ones first, and the first failure ends it."""
    checks: list[Checked] = []
    doubts: list[str] = []
    forms: list[str] = []
    shown = False
    for kind in KINDS:
        value = gates.asked.get(kind.name)
        unasked = value is None
        if unasked and not gates.off:
            value = kind.unasked(judged)
        if value is None or value is False:
            continue
        began = time.perf_counter()
        try:
            passed, note, *left = await kind.check(judged, value)
        except ToolError as exc:  # a gate that cannot run has not been passed, unless nobody asked for it
            passed, note, *left = None if unasked else False, str(exc)
        if passed is not False:
            doubts += left
        if passed:
            leaves = kind.leaves(judged) if unasked else ""
            forms += [leaves] if leaves else []
            shown = shown or not leaves
        if passed is False or (kind.proves and not (unasked and passed is None)):
            took_s = time.perf_counter() - began
            checks.append(
                Checked(
                    gate=kind.name,
                    passed=passed,
                    note=note[:MAX_NOTE_CHARS],
                    took_s=took_s if took_s >= NOISE_S else None,
                )
            )
        if passed is False:
            return Gated(passed=False, checks=checks)
    passed = True if any(check.passed for check in checks) else None
    told = doubts or ([] if shown else forms or [unjudged(judged)])
    return Gated(passed=passed, checks=checks, unchecked="; ".join(told) or None)


def _add(asked: dict[str, object], item: object) -> None:
    if isinstance(item, str) and item.strip().startswith(("{", "[")):
        try:
            item = json.loads(item)
        except (ValueError, RecursionError):
            raise ToolError(f"gate {item[:80]!r} is not valid JSON; a gate is {_forms()}") from None
    if isinstance(item, list):
        for inner in cast("list[object]", item):
            _add(asked, inner)
    elif isinstance(item, str):
        name, _, value = (part.strip() for part in re.sub("[=:]", "\0", item, count=1).partition("\0"))
        _add_one(asked, name, value or True)
    elif isinstance(item, dict):
        for name, value in cast("dict[str, object]", item).items():
            _add_one(asked, name, value)
    else:
        raise ToolError(f"gate {item!r} is unknown; a gate is {_forms()}")


def _add_one(asked: dict[str, object], name: str, value: object) -> None:
    if name == "auto" and value is True:
        return
    if name == "none" and isinstance(value, bool):
        asked["none"] = value
        return
    name = {"json_schema": "schema", "json": "schema"}.get(name, name)
    kind = next((kind for kind in KINDS if kind.name == name and kind.form), None)
    meant = kind.value(value) if kind else None
    if meant is None:
        found = f"gate {name!r}" + ("" if value is True else f" with {str(value)[:80]!r}")
        raise ToolError(f"{found} is unknown; a gate is {_forms()}")
    asked[name] = meant


def _forms() -> str:
    return ", ".join(['"auto"', '"none"', *(kind.form for kind in KINDS if kind.form), "or a list of these"])
