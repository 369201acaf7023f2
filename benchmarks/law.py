"""Is the speed model right? Held-out error and interval coverage of the next total, against constant-rate estimators.

    python -m benchmarks.law [--live 40] [--worlds 60]

Three sources of runs: timings of a real engine recorded in data/raw.csv; the same engine live on this machine
(random weights, real timings; needs the `engine` extra; 0 turns it off); simulated machines drawn at random.
Every estimator sees runs one by one and forecasts each before it is shown. A cell is the median absolute
error of all forecasts made with at least k runs behind them, and in brackets the share of totals inside the
90 % interval.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import math
import multiprocessing
import os
import random
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from benchmarks.ratios import Row, figure, report
from benchmarks.worlds import random_machine, shape_of
from servers.ollama.forecast.model_shape import Shape
from servers.ollama.forecast.speed_model import SpeedModel
from servers.ollama.ledger.profile import Profile, from_llamacpp
from servers.ollama.ledger.runs import Key, Run

KS = (1, 3, 10, 30)
SHAPES = {
    "s22": Shape(params=21.9e6, size_bytes=43.9e6, layers=6, heads=8, kv_heads=4, head_dim=64),
    "m100": Shape(params=101e6, size_bytes=107e6, layers=12, heads=12, kv_heads=4, head_dim=64),
    "l300": Shape(params=300e6, size_bytes=319e6, layers=20, heads=16, kv_heads=8, head_dim=64),
}
KEY = Key(host="benchmark", digest="model", processor="cpu")


@dataclass(frozen=True)
class Timed:
    """One run: uncached and cached prompt tokens, tokens out, seconds of both phases."""

    new: int
    cached: int
    out: int
    read_s: float
    write_s: float
    busy_cores: float | None = None
    """Used by other programs meanwhile, where that is told."""

    @property
    def total_s(self) -> float:
        return self.read_s + self.write_s


class Estimator(Protocol):
    def forecast(self, run: Timed) -> tuple[float, float, float] | None:
        """(low, middle, high) seconds of the run, whose sizes alone may be looked at."""
        ...

    def learn(self, run: Timed) -> None: ...


class OurSpeedModel:
    def __init__(self, shape: Shape | None) -> None:
        self.speed = SpeedModel(KEY, shape)

    def forecast(self, run: Timed) -> tuple[float, float, float] | None:
        got = self.speed.forecast(
            run.new + run.cached, run.out, tokens_cached=run.cached, cold=False, busy_cores=run.busy_cores
        )
        return (got.low_s, got.total_s, got.high_s) if got else None

    def learn(self, run: Timed) -> None:
        profile = Profile(
            model="m",
            outcome="done",
            prefill_s=run.read_s,
            decode_s=run.write_s,
            tokens_in=run.new + run.cached,
            tokens_cached=run.cached,
            tokens_out=run.out,
        )
        self.speed.learn(Run(key=KEY, profile=profile, busy_cores=run.busy_cores))


class ConstantRate:
    """Tokens over duration for each phase, median or moving average; its interval is its past errors'."""

    def __init__(self, *, blind: bool = False, moving: bool = False) -> None:
        """`blind`: divides the whole prompt by its duration, as tools do that ignore the cache."""
        self.blind, self.moving = blind, moving
        self.read: list[float] = []
        self.write: list[float] = []
        self.off: list[float] = []

    def forecast(self, run: Timed) -> tuple[float, float, float] | None:
        if not self.read or not self.write:
            return None
        size = run.new + run.cached if self.blind else run.new
        middle = size * self._rate(self.read) + (run.out - 1) * self._rate(self.write)
        spread = math.sqrt((0.25**2 + sum(o * o for o in self.off)) / (1 + len(self.off)))
        return middle * math.exp(-1.75 * spread), middle, middle * math.exp(1.75 * spread)

    def learn(self, run: Timed) -> None:
        if got := self.forecast(run):
            self.off.append(math.log(run.total_s / got[1]))
        size = run.new + run.cached if self.blind else run.new
        self.read.append(run.read_s / size)
        if run.out > 1:
            self.write.append(run.write_s / (run.out - 1))

    def _rate(self, seen: Sequence[float]) -> float:
        if not self.moving:
            return median(seen)
        rate = seen[0]
        for value in seen[1:]:
            rate += 0.13 * (value - rate)
        return rate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--live", type=int, default=40, help="runs of a real engine on this machine")
    parser.add_argument("--worlds", type=int, default=60, help="simulated machines")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    with redirect_stdout(io.StringIO()) if given.json else nullcontext():
        tables(given.live, given.worlds, rows)
    if given.json:
        unseen = _title(given.worlds)
        report(rows, as_json=True, at_most={f"{unseen}: median": 0.15}, at_least={f"{unseen}, 90 %": 0.85})


