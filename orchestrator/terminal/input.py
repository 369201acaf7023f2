"""Where a conversation's lines come from: a terminal with editing and completion, or any other input."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol, TextIO

import anyio
import anyio.from_thread
import anyio.lowlevel
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from servers.state.home import home

from ..sanitize import visible
from ..tools import fitting


class Interrupted(Exception):
    """Ctrl-C while nothing was running."""


class Reader(Protocol):
    interactive: bool

    async def read(self) -> str | None:
        """What the person says next; None at the end. Raises Interrupted."""
        ...

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        """One of `choices`, any text where there are none; None when the person takes none."""
        ...


class Terminal:
    """Editing, history, completion. Enter sends; Alt-Enter, or a backslash before Enter, begins a new line."""

    interactive = True

    def __init__(
        self, words: Mapping[str, str], arguments: Callable[[str], Iterable[str]], folder: Path
    ) -> None:
        self._prompt = PromptSession[str](
            history=FileHistory(str(home() / "chat_history")),
            completer=_Completer(words, arguments, folder),
            complete_while_typing=False,
            multiline=True,
            key_bindings=_keys(),
            prompt_continuation=lambda width, number, wrapped: "... │ ",
        )
        self._question = PromptSession[str]()
        self._one = anyio.Lock()  # a terminal holds one prompt at a time

    async def read(self) -> str | None:
        try:
            async with self._one:
                with patch_stdout(raw=True):  # what servers say meanwhile stands above the line being typed
                    return await self._prompt.prompt_async("you │ ", handle_sigint=False)
        except EOFError:
            return None
        except KeyboardInterrupt:
            raise Interrupted from None

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        between = f"[{'/'.join(choices)}]" if choices else ">"
        asked = f"{visible(question)}\n{between} "
        try:
            async with self._one:
                with patch_stdout(raw=True):
                    answer = await self._question.prompt_async(asked, handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return None
        return fitting(answer, choices)


class Lines:
    """One line, one turn; a line that ends in a backslash goes on. Nobody is there to choose."""

    interactive = False

    def __init__(self, source: TextIO | None = None) -> None:
        if source is None and isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a wrong byte shall not end the conversation
        self._source = source or sys.stdin
        self._asked, self._lines = queue.SimpleQueue[None](), queue.SimpleQueue[str]()
        self._came: Callable[[], None] = lambda: None
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

    async def _line(self) -> str:
        came, token = anyio.Event(), anyio.lowlevel.current_token()
        self._came = lambda: anyio.from_thread.run_sync(came.set, token=token)
        self._asked.put(None)
        await came.wait()
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


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def clear_or_leave(event: KeyPressEvent) -> None:
        """What was typed is thrown away first; with nothing typed it is an interrupt."""
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return keys


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
