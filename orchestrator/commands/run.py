"""Give a lead one task; it works with the tools of the configured servers until it answers. What was said is kept."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError, OrchestratorError
from ..events import Event, Notice, ignore, tee
from . import options as common

if TYPE_CHECKING:
    from ..reply import Reply

EXAMPLES = """\
examples:
  understudy run --model anthropic:claude-opus-5-5 "Add type hints to src/util.py; the tests are the gate."
  understudy run --model ollama:qwen3:8b "What does setup.py do?"
  understudy run --model scripted:lead.jsonl --json "Replay a recorded lead."
  git diff | understudy run --model openai:gpt-6 "Review this diff." -
  understudy run --tools mytools.py:say_hello "Greet Ann."
  understudy run --pattern careful --set tone=plain "Explain the retry rules."
  understudy run --resume last --budget-usd 0.50 --label project=x "Now do the same for tests/."

exit codes: 0 done, 1 it failed, 3 the pattern waits for a decision
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", help="what to do; '-' after it adds standard input")
    common.add_stdin(parser, "append standard input to the task")
    parser.add_argument(
        "--model", metavar="PROVIDER:MODEL", help="the lead (default: DEFAULT_MODEL or default_model)"
    )
    parser.add_argument("--system", metavar="TEXT", help="replace the lead's system prompt")
    parser.add_argument("--no-tools", action="store_true", help="offer no tools")
    common.add_tools(parser)
    parser.add_argument("--max-rounds", type=int, metavar="N", help="at most N model calls")
    parser.add_argument(
        "--timeout", type=float, dest="run_timeout_s", metavar="S", help="give up after S seconds"
    )
    parser.add_argument("--resume", metavar="ID", help="go on with this conversation; 'last' is the newest")
    parser.add_argument("--no-keep", action="store_true", help="keep nothing of this conversation")
    parser.add_argument("--quiet", action="store_true", help="print the answer alone")
    parser.add_argument(
        "--format", choices=["rich", "plain", "json", "markdown"], help="how to show what happens"
    )
    parser.add_argument("--pattern", metavar="NAME", help="a pattern of config.yaml in place of a lead")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="WORD=TEXT",
        help="a parameter of the pattern; repeatable",
    )
    parser.add_argument("--preview", action="store_true", help="of a pattern: say what it would take")
    common.add_team(parser)
    common.add_budget(parser)
    common.add_label(parser)
    common.add_yes(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    task = options.task
    if options.stdin and options.pattern is None:
        task += "\n\n" + sys.stdin.read()
    if not task.strip():
        raise ConfigError(
            'the task is empty; say what to do, for example: understudy run --model ollama:qwen3:8b "..."'
        )
    if options.pattern is not None:
        return _pattern(options)
    return anyio.run(_run, options, task)


def _pattern(options: argparse.Namespace) -> int:
    from difflib import get_close_matches

    from . import panel

    known = common.config_of(options).patterns
    if options.pattern not in known:
        near = get_close_matches(options.pattern, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        there = ", ".join(known) or "none; `patterns:` in config.yaml defines them"
        raise ConfigError(f"no pattern {options.pattern!r}; {hint}there are {there}")
    words = dict(word.partition("=")[::2] for word in options.set)
    options.question = options.task
    return panel.run_settings(options, known[options.pattern], name=options.pattern, words=words)


async def _run(options: argparse.Namespace, task: str) -> int:
    from contextlib import closing, nullcontext
    from dataclasses import replace

    from ..session.context_window import Memory, window_of
    from ..session.session import open_session
    from ..terminal.display import Display

    config = common.config_of(options)
    seen: list[Event] = []
    display = None if options.json else Display(settings=config.display)
    show = tee(seen.append, display or ignore)
    recorder = common.recorder_of(options, config, show)
    model = recorder.kept and recorder.kept.model
    approve = common.approve_of(options)
    with closing(recorder):
        async with (
            display.alive() if display else nullcontext(),
            open_session(
                config,
                tee(recorder, show),
                approve=display.asking(approve) if display else approve,
                conversation=lambda: recorder.session,
            ) as session,
        ):
            lead = session.agent(options.model or model, system=options.system)
            lead = replace(lead, tools=()) if options.no_tools else lead
            memory = Memory(
                window_of(session), tee(recorder, show), room=session.room, summary=recorder.summary
            )
            failed: OrchestratorError | None = None
            try:
                reply = await memory.ask(session.ask, lead, task, recorder.up_to_date())
            except OrchestratorError as exc:
                if not options.json or exc.reply is None:
                    raise
                failed, reply = exc, exc.reply
    if options.json:
        spent = None if session.budget.unknown_calls else session.budget.spent_usd
        kept = {"spent_usd": spent, "session": recorder.session}  # spent: by every model, failed tries too
        common.print_json(_report(lead.model, reply, seen, failed) | kept, ok=failed is None)
    return failed.exit_code if failed else 0


def _report(model: str, reply: Reply, seen: list[Event], failed: OrchestratorError | None) -> dict[str, Any]:
    """After a failure the same, with why and with what was said until then."""
    from dataclasses import asdict

    why = {} if failed is None else {"error": str(failed), "kind": type(failed).__name__}
    done = {"messages": [asdict(message) for message in reply.messages]} if failed else {}
    return {
        **why,
        "model": model,
        "answered_by": reply.messages[-1].origin if reply.messages else "",
        "text": reply.text,
        "stop": reply.stop,
        "rounds": reply.iterations,
        "seconds": round(reply.seconds, 3),
        "recorded": reply.recorded,
        "provenance": reply.provenance,
        "usage": reply.usage.known(),
        "cost_usd": reply.usage.cost_usd,
        "notices": [event.text for event in seen if isinstance(event, Notice)],
        "tool_calls": [asdict(call) for call in reply.tool_calls],
        **done,
    }
