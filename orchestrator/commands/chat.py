"""Talk with a lead in the terminal; the conversation is kept and can be resumed."""

from __future__ import annotations

import argparse

import anyio

from . import options as common

EXAMPLES = """\
In the conversation: /help lists the commands, Ctrl-C stops a turn, Ctrl-D leaves, @path names a file.

examples:
  understudy chat --model anthropic:claude-opus-5-5
  understudy chat --model ollama:qwen3:8b
  understudy chat --resume last
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="PROVIDER:MODEL", help="the lead (default: DEFAULT_MODEL or default_model)"
    )
    parser.add_argument("--resume", metavar="ID", help="go on with this conversation; 'last' is the newest")
    parser.add_argument(
        "--format", choices=["rich", "plain", "json", "markdown"], help="how to show what happens"
    )
    common.add_tools(parser)
    common.add_budget(parser)
    common.add_label(parser)
    common.add_yes(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    from ..terminal.chat.chat import chat

    config = common.config_of(options)
    approve = common.approve_of(options) if options.yes else None  # the conversation asks at its own prompt
    return anyio.run(lambda: chat(config, model=options.model, resume=options.resume, approve=approve))
