"""Hand many tasks to local models: one order a line in, one receipt a line out, each done once, resumed by the same command."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from servers.durations import duration

from ..errors import ConfigError
from . import local
from . import options as common
from .worker import count, number

if TYPE_CHECKING:
    from ..batch.orders import Keyed
    from ..batch.queue import BatchFile
    from ..batch.run import Standing
    from ..batch.team_queue import TeamQueue

EXAMPLES = """\
an order is one JSON object a line: task, and of files, write, gate, schema, model, ladder, deadline_s, max_output,
context, think, id, label, priority, tags what it needs, as `understudy delegate` takes them

examples:
  understudy batch orders.jsonl --out receipts.jsonl
  understudy batch --task "Summarise {path} in three sentences." --glob "docs/**/*.md" --out summaries.jsonl
  understudy batch orders.jsonl --out receipts.jsonl --host http://gpu1:11434 --host http://gpu2:11434 --allow-remote
  understudy batch status
  understudy batch retry 1f3a09bc

The same command goes on after Ctrl-C, kill -9 or a power cut. Ctrl-C finishes what runs, twice gives it back.

exit codes: 0 every order is done, 1 some failed or it was stopped, 2 the input is wrong, 130 stopped by Ctrl-C
"""
ACTIONS = ("status", "cancel", "retry")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        nargs="?",
        metavar="IN.jsonl",
        help="orders, - reads standard input; or status, cancel, retry",
    )
    parser.add_argument("id", nargs="?", metavar="ID", help="the batch to show, cancel or retry")
    parser.add_argument(
        "--out", type=Path, metavar="OUT.jsonl", help="receipts, in the order they are finished"
    )
    parser.add_argument("--task", metavar="TEMPLATE", help="instead of IN: what to do with each {path}")
    parser.add_argument("--glob", metavar="GLOB", help="the files for --task, below the server's folder")
    parser.add_argument("--write", metavar="WHERE", help="for --task: a path with {path}, edits or patch")
    parser.add_argument("--gate", metavar="GATE", help="for --task: syntax, quotes, tests, none")
    parser.add_argument("--model", default=None, help="for --task (default: auto)")
    parser.add_argument(
        "--label", dest="order_label", metavar="TEXT", help="for --task: comes back in each receipt"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        dest="hosts",
        metavar="ENGINE",
        help="repeatable; default: `hosts` of config.yaml",
    )
    parser.add_argument("--allow-remote", action="store_true", help="permit hosts on other machines")
    parser.add_argument(
        "--retries", type=count, metavar="N", help="tries again of a failed order (default: 1)"
    )
    parser.add_argument(
        "--max-parallel",
        type=partial(number, least=1),
        metavar="N",
        help="orders under way at once, on all hosts",
    )
    parser.add_argument(
        "--stop-after-failures",
        type=partial(number, least=1),
        metavar="N",
        help="stop when so many have failed",
    )
    parser.add_argument("--budget-usd", type=float, metavar="USD", help="by the hourly prices of the hosts")
    common.add_db(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    if options.input in ACTIONS and not Path(options.input).exists():
        return _looked_after(options)
    if options.out is None:
        raise ConfigError("--out is missing: where shall the receipts go? for example --out receipts.jsonl")
    return anyio.run(_team if options.db else _run, options)


async def _team(options: argparse.Namespace) -> int:
    """Hand the orders to the team's workers, and write the receipts down as they come."""
    from ..batch.follow import followed
    from ..batch.open import id_of, roots_of
    from ..batch.orders import size_of
    from ..batch.output import Output
    from ..batch.team_queue import TeamQueue

    given = {
        "--host": options.hosts,
        "--retries": options.retries,
        "--max-parallel": options.max_parallel,
        "--stop-after-failures": options.stop_after_failures,
        "--budget-usd": options.budget_usd,
    }
    if words := [word for word, value in given.items() if value not in (None, [])]:
        raise ConfigError(
            f"--db (or UNDERSTUDY_DB) hands the batch to the team, where each worker decides of {', '.join(words)}; "
            "leave it away, or the database"
        )
    roots = roots_of(common.only(common.config_of(options), ["ollama"]))
    orders, id = _orders(options, roots), id_of(options.out)
    queue, output = TeamQueue(options.db, batch=id), Output(options.out)
    try:
        queue.begin(id, str(options.input or options.task), str(options.out.absolute()))
        queue.add([(one, size_of(one.order, roots)) for one in orders])
        local.say(f"batch {id} is with the team; Ctrl-C leaves it there, the same command comes back to it")
        standing, why = await followed(queue, output, _watch)
    finally:
        local.progress("")
        output.close()
        queue.close()
    return _ended(options, id, standing, why)


