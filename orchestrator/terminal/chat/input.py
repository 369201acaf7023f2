"""Where a conversation's lines come from: a terminal with editing and completion, or any other input."""

from __future__ import annotations

import queue
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from pydoc import pager
from select import select
from typing import Protocol, TextIO, cast

import anyio
import anyio.from_thread
import anyio.lowlevel
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import StdoutProxy

from servers.state.home import home

from ...events import Notice
from ...tools import fitting
from ..display import Display
from ..screen.page import CONTINUED, PROMPT
from .resized import wiped_whole

PASTE_S = 0.01
"""How soon after an Enter the rest of a paste comes, where the terminal does not mark pastes."""


class Interrupted(Exception):
    """Ctrl-C while nothing was running."""


class Reader(Protocol):
    interactive: bool
    echoed: bool
    """What was typed stands on the screen already."""

    def attended(self, talk: Attended) -> AbstractAsyncContextManager[None]:
        """Open while the conversation lasts."""
        ...

    async def read(self) -> str | None:
        """What the person says next; None at the end. Raises Interrupted."""
        ...

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        """One of `choices`, any text where there are none; None when the person takes none."""
        ...

    async def page(self, text: str) -> None:
        """A long text, in the pager where there is one."""
        ...


class Attended(Protocol):
    """What a prompt needs of the conversation it stands under."""

    display: Display

    def stop(self) -> bool:
        """Stop the turn; False where none is under way."""
        ...


@dataclass(slots=True, kw_only=True)
class _Question:
    choices: Sequence[str]
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: str | None = None


