"""What gates check of changed files by running a command or tests on them."""

from __future__ import annotations

import re

from .judged import Judged, Result
from .strength import passes_unchanged, seen, tell_apart
from .tests_beside import TEST_FILE


async def passes_command(judged: Judged, command: object) -> Result:
    return await _passes(judged, "command", str(command))


async def passes_tests(judged: Judged, target: object) -> Result:
    return await _passes(judged, "tests", str(target))


async def _passes(judged: Judged, name: str, what: str) -> Result:
    """A check of what is written: of tests that they tell right code from wrong."""
    files = judged.candidate.files
    if len(files) == 1 and TEST_FILE.search(path := next(iter(files))) and judged.old(path) is None:
        return await tell_apart(judged, path, name, what)
    return await seen(judged, name, what)


async def passes_own_tests(judged: Judged, target: object) -> Result:
    path = str(target)
    if path in judged.candidate.files:
        return await tell_apart(judged, path, "own tests", path)
    found = await seen(judged, "own tests", path)
    if found[0] is not False or path in judged.given:
        return found
    if await passes_unchanged(judged, path):
        how = "passes without the change; where it has to change as well, give it in files"
        return False, f"{path} {how}\n{found[1]}"
    if _MENDS.search(judged.asked.task):
        return found
    return None, "", f"{path} fails with the change as without it"


def wants_own_tests(judged: Judged) -> object | None:
    """The one test file that is written, or that came along with what is changed, or that lies where its tests lie."""
    files = judged.candidate.files
    found = [path for path in dict.fromkeys([*files, *judged.given]) if TEST_FILE.search(path)]
    found = found or ([judged.tests] if judged.tests else [])
    return found[0] if files and len(found) == 1 and "own tests" in judged.runs else None


_MENDS = re.compile(
    r"\b(?:fix\w*|bugs?|broken|wrong\w*|crash\w*|fail\w*|repair\w*|mend\w*|correct\w*|error|should|instead|"
    r"beheb\w*|reparier\w*|korrigier\w*|fehler\w*|falsch\w*)\b",
    re.IGNORECASE,
)
"""Tasks for which tests that fail are a witness."""
