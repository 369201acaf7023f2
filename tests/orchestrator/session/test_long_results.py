"""Tool results that would fill a model's context: cut, said, and readable to their end."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.session.long_results import LEAST_CHARS, READ_MORE, Bounded
from orchestrator.tools import Progress, no_progress
from orchestrator.types import Image, Message, Text, ToolCall, ToolResult, ToolSpec, result

pytestmark = pytest.mark.anyio


class Says:
    specs = (ToolSpec(name="say", description="", parameters={}),)

    def __init__(self, text: str, *more: Image) -> None:
        self.text, self.more = text, more

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        return ToolResult(call_id=call.id, name=call.name, content=(Text(text=self.text), *self.more))


def box(text: str, window: int | None, history: Sequence[Message] = (), *more: Image) -> Bounded:
    async def tokens() -> int | None:
        return window

    return Bounded(Says(text, *more), tokens, history)


def call(name: str = "say", **arguments: object) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


def follow_up(text: str) -> ToolCall:
    found = re.search(r'read_more\(result="(\w+)", start=(\d+)\)', text)
    assert found
    return call(READ_MORE, result=found[1], start=int(found[2]))


async def test_a_short_result_is_left_alone_and_costs_no_tool() -> None:
    tools = box("short", 100_000)
    assert (await tools.call(call())).text == "short"
    assert [spec.name for spec in tools.specs] == ["say"]


@pytest.mark.parametrize("window", [2_048, 32_768, 1_000_000, None])
async def test_a_long_result_takes_a_share_of_the_window_and_is_readable_to_its_end(
    window: int | None,
) -> None:
    whole = "".join(f"line {number}\n" for number in range(60_000)) + "the end"
    tools = box(whole, window)
    first = (await tools.call(call())).text
    assert len(first) < max((window or 16_384) * 3.5 / 4, LEAST_CHARS) + 200
    assert first.startswith("line 0\n") and first.endswith("the end")
    assert f"of {len(whole):,} characters left out" in first
    assert [spec.name for spec in tools.specs] == ["say", READ_MORE]
    second = (await tools.call(follow_up(first))).text
    begin = first.index("\n[")
    assert whole[begin:].startswith(second.rpartition("\n[")[0][:3_000])


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(
        lambda text: text * (9_000 // len(text) + 1)
    )
)
def test_what_was_cut_comes_back_whole_piece_by_piece(whole: str) -> None:
    import anyio

    async def read() -> str:
        tools = box(whole, 4_000)
        shown = (await tools.call(call())).text
        mark = re.search(r"\n\[[\d,]+ of [\d,]+ characters left out here; read_more.*? shows them\]", shown)
        assert mark
        pieces, told = [shown[: mark.start()]], mark.group()
        for _ in range(100):
            piece = (await tools.call(follow_up(told))).text
            mark = re.search(
                r"\n\[[\d,]+ of [\d,]+ characters left out here; read_more.*? shows them\]$", piece
            )
            if mark is None:
                return "".join([*pieces, piece])
            pieces.append(piece[: mark.start()])
            told = mark.group()
        raise AssertionError("no end")

    assert anyio.run(read) == whole


async def test_several_long_results_of_one_run_fit_together() -> None:
    tools = box("x" * 500_000, 32_768)
    shown = [len((await tools.call(call())).text) for _ in range(6)]
    assert shown[0] > shown[2] > shown[4] and sum(shown) < 32_768 * 3.5


async def test_a_result_cut_in_an_earlier_run_can_be_read_on() -> None:
    first = await box("y" * 100_000, 4_096).call(call())
    history = [Message(role="tool", parts=(first,))]
    later = box("short", 4_096, history)
    assert READ_MORE in [spec.name for spec in later.specs]
    assert (await later.call(follow_up(first.text))).text.startswith("yyy")


async def test_pictures_stay_and_a_wrong_name_or_place_is_one_sentence() -> None:
    tools = box("z" * 100_000, 4_096, (), Image(data="AAAA", mime="image/png"))
    answer = await tools.call(call())
    assert isinstance(answer.content[-1], Image)
    for wrong in (
        {"result": "../../etc/passwd", "start": 0},
        {"result": 7},
        {"result": "0" * 12, "start": -1},
        {},
    ):
        assert (await tools.call(call(READ_MORE, **wrong))).is_error
    past = follow_up(answer.text).arguments["result"]
    assert "none from" in (await tools.call(call(READ_MORE, result=past, start=10**9))).text


async def test_a_tool_of_the_same_name_is_the_servers_own() -> None:
    class Own(Says):
        specs = (ToolSpec(name=READ_MORE, description="", parameters={}),)

        async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
            return result(call, "mine")

    async def tokens() -> int | None:
        return None

    assert (await Bounded(Own(""), tokens).call(call(READ_MORE))).text == "mine"
