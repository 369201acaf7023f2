"""A team's batch under fire: is every order done once while workers, coordinator and database die?

    python -m benchmarks.team [--orders N]

Three simulated hosts with one slot each and a worker for each, every worker with a state folder of its own as on a
machine of its own; orders of some 10 ms that write a file each. One worker is killed after a quarter of the receipts,
the coordinator at half, PostgreSQL is restarted at three quarters.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from benchmarks.postgres import Postgres, postgres, programs
from benchmarks.ratios import Row, figure, report
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from servers.workspace.undo_store import UndoStore

HOSTS = 3
SMALL = SimulatedModel(name="small", context_length=8192)
SCALE = 0.0025
"""An order then takes 2 to 35 ms on its host, 8 in the middle."""
PATIENCE_S = 150.0
"""Whoever ends no order for so long ends none any more."""


@dataclass(slots=True)
class Found:
    orders: int
    receipts: int = 0
    """Lines of the output: one for each order."""
    twice: int = 0
    """Orders with more than one."""
    failed: int = 0
    overlaps: int = 0
    """Hosts that ever had two runs of a model at once."""
    writes: Counter[str] = field(default_factory=Counter[str])
    """By file, over the undo stores of all machines."""
    longest_gap_s: float = 0.0
    """Between two orders' ends."""
    took_s: float = 0.0
    per_host: Counter[str] = field(default_factory=Counter[str])


class Process(Protocol):
    args: Any

    def poll(self) -> int | None: ...
    def wait(self, timeout: float = ...) -> int: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...


def proven(
    folder: Path, server: Postgres, orders: int, start: Callable[[Sequence[str], Mapping[str, str]], Process]
) -> Found:
    """What a batch comes to whose parts die as told above. `start` starts understudy with words and environment."""
    found, out = Found(orders), folder / "r.jsonl"
    lines = [{"task": f"t{n}", "write": f"out/{n}.txt"} for n in range(orders)]
    given = folder / "in.jsonl"
    given.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    worlds = [World(machine=Machine(SMALL, noise=Noise(spread=0.05), seed=n)) for n in range(HOSTS)]

    def begun(home: str, *words: str) -> Process:
        return start(words, {"UNDERSTUDY_DB": server.url, "UNDERSTUDY_HOME": str(folder / home)})

    with ExitStack() as stack:
        urls = [stack.enter_context(simulated_in_thread(world, scale=SCALE)) for world in worlds]
        client = begun("client", "batch", str(given), "--out", str(out))
        workers = [begun(f"machine{n}", "worker", "--host", url) for n, url in enumerate(urls)]
        everything = [client, *workers]
        stack.callback(lambda: [killed(process) for process in everything])

        def until(share: float) -> None:
            told, deadline = -1, 0.0
            while (now := out.read_bytes().count(b"\n") if out.exists() else -1) < share * orders:
                if client.poll() is not None or all(worker.poll() is not None for worker in workers):
                    raise RuntimeError(f"nobody works on it any more; see {folder}")
                if now > told or not deadline:
                    told, deadline = now, time.monotonic() + PATIENCE_S
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"no order ended for {PATIENCE_S:.0f} s, after {now} of {orders}; see {folder}"
                    )
                time.sleep(0.01)

        until(0.0)
        began = time.monotonic()
        until(0.25)
        killed(workers[0])
        until(0.5)
        killed(client)
        client = begun("client", "batch", str(given), "--out", str(out))
        everything.append(client)
        until(0.75)
        server.stop()
        server.start()
        until(1.0)
        ended(client)
        found.took_s = time.monotonic() - began
        found.longest_gap_s = longest_gap(server)
        for worker in workers[1:]:
            worker.terminate()
            ended(worker)
    told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    keys = Counter(one["key"] for one in told)
    found.receipts, found.twice = len(told), sum(count > 1 for count in keys.values())
    found.failed = sum(not one["ok"] for one in told)
    found.per_host = Counter(one["host"] for one in told)
    found.overlaps = sum(world.most_at_once > 1 for world in worlds)
    found.writes = writes(folder)
    return found


def killed(process: Process) -> None:
    process.kill()
    process.wait()


def ended(process: Process) -> None:
    if code := process.wait(60):
        raise RuntimeError(f"{process.args} ended with {code}")


def longest_gap(server: Postgres) -> float:
    import psycopg

    with psycopg.connect(server.url) as db:
        ends = [end for (end,) in db.execute("SELECT ended FROM understudy_orders ORDER BY ended").fetchall()]
    return max((later - sooner for sooner, later in pairwise(ends)), default=0.0)


def writes(folder: Path) -> Counter[str]:
    """How often each file was written, by the undo stores of all machines."""
    counted, cut_short = Counter[str](), set[str]()
    for home in folder.glob("machine*/undo"):
        store = UndoStore(home)
        for record in store.recent(1_000_000):
            counted.update(step.path for step in record.steps if step.path.startswith("out/"))
        cut_short.update(step.path for record in store.unfinished() for step in record.steps)
    # Killed between the file's new name and the note of it: whoever did the order again found nothing to change.
    counted.update(path for path in cut_short - counted.keys() if (folder / path).is_file())
    return counted


AT_MOST: Mapping[str, float] = {
    "orders without a receipt": 0,
    "orders with two": 0,
    "files written twice": 0,
    "hosts with two runs": 0,
    "longest time without": 5,
}


def rows(found: Found) -> dict[str, Row]:
    return {
        "orders": figure(found.orders, "orders"),
        "orders without a receipt": figure(found.orders - found.receipts + found.twice, "orders"),
        "orders with two receipts": figure(found.twice, "orders"),
        "orders that failed": figure(found.failed, "orders"),
        "files written twice": figure(sum(count > 1 for count in found.writes.values()), "files"),
        "files nobody wrote": figure(found.orders - len(found.writes), "files"),
        "hosts with two runs at once": figure(found.overlaps, "hosts"),
        "longest time without an order ending": figure(found.longest_gap_s, "s"),
        "orders a second, deaths included": figure(found.orders / found.took_s, "1/s"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=2000, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    command = shutil.which("understudy", path=str(Path(sys.executable).parent))
    if programs() is None or command is None:
        missing = (
            "PostgreSQL is not installed: apt install postgresql"
            if command
            else "understudy is not installed"
        )
        report({"a team under fire": missing}, as_json=given.json)
        return
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder = Path(name)

        def start(words: Sequence[str], env: Mapping[str, str]) -> Process:
            with (folder / "log").open("ab") as log:
                return subprocess.Popen(
                    [command, *words], cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log
                )

        found = proven(folder, server, given.orders, start)
    report(rows(found), as_json=given.json, at_most=AT_MOST)


if __name__ == "__main__":
    main()
