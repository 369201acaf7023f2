"""The Ollama runtime against answers a real server gave and faults a bad one gives."""

from __future__ import annotations

import json

import anyio
import pytest

from servers.ollama.engines.ollama import Ollama
from servers.ollama.engines.protocol import Answer, EngineError, Query, endpoint
from tests.recorded import exchange
from tests.wire_server import http, ndjson, said, wire

pytestmark = pytest.mark.anyio


def query(**changes: object) -> Query:
    asked = {
        "model": "w",
        "messages": ({"role": "user", "content": "hi"},),
        "num_ctx": 4096,
        "num_predict": 24,
    }
    return Query(**{"timeout_s": 5.0, **asked, **changes})  # type: ignore[arg-type]


async def run(chat: object, **changes: object) -> Answer:
    async with wire(chat=chat) as server:
        runtime = Ollama(server.url)
        try:
            with anyio.fail_after(60):
                return await runtime.chat(query(**changes), lambda *_: None)
        finally:
            await runtime.aclose()


def replayed(name: str) -> bytes:
    recorded = exchange(name)
    if recorded.status != 200:
        return http(json.dumps(recorded.final).encode(), recorded.status)
    return ndjson(*recorded.objects)


async def test_every_cap_and_cut_is_said_in_the_request() -> None:
    async with wire(chat=said("ok")) as server:
        runtime = Ollama(server.url)
        await runtime.chat(query(num_predict=0, schema={"type": "object"}), lambda *_: None)
        await runtime.aclose()
    body = server.bodies("POST /api/chat")[0]
    assert body["truncate"] is False and body["shift"] is False and body["think"] is False
    assert body["options"]["num_predict"] == 1  # 0 would mean without end
    assert body["options"]["num_ctx"] == 4096 and body["format"] == {"type": "object"}


async def test_a_recorded_stream_gives_its_text_and_its_profile() -> None:
    answer = await run(replayed("chat_stream_warm"))
    recorded = exchange("chat_stream_warm")
    assert answer.text == "".join(o["message"]["content"] for o in recorded.objects)
    assert answer.profile.tokens_out == recorded.final["eval_count"]
    assert answer.raw == recorded.final


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("chat_missing_model", "error", "not found"),
        ("chat_bad_format", "error", "invalid format"),
        ("chat_bad_option_type", "error", "must be of type integer"),
        ("chat_think_unsupported", "error", "does not support thinking"),
        ("chat_overflow_single", "overflow", "25,214 tokens, the context 4,096"),
    ],
)
async def test_an_error_answer_becomes_a_sentence(name: str, outcome: str, words: str) -> None:
    answer = await run(replayed(name))
    assert answer.profile.outcome == outcome
    assert answer.error is not None and words in answer.error and "{" not in answer.error


async def test_an_overflow_tells_the_exact_numbers() -> None:
    profile = (await run(replayed("chat_overflow_single"))).profile
    assert (profile.tokens_in, profile.num_ctx) == (25214, 4096)


PIECE = {"message": {"role": "assistant", "content": "half"}, "done": False}


async def test_a_stream_without_its_end_is_aborted() -> None:
    answer = await run(ndjson(PIECE))
    assert answer.profile.outcome == "aborted" and answer.text == "half" and answer.error


async def test_an_error_in_the_middle_of_a_stream_ends_the_run() -> None:
    answer = await run(ndjson(PIECE, {"error": "an error was encountered while running the model: x"}))
    assert (
        answer.profile.outcome == "error" and answer.error is not None and "running the model" in answer.error
    )
    assert answer.profile.decode_s is None


async def test_a_connection_that_breaks_midway_is_aborted() -> None:
    whole = ndjson(PIECE, PIECE, PIECE)
    answer = await run(whole[:-20])
    assert answer.profile.outcome == "aborted"


async def test_a_line_that_is_no_json_ends_the_run() -> None:
    answer = await run(http(b"<html>proxy</html>\n"))
    assert (
        answer.profile.outcome == "error" and answer.error is not None and "not a JSON object" in answer.error
    )


async def test_characters_other_splitters_take_for_line_ends_stay_in_the_text() -> None:
    text = "a\u0085b\u2028c\x0bd"
    lines = (
        json.dumps({"message": {"content": text}}, ensure_ascii=False)
        + '\n{"done":true,"done_reason":"stop"}\n'
    )
    answer = await run(http(lines.encode()))
    assert answer.text == text and answer.profile.outcome == "done"


async def test_a_busy_server_is_asked_again() -> None:
    busy = http(b'{"error":"server busy, please try again.  maximum pending requests exceeded"}', 503)
    answer = await run([busy, said("ok")])
    assert answer.text == "ok" and answer.profile.outcome == "done"


async def test_a_run_over_its_time_is_stopped_and_hangs_up() -> None:
    endless = ((0.0, b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(PIECE).encode() + b"\n"), (60.0, b""))
    async with wire(chat=endless) as server:
        runtime = Ollama(server.url)
        with anyio.fail_after(60):
            answer = await runtime.chat(query(timeout_s=0.3), lambda *_: None)
            await server.hung_up.wait()
        await runtime.aclose()
    assert (
        answer.profile.outcome == "cancelled" and answer.error is not None and "stopped after" in answer.error
    )


async def test_an_unknown_model_names_those_that_are_there() -> None:
    async with wire() as server:
        runtime = Ollama(server.url)
        with pytest.raises(EngineError, match=r"no model 'nope' here; there are w:latest"):
            await runtime.model("nope")
        await runtime.aclose()


async def test_details_come_from_show_and_what_runs_from_ps() -> None:
    running = {"name": "w:latest", "digest": "d1", "size": 100, "size_vram": 50, "context_length": 4096}
    async with wire(ps={"models": [running]}) as server:
        runtime = Ollama(server.url)
        model = await runtime.model("w")
        await runtime.aclose()
    assert model.capabilities == frozenset({"completion"}) and model.context_length == 8192
    assert model.loaded is True and model.loaded_ctx == 4096 and model.gpu_share == 0.5


async def test_nothing_listening_gives_one_sentence() -> None:
    runtime = Ollama("http://127.0.0.1:9")
    with pytest.raises(EngineError, match=r"nothing answers at .* start it"):
        await runtime.models()
    answer = await runtime.chat(query(), lambda *_: None)
    assert (
        answer.profile.outcome == "error" and answer.error is not None and "nothing answers" in answer.error
    )
    await runtime.aclose()


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("127.0.0.1:1234", "http://127.0.0.1:1234"),
        (":1234", "http://127.0.0.1:1234"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        ("http://[::1]:99/", "http://[::1]:99"),
        ("https://127.0.0.1/base/", "https://127.0.0.1:443/base"),
    ],
)
async def test_an_address_may_be_written_as_people_write_it(given: str, url: str) -> None:
    assert endpoint(given).url == url


@pytest.mark.parametrize(
    "given",
    ["10.0.0.5", "http://example.com", "127.0.0.1.evil.example", "localhost.evil:1", "http://[fe80::1]"],
)
async def test_another_machine_needs_a_word_of_permission(given: str) -> None:
    with pytest.raises(EngineError, match="--allow-remote"):
        endpoint(given)
    assert endpoint(given, allow_remote=True)


@pytest.mark.parametrize(
    "given", ["ftp://127.0.0.1", "127.0.0.1:99999", "http://u:p@127.0.0.1?x", "http://127.0.0.1#x"]
)
async def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(EngineError, match="no address"):
        endpoint(given)
