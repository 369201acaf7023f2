"""The speed of one phase of a run, reading or writing, learned run by run.

    seconds = rate * (overhead + tokens + rho * area) * level * noise

`area` sums the depth each token stood at. rho and overhead are unknown: every pair of a grid is a hypothesis
that follows the runs with a Kalman filter for log(rate * level) and an inverse-gamma for the noise, and is
believed by how well it foretold them. Some hypotheses say the machine's pace is fixed, others that it drifts.
Student-t weights keep one contended run from moving much. A prediction is the mixture's mean, spread and
degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

OVERHEADS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Fixed cost of a prompt, in the time of one of its tokens: small on a CPU, a whole batch on a GPU."""

_STEPS = tuple(i / 2 for i in range(-7, 8))
"""log of rho's multiple of its prior; the prior spread is 1, a factor of 2.7."""
_FLAT = 0.04
"""Prior weight of "depth costs nothing" against the most likely rho."""
_DRIFTS = ((0.0, 0.4), (0.03, 0.2), (0.15, 0.2), (0.6, 0.2))
"""(variance a run adds to the level, relative to the noise; prior weight)."""
_NOISE, _NOISE_RUNS = 0.13, 1.5
"""Prior spread of log seconds and its weight in runs."""
_NOISE_FLOOR = 0.01
_MEMORY = 0.5 ** (1 / 30)
"""Half of what is known about the noise is forgotten in 30 runs."""
_TAIL = 4.0
"""Degrees of freedom of the robust weights."""
_DROPPED = -20.0
"""Hypotheses this far behind the best (log odds) are given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is believed of a phase before its first run."""

    rho: float
    rho_shift: float = 0.0
    """log of the multiple of rho that other models on this machine showed."""
    rho_spread: float = 1.0
    log_rate: float | None = None
    """Seconds of one token at no depth, as a logarithm; None when nothing like it was measured."""
    rate_spread: float = 0.5
    overheads: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """log seconds as a Student-t: mean, spread, degrees of freedom."""

    mean: float
    spread: float
    freedom: float


@dataclass(slots=True)
class _Hypothesis:
    rho: float
    shift: float
    overhead: float
    drift: float
    odds: float
    level: float
    doubt: float
    """Variance of the level, in units of the noise."""
    freedom: float
    squares: float


class Phase:
    """One phase's speed model. One thread may learn while others ask."""

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.runs = 0
        self._blank = prior.log_rate is None
        self._grid = [
            _Hypothesis(
                rho=prior.rho * factor,
                shift=shift,
                overhead=overhead,
                drift=drift,
                odds=odds + math.log(drift_weight) + _overhead_odds(overhead, prior.overheads),
                level=prior.log_rate or 0.0,
                doubt=1.0 if prior.log_rate is None else (prior.rate_spread / _NOISE) ** 2,
                freedom=_NOISE_RUNS,
                squares=_NOISE_RUNS * _NOISE**2,
            )
            for factor, shift, odds in _rho_grid(prior)
            for overhead in prior.overheads
            for drift, drift_weight in _DRIFTS
        ]

    def learn(self, tokens: float, area: float, seconds: float, doubt: float = 1.0) -> None:
        """Take in one run. Runs that tell nothing (no tokens, no time) are ignored.

        `doubt` is the variance of what is told, in units of the noise: 1 for a server's own timings.
        """
        if tokens <= 0 or not 0 < seconds < math.inf:
            return
        seen = math.log(seconds)
        for h in self._grid:
            gap = seen - math.log(h.overhead + tokens + h.rho * area)
            if self._blank:
                h.level, h.doubt = gap, doubt
            else:
                _follow(h, gap, doubt)
        self._blank = False
        self.runs += 1
        best = max(h.odds for h in self._grid)
        self._grid = [h for h in self._grid if h.odds > best + _DROPPED]
        for h in self._grid:
            h.odds -= best

    def guess(self, tokens: float, area: float) -> Guess | None:
        """log seconds of such a run; None before the first run when nothing was borrowed either."""
        if self._blank or tokens <= 0:
            return None
        weight = mean = freedom = second = inner = 0.0
        for h in self._grid:
            if h.odds < -12:
                continue
            w = math.exp(h.odds)
            middle = h.level + math.log(h.overhead + tokens + h.rho * area)
            weight += w
            mean += w * middle
            second += w * middle * middle
            inner += w * h.squares / h.freedom * (1 + h.doubt + h.drift)
            freedom += w * h.freedom
        mean /= weight
        spread = max(inner / weight + max(second / weight - mean * mean, 0.0), _NOISE_FLOOR**2)
        return Guess(mean=mean, spread=math.sqrt(spread), freedom=freedom / weight)

    def lend(self, log_rate: float, spread: float) -> None:
        """Believe this pace until a run tells; ignored once one did."""
        if self._blank:
            self._blank = False
            for h in self._grid:
                h.level, h.doubt = log_rate, (spread / _NOISE) ** 2

    def loosen(self, spread: float) -> None:
        """Doubt the present pace by this standard deviation of log seconds: something has changed."""
        for h in self._grid:
            h.doubt += spread**2 * h.freedom / h.squares

    @property
    def log_rate(self) -> float | None:
        """log seconds of one token at no depth, at the present level."""
        return None if self._blank else self._mean(lambda h: h.level)

    @property
    def rho(self) -> float:
        """Believed cost of one token of depth."""
        return self._mean(lambda h: h.rho)

    @property
    def rho_shift(self) -> float:
        """log of the believed multiple of the prior's rho."""
        return self._mean(lambda h: h.shift)

    def _mean(self, value: Callable[[_Hypothesis], float]) -> float:
        weights = [math.exp(h.odds) for h in self._grid]
        return sum(w * value(h) for w, h in zip(weights, self._grid, strict=True)) / sum(weights)


def _follow(h: _Hypothesis, gap: float, told: float) -> None:
    """One step of the filter: weigh the surprise, move level and noise. `told`: the gap's doubt."""
    doubt = h.doubt + h.drift
    surprise = gap - h.level
    noise = h.squares / h.freedom
    expected = noise * (doubt + told)
    strange = surprise * surprise / expected
    h.odds -= 0.5 * math.log(expected) + (_TAIL + 1) / 2 * math.log1p(strange / _TAIL)
    trust = (_TAIL + 1) / (_TAIL + strange)
    gain = doubt / (doubt + told / trust)
    h.level += gain * surprise
    h.doubt = (1 - gain) * doubt
    h.freedom = _NOISE_RUNS + (h.freedom - _NOISE_RUNS) * _MEMORY + 1 / told
    rest = _NOISE_RUNS * _NOISE**2
    seen = min(surprise * surprise / (doubt + told), 9 * noise)
    h.squares = rest + (h.squares - rest) * _MEMORY + seen / told


def _rho_grid(prior: Prior) -> list[tuple[float, float, float]]:
    """(multiple of the prior rho, its log, log odds)."""
    grid = [
        (math.exp(prior.rho_shift + step), prior.rho_shift + step, -0.5 * (step / prior.rho_spread) ** 2)
        for step in _STEPS
    ]
    return [*grid, (0.0, prior.rho_shift + _STEPS[0], math.log(_FLAT))]


def _overhead_odds(overhead: float, choices: tuple[float, ...]) -> float:
    """Overheads of a few tokens are the likeliest; log-normal, spread 1.5."""
    return -0.5 * (math.log((overhead + 1) / 4) / 1.5) ** 2 if len(choices) > 1 else 0.0
