"""The demonstration, as a newcomer runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator.demo.local_models import pull_model
from orchestrator.errors import ConfigError
from servers.ollama.forecast.recommended import recommended
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, SimulatedModel
from tests.command import understudy
from tests.results import described

UNDERSTUDY = os.path.join(os.path.dirname(sys.executable), "understudy")


def demo(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return understudy("demo", *words, cwd=Path.cwd(), env=env)


@pytest.fixture(autouse=True)
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nothing answers there


@pytest.fixture(params=["none", "broken", "dying"])
def without_engine(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which the embedded engine is not installed, cannot be imported, or dies as it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    if request.param == "none":
        (folder / "sitecustomize.py").write_text("import sys\nsys.modules['xllamacpp'] = None\n")
    elif request.param == "broken":
        (folder / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    else:
        (folder / "xllamacpp.py").write_text("import os\nos.abort()\n")
    return {"PYTHONPATH": str(folder)}


def test_the_whole_path_ends_in_a_commit_whose_tests_pass_with_real_timings_and_a_forecast() -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    done = demo("--json")
    assert done.returncode == 0, done.stderr
    report = described("demo", done.stdout)
    assert report["accepted"] and "cents.ljust" in report["diff"]
    assert "Read one digit of cents as tens" in report["commit"] and report["tests"].startswith("exit=0")
    assert report["tool_calls"][0] == "files__read_file" and "ollama__delegate" in report["tool_calls"]
    worker = report["worker"]
    assert (worker["timed"], worker["real"]) == (True, False)
    assert "embedded engine that recites" in worker["says"]
    assert "· reciter · edit · gate passed ·" in report["ledger"]
    assert report["ledger"].endswith(" measured") and "forecast" in " ".join(report["said"])
    assert "recorded" not in done.stdout


def test_without_an_engine_a_script_takes_its_place_and_every_duration_says_recorded(
    without_engine: dict[str, str],
) -> None:
    done = subprocess.run(
        [UNDERSTUDY, "demo", "--format", "plain"],
        env={**os.environ, **without_engine},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    talk, _, closing = done.stdout.partition("── the change ──")
    assert "worker: scripted" in talk and "worker scripted scripted-worker" in talk
    assert "profile: 0.7 s (recorded)" in talk and "(recorded)" in talk.split("The receipt is here")[1]
    assert "0.7 s recorded" in closing and "measured)" not in talk


def test_a_worker_that_fails_its_gate_changes_nothing_and_the_lead_does_the_work() -> None:
    with simulated_in_thread() as url:  # it answers, but with filler words
        done = demo("--json", OLLAMA_HOST=url)
    assert done.returncode == 0, done.stderr
    report = described("demo", done.stdout)
    assert report["worker"]["says"] == f"worker: sim-small:latest, simulated, at {url}"
    assert not report["worker"]["real"] and not report["accepted"] and "gate failed" in report["ledger"]
    assert report["ledger"].endswith(" simulated") and "files__edit_file" in report["tool_calls"]
    assert "I do this one myself" in " ".join(report["said"]) and report["tests"].startswith("exit=0")


def test_the_likeliest_model_is_asked_first_and_the_others_after_it() -> None:
    small = SimulatedModel(name="small:latest", params=1e8, size_bytes=1e8)
    large = SimulatedModel(name="large:latest", params=7e9, size_bytes=4.7e9)
    embeds = SimulatedModel(name="embeds:latest", size_bytes=1e7, capabilities=("embedding",))
    with simulated_in_thread(World(machine=Machine(small, large, embeds))) as url:
        done = demo("--json", OLLAMA_HOST=url)
    assert done.returncode == 0, done.stderr
    report = described("demo", done.stdout)
    assert report["worker"]["model"] == "large:latest" and report["worker"]["ladder"] == ["small:latest"]
    assert "best expected worth of 2: large:latest" in report["worker"]["says"]
    said = " ".join(report["said"])
    assert "large:latest and small:latest were tried in turn. The answer began:" in said
    assert "I do this one myself" in said and report["tests"].startswith("exit=0")


def test_a_server_without_a_model_is_told_which_one_fits_and_the_demo_goes_on() -> None:
    embeds = SimulatedModel(name="embeds:latest", capabilities=("embedding",))
    with simulated_in_thread(World(machine=Machine(embeds))) as url:
        report = described("demo", demo("--json", OLLAMA_HOST=url).stdout)
    assert f"because Ollama at {url} has no model that writes text (qwen" in report["worker"]["says"]
    assert "ollama pull qwen" in report["worker"]["says"] and report["tests"].startswith("exit=0")


@pytest.mark.parametrize(
    ("gigabytes", "rate", "here", "name"),
    [
        (4, None, [], "qwen2.5-coder:1.5b"),
        (16, None, [], "qwen2.5-coder:7b"),
        (16, 6e9, [], "qwen2.5-coder:1.5b"),
        (64, 400e9, [], "qwen2.5-coder:32b"),
        (16, None, [4e9], None),
        (1, None, [], None),
    ],
)
def test_what_is_recommended_fits_the_memory_and_is_fast_enough(
    gigabytes: float, rate: float | None, here: list[float], name: str | None
) -> None:
    offer = recommended(memory_bytes=gigabytes * 1e9, bytes_per_s=rate, here=here)
    assert (offer.name if offer else None) == name
    assert offer is None or (f"`ollama pull {name}`" in str(offer) and "at 50 Mbit/s" in str(offer))


@pytest.mark.anyio
async def test_a_model_is_got_with_its_progress_told_or_one_sentence_says_why_not() -> None:
    told: list[str] = []
    with simulated_in_thread() as url:
        await pull_model(url, "sim-small:latest", told.append)
        with pytest.raises(ConfigError, match="qwen3:8b could not be got: pull model manifest"):
            await pull_model(url, "qwen3:8b", told.append)
    assert told[0] == "pulling manifest" and "success" in told


def test_the_screen_says_on_every_line_who_speaks_and_nothing_is_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    done = demo("--format", "plain", TMPDIR=str(folder))
    assert done.returncode == 0, done.stderr
    talk, _, closing = done.stdout.partition("── the change ──")
    for line in talk.splitlines():
        if line.startswith("lead"):
            assert line.startswith("lead scripted:"), line
    for part in ("── the commit ──", "── the tests", "── the ledger", "understudy chat", "understudy init"):
        assert part in closing
    left = [entry.name for entry in folder.iterdir() if not entry.name.startswith("understudy-gates-")]
    assert left == []  # the slots for gate copies are kept for the next gate, like a cache


@pytest.mark.parametrize("after", ["project:", "⇒ worker", "git__git_stage"])
def test_ctrl_c_ends_everything_it_started(after: str, tmp_path: Path) -> None:
    command = [UNDERSTUDY, "demo", "--format", "plain"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if after in line:
                break
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the whole foreground group
        said, complaints = process.stdout.read(), process.stderr.read()
        assert process.wait(60) == 130, said + complaints
    assert "Traceback" not in complaints
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    left = [entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("understudy-gates-")]
    assert left == []


def test_without_git_one_sentence_says_what_is_needed(tmp_path: Path) -> None:
    done = demo(PATH=str(tmp_path))
    assert done.returncode == 2 and "git" in done.stderr and "Traceback" not in done.stderr


def test_a_worker_that_is_not_there_is_named() -> None:
    done = demo("--worker", "qwen3:8b")
    assert done.returncode == 2 and "qwen3:8b" in done.stderr and "ollama serve" in done.stderr
