"""Commands about what the screen shows."""

from __future__ import annotations

from ...errors import ConfigError
from ...sanitize import visible
from ..screen.rich_screen import RichScreen
from .conversation import Conversation, choice_in, number_in


async def expand(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    if screen.expand(number_in(rest, "/expand")) is None:
        raise ConfigError(_nothing_cut(screen, rest))


async def view(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    found = screen.output(number_in(rest, "/view"))
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


async def thoughts(talk: Conversation, rest: str) -> None:
    screen = _screen(talk)
    screen.thoughts = choice_in(rest, {"on": True, "off": False, "": not screen.thoughts}, "/thoughts")
    talk.say(f"thoughts are {'shown' if screen.thoughts else 'counted only; /expand shows them'}")
