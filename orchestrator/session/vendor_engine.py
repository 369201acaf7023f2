"""A vendor's models as an engine of the ollama server's: the same task, gates and receipt, at a price."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter

import anyio

from servers.ollama.delegate.runner import RunRejected
from servers.ollama.engines.protocol import Answer, EngineError, Model, Query, Said
from servers.ollama.ledger.profile import Outcome, Profile

from ..errors import OrchestratorError, OutOfBudget
from ..providers import split
from ..types import Completion, Message, Request, Text
from .session import Session

_ENDS: Mapping[str, Outcome] = {"length": "length", "context": "overflow", "refusal": "error"}


class VendorEngine:
    """A Runtime of one model, "provider:model". `max_output`: tokens its answer may have; None: the vendor's own limit.

    What it asks goes through the session's provider, so the budget is checked before each call.
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
        began, first, done = perf_counter(), None, None
        provider = await self._session.provider(split(self._model)[0])
        try:
            with anyio.fail_after(query.timeout_s):
                async with aclosing(provider.stream(self._request(query))) as items:
                    async for item in items:
                        first = first or perf_counter() - began
                        if isinstance(item, Completion):
                            done = item
                            break
                        said(item.text, item.thinking)
        except OutOfBudget as exc:
            raise RunRejected(str(exc)) from exc
        except OrchestratorError as exc:
            raise EngineError(str(exc)) from exc
        except TimeoutError:
            profile = Profile(model=self._model, outcome="cancelled", wall_s=perf_counter() - began)
            return Answer(text="", profile=profile, error=f"no answer within {query.timeout_s:g} s")
        if done is None:
            raise EngineError(f"{self._model} said nothing")
        return self._answer(done, perf_counter() - began, first)

    def _request(self, query: Query) -> Request:
        system = "\n\n".join(one["content"] for one in query.messages if one["role"] == "system")
        turns = tuple(
            Message(
                role="assistant" if one["role"] == "assistant" else "user", parts=(Text(text=one["content"]),)
            )
            for one in query.messages
            if one["role"] != "system"
        )
        asked = Request(
            model=self._model,
            system=system,
            messages=turns,
            schema=query.schema,
            max_tokens=self._max_output,
            think=query.think or None,
        )
        configured = self._session.config.request_settings(self._model)
        return replace(asked, **{key: value for key, value in configured.items() if not getattr(asked, key)})

    def _answer(self, done: Completion, wall_s: float, first_s: float | None) -> Answer:
        usage = done.usage
        self.cost_usd = (
            None if self.cost_usd is None or usage.cost_usd is None else self.cost_usd + usage.cost_usd
        )
        outcome = _ENDS.get(done.stop, "done")
        profile = Profile(
            model=self._model,
            outcome=outcome,
            total_s=wall_s,
            wall_s=wall_s,
            first_token_s=first_s,
            tokens_in=usage.input_tokens,
            tokens_cached=usage.cached_tokens,
            tokens_out=usage.output_tokens,
            recorded=done.recorded,
            simulated=done.simulated,
        )
        refused = "its own safety rules ended the answer" if done.stop == "refusal" else None
        full = "the prompt does not fit its context" if done.stop == "context" else None
        return Answer(text=done.message.text, profile=profile, error=refused or full)

    async def aclose(self) -> None:
        pass  # the session closes its providers

    def close(self) -> None:
        pass
