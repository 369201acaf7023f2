"""The simulated Ollama speaks the recorded wire: same fields, same texts, same traps, honest label."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import Any

import anyio
import httpx2
import pytest

from servers.ollama.forecast.model_shape import shape_of
from servers.ollama.ledger.profile import from_ollama
from servers.ollama.simulator.api import Fault, World
from servers.ollama.simulator.http import simulated, simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.recorded import exchange

pytestmark = pytest.mark.anyio

UNDERSTUDY = os.path.join(os.path.dirname(sys.executable), "understudy")
PLAIN = SimulatedModel(name="plain:latest", capabilities=("completion",))
SMALL = SimulatedModel(name="small:latest")


def world(**changed: Any) -> World:
    return World(machine=Machine(SMALL, PLAIN, noise=Noise(spread=0.0), room=2), **changed)


async def ask(
    url: str, body: dict[str, Any], path: str = "/api/chat", method: str = "POST"
) -> tuple[int, list[dict[str, Any]]]:
    """(status, every JSON object of the answer)."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        got = await client.request(method, url + path, json=body)
        return got.status_code, [json.loads(line) for line in got.text.splitlines()]


def chat(text: str = "hi", **changed: Any) -> dict[str, Any]:
    options = {"num_ctx": 4096, "num_predict": 24} | changed.pop("options", {})
    return {
        "model": "small",
        "messages": [{"role": "user", "content": text}],
        "think": False,
        "options": options,
    } | changed


@pytest.mark.parametrize(
    ("name", "path", "method"),
    [
        ("chat_bad_format", "/api/chat", "POST"),
        ("chat_bad_option_type", "/api/chat", "POST"),
        ("chat_missing_model", "/api/chat", "POST"),
        ("chat_no_model", "/api/chat", "POST"),
        ("chat_think_unsupported", "/api/chat", "POST"),
        ("chat_tools_unsupported", "/api/chat", "POST"),
        ("show_missing", "/api/show", "POST"),
        ("delete_missing", "/api/delete", "DELETE"),
        ("embed_unsupported_or_ok", "/api/embed", "POST"),
    ],
)
async def test_refusals_are_the_recorded_ones(name: str, path: str, method: str) -> None:
    recorded = exchange(name)
    async with simulated(world()) as url:
        status, objects = await ask(url, recorded.request["body"], path, method)
    assert (status, objects) == (recorded.status, recorded.objects)


@pytest.mark.parametrize(
    "name", ["chat_stream_warm", "chat_nonstream", "generate_stream", "chat_load_only", "unload"]
)
async def test_answers_have_the_recorded_fields(name: str) -> None:
    recorded = exchange(name)
    async with simulated(world(version="0.33.0")) as url:
        status, objects = await ask(
            url, recorded.request["body"] | {"think": False}, recorded.request["path"]
        )
    assert status == recorded.status
    assert objects[0].keys() == recorded.objects[0].keys()
    assert objects[-1].keys() == recorded.final.keys()
    assert objects[-1]["done_reason"] in ("stop", "length", "load", "unload")


async def test_a_profile_of_its_answer_is_the_machine_s_own_story() -> None:
    mine = World(machine=Machine(SMALL, noise=Noise(spread=0.2, wait_odds=1.0, wait_s=3.0)))
    async with simulated(mine) as url:
        for n in range(5):
            _, objects = await ask(url, chat("s" * 500 * n))
            got = from_ollama(objects[-1])
            parts = (got.load_s, got.prefill_s, got.decode_s, got.queue_s)
            assert got.total_s == pytest.approx(sum(part or 0 for part in parts))
            assert got.tokens_in and got.tokens_cached is not None and got.tokens_out == 24
    assert mine.machine.clock > 5


async def test_a_pull_fails_inside_its_stream_and_a_deleted_model_is_gone() -> None:
    async with simulated(world()) as url:
        status, lines = await ask(url, {"model": "no-such-model-xyz"}, "/api/pull")
        recorded = exchange("pull_fails")
        assert status == 200 and [set(line) for line in lines] == [set(o) for o in recorded.objects]
        assert (await ask(url, {"model": "small"}, "/api/pull"))[1][-1] == {"status": "success"}
        assert await ask(url, {"model": "small"}, "/api/delete", "DELETE") == (200, [])
        assert (await ask(url, chat()))[0] == 404


async def test_a_refused_prompt_tells_its_size_inside_the_error_text() -> None:
    async with simulated(world()) as url:
        status, (error,) = await ask(url, chat("x" * 40_000, truncate=False))
    assert status == 400 and set(error) == {"error"}
    inner, recorded = (
        json.loads(error["error"])["error"],
        json.loads(exchange("chat_overflow_single").final["error"])["error"],
    )
    assert inner.keys() == recorded.keys()
    assert from_ollama(error).tokens_in == inner["n_prompt_tokens"] > 4096


