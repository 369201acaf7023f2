"""Show the whole path on a small project of its own: a lead reads a file, hands the work to a local model with the
tests as its gate, checks the receipt and the change, and commits it. It needs no key and no network."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio

from ..events import Event, ignore, tee
from ..sanitize import visible
from . import local
from . import options as common

if TYPE_CHECKING:
    from ..demo.run import Ended, Worker

EXAMPLES = """\
With an Ollama server the worker is its model with the best odds for the edit; a server without one is offered one. Without one it is an embedded engine (extra `engine`) that
recites with real timings, or else a script with recorded ones; the second line says which.

examples:
  understudy demo
  understudy demo --worker qwen3:8b
  understudy demo --json
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--worker",
        metavar="MODEL",
        help="the Ollama model that does the work (default: the likeliest to pass)",
    )
    parser.add_argument(
        "--format", choices=["rich", "plain", "json", "markdown"], help="how to show what happens"
    )
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    from ..config.load import load_config
    from ..demo.run import choose_worker, perform, project
    from ..terminal.display import Display

    seen: list[Event] = []
    async with project() as folder:
        asks = not options.json and sys.stdin.isatty() and sys.stderr.isatty()
        worker = await choose_worker(folder, options.worker, _asked if asks else None, local.progress)
        local.progress("")
        settings = load_config(cwd=folder, display__format=options.format).display
        display = Display(settings=settings)
        async with display.alive():
            ended = await perform(folder, worker, tee(seen.append, ignore if options.json else display))
    if options.json:
        common.print_json(_report(ended, worker))
    else:
        sys.stdout.write(_closing(ended))
    return 0


async def _asked(question: str) -> bool:
    """A yes from the person at the terminal."""
    sys.stderr.write(f"{visible(question)} [y/N] ")
    sys.stderr.flush()
    return (await anyio.to_thread.run_sync(sys.stdin.readline)).strip().lower() in ("y", "yes")


def _closing(ended: Ended) -> str:
    """What is on the disk now, and what to do next with one's own models."""
    from ..terminal.screen.tool_view import unfenced

    parts = [
        ("the change", ended.diff),
        ("the commit", ended.commit),
        ("the tests, run once more", unfenced(ended.tests)),
        ("the ledger's line for this run", ended.ledger),
    ]
    shown = "".join(f"\n── {title} ──\n{text.strip()}\n" for title, text in parts)
    return f"{shown}\n{NEXT}"


def _report(ended: Ended, worker: Worker) -> dict[str, Any]:
    return {
        "worker": asdict(worker),
        "accepted": ended.accepted,
        "text": ended.reply.text,
        "said": [message.text for message in ended.reply.messages if message.role == "assistant"],
        "tool_calls": [call.name for message in ended.reply.messages for call in message.tool_calls],
        "diff": ended.diff,
        "commit": ended.commit,
        "tests": ended.tests,
        "ledger": ended.ledger,
    }


NEXT = """\
── next, with your own models ──
  understudy doctor                  what is here, what is missing, how to get it
  understudy chat --model ollama:qwen3:8b       a local lead: nothing leaves here
  export ANTHROPIC_API_KEY=...       or OPENAI_API_KEY, GEMINI_API_KEY, AWS_PROFILE
  understudy run --model anthropic:claude-opus-5-5 "..."    a lead that hands over
  understudy init --host claude-desktop         the same servers inside an MCP host
  understudy simulate                no model? one that pretends, to try things on
"""
