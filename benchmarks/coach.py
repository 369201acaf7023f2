"""Does advice work? Deadline hit rates by call number, in random worlds, of three callers.

    python -m benchmarks.coach [--worlds 200] [--seed 0]

Each world is a simulated Ollama with unknown speed models, noise, drift, loads, cache and queue, spoken to over its
real wire. A caller has a task: a prompt of which a part is needed, an answer of some length, a deadline which
the task as it is mostly misses and its fastest version meets in 95 % of tries.
The naive caller sends the task as it is, each time. The advised one sends its first call so, and from then on
what our plan says, fitted to the runs it has seen. The oracle sends the fastest version of the task from the
first call on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import httpx2

from benchmarks.ratios import Row, figure, report
from benchmarks.worlds import key_of, random_machine, shape_of
from servers.ollama.forecast.advice import recommend
from servers.ollama.forecast.plans import Task, Worker
from servers.ollama.forecast.speed_models import SpeedModels
from servers.ollama.forecast.token_estimates import Lengths, prompt_size
from servers.ollama.ledger.ledger import Ledger
from servers.ollama.ledger.profile import Profile, from_ollama
from servers.ollama.ledger.runs import Run, filed
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, SimulatedModel

CALLERS = ("naive", "advised", "oracle")
CALLS = 5
FEASIBLE = 0.95
_TRIES = 200


@dataclass(frozen=True)
class Job:
    """What a caller wants done: sizes in characters, as callers know them."""

    chars: int
    least_chars: int
    least_out: int
    cap: int
    think: bool
    deadline_s: float


@dataclass(frozen=True)
class Call:
    hit: bool
    kept: float


@dataclass
class Tally:
    """Hits at call 1, 2, ..., and by then."""

    at: list[int]
    by: list[int]
    kept: list[float]
    """Optional prompt sent, 0 to 1, summed: a plan that cuts everything is no art."""

    def add(self, told: list[Call]) -> None:
        for n, call in enumerate(told):
            self.at[n] += call.hit
            self.by[n] += any(c.hit for c in told[: n + 1])
            self.kept[n] += call.kept


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    tallies = {name: Tally([0] * CALLS, [0] * CALLS, [0.0] * CALLS) for name in CALLERS}
    for seed in range(given.seed, given.seed + given.worlds):
        for name, told in (await world_of(seed)).items():
            tallies[name].add(told)
    if given.json:
        report(figures(tallies, given.worlds), as_json=True, at_least={"by its third call": 0.8})
        return
    print(
        f"{given.worlds} random worlds (simulated), "
        f"deadlines the fastest version meets in {FEASIBLE:.0%} of tries"
    )
    for name, tally in tallies.items():
        for what, counted in (
            ("hit at call", tally.at),
            ("hit by call", tally.by),
            ("prompt kept", tally.kept),
        ):
            shares = "  ".join(f"{count / given.worlds:6.1%}" for count in counted)
            print(f"{name:8s} {what} 1..{CALLS}: {shares}")


def figures(tallies: Mapping[str, Tally], worlds: int) -> dict[str, Row]:
    advised = tallies["advised"]
    rows: dict[str, Row] = {
        "by its third call, deadlines the advised caller met": figure(advised.by[2] / worlds, "%")
    }
    for n in (1, CALLS - 1):
        for floor in ("naive", "oracle"):
            share = advised.at[n] / max(tallies[floor].at[n], 1)
            rows[f"deadlines met at call {n + 1}, advised / {floor}"] = figure(share)
    return rows


async def world_of(seed: int) -> dict[str, list[Call]]:
    """Calls of each caller in the world of this seed; every caller finds it untouched."""
    rng = random.Random(seed)
    job = job_of(rng, seed)
    found: dict[str, list[Call]] = {}
    for name in CALLERS:
        world = World(machine=random_machine(seed, waits=True))
        async with (
            simulated(world) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
        ):
            found[name] = await calls(name, job, world, http)
    return found


def job_of(rng: random.Random, seed: int) -> Job:
    """A task with a deadline that its fastest version meets in FEASIBLE of tries, in a warm world."""
    machine = random_machine(seed, waits=True)
    machine.noise = replace(
        machine.noise, drift="none"
    )  # hundreds of tries would drift far from the first calls
    (model,) = machine.models.values()
    machine.run(model, "warm up", 2)
    least_out = max(int(model.answer_tokens * math.exp(1.3 * model.answer_spread)), 8)
    while True:
        chars = int(math.exp(rng.uniform(math.log(2_000), math.log(60_000))))
        job = Job(
            chars=chars,
            least_chars=int(chars * rng.uniform(0.1, 0.5)),
            least_out=least_out,
            cap=max(1024, 2 * least_out),
            think=rng.random() < 0.4,
            deadline_s=0.0,
        )
        fastest = tried(machine, model, job.least_chars, job.least_out, think=False)
        deadline_s = fastest[math.ceil(FEASIBLE * _TRIES) - 1] * rng.uniform(1.05, 2.0)
        if tried(machine, model, job.chars, job.cap, think=job.think)[_TRIES // 2] > deadline_s:
            return replace(job, deadline_s=deadline_s)


def tried(machine: Machine, model: SimulatedModel, chars: int, cap: int, *, think: bool) -> list[float]:
    """Total seconds of many tries in a warm world, sorted."""
    times: list[float] = []
    for n in range(_TRIES):
        out = min(sum(machine.answer_length(model, think=think)), cap)
        times.append(machine.run(model, f"{n:06d}" + "x" * chars, out).total_s)
    return sorted(times)


async def calls(name: str, job: Job, world: World, http: httpx2.AsyncClient) -> list[Call]:
    (model,) = world.machine.models.values()
    await ask(http, model, "warm up", 2, think=False)
    told: list[Call] = []
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder) / "ledger.sqlite") as ledger:
        speed_models = SpeedModels(ledger, {model.digest: shape_of(model)})
        for n in range(CALLS):
            chars, cap, think = job.chars, job.cap, job.think
            if name == "oracle":
                chars, cap, think = job.least_chars, job.least_out, False
            elif name == "advised":
                chars, cap, think = await advised(job, model, ledger, speed_models, http)
            profile = await ask(http, model, f"{n:06d}" + "x" * chars, cap, think=think)
            ledger.record(
                Run(key=key_of(model), profile=profile, kind="job", think=think, cap=cap, chars_in=chars + 6)
            )
            hit = profile.total_s is not None and profile.total_s <= job.deadline_s
            told.append(Call(hit, (chars - job.least_chars) / (job.chars - job.least_chars)))
    return told


async def advised(
    job: Job, model: SimulatedModel, ledger: Ledger, speed_models: SpeedModels, http: httpx2.AsyncClient
) -> tuple[int, int, bool]:
    """(characters, cap, thinking) our plan asks for; the job as it is while nothing was measured."""
    counted = ledger.counted(filed(model.name, "simulated"))
    size, least = prompt_size(job.chars, counted), prompt_size(job.least_chars, counted)
    task = Task(
        tokens_in=size.tokens,
        least_in=least.tokens,
        cap=job.cap,
        least_out=job.least_out,
        kind="job",
        think=job.think,
        tokens_cached=0,
        tokens_spread=size.spread,
        deadline_s=job.deadline_s,
    )
    running = (await http.get("/api/ps")).json()["models"]

    def lengths(asked: Task) -> Lengths:
        name = filed(model.name, "simulated")
        return speed_models.lengths(
            name, asked.kind, tokens_in=asked.tokens_in, cap=asked.cap, think=asked.think
        )

    worker = Worker(
        model=model.name,
        speed=speed_models.of(key_of(model)),
        lengths=lengths,
        cold=not running,
        room=model.context_length,
    )
    told = recommend(task, worker)
    plan = told.plan or (told.refusal.nearest if told.refusal else None)
    if plan is None:
        return job.chars, job.cap, job.think
    share = (plan.task.tokens_in - least.tokens) / max(size.tokens - least.tokens, 1)
    chars = job.least_chars + max(share, 0.0) * (job.chars - job.least_chars)
    return int(chars), plan.task.cap or job.cap, plan.task.think


async def ask(
    http: httpx2.AsyncClient, model: SimulatedModel, text: str, cap: int, *, think: bool
) -> Profile:
    body: Mapping[str, object] = {
        "model": model.name,
        "messages": [{"role": "user", "content": text}],
        "stream": False,
        "think": think,
        "truncate": False,
        "shift": False,
        "keep_alive": -1,
        "options": {"num_ctx": model.context_length, "num_predict": cap},
    }
    answer = await http.post("/api/chat", json=body)
    return from_ollama(json.loads(answer.text), model=model.name, simulated=True)


if __name__ == "__main__":
    anyio.run(main)