async def _run(options: argparse.Namespace) -> int:
    from ..batch.open import file_of, hosts_of, id_of, roots_of
    from ..batch.orders import size_of
    from ..batch.output import Output
    from ..batch.queue import BatchFile, only_one
    from ..batch.run import BatchRun, Limits

    config = common.only(common.config_of(options), ["ollama"])
    roots = roots_of(config)
    orders = _orders(options, roots)
    id, told = id_of(options.out), local.say
    path = file_of(id)
    limits = Limits(
        retries=1 if options.retries is None else options.retries,
        max_parallel=options.max_parallel,
        stop_after_failures=options.stop_after_failures,
        budget_usd=options.budget_usd,
    )
    with only_one(path):
        queue, output = BatchFile(path), Output(options.out)
        try:
            queue.begin(id, str(options.input or options.task), str(options.out.absolute()))
            new = queue.add([(one, size_of(one.order, roots)) for one in orders])
            if new < len(orders):
                told(f"batch {id} goes on: {len(orders) - new:,} of {len(orders):,} orders were known")
            if more := sum(queue.counts().values()) - len(orders):
                told(f"it holds {more:,} more orders, of an earlier input with the same --out")
            async with hosts_of(config, options.hosts, allow_remote=options.allow_remote) as hosts:
                batch = BatchRun(
                    queue=queue, output=output, hosts=hosts, limits=limits, told=told, watched=_watch
                )
                try:
                    standing = await batch.run()
                finally:
                    local.progress("")
        finally:
            output.close()
            queue.close()
    return _ended(options, id, standing, batch.stopped_why)


def _orders(options: argparse.Namespace, roots: Sequence[Path]) -> list[Keyed]:
    from ..batch.orders import from_jsonl, from_template

    if options.task is None and options.input is None:
        raise ConfigError("there are no orders: give IN.jsonl, or --task TEMPLATE with --glob GLOB")
    if options.task is not None and options.input is not None:
        raise ConfigError("give IN.jsonl or --task, not both")
    fields = {
        "write": options.write,
        "gate": options.gate,
        "model": options.model,
        "label": options.order_label,
    }
    if options.input is not None:
        for name, given in {"glob": options.glob, **fields}.items():
            if given is not None:
                raise ConfigError(
                    f"--{name} goes with --task; each order of {options.input} says by itself what it wants"
                )
        if options.out.exists() and options.input != "-" and options.out.samefile(options.input):
            raise ConfigError(f"--out {options.out} is the input; the receipts need a file of their own")
        return _apart(from_jsonl(Path(options.input)), options.out, roots)
    if options.glob is None:
        raise ConfigError("--task needs --glob: which files?")
    return _apart(from_template(str(options.task), options.glob, roots[0], fields), options.out, roots)


def _apart(orders: list[Keyed], out: Path, roots: Sequence[Path]) -> list[Keyed]:
    """No order writes where the receipts go."""
    place = os.path.realpath(out)
    for one in orders:
        if one.order.write and any(os.path.normpath(root / one.order.write) == place for root in roots):
            raise ConfigError(f"line {one.line}: write is {one.order.write!r}, where --out has the receipts")
    return orders


def _ended(options: argparse.Namespace, id: str, standing: Standing, why: str | None) -> int:
    counts = standing.counts
    good = set(counts) <= {"done"}
    if options.json:
        record = {"batch": id, "out": str(options.out), "stopped": why, "counts": dict(counts)}
        common.print_json(record | {"seconds": round(standing.took_s, 3)}, ok=good)
    else:
        said = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()))
        again = " and ".join(state for state in ("failed", "cancelled") if counts.get(state))
        more = f"; `understudy batch retry {id}` lets the {again} ones wait again" if again else ""
        if counts.get("waiting"):
            more += "; the same command goes on with those that wait"
        sys.stdout.write(
            f"batch {id}: {said} in {local.number(standing.took_s, ' s')}; receipts in {options.out}{more}\n"
        )
    return 130 if why == "stopped by you" else 0 if good else 1


