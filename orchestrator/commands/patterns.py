"""List the patterns there are, and go on with a run that was broken off or waits for a decision."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..config.pattern_meanings import MEANINGS
from . import options as common
from . import panel

if TYPE_CHECKING:
    from ..store.resumable import Begun

EXAMPLES = f"""\
ID is a conversation, as 'understudy sessions' lists them, or 'last'; without one, the newest that is unfinished.

examples:
  understudy patterns                         what there is, and what is unfinished
  understudy patterns resume                  no reply that was finished is asked for again
  understudy patterns approve                 say yes to what it waits for, and go on
  understudy patterns approve last --answer "smaller steps, please"
  understudy run --pattern careful "..."      one of config.yaml
  understudy patterns resume --team           the newest of the team's, begun with --team anywhere

{panel.EXIT_CODES}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="list", choices=["list", "resume", "approve"])
    parser.add_argument("which", nargs="?", metavar="ID", help="the conversation")
    parser.add_argument(
        "--answer", metavar="TEXT", default="yes", help="approve: yes, no, or what must be otherwise"
    )
    parser.add_argument("--quiet", action="store_true", help="print the result alone")
    parser.add_argument("--format", choices=["rich", "plain", "json", "markdown"], help="how to show it")
    common.add_team(parser)
    common.add_budget(parser)
    common.add_yes(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    from contextlib import closing

    from ..store.resumable import begun, decide, unfinished
    from ..store.store import Store

    if options.team:
        return _at_the_team(options)
    with closing(Store()) as store:
        if options.action == "list":
            return _list(options, [run for kept in store.sessions(50) for run in begun(store, kept.id)])
        found = unfinished(store, options.which)
        if options.action == "approve":
            decide(store, found, options.answer)
    return panel.run_settings(options, None, resumed=found)


def _at_the_team(options: argparse.Namespace) -> int:
    from contextlib import closing

    from ..batch.team_journal import TeamRuns

    with closing(TeamRuns(common.database_of(options))) as runs:
        if options.action == "list":
            return _list(options, runs.unfinished())
        found = runs.find(None if options.which == "last" else options.which)
        if options.action == "approve":
            runs.decide(found, options.answer)
    return panel.run_settings(options, None, resumed=found)


def _list(options: argparse.Namespace, open_runs: Sequence[Begun]) -> int:
    config = common.config_of(options)
    if options.json:
        own = {
            name: {"use": one.use, "description": one.description, "parameters": one.parameters}
            for name, one in config.patterns.items()
        }
        common.print_json(
            {"built_in": MEANINGS, "patterns": own, "unfinished": [_shown(one) for one in open_runs]}
        )
        return 0
    lines = [f"{use.ljust(12)}{meaning}" for use, meaning in MEANINGS.items()]
    lines += [
        f"{name.ljust(12)}{one.description or one.use}"
        + (f" ({', '.join(f'{k}={v}' for k, v in one.parameters.items())})" if one.parameters else "")
        for name, one in config.patterns.items()
    ]
    lines += [
        f"\nunfinished: {one.session or one.run}  {one.values['call']['name']}: "
        + (f"waits for a decision: {one.waits_for}" if one.waits_for else "was broken off")
        for one in open_runs
    ]
    from ..sanitize import visible

    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    return 0


def _shown(run: Begun) -> dict[str, str | None]:
    call = run.values["call"]
    return {
        "session": run.session,
        "run": run.run,
        "pattern": call["name"],
        "question": call["question"],
        "waits_for": run.waits_for,
    }
