"""Commands about what is kept: conversations, their turns, what the lead remembers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...errors import ConfigError
from ...sanitize import one_line
from ...store.archive import export
from ...store.records import Entry
from ...store.store import Store
from ...store.transcript import moment
from ..screen.plain_screen import counted
from .conversation import Conversation, number_in


async def memory(talk: Conversation, rest: str) -> None:
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


async def sessions(talk: Conversation, rest: str) -> None:
    store = talk.kept()
    if rest:
        for found in store.search(rest):
            talk.say(f"{found.session}  {moment(found.at)}  {found.role}: {found.excerpt}")
        return
    for kept in store.sessions(20):
        talk.say(f"{kept.id}  {moment(kept.updated_at)}  {kept.messages} messages  {kept.name or kept.title}")


async def resume(talk: Conversation, rest: str) -> None:
    talk.resume(rest or "last")


async def new(talk: Conversation, rest: str) -> None:
    talk.begin()
    talk.say("a new conversation begins")


async def show(talk: Conversation, rest: str) -> None:
    talk.display.show_conversation_summary(talk.recorder.history)


async def save(talk: Conversation, rest: str) -> None:
    store, session = talk.kept(), talk.recorder.session
    if session is None:
        raise ConfigError("there is nothing to save yet")
    talk.say(f"saved to {_write_down(store, session, talk.config.folder, rest or f'chat-{session}.md')}")


def _write_down(store: Store, session: str, folder: str, name: str) -> Path:
    path = Path(folder) / Path(name).expanduser()
    export(store, store.find(session), path)
    return path


def _rounds(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Of the conversation itself: a question with its answer, then each round of tool results."""
    found: list[list[Entry]] = []
    for entry in entries:
        if entry.main:
            if not found or found[-1][-1].usage is not None:
                found.append([])
            found[-1].append(entry)
    return found


async def rewind(talk: Conversation, rest: str) -> None:
    turns, store, session = number_in(rest, "/rewind") or 1, talk.kept(), talk.recorder.session
    if session is None:
        raise ConfigError("there is nothing to go back from yet")
    rounds = [entries[0] for entries in _rounds(store.entries(session))]
    begins = [place for place, first in enumerate(rounds) if first.message.role == "user"]
    if turns > len(begins):
        raise ConfigError(f"/rewind goes back at most {counted(len(begins), 'turn')} here, found {turns}")
    if turns == len(begins):
        talk.begin()
        talk.say("back at the beginning; what was said is kept in the old conversation")
        return
    talk.resume(store.fork(session, rounds=begins[-turns]))