def _title(machines: int) -> str:
    return f"simulated: {machines} machines nobody has seen"


def tables(live_runs: int, machines: int, rows: dict[str, Row]) -> None:
    """Print every table, and note what it says from the third run on."""
    for (model, threads), runs in recorded().items():
        kind = "busy machine" if threads == "2" else "one thread"
        rows |= table(f"recorded: {model}, {kind}", [(runs, SHAPES[model])])
    if live_runs:
        try:
            rows |= table("live: 22 M random weights, this machine now", [live(live_runs)])
        except ImportError as exc:
            print(f"live: skipped, the engine extra is not installed ({exc.name})")
    if machines:
        worlds = [simulated(seed) for seed in range(50_000, 50_000 + machines)]
        rows |= table(_title(machines), worlds)
        loads = [beside_a_load(seed) for seed in range(60_000, 60_000 + machines)]
        load_table(f"simulated: {machines} machines where a load begins and ends", loads)


def table(title: str, series: Sequence[tuple[Sequence[Timed], Shape | None]]) -> dict[str, Row]:
    print(f"\n{title} ({sum(len(runs) for runs, _ in series)} runs)")
    print(f"  {'':34s}" + "".join(f"{f'k>={k}':>14s}" for k in KS))
    kinds: dict[str, Callable[[Shape | None], Estimator]] = {
        "count / duration, cache-blind": lambda _: ConstantRate(blind=True),
        "constant rate, median": lambda _: ConstantRate(),
        "constant rate, moving average": lambda _: ConstantRate(moving=True),
        "our speed model, no shape": lambda _: OurSpeedModel(None),
        "our speed model": OurSpeedModel,
    }
    errors: dict[str, float] = {}
    shares: dict[str, float] = {}
    for name, make in kinds.items():
        scored = [s for runs, shape in series for s in scores(make(shape), runs)]
        cells = []
        for k in KS:
            cells.append(_cell([(error, inside) for n, error, inside in scored if n >= k]))
        print(f"  {name:34s}" + "".join(f"{cell:>14s}" for cell in cells))
        late = [(error, inside) for n, error, inside in scored if n >= 3]
        errors[name] = median(error for error, _ in late)
        shares[name] = sum(inside for _, inside in late) / len(late)
    ours, constant = (errors[name] for name in ("our speed model", "constant rate, median"))
    return {
        f"{title}: median error from the fourth run on": figure(ours, "%"),
        f"{title}: error / that of a constant rate": figure(ours / constant),
        f"{title}, 90 % intervals held": figure(shares["our speed model"], "%"),
    }


def load_table(title: str, series: Sequence[Loaded]) -> None:
    """How forecasts do around a load: the first, second and all later runs after it began and after it ended."""
    print(f"\n{title} ({sum(len(one.runs) for one in series)} runs)")
    print(
        f"  {'':34s}"
        + "".join(
            f"{name:>14s}" for name in ("before", "1st after", "2nd", "3rd on", "ended, 1st", "2nd", "3rd on")
        )
    )
    for name, told in (("load not told", False), ("load told", True)):
        found: dict[str, list[tuple[float, bool]]] = {}
        for one in series:
            runs = one.runs if told else [replace(run, busy_cores=None) for run in one.runs]
            for n, error, inside in scores(OurSpeedModel(one.shape), runs):
                if n >= 3:
                    found.setdefault(one.place(n), []).append((error, inside))
        cells = [_cell(found.get(place, [])) for place in PLACES]
        print(f"  our speed model, {name:17s}" + "".join(f"{cell:>14s}" for cell in cells))


PLACES = ("before", "began 1", "began 2", "began 3", "ended 1", "ended 2", "ended 3")


@dataclass(frozen=True)
class Loaded:
    """Runs of one machine of which those from `began` until `ended` had a busy neighbour."""

    runs: Sequence[Timed]
    shape: Shape | None
    began: int
    ended: int

    def place(self, n: int) -> str:
        if n < self.began:
            return "before"
        since = n - self.began if n < self.ended else n - self.ended
        return f"{'began' if n < self.ended else 'ended'} {min(since + 1, 3)}"


def _cell(part: Sequence[tuple[float, bool]]) -> str:
    share = sum(inside for _, inside in part) / len(part) if part else 0
    return f"{median(e for e, _ in part):6.1%} ({share:4.0%})" if part else "-"


