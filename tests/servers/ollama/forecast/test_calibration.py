"""Calibration: a few probes and the speed model is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from servers.ollama.engines.ollama import Ollama
from servers.ollama.engines.threads import keep_threads, threads_for
from servers.ollama.forecast.calibration import (
    PROBES,
    CalibrationFailed,
    Probe,
    calibrate,
    threads_calibrated,
)
from servers.ollama.forecast.forecaster import Forecaster, kept_loaded_s
from servers.ollama.forecast.thread_choice import Pace, better
from servers.ollama.simulator.api import Fault, World
from servers.ollama.simulator.http import simulated, simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.stdio import start

pytestmark = pytest.mark.anyio


def world(*faults: Fault, **model: object) -> World:
    told: dict[str, Any] = {"name": "small:latest", "answer_tokens": 80.0, "answer_spread": 0.1, **model}
    made = SimulatedModel(**told)
    return World(machine=Machine(made, noise=Noise(spread=0.03)), faults=list(faults))


async def test_the_probes_fit_the_law_at_once() -> None:
    heard: list[Probe] = []
    async with simulated(world(read_s=1 / 250, write_s=1 / 25)) as url:
        runtime = Ollama(url)
        forecaster = Forecaster(runtime=runtime)
        done = await calibrate(runtime, forecaster, await runtime.model("small"), told=heard.append)
        ledger = await forecaster.ledger()
        runs = ledger.runs(kind="calibration")
        await runtime.aclose()
    assert (
        len(done.probes) == len(heard) == len(runs) == len(PROBES)
        and not done.skipped
        and done.failed is None
    )
    assert done.speeds is not None
    assert done.speeds[0] == pytest.approx(250, rel=0.15) and done.speeds[1] == pytest.approx(25, rel=0.1)
    first, *_, last = done.probes
    assert first.forecast is None and last.error is not None and abs(last.error) < 0.15
    assert all((run.profile.tokens_cached or 0) < 15 for run in runs)  # nothing but the template is shared


async def test_probes_that_do_not_fit_are_skipped_and_said() -> None:
    async with simulated(world(context_length=512)) as url:
        runtime = Ollama(url)
        done = await calibrate(runtime, Forecaster(runtime=runtime), await runtime.model("small"))
        await runtime.aclose()
    assert 2048 in done.skipped and len(done.probes) + len(done.skipped) == len(PROBES) and done.probes


async def test_an_engine_that_fails_ends_it_with_its_sentence() -> None:
    async with simulated(world("error")) as url:
        runtime = Ollama(url)
        done = await calibrate(runtime, Forecaster(runtime=runtime), await runtime.model("small"))
        await runtime.aclose()
    assert done.speeds is None and len(done.probes) == 1
    assert done.failed is not None and "simulated failure" in done.failed


async def test_one_thread_fewer_is_taken_where_a_busy_program_would_stop_the_model_and_little_is_lost() -> (
    None
):
    def paces(all_alone: float, all_beside: float, alone: float, beside: float) -> list[Pace]:
        rows = [(2, False, all_alone), (2, True, all_beside), (1, False, alone), (1, True, beside)]
        return [Pace(threads=t, busy=busy, tokens_per_s=pace) for t, busy, pace in rows]

    assert better(paces(56, 3.5, 28.7, 26.3), 2) == 1  # measured on a real Ollama
    assert better(paces(56, 0, 28.7, 26.3), 2) == 1
    assert better(paces(56, 40, 50, 49), 2) is None
    assert better(paces(56, 3.5, 10, 9), 2) is None


def test_the_threads_that_were_found_best_are_sent_and_told_apart_in_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One sentence about nothing.\n" * 50, encoding="utf-8")
    model = SimulatedModel(name="m:latest")
    world = World(machine=Machine(model, noise=Noise(spread=0.0)))
    with simulated_in_thread(world) as url:
        keep_threads(url, "m", 3)
        with start("ollama", str(tmp_path), "--host", url) as server:
            server.call("delegate", task="x", files=["a.txt"])
            settings = server.call("profile").structured["laws"][0]["settings"]
        assert world.machine.loaded["m:latest"].options["num_thread"] == 3
        assert '"num_thread":3' in settings
        keep_threads(url, "m:latest", None)
        assert threads_for(url, "m") is None


def test_who_runs_a_model_beside_busy_programs_is_told_once_to_measure_its_threads(tmp_path: Path) -> None:
    """The simulated server passes for a real one here, as a simulated one is not slowed down by anything."""
    world = World(machine=Machine(SimulatedModel(name="m:latest"), noise=Noise(spread=0.0)))
    world.version = "0.34.0"
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        with (
            simulated_in_thread(world, scale=0.1) as url,
            start("ollama", str(tmp_path), "--host", url) as server,
        ):
            first, second = [server.call("delegate", task=f"Say {n}").structured for n in range(2)]
            keep_threads(url, "m", None)
            with start("ollama", str(tmp_path), "--host", url) as another:
                measured = another.call("delegate", task="Say 2").structured
    finally:
        busy.kill()
        busy.wait()
    told = [
        [one["say"] for one in receipt.get("advice", []) if one["action"] == "fewer_threads"]
        for receipt in (first, second, measured)
    ]
    assert [len(says) for says in told] == [1, 0, 0] and f"calibrate m:latest --threads --host {url}" in told[
        0
    ][0]
    assert all(receipt["busy_cores"] >= 0.4 for receipt in (first, second, measured))


@pytest.mark.parametrize(
    ("pauses", "seconds"),
    [
        ([20, 30, 40], None),
        ([400, 500, 20, 30, 420], 600),
        ([400, 900], None),
        ([3000] * 5, 3600),
        ([9000] * 5, None),
    ],
)
async def test_a_model_stays_loaded_for_the_pauses_that_are_usual(
    pauses: list[float], seconds: float | None
) -> None:
    at = [100_000.0]
    for pause in pauses:
        at.append(at[-1] - pause)
    assert kept_loaded_s(at) == seconds


async def test_threads_are_measured_alone_and_beside_a_busy_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("thread_choice", "calibration"):
        monkeypatch.setattr(f"servers.ollama.forecast.{module}.cores", lambda: 2)
    async with simulated(world()) as url:
        paces, cores, found = await threads_calibrated(url, "small")
    assert [(pace.threads, pace.busy) for pace in paces] == [(2, False), (2, True), (1, False), (1, True)]
    assert cores == 2 and found is None and all(pace.tokens_per_s > 0 for pace in paces)
    async with simulated(world(gpu_share=1.0)) as url:
        with pytest.raises(CalibrationFailed, match="graphics card"):
            await threads_calibrated(url, "small")
