"""The commands of the patterns, made from their definitions; how any pattern is run and printed. No command of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError, Paused
from ..events import Event, Notice, ignore, tee
from . import options as common

if TYPE_CHECKING:
    from ..batch.team_journal import TeamJournal
    from ..config.load import Config
    from ..config.pattern_parameters import Parameter
    from ..config.patterns import PatternSettings
    from ..patterns import Outcome
    from ..session.panels import Person
    from ..session.session import Session
    from ..store.resumable import Begun

EXIT_CODES = (
    "exit codes: 0 there is a result, 1 there is none, 2 the command line is wrong, 3 it waits for a decision"
)


class Command:
    """A pattern as a command: its arguments, help and examples are those of its definition."""

    def __init__(self, use: str) -> None:
        from ..config.pattern_meanings import MEANINGS
        from ..config.patterns import BY_USE

        self._use, settings = use, BY_USE[use]
        meaning = MEANINGS[use]
        self.__doc__ = f"{meaning[0].upper()}{meaning[1:]}."
        examples = "".join(
            f"  {'' if ' understudy ' in example else 'understudy '}{example}\n"
            for example in settings.examples
        )
        note = f"{settings.note}\n\n" if settings.note else ""
        self.EXAMPLES = f"{note}examples:\n{examples}\n{EXIT_CODES}\n"

    def add(self, parser: argparse.ArgumentParser) -> None:
        from ..config.pattern_parameters import parameters
        from ..config.patterns import BY_USE

        for one in parameters(self._use):
            _add_option(parser, one)
        asks = BY_USE[self._use].asks.upper()
        parser.add_argument("question", metavar=asks, help="'-' after it adds standard input")
        common.add_stdin(parser, argparse.SUPPRESS)
        parser.add_argument("--preview", action="store_true", help="say what it would take, and ask nobody")
        parser.add_argument(
            "--resume", metavar="ID", help="as a turn of this conversation; 'last': the newest"
        )
        parser.add_argument("--no-keep", action="store_true", help="keep nothing of it")
        parser.add_argument("--quiet", action="store_true", help="print the result alone")
        parser.add_argument("--format", choices=["rich", "plain", "json", "markdown"], help="how to show it")
        common.add_team(parser)
        common.add_budget(parser)
        common.add_label(parser)
        common.add_yes(parser)
        common.add_json(parser)
        common.add_config(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Raises ConfigError, Paused."""
        from ..config.pattern_parameters import parameters, settings_of

        values: dict[str, Any] = {"use": self._use}
        for one in parameters(self._use):
            given = getattr(options, f"of_{one.name}")
            if given is not None:
                values[one.name] = named(given, one.beside) if one.kind == "members" else given
        return run_settings(options, settings_of(values, options=True))


def _add_option(parser: argparse.ArgumentParser, one: Parameter) -> None:
    from ..config.pattern_parameters import valued

    told = "" if one.default in (None, False) else f" (default: {one.default})"
    given: dict[str, Any] = {
        "dest": f"of_{one.name}",
        "help": f"{one.meaning}{told}",
        "required": one.required,
    }
    match one.kind:
        case "yes":
            kinds = {True: argparse.BooleanOptionalAction, False: "store_true"}
            given |= {"action": kinds[bool(one.default)], "default": None}
        case "members":
            given |= {"action": "append", "metavar": f"NAME=MODEL[={one.beside.upper()}]"}
        case "models" | "words":
            given |= {"type": partial(valued, one.kind), "metavar": "A,B"}
        case "count":
            given |= {"type": partial(valued, one.kind), "metavar": "N"}
        case "number":
            metavar = "S" if one.name.endswith("_s") else "P"
            given |= {"type": partial(valued, one.kind), "metavar": metavar}
        case "model" | "text":
            given |= {"metavar": one.kind.upper()}
    parser.add_argument(f"--{one.option}", **given)


