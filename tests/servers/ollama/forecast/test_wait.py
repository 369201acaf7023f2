"""How long earlier runs still take is a distribution: what they add up to holds as often as it says."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.ollama.forecast.quantiles import NO_WAIT, Wait, left_of

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
