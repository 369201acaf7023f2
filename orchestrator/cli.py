"""The command line: finds the command, runs it, turns what went wrong into one sentence and an exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from .commands import log
from .errors import OrchestratorError

COMMANDS = {
    "demo": "show the whole path on a small project of its own: no key, no network, no Ollama needed",
    "run": "give a lead one task",
    "chat": "talk with a lead in the terminal",
    "sessions": "list, read, replay, search, export, fork and delete kept conversations",
    "memory": "list, search, add and delete what agents remember, and what earlier runs teach",
    "cost": "show what models cost, by model, agent, label or day",
    "metrics": "print what models took as Prometheus text",
    "delegate": "hand one task to a local model and get a receipt",
    "batch": "hand many tasks to local models: orders in, receipts out, resumable",
    "consult": "ask several models the same, and one of them for the best of their answers",
    "vote": "let several models vote, or one model several times",
    "refine": "let one model write and another review, until it approves",
    "debate": "let several models answer blind, then argue until they agree",
    "route": "give a task to the model that suits it best",
    "plan": "let one model plan tasks for others, carry them out and sum up",
    "patterns": "list the patterns there are; go on with one that was broken off or waits for approval",
    "worker": "take orders of a team's batches from its database and run them here",
    "estimate": "forecast a delegation without running it",
    "calibrate": "measure how fast a local model is here, with a few short test prompts",
    "models": "list local models with their speed, or every provider's",
    "bench": "ask several models the same and compare speed, cost, memory and failures",
    "profile": "show measured runs, speeds and how good the forecasts were",
    "report": "one page of forecasts against measurements, speeds, gates, advice and cost",
    "tools": "list the tools of the configured servers",
    "call": "call one tool, as a model would",
    "serve": "offer patterns, or Python functions, as tools to any MCP host",
    "simulate": "run a simulated Ollama, to try everything on without a model",
    "gateway": "serve local models, groups and aliases to clients that can set only a base URL",
    "init": "put the servers into an MCP host: Claude, Cursor, VS Code, Codex, Gemini, Zed and more",
    "doctor": "say what is here, what is missing and how to get it",
    "config": "show every setting and where it came from, secrets masked",
    "completion": "print a script that completes commands and options in bash, zsh or fish",
    "audit": "check that the record of what servers decided and did is whole",
    "trust": "let a workspace's config.yaml or mcp.json start what it asks for",
}

EPILOG = """\
Models are written provider:model, for example anthropic:claude-opus-5-5, openai:gpt-6, google:gemini-3-pro,
bedrock:amazon.nova-pro-v1:0, ollama:qwen3:8b, or scripted:FILE.jsonl for a recorded one.

exit codes: 0 done, 1 it failed (one sentence says why), 2 the command line is wrong,
3 it waits for a decision (understudy patterns approve), 130 stopped by Ctrl-C

examples:
  understudy demo
  understudy run --model anthropic:claude-opus-5-5 "Summarise docs/*.md into SUMMARY.md; use local models for the reading."
  understudy call files read_file path=README.md limit=20
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # here a reader that has left can still be dealt with
    except BrokenPipeError:  # `head` perhaps, which has seen enough; what is still buffered goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str]) -> int:
    command = next((word for word in arguments if not word.startswith("-")), None)
    options = parser_of(command).parse_args(arguments)
    if options.command is None:
        parser_of(None).print_help()
        return 2
    module = importlib.import_module(f".commands.{options.command}", __package__)
    log.begin(options)
    try:
        return module.run(options)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except OrchestratorError as exc:
        return _failed(exc, options)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is None:
            raise BrokenPipeError from group
        known, rest = group.split(OrchestratorError)
        if known is None or rest is not None:
            raise
        return _failed(_first(known), options)


def parser_of(command: str | None) -> argparse.ArgumentParser:
    """Arguments are declared for the named command alone: declaring all would import them all."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="understudy",
        description="Hand work from any model to local models, see every exchange, and learn from each run.",
        epilog=EPILOG,
        formatter_class=formatter,
    )
    parser.set_defaults(parser_of=parser_of)  # `completion` tells of every command
    parser.add_argument("--version", action="version", version=f"understudy {version('understudy')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        added = commands.add_parser(name, help=summary, formatter_class=formatter)
        if name == command:
            module = importlib.import_module(f".commands.{name}", __package__)
            added.description, added.epilog = module.__doc__, module.EXAMPLES
            module.add(added)
            log.add(added)
    return parser


def _failed(exc: BaseException, options: argparse.Namespace) -> int:
    if getattr(options, "json", False):
        sys.stdout.write(json.dumps({"ok": False, "error": str(exc), "kind": type(exc).__name__}) + "\n")
    else:
        sys.stderr.write(f"understudy: {exc}\n")
    return exc.exit_code if isinstance(exc, OrchestratorError) else 1


def _first(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
