"""A vendor's models as an engine of the ollama server's: the same task, gates and receipt, at a price."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from servers.ollama.delegate.runner import RunRejected
from servers.ollama.engines.protocol import Answer, EngineError, Model, Query, Said
from servers.ollama.ledger.profile import Outcome, Profile

from ..agent import Agent, run
from ..errors import OrchestratorError, OutOfBudget, OutOfTime
from ..events import Event, Streamed
from ..providers import split
from ..reply import Reply
from ..types import Message, Text, Usage
from .session import Session

RUNG = "rung"
"""The agent whose runs these are: parts of a delegation, whose receipt says what became of them."""
_ENDS: Mapping[str, Outcome] = {"length": "length", "context": "overflow", "refusal": "error"}


class VendorEngine:
    """A Runtime of one model, "provider:model". `max_output`: tokens its answer may have; None: the vendor's own limit.

    Each answer is a run of its own, told like those of other workers: with its tokens and its price, through the
    session's hooks and its provider, so the budget is checked before each call.
    """

    def __init__(self, session: Session, model: str, max_output: int | None) -> None:
        self._session, self._model, self._max_output = session, model, max_output
        vendor = split(model)[0]
        self.name = self.host = vendor
        self.url: str | None = None
        self.simulated = False
        self.timed = vendor != "scripted"
        self.note = None if self.timed else "scripted: the answers are recited and their durations recorded"
        self.cost_usd: float | None = 0.0  # of all calls; None once the price of one is not known
        self.usage = Usage()  # of all calls, as far as it was reported

    @property
    def pids(self) -> tuple[int, ...]:
        return ()

    async def engine(self) -> str:
        return self.name

    async def models(self) -> list[Model]:
        return [await self.model(self._model)]

    async def model(self, name: str) -> Model:
        if name != self._model:
            raise EngineError(f"{name!r} is not asked here, but {self._model}")
        window = await self._session.wired.window(name)
        return Model(name=name, digest=f"vendor:{name}", context_length=window, loaded=True, remote=True)

    async def count(self, query: Query) -> int | None:
        return None

    async def chat(self, query: Query, said: Said) -> Answer:
        """Raises RunRejected where the budget does not allow it, EngineError where the vendor cannot answer."""
        began, first = perf_counter(), None
        *earlier, question = [_message(one) for one in query.messages if one["role"] != "system"]

        def heard(event: Event) -> None:
            nonlocal first
            if isinstance(event, Streamed):
                first = first or perf_counter() - began
                said(event.text, event.thinking)
            self._session.emit(event)

        try:
            provider = await self._session.provider(split(self._model)[0])
            reply = await run(self._agent(query), question, provider=provider, history=earlier, emit=heard)
        except OutOfBudget as exc:
            raise RunRejected(str(exc)) from exc
        except OutOfTime as exc:
            self._broken_off(exc.reply)
            profile = Profile(model=self._model, outcome="cancelled", wall_s=perf_counter() - began)
            return Answer(text="", profile=profile, error=f"no answer within {query.timeout_s:g} s")
        except OrchestratorError as exc:
            self._broken_off(exc.reply)
            raise EngineError(str(exc)) from exc
        self._count(reply.usage)
        return self._answer(reply, perf_counter() - began, first)

    def _agent(self, query: Query) -> Agent:
        own: dict[str, Any] = {"schema": query.schema, "max_tokens": self._max_output, "think": query.think}
        given = {key: value for key, value in own.items() if value}
        return Agent(
            name=RUNG,
            model=self._model,
            material="\n\n".join(one["content"] for one in query.messages if one["role"] == "system"),
            role="worker",
            timeout_s=query.timeout_s,
            settings={**self._session.config.request_settings(self._model), **given},
            hooks=self._session.hooks,
        )

    def _count(self, usage: Usage) -> None:
        self.usage += usage
        known = self.cost_usd is not None and usage.cost_usd is not None
        self.cost_usd = (self.cost_usd or 0.0) + (usage.cost_usd or 0.0) if known else None

    def _broken_off(self, reply: Reply | None) -> None:
        """What had begun to answer took money, and nobody says how much; what never began took none."""
        if reply is not None and reply.text:
            self._count(reply.usage)

    def _answer(self, reply: Reply, wall_s: float, first_s: float | None) -> Answer:
        usage = reply.usage
        profile = Profile(
            model=self._model,
            outcome=_ENDS.get(reply.stop, "done"),
            total_s=wall_s,
            wall_s=wall_s,
            first_token_s=first_s,
            tokens_in=usage.input_tokens,
            tokens_cached=usage.cached_tokens,
            tokens_out=usage.output_tokens,
            recorded=reply.recorded,
            simulated=reply.simulated,
        )
        refused = "its own safety rules ended the answer" if reply.stop == "refusal" else None
        full = "the prompt does not fit its context" if reply.stop == "context" else None
        return Answer(text=reply.text, profile=profile, error=refused or full)

    async def aclose(self) -> None:
        pass  # the session closes its providers

    def close(self) -> None:
        pass


def _message(one: Mapping[str, Any]) -> Message:
    return Message(
        role="assistant" if one["role"] == "assistant" else "user", parts=(Text(text=one["content"]),)
    )
