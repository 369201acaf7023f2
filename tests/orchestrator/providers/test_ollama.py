"""What only Ollama needs: contexts sized by need, nothing cut silently, timings, and rescue of small models."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import BadRequest, ContextTooLong, NoSuchModel, ProviderError, Unsupported
from orchestrator.providers import complete
from orchestrator.providers.ollama import Ollama, address
from orchestrator.types import Request, ToolSpec, user
from tests.recorded import exchange, names
from tests.wire.stub import Stub
from tests.wire.wires import PING, asking

pytestmark = pytest.mark.anyio


def ollama(stub: Stub, **settings: Any) -> Ollama:
    return Ollama(base_url=stub.url("ollama"), **settings)


@pytest.mark.parametrize(
    ("scenario", "words", "max_tokens", "num_ctx"),
    [
        ("text", 10, 100, 4096),  # the smallest
        ("text", 4000, 100, 8192),  # the next size up
        ("loaded", 4000, 100, 16_384),  # what is loaded suffices, so it stays
        ("loaded", 12_000, 100, 32_768),  # it does not
        ("text", 10, 200_000, 131_072),  # never above what the model was trained for
    ],
)
async def test_the_context_is_sized_by_need_and_by_what_is_loaded(
    stub: Stub, scenario: str, words: int, max_tokens: int, num_ctx: int
) -> None:
    ask = asking("ollama", scenario, "word " * words, max_tokens=max_tokens)
    await complete(ollama(stub), ask)
    assert stub.sent["options"]["num_ctx"] == num_ctx and stub.sent["truncate"] is False


@pytest.mark.parametrize(("scenario", "num_ctx", "room"), [("text", 8192, 4096), ("loaded", 16_384, 4096)])
async def test_an_answer_without_a_cap_gets_one_that_fits(
    stub: Stub, scenario: str, num_ctx: int, room: int
) -> None:
    await complete(ollama(stub), asking("ollama", scenario))
    assert (stub.sent["options"]["num_ctx"], stub.sent["options"]["num_predict"]) == (num_ctx, room)


async def test_a_loaded_model_is_not_loaded_anew_for_a_roomier_answer(stub: Stub) -> None:
    await complete(ollama(stub), asking("ollama", "loaded", "word " * 8000))  # 13 k of 16 k tokens
    assert stub.sent["options"]["num_ctx"] == 16_384 and 1024 <= stub.sent["options"]["num_predict"] < 4096


async def test_a_context_that_was_configured_stays(stub: Stub) -> None:
    await complete(ollama(stub, num_ctx=2048, keep_alive="10m"), asking("ollama", "text"))
    assert (stub.sent["options"]["num_ctx"], stub.sent["keep_alive"]) == (2048, "10m")
    asked = [entry["path"].rpartition("/")[2] for entry in stub.log]
    assert asked == ["chat", "version", "ps"]  # the last two after the answer, for the ledger


async def test_options_stand_where_ollama_wants_them(stub: Stub) -> None:
    options = {"seed": 7, "num_ctx": 512, "think": False, "keep_alive": -1}
    await complete(ollama(stub), asking("ollama", "text", options=options))
    assert (stub.sent["think"], stub.sent["keep_alive"]) == (False, -1)
    assert {key: stub.sent["options"][key] for key in ("seed", "num_ctx")} == {"seed": 7, "num_ctx": 512}


async def test_a_prompt_that_was_cut_silently_is_an_error(stub: Stub) -> None:
    with pytest.raises(
        ContextTooLong, match="at least 3,000 tokens were sent, 100 were read with num_ctx 2,048"
    ):
        await complete(ollama(stub, num_ctx=2048), asking("ollama", "text", "word " * 3000))


async def test_a_low_count_alone_is_no_sign_of_a_cut(stub: Stub) -> None:
    """Some versions leave what came from the prompt cache out of the count."""
    assert (await complete(ollama(stub), asking("ollama", "text", "word " * 3000))).stop == "end"


def rooms(stub: Stub) -> list[int]:
    return [entry["body"]["options"]["num_predict"] for entry in stub.log if entry["model"]]


async def test_a_model_that_only_thought_is_asked_once_more_with_four_times_the_room(stub: Stub) -> None:
    done = await complete(ollama(stub), asking("ollama", "thoughtonly"))
    first, second = rooms(stub)
    assert second == 4 * first and done.stop == "length" and done.message.text == ""
    assert done.usage.output_tokens == 40 and done.usage.total_s == 10.0  # both attempts


async def test_what_the_person_capped_stays_capped_though_the_model_only_thought(stub: Stub) -> None:
    done = await complete(ollama(stub), asking("ollama", "thoughtonly", max_tokens=50))
    assert rooms(stub) == [50] and done.stop == "length" and done.usage.output_tokens == 20


async def test_a_call_printed_as_text_is_made(stub: Stub) -> None:
    done = await complete(ollama(stub), asking("ollama", "printed", tools=(PING,)))
    (call,) = done.message.tool_calls
    assert (call.name, call.arguments, done.stop, done.message.text) == ("ping", {"n": 3}, "tool", "")


@pytest.mark.parametrize("tools", [(), (replace(PING, name="pong"),)])
async def test_a_call_of_a_tool_that_was_not_offered_stays_text(
    stub: Stub, tools: tuple[ToolSpec, ...]
) -> None:
    done = await complete(ollama(stub), asking("ollama", "printed", tools=tools))
    assert not done.message.tool_calls and "<tool_call>" in done.message.text and done.stop == "end"


async def test_references_in_schemas_are_written_out(stub: Stub) -> None:
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/Person"}},
        "$defs": {"Person": {"type": "object", "properties": {"boss": {"$ref": "#/$defs/Person"}}}},
    }
    await complete(
        ollama(stub), asking("ollama", "text", tools=(replace(PING, parameters=schema),), schema=schema)
    )
    sent = json.dumps([stub.sent["tools"], stub.sent["format"]])
    assert "$ref" not in sent and "$defs" not in sent and sent.count('"boss"') > 3


async def play(stub: Stub, name: str, prompt: str = "Hi", **settings: Any) -> Any:
    """A recorded answer of a real server, to a request of ours."""
    stub.play = exchange(name)
    try:
        return await complete(ollama(stub, **settings), asking("ollama", "text", prompt))
    finally:
        stub.play = None


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (
            "chat_overflow_single",
            ContextTooLong,
            r"the prompt has [\d,]+ tokens, the context [\d,]+",
        ),
        ("chat_missing_model", NoSuchModel, r"is not installed; `ollama pull \S+` gets it"),
        ("chat_bad_option_type", BadRequest, "must be of type integer"),
        ("chat_bad_format", BadRequest, "invalid format"),
        ("chat_tools_unsupported", Unsupported, "does not support tools"),
        ("chat_think_unsupported", Unsupported, "does not support thinking"),
    ],
)
async def test_what_a_real_server_refuses(
    stub: Stub, name: str, error: type[ProviderError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await play(stub, name)
    assert type(caught.value) is error and not caught.value.retryable
    if isinstance(caught.value, Unsupported):
        assert caught.value.feature in name or caught.value.feature == "thinking"


async def test_a_real_server_that_dropped_history_is_found_out(stub: Stub) -> None:
    with pytest.raises(ContextTooLong, match="the server dropped the beginning"):
        await play(stub, "chat_overflow_history_default", "word " * 20_000, num_ctx=4096)


async def test_a_real_wait_for_the_slot_is_queueing(stub: Stub) -> None:
    first, third = await play(stub, "chat_queued_1"), await play(stub, "chat_queued_3")
    assert first.usage.queue_s < 1 < third.usage.queue_s
    assert third.usage.total_s == pytest.approx(
        third.usage.queue_s + third.usage.load_s + third.usage.prefill_s + third.usage.decode_s, abs=0.01
    )


async def test_real_calls_are_read(stub: Stub) -> None:
    done = await play(stub, "chat_tools_call")
    assert done.message.tool_calls and all(call.name and call.id for call in done.message.tool_calls)
    assert done.raw["eval_count"] == done.usage.output_tokens  # the figures as they came stay readable


@pytest.mark.parametrize("name", [name for name in names() if name.startswith(("chat", "generate"))])
async def test_nothing_a_real_server_said_is_a_raw_error(stub: Stub, name: str) -> None:
    outcome: Any = None
    try:
        outcome = (await play(stub, name)).stop
    except ProviderError as exc:
        outcome = exc.provider
    assert outcome in ("end", "tool", "length", "ollama")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("http://box", "http://box:80"),
        ("https://box/path/", "https://box:443/path"),
        ("[::1]:99", "http://[::1]:99"),
    ],
)
def test_the_short_forms_of_ollama_host_are_understood(
    monkeypatch: pytest.MonkeyPatch, host: str, expected: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert address("ollama", None).url == expected
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://elsewhere:1/")
    assert address("ollama", None).url == "http://elsewhere:1"


async def test_a_server_that_knows_only_chat_is_enough(stub: Stub) -> None:
    provider = Ollama(base_url=stub.url("bare"))
    assert (await complete(provider, Request(model="ollama:any", messages=(user("Hi"),)))).message.text
