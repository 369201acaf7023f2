"""Chat Completions as its many servers really stream them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import ProviderError
from orchestrator.providers import close, complete, open_provider
from orchestrator.types import Completion, Request, Thinking, ToolSpec, user
from tests.wire.picky import Answer, chunk, picky, sse

pytestmark = pytest.mark.anyio

WEATHER = ToolSpec(
    name="get_weather",
    description="Weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
PING = ToolSpec(name="ping", description="Ping.", parameters={"type": "object"})
OSLO, BERGEN = '{"city":"Oslo"}', '{"city":"Bergen"}'


async def heard(answer: Answer) -> Completion:
    with picky(lambda body: answer) as (url, _):
        provider = open_provider("lab", kind="openai", base_url=url)
        try:
            return await complete(
                provider, Request(model="lab:m", messages=(user("Hi"),), tools=(WEATHER, PING))
            )
        finally:
            await close(provider)


def call(index: Any = 0, id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    function = {
        key: value for key, value in {"name": name, "arguments": arguments}.items() if value is not None
    }
    piece: dict[str, Any] = {"type": "function", "function": function}
    return piece | {key: value for key, value in {"index": index, "id": id}.items() if value is not None}


def calls(*pieces: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(chunk({"tool_calls": [piece]}) for piece in pieces), chunk({}, "tool_calls")]


BOTH = [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Bergen"})]
STREAMS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, dict[str, str]]]]] = {
    "two under one index, glued": (calls(call(0, "a", "get_weather", OSLO), call(0, arguments=BERGEN)), BOTH),
    "two under one index, by id": (calls(call(0, "a", "get_weather", OSLO), call(0, "b", "get_weather", BERGEN)), BOTH),
    "two under one index, in pieces": (
        calls(
            call(0, "a", "get_weather", ""), call(0, arguments='{"city":'), call(0, arguments='"Oslo"}'),
            call(0, "b", "get_weather", ""), call(0, arguments='{"city":'), call(0, arguments='"Bergen"}'),
        ),
        BOTH,
    ),
    "two under one index without ids": (calls(call(0, None, "get_weather", OSLO), call(0, None, "get_weather", BERGEN)), BOTH),
    "two without index": (calls(call(None, "a", "get_weather", OSLO), call(None, "b", "get_weather", BERGEN)), BOTH),
    "two in one chunk without index": (
        [chunk({"tool_calls": [call(None, None, "get_weather", OSLO), call(None, None, "get_weather", BERGEN)]}, "tool_calls")],
        BOTH,
    ),
    "one id twice": (calls(call(0, "a", "get_weather", OSLO), call(1, "a", "get_weather", BERGEN)), BOTH),
    "no ids at all": (calls(call(0, None, "get_weather", OSLO), call(1, None, "get_weather", BERGEN)), BOTH),
    "interleaved": (
        calls(
            call(0, "a", "get_weather", '{"city":'), call(1, "b", "get_weather", '{"city":'),
            call(0, arguments='"Oslo"}'), call(1, arguments='"Bergen"}'),
        ),
        BOTH,
    ),
    "id and name with every piece": (
        calls(call(0, "a", "get_weather", '{"city":'), call(0, "a", "get_weather", '"Oslo"}'), call(0, "a", "get_weather", "")),
        BOTH[:1],
    ),
    "the whole once more at the end": (
        calls(call(0, "a", "get_weather", '{"city":'), call(0, arguments='"Oslo"}'), call(0, "a", "get_weather", OSLO)),
        BOTH[:1],
    ),
    "a name in pieces": (calls(call(0, "a", "get_"), call(0, None, "weather"), call(0, arguments=OSLO)), BOTH[:1]),
    "arguments as an object": (calls(call(0, "a", "get_weather", {"city": "Oslo"})), BOTH[:1]),
    "an empty object first": (calls(call(0, "a", "get_weather", "{}"), call(0, arguments=OSLO)), BOTH[:1]),
    "no arguments": (calls(call(0, "a", "ping")), [("ping", {})]),
    "no arguments and then another": (
        calls(call(0, None, "ping"), call(0, None, "get_weather", OSLO)),
        [("ping", {}), *BOTH[:1]],
    ),
    "the older form": ([chunk({"function_call": {"name": "get_weather", "arguments": OSLO}}), chunk({}, "function_call")], BOTH[:1]),
    "the older form in pieces": (
        [
            chunk({"function_call": {"name": "get_weather", "arguments": ""}}),
            chunk({"function_call": {"arguments": '{"city":'}}),
            chunk({"function_call": {"arguments": '"Oslo"}'}}),
            chunk({}, "function_call"),
        ],
        BOTH[:1],
    ),
    "finished as stop": ([chunk({"tool_calls": [call(0, "a", "get_weather", OSLO)]}), chunk({}, "stop")], BOTH[:1]),
    "a message in place of deltas": (
        [{"choices": [{"index": 0, "message": {"content": None, "tool_calls": [call(None, "a", "get_weather", OSLO)]}, "finish_reason": "tool_calls"}]}],
        BOTH[:1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("done", [True, False])
async def test_calls_are_read_in_every_form_they_come_in(form: str, done: bool) -> None:
    chunks, wanted = STREAMS[form]
    answer = await heard(sse(*chunks, done=done))
    assert [(one.name, dict(one.arguments)) for one in answer.message.tool_calls] == wanted
    assert answer.stop == "tool" and all(one.raw is None for one in answer.message.tool_calls)
    ids = [one.id for one in answer.message.tool_calls]
    assert all(ids) and len(set(ids)) == len(ids)


async def test_content_may_be_a_list_of_chunks_with_thinking_among_them() -> None:
    answer = await heard(
        sse(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, "}]}]}),
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "yes."}]}]}),
            chunk({"content": [{"type": "text", "text": "It is "}]}),
            chunk({"content": "so."}),
            chunk({}, "stop"),
        )
    )
    assert answer.message.text == "It is so."
    assert [part.text for part in answer.message.parts if isinstance(part, Thinking)] == ["Hm, yes."]


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("max_tokens", "length"), ("model_length", "length"), ("eos", "end"), ("sensitive", "refusal")],
)
async def test_other_words_for_the_end_are_understood(reason: str, stop: str) -> None:
    assert (await heard(sse(chunk({"content": "word"}), chunk({}, reason)))).stop == stop


async def test_the_chunk_of_the_usage_is_an_end_too() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}
    answer = await heard(sse(chunk({"content": "word"}), usage))
    assert (answer.message.text, answer.usage.input_tokens) == ("word", 3)


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "half"})],
        [chunk({"content": "half"}), chunk({}, "network_error")],
        [chunk({"content": "half"}), {"object": "error", "message": "out of memory", "code": 500}],
        [chunk({"content": "half"}), {"error": {"message": "upstream failed"}}],
    ],
)
async def test_half_an_answer_is_an_error_that_can_be_asked_again(chunks: list[dict[str, Any]]) -> None:
    with pytest.raises(ProviderError) as caught:
        await heard(sse(*chunks))
    assert caught.value.retryable


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": None},
        {"choices": []},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": None, "role": None}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [None, {}]}}]},
        {"choices": [{"index": 0, "delta": {"reasoning": {"text": "x"}, "refusal": None}}]},
        {"id": "1", "usage": None},
        {},
    ],
)
async def test_odd_chunks_are_passed_over(odd: dict[str, Any]) -> None:
    answer = await heard(sse(odd, chunk({"content": "word"}), odd, chunk({}, "stop")))
    assert answer.message.text == "word" and not answer.message.tool_calls