class Terminal:
    """A prompt that stays while answers stream above it. Enter sends; Alt-Enter, or a backslash before Enter, begins
    a new line. What is sent during a turn waits, and is shown waiting."""

    interactive = True
    echoed = False

    def __init__(
        self, words: Mapping[str, str], arguments: Callable[[str], Iterable[str]], folder: Path
    ) -> None:
        self._prompt = PromptSession[str](
            self._message,
            output=_output(),
            history=_history(),
            completer=_Completer(words, arguments, folder),
            complete_while_typing=False,
            multiline=True,
            erase_when_done=True,
            key_bindings=self._keys(),
            prompt_continuation=lambda width, number, wrapped: CONTINUED,
        )
        wiped_whole(self._prompt.app)
        self._sent = deque[str | Interrupted | None]()
        self._more = anyio.Event()
        self._waited_for = False  # what is sent is taken at once
        self._question: _Question | None = None
        self._one = anyio.Lock()  # one question after another, in the order they came
        self._talk: Attended | None = None

    @asynccontextmanager
    async def attended(self, talk: Attended) -> AsyncGenerator[None]:
        self._talk, screen = talk, talk.display.screen
        with _written_above():
            async with anyio.create_task_group() as group:
                group.start_soon(self._attend)
                if screen is not None:
                    screen.painter.elsewhere = self._prompt.app.invalidate
                    screen.tools.outputs.expandable = True
                try:
                    yield
                finally:
                    if screen is not None:
                        screen.painter.elsewhere = None
                    group.cancel_scope.cancel()

    async def read(self) -> str | None:
        self._waited_for = True
        try:
            while not self._sent:
                self._more = anyio.Event()
                await self._more.wait()
        finally:
            self._waited_for = False
        sent = self._sent.popleft()
        self._show_queue()
        if isinstance(sent, Interrupted):
            raise sent
        return sent

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        assert self._talk is not None
        async with self._one:
            self._talk.display(Notice(text=question, level="warning"))
            typed, self._question = self._prompt.default_buffer.document, _Question(choices=choices)
            self._prompt.default_buffer.reset()
            self._asks(True)
            try:
                await self._question.answered.wait()
                return self._question.answer
            finally:
                self._question = None
                self._prompt.default_buffer.reset(typed)
                self._asks(False)

    def _asks(self, asking: bool) -> None:
        """What waits for the person is not shown as under way."""
        if self._talk is not None and (screen := self._talk.display.screen) is not None:
            screen.asking = asking
            screen.tick()
        self._prompt.app.invalidate()

    async def page(self, text: str) -> None:
        await run_in_terminal(partial(pager, text), in_executor=True)

    async def _attend(self) -> None:
        with suppress(EOFError):
            await self._prompt.prompt_async(handle_sigint=False)
        self._send(None)

    def _message(self) -> ANSI:
        """The changing part of the screen, and where one types."""
        if self._prompt.app.is_done or self._talk is None:
            return ANSI(PROMPT)
        screen = self._talk.display.screen
        above = "".join(f"{row}\n" for row in screen.painter.below_as_text()) if screen else ""
        if self._question is None:
            return ANSI(above + PROMPT)
        choices = self._question.choices
        return ANSI(above + (f"[{'/'.join(choices)}] " if choices else "> "))

    def _send(self, item: str | Interrupted | None) -> None:
        self._sent.append(item)
        self._more.set()
        self._show_queue()

    def _show_queue(self) -> None:
        if self._talk is not None and (screen := self._talk.display.screen) is not None:
            waiting = [] if self._waited_for else [item for item in self._sent if isinstance(item, str)]
            screen.queued = waiting
            screen.tick()

    def _decide(self, text: str | None) -> None:
        """The person's answer; None: they take none. One that is no choice, as a word typed ahead, decides nothing."""
        assert self._question is not None
        choices = self._question.choices
        answer = None if text is None else fitting(text, choices)
        if text is not None and answer is None:
            self._prompt.default_buffer.reset()
            if self._talk is not None:
                self._talk.display(
                    Notice(text=f"one of {', '.join(choices)}; Ctrl-C declines", level="warning")
                )
            return
        self._question.answer = answer
        self._question.answered.set()

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def send(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if self._question is not None:
                self._decide(buffer.text)
            elif _pasting(event):
                buffer.insert_text("\n")
            elif buffer.document.text_before_cursor.endswith("\\"):
                buffer.delete_before_cursor()
                buffer.insert_text("\n")
            else:
                text = buffer.text
                buffer.reset(append_to_history=bool(text.strip()))
                if text.strip():
                    self._send(text)

        @keys.add("escape", "enter")
        def new_line(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def stop_clear_or_leave(event: KeyPressEvent) -> None:
            """A question is declined, a turn stopped, what was typed thrown away; else it is an interrupt."""
            if self._question is not None:
                self._decide(None)
            elif self._talk is not None and self._talk.stop():
                pass
            elif event.current_buffer.text:
                event.current_buffer.reset()
            else:
                self._send(Interrupted())

        return keys


def _pasting(event: KeyPressEvent) -> bool:
    """Whether more text came with this Enter: lines that were pasted into a terminal that does not say so."""
    if event.key_processor.input_queue:
        return True
    try:
        return bool(select([event.app.input.fileno()], [], [], PASTE_S)[0])
    except (OSError, ValueError, NotImplementedError):
        return False


def _output() -> Output:
    """Without questions for the cursor's place: their answers come as input, and an Enter before one would pass for
    the middle of a paste."""
    output = create_output()
    if isinstance(output, Vt100_Output):
        output.enable_cpr = False
    return output


def _history() -> History:
    """The lines typed before, where they can be kept."""
    path = home() / "chat_history"
    try:
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


@contextmanager
def _written_above() -> Generator[None]:
    """What is written meanwhile stands above the prompt."""
    out, err = sys.stdout, sys.stderr
    with StdoutProxy(sleep_between_writes=0.03, raw=True) as proxy:
        sys.stdout = sys.stderr = cast(TextIO, proxy)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err


class Lines:
    """One line, one turn; a line that ends in a backslash goes on. Nobody is there to choose."""

    interactive = False
    echoed = False

    def attended(self, talk: Attended) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def __init__(self, source: TextIO | None = None) -> None:
        if source is None and isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a wrong byte shall not end the conversation
        self._source = source or sys.stdin
        self._asked, self._lines = queue.SimpleQueue[None](), queue.SimpleQueue[str]()
        self._came: Callable[[], None] = lambda: None
        self._fetching = False  # also for one who no longer waits: the line is the next one's
        # Not a worker thread of the loop: the program would wait for it, and it may wait for its line for ever.
        threading.Thread(target=self._fetch, daemon=True, name="lines").start()

    async def read(self) -> str | None:
        whole = ""
        while line := await self._line():
            whole += line.removesuffix("\n").removesuffix("\r")
            if not whole.endswith("\\"):
                return whole
            whole = whole[:-1] + "\n"
        return whole or None

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        return None

    async def page(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")

    async def _line(self) -> str:
        came, token = anyio.Event(), anyio.lowlevel.current_token()
        self._came = lambda: anyio.from_thread.run_sync(came.set, token=token)
        if not self._fetching:
            self._fetching = True
            self._asked.put(None)
        if self._lines.empty():
            await came.wait()
        self._fetching = False
        return self._lines.get_nowait()

    def _fetch(self) -> None:
        while True:
            self._asked.get()
            try:
                self._lines.put(self._source.readline())
            except (OSError, ValueError):  # closed under us; as good as its end
                self._lines.put("")
            with suppress(RuntimeError):  # nobody waits any more
                self._came()


class _Completer(Completer):
    """/commands at the beginning, their arguments after them, files after an @."""

    def __init__(
        self, words: Mapping[str, str], arguments: Callable[[str], Iterable[str]], folder: Path
    ) -> None:
        self.words, self.arguments = words, arguments
        self.files = PathCompleter(get_paths=lambda: [str(folder)], expanduser=False)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        before = document.text_before_cursor
        last = before.split()[-1] if before and not before[-1].isspace() else ""
        if last.startswith("@"):
            yield from self.files.get_completions(Document(last[1:]), complete_event)
        elif before.startswith("/") and " " not in before:
            for word, meaning in self.words.items():
                if word.startswith(before):
                    yield Completion(word, start_position=-len(before), display_meta=meaning)
        elif before.startswith("/"):
            for value in self.arguments(before.split()[0]):
                if value.startswith(last):
                    yield Completion(value, start_position=-len(last))
