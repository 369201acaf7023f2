"""Let several models vote, each without seeing the others, or one model several times."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
A tie has no result. `agreement` is the share of valid ballots for the winner.

examples:
  understudy vote --models a,b,c --choices yes,no "Is 2027 a prime?"
  understudy vote --models ollama:qwen3:8b --samples 5 --stop-early "How many r are in strawberry?"
  understudy vote --models a,b,c --judge a --json "What broke the build?"

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    panel.add_models(parser)
    parser.add_argument("--choices", type=panel.listed, metavar="A,B", help="the only valid ballots")
    parser.add_argument("--samples", type=int, metavar="N", help="ballots of each model (default: 1)")
    parser.add_argument("--judge", metavar="MODEL", help="says which ballots mean the same")
    panel.add_embed(parser)
    parser.add_argument(
        "--stop-early", action="store_true", help="call off ballots that cannot change the winner any more"
    )
    panel.add(parser)


def run(options: argparse.Namespace) -> int:
    return panel.run(
        options,
        "vote",
        models=options.models,
        choices=options.choices,
        samples=options.samples,
        judge=options.judge,
        embed=options.embed,
        stop_early=options.stop_early,
    )
