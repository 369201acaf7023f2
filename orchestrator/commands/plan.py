"""Let one model plan tasks for others, carry them out in the order of their dependencies, and sum up."""

from __future__ import annotations

import argparse

from . import panel

EXAMPLES = f"""\
Nothing that writes is offered before the plan is agreed upon. With --approve it is shown first; where nobody can be
asked it waits, also over days: understudy patterns approve.

examples:
  understudy plan --manager anthropic:claude-opus-5-5 --role coder=ollama:qwen3:8b --role tester=ollama:qwen3:8b "..."
  understudy plan --manager a --role writer=b --tools files --approve "Document every module."

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--manager", metavar="MODEL", help="plans and sums up (default: default_model)")
    parser.add_argument(
        "--role", action="append", default=[], metavar="ROLE=MODEL[=FOR]", help="a specialist; repeatable"
    )
    parser.add_argument(
        "--tools",
        type=panel.listed,
        metavar="A,B",
        help="servers whose tools specialists have; 'all' for all",
    )
    parser.add_argument("--approve", action="store_true", help="ask a person before the first task is begun")
    parser.add_argument("--max-concurrent", type=int, metavar="N", help="tasks at a time (default: 4)")
    parser.add_argument("--task-timeout", type=float, metavar="S", help="of each task")
    panel.add(parser, "goal")


def run(options: argparse.Namespace) -> int:
    roles = panel.named(options.role)
    tools = None if options.tools == ["all"] else options.tools or []
    return panel.run(
        options,
        "plan",
        manager=options.manager,
        specialists={name: {**one, "tools": tools} for name, one in roles.items()} or None,
        approve=options.approve,
        max_concurrent=options.max_concurrent,
        timeout_s=options.task_timeout,
    )
