"""Let one model write and another review, until the critic approves or the reviews are used up."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
A model does not approve its own text: with one model for both, the result is never called approved.

examples:
  understudy refine --author ollama:qwen3:8b --critic openai:gpt-6 "Write release notes for 0.1.0."
  understudy refine --author a --critic b --implement a --iterations 3 --json "Fix the flaky test."

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--author", metavar="MODEL", help="who writes (default: default_model)")
    parser.add_argument("--critic", metavar="MODEL", help="who reviews (default: another one of `panel`)")
    parser.add_argument("--iterations", type=int, metavar="N", help="at most N reviews (default: 2)")
    parser.add_argument("--token", metavar="TEXT", help="what the critic says to approve (default: <OK>)")
    parser.add_argument(
        "--implement", metavar="MODEL", help="carries out what was approved, with the tools there are"
    )
    panel.add(parser, "task")


def run(options: argparse.Namespace) -> int:
    names = ("author", "critic", "iterations", "token", "implement")
    return panel.run(options, "refine", **{name: getattr(options, name) for name in names})
