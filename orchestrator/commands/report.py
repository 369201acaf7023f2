"""Write one self-contained page: forecasts against measurements, speeds, gates, advice, batches, cost, and who asked whom."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from . import options as common

EXAMPLES = """\
examples:
  understudy report                                      writes understudy-report.html here
  understudy report --out week.html --since 7d
  understudy report --json                               the same figures, for programs
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("understudy-report.html"),
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument("--since", metavar="TIME", help="only from then on: 7d, 12h, today, or 2026-11-01")
    parser.add_argument(
        "--session", metavar="ID", help="whose timeline; default: the newest in which agents asked models"
    )
    parser.add_argument("--last", type=int, default=1000, metavar="N", help="runs to look at (default: 1000)")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ..report.gather import gathered
    from ..store.costs import since_of

    since = since_of(options.since) if options.since else 0.0
    figures = gathered(last=options.last, since=since, session=options.session)
    figures["batches"] = [one for one in _batches() if one["made"] >= since]
    if options.json:
        common.print_json(figures)
        return 0
    from ..report.page import page

    try:
        options.out.write_text(page(figures), encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"cannot write {options.out}: {exc.strerror or exc}") from exc
    sys.stdout.write(
        f"{options.out}: {len(figures['forecasts']):,} forecasts, {len(figures['speeds']):,} runs\n"
    )
    return 0


def _batches() -> list[dict[str, Any]]:
    """How far each batch of this machine has come, the newest first."""
    from ..batch.open import kept
    from ..batch.queue import BatchFile

    found = list[dict[str, Any]]()
    for path in kept():
        queue = BatchFile(path)
        try:
            id, source, out, made = queue.about
            found.append({"id": id, "in": source, "out": out, "made": made, "counts": dict(queue.counts())})
        finally:
            queue.close()
    return sorted(found, key=lambda one: one["made"], reverse=True)
