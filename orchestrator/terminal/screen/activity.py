"""What a run is doing at this moment, in one line: since when, how far, how long it will still take."""

from __future__ import annotations

from dataclasses import dataclass, field

from servers.durations import duration

from ...events import Foreseen
from ...sanitize import one_line, shown_arguments
from ...types import ToolCall

CHARS_PER_TOKEN = 4


@dataclass(slots=True, kw_only=True)
class Working:
    """A tool under way."""

    call: ToolCall
    since: float
    message: str = ""


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

    def told(self, now: float) -> str:
        """Empty where there is nothing to tell."""
        if self.tools:
            return "; ".join(_tool(one, now) for one in self.tools.values())
        if self.idle:
            return ""
        if self.first is not None:
            return self._answering(now, self.first)
        elapsed = max(now - self.since, 0.0)
        if self.foreseen is None:
            return f"waiting for the first token · {duration(round(elapsed))}"
        return _foreseen(self.foreseen, elapsed)

    def _answering(self, now: float, first: float) -> str:
        tokens, took = self.chars // CHARS_PER_TOKEN, now - first
        parts = ["thinking" if self.thinking else "writing", f"{duration(round(now - self.since))}"]
        if tokens:
            parts.append(f"about {tokens:,} tokens")
        if took > 1:
            parts.append(f"{tokens / took:.0f}/s")
        if self.foreseen is not None:
            parts += _left(self.foreseen, now - self.since)
        return " · ".join(parts)


def _foreseen(f: Foreseen, elapsed: float) -> str:
    if f.waiting_for is not None:
        waiting = f"waiting for {one_line(f.waiting_for, 60)} · {duration(round(elapsed))}"
        return " · ".join([waiting, *_left(f, elapsed)])
    load, read = f.load_s or 0.0, f.prefill_s
    if elapsed < load:
        doing = [f"loading {duration(round(elapsed))}"]
    elif read is None or read <= 0:
        doing = [f"waiting for the first token · {duration(round(elapsed))}"]
    else:
        share = (elapsed - load) / read
        reading = f"reading {100 * share:.0f} %" if share < 1 else "waiting for the first token"
        doing = [reading, f"{duration(round(elapsed))}"]
        if load >= 1 and share < 1:
            doing.insert(0, f"loading {duration(round(load))}")
    return " · ".join([*doing, *_left(f, elapsed)])


def _left(f: Foreseen, elapsed: float) -> list[str]:
    """Time to the end, by the forecast; where it is past, that it is."""
    if f.total_s is None:
        return []
    most = (f.high_s or f.total_s) - elapsed
    if most < 0:
        return [f"{duration(round(f.total_s))} were forecast"]
    mark = " simulated" if f.simulated else ""
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


def _tool(one: Working, now: float) -> str:
    name = one_line(one.call.name, 40)
    if one.message:
        return f"{name} · {one.message} · {duration(round(now - one.since))}"
    return (
        f"{name} {shown_arguments(one.call.arguments, 60)}".rstrip()
        + f" · {duration(round(now - one.since))}"
    )
