"""The speed of one phase of a run, reading or writing, learned run by run.

    seconds = rate * (overhead + tokens + rho * area) * level * noise

`area` sums the depth each token stood at. rho and overhead are unknown: every pair of a grid is a hypothesis
that follows the runs with a Kalman filter for log(rate * level) and an inverse-gamma for the noise, and is
believed by how well it foretold them. Some hypotheses say the machine's pace is fixed, others that it drifts.
Student-t weights keep one contended run from moving much; a machine that has become another, or as it was before,
is noticed by the second run. A prediction is the mixture's mean, spread and
degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

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
_FAR, _FAR_LEAST = 4.0, math.log(1.4)
"""Spreads, and log seconds at least, by which a run is off that may belong to another state of the machine."""
_STATES = 4
"""Kept at most."""
_SETTLES, _RETURNS = 0.7, 0.12
"""What is left of a change of state after one run, and the odds of another that it makes."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """A phase at one moment and in one state of the machine: what its hypotheses say together of any run."""

    rows: Sequence[tuple[float, float, float, float, float]]
    """Overhead and rho, with the weight, mean and mean square of the levels believed beside them."""
    inner: float
    """Variance within hypotheses."""
    away: float
    """Variance of a change of state."""
    freedom: float

    def guess(self, tokens: float, area: float) -> Guess:
        mean = second = 0.0
        for overhead, rho, weight, level, square in self.rows:
            size = math.log(overhead + tokens + rho * area)
            mean += level + weight * size
            second += square + (2 * level + weight * size) * size
        spread = max(self.inner + max(second - mean * mean, 0.0), _NOISE_FLOOR**2) + self.away
        return Guess(mean=mean, spread=math.sqrt(spread), freedom=self.freedom)


@dataclass(slots=True)
class _Pace:
    """One hypothesis' view of how fast the machine is in one state of it."""

    level: float
    doubt: float
    """Variance of the level, in units of the noise."""
    freedom: float = _NOISE_RUNS
    squares: float = _NOISE_RUNS * _NOISE**2


@dataclass(slots=True)
class _Hypothesis:
    rho: float
    shift: float
    overhead: float
    drift: float
    odds: float
    paces: list[_Pace]
    """One for each state the machine has shown."""


@dataclass(frozen=True, slots=True)
class _Strange:
    """A run far off what was expected, and what was believed before it."""

    gap: float
    before: list[tuple[_Hypothesis, float, _Pace]]


