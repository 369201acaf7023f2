"""An edit of Python that nobody gave a check for: judged by the tests that lie with the module, or told to be unchecked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recited import recited

pytestmark = pytest.mark.anyio

MODULE = "def clamp(value, low, high):\n    return max(value, low)\n"
RIGHT = "```python\ndef clamp(value, low, high):\n    return min(max(value, low), high)\n```"
WRONG = "```python\ndef clamp(value, low, high):\n    return min(value, high)\n```"
TESTS = """from {module} import clamp


def test_it_keeps_to_both_sides():
    assert [clamp(v, 1, 3) for v in ({values})] == [{wanted}]
"""
PLACES = {
    "beside it": ("clamp.py", "test_clamp.py", "clamp"),
    "named the other way": ("clamp.py", "clamp_test.py", "clamp"),
    "in a folder of tests": ("clamp.py", "tests/test_clamp.py", "clamp"),
    "in the package": ("pkg/clamp.py", "pkg/tests/test_clamp.py", "pkg.clamp"),
    "mirrored": ("pkg/clamp.py", "tests/pkg/test_clamp.py", "pkg.clamp"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def lay_out(
    tree: Path, module: str, tests: str, name: str, values: str = "0, 2, 9", wanted: str = "1, 2, 3"
) -> None:
    for path, text in ((module, MODULE), (tests, TESTS.format(module=name, values=values, wanted=wanted))):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    if name.startswith("pkg"):
        (tree / "pkg" / "__init__.py").touch()
        (tree / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')


TASK = "values above high come back as they are; fix that"


@pytest.mark.parametrize("place", PLACES)
async def test_the_tests_of_a_module_are_found_and_run_where_nobody_named_a_check(
    tree: Path, place: str
) -> None:
    module, tests, name = PLACES[place]
    lay_out(tree, module, tests, name)
    refused = await recited(tree, WRONG, task=TASK, files=[module], write="edits")
    assert refused["outcome"] == "escalate"
    assert "own tests: failed: 0 passed, 1 failed" in refused["reason"]


async def test_a_change_that_its_own_tests_see_is_accepted(tree: Path) -> None:
    lay_out(tree, "clamp.py", "test_clamp.py", "clamp")
    taken = await recited(tree, RIGHT, task=TASK, files=["clamp.py"], write="edits")
    assert taken["outcome"] == "accepted"
    assert taken["gate"]["checks"][-1]["gate"] == "own tests"


async def test_an_edit_that_nothing_ran_is_written_and_told_to_be_unchecked(tree: Path) -> None:
    (tree / "clamp.py").write_text(MODULE)
    receipt = await recited(tree, RIGHT, task="cap it at high", files=["clamp.py"], write="edits")
    assert receipt["outcome"] == "written"
    assert receipt["reason"] == "unchecked: clamp.py parses and its names are known; nothing ran the change"


async def test_tests_that_fail_without_the_change_too_say_nothing_of_it(tree: Path) -> None:
    lay_out(tree, "clamp.py", "test_clamp.py", "clamp", wanted="7, 7, 7")
    receipt = await recited(tree, RIGHT, task="cap it at high", files=["clamp.py"], write="edits")
    assert receipt["outcome"] == "written"
    assert "test_clamp.py fails with the change as without it" in receipt["reason"]


async def test_a_change_that_breaks_tests_the_worker_did_not_see_is_rejected_and_told_how_to_go_on(
    tree: Path,
) -> None:
    lay_out(tree, "clamp.py", "test_clamp.py", "clamp", values="0, 2", wanted="1, 2")
    receipt = await recited(tree, WRONG, WRONG, task="cap it at high", files=["clamp.py"], write="edits")
    assert receipt["outcome"] == "escalate"
    assert "give it in files" in receipt["reason"]


async def test_tests_that_do_not_see_the_change_leave_it_unchecked(tree: Path) -> None:
    lay_out(tree, "clamp.py", "test_clamp.py", "clamp", values="0, 2", wanted="1, 2")
    receipt = await recited(tree, RIGHT, task="cap it at high", files=["clamp.py"], write="edits")
    assert receipt["outcome"] == "written"
    assert "passes without the change too" in receipt["reason"]


async def test_who_asks_for_syntax_gets_syntax(tree: Path) -> None:
    lay_out(tree, "clamp.py", "test_clamp.py", "clamp")
    receipt = await recited(tree, WRONG, task="cap it", files=["clamp.py"], write="edits", gate="syntax")
    assert receipt["outcome"] == "accepted"
