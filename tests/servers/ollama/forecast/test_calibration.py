"""Calibration: a few probes and the speed model is there."""

from __future__ import annotations

from typing import Any

import pytest

from servers.ollama.engines.ollama import Ollama
from servers.ollama.forecast.calibration import PROBES, Probe, calibrate
from servers.ollama.forecast.forecaster import Forecaster
from servers.ollama.simulator.api import Fault, World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

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
