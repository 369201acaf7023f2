"""The speed model of one (machine, model, settings), and forecasts from it.

    total = wait + load + reading + writing
    reading = rate * (overhead + N + rho (N D + N (N - 1) / 2))    N uncached prompt tokens behind D cached
    writing = rate * (S + rho (S (D + N) + S (S + 1) / 2))         S steps: the first token comes with reading

Rates, overheads and rhos are learned from the ledger (phase.py), loads and foreign waits are taken as they
came, and a forecast is the distribution of the total over all of it: median and central 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..ledger.profile import FRESH_LOAD_S, could_be_whole
from ..ledger.runs import Key, Run
from .forecast import Forecast
from .model_shape import TYPICAL, Shape
from .phase_model import OVERHEADS, Guess, Phase, Prior
from .quantiles import NO_WAIT, Spread, Wait
from .run_grid import DRAWS, RunGrid, reading_area, writing_area
from .token_estimates import CHARS_PER_TOKEN, Lengths, exactly

KEPT_RUNS = 100
"""Runs a speed model is learned from."""
_STEADY = 4
"""Unexplainedly fast runs in a row that are believed."""
_ENOUGH = 3
"""Finished runs after which unfinished ones tell nothing new."""
_OUR_CLOCK = 20.0
"""Doubt about our own clock's timings, in units of the noise: load, wait and guessed counts are in them."""
_SLOWED = 0.5
"""New doubt about the log pace of a known machine whose run was stopped when it should long have ended."""
BUSY_CORES = 0.4
"""Used by other programs, from which on a machine counts as busy."""
_IDLE_S, _FEW_WAITS = 0.005, 6
_TOGETHER, _TOGETHER_RUNS = 0.5, 5.0
"""Prior correlation of the two phases' noise, and its weight in runs."""


