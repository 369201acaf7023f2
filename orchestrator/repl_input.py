"""Where a conversation's lines come from: a terminal with editing and completion, or any other input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TextIO

import anyio
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from servers.home import home

from .visible import visible


class Interrupted(Exception):
    """Ctrl-C while nothing was running."""


class Reader(Protocol):
    interactive: bool

    async def read(self) -> str | None:
        """What the person says next; None at the end. Raises Interrupted."""
        ...

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        """One of `choices`; None when the person takes none."""
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

    async def read(self) -> str | None:
        try:
            with patch_stdout(raw=True):  # what servers say meanwhile stands above the line being typed
                return await self._prompt.prompt_async("you │ ", handle_sigint=False)
        except EOFError:
            return None
        except KeyboardInterrupt:
            raise Interrupted from None

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        with patch_stdout(raw=True):
            try:
                answer = await self._question.prompt_async(
                    f"{visible(question)}\n[{'/'.join(choices)}] ", handle_sigint=False
                )
            except (EOFError, KeyboardInterrupt):
                return None
        fitting = [
            choice for choice in choices if answer.strip() and choice.startswith(answer.strip().lower())
        ]
        return fitting[0] if len(fitting) == 1 else None


class Lines:
    """One line, one turn; a line that ends in a backslash goes on. Nobody is there to choose."""

    interactive = False

    def __init__(self, source: TextIO | None = None) -> None:
        self._source = source or sys.stdin

    async def read(self) -> str | None:
        whole = ""
        while line := await anyio.to_thread.run_sync(self._source.readline, abandon_on_cancel=True):
            whole += line.removesuffix("\n").removesuffix("\r")
            if not whole.endswith("\\"):
                return whole
            whole = whole[:-1] + "\n"
        return whole or None

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        return None


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
