"""Batches: makespan against an oracle and round robin, and what a queue of orders costs against a bare SQLite table.

    python -m benchmarks.batch [--worlds N]

Makespan: three unlike hosts (speeds 1:3:10), orders of several seconds, forecasts wrong by as much as measured ones
(a lognormal factor whose median error is 15 %). The oracle knows the true seconds and places the longest first where
it ends soonest; round robin hands out in turn. Cost: taking and ending orders one by one, against one bare table.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.ratios import Row, figure, ratio, report
from orchestrator.batch.orders import BatchOrder, Keyed
from orchestrator.batch.queue import BatchFile
from orchestrator.batch.schedule import AtWork, Kind, Schedule, bucket_of

SPEEDS = {"slow": 1.0, "middle": 3.0, "fast": 10.0}
FORECAST_SIGMA = 0.22
"""Of the logarithm of a forecast's error: its median is then 15 %."""


def world(rng: random.Random) -> dict[str, tuple[int, float]]:
    """Orders by key: (characters, seconds at speed 1)."""
    count = rng.choice((12, 30, 100, 300))
    sizes = [int(rng.lognormvariate(8.5, 0.8)) for _ in range(count)]
    return {f"o{n}": (size, 20 * size / 5000 * rng.lognormvariate(0, 0.15)) for n, size in enumerate(sizes)}


def scheduled(orders: dict[str, tuple[int, float]], rng: random.Random) -> float:
    """The makespan of our schedule, which knows forecasts by kind only."""
    kinds = {key: Kind(("m", (), "answer", None), bucket_of(size)) for key, (size, _) in orders.items()}
    wrong = {
        (host, kind): rng.lognormvariate(0, FORECAST_SIGMA) for host in SPEEDS for kind in set(kinds.values())
    }

    def seconds(host: str, kind: Kind) -> float:
        return 20 * kind.size / 5000 / SPEEDS[host] * wrong[host, kind]

    schedule = Schedule(seconds)
    for key, kind in kinds.items():
        schedule.add(key, kind)
    now, ends = 0.0, list[tuple[float, str]]()
    expected = dict.fromkeys(SPEEDS, 0.0)
    idle = set(SPEEDS)
    while len(schedule) or ends:
        for host in sorted(idle, key=lambda name: -SPEEDS[name]):
            others = {
                name: AtWork(slots=1, left_s=max(expected[name] - now, 0.0))
                for name in SPEEDS
                if name != host
            }
            if chosen := schedule.take(host, others):
                idle.discard(host)
                expected[host] = now + seconds(host, chosen[1])
                heapq.heappush(ends, (now + orders[chosen[0]][1] / SPEEDS[host], host))
        if not ends:
            raise AssertionError("orders wait and nobody takes them")
        now, host = heapq.heappop(ends)
        idle.add(host)
    return now


def oracle(orders: dict[str, tuple[int, float]]) -> float:
    """Longest first to where it ends soonest, the true seconds known."""
    free = dict.fromkeys(SPEEDS, 0.0)
    for _, took in sorted(orders.values(), key=lambda one: -one[1]):
        host = min(free, key=lambda name: free[name] + took / SPEEDS[name])
        free[host] += took / SPEEDS[host]
    return max(free.values())


def round_robin(orders: dict[str, tuple[int, float]]) -> float:
    free = dict.fromkeys(SPEEDS, 0.0)
    names = list(SPEEDS)
    for number, (_, took) in enumerate(orders.values()):
        host = names[number % len(names)]
        free[host] += took / SPEEDS[host]
    return max(free.values())


def timed(work: Callable[[], None]) -> float:
    """CPU seconds, the least of three."""
    took = []
    for _ in range(3):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def bare(path: Path, count: int, waiting: int) -> float:
    """Take and end `count` orders in a plain table that holds `waiting`."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE o (k TEXT PRIMARY KEY, body TEXT, state TEXT, record TEXT)")
    db.execute("CREATE INDEX s ON o (state)")
    body, record = json.dumps({"task": "x"}), json.dumps({"ok": True, "answer": "y" * 200})
    db.executemany("INSERT INTO o VALUES (?, ?, 'waiting', NULL)", [(f"k{n}", body) for n in range(waiting)])

    def work() -> None:
        for n in range(count):
            db.execute("UPDATE o SET state = 'running' WHERE k = ? AND state = 'waiting'", (f"k{n}",))
            json.loads(db.execute("SELECT body FROM o WHERE k = ?", (f"k{n}",)).fetchone()[0])
            db.execute("UPDATE o SET state = 'done', record = ? WHERE k = ?", (record, f"k{n}"))
        db.execute("UPDATE o SET state = 'waiting'")

    took = timed(work)
    db.close()
    return took / count


def ours(path: Path, count: int, waiting: int) -> float:
    queue = BatchFile(path)
    order = BatchOrder(task="x")
    queue.add([(Keyed(key=f"k{n}", line=n, order=order), 10) for n in range(waiting)])
    record = {"key": "k", "ok": True, "answer": "y" * 200}

    def work() -> None:
        for n in range(count):
            queue.take(f"k{n}", "host")
            queue.end(f"k{n}", "done", record)
        queue.set_waiting(("done",))

    took = timed(work)
    queue.close()
    return took / count


AT_MOST = {
    "makespan, median / oracle": 1.1,
    "makespan, median / round": 0.7,
    "CPU of an order, 100,000 waiting / 1,000": 1.3,
    "CPU of an order": 1.5,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=200, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    rng = random.Random(19)
    to_oracle, to_robin = list[float](), list[float]()
    for _ in range(given.worlds):
        orders = world(rng)
        took = scheduled(orders, rng)
        to_oracle.append(took / oracle(orders))
        to_robin.append(took / round_robin(orders))
    for name, ratios in (("oracle", to_oracle), ("round robin", to_robin)):
        high = sorted(ratios)[math.floor(0.95 * len(ratios))]
        rows[f"makespan, median / {name}"] = figure(statistics.median(ratios))
        rows[f"makespan, 95 % of worlds below / {name}"] = figure(high)
    with tempfile.TemporaryDirectory() as folder:
        each = dict[int, float]()
        for waiting in (1_000, 10_000, 100_000):
            floor = bare(Path(folder, f"bare{waiting}"), 1000, waiting)
            each[waiting] = ours(Path(folder, f"ours{waiting}.sqlite"), 1000, waiting)
            rows[f"CPU of an order, {waiting:,} waiting / a bare table"] = ratio(each[waiting], floor)
        rows["CPU of an order, 100,000 waiting / 1,000 waiting"] = ratio(each[100_000], each[1_000])
    report(rows, as_json=given.json, at_most=AT_MOST)


if __name__ == "__main__":
    main()
