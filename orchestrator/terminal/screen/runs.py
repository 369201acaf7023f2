"""The runs on a screen: who works for whom, whose turn it is, who stands beside whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...types import Provenance, ToolCall
from .activity import Activity
from .blocks import Blocks
from .entries import Entry
from .lines import Speaker


@dataclass(slots=True, kw_only=True)
class Run:
    id: str
    speaker: Speaker
    parent: str | None
    model: str  # "" of a pattern, which only asks others
    activity: Activity
    blocks: Blocks = field(default_factory=Blocks)
    thoughts: str = ""
    said: str = ""  # streamed of the round under way
    thought_s: float | None = None  # when thinking began
    held: list[Entry] = field(default_factory=list[Entry])  # said while another run has the screen
    shown: bool = False  # something of it stands on the screen
    made: Provenance = "measured"  # its figures
    asked: str = ""  # the last task it gave to a run that works for it
    heard: str = ""  # the last answer of a run that worked for it
    code: bool = False  # it wrote code, which is copied: never in a column
    ended: bool = False
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])


class Runs(dict[str, Run]):
    """Under way, or ended and not yet shown whole; oldest first."""

    def front(self) -> Run:
        """The oldest run nobody waits for: it, or the oldest it works with."""
        run = next(iter(self.values()))
        while child := next((one for one in self.values() if one.parent == run.id), None):
            run = child
        return run

    def above(self, run: Run) -> list[Run]:
        """Those it works for, the first first, and itself."""
        found = [run]
        while (parent := self.get(found[0].parent or "")) is not None:
            found.insert(0, parent)
        return found

    def beside(self, run: Run) -> list[Run]:
        """Those that work for the same run, itself among them."""
        return [one for one in self.values() if one.parent == run.parent]

    def active(self) -> list[Run]:
        return [run for run in self.values() if not run.ended]


def unheard(text: str, heard: str) -> str:
    """What a run says beyond the answer it passes on, which stands right above."""
    return text.removeprefix(heard.strip()).strip("\n") if heard.strip() else text