class Phase:
    """One phase's speed. One thread may learn while others ask.

    The machine may have several states, quiet and busy above all, each with a pace of its own. A run far off is
    doubted once; a second like it shows a new state, or one run a known one. Where the load of other programs is
    told, it says which state a run belongs to, and which the next will meet.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self.runs = 0
        self._blank = prior.log_rate is None
        self._now = 0
        self._of_load: dict[bool, int] = {}
        self._strange: _Strange | None = None
        self._restless = 0.0
        """Changes to a known state, the older the less they count."""
        doubt = 1.0 if prior.log_rate is None else (prior.rate_spread / _NOISE) ** 2
        self._grid = [
            _Hypothesis(
                rho=prior.rho * factor,
                shift=shift,
                overhead=overhead,
                drift=drift,
                odds=odds + math.log(drift_weight) + _overhead_odds(overhead, prior.overheads),
                paces=[_Pace(level=prior.log_rate or 0.0, doubt=doubt)],
            )
            for factor, shift, odds in _rho_grid(prior)
            for overhead in prior.overheads
            for drift, drift_weight in _DRIFTS
        ]

    def learn(
        self, tokens: float, area: float, seconds: float, doubt: float = 1.0, *, busy: bool | None = None
    ) -> None:
        """Take in one run. Runs that tell nothing (no tokens, no time) are ignored.

        `doubt` is the variance of what is told, in units of the noise: 1 for a server's own timings. `busy`:
        whether other programs kept the machine busy meanwhile, where that is known.
        """
        if tokens <= 0 or not 0 < seconds < math.inf:
            return
        seen = math.log(seconds)
        if self._blank:
            for h in self._grid:
                h.paces[0] = _Pace(level=seen - _size(h, tokens, area), doubt=doubt)
        else:
            if doubt <= 1:
                self._notice(tokens, area, seen, busy)
            for h in self._grid:
                _follow(h, h.paces[self._now], seen - _size(h, tokens, area), doubt)
        self._blank = False
        self.runs += 1
        if busy is not None:
            self._of_load[busy] = self._now
        best = max(h.odds for h in self._grid)
        self._grid = [h for h in self._grid if h.odds > best + _DROPPED]
        for h in self._grid:
            h.odds -= best

    def guess(self, tokens: float, area: float) -> Guess | None:
        """log seconds of such a run; None before the first run when nothing was borrowed either."""
        if tokens <= 0 or (believed := self.believed()) is None:
            return None
        return believed.guess(tokens, area)

    def believed(self, *, busy: bool | None = None) -> Believed | None:
        """What `guess` answers from, for whoever asks it many times in a row.

        `busy`: whether other programs keep the machine busy now; None expects it as in the last run.
        """
        if self._blank:
            return None
        state = self._now if busy is None else self._of_load.get(busy, self._now)
        return self._believed(state, hedged=state == self._now)

    def _believed(self, state: int, *, hedged: bool = False) -> Believed:
        weight = freedom = inner = 0.0
        levels = dict[tuple[float, float], tuple[float, float, float]]()
        for h in self._grid:
            if h.odds < -12:
                continue
            pace = h.paces[state]
            w = math.exp(h.odds)
            weight += w
            inner += w * pace.squares / pace.freedom * (1 + pace.doubt + h.drift)
            freedom += w * pace.freedom
            whole, mean, second = levels.get((h.overhead, h.rho), (0.0, 0.0, 0.0))
            levels[h.overhead, h.rho] = (
                whole + w,
                mean + w * pace.level,
                second + w * pace.level * pace.level,
            )
        away = 0.0
        if hedged and self._restless:
            others = [
                self._level(i) - self._level(state) for i in range(len(self._grid[0].paces)) if i != state
            ]
            away = min(_RETURNS * self._restless, 0.3) * fmean(gap * gap for gap in others)
        rows = [
            (overhead, rho, whole / weight, mean / weight, second / weight)
            for (overhead, rho), (whole, mean, second) in levels.items()
        ]
        return Believed(rows=rows, inner=inner / weight, away=away, freedom=freedom / weight)

    def lend(self, log_rate: float, spread: float) -> None:
        """Believe this pace until a run tells; ignored once one did."""
        if self._blank:
            self._blank = False
            for h in self._grid:
                h.paces[0] = _Pace(level=log_rate, doubt=(spread / _NOISE) ** 2)

    def loosen(self, spread: float) -> None:
        """Doubt the present pace by this standard deviation of log seconds: something has changed."""
        for h in self._grid:
            pace = h.paces[self._now]
            pace.doubt += spread**2 * pace.freedom / pace.squares

    def _notice(self, tokens: float, area: float, seen: float, busy: bool | None) -> None:
        """Make the state that this run belongs to the present one."""
        gaps = [seen - self._believed(i).guess(tokens, area).mean for i in range(len(self._grid[0].paces))]
        here = self._believed(self._now).guess(tokens, area)
        gap, earlier, self._strange = gaps[self._now], self._strange, None
        self._restless *= _SETTLES
        if abs(gap) <= max(_FAR * (1 + self._restless) * here.spread, _FAR_LEAST):
            return
        nearest = min(range(len(gaps)), key=lambda i: abs(gaps[i]))
        known = nearest != self._now and abs(gaps[nearest]) <= max(
            _FAR / 2 * self._believed(nearest).guess(tokens, area).spread, _FAR_LEAST
        )
        other_load = busy is not None and self._of_load.get(not busy) == self._now != self._of_load.get(busy)
        again = earlier is not None and _alike(earlier.gap, gap)
        if self.runs < 2 or not (again or other_load):
            self._strange = _Strange(gap, [(h, h.odds, replace(h.paces[self._now])) for h in self._grid])
            return
        if again and earlier is not None:
            self._forget(earlier)
        if known:
            self._now, self._restless = nearest, self._restless + 1
        else:
            self._begin([earlier.gap, gap] if again and earlier is not None else [gap])

    def _begin(self, gaps: list[float]) -> None:
        """A state not seen before, as far from the present one as `gaps` say; the one left longest is forgotten."""
        away = fmean(gaps)
        apart = sum((gap - away) ** 2 for gap in gaps)
        for h in self._grid:
            left = h.paces[self._now]
            noise = max(left.squares / left.freedom, _NOISE**2)
            pace = _Pace(
                level=left.level + away, doubt=2 + apart / noise, squares=_NOISE_RUNS * noise + apart
            )
            h.paces.append(replace(pace, freedom=_NOISE_RUNS + len(gaps) - 1))
        self._now = len(self._grid[0].paces) - 1
        if self._now >= _STATES:
            gone = next(i for i in range(self._now) if i not in self._of_load.values() or i > 1)
            for h in self._grid:
                del h.paces[gone]
            self._now -= 1
            self._of_load = {load: i - (i > gone) for load, i in self._of_load.items() if i != gone}

    def _forget(self, strange: _Strange) -> None:
        """Take back what a run taught that belonged to another state."""
        for h, odds, pace in strange.before:
            h.odds, h.paces[self._now] = odds, pace
        self._grid = [h for h, _, _ in strange.before]

    @property
    def log_rate(self) -> float | None:
        """log seconds of one token at no depth, at the present level."""
        return None if self._blank else self._level(self._now)

    def _level(self, state: int) -> float:
        return self._mean(lambda h: h.paces[state].level)

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


def _size(h: _Hypothesis, tokens: float, area: float) -> float:
    return math.log(h.overhead + tokens + h.rho * area)


def _alike(one: float, two: float) -> bool:
    """Whether two gaps may be one change of the machine."""
    return one * two > 0 and abs(one - two) <= 0.2 + 0.5 * max(abs(one), abs(two))


def _follow(h: _Hypothesis, pace: _Pace, gap: float, told: float) -> None:
    """One step of the filter: weigh the surprise, move level and noise. `told`: the gap's doubt."""
    doubt = pace.doubt + h.drift
    surprise = gap - pace.level
    noise = pace.squares / pace.freedom
    expected = noise * (doubt + told)
    strange = surprise * surprise / expected
    h.odds -= 0.5 * math.log(expected) + (_TAIL + 1) / 2 * math.log1p(strange / _TAIL)
    trust = (_TAIL + 1) / (_TAIL + strange)
    gain = doubt / (doubt + told / trust)
    pace.level += gain * surprise
    pace.doubt = (1 - gain) * doubt
    pace.freedom = _NOISE_RUNS + (pace.freedom - _NOISE_RUNS) * _MEMORY + 1 / told
    rest = _NOISE_RUNS * _NOISE**2
    seen = min(surprise * surprise / (doubt + told), 9 * noise)
    pace.squares = rest + (pace.squares - rest) * _MEMORY + seen / told


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
