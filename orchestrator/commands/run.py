"""Give a lead one task; it works with the tools of the configured servers until it answers."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from ..agent import Reply
from ..errors import ConfigError
from ..events import Appended, Emit, Event, tee
from . import options as common

EXAMPLES = """\
examples:
  understudy run --model anthropic:claude-opus-5-5 "Add type hints to src/util.py; delegate the edit, gate it with the tests."
  understudy run --model ollama:qwen3:8b "What does setup.py do?"
  understudy run --model scripted:lead.jsonl --json "Replay a recorded lead."
  git diff | understudy run --model openai:gpt-6 "Review this diff." -
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="what to do; '-' after it adds standard input")
    parser.add_argument(
        "stdin", nargs="?", choices=["-"], metavar="-", help="append standard input to the task"
    )
    parser.add_argument(
        "--model", metavar="PROVIDER:MODEL", help="the lead (default: DEFAULT_MODEL or default_model)"
    )
    parser.add_argument("--system", metavar="TEXT", help="replace the lead's system prompt")
    parser.add_argument("--no-tools", action="store_true", help="offer no tools")
    parser.add_argument("--max-rounds", type=int, metavar="N", help="at most N model calls")
    parser.add_argument(
        "--timeout", type=float, dest="run_timeout_s", metavar="S", help="give up after S seconds"
    )
    parser.add_argument("--quiet", action="store_true", help="print the answer alone")
    parser.add_argument(
        "--format", choices=["rich", "plain", "json", "markdown"], help="how to show what happens"
    )
    common.add_yes(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    task = options.task
    if options.stdin:
        task += "\n\n" + sys.stdin.read()
    if not task.strip():
        raise ConfigError(
            'the task is empty; say what to do, for example: understudy run --model ollama:qwen3:8b "..."'
        )
    return anyio.run(_run, options, task)


async def _run(options: argparse.Namespace, task: str) -> int:
    from dataclasses import replace

    from ..session import open_session

    config = common.config_of(options)
    seen: list[Event] = []
    async with open_session(
        config, _sink(options, config, seen), approve=common.approve_of(options)
    ) as session:
        lead = session.agent(system=options.system)
        reply = await session.ask(replace(lead, tools=()) if options.no_tools else lead, task)
    if options.json:
        common.print_json(_report(lead.model, reply, seen))
    return 0


def _sink(options: argparse.Namespace, config: Any, seen: list[Event]) -> Emit:
    if options.json:
        return seen.append
    from ..display import Display

    return tee(seen.append, Display(settings=config.display))


def _report(model: str, reply: Reply, seen: list[Event]) -> dict[str, Any]:
    from dataclasses import asdict

    results = {event.result.call_id: event.result for event in seen if event.kind == "tool_finished"}
    calls = [call for message in reply.messages for call in message.tool_calls]
    return {
        "ok": True,
        "model": model,
        "text": reply.text,
        "rounds": sum(isinstance(event, Appended) for event in seen),
        "seconds": round(reply.seconds, 3),
        "recorded": any(isinstance(event, Appended) and event.recorded for event in seen),
        "usage": {key: value for key, value in asdict(reply.usage).items() if value is not None},
        "tool_calls": [
            {
                "name": call.name,
                "arguments": dict(call.arguments),
                "is_error": results[call.id].is_error if call.id in results else None,
                "result": results[call.id].text if call.id in results else None,
            }
            for call in calls
        ],
    }