def beside_a_load(seed: int) -> Loaded:
    """A random machine on which a load that slows it down 1.5 to 40 times begins and ends in the middle."""
    runs, shape = simulated(seed, 48)
    rng = random.Random(seed + 1)
    began, ended = 10 + rng.randrange(6), 26 + rng.randrange(8)
    factor = math.exp(rng.uniform(math.log(1.5), math.log(40)))
    part, spread = rng.uniform(0.6, 1.0), rng.choice((0.05, 0.1, 0.2))
    slowed: list[Timed] = []
    for n, run in enumerate(runs):
        if began <= n < ended:
            read, write = (factor**share * math.exp(rng.gauss(0, spread)) for share in (part, 1.0))
            run = replace(run, read_s=run.read_s * read, write_s=run.write_s * write)
        cores = rng.uniform(0.7, 1.1) if began <= n < ended else rng.uniform(0.0, 0.25)
        slowed.append(replace(run, busy_cores=cores))
    return Loaded(slowed, shape, began, ended)


def scores(estimator: Estimator, runs: Iterable[Timed]) -> list[tuple[int, float, bool]]:
    """(runs behind it, |forecast - measured| / measured, inside the interval) of each forecast."""
    scored: list[tuple[int, float, bool]] = []
    for n, run in enumerate(runs):
        if got := estimator.forecast(run):
            scored.append((n, abs(got[1] - run.total_s) / run.total_s, got[0] <= run.total_s <= got[2]))
        estimator.learn(run)
    return scored


def recorded() -> dict[tuple[str, str], list[Timed]]:
    found: dict[tuple[str, str], list[Timed]] = {}
    with (Path(__file__).parent / "data" / "raw.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["exp"] == "stream":
                sizes = (int(row[name]) for name in ("n_new", "n_cached", "n_out"))
                times = (float(row[name]) / 1e3 for name in ("prompt_ms", "eval_ms"))
                found.setdefault((row["model"], row["threads"]), []).append(Timed(*sizes, *times))
    return found


def simulated(seed: int, count: int = 40) -> tuple[list[Timed], Shape]:
    machine, rng = random_machine(seed), random.Random(seed)
    (model,) = machine.models.values()
    runs: list[Timed] = []
    text = ""
    for _ in range(count):
        kept = text[: int(len(text) * rng.random())] if rng.random() < 0.3 else ""
        text = f"{kept}{rng.random()}" + "x" * int(100 * 300 ** rng.random())
        ran = machine.run(model, text, int(8 * 40 ** rng.random()))
        runs.append(Timed(ran.tokens_in - ran.cached, ran.cached, ran.tokens_out, ran.read_s, ran.write_s))
    return runs, shape_of(model)


def live(count: int) -> tuple[list[Timed], Shape]:
    """Random work on llama.cpp's server in a child process. Raises ImportError without the engine."""
    importlib.import_module("xllamacpp")
    from benchmarks.random_model import Llama, write_random_model

    model = Llama()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.gguf"
        weights = write_random_model(path, model)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        child = context.Process(target=serve, args=(str(path), theirs), daemon=True)
        child.start()
        try:
            if not ours.poll(60):
                raise TimeoutError("the engine did not start within 60 s")
            url = ours.recv()
            runs = list(work(url, count, model.vocabulary))
        finally:
            child.kill()
            child.join()
    shape = Shape(
        params=weights,
        size_bytes=2 * weights,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_dim=model.width // model.heads,
    )
    return runs, shape


def serve(path: str, pipe: Connection[str, None]) -> None:
    engine: Any = importlib.import_module("xllamacpp")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # it logs every request
    params = engine.CommonParams()
    params.model.path = path
    params.n_ctx = 8192
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port = 0
    server = engine.Server(params)
    pipe.send(server.listening_address)
    pipe.recv()  # never: this process is killed


def work(url: str, count: int, vocabulary: int) -> Iterable[Timed]:
    rng = random.Random(1)
    prompt: list[int] = []
    for n in range(count + 1):
        size = int(64 * 40 ** rng.random())
        if n > 1 and rng.random() < 0.3:
            prompt = prompt[: int(len(prompt) * rng.uniform(0.5, 1))]
            size = int(16 * 40 ** rng.random())
        else:
            prompt = []
        prompt = [*prompt, *(rng.randrange(256, vocabulary - 2) for _ in range(size))]
        out = int(8 * 16 ** rng.random())
        body = {"prompt": prompt, "n_predict": out, "ignore_eos": True, "cache_prompt": True}
        request = urllib.request.Request(
            f"{url}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            profile = from_llamacpp(json.load(answer)["timings"], model="random")
        if n and profile.tokens_new and profile.tokens_out and profile.prefill_s and profile.decode_s:
            yield Timed(
                profile.tokens_new,
                profile.tokens_cached or 0,
                profile.tokens_out,
                profile.prefill_s,
                profile.decode_s,
            )  # the first one warms up


if __name__ == "__main__":
    main()
