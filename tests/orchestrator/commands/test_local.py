"""The commands about local models, as a person or a script runs them, on a real engine or a simulated server."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestrator import Agent, ConfigError, OrchestratorError, load_config
from orchestrator.cli import main
from orchestrator.commands.local import table
from servers.ollama.simulator.api import Fault, World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.results import described

UNDERSTUDY = os.path.join(os.path.dirname(sys.executable), "understudy")
SMALL = SimulatedModel(name="small:latest", answer_tokens=60.0, answer_spread=0.1)
BIG = SimulatedModel(
    name="big:latest", params=8e9, size_bytes=4.9e9, read_s=1 / 60, write_s=1 / 8, load_s=6.0
)
engine = pytest.mark.skipif(
    subprocess.run(
        [sys.executable, "-c", "import xllamacpp, gguf"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="the extra `engine` is not installed",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes.txt").write_text("One sentence about nothing.\n" * 80, encoding="utf-8")
    (project / "add.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    return project


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def understudy(folder: Path, *words: str) -> Done:
    """In this process: a new one takes a second to import, and the server is one in any case."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(words))
        except SystemExit as exc:  # argparse
            code = int(exc.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def told(folder: Path, *words: str, code: int = 0) -> Any:
    """What `--json` says: one object, nothing else."""
    done = understudy(folder, *words, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    record = described(words[0], done.stdout)
    assert record["ok"] is (code == 0)
    return record


@contextmanager
def ollama(*faults: Fault, answers: Any = None) -> Generator[str]:
    """`--host` of a simulated server."""
    world = World(machine=Machine(SMALL, BIG, noise=Noise(spread=0.02), room=2), answers=answers)
    world.faults = list(faults)
    with simulated_in_thread(world) as url:
        yield url


def test_from_the_first_list_to_a_forecast_on_a_simulated_server(folder: Path) -> None:
    with ollama() as url:
        here = ("--host", url)
        listed = told(folder, "models", *here)
        calibrated = told(folder, "calibrate", "small", *here)
        estimated = told(folder, "estimate", "Summarise it.", "--file", "notes.txt", *here)
        receipt = told(folder, "delegate", "Summarise it.", "--file", "notes.txt", "--model", "small", *here)
        profile = told(folder, "profile", "small", *here)
        tables = {
            name: understudy(folder, *words, *here).stdout
            for name, words in {
                "models": ["models"],
                "estimate": ["estimate", "Summarise it.", "--file", "notes.txt", "--deadline", "1"],
                "profile": ["profile"],
            }.items()
        }
    assert {m["name"]: m["speed"] for m in listed["models"]} == dict.fromkeys(
        ("small:latest", "big:latest"), "not yet measured"
    )
    (calibrated,) = calibrated["calibrations"]
    assert len(calibrated["probes"]) == 4 and calibrated["probes"][0]["forecast_s"] is None
    assert calibrated["reads_tokens_per_s"] == pytest.approx(300, rel=0.2) and calibrated["error"] is None
    small = next(m for m in estimated["models"] if m["model"] == "small:latest")
    big = next(m for m in estimated["models"] if m["model"] == "big:latest")
    assert small["forecast"]["runs"] == 4 and small["forecast"]["low_s"] < small["forecast"]["total_s"]
    assert big["forecast"]["total_s"] > small["forecast"]["total_s"]  # borrowed: it never ran
    assert small["reads_s"] > 0 < small["writes_s"] and small["max_output"] > small["answer_cap"]
    assert estimated["verdict"].startswith(("fits: ", "do it yourself: about "))
    assert tables["estimate"].startswith("does not fit: ")
    assert receipt["outcome"] == "answered" and receipt["forecast"]["error"] is not None
    assert abs(receipt["forecast"]["error_given_length"]) < 0.3
    assert [run["kind"] for run in profile["runs"]] == ["summary", *["calibration"] * 4]
    assert profile["forecasts"]["runs"] == 4 and profile["laws"][0]["reads"] == pytest.approx(300, rel=0.2)
    assert (
        list(profile["odds"]) == ["small:latest"] and profile["odds"]["small:latest"][0]["kind"] == "summary"
    )
    assert all("simulated" in table for table in tables.values())
    assert "tokens/s (median of" in tables["models"] and "not yet measured" in tables["models"]
    assert "in time" in tables["estimate"] and "1 s given" in tables["estimate"]
    for part in ("calibration length", "tokens a second, as fitted", "forecasts: 4 runs", "callers saved"):
        assert part in tables["profile"]
    fitted = tables["profile"].partition("as fitted\n")[2].partition("\n\n")[0].splitlines()
    assert len(set(fitted)) == len(fitted) == 2, "one law is told once, however many windows its runs had"


def test_a_task_is_written_only_when_its_gate_passes(folder: Path) -> None:
    before = (folder / "add.py").read_text()
    with ollama(answers=lambda body: "```python\ndef add(a, b):\n    return a + b\n```") as url:
        words = ("delegate", "Fix it.", "--file", "add.py", "--write", "add.py", "--host", url)
        refused = told(folder, *words, "--gate", "command=false", code=1)
        untouched = (folder / "add.py").read_text()
        shown = understudy(folder, *words, "--gate", "max_changed_lines=5")
    assert refused["outcome"] == "escalate" and untouched == before
    assert "gate max_changed_lines, syntax: passed" in shown.stdout, shown.stdout + shown.stderr
    assert shown.returncode == 0 and "a + b" in (folder / "add.py").read_text()


@engine
def test_a_real_engine_is_calibrated_and_forecast(folder: Path) -> None:
    here = ("--host", "embedded:demo")
    calibrated = told(folder, "calibrate", "demo", *here)
    estimated = told(folder, "estimate", "Say something.", *here)["models"][0]
    receipt = told(folder, "delegate", "Say something.", *here)
    (model,) = told(folder, "models", *here)["models"]
    (calibrated,) = calibrated["calibrations"]
    assert calibrated["error"] is None and not calibrated["skipped"]
    assert (
        1500 < calibrated["probes"][2]["tokens_in"] < 2500
    )  # as asked, although it makes a token of each letter
    assert all(not probe["simulated"] for probe in calibrated["probes"])
    counted = receipt["profile"]["tokens_in"]  # the estimate loads nothing to count, and knows the ratio
    assert estimated["forecast"]["runs"] == 4 and estimated["tokens_in"] == pytest.approx(counted, rel=0.05)
    assert "I am the demonstration model" in receipt["answer"] and model["speed"].startswith("reads ")
    shown = understudy(folder, "calibrate", "demo", *here)
    assert shown.returncode == 0 and "tokens/s" in shown.stdout and "its timings are real" in shown.stdout
    assert "none yet" not in shown.stdout  # the law was there


def test_a_calibration_that_fails_says_why(folder: Path) -> None:
    with ollama("error") as url:
        (failed,) = told(folder, "calibrate", "small", "--host", url, code=1)["calibrations"]
        shown = understudy(folder, "calibrate", "big", "--budget", "0.001", "--host", url)
        stranger = told(folder, "calibrate", "nobody", "--host", url, code=1)
    assert "simulated failure" in failed["error"] and failed["reads_tokens_per_s"] is None
    assert shown.returncode == 1 and "left out" in shown.stdout
    assert "no model 'nobody' here; there are small:latest, big:latest" in stranger["error"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["calibrate"], "the following arguments are required: model"),
        (["calibrate", "m", "--budget", "soon"], "wants seconds"),
        (["calibrate", "m", "--budget", "nan"], "wants seconds"),
        (["simulate", "--port", "70000"], "wants a port from 0 to 65535"),
        (["simulate", "--scale", "-1"], "wants a number from 0 to 1000"),
        (["simulate", "--fault", "fire"], "invalid choice"),
        (["calibrate", "m", "--host", "embedded:"], "does not say which"),
        (["calibrate", "m", "--host", "embedded:/no/such.gguf"], "/no/such.gguf"),
        (["calibrate", "m", "--host", "http://10.1.2.3:11434"], "not this machine"),
        (["calibrate", "m", "--host", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9"),
        (["models", "--host", "http://127.0.0.1:9"], "nothing answers at http://127.0.0.1:9"),
        (["estimate", "x", "--file", "gone.txt", "--host", "http://127.0.0.1:9"], "gone.txt"),
        (["profile", "--last", "0", "--host", "http://127.0.0.1:9"], "last must be between 1 and 1000"),
    ],
)
def test_what_cannot_work_is_one_sentence(folder: Path, words: list[str], said: str) -> None:
    done = understudy(folder, *words)
    assert done.returncode in (1, 2) and said in done.stderr and "Traceback" not in done.stderr


def test_an_empty_ledger_says_how_to_fill_it(folder: Path) -> None:
    done = understudy(folder, "profile", "--host", "http://127.0.0.1:9")
    assert done.returncode == 0 and "no runs yet" in done.stdout


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_simulated_server_says_where_it_is_plays_its_faults_and_ends(
    sent: signal.Signals, code: int
) -> None:
    command = [UNDERSTUDY, "simulate", "--port", "0", "--scale", "0", "--json", "--fault", "busy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        ask = {"model": "sim-small", "messages": [{"role": "user", "content": "hi"}], "stream": False}
        statuses = [
            httpx2.post(f"{place['url']}/api/chat", json=ask, trust_env=False).status_code for _ in range(2)
        ]
        process.send_signal(sent)
        assert process.wait(60) == code
    assert place["simulated"] is True and place["models"][0] == "sim-small:latest" and statuses == [503, 200]


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with ollama() as url:
        done = understudy(folder, "simulate", "--port", url.rpartition(":")[2])
    assert done.returncode == 1 and "cannot be used" in done.stderr and "--port 0" in done.stderr


def test_a_file_that_no_gate_can_check_is_written_and_is_no_failure(folder: Path) -> None:
    with simulated_in_thread(World(machine=Machine(SMALL)), scale=0.0) as url:
        done = understudy(
            folder, "delegate", "Say something.", "--write", "said.txt", "--host", url, "--json"
        )
    told = json.loads(done.stdout)
    assert told["outcome"] == "written" and (folder / "said.txt").exists()
    assert done.returncode == 0 and told["ok"] is True


def test_a_refusal_tells_a_person_what_would_do_in_words_and_intervals_with_their_units(folder: Path) -> None:
    with ollama() as host:
        order = ["Say what this is.", "--file", "notes.txt", "--model", "big", "--host", host]
        understudy(folder, "delegate", *order)
        refused = understudy(
            folder, "delegate", *order[:1], "--file", "notes.txt", "--deadline", "0.01", *order[3:]
        )
        forecast = understudy(folder, "estimate", *order)
    assert refused.returncode == 1 and "\nadvice: deadline_s=" in refused.stderr and "{" not in refused.stderr
    assert re.search(r"  [\d.]+ to [\d.]+ s |  [\d.]+ (s|min .*s) to .* min", forecast.stdout), (
        forecast.stdout
    )


def test_a_called_delegation_that_takes_longer_than_its_wait_is_followed_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server ends with the command, so an id would be of no use to anybody."""
    with ollama() as host:
        monkeypatch.setenv("OLLAMA_BASE_URL", host)
        order = ["task=Say what this is.", 'files=["notes.txt"]', "model=small", "wait_s=0"]
        done = understudy(folder, "call", "ollama", "delegate", *order)
        (job,) = json.loads(understudy(folder, "call", "ollama", "delegation").stdout)["delegations"]
    receipt = json.loads(done.stdout)
    assert receipt["outcome"] == "answered" and job["state"] == "done", (done, job)


def test_a_program_delegates_as_the_command_does_and_gets_the_receipt_as_a_str(folder: Path) -> None:
    with ollama() as host:
        config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": host})
        for tools in ((), ["ollama"], ["ollama"]):
            with Agent(model="scripted:none", tools=tools, config=config) as agent:
                said = agent.delegate("ollama:small:latest", "Say what this is.", files=["notes.txt"])
            assert said == said.answer and said.success and said.outcome == "answered"
            assert said.profile and said.profile.total_s and said.profile.tokens_out
            assert said.model == "small:latest" and said.record["run"]
            assert said.files == () and (said.gate is None or said.gate.passed is None)
            (used,) = agent.usage().items()
            assert used[0] == "ollama:small:latest" and used[1].cost_usd == 0.0
            assert used[1].output_tokens == said.profile.tokens_out and used[1].input_tokens
    assert said.forecast and said.forecast.total_s  # from the runs before


def test_a_delegation_that_cannot_be_is_named(folder: Path) -> None:
    with ollama() as host, Agent(config=load_config(cwd=folder, env={"OLLAMA_BASE_URL": host})) as agent:
        with pytest.raises(ConfigError, match="there is no file; there are deadline_s, files,"):
            agent.delegate("anthropic:claude-x", "Say it.", file=["notes.txt"])
        with pytest.raises(ConfigError, match="small stands behind anthropic:claude-x in the ladder"):
            agent.delegate("auto", "Say it.", ladder=["anthropic:claude-x", "small"])
        with pytest.raises(OrchestratorError, match="nothing"):
            agent.delegate("auto", "Say it.", files=["nothing.txt"])


def test_a_table_too_wide_for_the_terminal_is_told_in_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["model", "size", "loaded"], ["sim-small", "1.2 GB", "-"], ["sim-large", "5.2 GB", "yes"]]
    monkeypatch.setenv("COLUMNS", "24")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert table(rows) == "sim-small\n  size 1.2 GB\nsim-large\n  size 5.2 GB, loaded\n  yes\n"
    monkeypatch.setenv("COLUMNS", "80")
    assert table(rows).startswith("model      size    loaded\n")
