"""The commands of a conversation in the terminal, all in one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import get_args

from ...errors import ConfigError
from ...store.costs import By
from ...store.store import StoreError
from . import kept_commands as kept
from . import model_commands as models
from . import pattern_commands as patterns
from . import screen_commands as shown
from . import server_offers as offers
from . import tool_commands as tools
from .conversation import Conversation
from .delegate_command import delegate

USAGE_CELLS = 28
"""Cells of a usage; its meaning fits behind it in 80."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    usage: str
    meaning: str
    run: Callable[[Conversation, str], Awaitable[None]]
    arguments: Callable[[Conversation], Iterable[str]] = field(default=lambda talk: ())  # for completion


async def obey(talk: Conversation, line: str) -> None:
    """Carry out a line that begins with a slash. Raises ConfigError with what would work."""
    name, _, rest = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"no command {name}; {hint}/help lists them, // begins a text with a slash")
    await command.run(talk, rest.strip())


async def _help(talk: Conversation, rest: str) -> None:
    lines = [f"{command.usage.ljust(USAGE_CELLS)}  {command.meaning}" for command in COMMANDS.values()]
    talk.say("\n".join([*lines, *_KEYS]))


async def _quit(talk: Conversation, rest: str) -> None:
    talk.over = True


_KEYS = (
    "",
    "Ctrl-C stops a turn, twice leaves; Ctrl-D leaves. Alt-Enter begins a new line.",
    "What you send during a turn waits for its end.",
    "@path sends a file of this folder along, @server:uri a resource of a server;",
    "/server:prompt argument=value asks what a server has prepared.",
    "!command runs one of yours and sends its output along.",
    "A line that begins with // is sent with one slash.",
)


def _known_models(talk: Conversation) -> Iterable[str]:
    yield from talk.session.config.aliases
    yield from (f"{provider}:{model}" for provider, listed in talk.listed.items() for model in listed)


def _known_sessions(talk: Conversation) -> Iterable[str]:
    try:
        return [one.id for one in talk.kept().sessions(20)]
    except StoreError:
        return []


COMMANDS = {
    command.usage.split()[0]: command
    for command in (
        Command(
            usage="/model [MODEL]",
            meaning="go on with another model",
            run=models.model,
            arguments=_known_models,
        ),
        Command(usage="/models [PART]", meaning="list the models there are", run=models.models),
        Command(
            usage="/delegate MODEL[,MODEL] TASK",
            meaning="give a worker one task, @files along",
            run=delegate,
            arguments=_known_models,
        ),
        *(
            Command(
                usage=one.usage,
                meaning=one.meaning,
                run=partial(patterns.panel, one),
                arguments=_known_models,
            )
            for one in patterns.PANELS
        ),
        Command(
            usage="/pattern [NAME QUESTION]",
            meaning="list the patterns, or run one of config.yaml",
            run=patterns.patterns,
            arguments=lambda talk: talk.config.patterns,
        ),
        Command(usage="/tools [SERVER]", meaning="list the tools", run=tools.tools),
        Command(
            usage="/cost [model|day|...]",
            meaning="tokens, seconds, money; with a word: of all",
            run=models.cost,
            arguments=lambda talk: get_args(By),
        ),
        Command(
            usage="/memory [WORDS]",
            meaning="what the lead remembers; store TEXT, delete ID",
            run=kept.memory,
            arguments=lambda talk: ("store", "delete", "clear"),
        ),
        Command(usage="/show", meaning="who said what so far", run=kept.show),
        Command(
            usage="/sessions [WORDS]", meaning="list conversations, or find words in them", run=kept.sessions
        ),
        Command(
            usage="/resume [ID]", meaning="go on with one of them", run=kept.resume, arguments=_known_sessions
        ),
        Command(usage="/rewind [N]", meaning="go back N turns, in a new conversation", run=kept.rewind),
        Command(usage="/undo", meaning="take back what the last turn changed", run=tools.undo),
        Command(
            usage="/approve [ask|yes|no]",
            meaning="who answers what tools ask",
            run=tools.approve,
            arguments=lambda talk: ("ask", "yes", "no"),
        ),
        Command(usage="/expand [N]", meaning="show an output whole that was cut", run=shown.expand),
        Command(usage="/view [N]", meaning="the same in the pager", run=shown.view),
        Command(
            usage="/thoughts [on|off]",
            meaning="show what models think, or only how long",
            run=shown.thoughts,
            arguments=lambda talk: ("on", "off"),
        ),
        Command(usage="/servers", meaning="list the servers", run=tools.servers),
        Command(
            usage="/resources [SERVER]",
            meaning="list what servers have to send along",
            run=offers.resources,
            arguments=lambda talk: talk.session.hosted,
        ),
        Command(
            usage="/prompts [SERVER]",
            meaning="list what servers have prepared to ask",
            run=offers.prompts,
            arguments=lambda talk: talk.session.hosted,
        ),
        Command(usage="/profile [MODEL]", meaning="measured runs, speeds, forecasts", run=models.profile),
        Command(usage="/new", meaning="begin a new conversation", run=kept.new),
        Command(usage="/save [FILE]", meaning="write it down, as .md or .jsonl", run=kept.save),
        Command(usage="/help", meaning="this list", run=_help),
        Command(usage="/quit", meaning="leave", run=_quit),
    )
}
