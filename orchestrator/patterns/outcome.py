"""What every pattern returns: the result, how it was found, and everything that each member said for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import Any

from ..types import Message, Provenance, Usage, assistant, provenance

SHORT_CHARS = 1_500  # of each answer in the short form
OWN = "understudy"
"""Who says what a panel came to, in place of a provider: no model does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What one member said when it was asked once, or why it said nothing.

    `step`: what it was asked for: "answer", "draft", "review 1", the id of a task, the name of a stage. `error`: why there is
    no text; None: there is. `usage`: of a failed one too, as far as it is known. `seconds`: by this machine's clock;
    `provenance`: how the durations in `usage` came to be, "measured", "recorded" or "simulated".
    """

    agent: str
    model: str
    step: str  # what it was asked for: "answer", "draft", "review 1", the id of a task, the name of a stage
    text: str = ""
    error: str | None = None  # why there is no text
    usage: Usage = field(default_factory=Usage)  # of a failed one too, as far as it is known
    seconds: float = 0.0  # by this machine's clock
    provenance: Provenance = "measured"  # how the durations in `usage` came to be

    @property
    def ok(self) -> bool:
        """Whether it answered."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a pattern and everything that was said for it. `seconds`: of the whole, from first to last.

    `text`: the result, "" when there is none, and `error` then why; `reason`: how it was found. `responses`: in the order
    they were asked for, failures among them. `agreement`: 0 to 1, the share of valid answers that say the same; None: not a
    panel. `details`: what only this pattern has to say. `run`: under which the whole is kept; "" when it is not.
    """

    pattern: str
    question: str
    text: str = ""  # the result; "" when there is none
    error: str | None = None  # why there is none
    reason: str = ""  # how the result was found, in one sentence
    responses: tuple[Response, ...] = ()  # in the order they were asked for, failures among them
    agreement: float | None = None  # 0..1, the share of valid answers that say the same; None: not a panel
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what only this pattern has to say
    warnings: tuple[str, ...] = ()
    run: str = ""  # under which the whole of it is kept; "" when it is not

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    @property
    def answers(self) -> tuple[Response, ...]:
        """Of those who answered, in the order they were asked."""
        return tuple(response for response in self.responses if response.ok)

    @property
    def failures(self) -> tuple[Response, ...]:
        """Of those who did not, each with its `error`."""
        return tuple(response for response in self.responses if not response.ok)

    @property
    def usage(self) -> Usage:
        """Of all members; what nobody reported stays None."""
        return reduce(add, (response.usage for response in self.responses), Usage())

    @property
    def provenance(self) -> Provenance:
        """How the durations in `usage` came to be: "simulated" or "recorded" as soon as those of one member are."""
        made = {response.provenance for response in self.responses}
        return provenance(recorded="recorded" in made, simulated="simulated" in made)

    @property
    def cost_usd(self) -> float | None:
        """US dollars; None unless the price of every answer is known."""
        costs = [response.usage.cost_usd for response in self.responses if response.ok]
        return None if not costs or any(cost is None for cost in costs) else self.usage.cost_usd

    @property
    def models(self) -> tuple[str, ...]:
        """Who was asked, each once, as provider:model."""
        return tuple(dict.fromkeys(response.model for response in self.responses))

    def as_json(self) -> dict[str, Any]:
        """Everything, as one JSON object; unknown figures are null."""
        found = asdict(self)
        for response in found["responses"]:
            response["ok"] = response["error"] is None
            response["usage"] = {k: v for k, v in response["usage"].items() if v is not None}
        return {
            "ok": self.ok,
            **found,
            "usage": self.usage.known(),
            "provenance": self.provenance,
            "cost_usd": self.cost_usd,
            "models": list(self.models),
        }

    def messages(self, chars: int = SHORT_CHARS) -> tuple[Message, ...]:
        """The outcome as a conversation keeps it: what each member said, cut, then the result and where the whole is.

        `chars`: about so many of each, fewer where many spoke.
        """
        each = min(chars, 8 * chars // max(len(self.responses), 1))
        said = [
            assistant(f"[{self.pattern}, {one.step} of {one.model}] {_shown(one, each)}", origin=one.model)
            for one in self.responses
        ]
        several = self.pattern == "consult" and len(self.answers) > 1  # then its text is theirs once more
        lines = [f"no result: {self.error}" if self.error else "" if several else _cut(self.text, 4 * chars)]
        lines += [
            f"{one.model} failed: {one.error}"
            for one in self.failures
            if str(one.error) not in str(self.error)
        ]
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines.append(
            f"[{self.pattern}: {self.reason or 'no result'}{f'; kept whole as {self.run}' if self.run else ''}]"
        )
        return (*said, assistant("\n\n".join(filter(None, lines)), origin=f"{OWN}:{self.pattern}"))

    def short(self, chars: int = SHORT_CHARS) -> str:
        """The same as one text; `chars` as there."""
        return "\n\n".join(message.text for message in self.messages(chars))


def _shown(said: Response, chars: int) -> str:
    return _cut(said.text, chars) if said.ok else f"failed: {said.error}"


def _cut(text: str, chars: int) -> str:
    if len(text) <= chars:
        return text
    return f"{text[:chars].rstrip()} [... {len(text) - chars:,} more characters]"
