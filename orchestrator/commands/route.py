"""Give a task to the model that suits it best, and say why it was chosen."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
examples:
  understudy route --to sql=ollama:qwen3:8b="databases, SQL" --to prose=a="letters, summaries" "Speed up this query: ..."
  understudy route --to sql=a --to prose=b --router fast --json "..."

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="NAME=MODEL[=FOR]",
        help="a specialist and what it is good at; repeatable (default: `panel`)",
    )
    parser.add_argument("--router", metavar="MODEL", help="chooses (default: a rule: fit, odds, price)")
    parser.add_argument("--min-odds", type=float, metavar="P", help="measured odds that do (default: 0.7)")
    panel.add(parser, "task")


def run(options: argparse.Namespace) -> int:
    to = panel.named(options.to) or None
    return panel.run(options, "route", specialists=to, router=options.router, min_odds=options.min_odds)
