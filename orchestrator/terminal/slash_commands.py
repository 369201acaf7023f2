"""The commands of a conversation in the terminal, all in one table."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, get_args

from ..config.load import Config
from ..config.patterns import BY_USE, settings_of
from ..errors import ConfigError
from ..events import Event, Switched
from ..sanitize import one_line, visible
from ..session.panels import run_pattern
from ..session.session import Session
from ..store.costs import By, spent, total
from ..store.recorder import Recorder
from ..store.store import Entry, Store, StoreError
from ..store.transcript import moment, write
from ..tools import Approve
from ..types import ToolResult
from .display import Display
from .input import Reader
from .screen.receipt_view import money, usage_text
from .screen.rich_screen import RichScreen

USAGE_CELLS = 28
"""Cells of a usage; its meaning fits behind it in 80."""


class Conversation(Protocol):
    """What commands see of the conversation they are typed into."""

    session: Session
    config: Config
    display: Display
    recorder: Recorder
    reader: Reader
    model: str | None
    listed: dict[str, list[str]]
    """Models by provider, once /models has asked."""
    over: bool
    """Set by a command that ends the conversation."""
    approvals: Approve | None
    changes: list[tuple[str, str]]
    """What the last turn changed: server, and operation to undo."""

    def begin(self) -> None: ...

    def resume(self, which: str) -> None: ...

    def kept(self) -> Store: ...

    def emit(self, event: Event) -> None: ...

    def say(self, text: str) -> None: ...


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


async def _model(talk: Conversation, rest: str) -> None:
    if not rest:
        talk.say(talk.model or "no model is chosen; /models lists what there is")
        return
    new, old = talk.session.agent(rest).model, talk.model
    talk.model = new
    talk.emit(Switched(old=old or "none", new=new))


async def _models(talk: Conversation, rest: str) -> None:
    talk.listed = await talk.session.models()
    if not talk.listed:
        talk.say("no provider answered; set a key, for example ANTHROPIC_API_KEY, or start Ollama")
    for provider, models in talk.listed.items():
        for model in models:
            if rest in f"{provider}:{model}":
                talk.say(f"{provider}:{model}")


async def _delegate(talk: Conversation, rest: str) -> None:
    model, _, task = rest.partition(" ")
    if not task.strip():
        raise ConfigError(
            "/delegate wants a model and a task, as /delegate ollama:qwen3:8b Name three birds."
        )
    await _pattern(talk, {"use": "ask", "model": model, "role": "worker"}, task, name="delegate")


def _panel(use: str, wants: str, example: str, *roles: str) -> Callable[[Conversation, str], Awaitable[None]]:
    """The command of a pattern: models, separated by commas, then the question. `roles`: what each model is, in order."""

    async def command(talk: Conversation, rest: str) -> None:
        words, _, question = rest.partition(" ")
        if not question.strip():
            raise ConfigError(f"/{use} wants {wants}, as /{use} {example}")
        models = list(dict.fromkeys(word for word in words.split(",") if word))
        if roles and len(models) != len(roles):
            raise ConfigError(f"/{use} wants {wants}, as /{use} {example}; found {len(models)} models")
        given = dict(zip(roles, models, strict=True)) if roles else _members(use, models)
        await _pattern(talk, {"use": use, **given}, question)

    return command


def _members(use: str, models: list[str]) -> dict[str, Any]:
    match use:
        case "plan":
            return {"manager": models[0], "specialists": _named(models[1:] or models), "approve": True}
        case "route":
            return {"specialists": _named(models)}
        case _:
            return {"models": models}


def _named(models: Sequence[str]) -> dict[str, str]:
    return {f"worker{place}": model for place, model in enumerate(models, 1)}


async def _pattern(
    talk: Conversation, values: dict[str, Any], question: str, *, name: str | None = None
) -> None:
    async def person(asked: str) -> str:
        return await talk.reader.choose(asked, ["yes", "no"]) or "no"

    await run_pattern(talk.session, settings_of(values), question.strip(), name=name, person=person)


async def _patterns(talk: Conversation, rest: str) -> None:
    name, _, question = rest.partition(" ")
    known = talk.config.patterns
    if not name:
        for use, kind in BY_USE.items():
            talk.say(
                f"/{use}  {(kind.__doc__ or '').strip()}"
                if f"/{use}" in COMMANDS
                else f"{use}  {kind.__doc__}"
            )
        for own, settings in known.items():
            talk.say(f"/pattern {own}  {settings.description or settings.use}")
        return
    if name not in known or not question.strip():
        raise ConfigError(f"/pattern wants a name and a question; there are {', '.join(known) or 'none'}")
    await run_pattern(talk.session, known[name], question.strip(), name=name)


async def _tools(talk: Conversation, rest: str) -> None:
    for spec in (await talk.session.toolbox([rest] if rest else None)).specs:
        first = spec.description.strip().split("\n")[0]
        talk.say(f"{spec.name}  {first}")


async def _cost(talk: Conversation, rest: str) -> None:
    if rest:
        _bill(talk, rest)
        return
    if not talk.recorder.spent:
        talk.say("nothing was spent yet")
    for model, usage in talk.recorder.spent.items():
        talk.say(f"{model}: {usage_text(usage, None, recorded=False) or 'nothing reported'}")


def _bill(talk: Conversation, by: str) -> None:
    """Of all conversations together."""
    if by not in get_args(By):
        raise ConfigError(f"/cost counts by {', '.join(get_args(By))}, found {by!r}")
    lines = spent(talk.kept().database, cast(By, by))
    for line in [*lines, total(lines)] if by != "label" else lines:
        unknown = f" and {line.unknown_calls} of unknown cost" if line.unknown_calls else ""
        talk.say(f"{line.key or '(none)'}: {line.calls} calls, {money(line.cost_usd)}{unknown}")


async def _memory(talk: Conversation, rest: str) -> None:
    word, _, more = rest.partition(" ")
    memory = talk.session.remembering.of("lead")
    match word:
        case "store" if more.strip():
            talk.say(f"remembered as {await memory.store(more)}")
        case "delete" if more.strip():
            found = memory.find(more.strip())
            memory.delete(found.id)
            talk.say(f"{found.id} is forgotten: {one_line(found.text, 80)}")
        case "clear":
            talk.say(f"{memory.clear()} memories are forgotten")
        case "store" | "delete":
            raise ConfigError(f"/memory {word} wants {'a text' if word == 'store' else 'an id'} behind it")
        case _:
            for one in await memory.retrieve(rest, 10) if rest else memory.all(20):
                talk.say(f"{one.id[:8]}  {moment(one.at)}  {one_line(one.text, 200)}")
            if not memory.all(1):
                talk.say("nothing is remembered yet; /memory store TEXT keeps a text")


async def _sessions(talk: Conversation, rest: str) -> None:
    store = talk.kept()
    if rest:
        for found in store.search(rest):
            talk.say(f"{found.session}  {moment(found.at)}  {found.role}: {found.excerpt}")
        return
    for kept in store.sessions(20):
        talk.say(f"{kept.id}  {moment(kept.updated_at)}  {kept.messages} messages  {kept.name or kept.title}")


async def _resume(talk: Conversation, rest: str) -> None:
    talk.resume(rest or "last")


async def _new(talk: Conversation, rest: str) -> None:
    talk.begin()
    talk.say("a new conversation begins")


async def _show(talk: Conversation, rest: str) -> None:
    talk.display.show_conversation_summary(talk.recorder.history)


async def _save(talk: Conversation, rest: str) -> None:
    store, session = talk.kept(), talk.recorder.session
    if session is None:
        raise ConfigError("there is nothing to save yet")
    talk.say(f"saved to {_write_down(store, session, talk.config.folder, rest or f'chat-{session}.md')}")


def _write_down(store: Store, session: str, folder: str, name: str) -> Path:
    path = Path(folder) / Path(name).expanduser()
    write(store.find(session), store.entries(session), path)
    return path


async def _expand(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    if screen.expand(_number(rest, "/expand")) is None:
        raise ConfigError(_nothing_cut(screen, rest))


async def _view(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    found = screen.output(_number(rest, "/view"))
    if found is None:
        raise ConfigError(_nothing_cut(screen, rest))
    await talk.reader.page(visible(found.text))


def _screen(talk: Conversation) -> RichScreen:
    if talk.display.screen is None:
        raise ConfigError("nothing was cut here; --format rich, on a terminal, shows long outputs in part")
    return talk.display.screen


def _nothing_cut(screen: RichScreen, rest: str) -> str:
    count = len(screen.outputs)
    return f"there is no output {rest}; there are 1 to {count}" if count else "nothing was cut yet"


def _number(rest: str, name: str) -> int | None:
    if rest and not rest.isdecimal():
        raise ConfigError(f"{name} wants a number, as {name} 2, or nothing for the last; found {rest!r}")
    return int(rest) if rest else None


async def _thoughts(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    screen.thoughts = _choice(rest, {"on": True, "off": False, "": not screen.thoughts}, "/thoughts")
    talk.say(f"thoughts are {'shown' if screen.thoughts else 'counted only; /expand shows them'}")


async def _approve(talk: Conversation, rest: str) -> None:
    modes: dict[str, Approve | None] = {"ask": None, "yes": _yes, "no": _no}
    if rest:
        talk.approvals = _choice(rest, modes, "/approve")
    now = next((mode for mode, answer in modes.items() if answer is talk.approvals), "yes")
    talk.say(
        {
            "ask": "you are asked before a tool does what it should not do unasked",
            "yes": "every question of a tool is answered with yes; /approve ask asks again",
            "no": "every question of a tool is answered with no; /approve ask asks again",
        }[now]
    )


async def _yes(question: str, choices: Sequence[str]) -> str | None:
    return choices[0]


async def _no(question: str, choices: Sequence[str]) -> str | None:
    return None


T = TypeVar("T")


def _choice(word: str, known: Mapping[str, T], name: str) -> T:
    if word not in known:
        raise ConfigError(f"{name} takes {', '.join(filter(None, known))}, found {word!r}")
    return known[word]


async def _undo(talk: Conversation, rest: str) -> None:
    """Newest first: a later change may stand on an earlier one."""
    changes, talk.changes = talk.changes, []
    if not changes:
        raise ConfigError("the last turn changed nothing that can be taken back")
    for place, (server, operation) in enumerate(reversed(changes)):
        tool = "git_undo" if server == "git" else "undo"
        done = await talk.session.call_tool(server, tool, {"op": operation})
        talk.say(done.text)
        if done.is_error:
            talk.changes = changes[: len(changes) - place]
            raise ConfigError(f"{len(talk.changes)} of {len(changes)} changes stand; /undo tries again")


def changes_in(result: ToolResult) -> list[tuple[str, str]]:
    """What a tool's answer says it changed: server, and operation to undo."""
    server, _, tool = result.name.partition("__")
    if server not in ("files", "git") or "undo" in tool:
        return []
    head = result.text.partition("\n<<")[0]
    return [(server, found) for found in re.findall(r"\bop(?:=|\":\s*\")([0-9a-f]{6,})", head)]