class SpeedModel:
    """What is known of one key's speed. Learn runs oldest first, in one thread; others may ask meanwhile."""

    def __init__(
        self,
        key: Key,
        shape: Shape | None = None,
        *,
        reading: Prior | None = None,
        writing: Prior | None = None,
        loads: Iterable[float] = (),
    ) -> None:
        """`reading`, `writing` and `loads` are what is borrowed; without them only the shape is."""
        rho_read, rho_write = (shape or TYPICAL).depth_costs(key.processor)
        wide = 1.0 if shape else 1.6
        self.key, self.shape = key, shape
        self.reading = Phase(reading or Prior(rho=rho_read, rho_spread=wide, overheads=OVERHEADS))
        self.writing = Phase(writing or Prior(rho=rho_write, rho_spread=wide))
        self.runs = 0
        self.last_id = 0
        self._borrowed_loads = list(loads)
        self._loads: tuple[float, ...] = ()
        self._warm: tuple[float, ...] = ()
        self._reloads: tuple[bool, ...] = ()
        self._waits: tuple[float, ...] = ()
        self._cached: tuple[int, ...] = ()
        self._together = self._told = 0.0
        self._chars_per_token = CHARS_PER_TOKEN
        self._fast: list[tuple[float, _Row]] = []

    def learn(self, run: Run) -> None:
        """Take in one run, leaving out what it does not tell: failures, shared engines, unknown hits."""
        self.last_id = max(self.last_id, run.id)
        p = run.profile
        if run.overlapped:
            return
        if p.outcome in ("cancelled", "aborted"):
            return self._learn_unfinished(run)
        if p.outcome not in ("done", "length"):
            return
        cold = _loaded(run)
        self._reloads = (*self._reloads, cold)[-6:]
        if p.load_s is not None and cold:
            self._loads = (*self._loads, p.load_s)[-10:]
        elif p.load_s is not None:
            self._warm = (*self._warm, p.load_s)[-20:]
        if p.queue_s is not None:
            self._waits = (*self._waits, p.queue_s)[-30:]
        if p.tokens_cached is not None and not cold:
            self._cached = (*self._cached, p.tokens_cached)[-12:]
        busy = is_busy(run.busy_cores)
        read, write = self._read_of(run), _write_of(run)
        if read and write:
            self._compare(read, write)
        if read:
            self.reading.learn(*read, busy=busy)
        if write:
            self.writing.learn(*write, busy=busy)
        self.runs += bool(read or write)
        if p.tokens_in and run.chars_in:
            self._chars_per_token = run.chars_in / p.tokens_in
        self._lend_writing()

    def _learn_unfinished(self, run: Run) -> None:
        """What our clock saw of a stopped run: else a missed deadline, or a slow machine, teach nothing."""
        p = run.profile
        tokens_in = p.tokens_in or round((run.chars_in or 0) / self._chars_per_token)
        if p.wall_s is None or p.wall_s <= 0 or tokens_in <= 0 or p.load_s is not None:
            return
        cached = max(0, min(run.expected_cached or 0, tokens_in - 1))
        area = reading_area(tokens_in - cached, cached)
        if p.first_token_s is None:  # it took at least so long; how much longer is open
            self._hear(self.reading, (*area, 2 * p.wall_s), least_s=p.wall_s)
        else:
            self._hear(self.reading, (*area, p.first_token_s), least_s=p.first_token_s)
            tokens_out = round((p.chars_out or 0) / CHARS_PER_TOKEN)
            if tokens_out > 1 and p.wall_s > p.first_token_s:
                took_s = p.wall_s - p.first_token_s
                self._hear(self.writing, (*writing_area(tokens_out, tokens_in), took_s), least_s=took_s)
        self._lend_writing()

    def _hear(self, phase: Phase, row: _Row, least_s: float) -> None:
        """Let our own clock teach a phase: much while little is known, later only that it has become slow."""
        guess = phase.guess(row[0], row[1])
        if self.runs < _ENOUGH:
            phase.learn(*row, doubt=_OUR_CLOCK)
        elif guess is not None and math.log(least_s) > guess.mean + max(2 * guess.spread, math.log(1.5)):
            phase.loosen(_SLOWED)
            phase.learn(*row, doubt=_OUR_CLOCK)

    def _lend_writing(self) -> None:
        """While no answer was timed: a token written takes about nine times a token read."""
        read = self.reading.log_rate
        if read is not None:
            self.writing.lend(read + math.log(9), spread=1.0)

    def forecast(
        self,
        tokens_in: int,
        lengths: Lengths | int,
        *,
        tokens_cached: int | None = None,
        cap: int | None = None,
        cold: bool | None = None,
        wait: Wait = NO_WAIT,
        tokens_spread: float = 0.0,
        busy_cores: float | None = None,
    ) -> Forecast | None:
        """The forecast of a run, or None while nothing is known of this machine.

        `tokens_cached`: prompt tokens that will come from the cache; None expects what earlier runs got.
        `cold`: the model must be loaded; None does not know. `wait`: known wait for earlier work.
        `tokens_spread`: uncertainty of `tokens_in` as a standard deviation of its logarithm. `busy_cores`: what
        other programs use now; None expects the machine as the last run found it.
        """
        out = exactly(lengths) if isinstance(lengths, int) else lengths
        tokens_in = max(tokens_in, 1)
        cached = _typical(self._cached) if tokens_cached is None else tokens_cached
        if cold or (2 * cached <= tokens_in and self._cached and not any(self._cached)):
            cached = (
                0  # a server that tells of hits and never had one, not even a template's, keeps no prompts
            )
        cached = max(0, min(cached, tokens_in - 1))
        busy = is_busy(busy_cores)
        reading, writing = self.reading.believed(busy=busy), self.writing.believed(busy=busy)
        if reading is None or writing is None:
            return None
        written = max(out.p50, 1)
        grid = RunGrid(
            reading=reading,
            writing=writing,
            tokens_in=tokens_in,
            cached=cached,
            spread=tokens_spread,
            shared=self._shared(),
        )
        begun_s = self._begun_s(cold=cold, wait=wait)
        ends = grid.ends(out, begun_s)
        capped = grid.ends(exactly(max(cap, 1)), begun_s) if cap is not None else None
        ventiles = tuple(_quantile(ends, i / 20) for i in range(1, 20))
        return Forecast(
            total_s=ventiles[9],
            low_s=ventiles[0],
            high_s=ventiles[18],
            wait_s=wait.at(0.5) + self._waiting().at(0.5),
            load_s=self._load(bool(cold)).at(0.5),
            prefill_s=math.exp(reading.guess(*reading_area(tokens_in - cached, cached)).mean),
            decode_s=math.exp(writing.guess(*writing_area(written, tokens_in)).mean) if written > 1 else 0.0,
            cold=bool(cold),
            runs=self.runs,
            tokens_in=tokens_in,
            tokens_cached=cached,
            tokens_out_p50=out.p50,
            tokens_out_p90=out.p90,
            cap=cap,
            cap_s=_quantile(capped, 0.95) if capped else None,
            ventiles=ventiles,
        )

    def expected_prefill_s(self, tokens_in: int) -> float | None:
        """Seconds to read such a prompt without the cache; None while unknown."""
        read = self.reading.guess(*reading_area(tokens_in, 0))
        return math.exp(read.mean) if read else None

    def speeds(self, depth: int = 0) -> tuple[float, float] | None:
        """(prompt tokens, answer tokens) a second at this depth, from the speed model; None while unknown."""
        read, write = self.reading.log_rate, self.writing.log_rate
        if read is None or write is None:
            return None
        return (
            math.exp(-read) / (1 + self.reading.rho * depth),
            math.exp(-write) / (1 + self.writing.rho * depth),
        )

    @property
    def loads(self) -> list[float]:
        """Seconds of the last loads, oldest first."""
        return list(self._loads)

    @property
    def reload_share(self) -> float:
        """Of the last few runs, those that loaded the model again; 0 while there are fewer than four."""
        again = self._reloads[1:]
        return sum(again) / len(again) if len(again) >= 3 else 0.0

    def _begun_s(self, *, cold: bool | None, wait: Wait) -> list[float]:
        """When imagined runs begin to read, one for each draw: each waits, and finds the model loaded or not."""
        waits = self._waiting().each(_WAITS)
        if wait.variance:  # by another share: who waits long at the engine need not wait long for us
            waits = [waited + wait.at(share) for waited, share in zip(waits, _QUEUES, strict=True)]
        elif wait.mean_s:
            waits = [waited + wait.mean_s for waited in waits]
        if cold is False:
            loads = self._load(False).each(_LOADS)
        else:
            load, warm = self._load(True), self._load(False)
            loads = [
                warm.at(share) if cold is None and share < 0.5 else load.at(2 * share % 1.0)
                for share in _LOADS
            ]
        return [waited + loaded for waited, loaded in zip(waits, loads, strict=True)]

    def _waiting(self) -> Spread:
        """Waits for others as they came; while few did, mostly none: one queue makes no busy server."""
        idle = min([*self._waits, _IDLE_S])
        return Spread.of([*self._waits, *[idle] * (_FEW_WAITS - len(self._waits))])

    def _load(self, cold: bool) -> Spread:
        if not cold:
            return Spread.of(self._warm)
        if self._loads:
            return Spread.around(self._loads, doubt=0.35)
        return Spread.around(self._borrowed_loads or [_blind_load_s(self.shape)], doubt=0.8)

    def _shared(self) -> float:
        """Correlation of the phases' noise, 0 to 0.98."""
        told = (_TOGETHER * _TOGETHER_RUNS + self._together) / (_TOGETHER_RUNS + self._told)
        return max(0.0, min(told, 0.98))

    def _compare(self, read: _Row, write: _Row) -> None:
        before, after = self.reading.guess(read[0], read[1]), self.writing.guess(write[0], write[1])
        if before is None or after is None:
            return
        a, b = _surprise(before, read[2]), _surprise(after, write[2])
        self._together += a * b
        self._told += (a * a + b * b) / 2

    def _read_of(self, run: Run) -> _Row | None:
        p = run.profile
        if p.tokens_in is None or not p.prefill_s:
            return None
        if p.tokens_cached is not None:
            new = p.tokens_in - p.tokens_cached
            return (*reading_area(new, p.tokens_cached), p.prefill_s) if new > 0 else None
        step_s = p.decode_s / (p.tokens_out - 1) if p.decode_s and p.tokens_out and p.tokens_out > 1 else None
        if step_s and not run.expected_cached and not could_be_whole(p.tokens_in, p.prefill_s, step_s):
            return None
        return self._untold(p.tokens_in, p.prefill_s, run.expected_cached or 0, fresh=_loaded(run))

    def _untold(self, tokens_in: int, seconds: float, expected: int, *, fresh: bool) -> _Row | None:
        """The row of a prompt whose cache hits were not reported: as expected, or, for large ones, none.

        A prompt read in less than half its time had more hits than known and tells nothing; unless that keeps
        happening by about the same factor: then the machine is faster than it was thought to be.
        """
        hit = 0 if fresh else max(0, min(expected, tokens_in - 1))
        choices = (0, hit) if 2 * hit > tokens_in else (hit,)  # choosing costs honesty about the noise
        rows = [(*reading_area(tokens_in - cached, cached), seconds) for cached in choices]
        gaps = [
            (math.log(seconds) - guess.mean, row) for row in rows if (guess := self.reading.guess(*row[:2]))
        ]
        if not gaps:
            return rows[-1]
        gap, row = min(gaps, key=lambda found: abs(found[0]))
        if fresh or gap > -math.log(2):
            self._fast.clear()
            return row
        self._fast.append((gap, row))
        steady = self._fast[-_STEADY:]
        if len(steady) < _STEADY or max(steady)[0] - min(steady)[0] > 0.8:
            return None
        for _, earlier in steady[:-1]:
            self.reading.learn(*earlier)
        self._fast.clear()
        return row