async def test_history_is_dropped_in_silence_when_cutting_is_allowed() -> None:
    messages = [{"role": "user", "content": "y" * 9_000} for _ in range(4)]
    async with simulated(world()) as url:
        status, objects = await ask(url, chat(messages=messages))
        refused, _ = await ask(url, chat(messages=messages, truncate=False))
        _, halved = await ask(
            url, {"model": "small", "prompt": "z" * 40_000, "options": {"num_ctx": 4096}}, "/api/generate"
        )
    assert status == 200 and 2000 < objects[-1]["prompt_eval_count"] <= 4096
    assert refused == 400 and halved[-1]["prompt_eval_count"] == 2048


async def test_a_repeated_prompt_comes_from_the_cache_and_old_versions_do_not_say_so() -> None:
    for version, told in (("0.34.1", True), ("0.32.0", False)):
        async with simulated(world(version=version)) as url:
            _, first = await ask(url, chat("w" * 9000))
            _, again = await ask(url, chat("w" * 9000))
        assert again[-1]["prompt_eval_count"] == first[-1]["prompt_eval_count"]
        assert again[-1]["prompt_eval_duration"] < first[-1]["prompt_eval_duration"] / 50
        assert ("prompt_eval_cached_count" in again[-1]) == told
        rate = from_ollama(again[-1]).prefill_tokens_per_s
        assert rate is None or rate < 400


async def test_changed_runner_options_reload_and_ps_tells_what_is_loaded() -> None:
    async with simulated(world()) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        loads = [
            (await ask(url, chat(options={"num_ctx": ctx})))[1][-1]["load_duration"]
            for ctx in (4096, 4096, 8192)
        ]
        running = (await client.get("/api/ps")).json()["models"]
        shown = (await client.post("/api/show", json={"model": "small"})).json()
        listed = (await client.get("/api/tags")).json()["models"]
    assert loads[0] > 1e9 and loads[1] < 1e8 and loads[2] > 1e9
    assert [(m["name"], m["context_length"]) for m in running] == [("small:latest", 8192)]
    assert running[0].keys() == exchange("ps_one").final["models"][0].keys()
    assert listed[0].keys() == exchange("tags").final["models"][0].keys()
    shape = shape_of(shown, listed[0]["size"])
    assert shape is not None and (shape.layers, shape.kv_heads, shape.size_bytes) == (22, 4, 1.2e9)


async def test_requests_at_once_take_turns_and_the_wait_shows_only_in_the_total() -> None:
    waits: list[float] = []

    async def one(n: int) -> None:
        _, objects = await ask(url, chat(f"{n}" + "v" * 3000))
        wait_s = from_ollama(objects[-1]).queue_s
        assert wait_s is not None
        waits.append(wait_s)

    async with simulated(world(), scale=0.02) as url:
        await ask(url, chat())
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for n in range(3):
                    group.start_soon(one, n)
    alone = SMALL.reading_s(840, 0) + SMALL.writing_s(24, 840)
    waits.sort()
    assert waits[0] < 1 and waits[1] > alone * 0.9 and waits[2] > alone * 1.8


async def test_a_client_that_goes_away_frees_the_slot() -> None:
    slow = World(machine=Machine(SimulatedModel(name="small:latest", load_s=0.0, write_s=3600.0)))
    async with simulated(slow, scale=1.0) as url:
        with anyio.fail_after(60):
            async with httpx2.AsyncClient(trust_env=False) as client:
                with anyio.move_on_after(0.3):
                    async with client.stream("POST", url + "/api/chat", json=chat()) as response:
                        async for _ in response.aiter_bytes():
                            pass
            _, objects = await ask(url, chat(options={"num_predict": 1}, stream=False))
    assert objects[-1]["done"] is True


@pytest.mark.parametrize("fault", ["abort", "error", "busy", "cut", "hang-up"])
async def test_a_planned_fault_happens_once(fault: Fault) -> None:
    async with simulated(world(faults=[fault])) as url:
        if fault == "hang-up":
            with pytest.raises(httpx2.RemoteProtocolError):
                await ask(url, chat("u" * 4000))
        else:
            status, objects = await ask(url, chat("u" * 4000, truncate=False))
            final = from_ollama(objects[-1])
            match fault:
                case "abort":
                    assert final.outcome == "aborted" and status == 200
                case "error":
                    assert final.outcome == "error" and status == 200 and len(objects) > 2
                case "busy":
                    assert status == 503 and "server busy" in objects[0]["error"]
                case _:
                    assert final.tokens_in is not None and final.tokens_in < 600
        status, objects = await ask(url, chat("u" * 4000, truncate=False))
    assert status == 200 and objects[-1]["done"] is True and objects[-1]["prompt_eval_count"] > 1000


