"""What a run returns: the answer, or why there is none, and everything that was done for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .types import JsonObject, Message, Provenance, Stop, ToolResult, Usage, provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCall:
    """One tool call that a model made, and what came of it.

    `result`: what the model read of it; None, as `is_error` then: it was never run.
    """

    name: str
    arguments: JsonObject
    result: str | None  # None: it was never run
    is_error: bool | None  # None where result is


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a run came to. `seconds`: of the whole run by this machine's clock, those of `usage` as the models report.

    `messages`: what this run added, from the prompt to the answer. `stop`: why the answer ended; "length", "context" and
    "refusal" leave it unfinished. After a failure: why the last whole answer did, "end" where there was none. `output`: `text`, or the value of the asked type; None after a failure. `iterations`: model
    calls that were answered. `error`: why there is no answer; `text` is then what had been said. None: there is one.
    """

    agent: str
    text: str
    messages: tuple[Message, ...]  # what this run added: the prompt, every round, the answer
    usage: Usage
    seconds: float = 0.0
    stop: Stop = "end"  # why the answer ended: "length", "context" and "refusal" leave it unfinished
    output: Any = None  # what was asked for: `text`, or the value of the asked type; None after a failure
    iterations: int = 0  # model calls that were answered
    recorded: bool = False  # some durations in `usage` were recorded or made up, not measured
    simulated: bool = False  # of those: some were made up by an engine that only pretends
    error: str | None = None  # why there is no answer; `text` is then what had been said

    @property
    def success(self) -> bool:
        """Whether there is an answer."""
        return self.error is None

    @property
    def tool_calls(self) -> tuple[MadeCall, ...]:
        """Every call of this run with its result, in the order they were asked for."""
        return tuple(_made(self.messages))

    @property
    def total_tokens(self) -> int | None:
        """In and out; None when the model reported neither."""
        counts = (self.usage.input_tokens, self.usage.output_tokens)
        return None if counts == (None, None) else sum(count or 0 for count in counts)

    @property
    def provenance(self) -> Provenance:
        """How the durations in `usage` came to be: "measured", "recorded" or "simulated". Those in `seconds` are measured."""
        return provenance(recorded=self.recorded, simulated=self.simulated)

    @property
    def cost(self) -> float | None:
        """US dollars; None when no price is known."""
        return self.usage.cost_usd


def _made(messages: tuple[Message, ...]) -> Iterator[MadeCall]:
    """Results are looked for right behind their calls: some models use the same ids in every round."""
    for message, following in pairwise((*messages, Message(role="tool", parts=()))):
        results = {part.call_id: part for part in following.parts if isinstance(part, ToolResult)}
        for call in message.tool_calls:
            found = results.get(call.id)
            yield MadeCall(
                name=call.name,
                arguments=dict(call.arguments),
                result=found and found.text,
                is_error=found and found.is_error,
            )
