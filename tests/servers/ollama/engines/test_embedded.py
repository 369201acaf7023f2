"""The embedded engine: real inference by llama.cpp over a model built on the spot, ending with its server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from servers.ollama.engines import demo_model as made
from servers.ollama.engines.demo_model import demo_model
from servers.ollama.engines.embedded import Embedded
from servers.ollama.engines.gguf import BadGguf, read_header
from servers.ollama.engines.llamacpp import LlamaCpp
from servers.ollama.engines.open import open_runtime
from servers.ollama.engines.protocol import EngineError, Query
from servers.ollama.engines.replay import Recitation
from tests.stdio import start
from tests.wire_server import Wire, http, wire

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

FIX = "```python\ndef add(a, b):\n    return a + b\n```"
ANSWERS = {
    "models": [{"name": "reciter"}],
    "answers": [
        {"when": "Fix add", "text": FIX},
        {"text": "I know nothing. I know nothing. I know — nothing."},
    ],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    (tmp_path / "answers.json").write_text(json.dumps(ANSWERS), encoding="utf-8")
    return folder


def host(tree: Path) -> str:
    return f"embedded:{tree.parent / 'answers.json'}"


def query(model: str, text: str, **changes: Any) -> Query:
    asked = {
        "model": model,
        "messages": ({"role": "user", "content": text},),
        "num_ctx": 4096,
        "num_predict": 64,
    }
    return Query(**{"timeout_s": 20.0, **asked, **changes})


def engines_of(pid: int) -> list[psutil.Process]:
    return [
        p for p in psutil.Process(pid).children(recursive=True) if "embedded_child" in " ".join(p.cmdline())
    ]


def test_a_real_engine_fixes_a_file_and_its_timings_are_real(tree: Path) -> None:
    with start("ollama", str(tree), "--host", host(tree)) as server:
        receipts = [
            server.call(
                "delegate", task="Fix add", files=["calc.py"], write="calc.py", gate="syntax"
            ).structured,
            server.call("delegate", task="Say something", files=["calc.py"]).structured,
        ]
        loaded = server.call("profile").structured["runs"][-1]["profile"]  # a receipt leaves a short load out
    first, second = receipts
    assert first["outcome"] == "accepted" and first["files"] == [
        {"path": "calc.py", "added": 1, "removed": 1}
    ]
    assert "I know nothing. I know nothing. I know — nothing." in second["answer"]
    assert loaded["load_s"] > 0 and first["profile"]["tokens_cached"] == 0
    assert second["profile"]["tokens_cached"] > 0 and second["forecast"]["runs"] == 1
    assert not first["profile"].keys() & {"simulated", "recorded"}
    assert "recited" in first["note"]


def test_a_model_is_loaded_by_its_first_run_and_by_no_forecast(tree: Path) -> None:
    hosts = ("--host", f"one={host(tree)}", "--host", f"two={host(tree)}")
    with start("ollama", str(tree), *hosts) as server:
        estimate = server.call("estimate", task="Say something", files=["calc.py"]).structured
        assert not engines_of(server.pid) and estimate["verdict"] == "not yet measured: run it"
        row = estimate["models"][0]
        assert row["answer_cap"] == 1024 < row["max_output"], "what it gets, and what it could get"
        first = server.call("delegate", task="Say something", files=["calc.py"]).structured
        second = server.call("delegate", task="Say something", model=f"reciter@{first['host']}").structured
        chosen = server.call("delegate", task="Say something").structured["chosen"]
        runs = server.call("profile", last=9).structured["runs"]
    assert "loaded there" not in first["chosen"] and second["host"] == first["host"]
    loads = {run["run"]: run["profile"]["load_s"] for run in runs}
    assert loads[first["run"]] > 0 == loads[second["run"]]
    assert ("loaded there" in chosen) == chosen.startswith(f"reciter@{first['host']}:"), chosen


def test_the_engine_ends_with_its_server_however_that_ends(tree: Path) -> None:
    for ending in ("close", "kill"):
        server = start("ollama", str(tree), "--host", host(tree))
        server.call("delegate", task="Say something")
        (engine,) = engines_of(server.pid)
        if ending == "kill":
            os.kill(server.pid, signal.SIGKILL)
        server.close()
        engine.wait(2)


@pytest.mark.anyio
async def test_prompts_are_counted_exactly_and_too_long_ones_refused(tree: Path) -> None:
    (tree / "long.txt").write_text("all work and no play " * 8000, encoding="utf-8")
    runtime = open_runtime(host(tree))
    try:
        asked = query("reciter", "how many tokens are these?")
        assert await runtime.count(asked) is None and not runtime.pids, "nothing is loaded to count"
        answer = await runtime.chat(asked, lambda *_: None)
        assert await runtime.count(asked) == answer.profile.tokens_in
        huge = await runtime.chat(query("reciter", "all work and no play " * 300), lambda *_: None)
        assert (
            huge.profile.outcome == "overflow"
            and huge.error is not None
            and "the context 4,096" in huge.error
        )
        bigger = await runtime.chat(query("reciter", "all work " * 600, num_ctx=8192), lambda *_: None)
        assert bigger.profile.outcome == "done" and (bigger.profile.load_s or 0) > 0
        short = await runtime.chat(query("reciter", "Fix add", num_predict=3), lambda *_: None)
        assert short.profile.outcome == "length" and short.profile.tokens_out == 3
    finally:
        await runtime.aclose()


@pytest.mark.anyio
async def test_a_grammar_holds_an_answer_to_its_schema(tree: Path) -> None:
    runtime = open_runtime(host(tree))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    try:
        answer = await runtime.chat(query("reciter", "x", schema=schema), lambda *_: None)
        assert answer.profile.outcome == "length" or isinstance(json.loads(answer.text)["n"], int)
    finally:
        await runtime.aclose()


@pytest.mark.anyio
async def test_a_slow_run_can_be_cancelled_and_the_engine_goes_on(tree: Path) -> None:
    runtime = open_runtime(host(tree))
    try:
        with anyio.move_on_after(0.2):
            await runtime.chat(query("reciter", "wait " * 6000, num_ctx=32768), lambda *_: None)
        with anyio.fail_after(60):
            answer = await runtime.chat(query("reciter", "Fix add", num_ctx=32768), lambda *_: None)
        assert answer.text == FIX
    finally:
        await runtime.aclose()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0§▁"), max_size=60), max_size=3))
def test_no_two_tokens_of_a_demonstration_model_are_alike(texts: list[str]) -> None:
    """Else the model would not know where in its answer it is."""
    tokens, kinds = [token for token, _ in made.ALPHABET], [kind for _, kind in made.ALPHABET]
    follows: dict[int, int] = {}
    for number, text in enumerate(texts):
        place = len(tokens)
        try:
            made._add_chain(tokens, kinds, follows, number, text)
        except EngineError:
            assume(False)
        said = b""
        while (place := follows.get(place, 2)) != 2:
            said += tokens[place]
        assert said.decode() == text
    assert len(kinds) == len(tokens) == len(set(tokens))


def test_a_demonstration_model_is_built_once(tmp_path: Path) -> None:
    one = demo_model(Recitation.model_validate(ANSWERS))
    changed = one.stat().st_mtime_ns
    assert demo_model(Recitation.model_validate(ANSWERS)) == one and one.stat().st_mtime_ns == changed
    assert read_header(one)["llama.context_length"] == 32768


@pytest.mark.parametrize("data", [b"", b"GGUF", b"GGUF" + b"\xff" * 40, b"not a model at all"])
def test_a_damaged_model_file_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(BadGguf, match=r"m\.gguf is"):
        read_header(path)
    with pytest.raises(EngineError, match=r"m\.gguf"):
        Embedded(path)


@pytest.mark.anyio
async def test_a_file_the_engine_cannot_run_is_one_sentence(tmp_path: Path) -> None:
    good = demo_model(Recitation.model_validate(ANSWERS)).read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(good[: len(good) // 2])
    runtime = Embedded(path)
    with pytest.raises(EngineError, match=r"cannot run cut\.gguf"):
        await runtime.chat(query("cut", "hi"), lambda *_: None)


def test_a_missing_model_file_is_said_at_the_start(tree: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        open_runtime("embedded:/nowhere/m.gguf")
    with pytest.raises(EngineError, match="ENGINE is one of"):
        open_runtime("embedded:")


PROPS = {"default_generation_settings": {"n_ctx": 2048}}
LISTED = {"data": [{"id": "/models/tiny.gguf", "meta": {"n_params": 5_000_000, "size": 9_000_000}}]}


def events(*objects: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    return http(b"".join(b"data: " + json.dumps(o).encode() + b"\n\n" for o in objects) + end)


def llama(made: Wire, chat: Any) -> LlamaCpp:
    made.answers |= {"GET /v1/models": LISTED, "GET /props": PROPS, "POST /v1/chat/completions": chat}
    return LlamaCpp(made.url)


DELTA = {"choices": [{"delta": {"content": "hi"}, "finish_reason": None}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
TIMES = {
    "choices": [],
    "timings": {"cache_n": 10, "prompt_n": 5, "prompt_ms": 50, "predicted_n": 3, "predicted_ms": 20},
}


@pytest.mark.anyio
async def test_a_llama_cpp_server_is_profiled_by_its_timings() -> None:
    async with wire() as made:
        runtime = llama(made, events(DELTA, STOP, TIMES))
        model = await runtime.model("tiny")
        answer = await runtime.chat(query("tiny", "x"), lambda *_: None)
        await runtime.aclose()
    assert model.context_length == 2048 and model.loaded_ctx == 2048
    assert answer.text == "hi" and answer.profile.outcome == "done"
    assert (answer.profile.tokens_in, answer.profile.tokens_cached) == (15, 10)
    assert answer.profile.prefill_tokens_per_s == 100.0 and answer.profile.decode_tokens_per_s == 100.0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("chat", "outcome"),
    [
        (events(DELTA, end=b""), "aborted"),
        (events(DELTA, {"error": {"message": "out of memory"}}), "error"),
        (http(b"<html>"), "error"),
        (http(b'{"error":{"code":503,"message":"Loading model"}}', 503), "error"),
        (events(DELTA, {"choices": [{"delta": {}, "finish_reason": "length"}]}, TIMES), "length"),
    ],
)
async def test_every_fault_of_a_llama_cpp_server_has_its_outcome(chat: bytes, outcome: str) -> None:
    async with wire() as made:
        runtime = llama(made, chat)
        answer = await runtime.chat(query("tiny", "x"), lambda *_: None)
        await runtime.aclose()
    assert answer.profile.outcome == outcome and (answer.error is None) is (outcome == "length")
