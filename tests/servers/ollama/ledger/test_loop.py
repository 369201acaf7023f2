"""What the ledger teaches the next call: advice that held, what was saved, and whose runs count."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from servers.ollama.delegate.cpu_load import Busy
from servers.ollama.ledger.ledger import Ledger
from servers.ollama.ledger.profile import Profile
from servers.ollama.ledger.runs import Key, Run
from servers.ollama.reports.advice_outcomes import outcomes_of
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.stdio import Stdio, start

DEMO = SimulatedModel(name="demo", answer_tokens=60.0, answer_spread=0.1)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.txt").write_text("One sentence about nothing in particular.\n" * 100, encoding="utf-8")
    return folder


@contextmanager
def serving(tree: Path, *models: SimulatedModel, answers: Any = None) -> Generator[Stdio]:
    world = World(machine=Machine(*models or (DEMO,), noise=Noise(spread=0.0)), answers=answers)
    with simulated_in_thread(world) as url, start("ollama", str(tree), "--host", url) as server:
        yield server


def profile(server: Stdio, **asked: Any) -> Any:
    return server.call("profile", **asked).structured


def test_advice_that_was_followed_tells_whether_it_came_true_and_what_it_brought(tree: Path) -> None:
    with serving(tree, answers=lambda body: "word " * 40) as server:
        for _ in range(4):
            server.call("delegate", task="x", files=["a.txt"])
        told = server.call("estimate", task="x", files=["a.txt"]).structured
        cap = next(a["call"]["max_output"] for a in told["advice"] if a["action"] == "cap_output")
        server.call("delegate", task="x", files=["a.txt"], max_output=cap)
        (row,) = [row for row in profile(server)["advice_held"] if row["action"] == "cap_output"]
    assert row["runs"] == 1 and row["median_error"] < 0.5
    assert row["saved_s"] is not None and row["helped"] in (0.0, 1.0)


def run(total_s: float, *, model: str = "m", host: str = "here", load_s: float = 0.0, **more: Any) -> Run:
    measured = Profile(model=model, outcome="done", total_s=total_s, load_s=load_s, tokens_in=1000)
    return Run(key=Key(host=host, digest=model), profile=measured, **more)


def advice(action: str, then_s: float, **change: object) -> Any:
    return [{"action": action, "saves_s": 1.0, "then_s": then_s, "change": change}]


@pytest.mark.parametrize(
    ("then", "error", "saved_s", "helped"),
    [(run(4.0, cap=100), 0.25, 6.0, 1.0), (run(12.5, cap=100), 0.6, -2.5, 0.0)],
)
def test_followed_advice_may_help_or_not(then: Run, error: float, saved_s: float, helped: float) -> None:
    before = run(10.0, cap=800, advice=advice("cap_output", 5.0, cap=100))
    (came,) = outcomes_of([then, before]).values()
    assert (came.runs, came.median_error, came.saved_s, came.helped) == (
        1,
        pytest.approx(error),
        saved_s,
        helped,
    )


@pytest.mark.parametrize(
    "then",
    [run(4.0, cap=100, model="other"), run(4.0, cap=100, host="elsewhere"), run(4.0, cap=100, kind="edit")],
)
def test_a_run_of_another_model_machine_or_kind_follows_nothing(then: Run) -> None:
    assert outcomes_of([then, run(10.0, cap=800, advice=advice("cap_output", 5.0, cap=100))]) == {}


def test_another_model_and_a_loaded_one_count_when_they_were_advised() -> None:
    elsewhere = run(10.0, advice=advice("other_model", 3.0, model="small"))
    cold = run(9.0, load_s=4.0, kind="edit", advice=advice("keep_loaded", 5.0, keep_alive=-1))
    came = outcomes_of([run(5.5, kind="edit"), run(3.0, model="small"), cold, elsewhere])
    assert came["other_model"].saved_s == 7.0 and came["keep_loaded"].helped == 1.0
    assert "keep_loaded" not in outcomes_of([run(9.0, load_s=4.0, kind="edit"), cold])


def test_what_the_caller_saved_is_counted_once_for_each_call_not_for_each_run(tree: Path) -> None:
    def answer(body: Any) -> str:
        return '- "made up by nobody"' if body["model"].startswith("weak") else '- "One sentence"'

    weak, strong = SimulatedModel(name="weak:latest"), SimulatedModel(name="strong:latest")
    with serving(tree, weak, strong, answers=answer) as server:
        receipts = [
            server.call("delegate", task="x", model="strong", files=["a.txt"]),
            server.call(
                "delegate", task="x", model="weak", files=["a.txt"], gate="quotes", ladder=["strong"]
            ),
            server.call("delegate", task="x", model="weak", files=["a.txt"], gate="quotes", ladder=["weak"]),
            server.call("delegate_map", task="x", model="strong", files=["a.txt"], gate="quotes"),
        ]
        seen = profile(server)
    saved = [receipt.structured["tokens_saved"] for receipt in receipts]
    outcomes = [receipt.structured["outcome"] for receipt in receipts]
    assert outcomes == ["answered", "accepted", "escalate", "accepted"]
    assert saved[0] > 500 and saved[1] > 500 and saved[2] == 0  # nothing was saved,
    lost = sum(saved) - seen["tokens_saved"]
    assert 0 < lost < 900  # and the totals hold what the call that came to nothing cost
    spent = (
        len(json.dumps({"task": "x", "files": ["a.txt"], "context": "", "write": None}))
        + len(receipts[0].text)
    ) / 3.5
    assert saved[0] == pytest.approx(100 * 42 / 3.5 - spent, abs=40)


def test_simulated_runs_never_mix_with_those_of_a_real_model_of_the_same_name(tree: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    with serving(tree) as simulated:
        for _ in range(3):
            simulated.call("delegate", task="x", model="demo", gate="quotes", files=["a.txt"])
        pretended = profile(simulated)
    with start("ollama", str(tree), "--host", "embedded:demo") as real:
        untouched = profile(real, model="demo")
        (listed,) = real.call("list_models").structured["models"]
        guess = real.call("estimate", task="x", model="demo", files=["a.txt"]).structured["models"][0]
        real.call("delegate", task="x", model="demo", files=["a.txt"])
        measured = profile(real)
    with serving(tree) as simulated:  # it knows its own before it has said a word
        again = profile(simulated, model="demo")
        engine = simulated.call("list_models").structured["models"][0]["speed"]
    assert [r["profile"]["simulated"] for r in pretended["runs"]] == [True] * 3
    assert not untouched["runs"] and not untouched["odds"] and not untouched["laws"]
    assert untouched["forecasts"]["runs"] == 0 and untouched["tokens_saved"] is None
    assert listed["speed"] == "not yet measured" and not listed["odds"]
    assert "forecast" not in guess and guess["judged"] == 0
    assert [r["profile"]["simulated"] for r in measured["runs"]] == [False]
    assert [r["run"] for r in again["runs"]] == [r["run"] for r in pretended["runs"]] and "3 runs" in engine
    with Ledger.open() as ledger:
        servers = {run.key.server.split()[0] for run in ledger.runs()}
    assert servers == {"simulated", "embedded"}


def test_a_run_tells_how_busy_everything_else_was_where_that_can_be_known(tree: Path) -> None:
    pytest.importorskip("xllamacpp")
    with start("ollama", str(tree), "--host", "embedded:demo") as real:
        real.call("delegate", task="x", model="demo", files=["a.txt"])
        (seen,) = profile(real)["runs"]
    with serving(tree) as simulated:
        simulated.call("delegate", task="x", model="demo", files=["a.txt"])
        (made_up,) = profile(simulated)["runs"]
    assert 0 <= seen["busy_cores"] <= (psutil.cpu_count() or 1) + 1
    assert made_up["busy_cores"] is None


def test_an_engines_own_work_is_not_counted_as_its_neighbours() -> None:
    burn = "import time\nwhile time.process_time() < 0.6: pass\nprint(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        before = Busy.now(), Busy.now([process.pid])
        assert process.stdout is not None
        process.stdout.readline()
        after = Busy.now(), Busy.now([process.pid])
        process.communicate("\n")
    stranger, engine = (a.others_since(b) for a, b in zip(after, before, strict=True))
    assert stranger is not None and engine is not None
    assert (stranger - engine) * (after[0].at - before[0].at) > 0.4


def test_a_second_question_on_a_file_is_forecast_from_the_cache_by_any_server_and_advised(tree: Path) -> None:
    slow = SimulatedModel(name="demo", answer_tokens=20.0, answer_spread=0.1, read_s=1e-3, write_s=1e-3)
    ask: dict[str, Any] = {"model": "demo", "files": ["a.txt"]}
    with simulated_in_thread(World(machine=Machine(slow, noise=Noise(spread=0.0)))) as url:
        with start("ollama", str(tree), "--host", url) as first:
            first.call("delegate", task="Count the words.", **ask)
            (tree / "b.txt").write_text("Another sentence about something else.\n" * 100, encoding="utf-8")
            other = first.call("delegate", task="Count the words.", model="demo", files=["b.txt"]).structured
        with start("ollama", str(tree), "--host", url) as second:
            (row,) = second.call("estimate", task="Who speaks of it?", **ask).structured["models"]
            again = second.call("delegate", task="Who speaks of it?", **ask).structured
    advice = next(a for a in other["advice"] if a["action"] == "ask_again")
    assert "several things of the same files in a row" in advice["say"] and "call" not in advice
    assert advice["then_s"] < other["profile"]["total_s"]
    assert row["tokens_cached"] == pytest.approx(again["profile"]["tokens_cached"], rel=0.15)
    assert row["tokens_cached"] > 0.8 * row["tokens_in"]
    assert row["reads_s"] < 0.5 * other["profile"]["prefill_s"]
    assert not [a for a in again.get("advice", []) if a["action"] == "ask_again"]
