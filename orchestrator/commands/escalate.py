"""Ask two unlike models, and more only where they disagree."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
Put unlike models first: two of one kind agree on its errors. Who is not needed is not asked.

examples:
  understudy escalate --models ollama:qwen3:8b,ollama:llama3.2:3b,openai:gpt-6 "Which year was it?"
  understudy escalate --models a,b,c --judge c --json "..."

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    panel.add_models(parser)
    parser.add_argument("--judge", metavar="MODEL", help="says which answers mean the same")
    panel.add_embed(parser)
    panel.add(parser)


def run(options: argparse.Namespace) -> int:
    return panel.run(options, "escalate", models=options.models, judge=options.judge, embed=options.embed)