async def test_models_think_unless_told_not_to_and_call_the_tools_they_are_told_to() -> None:
    def says(body: Any) -> dict[str, Any]:
        if not body.get("tools"):
            return {"content": "yes it is", "thinking": "hmm, let me see"}
        return {"content": "", "tool_calls": [{"name": "look", "arguments": {"at": "Łódź"}}]}

    async with simulated(world(answers=says)) as url:
        _, thought = await ask(
            url, {k: v for k, v in chat(options={"num_predict": 99}).items() if k != "think"}
        )
        _, plain = await ask(url, chat(options={"num_predict": 99}))
        _, called = await ask(url, chat(tools=[{"type": "function"}], options={"num_predict": 99}))

    def text(objects: list[dict[str, Any]], key: str) -> str:
        return "".join(o["message"].get(key, "") for o in objects)

    assert text(thought, "thinking") == "hmm, let me see" and text(thought, "content") == "yes it is"
    assert text(plain, "thinking") == "" and text(plain, "content") == "yes it is"
    call = called[-1]["message"]["tool_calls"][0]
    assert call["function"] == {"index": 0, "name": "look", "arguments": {"at": "Łódź"}} and call["id"]
    assert (
        called[-1]["done_reason"] == "stop"
        and called[-1]["message"].keys() == exchange("chat_tools_call").final["message"].keys()
    )


async def test_the_cap_cuts_and_a_schema_is_kept() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "ok": {"enum": ["a"]}},
        "required": ["n", "ok"],
    }
    async with simulated(world(answers=lambda body: "word " * 400)) as url:
        _, cut = await ask(url, chat(stream=False))
        _, full = await ask(url, chat(options={"num_ctx": 256, "num_predict": -1}, shift=False, stream=False))
    async with simulated(world()) as url:
        _, shaped = await ask(url, chat(format=schema, options={"num_predict": 99}, stream=False))
    assert cut[-1]["done_reason"] == "length" and cut[-1]["eval_count"] == 24
    assert (
        full[-1]["done_reason"] == "length" and full[-1]["eval_count"] + full[-1]["prompt_eval_count"] == 256
    )
    assert json.loads(shaped[-1]["message"]["content"]) == {"n": 1, "ok": "a"}


async def test_keep_alive_unloads_when_its_time_has_passed() -> None:
    mine = world()
    async with simulated(mine) as url:
        await ask(url, chat(keep_alive="10s"))
        mine.machine.advance(9)
        assert "small:latest" in mine.machine.loaded
        mine.machine.advance(2)
        assert not mine.machine.loaded
        await ask(url, chat(keep_alive=-1))
        mine.machine.advance(1e6)
        assert "small:latest" in mine.machine.loaded
        status, error = await ask(url, chat(keep_alive="soon"))
    assert status == 400 and "invalid duration" in error[0]["error"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", b"400"),
        (b"POST /api/chat HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n{{{", b"400"),
        (
            b"POST /api/chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
            b"400",
        ),
        (b"DELETE /api/chat HTTP/1.1\r\nHost: h\r\n\r\n", b"405"),
        (b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"200"),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", b"200"),
    ],
)
async def test_odd_requests_get_an_answer_and_the_server_lives_on(sent: bytes, status: bytes) -> None:
    async with simulated(world()) as url:
        port = int(url.rsplit(":", 1)[1])
        with anyio.fail_after(60):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(sent)
                assert (await stream.receive()).startswith(b"HTTP/1.1 " + status)
            assert (await ask(url, chat()))[0] == 200


def test_it_serves_callers_without_an_event_loop_and_is_labelled() -> None:
    with simulated_in_thread() as url:
        assert httpx2.get(url + "/api/version", trust_env=False).json() == {"version": "0.34.0-simulated"}


def test_its_command_says_that_no_model_runs_and_ends_on_interrupt() -> None:
    command = [UNDERSTUDY, "simulate", "--port", "0", "--scale", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            told = "".join(process.stdout.readline() for _ in range(3))
            found = re.search(r"http://127\.0\.0\.1:\d+", told)
            assert found and "no model runs" in told
            names = [m["name"] for m in httpx2.get(found[0] + "/api/tags", trust_env=False).json()["models"]]
            assert names == ["sim-small:latest", "sim-medium:latest", "sim-large:latest"]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