def _looked_after(options: argparse.Namespace) -> int:
    from ..batch.open import file_of, kept
    from ..batch.queue import BatchFile

    if options.db:
        return _looked_after_at_the_team(options)
    paths = [file_of(options.id)] if options.id else kept()
    if options.id and not paths[0].exists():
        known = ", ".join(path.stem for path in kept()) or "none"
        raise ConfigError(f"there is no batch {options.id!r}; there are {known}")
    if options.input != "status" and not options.id:
        raise ConfigError(
            f"which batch? `understudy batch {options.input} ID`; `understudy batch status` lists them"
        )
    records = list[dict[str, Any]]()
    for path in paths:
        queue = BatchFile(path)
        try:
            records.append(_record(options.input, queue) | _under_way(queue))
        finally:
            queue.close()
    if options.json:
        common.print_json({"batches": records})
        return 0
    sys.stdout.write("".join(_line(record) for record in records) or "there is no batch yet\n")
    return 0


def _looked_after_at_the_team(options: argparse.Namespace) -> int:
    from ..batch.team_queue import TeamQueue

    if not options.id:
        raise ConfigError(f"which batch? `understudy batch {options.input} ID --db ...`")
    queue = TeamQueue(options.db, batch=options.id)
    try:
        if not queue.counts():
            raise ConfigError(f"the team has no batch {options.id!r}")
        record = _record(options.input, queue)
    finally:
        queue.close()
    if options.json:
        common.print_json({"batches": [record]})
    else:
        sys.stdout.write(_line(record))
    return 0


def _record(action: str, queue: BatchFile | TeamQueue) -> dict[str, Any]:
    changed = None
    if action == "cancel":
        changed = queue.set_cancelled()
    elif action == "retry":
        changed = queue.set_waiting(("failed", "cancelled"))
    id, source, out, made = queue.about
    failures = [
        {"line": one.line, "key": one.key, "reason": (one.record or {}).get("reason")}
        for one in queue.failures(5)
    ]
    counts = dict(queue.counts())
    return {
        "id": id,
        "in": source,
        "out": out,
        "made": made,
        "counts": counts,
        "changed": changed,
        "failures": failures,
    }


def _under_way(queue: BatchFile) -> dict[str, Any]:
    """Which process runs the batch, and when it will be done at the pace of its orders so far."""
    from ..batch.finish import by_pace
    from ..batch.queue import run_by

    runner = run_by(queue.path)
    if runner is None:
        return {"process": None, "left_s": None}
    counts = queue.counts()
    left, now = counts.get("waiting", 0) + counts.get("running", 0), time.time()
    end = by_pace(queue.ended_since(runner[1]), now - runner[1], left)
    left_s = None if end is None else {"about": end.about_s, "low": end.low_s, "high": end.high_s}
    return {"process": runner[0], "left_s": left_s}


def _until(left_s: dict[str, float] | None) -> str:
    """ ", about 3 min left (90 %: 2 min to 5 min)"."""
    if left_s is None:
        return ", too few have ended to tell when it is done"
    about, low, high = (duration(round(left_s[name])) for name in ("about", "low", "high"))
    return f", about {about} left (90 %: {low} to {high})"


def _line(record: dict[str, Any]) -> str:
    from ..sanitize import one_line

    said = (
        ", ".join(f"{number:,} {state}" for state, number in sorted(record["counts"].items())) or "no orders"
    )
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(record["made"]))
    lines = [f"{record['id']}  {made}  {said}  {one_line(record['in'], 40)} -> {record['out']}"]
    process = record.get("process")
    if process is not None:
        lines.append(f"  process {process} runs it{_until(record['left_s'])}")
    if record["changed"] is not None:
        who = "the process that runs it" if process is not None else "the same `understudy batch` command"
        lines.append(f"  {record['changed']:,} orders changed; {who} goes on with that")
    lines += [f"  line {one['line']}: {one_line(str(one['reason']), 120)}" for one in record["failures"]]
    return "\n".join(lines) + "\n"


def _watch(standing: Standing) -> None:
    counts = standing.counts
    whole, ended = sum(counts.values()), counts.get("done", 0) + counts.get("failed", 0)
    left, end = "", standing.finish
    if end is not None and end.about_s > 0:
        left = _until({"about": end.about_s, "low": end.low_s, "high": end.high_s})
    failed = f", {counts['failed']:,} failed" if counts.get("failed") else ""
    local.progress(f"{ended:,} of {whole:,}{failed}{left}; {', '.join(standing.running)}")