def is_busy(cores: float | None) -> bool | None:
    """Whether other programs using so many cores make the machine a busy one; None where it is not known."""
    return None if cores is None else cores >= BUSY_CORES


_Row = tuple[float, float, float]
"""Tokens, area, seconds."""


_WAITS, _LOADS = [draw.wait for draw in DRAWS], [draw.load for draw in DRAWS]
_QUEUES = [draw.queue for draw in DRAWS]


def _loaded(run: Run) -> bool:
    """Whether the run started a new engine, whose cache is empty. A warm Ollama says milliseconds, our own 0."""
    least_s = 1e-6 if run.key.server.startswith("embedded") else FRESH_LOAD_S
    return (run.profile.load_s or 0.0) >= least_s


def _surprise(guess: Guess, seconds: float) -> float:
    return max(-2.5, min((math.log(seconds) - guess.mean) / guess.spread, 2.5))


def _write_of(run: Run) -> _Row | None:
    p = run.profile
    if p.tokens_in is None or p.tokens_out is None or p.tokens_out < 2 or not p.decode_s:
        return None
    return (*writing_area(p.tokens_out, p.tokens_in), p.decode_s)


def _typical(cached: Iterable[int]) -> int:
    """What most of the last prompts got from the cache: their lower quartile, as a hit is never promised."""
    seen = sorted(cached)
    return seen[len(seen) // 4] if seen else 0


def _blind_load_s(shape: Shape | None) -> float:
    """A load nobody timed here: half a second of start-up and 1 GB a second."""
    return 0.5 + (shape or TYPICAL).size_bytes / 1e9


def _quantile(ends: list[float], share: float) -> float:
    place = share * (len(ends) - 1)
    low = int(place)
    high = min(low + 1, len(ends) - 1)
    return ends[low] + (ends[high] - ends[low]) * (place - low)
