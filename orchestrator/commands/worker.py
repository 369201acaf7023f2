"""Work on a team's batches: take orders from its database, run them on the models here, give the receipts back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from servers.ollama.engines.protocol import EngineError

from . import local
from . import options as common

if TYPE_CHECKING:
    from ..batch.host import Host
    from ..batch.team_queue import TeamQueue

EXAMPLES = """\
A worker works in the folder its ollama server is configured for, and needs the files that orders name there.
Of several workers each takes the next order when it is idle; a dead one's orders are taken over within seconds.

examples:
  understudy worker --db postgresql://team@db.example.org/understudy --host http://127.0.0.1:11434
  UNDERSTUDY_DB=postgresql://... understudy worker --slots 2 --tag gpu
  understudy worker --check                for health checks: does the database answer, and a host?

exit codes: 0 ended by SIGTERM or Ctrl-C when idle, 1 the database cannot be used, or --check found a fault
"""


def add(parser: argparse.ArgumentParser) -> None:
    common.add_db(parser)
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        dest="hosts",
        metavar="ENGINE",
        help="where the models run; repeatable; default: `hosts` of config.yaml",
    )
    parser.add_argument("--allow-remote", action="store_true", help="permit hosts on other machines")
    parser.add_argument(
        "--slots", type=int, choices=range(1, 65), metavar="N", help="runs at once on each host"
    )
    parser.add_argument(
        "--tag", action="append", default=[], dest="tags", metavar="TAG", help="what orders may ask for"
    )
    parser.add_argument("--retries", type=count, default=1, metavar="N", help="tries again of a failed order")
    parser.add_argument(
        "--check", action="store_true", help="take nothing; say whether database and hosts answer"
    )
    common.add_config(parser)


def number(words: str, least: int) -> int:
    """A whole number of the command line."""
    if not (words.isascii() and words.isdigit() and len(words) < 10 and int(words) >= least):
        raise argparse.ArgumentTypeError(f"wanted a whole number from {least}, found {words!r}")
    return int(words)


def count(words: str) -> int:
    """A whole number from 0."""
    return number(words, 0)


def run(options: argparse.Namespace) -> int:
    common.database_of(options)
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    from ..batch.open import hosts_of
    from ..batch.run import BatchRun, Limits
    from ..batch.team_ledger import kept_up
    from ..batch.team_queue import TeamQueue

    config = common.only(common.config_of(options), ["ollama"])
    queue = TeamQueue(options.db)
    try:
        async with hosts_of(config, options.hosts, allow_remote=options.allow_remote) as hosts:
            if options.check:
                return await _checked(queue, hosts)
            for host in hosts:
                host.slots, host.tags = options.slots or host.slots, host.tags | frozenset(options.tags)
            limits = Limits(retries=options.retries)
            batch = BatchRun(
                queue=queue,
                output=None,
                hosts=hosts,
                limits=limits,
                follow=True,
                told=local.say,
                watched=local_line,
            )
            local.say(
                f"worker on {', '.join(host.name for host in hosts)}; Ctrl-C finishes what runs and ends"
            )
            async with anyio.create_task_group() as group:
                places = [host.place.forecaster for host in hosts]
                group.start_soon(
                    kept_up, options.db, places[0].ledger, lambda: {place.filed_under for place in places}
                )
                await batch.run()
                group.cancel_scope.cancel()
    finally:
        local.progress("")
        queue.close()
    return 0


async def _checked(queue: TeamQueue, hosts: Sequence[Host]) -> int:
    """Whether this worker could work now: 0 when the database and at least one host answer."""
    waiting = (await anyio.to_thread.run_sync(queue.counts)).get("waiting", 0)
    sys.stdout.write(f"{queue.path} answers; {waiting:,} orders wait\n")
    good = False
    for host in hosts:
        try:
            await host.check()
            good = True
            sys.stdout.write(f"{host.name} answers\n")
        except EngineError as exc:
            sys.stdout.write(f"{host.name} does not answer: {exc}\n")
    return 0 if good else 1


def local_line(standing: object) -> None:
    """What runs now, where a person watches."""
    local.progress(", ".join(getattr(standing, "running", [])))
