"""Warnings that vendors' SDKs give as Python warnings: told to whoever listens, else logged, never printed as they are."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

_SDKS = ("anthropic", "openai", "google", "boto3", "botocore", "ollama", "httpx", "httpx2")
_BLAMED = rf"({'|'.join(_SDKS)}|orchestrator\.providers)(\.|$)"
"""An SDK's `stacklevel` blames whoever called it, which is an adapter of ours."""


@dataclass(slots=True, eq=False)
class _Listener:
    say: Callable[[str], None]
    heard: set[str] = field(default_factory=set[str])


_listeners: list[_Listener] = []
_before: list[Callable[..., Any]] = []


@contextmanager
def heard_by(say: Callable[[str], None]) -> Generator[None]:
    """`say` gets each warning once, as one line, while this is open."""
    listener = _Listener(say)
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def route() -> None:
    """Take the SDKs' warnings over. For before each use of one: other code may have set the filters anew."""
    warnings.filterwarnings("always", module=_BLAMED)
    if warnings.showwarning is not _show:
        _before[:] = [warnings.showwarning]
        warnings.showwarning = _show


def _show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
    if not (sdk := _speaker()):
        _before[0](message, category, filename, lineno, *rest)
        return
    text = f"{sdk}: {' '.join(str(message).split())}"
    log.info("%s", text)
    for listener in tuple(_listeners):
        if text not in listener.heard:
            listener.heard.add(text)
            listener.say(text)


def _speaker() -> str | None:
    """The SDK whose code has just called `warnings.warn`; None when it was other code."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]  # the documented way to see who called
    while frame is not None and frame.f_globals.get("__name__") in (__name__, "warnings"):
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__", "")).partition(".")[0] if frame else ""
    return name if name in _SDKS else None
