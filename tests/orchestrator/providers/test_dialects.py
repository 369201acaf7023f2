"""Servers of one wire that differ: what one refuses is left out from then on, also in the next process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import AuthFailed, BadRequest, ContextTooLong
from orchestrator.providers import close, complete, open_provider
from orchestrator.providers.dialects import Dialect, corrected, dialect_of
from orchestrator.types import Message, Request, Text, Thinking, ToolCall, ToolSpec, assistant, result, user
from tests.wire.picky import JSON, Answer, picky, refused, said

pytestmark = pytest.mark.anyio

CALL = ToolCall(id="c1", name="look", arguments={})
LOOK = ToolSpec(name="look", description="Look.", parameters={"type": "object"})


def kept(origin: str = "lab:m") -> tuple[Message, ...]:
    """A conversation in its second round, with a thought in it."""
    return (
        user("Hi"),
        assistant(Thinking(text="I look."), CALL, origin=origin),
        Message(role="tool", parts=(result(CALL, "seen"),)),
    )


async def ask(url: str, *, origin: str = "lab:m", key: str | None = None, **more: Any) -> str:
    provider = open_provider("lab", kind="openai", base_url=url, api_key=key)
    request = Request(model="lab:m", messages=kept(origin), tools=(LOOK,), **more)
    answer = await complete(provider, request)
    await close(provider)
    return answer.message.text


async def test_a_header_that_wants_the_key_is_learned_from_the_refusal_that_names_it() -> None:
    with picky(lambda body: said(), credential="x-api-key") as (url, bodies):
        for _ in range(2):
            assert await ask(url, key="k-1") == "ok"
        assert len(bodies) == 3
        provider = open_provider("lab", kind="openai", base_url=url, api_key="k-1")
        assert [model.name for model in await provider.models()] == ["m"]
        await close(provider)
        with pytest.raises(AuthFailed):
            await ask(url, key="k-2")


def has(field: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: field in body or any(field in message for message in body["messages"])


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        (has("reasoning_content"), refused("'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]")),
        (
            has("reasoning_content"),
            (422, JSON, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 1, "assistant", "reasoning_content"], "msg": "Extra inputs are not permitted"}]})),
        ),
        (has("reasoning_content"), refused("Unrecognized request argument supplied: reasoning_content")),
        (has("reasoning_content"), refused("Bad Request")),
        (has("stream_options"), refused("Extra inputs are not permitted, field: 'stream_options', value: {'include_usage': True}")),
        (has("max_tokens"), refused("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")),
        (lambda body: any(m["content"] is None for m in body["messages"]), refused("messages[1].content: Input should be a valid string")),
        (
            lambda body: not all("reasoning_content" in m for m in body["messages"] if m.get("tool_calls")),
            refused("thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"),
        ),
        (
            lambda body: not all("reasoning_content" in m for m in body["messages"] if m.get("tool_calls")),
            refused("Missing `reasoning_content` field in the assistant message at message index 1."),
        ),
    ],
)  # fmt: skip
async def test_what_a_server_refuses_is_corrected_once_and_known_to_the_next_process(
    wrong: Callable[[dict[str, Any]], bool], answer: Answer
) -> None:
    demanding = "missing" in answer[2].lower()
    origin = "other:model" if demanding else "lab:m"  # another's thoughts never go along
    with picky(lambda body: answer if wrong(body) else said()) as (url, bodies):
        for _ in range(3):
            assert await ask(url, origin=origin, max_tokens=99) == "ok"
    assert len(bodies) == 4
    assert dialect_of(url, "m") != Dialect() and dialect_of(url, "other") == Dialect()


async def test_several_refusals_are_corrected_one_after_another() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if has("stream_options")(body):
            return refused("stream_options is not supported")
        if has("reasoning_content")(body):
            return refused("property 'reasoning_content' is unsupported")
        return said()

    with picky(answer) as (url, bodies):
        assert await ask(url) == await ask(url) == "ok"
    assert len(bodies) == 4


async def test_a_refusal_nothing_cures_stays_one_and_teaches_nothing() -> None:
    with (
        picky(lambda body: refused("property 'reasoning_content' is unsupported")) as (url, bodies),
        pytest.raises(BadRequest),
    ):
        await ask(url)
    assert len(bodies) == 2 and dialect_of(url, "m") == Dialect()


@pytest.mark.parametrize(
    "words",
    [
        "temperature must be at most 1",
        "Invalid value for 'model': no such model x",
        "image_url is not supported",
    ],
)
async def test_a_refusal_of_something_else_is_asked_once(words: str) -> None:
    assert corrected(Dialect(), words) is None
    with picky(lambda body: refused(words + " " * 5 + "x" * 60)) as (url, bodies), pytest.raises(BadRequest):
        await ask(url)
    assert len(bodies) == 1


WHOLE = {
    "id": "1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


async def test_an_answer_that_comes_whole_is_read_whether_a_stream_was_asked_for_or_not() -> None:
    with picky(lambda body: (200, JSON, json.dumps(WHOLE))) as (url, bodies):
        assert await ask(url) == "whole" and bodies[0]["stream"]

    def answer(body: dict[str, Any]) -> Answer:
        return (
            refused("Streaming is not supported for this model")
            if body.get("stream")
            else (200, JSON, json.dumps(WHOLE))
        )

    with picky(answer) as (url, bodies):
        assert await ask(url) == await ask(url) == "whole"
    assert len(bodies) == 3


def test_known_services_need_no_refusal() -> None:
    assert dialect_of("https://api.groq.com/openai/v1", "m").thoughts == ""
    assert dialect_of("https://api.moonshot.ai/v1", "kimi-k2-thinking").demanded
    assert dialect_of("https://api.openai.com/v1", "gpt-5").cap == "max_completion_tokens"
    assert dialect_of("https://lab.example/v1", "m") == Dialect()


async def test_a_damaged_or_unwritable_file_is_no_reason_to_fail(own_state: Path) -> None:
    path = own_state / "understudy" / "dialects.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"127.0.0.1', encoding="utf-8")
    wrong = has("reasoning_content")
    with picky(lambda body: refused("reasoning_content is unsupported") if wrong(body) else said()) as (
        url,
        bodies,
    ):
        assert await ask(url) == await ask(url) == "ok"
    assert len(bodies) == 3
    text = path.read_text(encoding="utf-8")
    assert '"thoughts": ""' in text and "key" not in text


async def test_thoughts_go_back_in_the_field_they_came_in() -> None:
    with picky(lambda body: said()) as (url, bodies):
        assert await ask(url) == "ok"
    assert bodies[0]["messages"][1]["reasoning_content"] == "I look."
    assert not any(isinstance(part, Text) for part in kept()[1].parts)


def ollama(trained: int, needs: int) -> Callable[[dict[str, Any]], Answer]:
    """An Ollama server whose prompt has `needs` tokens, whatever one estimates."""

    def answer(body: dict[str, Any]) -> Answer:
        if "messages" not in body:
            about = {"general.architecture": "x", "x.context_length": trained}
            return 200, JSON, json.dumps({"model_info": about})
        held = body["options"]["num_ctx"]
        if held < needs:
            words = f"request ({needs} tokens) exceeds the available context size ({held} tokens), try increasing it"
            return 400, JSON, json.dumps({"error": words})
        done = {"message": {"role": "assistant", "content": "ok"}, "done": True, "done_reason": "stop"}
        return 200, "application/x-ndjson", json.dumps(done | {"prompt_eval_count": needs, "eval_count": 1})

    return answer


async def local(url: str, **settings: Any) -> str:
    provider = open_provider("ollama", base_url=url.removesuffix("/v1"), **settings)
    try:
        return (await complete(provider, Request(model="ollama:m", messages=(user("Hi"),)))).message.text
    finally:
        await close(provider)


async def test_an_overflow_that_names_its_numbers_makes_the_context_grow_once() -> None:
    with picky(ollama(trained=131_072, needs=20_000)) as (url, bodies):
        assert await local(url) == "ok"
    first, second = (body["options"]["num_ctx"] for body in bodies if "messages" in body)
    assert first < 20_000 < second <= 65_536


@pytest.mark.parametrize(("trained", "settings"), [(16_384, {}), (131_072, {"num_ctx": 8_192})])
async def test_a_context_that_cannot_grow_or_was_fixed_is_not_asked_again(
    trained: int, settings: dict[str, Any]
) -> None:
    with picky(ollama(trained, needs=20_000)) as (url, bodies), pytest.raises(ContextTooLong, match="20,000"):
        await local(url, **settings)
    assert len([body for body in bodies if "messages" in body]) == 1
