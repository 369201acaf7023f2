"""How long earlier runs still take is a distribution: what they add up to holds as often as it says."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.ollama.forecast.forecast import Forecast
from servers.ollama.forecast.quantiles import NO_WAIT, Wait, left_of
from servers.ollama.forecast.speed_model import SpeedModel
from servers.ollama.forecast.token_estimates import lengths_of
from servers.ollama.ledger.profile import Profile
from servers.ollama.ledger.runs import Key, Output, Run
from servers.ollama.simulator.machine import Machine, Noise, Ran, SimulatedModel

spreads = st.floats(min_value=0.02, max_value=1.2)
seconds = st.floats(min_value=0.05, max_value=2000)


@pytest.mark.parametrize(
    ("spread", "gone"), [(0.1, 0.0), (0.1, 1.0), (0.4, 0.0), (0.4, 0.5), (0.4, 1.5), (0.8, 1.0), (0.8, 1.5)]
)
def test_the_interval_of_a_wait_for_three_runs_holds_nine_times_of_ten(spread: float, gone: float) -> None:
    rng = random.Random(19)

    def took() -> float:
        return 10 * math.exp(rng.gauss(0, spread))

    under_way = [one - 10 * gone for _ in range(20_000) if (one := took()) > 10 * gone]
    waits = [left + took() + took() for left in under_way]
    foreseen = left_of(10, spread, 10 * gone) + left_of(10, spread, 0) + left_of(10, spread, 0)
    held = sum(foreseen.at(0.05) <= wait <= foreseen.at(0.95) for wait in waits) / len(waits)
    assert 0.87 <= held <= 0.93
    assert foreseen.at(0.5) == pytest.approx(median(waits), rel=0.05)


@given(seconds, spreads, st.floats(min_value=0, max_value=1e5))
def test_what_is_left_of_a_run_is_finite_and_never_negative(
    median_s: float, spread: float, gone: float
) -> None:
    left = left_of(median_s, spread, gone)
    assert 0 <= left.mean_s < math.inf and 0 <= left.variance < math.inf
    assert 0 <= left.at(0.05) <= left.at(0.5) <= left.at(0.95) < math.inf


@given(seconds, st.floats(min_value=0, max_value=1e5))
def test_of_a_run_whose_spread_nobody_knows_the_clock_is_taken_off(median_s: float, gone: float) -> None:
    assert left_of(median_s, 0.0, gone) == Wait(max(median_s - gone, 0.0))
    assert left_of(0.0, 0.5, gone) == NO_WAIT == NO_WAIT + NO_WAIT


def learned(ran: Ran) -> Run:
    profile = Profile(
        model="small",
        outcome="done",
        load_s=ran.load_s,
        prefill_s=ran.read_s,
        decode_s=ran.write_s,
        queue_s=0.0,
        total_s=ran.total_s,
        tokens_in=ran.tokens_in,
        tokens_cached=ran.cached,
        tokens_out=ran.tokens_out,
    )
    return Run(key=Key(host="here", digest="d", processor="cpu"), profile=profile)


def test_of_three_at_once_each_hears_before_what_it_takes() -> None:
    """On a simulated engine with answers of very unlike lengths: who waits for two hears as true an interval as who does not."""
    model = SimulatedModel(name="small", answer_spread=0.5)
    machine = Machine(model, noise=Noise(spread=0.06), seed=19)
    speed = SpeedModel(Key(host="here", digest="d", processor="cpu"))
    seen: list[Output] = []

    def took(number: int) -> float:
        _, wanted = machine.answer_length(model, think=False)
        ran = machine.run(model, f"{number}" + "y" * 1000, wanted, tokens_in=300)
        speed.learn(learned(ran))
        seen.append(Output(tokens=ran.tokens_out, cut=False))
        return ran.total_s

    for number in range(30):
        took(number)
    held, errors = [0, 0, 0], list[list[float]]([[], [], []])
    for group in range(80):
        lengths = lengths_of(list(reversed(seen))[:50])
        wait, forecasts = NO_WAIT, list[Forecast]()
        for _ in range(3):
            forecast = speed.forecast(300, lengths, cold=False, wait=wait)
            assert forecast is not None
            forecasts.append(forecast)
            wait += left_of(forecasts[0].total_s, forecasts[0].spread, 0.0)
        ended = 0.0
        for place, forecast in enumerate(forecasts):
            ended += took(1000 + 3 * group + place)
            held[place] += forecast.low_s <= ended <= forecast.high_s
            errors[place].append(abs(forecast.total_s - ended) / ended)
    assert all(each >= 0.8 * 80 for each in held), held
    assert median(errors[2]) <= median(errors[1]) <= median(errors[0]) <= 0.4
