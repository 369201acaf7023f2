"""A chain of models: the next one answers where one cannot."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import BadRequest, OrchestratorError, OutOfBudget, ProviderError, Refused, Unsupported
from ...events import Emit, Switched, ignore
from ...types import Completion, Delta, JsonObject, Request
from .. import ModelInfo, Provider, close, models_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    provider: Provider
    model: str | None = None  # "provider:model" to ask for; None: the one the request names
    settings: JsonObject = field(default_factory=dict[str, Any])  # further fields of the request for it

    def asked(self, request: Request) -> Request:
        """`request` as it goes to this one."""
        return replace(request, model=self.model or request.model, **self.settings)


class Fallback:
    """Asks the steps in turn. `Completion.message.origin` says who answered; every change is a Switched event.

    A request that is wrong in itself, or refused for what it says, is not carried to the next. A step that
    cannot be paid is passed over like one that fails.
    """

    def __init__(self, *steps: Step | Provider, name: str | None = None, emit: Emit = ignore) -> None:
        if not steps:
            raise ValueError("a fallback needs at least one provider")
        self.steps = tuple(step if isinstance(step, Step) else Step(provider=step) for step in steps)
        self.name = name or self.steps[0].provider.name
        self.emit = emit

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        failures: list[OrchestratorError] = []
        for step, following in zip(self.steps, (*self.steps[1:], None), strict=True):
            asked = step.asked(request)
            try:
                async with aclosing(step.provider.stream(asked)) as items:
                    async for item in items:
                        yield item
                return
            except (ProviderError, OutOfBudget) as exc:
                failures.append(exc)
                if not worth_passing_on(exc):
                    raise
            if following is not None:
                new = following.model or f"{following.provider.name}:{request.model_name}"
                self.emit(Switched(old=asked.model, new=new, reason=str(failures[-1])))
        raise all_failed(self.name, failures) from failures[-1]

    async def models(self) -> tuple[ModelInfo, ...]:
        found = [await models_of(step.provider) for step in self.steps]
        return tuple({info.id: info for infos in found for info in infos}.values())

    async def aclose(self) -> None:
        for provider in {id(step.provider): step.provider for step in self.steps}.values():
            await close(provider)


def worth_passing_on(exc: OrchestratorError) -> bool:
    """Whether another model may answer all the same."""
    return not isinstance(exc, BadRequest | Refused) or isinstance(exc, Unsupported)


def all_failed(name: str, failures: list[OrchestratorError]) -> OrchestratorError:
    """The only failure itself; of several, one error that names them all."""
    if len(failures) == 1 or all(isinstance(failure, OutOfBudget) for failure in failures):
        return failures[-1]
    told = "; ".join(str(failure) for failure in failures)
    curable = any(isinstance(failure, ProviderError) and failure.retryable for failure in failures)
    return ProviderError(name, f"none of {len(failures)} models answered: {told}", retryable=curable)
