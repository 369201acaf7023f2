"""Ask several models the same at once; with a judge, get one answer that says whose it is."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
examples:
  understudy consult --models ollama:qwen3:8b,openai:gpt-6 "Is this schema in third normal form?"
  understudy consult --models a,b,c --judge anthropic:claude-opus-5-5 --json "..."
  git diff | understudy consult --models a,b "Review this." -

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    panel.add_models(parser)
    parser.add_argument(
        "--judge", metavar="MODEL", help="writes one answer that cites the others as [1], [2]"
    )
    panel.add(parser)


def run(options: argparse.Namespace) -> int:
    return panel.run(options, "consult", models=options.models, judge=options.judge)
