"""What `delegate` returns: the worker's words as a str, with the whole receipt at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from servers.ollama.ledger.profile import Profile
from servers.ollama.ledger.receipt import Advised, FileChanged, Forecasted, Gated, Receipt
from servers.ollama.ledger.runs import DELIVERED

from .reply import Reply
from .terminal.screen.receipt_view import answer_in, receipt_lines


class Delegated(str):
    """The answer; where there is none, what was done or why nothing was, in words.

    `record`: the whole receipt as JSON has it; {} of a model that was asked directly, without files, gates or a ladder.
    Seconds end in `_s`; what is unknown is None.
    """

    __slots__ = ("receipt", "record")
    record: Mapping[str, Any]
    receipt: Receipt

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From the server's record. Raises ValueError where it is no receipt."""
        receipt = Receipt.model_validate(record)
        answer = answer_in(receipt)
        made = cls(answer or "\n".join(text for text, _ in receipt_lines(receipt)))
        made.receipt, made.record = receipt, record
        return made

    @classmethod
    def answered(cls, reply: Reply, model: str) -> Self:
        """From the answer of a model that is asked directly: nothing checked it, nothing was forecast."""
        usage, made = reply.usage, cls(reply.text)
        profile = Profile(
            model=model,
            outcome="done",
            total_s=reply.seconds,
            tokens_in=usage.input_tokens,
            tokens_cached=usage.cached_tokens,
            tokens_out=usage.output_tokens,
            recorded=reply.recorded,
        )
        made.receipt = Receipt(
            outcome="answered", model=model, answer=reply.text, profile=profile, cost_usd=reply.cost
        )
        made.record = {}
        return made

    @property
    def success(self) -> bool:
        """Whether there is a result: accepted by its gate, or answered or written with nothing to check it."""
        return self.receipt.outcome in DELIVERED

    @property
    def outcome(self) -> str:
        """accepted, answered, written, partial, escalate, refused, cancelled, failed or interrupted."""
        return self.receipt.outcome

    @property
    def answer(self) -> str | None:
        """The worker's words; None where it wrote files or nothing."""
        return answer_in(self.receipt) or None

    @property
    def model(self) -> str | None:
        """Who did it, the last that was tried."""
        return self.receipt.model

    @property
    def files(self) -> tuple[FileChanged, ...]:
        """Changed files: path, lines added, lines removed; () where nothing was written."""
        return tuple(self.receipt.files)

    @property
    def gate(self) -> Gated | None:
        """`passed` (None: nothing could be checked) and its checks; None where there was no gate."""
        return self.receipt.gate

    @property
    def profile(self) -> Profile | None:
        """Seconds and tokens of the run: measured, unless it says `recorded` or `simulated`. None where none took place."""
        return self.receipt.profile

    @property
    def cost(self) -> float | None:
        """US dollars that vendors took for it; None where nobody knows, as on a local machine."""
        return self.receipt.cost_usd

    @property
    def forecast(self) -> Forecasted | None:
        """Seconds as forecast before the run, with a 90 % interval, and its `error`: (forecast - measured) / measured. None
        where nothing was known.
        """
        return self.receipt.forecast

    @property
    def advice(self) -> tuple[Advised, ...]:
        """How to ask so that the next run is better, the first first; () where there is nothing to say."""
        return tuple(self.receipt.advice)
