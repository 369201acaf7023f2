"""The test file of a Python module, where projects put it: beside the module, or in a folder of tests above it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from ...output import ToolError
from ...workspace import Workspace

TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_FOLDERS = ("tests", "test")
_MAX_BYTES = 1 << 20


def tests_of(workspace: Workspace, changed: Collection[str]) -> str | None:
    """The one test file that names the one module that changes; None where there is none, or more than one. Blocking."""
    if len(changed) != 1 or not (path := next(iter(changed))).endswith(".py"):
        return None
    module = PurePosixPath(path)
    found = [
        place for place in _places(module) if workspace.exists(place) and _names(workspace, place, module)
    ]
    return found[0] if len(found) == 1 else None


def _places(module: PurePosixPath) -> list[str]:
    """Where its tests may lie: `pkg/a.py` has them in pkg, in pkg/tests, in tests, or in tests/pkg."""
    names = (f"test_{module.stem}.py", f"{module.stem}_test.py")
    folders = [module.parent]
    for above in module.parents:
        inner = module.parent.relative_to(above)
        folders += [
            above / tests / part for tests in _FOLDERS for part in dict.fromkeys([PurePosixPath(), inner])
        ]
    return list(dict.fromkeys(str(folder / name) for folder in folders for name in names))


def _names(workspace: Workspace, place: str, module: PurePosixPath) -> bool:
    try:
        text = workspace.read(place, _MAX_BYTES).decode(errors="replace")
    except ToolError:
        return False
    return (
        re.search(rf"\bimport\b.*\b{re.escape(module.stem)}\b|\b{re.escape(module.stem)}\b.*\bimport\b", text)
        is not None
    )