def named(words: Sequence[str], beside: str) -> dict[str, Any]:
    """{name: model} of NAME=MODEL[=what stands beside it]. Raises ConfigError."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        model, _, more = rest.partition("=")
        if not (name and equals and model):
            raise ConfigError(f"wanted NAME=MODEL, for example coder=ollama:qwen3:8b, found {word!r}")
        if name in found:
            raise ConfigError(f"{name!r} is named twice; each name stands for one model")
        found[name] = {"model": model, **({beside: more} if more else {})}
    return found


def run_settings(
    options: argparse.Namespace,
    settings: PatternSettings | None,
    *,
    name: str | None = None,
    words: dict[str, str] | None = None,
    resumed: Begun | None = None,
    answered: bool = False,
) -> int:
    """Run a pattern, or go on with a run. Raises ConfigError, Paused."""
    question = getattr(options, "question", "")
    if getattr(options, "stdin", None):
        question += "\n\n" + sys.stdin.read()
    if resumed is not None:
        options.resume, options.no_keep = resumed.session, False

    if getattr(options, "preview", False):
        assert settings is not None
        return anyio.run(_preview, options, settings, question, words or {})

    async def work(session: Session, person: Person | None) -> Outcome:
        from ..session.panels import resume_pattern, run_pattern

        with _journal(options, resumed) as journal:
            if resumed is not None:
                return await resume_pattern(
                    session, resumed, person=None if answered else person, journal=journal
                )
            assert settings is not None
            run = journal.run if journal else None
            return await run_pattern(
                session,
                settings,
                question,
                name=name,
                words=words,
                person=person,
                journal=journal,
                run=run,
            )

    return anyio.run(_run, options, work)


@contextmanager
def _journal(options: argparse.Namespace, resumed: Begun | None) -> Generator[TeamJournal | None]:
    """The team's journal where it is wanted."""
    if not getattr(options, "team", False):
        yield None
        return
    from ..batch.team_journal import TeamJournal

    journal = TeamJournal(common.database_of(options), resumed.run if resumed else None)
    try:
        yield journal
    finally:
        journal.close()


async def _run(options: argparse.Namespace, work: Any) -> int:
    from contextlib import closing, nullcontext

    from ..session.session import open_session
    from ..terminal.display import Display

    config: Config = common.config_of(options)
    seen: list[Event] = []
    display = None if options.json else Display(settings=config.display)
    show = tee(seen.append, display or ignore)
    recorder = common.recorder_of(options, config, show)
    approve = common.approve_of(options)
    asking = display.asking(approve) if display else approve
    outcome: Outcome | Paused
    with closing(recorder):
        async with (
            display.alive() if display else nullcontext(),
            open_session(
                config, tee(recorder, show), approve=asking, conversation=lambda: recorder.session
            ) as session,
        ):
            try:
                outcome = await work(session, common.person_of(asking))
            except Paused as exc:
                outcome = exc
    if isinstance(outcome, Paused):
        if not options.json:
            raise outcome
        known = {"kind": "Paused", "question": outcome.question, "session": recorder.session}
        common.print_json({**known, "error": str(outcome)}, ok=False)
        return 3
    if options.json:
        notices = [event.text for event in seen if isinstance(event, Notice)]
        common.print_json({**outcome.as_json(), "session": recorder.session, "notices": notices})
    return 0 if outcome.ok else 1


async def _preview(
    options: argparse.Namespace, settings: PatternSettings, question: str, words: dict[str, str]
) -> int:
    from ..session.members import Members
    from ..session.panels import asked
    from ..session.preview import preview
    from ..session.session import open_session

    config = common.config_of(options).model_copy(update={"servers": {}})
    async with open_session(config) as session:
        found = await preview(Members(session, words), settings, asked(settings, question, words))
    if options.json:
        common.print_json(found.as_json())
    else:
        sys.stdout.write("".join(f"{line}\n" for line in (str(found), *found.warnings)))
    return 0
