"""What the commands of a conversation see of it, and how they read their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from ...config.load import Config
from ...errors import ConfigError
from ...events import Event
from ...session.session import Session
from ...store.recorder import Recorder
from ...store.store import Store
from ...tools import Approve
from ...types import ToolCall
from ..display import Display
from .input import Reader


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
    asides: list[str]
    """What goes along with the next question."""
    changes: list[ToolCall]
    """What takes back what the last turn changed, oldest first."""

    def begin(self) -> None: ...

    def resume(self, which: str) -> None: ...

    def kept(self) -> Store: ...

    def emit(self, event: Event) -> None: ...

    def say(self, text: str) -> None: ...


def number_in(rest: str, name: str) -> int | None:
    if rest and not rest.isdecimal():
        raise ConfigError(f"{name} wants a number, as {name} 2, or nothing for the last; found {rest!r}")
    return int(rest) if rest else None


T = TypeVar("T")


def choice_in(word: str, known: Mapping[str, T], name: str) -> T:
    if word not in known:
        raise ConfigError(f"{name} takes {', '.join(filter(None, known))}, found {word!r}")
    return known[word]
