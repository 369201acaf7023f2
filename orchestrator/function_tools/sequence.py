"""Tools one behind the other: the result of one becomes the arguments of the next, and the first failure ends it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, cast

from ..errors import ConfigError, RunError, ends_more, reason
from ..in_thread import waited_for
from .function_tool import FunctionTool, ToolOutcome, tool
from .toolbox import as_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """One tool of a sequence. `transform`: its arguments, from the result before and from all results by step."""

    tool: FunctionTool[..., Any]
    name: str = ""  # of its output; the tool's own without one
    transform: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]] | None = None
    """None: a dict as it is, anything else as the tool's first parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceOutcome(ToolOutcome):
    """As ToolOutcome; `partial_outputs` has the result of every step that was done, by its name."""

    failed_step: str | None = None
    partial_outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_dict(self) -> dict[str, Any]:
        more = {} if self.success else {"failed_step": self.failed_step}
        return {**ToolOutcome.to_dict(self), **more, "partial_outputs": dict(self.partial_outputs)}


async def run_steps(steps: Sequence[ToolStep], arguments: Mapping[str, Any]) -> SequenceOutcome:
    """Call each with what the one before gave, the first with `arguments`. Never raises for a tool that fails."""
    outputs: dict[str, Any] = {}
    before: Any = dict(arguments)
    for step, name in zip(steps, _names(steps), strict=True):
        try:
            found: Any = step.transform(before, outputs) if step.transform else _arguments(step, before)
            if not isinstance(found, Mapping):
                raise TypeError(f"wanted the tool's arguments as a dict, found {type(found).__name__}")
        except BaseException as exc:  # theirs, and may raise anything
            if ends_more(exc):
                raise
            said = f"the transform of {name} failed: {reason(exc)}"
            return SequenceOutcome(success=False, error=said, failed_step=name, partial_outputs=outputs)
        done = await step.tool.execute_async(cast("Mapping[str, Any]", found))
        if not done.success:
            return SequenceOutcome(success=False, error=done.error, failed_step=name, partial_outputs=outputs)
        outputs[name] = before = done.result
    return SequenceOutcome(success=True, result=before, partial_outputs=outputs)


def run_tools(*steps: ToolStep | Callable[..., Any], **arguments: Any) -> SequenceOutcome:
    """As `run_steps`, for programs that are not asynchronous. Raises ConfigError for what is no tool and no function."""
    return waited_for(run_steps, _steps(steps), arguments)


def in_sequence(
    name: str, *steps: ToolStep | Callable[..., Any], description: str = ""
) -> FunctionTool[..., Any]:
    """The steps as one tool, with the parameters of the first. A failure says which step, and what was done by then."""
    listed = _steps(steps)
    first = listed[0].tool

    @wraps(first.function)
    async def sequence(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(first.function).bind(*args, **kwargs).arguments
        done = await run_steps(
            listed, {key: one for key, one in given.items() if key != first.signature.context}
        )
        if done.success:
            return done.result
        by_then = ", ".join(done.partial_outputs) or "nothing"
        raise RunError(f"step {done.failed_step} failed: {done.error}; done by then: {by_then}")

    said = description or f"{', then '.join(_names(listed))}. {first.spec.description}"
    return tool(name=name, description=said)(sequence)


def _steps(steps: Sequence[ToolStep | Callable[..., Any]]) -> list[ToolStep]:
    if not steps:
        raise ConfigError("a sequence of tools has at least one")
    return [_step(one) for one in steps]


def _step(given: object) -> ToolStep:
    if isinstance(given, ToolStep):
        return given
    if not callable(given):
        raise ConfigError(f"a sequence is made of tools and functions, found {type(given).__name__}")
    return ToolStep(tool=as_tool(given))


def _names(steps: Sequence[ToolStep]) -> list[str]:
    names: list[str] = []
    for step in steps:
        name = step.name or step.tool.name
        names.append(name if name not in names else f"{name} {len(names) + 1}")
    return names


def _arguments(step: ToolStep, before: Any) -> Mapping[str, Any]:
    if isinstance(before, Mapping):
        return before
    names = list(step.tool.spec.parameters["properties"])
    return {names[0]: before} if names else {}
