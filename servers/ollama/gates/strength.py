"""Whether a check that passed would have failed on wrong code: it runs again on the old code, and on broken code.

The tries are bounded by what the check itself took, and by a total; the note says how many there were.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from . import python_code
from .judged import Judged, Result
from .mutants import Mutant, mutants, mutants_of_change
from .tailored import tailored

Passes = Callable[[Mapping[str, bytes]], Awaitable[bool | None]]
"""Whether the check passes with these files in place."""

TIMES = 12
"""All tries together take at most so many times what the check took,"""
TOTAL_S = 20.0
"""and at most so long."""
ENOUGH = 6
"""So many tries that all failed show that a check sees what it is for."""


_SAME = re.compile(
    r"\b(?:refactor\w*|renam\w*|umbenenn\w*|docstrings?|document\w*|comments?|kommentar\w*|format\w*|tidy|clean\w*|simplif\w*|"
    r"annotat\w*|type hints?|speed|faster|optimi[sz]\w*|readab\w*|move|split|extract)\b",
    re.IGNORECASE,
)
"""Tasks after which code does what it did before."""


async def seen(judged: Judged, name: str, what: str) -> Result:
    """What a check says of a change, and whether it looks at what was changed: it fails without it, and on a wrong one."""
    began = time.monotonic()
    found = await judged.runs[name](judged.data, what)
    took_s = time.monotonic() - began
    if not found[0] or (judged.before and _SAME.search(judged.asked.task)):
        return found

    async def passes(data: Mapping[str, bytes]) -> bool | None:
        return (await judged.runs[name](data, what))[0]

    if await passes_unchanged(judged, what, name):
        return (
            True,
            found[1],
            "the check passes without the change too, so it does not see what was to be done",
        )
    checks = [text.text for path, text in judged.given.items() if path not in judged.candidate.files]
    for path, text in judged.candidate.files.items():
        if case := tailored(judged.old(path) or "", text, checks):
            return True, found[1], f"whether {path} does more than pass: {case}"
    broken = [
        (path, mutant)
        for path, text in judged.python.items()
        for mutant in mutants_of_change(judged.old(path) or "", text)
    ]
    tried = await on_broken(passes, judged.data, broken, took_s)
    if tried.passed is not None:
        return (
            True,
            found[1],
            f"the check passes as well {tried.passed.what}, so it sees only a part of the change",
        )
    return True, f"{found[1]}; {tried.note}" if broken else found[1]


async def passes_unchanged(judged: Judged, what: str, name: str = "own tests") -> bool:
    """Whether a check passes on the files as they were; False where all are new."""
    unchanged = {path: old.data(old.text) for path, old in judged.before.items()}
    return bool(unchanged) and (await judged.runs[name](unchanged, what))[0] is True


async def tell_apart(judged: Judged, path: str, name: str, what: str) -> Result:
    """What a check says of a new test file, and whether its tests tell the functions they import from broken ones."""
    began = time.monotonic()
    passed, note, *_ = await judged.runs[name](judged.data, what)
    took_s = time.monotonic() - began
    if not passed:
        return passed, note

    async def passes(data: Mapping[str, bytes]) -> bool | None:
        return (await judged.runs[name](data, what))[0]

    names = python_code.names_used(judged.candidate.files[path])
    broken = [
        (module, mutant)
        for module, document in judged.given.items()
        if module != path and module.endswith(".py")
        for mutant in mutants(document.text, names)
    ]
    tried = await on_broken(passes, judged.data, broken, took_s)
    if tried.passed is not None and tried.passed.stub:
        return (
            False,
            f"{path}: the tests pass as well {tried.passed.what}; they have to compare what it returns",
        )
    if tried.passed is not None:
        return True, note, f"the tests pass as well {tried.passed.what}"
    if not broken:
        return True, note, "whether the tests would fail if the code were wrong"
    if tried.thin:
        return True, note, f"only {tried.note}"
    return True, f"{note}; {tried.note}, all noticed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of running a check on broken code."""

    tried: int
    of: int
    passed: Mutant | None
    """The first broken code it passed on; no more were tried then."""

    @property
    def note(self) -> str:
        return f"{self.tried} of {self.of} ways to break the code tried"

    @property
    def thin(self) -> bool:
        """Too few were tried to say anything."""
        return self.tried < min(self.of, ENOUGH)


async def on_broken(
    passes: Passes, data: Mapping[str, bytes], broken: Sequence[tuple[str, Mutant]], took_s: float
) -> Tried:
    """Run a check, which took `took_s`, on one broken file after another, until it passes or time is up."""
    began, left_s = time.monotonic(), min(TIMES * took_s, TOTAL_S)
    for number, (path, mutant) in enumerate(broken):
        if time.monotonic() - began + took_s > left_s:
            return Tried(tried=number, of=len(broken), passed=None)
        passed: bool | None = False
        with anyio.move_on_after(3 * took_s + 1):  # code that now runs for ever is told from the right one
            passed = await passes({**data, path: mutant.text.encode()})
        if passed:
            return Tried(tried=number + 1, of=len(broken), passed=mutant)
    return Tried(tried=len(broken), of=len(broken), passed=None)
