"""One table of cases for every wire, through the vendors' real SDKs against a loopback server."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestrator import errors
from orchestrator.errors import ProviderError
from orchestrator.providers import Provider, close, complete, models_of
from orchestrator.types import (
    Delta,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    result,
    user,
)
from tests.processes import cancelled_once
from tests.wire.stub import Stub
from tests.wire.turns import dumps, seal
from tests.wire.wires import PING, WEATHER, WIRES, asking, opened

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("wire", WIRES)]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SEALED = ("anthropic", "responses", "google", "bedrock")
"""Wires whose thinking comes back sealed."""


async def test_text_arrives_in_pieces_and_as_a_record(stub: Stub, wire: str) -> None:
    provider = opened(stub, wire)
    items = [item async for item in provider.stream(asking(wire, "text"))]
    deltas = [item for item in items[:-1] if isinstance(item, Delta)]
    done = items[-1]
    assert not isinstance(done, Delta) and len(deltas) == len(items) - 1 > 1
    assert "".join(d.text for d in deltas) == done.message.text == "Hello from the stub."
    assert (done.stop, done.message.origin, done.recorded) == ("end", f"{wire}:stub-text", False)
    await close(provider)


async def test_usage_means_the_same_everywhere(stub: Stub, wire: str) -> None:
    usage = (await complete(opened(stub, wire), asking(wire, "text"))).usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (100, 60, 20)
    assert usage.cache_write_tokens in (10, None) and usage.thinking_tokens in (5, None)
    if wire == "ollama":
        seconds = (usage.load_s, usage.prefill_s, usage.decode_s, usage.queue_s, usage.total_s)
        assert seconds == pytest.approx((1.0, 0.5, 3.0, 0.5, 5.0))
    else:
        assert usage.total_s is None  # no vendor's word for it


async def test_a_tool_loop_ends_and_keeps_thinking_text_and_calls_in_order(stub: Stub, wire: str) -> None:
    provider = opened(stub, wire)
    ask = asking(wire, "tools", tools=(WEATHER,))
    first = await complete(provider, ask)
    kinds = [part.kind for part in first.message.parts]
    assert kinds == ["thinking", "text", "tool_call", "tool_call"] and first.stop == "tool"
    one, two = first.message.tool_calls
    assert (one.name, one.arguments) == ("get_weather", {"city": "Łódź", "n": 1})
    assert two.arguments == {"city": "Oslo", "n": 2.5} and one.id != two.id
    results = Message(role="tool", parts=(result(one, "sunny"), result(two, "no such city", is_error=True)))
    again = replace(ask, messages=(*ask.messages, first.message, results))
    second = await complete(provider, again)
    assert second.message.text == "It is sunny in both." and second.stop == "end"
    if wire in SEALED:
        assert seal(wire) in dumps(stub.sent)
    await close(provider)


async def test_a_failed_tool_is_told_as_failed(stub: Stub, wire: str) -> None:
    call = ToolCall(id="c1", name="get_weather", arguments={})
    history = (
        user("Hi"),
        assistant(call),
        Message(role="tool", parts=(result(call, "no net", is_error=True),)),
    )
    await complete(opened(stub, wire), Request(model=f"{wire}:stub-text", messages=history, tools=(WEATHER,)))
    assert any(mark in dumps(stub.sent) for mark in ('"is_error":true', "ERROR", '"error"')), stub.sent


async def test_images_go_in_from_people_and_from_tools(stub: Stub, wire: str) -> None:
    call = ToolCall(id="c1", name="get_weather", arguments={})
    picture = Image(data=PIXEL, mime="image/png")
    shown = ToolResult(call_id="c1", name="get_weather", content=(Text(text="look"), picture))
    history = (user("What is this?", picture), assistant(call), Message(role="tool", parts=(shown,)))
    await complete(opened(stub, wire), Request(model=f"{wire}:stub-text", messages=history, tools=(WEATHER,)))
    sent = dumps(stub.sent).replace("-", "+").replace("_", "/")  # one vendor uses the other base64 alphabet
    assert sent.count(PIXEL) == 2


async def test_a_tool_can_be_demanded(stub: Stub, wire: str) -> None:
    provider = opened(stub, wire)
    for choice in ("any", "get_weather"):
        await complete(provider, asking(wire, "plain", tools=(WEATHER, PING), tool_choice=choice))
        if wire != "ollama":  # which has no such parameter
            said = dumps(stub.sent.get("tool_choice") or stub.sent["toolConfig"]).lower()
            assert f'"{choice}"' in said or '"required"' in said


async def test_an_answer_can_be_bound_to_a_schema(stub: Stub, wire: str) -> None:
    schema = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}
    await complete(opened(stub, wire), asking(wire, "text", schema=schema))
    assert "verdict" in dumps(stub.sent)


async def test_nothing_is_sent_that_nobody_set(stub: Stub, wire: str) -> None:
    await complete(opened(stub, wire), asking(wire, "text"))
    sent = dumps(stub.sent)
    for word in (
        "temperature",
        "thinking",
        "effort",
        "tool_choice",
        "toolChoice",
        "format",
        "null",
        '"think"',
    ):
        assert word not in sent


async def test_what_was_set_is_sent(stub: Stub, wire: str) -> None:
    ask = asking(wire, "text", system="Be brief.", max_tokens=77, temperature=0.25, options={"seed": 7})
    await complete(opened(stub, wire), ask)
    sent = dumps(stub.sent)
    assert all(word in sent for word in ("Be brief.", "77", "0.25", "seed"))


async def test_thinking_can_be_asked_for(stub: Stub, wire: str) -> None:
    await complete(opened(stub, wire), asking(wire, "think", think="high"))
    assert '"high"' in dumps(stub.sent).lower()


async def test_tool_names_no_vendor_takes_are_translated_there_and_back(stub: Stub, wire: str) -> None:
    odd = replace(PING, name="files.read/file ä")
    provider = opened(stub, wire)
    await complete(provider, asking(wire, "text", tools=(odd,)))
    assert odd.name not in dumps(stub.sent)
    call = ToolCall(id="a b", name=odd.name, arguments={})
    history = (user("Hi"), assistant(call), Message(role="tool", parts=(result(call, "ok"),)))
    await complete(provider, Request(model=f"{wire}:stub-text", messages=history, tools=(odd,)))


ERRORS: dict[str, tuple[type[ProviderError], bool]] = {
    "e400": (errors.BadRequest, False),
    "ectx": (errors.ContextTooLong, False),
    "e401": (errors.AuthFailed, False),
    "e403": (errors.AuthFailed, False),
    "e404": (errors.NoSuchModel, False),
    "e413": (errors.ContextTooLong, False),
    "e429": (errors.RateLimited, True),
    "equota": (errors.OutOfCredit, False),
    "e500": (errors.ProviderError, True),
    "e503": (errors.Overloaded, True),
    "e529": (errors.Overloaded, True),
    "ehtml": (errors.Overloaded, True),
}


@pytest.mark.parametrize("scenario", ERRORS)
async def test_every_refusal_has_one_meaning(stub: Stub, wire: str, scenario: str) -> None:
    kind, retryable = ERRORS[scenario]
    before = len([entry for entry in stub.log if entry["model"]])
    with pytest.raises(kind) as caught:
        await complete(opened(stub, wire), asking(wire, scenario))
    assert type(caught.value) is kind and caught.value.retryable is retryable
    assert len([entry for entry in stub.log if entry["model"]]) == before + 1  # no retry of the SDK's own
    assert "\n" not in str(caught.value) and "<html" not in str(caught.value) and len(str(caught.value)) < 700
    if scenario == "e429":
        assert caught.value.retry_after_s == pytest.approx(3)


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        ("cut", errors.ProviderError),
        ("drop", errors.Unreachable),
        ("streamerr", errors.ProviderError),
        ("garbage", errors.ProviderError),
    ],
)
async def test_a_broken_stream_is_never_an_answer(
    stub: Stub, wire: str, scenario: str, kind: type[ProviderError]
) -> None:
    items: list[Any] = []
    with pytest.raises(kind) as caught:
        await _heard(opened(stub, wire), asking(wire, scenario), items)
    assert caught.value.retryable and all(isinstance(item, Delta) for item in items) and items


async def test_events_of_a_new_kind_are_passed_over(stub: Stub, wire: str) -> None:
    assert (
        await complete(opened(stub, wire), asking(wire, "unknown"))
    ).message.text == "Hello from the stub."


@pytest.mark.parametrize("scenario", ["hang", "slowhead"])
async def test_silence_ends_in_a_timeout(stub: Stub, wire: str, scenario: str) -> None:
    with anyio.fail_after(60), pytest.raises(errors.TimedOut):
        await complete(opened(stub, wire), asking(wire, scenario, timeout_s=0.2))


@pytest.mark.parametrize("scenario", ["hang", "slowhead"])
async def test_giving_up_closes_the_connection_at_once(stub: Stub, wire: str, scenario: str) -> None:
    provider = opened(stub, wire)
    await cancelled_once(stub.held.is_set, lambda: complete(provider, asking(wire, scenario)))
    if scenario == "hang":
        assert await anyio.to_thread.run_sync(partial(stub.gone.acquire, timeout=60))
    assert (await complete(provider, asking(wire, "text"))).stop == "end"  # still usable
    await close(provider)


async def test_walking_away_after_the_first_word_closes_the_connection(stub: Stub, wire: str) -> None:
    async with aclosing(opened(stub, wire).stream(asking(wire, "hang"))) as items:
        async for item in items:
            assert isinstance(item, Delta)
            break
    assert await anyio.to_thread.run_sync(partial(stub.gone.acquire, timeout=60))


async def test_nobody_there_says_where_it_looked(wire: str, stub: Stub) -> None:
    closed = Stub()
    closed.socket.close()
    with (
        anyio.fail_after(60),
        pytest.raises(errors.Unreachable, match=rf"cannot reach http://127\.0\.0\.1:{closed.port}") as caught,
    ):
        await complete(opened(closed, wire), asking(wire, "text"))
    assert not caught.value.retryable  # waiting starts no server on one's own machine


@pytest.mark.parametrize(("scenario", "stop"), [("length", "length"), ("empty", "end")])
async def test_why_it_stopped(stub: Stub, wire: str, scenario: str, stop: str) -> None:
    done = await complete(opened(stub, wire), asking(wire, scenario))
    assert done.stop == stop
    assert done.message.text == ("" if scenario == "empty" else "Hello from the stub.")


async def test_a_refusal_by_the_vendor_is_told(stub: Stub, wire: str) -> None:
    done = await complete(opened(stub, wire), asking(wire, "refusal"))
    assert done.stop == ("end" if wire == "ollama" else "refusal") and done.message.text == "No."


async def test_arguments_that_are_no_json_object_are_kept_as_written(stub: Stub, wire: str) -> None:
    done = await complete(opened(stub, wire), asking(wire, "badargs", tools=(PING,)))
    (call,) = done.message.tool_calls
    if wire != "google":
        assert call.arguments == {} and call.raw == '{"a": NaN'
    replay = Request(model=f"{wire}:stub-text", messages=(user("Hi"), done.message), tools=(PING,))
    assert (await complete(opened(stub, wire), replay)).stop == "end"  # repaired: the open call is answered


async def test_a_call_without_arguments_has_none(stub: Stub, wire: str) -> None:
    (call,) = (await complete(opened(stub, wire), asking(wire, "noargs", tools=(PING,)))).message.tool_calls
    assert (call.name, call.arguments, call.raw) == ("ping", {}, None)


async def test_two_calls_with_one_id_become_two_calls(stub: Stub, wire: str) -> None:
    one, two = (await complete(opened(stub, wire), asking(wire, "twins", tools=(PING,)))).message.tool_calls
    assert one.id != two.id and (one.arguments, two.arguments) == ({"n": 1}, {"n": 2})


async def test_models_are_listed_with_what_the_vendor_says(stub: Stub, wire: str) -> None:
    models = {model.name: model for model in await models_of(opened(stub, wire))}
    limits = {
        "anthropic": 200_000,
        "responses": None,
        "chat": None,
        "google": 1_048_576,
        "bedrock": None,
        "ollama": 131_072,
    }
    assert models[{"ollama": "stub-text:latest"}.get(wire, "stub-text")].context_tokens == limits[wire]


async def test_one_provider_serves_many_requests_at_once(stub: Stub, wire: str) -> None:
    provider, answers = opened(stub, wire), list[str]()

    async def ask() -> None:
        answers.append((await complete(provider, asking(wire, "text"))).message.text)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(ask)
    assert answers == ["Hello from the stub."] * 12
    await close(provider)


def test_a_provider_survives_the_end_of_an_event_loop(stub: Stub, wire: str) -> None:
    provider = opened(stub, wire)
    for _ in range(2):
        assert anyio.run(complete, provider, asking(wire, "text")).stop == "end"


async def _heard(provider: Provider, request: Request, into: list[Any]) -> None:
    async for item in provider.stream(request):
        into.append(item)
