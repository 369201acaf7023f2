"""Functions as a toolbox of the loop, beside those of MCP servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, cast

from ..errors import ConfigError, ends_more, reason
from ..tools import Approve, Merged, Progress, Toolbox, no_progress
from ..types import Text, ToolCall, ToolResult, ToolSpec, result
from .function_tool import FunctionTool, shown

Tool = str | Callable[..., Any] | Toolbox
"""What `tools=` takes: the name of a server, "module:function", a function, or a whole toolbox."""


def given_tools(tools: object) -> tuple[Tool, ...]:
    """What was given as `tools=`, one alone as well. Raises ConfigError for what is none."""
    alone = isinstance(tools, str) or callable(tools) or hasattr(tools, "specs")
    if not alone and not isinstance(tools, Iterable):
        raise ConfigError(f"tools: {_WANTED}, found {type(tools).__name__}")
    found: tuple[Any, ...] = (tools,) if alone else tuple(cast("Iterable[Any]", tools))
    for one in found:
        if not (isinstance(one, str) or callable(one) or hasattr(one, "specs")):
            raise ConfigError(f"tools: {_WANTED}, found {type(one).__name__}")
    return found


_WANTED = "wanted functions, names of servers, module:function or toolboxes"


class FunctionTools:
    """Tools by their names. `approve` is asked before those that need it; without it they are declined."""

    def __init__(self, tools: Iterable[FunctionTool[..., Any]], approve: Approve | None = None) -> None:
        self.approve = approve
        self.tools: dict[str, FunctionTool[..., Any]] = {}
        for one in tools:
            if one.signature.wants_object:
                raise ConfigError(
                    f"the tool {one.name!r} is a method without its object; give it as the_object.{one.name}"
                )
            known = self.tools.setdefault(one.name, one)
            if known is not one:
                raise ConfigError(
                    f"two tools are called {one.name!r}; give one of them another with tool(name=...)"
                )

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(one.spec for one in self.tools.values())

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        found = self.tools.get(call.name)
        if found is None:
            return result(call, f"no tool {call.name!r}; there are: {', '.join(self.tools)}", is_error=True)
        if found.needs_approval and (refused := await self._refused(call)):
            return result(call, refused, is_error=True)
        outcome = await found.execute_async(call.arguments, progress)
        content = shown(outcome.result) if outcome.success else (Text(text=outcome.error or ""),)
        return ToolResult(call_id=call.id, name=call.name, content=content, is_error=not outcome.success)

    async def _refused(self, call: ToolCall) -> str | None:
        if self.approve is None:
            return f"{call.name} was not run: it needs a person's approval, and nobody can be asked here"
        try:
            answer = await self.approve(question(call), ("yes", "no"))
        except BaseException as exc:  # somebody else's; what could not be asked is not approved
            if ends_more(exc):
                raise
            return f"{call.name} was not run: its approval could not be asked for, {reason(exc)}"
        return None if answer == "yes" else f"{call.name} was not run: the person declined"


def question(call: ToolCall) -> str:
    """What the person is asked before the call."""
    given = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"Let the model call {call.name}({given})?"


def as_toolbox(tools: Sequence[Callable[..., Any] | Toolbox], approve: Approve | None = None) -> Toolbox:
    """Functions and toolboxes as one toolbox. Raises ConfigError for what is neither, or for a name twice."""
    boxes = [one for one in tools if not callable(one)]
    functions = [as_tool(one) for one in tools if callable(one)]
    return Merged(*([FunctionTools(functions, approve)] if functions else []), *boxes)


def as_tool(function: Callable[..., Any]) -> FunctionTool[..., Any]:
    """The function as a tool, itself where it is one. Raises ConfigError where it cannot be told to a model."""
    if isinstance(function, FunctionTool):
        return function
    try:
        return _described(function)
    except TypeError:  # an object that cannot be a key
        return FunctionTool(function)


@lru_cache(256)
def _described(function: Callable[..., Any]) -> FunctionTool[..., Any]:
    """Reading a signature takes as long as a whole model call of ours, so not in each run again."""
    return FunctionTool(function)
