"""What a model has shown decides: the form it writes in, a second turn, and what is said before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.ollama.server import build
from tests.servers.ollama.delegate.test_file_parts import LINES, Listening

pytestmark = pytest.mark.anyio

SMALL = "".join(LINES[:5])
EDIT: dict[str, Any] = {"task": "Let f2 return 22.", "files": ["s.py"], "write": "edits", "model": "w"}
WRONG = "```python\n" + SMALL.replace("return 2\n", "return 2 +\n") + "```"
RIGHT = "s.py\n<<<<<<< SEARCH\n    return 2\n=======\n    return 22\n>>>>>>> REPLACE"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "s.py").write_text(SMALL, encoding="utf-8")
    (folder / "big.py").write_text(
        "".join(LINES) * 2 + "\n\ndef special():\n    return 0\n", encoding="utf-8"
    )
    return folder


async def called(runtime: Listening, tree: Path, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    async with Client(build([str(tree)], runtime)) as client:
        return [(await client.call_tool(tool, given)).structured_content for tool, given in calls]


async def test_a_form_that_failed_gives_way_to_the_other_and_hopeless_work_gets_no_second_turn(
    tree: Path,
) -> None:
    runtime = Listening(tree.parent, *[WRONG] * 9, *["I do not know what to change."] * 30)
    first, *_ = await called(runtime, tree, ("delegate", EDIT))
    assert first["outcome"] == "escalate" and len(runtime.asked) == 2  # the rejected answer had a second turn
    while len(runtime.asked) < 7:
        await called(runtime, tree, ("delegate", EDIT))
    assert not [prompt for prompt in runtime.asked if "SEARCH" in prompt]
    runtime.unsaid.insert(0, runtime.unsaid[0].model_copy(update={"text": RIGHT}))
    (last,) = await called(runtime, tree, ("delegate", EDIT))
    assert last["outcome"] == "accepted" and "SEARCH" in runtime.asked[-1]

    (tree / "s.py").write_text(SMALL, encoding="utf-8")
    ask = {"task": "Why is it so?", "files": ["s.py"], "model": "w"}
    runtime.asked.clear()
    runtime.unsaid = [answer.model_copy(update={"text": "NONE"}) for answer in runtime.unsaid]
    *_, estimate, last = await called(
        runtime, tree, *[("delegate", ask)] * 8, ("estimate", ask), ("delegate", ask)
    )
    assert last["outcome"] == "escalate"
    turns = len(runtime.asked)
    assert 10 < turns < 18  # two each at first, then one
    assert estimate["models"][0]["odds_passing"] < 0.12


async def test_a_task_that_names_a_definition_of_a_large_file_is_told_which_part_to_send(tree: Path) -> None:
    ask = {"task": "What does special return?", "files": ["big.py"], "model": "w"}
    runtime = Listening(tree.parent, "It returns 0.")
    (estimate,) = await called(runtime, tree, ("estimate", ask))
    advice = next(a for a in estimate["advice"] if a["action"] == "send_part")
    assert advice["call"] == {**ask, "files": ["big.py#L401-404"]} and "big.py#L401-404" in advice["say"]
    (receipt,) = await called(runtime, tree, ("delegate", advice["call"]))
    assert receipt["outcome"] == "answered" and "def f100" not in runtime.asked[-1]


async def test_what_nobody_checked_is_no_pass_and_no_failure_and_a_rating_counts(tree: Path) -> None:
    edit = {**EDIT, "task": "Make it better."}
    runtime = Listening(
        tree.parent, *[f"```python\n{SMALL.replace('return 2', f'return {n}')}```" for n in (21, 23)]
    )
    first, before = await called(runtime, tree, ("delegate", edit), ("estimate", edit))
    assert first["outcome"] == "written" and before["models"][0]["judged"] == 0
    _, after = await called(
        runtime, tree, ("rate", {"run": first["run"], "verdict": "rejected"}), ("estimate", edit)
    )
    assert after["models"][0]["judged"] == 1
    assert after["models"][0]["odds_passing"] < before["models"][0]["odds_passing"]
