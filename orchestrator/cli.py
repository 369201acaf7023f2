"""The command line: finds the command, runs it, turns what went wrong into one sentence and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from servers.state.unsaved import unsaved_home

from .commands import log
from .commands.help import EXIT_CODES, SHARED, Parser
from .config.pattern_meanings import MEANINGS
from .errors import OrchestratorError, first_of

if TYPE_CHECKING:
    from .commands.panel import Command

GROUPS = {
    "to begin": {
        "demo": "the whole path on a small project; no key, network or Ollama needed",
        "doctor": "what is here, what is missing and how to get it",
        "init": "put the servers into an MCP host: Claude, Cursor, VS Code, Codex",
        "trust": "let a workspace's config.yaml or mcp.json start what it asks for",
        "config": "every setting and where it came from, secrets masked",
        "simulate": "a simulated Ollama, to try everything on without a model",
    },
    "to talk with a lead": {
        "chat": "talk with it in the terminal",
        "run": "give it one task",
        "sessions": "list, read, replay, search, export and delete conversations",
        "memory": "what agents remember, and what earlier runs teach",
        "cost": "what models cost, by model, agent, label or day",
    },
    "to hand work to local models": {
        "models": "which there are, with their speed here; --all: every provider's",
        "delegate": "hand over one task and get a receipt",
        "batch": "hand over many: orders in, receipts out, resumable",
        "estimate": "forecast a delegation without running it",
        "calibrate": "measure how fast a model is here, with a few short prompts",
        "profile": "measured runs, speeds and how good the forecasts were",
        "bench": "ask several models the same: speed, cost, memory, failures",
        "report": "one page of forecasts against measurements, gates and cost",
        "worker": "take orders of a team's batches and run them here",
    },
    "to let several models work together": {
        **{use: meaning for use, meaning in MEANINGS.items() if use != "ask"},
        "patterns": "list the patterns; go on with one that waits",
    },
    "to connect and to look inside": {
        "tools": "the tools of the configured servers",
        "login": "sign in to a server at an address, in a browser",
        "call": "call one tool, as a model would",
        "serve": "offer patterns, or Python functions, as tools to any MCP host",
        "gateway": "serve models to clients that can set only a base URL",
        "metrics": "what models took, as Prometheus text",
        "audit": "check that the record of what servers did is whole",
        "completion": "complete commands and options in bash, zsh or fish",
    },
}
COMMANDS = {name: summary for group in GROUPS.values() for name, summary in group.items()}

EPILOG = f"""\
{SHARED}
Models are written provider:model, as anthropic:claude-opus-5-5, openai:gpt-6,
ollama:qwen3:8b, or scripted:FILE.jsonl for a recorded one.

exit codes: 0 done, 1 it failed (one sentence says why), 2 the command line is
wrong, 3 it waits for a decision (understudy patterns), 130 stopped by Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _open_closed_streams()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # here a reader that has left can still be dealt with
    except BrokenPipeError:  # `head` perhaps, which has seen enough
        _forget_output()
        return 0
    except OSError as exc:
        return _unwritable(exc)
    except BaseExceptionGroup as group:
        rest = group.split(OSError)[1]
        if rest is not None or not isinstance(first := first_of(group), OSError):
            raise
        return _unwritable(first)


def _open_closed_streams() -> None:
    """Nothing in place of a standard stream that is closed: no file we open may take its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, mode, place in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(place, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _unwritable(exc: OSError) -> int:
    """A full disk, a folder that may not be written: one sentence, and exit code 1."""
    _forget_output()
    where = f"{exc.filename}" if exc.filename else "the output"
    with suppress(OSError):
        sys.stderr.write(f"understudy: {where}: {exc.strerror or exc}\n")
        sys.stderr.flush()
    return 1


def _forget_output() -> None:
    """What is still buffered goes nowhere, also when the program ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stdout.flush()


def _run(arguments: list[str]) -> int:
    command = next((word for word in arguments if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        parser_of(None).error(_unknown(command))
    options = parser_of(command).parse_args(arguments)
    if options.command is None:
        parser_of(None).print_help()
        return 2
    module = command_of(options.command)
    with unsaved_home() as why:
        if why is not None:
            sys.stderr.write(f"understudy: {why}\n")
        return _obeyed(module, options)


def _unknown(command: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no command {command!r}; {hint}`understudy --help` lists them"


def _obeyed(module: ModuleType | Command, options: argparse.Namespace) -> int:
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
        return _failed(first_of(known), options)


def command_of(name: str) -> ModuleType | Command:
    """The command's own module; the patterns share one, which makes their commands from their definitions."""
    if name not in MEANINGS:
        return importlib.import_module(f".commands.{name}", __package__)
    from .commands.panel import Command

    return Command(name)


def parser_of(command: str | None) -> argparse.ArgumentParser:
    """Arguments are declared for the named command alone: declaring all would import them all."""
    parser = Parser(
        prog="understudy",
        usage="understudy COMMAND ...  (COMMAND --help explains one, with examples)",
        description=_listed(),
        epilog=EPILOG,
    )
    parser.set_defaults(parser_of=parser_of)  # `completion` tells of every command
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", prog="understudy", help=argparse.SUPPRESS
    )
    for name, summary in COMMANDS.items():
        added = commands.add_parser(name, help=summary)
        if name == command:
            module = command_of(name)
            own = "exit codes:" in module.EXAMPLES
            added.description = module.__doc__
            added.epilog = module.EXAMPLES if own else f"{module.EXAMPLES}\n{EXIT_CODES}"
            module.add(added)
            log.add(added)
    return parser


class _Version(argparse.Action):
    """Asks for the version when it is wanted: reading the metadata takes half the time of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"understudy {version('understudy')}\n")
        parser.exit()


def _listed() -> str:
    lines = ["Hand work from any model to local models, see every exchange, learn from its timings.", ""]
    for title, group in GROUPS.items():
        lines += [title, *(f"  {name:<11}{summary}" for name, summary in group.items())]
    return "\n".join(lines)


def _failed(exc: BaseException, options: argparse.Namespace) -> int:
    if getattr(options, "json", False):
        from .commands.options import print_json

        print_json({"error": str(exc), "kind": type(exc).__name__}, ok=False)
    else:
        sys.stderr.write(f"understudy: {exc}\n")
    return exc.exit_code if isinstance(exc, OrchestratorError) else 1
