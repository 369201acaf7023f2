"""Steering a run: functions that see each model call and each tool call, before and after, and may change or stop it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError, OrchestratorError, RunError, ends_more, reason
from .in_thread import in_thread
from .types import Completion, Request, Text, ToolCall, ToolResult, result


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What is asked around each call; None: nothing is. Each may be async; others run in a thread.

    Whoever returns None leaves things as they are. Raise `Stopped` to end the run; whatever else a hook raises ends it
    too, since a guard that fails must not let pass.
    """

    before_model: Callable[[Request], Any] | None = None
    """Returns the Request to send instead, to the same provider. The conversation keeps what was there."""
    after_model: Callable[[Request, Completion], Any] | None = None
    """Returns the Completion to go on with, and to keep, instead. What was streamed has been shown by then."""
    before_tool: Callable[[ToolCall], Any] | None = None
    """Returns True to approve; False or a str, the reason, to decline; a ToolCall to make instead; or a ToolResult."""
    after_tool: Callable[[ToolCall, ToolResult], Any] | None = None
    """Returns what the model reads instead: a ToolResult, or a str."""

    def __post_init__(self) -> None:
        """Raises ConfigError for a hook that cannot be called."""
        for name in self.__slots__:
            hook: object = getattr(self, name)
            if hook is not None and not callable(hook):
                raise ConfigError(f"the hook {name}: wanted a function or None, found {hook!r}")

    async def request(self, request: Request) -> Request:
        """What to send."""
        found = await _asked("before_model", self.before_model, request)
        return request if found is None else _one_of("before_model", found, Request)

    async def completion(self, request: Request, done: Completion) -> Completion:
        """What to go on with."""
        found = await _asked("after_model", self.after_model, request, done)
        return done if found is None else _one_of("after_model", found, Completion)

    async def call(self, call: ToolCall) -> ToolCall | ToolResult:
        """The call to make, or the result of one that is not to be made."""
        found = await _asked("before_tool", self.before_tool, call)
        if found is None or found is True:
            return call
        if found is False or isinstance(found, str):
            return result(call, f"{call.name} was not run: {found or 'it was declined'}", is_error=True)
        found = _one_of("before_tool", found, ToolCall, ToolResult)
        given: Any = found.arguments if isinstance(found, ToolCall) else {}
        if not isinstance(given, Mapping):
            raise RunError(f"the hook before_tool gave arguments that are no dict: {type(given).__name__}")
        return found

    async def result(self, call: ToolCall, answer: ToolResult) -> ToolResult:
        """What the model reads of a call that was made."""
        found = await _asked("after_tool", self.after_tool, call, answer)
        if found is None:
            return answer
        if isinstance(found, str):
            return ToolResult(
                call_id=call.id, name=call.name, content=(Text(text=found),), is_error=answer.is_error
            )
        return _one_of("after_tool", found, ToolResult)


NO_HOOKS = Hooks()


async def _asked(name: str, hook: Callable[..., Any] | None, *given: Any) -> Any:
    if hook is None:
        return None
    try:
        if inspect.iscoroutinefunction(hook):
            return await hook(*given)
        found = await in_thread(hook, *given)
        return await found if inspect.isawaitable(found) else found
    except OrchestratorError:
        raise
    except BaseException as exc:
        if ends_more(exc):
            raise
        raise RunError(f"the hook {name} failed: {reason(exc)}") from exc


def _one_of(name: str, found: Any, *kinds: type[Any]) -> Any:
    if isinstance(found, kinds):
        return found
    wanted = " or ".join(kind.__name__ for kind in kinds)
    raise RunError(
        f"the hook {name} returned {type(found).__name__}; wanted {wanted}, or None to change nothing"
    )
