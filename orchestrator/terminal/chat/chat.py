"""`understudy chat`: a conversation in the terminal, or over any lines of text."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from prompt_toolkit.utils import is_dumb_terminal
from rich.console import Console

from ...config.load import Config
from ...errors import ConfigError, OrchestratorError
from ...events import Event, Notice, RunEnded, RunStarted, ToolFinished, ToolStarted
from ...session.context_window import Memory, window_of
from ...session.history_window import latest
from ...session.session import Session, open_session
from ...store.recorder import open_conversation
from ...store.store import Store, StoreError
from ...tools import Approve
from ...types import ToolCall, user
from ..display import Display
from .commands import COMMANDS, obey
from .dumb_terminal import DumbTerminal
from .input import Interrupted, Lines, Reader, Terminal
from .mentions import Mentioned, with_files
from .own_command import own_command
from .server_offers import asked_prompt, with_resources
from .tool_commands import taking_back

KEPT = "; what was said and done is kept"
NOT_ASKED = " before a model was asked; arrow up brings the question back"
SHOWN_MESSAGES = 6
"""Of a conversation that goes on, so that one knows where it stood."""


async def chat(
    config: Config,
    *,
    model: str | None = None,
    resume: str | None = None,
    console: Console | None = None,
    approve: Approve | None = None,
    reader: Reader | None = None,
) -> int:
    """Talk until the person leaves. Returns 0; where lines come from elsewhere than a terminal also 1, when a turn
    failed, and 130, when an interrupt ended it.

    `resume`: the conversation to go on with, by id, its beginning, an agent's name, or "last". `approve`:
    answers what tools ask; None: the person is asked, where there is one. Raises ConfigError, StoreError.
    """
    talk = Conversation(config, Display(console, config.display))
    talk.reader = reader or _reader(talk)
    if resume:
        talk.resume(resume)
    talk.model = model or talk.model or config.default_model
    with closing(talk):
        if approve is not None:
            talk.approvals = approve
        async with (
            talk.display.alive(),
            open_session(
                config, talk.emit, approve=talk.approve, conversation=lambda: talk.recorder.session
            ) as session,
        ):
            talk.session = session
            async with anyio.create_task_group() as group:
                if threading.current_thread() is threading.main_thread() and sys.platform != "win32":
                    await group.start(talk.watch_interrupts)
                async with talk.reader.attended(talk):
                    await talk.hold()
                group.cancel_scope.cancel()
    if talk.reader.interactive:
        return 0
    return 130 if talk.interrupted else 1 if talk.failed else 0


def _reader(talk: Conversation) -> Reader:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Lines()
    if is_dumb_terminal():
        return DumbTerminal()
    meanings = {name: command.meaning for name, command in COMMANDS.items()}
    return Terminal(meanings, talk.completions, Path(talk.config.folder))


class Conversation:
    """What `chat` holds together: the session, the screen, the record, and the turn under way."""

    session: Session
    reader: Reader

    def __init__(self, config: Config, display: Display) -> None:
        self.config, self.display = config, display
        self.model: str | None = None
        self.listed: dict[str, list[str]] = {}  # models, once /models has asked
        self.over = False
        self.failed = False
        self.interrupted = False
        self.approvals: Approve | None = None  # answers in the person's place; None: they are asked
        self.asides: list[str] = []  # goes along with the next question
        self.changes: list[ToolCall] = []  # what takes back what the last turn changed, oldest first
        self._calls: dict[tuple[str, str], ToolCall] = {}  # under way: run and id
        self._asking = False  # a turn is under way, not the wait for one
        self._begun_turn = False  # and a model was asked in it
        self._turn: anyio.CancelScope | None = None  # the turn, or the wait for the next
        self._told: str | None = None  # the error the screen has already shown
        self._begun = False
        self._store: Store | None = None
        try:
            self._store = Store(later=True)
        except StoreError as exc:
            self.display(Notice(text=f"nothing of this conversation will be kept: {exc}", level="warning"))
        self.begin()

    def begin(self) -> None:
        self._memory: Memory | None = None
        if self._begun:
            self.recorder.finish()
        self._begun = True
        self.recorder = open_conversation(self._store, folder=self.config.folder, emit=self.display)

    def resume(self, which: str) -> None:
        """Go on with a kept conversation. Raises StoreError."""
        found = open_conversation(self.kept(), which=which, emit=self.display)
        self.recorder.finish()
        self.recorder = found
        if kept := self.recorder.kept:
            self._memory, self.model = None, kept.model or self.model
            self.say(f"going on with {kept.id}, {kept.messages} messages: {kept.title}")
            recent = latest(self.recorder.history, SHOWN_MESSAGES)
            if len(recent) < len(self.recorder.history):
                self.say(f"its last {len(recent)} messages; /show shows all")
            self.display.show_conversation_summary(recent)

    def kept(self) -> Store:
        if self._store is None:
            raise StoreError("conversations cannot be kept here; see the warning at the start")
        return self._store

    def close(self) -> None:
        self.recorder.finish()
        if self._store is not None:
            self._store.close()

    async def approve(self, question: str, choices: Sequence[str]) -> str | None:
        return await (self.approvals or self.reader.choose)(question, choices)

    def stop(self) -> bool:
        """Stop the turn; False where none is under way."""
        if self._asking and self._turn is not None:
            self._turn.cancel()
            return True
        return False

    def emit(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            if not self._begun_turn:
                self.changes, self._calls, self._begun_turn = [], {}, True
        elif isinstance(event, RunEnded):
            self._told = event.error
        elif isinstance(event, ToolStarted):
            self._calls[event.run, event.call.id] = event.call
        elif isinstance(event, ToolFinished) and (
            call := self._calls.pop((event.run, event.result.call_id), None)
        ):
            self.changes += taking_back(call, event.result)
        self.recorder(event)
        self.display(event)

    def say(self, text: str) -> None:
        self.display(Notice(text=text))

    def completions(self, command: str) -> Iterable[str]:
        return COMMANDS[command].arguments(self) if command in COMMANDS else ()

    async def hold(self) -> None:
        """Turn after turn, until the person leaves."""
        unchosen = "no model is chosen yet: /models lists what there is, /model MODEL chooses one"
        self.say(f"{self.model or unchosen}; /help lists the commands, Ctrl-D leaves")
        warned = False
        while not self.over:
            try:
                line = await self._read()
            except Interrupted:
                if warned or not self.reader.interactive:
                    self.interrupted = True
                    return
                warned = True
                self.say("Ctrl-C again leaves, and so does Ctrl-D")
                continue
            if line is None:
                return
            if line.strip():
                warned = await self._take(line.strip())

    async def watch_interrupts(self, *, task_status: TaskStatus[None]) -> None:
        """SIGINT stops the turn, or the wait for the next one."""
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                if self._turn is not None:
                    self._turn.cancel()

    async def _read(self) -> str | None:
        with anyio.CancelScope() as self._turn:
            return await self.reader.read()
        raise Interrupted

    async def _take(self, line: str) -> bool:
        """One turn, or one command. Returns whether the person stopped it."""
        self._told, self._asking, self._begun_turn = None, True, False
        if self.reader.interactive and not self.reader.echoed:
            self.display.asked(line)
        with anyio.CancelScope() as self._turn:
            try:
                if line.startswith("/") and not line.startswith("//"):
                    asked = await asked_prompt(line, self.session.hosted)
                    await (obey(self, line) if asked is None else self._ask(Mentioned.only(asked)))
                elif line.startswith("!"):
                    await self._command(line[1:].strip())
                else:
                    await self._ask(await self._mentioned(line[1:] if line.startswith("//") else line))
            except OrchestratorError as exc:
                self.failed = True
                self._complain(str(exc))
        self._asking, stopped = False, self._turn.cancelled_caught
        self._turn = None
        if stopped and self.reader.interactive:
            lost = not self._begun_turn and not line.startswith(("/", "!"))
            self.say(f"stopped{NOT_ASKED if lost else KEPT}. Ctrl-C again leaves")
        return stopped

    async def _command(self, command: str) -> None:
        """Run a command of the person's own; the next question takes along what it printed."""
        if not command:
            raise ConfigError("! wants a command, as !git status")
        with self.display.doing(f"! {command}"):
            done = await own_command(command, self.config.folder)
        self.display.show_output(f"! {command}", done)
        self.asides.append(f"\n\n--- output of {command} ---\n{done}\n--- end ---")

    def _complain(self, error: str) -> None:
        if self._told != error:
            self.display(Notice(text=error, level="error"))

    async def _mentioned(self, line: str) -> Mentioned:
        """The line with the files and resources it names."""
        said = await anyio.to_thread.run_sync(with_files, line, Path(self.config.folder))
        parts, notes = await with_resources(line, self.session.hosted)
        return Mentioned(message=user(*said.message.parts, *parts), notes=(*said.notes, *notes))

    async def _ask(self, said: Mentioned) -> None:
        if self.model is None:
            raise ConfigError("no model is chosen; /models lists what there is, /model MODEL chooses one")
        for note in said.notes:
            self.say(note)
        question, self.asides = user(*said.message.parts, *self.asides), []
        if self._memory is None:
            self._memory = Memory(
                window_of(self.session),
                self.emit,
                room=self.session.room,
                summary=self.recorder.summary,
            )
        lead = self.session.agent(self.model)
        with self.display.doing("getting ready"):  # its servers and its provider, until it is asked
            await self._memory.ask(self.session.ask, lead, question, self.recorder.up_to_date())
