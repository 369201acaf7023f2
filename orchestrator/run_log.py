"""A sink that writes what happens into the program's log, one line each, with the agent's name in front.

What was asked, and with what tools were called, is said at the level debug alone.
"""

from __future__ import annotations

import logging

from .events import Called, Event, Notice, RunEnded, RunStarted, ToolFinished, ToolStarted
from .sanitize import one_line

log = logging.getLogger("orchestrator.run")
MAX_CHARS = 500
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class RunLog:
    """One for a session."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._names[event.run] = event.agent
                self._line(event.run, f"begins with {event.model}")
                self._line(event.run, f"is asked: {event.prompt}", logging.DEBUG)
            case Called():
                how = "answered" if event.error is None else f"failed: {event.error}"
                counts = f"{event.usage.input_tokens} tokens in, {event.usage.output_tokens} out"
                self._line(event.run, f"{event.model} {how} after {event.seconds:.2f} s, {counts}")
            case ToolStarted():
                self._line(event.run, f"calls {event.call.name} {dict(event.call.arguments)}", logging.DEBUG)
            case ToolFinished():
                how = "failed" if event.result.is_error else "answered"
                self._line(event.run, f"{event.result.name} {how} after {event.seconds:.2f} s")
            case RunEnded():
                self._line(
                    event.run, f"ended after {event.seconds:.2f} s{f': {event.error}' if event.error else ''}"
                )
                self._names.pop(event.run, None)
            case Notice():
                log.log(_LEVELS[event.level], "%s", one_line(event.text, MAX_CHARS))
            case _:
                pass

    def _line(self, run: str | None, text: str, level: int = logging.INFO) -> None:
        if log.isEnabledFor(level):
            log.log(level, "[%s] %s", self._names.get(run or "", "-"), one_line(text, MAX_CHARS))
