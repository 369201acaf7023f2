"""Write one self-contained page: forecasts against measurements, speeds, gates, advice, cost, and who asked whom."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

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
    parser.add_argument("--session", metavar="ID", help="whose timeline; default: the newest conversation")
    parser.add_argument("--last", type=int, default=1000, metavar="N", help="runs to look at (default: 1000)")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ..report.gather import gathered
    from ..store.costs import since_of

    since = since_of(options.since) if options.since else 0.0
    figures = gathered(last=options.last, since=since, session=options.session)
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
