"""Who speaks, in which colour."""

from __future__ import annotations

from .lines import Speaker

PALETTE = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta")


class Speakers:
    """Every model keeps the colour it got when it first spoke; without `coloured`, none has one."""

    def __init__(self, *, coloured: bool) -> None:
        self.coloured = coloured
        self._styles: dict[str, str] = {}

    def of(self, name: str, model: str = "", depth: int = 0) -> Speaker:
        style = self._styles.setdefault(model or name, PALETTE[len(self._styles) % len(PALETTE)])
        return Speaker(name=name, style=style if self.coloured else "", depth=depth)