def _rounds(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Of the conversation itself: a question with its answer, then each round of tool results."""
    found: list[list[Entry]] = []
    for entry in entries:
        if entry.main:
            if not found or found[-1][-1].usage is not None:
                found.append([])
            found[-1].append(entry)
    return found


async def _rewind(talk: Conversation, rest: str) -> None:
    turns, store, session = _number(rest, "/rewind") or 1, talk.kept(), talk.recorder.session
    if session is None:
        raise ConfigError("there is nothing to go back from yet")
    rounds = [entries[0] for entries in _rounds(store.entries(session))]
    begins = [place for place, first in enumerate(rounds) if first.message.role == "user"]
    if turns > len(begins):
        raise ConfigError(f"/rewind goes back at most {len(begins)} turns here, found {turns}")
    if turns == len(begins):
        talk.begin()
        talk.say("back at the beginning; what was said is kept in the old conversation")
        return
    talk.resume(store.fork(session, rounds=begins[-turns]))


async def _servers(talk: Conversation, rest: str) -> None:
    if not talk.session.hosted:
        talk.say("no server is configured; `understudy init` writes an mcp.json")
    for name in talk.session.hosted:
        tools = (await talk.session.toolbox([name])).specs
        command = talk.config.servers[name].command
        talk.say(f"{name}  {len(tools)} tools  {command}")


async def _profile(talk: Conversation, rest: str) -> None:
    found = await talk.session.call_tool("ollama", "profile", {"model": rest} if rest else {})
    if found.is_error:
        raise ConfigError(found.text)
    talk.display.show_output("measured runs", found.text)


async def _quit(talk: Conversation, rest: str) -> None:
    talk.over = True


_KEYS = (
    "",
    "Ctrl-C stops a turn, twice leaves; Ctrl-D leaves. Alt-Enter begins a new line.",
    "What you send during a turn waits for its end.",
    "@path sends a file of this folder along; !command runs one of yours and sends",
    "its output along. A line that begins with // is sent with one slash.",
)


def _known_models(talk: Conversation) -> Iterable[str]:
    yield from talk.session.config.aliases
    yield from (f"{provider}:{model}" for provider, models in talk.listed.items() for model in models)


def _known_sessions(talk: Conversation) -> Iterable[str]:
    try:
        return [kept.id for kept in talk.kept().sessions(20)]
    except StoreError:
        return []


COMMANDS = {
    command.usage.split()[0]: command
    for command in (
        Command(
            usage="/model [MODEL]", meaning="go on with another model", run=_model, arguments=_known_models
        ),
        Command(usage="/models [PART]", meaning="list the models there are", run=_models),
        Command(
            usage="/delegate MODEL TASK",
            meaning="give one task to a worker",
            run=_delegate,
            arguments=_known_models,
        ),
        Command(
            usage="/consult M,M QUESTION",
            meaning="ask several models the same",
            run=_panel("consult", "models and a question", "ollama:a,openai:b Which is better?"),
            arguments=_known_models,
        ),
        Command(
            usage="/vote MODEL,MODEL QUESTION",
            meaning="let them vote",
            run=_panel("vote", "models and a question", "a,b,c Is it a race?"),
            arguments=_known_models,
        ),
        Command(
            usage="/debate MODEL,MODEL QUESTION",
            meaning="let them answer blind, then argue",
            run=_panel("debate", "models and a question", "a,b,c Which is safer?"),
            arguments=_known_models,
        ),
        Command(
            usage="/refine AUTHOR,CRITIC TASK",
            meaning="one writes, one reviews",
            run=_panel("refine", "an author, a critic and a task", "a,b Write a README.", "author", "critic"),
            arguments=_known_models,
        ),
        Command(
            usage="/route MODEL,MODEL TASK",
            meaning="the one that suits it does it",
            run=_panel("route", "models and a task", "a,b Speed up this query: ..."),
            arguments=_known_models,
        ),
        Command(
            usage="/plan MANAGER,WORKER GOAL",
            meaning="one plans, others do it once you agree",
            run=_panel("plan", "a manager, workers and a goal", "a,b Document every module."),
            arguments=_known_models,
        ),
        Command(
            usage="/pattern [NAME QUESTION]",
            meaning="list the patterns, or run one of config.yaml",
            run=_patterns,
            arguments=lambda talk: talk.config.patterns,
        ),
        Command(usage="/tools [SERVER]", meaning="list the tools", run=_tools),
        Command(
            usage="/cost [model|day|...]",
            meaning="tokens, seconds, money; with a word: of all",
            run=_cost,
            arguments=lambda talk: get_args(By),
        ),
        Command(
            usage="/memory [WORDS]",
            meaning="what the lead remembers; store TEXT, delete ID",
            run=_memory,
            arguments=lambda talk: ("store", "delete", "clear"),
        ),
        Command(usage="/show", meaning="who said what so far", run=_show),
        Command(
            usage="/sessions [WORDS]", meaning="list conversations, or find words in them", run=_sessions
        ),
        Command(
            usage="/resume [ID]", meaning="go on with one of them", run=_resume, arguments=_known_sessions
        ),
        Command(usage="/rewind [N]", meaning="go back N turns, in a new conversation", run=_rewind),
        Command(usage="/undo", meaning="take back what the last turn changed", run=_undo),
        Command(
            usage="/approve [ask|yes|no]",
            meaning="who answers what tools ask",
            run=_approve,
            arguments=lambda talk: ("ask", "yes", "no"),
        ),
        Command(usage="/expand [N]", meaning="show an output whole that was cut", run=_expand),
        Command(usage="/view [N]", meaning="the same in the pager", run=_view),
        Command(
            usage="/thoughts [on|off]",
            meaning="show what models think, or only how long",
            run=_thoughts,
            arguments=lambda talk: ("on", "off"),
        ),
        Command(usage="/servers", meaning="list the servers", run=_servers),
        Command(usage="/profile [MODEL]", meaning="measured runs, speeds, forecasts", run=_profile),
        Command(usage="/new", meaning="begin a new conversation", run=_new),
        Command(usage="/save [FILE]", meaning="write it down, as .md or .jsonl", run=_save),
        Command(usage="/help", meaning="this list", run=_help),
        Command(usage="/quit", meaning="leave", run=_quit),
    )
}
