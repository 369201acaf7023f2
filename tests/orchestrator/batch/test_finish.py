"""The end of a batch is told with an interval that holds it nine times of ten."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest

from orchestrator.batch.finish import Finish, by_forecast, by_pace


def held(cases: list[tuple[Finish, float]]) -> float:
    return sum(finish.low_s <= true_s <= finish.high_s for finish, true_s in cases) / len(cases)


@pytest.mark.parametrize(("ended", "left"), [(3, 5), (20, 20), (50, 1000)])
def test_a_pace_tells_when_the_rest_has_ended(ended: int, left: int) -> None:
    rng = random.Random(ended)
    cases = list[tuple[Finish, float]]()
    for _ in range(400):
        at = list(accumulate(rng.expovariate(1.0) for _ in range(ended + left)))
        finish = by_pace(ended, at[ended - 1], left)
        assert finish is not None
        cases.append((finish, at[-1] - at[ended - 1]))
    assert 0.8 < held(cases) < 0.97


@pytest.mark.parametrize(("ended", "left"), [(0, 30), (5, 30), (100, 300)])
def test_forecasts_are_corrected_by_how_they_did_in_this_batch(ended: int, left: int) -> None:
    """Each order's seconds are wrong by a factor of its own and by one that is common to all."""
    rng = random.Random(left + ended)
    cases = list[tuple[Finish, float]]()
    for _ in range(400):
        common = rng.lognormvariate(0, 0.3)
        ratios = [common * rng.lognormvariate(0, 0.2) for _ in range(ended + left)]
        finish = by_forecast(float(left), left, ratios[:ended], 0.36)
        cases.append((finish, sum(ratios[ended:])))
    assert 0.75 < held(cases) < 0.99


def test_nothing_is_said_before_there_is_a_pace() -> None:
    assert by_pace(2, 10.0, 5) is None and by_pace(0, 0.0, 5) is None
    assert by_pace(0, 0.0, 0) == Finish(about_s=0.0, low_s=0.0, high_s=0.0)
