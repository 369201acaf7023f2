"""What a run is doing at this moment, a line for each thing: since when, how far, how long it will still take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from servers.durations import duration

from ...events import Foreseen
from ...sanitize import one_line, shown_arguments
from ...types import ToolCall

CHARS_PER_TOKEN = 4
GUESS = 4.0
"""An interval whose upper end is this many times its lower one is no forecast a person can plan with."""


@dataclass(slots=True, kw_only=True)
class Working:
    """A tool under way."""

    call: ToolCall
    since: float
    message: str = ""
    delegation: bool = False


@dataclass(slots=True, kw_only=True)
class Activity:
    since: float  # when what it is doing began
    idle: bool = False  # the model has said what it had to
    thinking: bool = False
    chars: int = 0
    first: float | None = None  # when the first piece of this answer came
    foreseen: Foreseen | None = None
    tools: dict[str, Working] = field(default_factory=dict[str, Working])

    def wait(self, now: float) -> None:
        """The model is asked."""
        self.since, self.first, self.chars, self.foreseen = now, None, 0, None
        self.thinking = self.idle = False

    def piece(self, text: str, *, thinking: bool, now: float) -> None:
        if self.first is None:
            self.first = now
        self.chars += len(text)
        self.thinking = thinking

    def told(self, now: float) -> list[Sequence[str]]:
        """Lines, each in the parts it may be cut between; none where there is nothing to tell."""
        if self.tools:
            return [_tool(one, now) for one in self.tools.values()]
        if self.idle:
            return []
        if self.first is not None:
            return [self._answering(now, self.first)]
        elapsed = max(now - self.since, 0.0)
        if self.foreseen is None:
            return [["waiting for the first token", duration(round(elapsed))]]
        return [_foreseen(self.foreseen, elapsed)]

    def _answering(self, now: float, first: float) -> list[str]:
        tokens, took = self.chars // CHARS_PER_TOKEN, now - first
        parts = ["thinking" if self.thinking else "writing"]
        if tokens > 1:
            parts.append(f"about {tokens:,} tokens")
        if tokens > 1 and took > 1:
            parts.append(f"{tokens / took:.0f}/s")
        parts.append(duration(round(now - self.since)))
        if self.foreseen is not None:
            parts += _left(self.foreseen, now - self.since)
        return parts


def fitted(parts: Sequence[str], room: int) -> str:
    """In at most `room` cells: what stands between the beginning and the end goes first, then the longer is cut."""
    kept = list(parts)
    while len(kept) > 2 and _cells(kept) > room:
        del kept[-2]
    if (over := _cells(kept) - room) > 0:
        longest = max(range(len(kept)), key=lambda place: cell_len(kept[place]))
        kept[longest] = cut_text(kept[longest], cell_len(kept[longest]) - over)
    return " · ".join(kept)


def cut_text(text: str, room: int) -> str:
    """In at most `room` cells; what is cut says so."""
    return text if cell_len(text) <= room else f"{set_cell_size(text, max(room - 1, 0)).rstrip()}…"


def _cells(parts: Sequence[str]) -> int:
    return cell_len(" · ".join(parts))


def _foreseen(f: Foreseen, elapsed: float) -> list[str]:
    if f.waiting_for is not None:
        waiting = f"waiting for {one_line(f.waiting_for, 60)}"
        return [waiting, duration(round(elapsed)), *_left(f, elapsed)]
    load, read = f.load_s or 0.0, f.prefill_s
    if elapsed < load:
        doing = [f"loading {duration(round(elapsed))}"]
    elif read is None or read <= 0:
        doing = ["waiting for the first token", duration(round(elapsed))]
    else:
        share = (elapsed - load) / read
        reading = f"reading {100 * share:.0f} %" if share < 1 else "waiting for the first token"
        doing = [reading, f"{duration(round(elapsed))}"]
        if load >= 1 and share < 1:
            doing.insert(0, f"loading {duration(round(load))}")
    return [*doing, *_left(f, elapsed)]


def _left(f: Foreseen, elapsed: float) -> list[str]:
    """Time to the end, by the forecast; where it is past, that it is."""
    if f.total_s is None:
        return []
    most = (f.high_s or f.total_s) - elapsed
    if most < 0:
        return [f"{duration(round(f.total_s))} were forecast"]
    mark = " simulated" if f.simulated else ""
    if f.low_s is not None and f.high_s is not None and f.high_s > GUESS * f.low_s:
        soonest = duration(round(max(f.low_s - elapsed, 0)))
        return [f"{soonest} to {duration(round(most))} left, {_guessed(f.runs)}{mark}"]
    left = round(f.total_s - elapsed)
    if left <= 0 < round(most):
        return [f"at most {duration(round(most))} left{mark}"]
    bounds = ""
    if f.low_s is not None and f.high_s is not None:
        bounds = f" (90 %: {_range(max(f.low_s - elapsed, 0), most)})"
    return [f"{duration(max(left, 0))} left{bounds}{mark}"]


def _range(low: float, high: float) -> str:
    """Without units while both are seconds."""
    return f"{low:.0f}-{high:.0f}" if high < 100 else f"{duration(round(low))} to {duration(round(high))}"


def _guessed(runs: int | None) -> str:
    return f"a guess from {runs} run{'' if runs == 1 else 's'}" if runs else "a guess"


def _tool(one: Working, now: float) -> list[str]:
    took = duration(round(now - one.since))
    if (
        one.delegation
    ):  # its server tells the model, what it does, how far it is and what is left, in this order
        doing, *rest = one.message.split(", ") if one.message else ["starting"]
        return [f"worker {doing}", took, *rest]
    name = one_line(one.call.name, 40)
    return [name, took, one.message or shown_arguments(one.call.arguments, 60)]
