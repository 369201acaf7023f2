"""Let several models answer blind, then argue until they agree; the minority is reported."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
examples:
  understudy debate --models a,b,c "Should this service own its database?"
  understudy debate --models a,b --judge c --rounds 3 --json "..."

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    panel.add_models(parser)
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="at most N after the blind answers (default: 2)"
    )
    parser.add_argument("--judge", metavar="MODEL", help="decides a tie")
    parser.add_argument(
        "--implement", metavar="MODEL", help="carries out what was agreed on, with the tools there are"
    )
    panel.add_embed(parser)
    panel.add(parser)


def run(options: argparse.Namespace) -> int:
    names = ("models", "rounds", "judge", "embed", "implement")
    return panel.run(options, "debate", **{name: getattr(options, name) for name in names})
