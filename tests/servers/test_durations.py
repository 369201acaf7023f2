"""Durations read back as what they were, to what a reader cares for."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.durations import duration
from servers.ollama.delegate.jobs import Progress

SIZES = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def read(text: str) -> float:
    words = text.split()
    return sum(float(n) * SIZES[unit] for n, unit in zip(words[::2], words[1::2], strict=True))


@given(st.floats(0.001, 1e7))
def test_a_duration_is_near_what_it_was_and_rounded_up_never_less(seconds: float) -> None:
    assert read(duration(seconds)) == pytest.approx(seconds, rel=0.06)
    assert seconds * (1 - 1e-9) <= read(duration(seconds, up=True)) <= 1.16 * seconds
    assert "e" not in duration(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.0421, "0.042 s"), (8, "8 s"), (2.44, "2.4 s"), (45.3, "45 s"), (100, "100 s"),
        (150, "2 min 30 s"), (599.7, "10 min"), (1220, "20 min"), (6000, "1 h 40 min"), (86_399, "1 d"),
        (float("inf"), "no end"),
    ],
)  # fmt: skip
def test_people_read_minutes_and_hours(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_past_its_forecast_says_so_and_never_that_nothing_is_left() -> None:
    progress = Progress()
    progress.run("m", 100, 1200.0)
    assert str(progress) == "m reading, about 20 min left if its first answer is right"
    progress.ends_at = time.monotonic() - 5
    assert str(progress) == "m reading, longer than forecast" and progress.remaining_s is None
