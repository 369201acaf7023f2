"""One function as a tool: described by its signature, called safely, still callable as the function it is."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial, update_wrapper
from itertools import islice
from threading import Event
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import anyio
from pydantic_core import from_json, to_json

from ..errors import ConfigError, ends_more, reason
from ..in_thread import in_thread, waited_for
from ..tools import Progress, no_progress
from ..types import Image, Text, ToolSpec
from .signature import Described, Signature

P = ParamSpec("P")
R = TypeVar("R")
MAX_ITEMS = 10_000
"""Of what a generator yields: one that never ends must not fill the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """What a call came to. It never raises: a failure has `error`, one sentence, and no result."""

    success: bool
    result: Any = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """{"success": True, "result": ...} or {"success": False, "error": ...}."""
        rest = {"result": self.result} if self.success else {"error": self.error}
        return {"success": self.success, **rest}

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]


@dataclass(slots=True, kw_only=True)
class ToolContext:
    """Given to a function that has a parameter of this type; the model does not see that parameter."""

    watch: Progress
    loop: asyncio.AbstractEventLoop
    context: Context = field(default_factory=copy_context)  # of the run: a thread has none of its own
    stopped: Event = field(default_factory=Event)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tell the person how far it is, in whatever unit `done` and `total` share; `total` None: nobody knows. From any thread."""
        self.loop.call_soon_threadsafe(self._tell, done, total, message, context=self.context)

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the result any more. Functions that are not async look here; others are cancelled."""
        return self.stopped.is_set()

    def _tell(self, done: float, total: float | None, message: str) -> None:
        if not self.cancelled:
            self.watch(done, total, message)


class FunctionTool(Generic[P, R]):
    """A Python function that models can call. Made by `tool`; calling it calls the function.

    Arguments as of `tool`; `signature`: what it takes, where its own does not say it. `function`, `name`, and `spec`, what a
    model is told.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        needs_approval: bool = False,
        timeout_s: float | None = None,
        signature: Described | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name = _checked(name or _name_of(function))
        self.needs_approval, self.timeout_s = needs_approval, timeout_s
        self.signature: Described = signature or Signature(function, self.name, ToolContext)
        self.spec = ToolSpec(
            name=self.name,
            description=description or self.signature.description,
            parameters=self.signature.schema,
            read_only=read_only,
            destructive=destructive,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a method of an object it is the tool of that object."""
        if instance is None:
            return self
        bound: Callable[..., Any] = self.function.__get__(instance, owner)  # type: ignore[attr-defined]
        return FunctionTool(bound, **self._options())

    def describe(self) -> str:
        """For people and for models that read tools as text: the call, what it does, each parameter."""
        lines = [str(self.signature), *(f"    {line}" for line in self.spec.description.splitlines())]
        for name, schema in self.spec.parameters["properties"].items():
            if said := schema.get("description"):
                lines.append(f"    {name}: {' '.join(said.split())}")
        return "\n".join(lines)

    def to_openai_format(self) -> dict[str, Any]:
        """The tool as OpenAI's Chat Completions and everything compatible with it want it."""
        spec = self.spec
        function = {"name": spec.name, "description": spec.description, "parameters": dict(spec.parameters)}
        return {"type": "function", "function": function}

    def execute(self, /, **arguments: Any) -> ToolOutcome:
        """Call it as a model would. Arguments are checked; whatever goes wrong is in the ToolOutcome: it never raises."""
        return waited_for(self.execute_async, arguments)

    async def execute_async(self, arguments: Mapping[str, Any], watch: Progress = no_progress) -> ToolOutcome:
        """As `execute`, from async code. Cancelling it cancels the call; a thread is told and left to itself."""
        try:
            args, kwargs = self.signature.bound(arguments)
        except ValueError as exc:
            return ToolOutcome(success=False, error=f"{self.name}: {exc}")
        context = ToolContext(watch=watch, loop=asyncio.get_running_loop())
        if self.signature.context is not None:
            kwargs[self.signature.context] = context
        try:
            with anyio.fail_after(self.timeout_s):
                return ToolOutcome(success=True, result=await _called(self.function, args, kwargs))
        except TimeoutError as exc:
            late = f"took longer than {self.timeout_s:g} s" if self.timeout_s is not None else reason(exc)
            return ToolOutcome(success=False, error=f"{self.name}: {late}")
        except BaseException as exc:
            if ends_more(exc):
                raise
            return ToolOutcome(success=False, error=f"{self.name}: {reason(exc)}")
        finally:
            context.stopped.set()

    def _options(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "name": self.name,
            "description": spec.description,
            "read_only": spec.read_only,
            "destructive": spec.destructive,
            "needs_approval": self.needs_approval,
            "timeout_s": self.timeout_s,
        }


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool | None = None,
    destructive: bool | None = None,
    needs_approval: bool = False,
    timeout_s: float | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function, sync or async, a tool: `@tool`, or `@tool(needs_approval=True)`.

    Name, description and schema come from the function; `name` and `description` say otherwise. `read_only` and
    `destructive`: what it claims about itself, to those who decide; None: nothing. `needs_approval`: the person is asked
    before each call. `timeout_s`: longest it may take, in seconds; None: no limit. What it yields is its result, 10,000
    items at most. Raises ConfigError where a parameter cannot be described to a model, or no vendor takes the name.
    """

    def made(given: Callable[..., Any]) -> FunctionTool[..., Any]:
        return FunctionTool(given, **options)

    return made if function is None else made(function)


def shown(value: Any) -> tuple[Text | Image, ...]:
    """A result as a model reads it: text as it is, pictures as pictures, everything else as JSON."""
    if isinstance(value, Text | Image):
        return (value,)
    if isinstance(value, list | tuple) and value and all(isinstance(one, Text | Image) for one in value):
        return tuple(cast("list[Text | Image]", value))
    if isinstance(value, str):
        return (Text(text=value or "(no output)"),)
    if value is None:
        return (Text(text="(no output)"),)
    try:
        plain = from_json(to_json(value, fallback=str, bytes_mode="base64", inf_nan_mode="strings"))
        return (Text(text=json.dumps(plain, ensure_ascii=False)),)
    except (ValueError, RecursionError) as exc:  # it was done all the same
        kind = type(cast("object", value)).__name__
        return (Text(text=f"(done; what it gave, a {kind}, cannot be written as JSON: {reason(exc)})"),)


async def _called(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    if _is_async(function):
        return await _settled(await cast(Awaitable[Any], function(*args, **kwargs)))

    def work() -> Any:
        found = function(*args, **kwargs)
        return list(islice(found, MAX_ITEMS)) if inspect.isgenerator(found) else found

    return await _settled(await in_thread(work))


async def _settled(found: Any) -> Any:
    """What it gives once all that it yields has come, MAX_ITEMS at most, and what it promises."""
    if inspect.isasyncgen(found):
        items: list[Any] = []
        async with aclosing(found):
            async for item in found:
                items.append(item)
                if len(items) == MAX_ITEMS:
                    break
        return items
    return await found if inspect.isawaitable(found) else found


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  (an object with an async __call__)
    )


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def _checked(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
        raise ConfigError(
            f"no vendor takes {name!r} as a tool's name: wanted letters, digits, _ and -, at most 64; "
            "give one with tool(name=...)"
        )
    return name
