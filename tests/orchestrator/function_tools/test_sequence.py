"""R79: tools one behind the other."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from orchestrator import tool
from orchestrator.errors import ConfigError
from orchestrator.function_tools import ToolContext
from orchestrator.function_tools.sequence import ToolStep, in_sequence, run_tools


@tool
def words(text: str, context: ToolContext) -> list[str]:
    """Split a text.

    Args:
        text: what to split
    """
    context.progress(1)
    return text.split()


@tool
async def count(items: list[str]) -> int:
    return len(items)


@tool
def share(part: int, whole: int) -> float:
    return part / whole


STEPS = (
    words,
    count,
    ToolStep(tool=share, transform=lambda n, done: {"part": n, "whole": len(done["words"]) - 2}),
)


def test_each_step_gets_what_the_one_before_gave() -> None:
    done = run_tools(*STEPS, text="a b c d")
    assert done.success and done.result == 2.0
    assert done.partial_outputs == {"words": ["a", "b", "c", "d"], "count": 4, "share": 2.0}


@pytest.mark.parametrize(
    ("given", "failed", "outputs", "says"),
    [
        ({"text": "a b"}, "share", {"words": ["a", "b"], "count": 2}, "division by zero"),
        ({"txet": "a"}, "words", {}, "text is missing"),
        ({}, "words", {}, "text is missing"),
    ],
)
def test_the_first_error_ends_it_and_what_was_done_is_kept(
    given: dict[str, str], failed: str, outputs: dict[str, object], says: str
) -> None:
    done = run_tools(*STEPS, **given)
    assert not done.success and done.failed_step == failed and done.partial_outputs == outputs
    assert says in (done.error or "") and done.to_dict()["failed_step"] == failed


def test_a_transform_that_fails_is_the_failure_of_its_step() -> None:
    done = run_tools(
        words, ToolStep(tool=count, name="counted", transform=lambda n, all: {"items": n["x"]}), text="a"
    )
    assert done.failed_step == "counted" and "transform of counted failed: TypeError" in (done.error or "")


def test_a_sequence_is_a_tool_with_the_parameters_of_its_first() -> None:
    whole = in_sequence("ratio", *STEPS)
    assert (
        str(whole.signature) == "ratio(text: string)"
        and whole.spec.description == "words, then count, then share. Split a text."
    )
    assert whole.spec.parameters["properties"]["text"]["description"] == "what to split"
    assert whole.execute(text="a b c").result == 3.0
    assert "step share failed: share: ZeroDivisionError: division by zero; done by then: words, count" in (
        whole.execute(text="a b").error or ""
    )
    with pytest.raises(ConfigError, match="at least one"):
        in_sequence("none")


def test_a_function_is_a_step_too_and_what_is_none_is_refused() -> None:
    def half(whole: float) -> float:
        return whole / 2

    assert run_tools(share, half, part=1, whole=2).partial_outputs == {"share": 0.5, "half": 0.25}
    odd: Any = 3
    with pytest.raises(ConfigError, match="a sequence is made of tools and functions, found int"):
        run_tools(odd, part=1)


def five(before: Any, outputs: Any) -> Any:
    return 5


def leave(before: Any, outputs: Any) -> Any:
    sys.exit(3)


@pytest.mark.parametrize(
    ("transform", "said"),
    [(five, "TypeError: wanted the tool's arguments as a dict, found int"), (leave, "SystemExit: 3")],
)
def test_whatever_a_transform_does_is_the_failure_of_its_step(transform: Any, said: str) -> None:
    done = run_tools(share, ToolStep(tool=share, transform=transform, name="again"), part=1, whole=2)
    assert done.error == f"the transform of again failed: {said}" and done.partial_outputs == {"share": 0.5}


@pytest.mark.anyio
async def test_tools_run_one_after_the_other_inside_a_running_loop_too() -> None:
    assert run_tools(share, part=1, whole=4).result == 0.25
