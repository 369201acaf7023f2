"""R73, R74, R80: a Python function, described to models by its signature and called safely."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import BaseModel, Field

from orchestrator import ToolContext, tool
from orchestrator.errors import ConfigError
from orchestrator.function_tools.function_tool import FunctionTool, shown
from orchestrator.function_tools.toolbox import as_toolbox
from orchestrator.types import Image


@tool
def say_hello(name: str, times: int = 1, mood: Literal["glad", "sad"] = "glad") -> str:
    """Greet somebody.

    It is polite.

    Args:
        name: whom to greet
        times: how often
    """
    return f"{mood} hello {name}! " * times


class Place(BaseModel):
    city: str
    zip: int | None = None


def test_name_description_and_schema_come_from_the_function() -> None:
    assert say_hello.to_openai_format() == snapshot(
        {
            "type": "function",
            "function": {
                "name": "say_hello",
                "description": """\
Greet somebody.
It is polite.\
""",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "name": {"description": "whom to greet", "type": "string"},
                        "times": {"default": 1, "description": "how often", "type": "integer"},
                        "mood": {"default": "glad", "enum": ["glad", "sad"], "type": "string"},
                    },
                    "additionalProperties": False,
                    "required": ["name"],
                },
            },
        }
    )
    assert say_hello.describe() == snapshot("""\
say_hello(name: string, times: integer = 1, mood: string = 'glad')
    Greet somebody.
    It is polite.
    name: whom to greet
    times: how often\
""")


def test_the_function_stays_the_function_it_was() -> None:
    assert say_hello("Ann", times=2) == "glad hello Ann! glad hello Ann! "
    assert say_hello.__name__ == "say_hello" and (say_hello.__doc__ or "").startswith("Greet")


@pytest.mark.parametrize(
    "text",
    [
        "Do.\n\n:param x: the x\n:type x: int",
        "Do.\n\nParameters\n----------\nx : int\n    the x",
        "Do.\n\nArgs:\n    x (int): the x",
        "Do.\n\n@param x: the x",
    ],
)
def test_parameters_are_described_in_every_usual_form_of_docstring(text: str) -> None:
    def f(x: int) -> None: ...

    f.__doc__ = text
    spec = tool(f).spec
    assert (spec.description, spec.parameters["properties"]["x"]["description"]) == ("Do.", "the x")


def test_an_outcome_has_the_result_or_the_error_and_never_raises() -> None:
    assert say_hello.execute(name="Ann").to_dict() == {"success": True, "result": "glad hello Ann! "}

    @tool
    def fails(n: int) -> int:
        if n == 3:
            sys.exit("leaving")
        return 1 // n

    assert fails.execute(n=0).to_dict() == {
        "success": False,
        "error": "fails: ZeroDivisionError: integer division or modulo by zero",
    }
    assert fails.execute(n=3)["error"] == "fails: SystemExit: leaving"
    for arguments, says in (
        ({}, "fails: n is missing; it takes fails(n: integer)"),
        ({"n": "many"}, "fails: n: Input should be a valid integer, unable to parse string as an integer"),
        ({"n": 1, "m": 2}, "fails: there is no parameter m; it takes fails(n: integer)"),
    ):
        outcome = fails.execute(**arguments)
        assert not outcome.success and (outcome.error or "").startswith(says)
    assert fails.execute(n="2").result == 0  # models write numbers as text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["name", "times", "mood", "nmae", ""]), anything))
def test_whatever_a_model_sends_is_an_outcome(arguments: dict[str, Any]) -> None:
    arguments.pop("times", None)
    outcome = say_hello.execute(**arguments)
    assert outcome.success == (outcome.error is None)


class Kind(Enum):
    BIG = "big"


@dataclass
class Point:
    x: int


def place(
    where: Place,
    points: list[Point],
    kind: Kind,
    schema: Annotated[str, Field(description="a name pydantic uses itself", max_length=3)],
    copy: int = 0,
) -> Any:
    return where, points, kind, schema, copy


def test_values_arrive_as_the_types_that_were_written() -> None:
    one = tool(place)
    sent = {"where": {"city": "Oslo"}, "points": [{"x": "1"}], "kind": "big", "schema": "abc"}
    assert one.execute(**sent).result == (Place(city="Oslo"), [Point(1)], Kind.BIG, "abc", 0)
    assert "at most 3" in (one.execute(**{**sent, "schema": "abcd"}).error or "")
    assert one.spec.parameters["properties"]["schema"]["description"] == "a name pydantic uses itself"


class Shop:
    def __init__(self, stock: int) -> None:
        self.stock = stock

    @tool(read_only=True)
    def left(self, less: int = 0) -> int:
        """How many there are."""
        return self.stock - less

    def plain(self, x: int) -> int:
        return self.stock + x

    async def __call__(self, x: int) -> int:
        return self.stock * x


def positional(a: int, /, b: int = 2) -> int:
    return a * b


def test_methods_partials_and_objects_are_functions_too() -> None:
    shop = Shop(7)
    assert shop.left.execute(less=2).result == 5 and shop.left.spec.read_only
    assert list(shop.left.spec.parameters["properties"]) == ["less"]
    assert tool(shop.plain).execute(x=1).result == 8
    assert FunctionTool(shop, name="shop").execute(x=2).result == 14
    assert tool(partial(positional, b=5)).execute(a=2).result == 10
    assert tool(positional).execute(a=3).result == 6


def test_what_cannot_be_told_to_a_model_is_refused_when_it_is_defined() -> None:
    def many(*things: str) -> None: ...
    def rest(**things: str) -> None: ...
    def odd(x: Shop) -> None: ...
    def lost(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function, says in (
        (many, r"takes \*things; a model needs to know every parameter by name"),
        (rest, r"takes \*\*things"),
        (int, "the tool 'int' does not say what it takes"),
        (odd, "cannot be described to a model: .*Shop"),
        (lost, "'Nowhere' is not defined"),
        (lambda x: x, "no vendor takes '<lambda>' as a tool's name"),
    ):
        with pytest.raises(ConfigError, match=says):
            tool(function)


def test_a_class_a_partial_and_a_decorated_function_are_described_by_what_they_stand_for() -> None:
    def twice(x: int, *, by: int = 2) -> int:
        """Times two."""
        return x * by

    assert tool(partial(twice, by=3)).spec.description == "Times two."
    assert tool(Place).spec.parameters["properties"]["city"] == {"type": "string"}
    assert tool(Place).execute(city="Oslo").result == Place(city="Oslo")
    with pytest.raises(ConfigError, match=r"takes \*more; .*functools\.wraps"):
        tool(name="odd")(lambda *more: more)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType]


def test_a_method_without_its_object_is_refused_and_a_long_description_is_cut() -> None:
    with pytest.raises(ConfigError, match="'plain' is a method without its object"):
        as_toolbox([Shop.plain])
    assert as_toolbox([Shop(1).plain]).specs[0].name == "plain"

    def talks(x: int) -> int:
        return x

    talks.__doc__ = "Word " * 10_000
    assert len(tool(talks).spec.description) < 4_100


def test_what_a_function_yields_is_its_result_and_its_defaults_are_fresh_each_time() -> None:
    def three(start: int) -> Iterator[int]:
        yield from range(start, start + 3)

    async def two(start: int) -> AsyncIterator[int]:
        yield start
        yield start + 1

    def endless() -> Iterator[int]:
        while True:
            yield 0

    def grows(into: list[int] = []) -> list[int]:  # noqa: B006
        into.append(1)
        return into

    assert tool(three).execute(start=1).result == [1, 2, 3]
    assert tool(two).execute(start=1).result == [1, 2]
    assert len(tool(endless).execute().result) == 10_000
    assert [tool(grows).execute().result for _ in range(3)] == [[1]] * 3


@pytest.mark.parametrize(
    "raised",
    [KeyboardInterrupt, SystemExit, asyncio.CancelledError, BaseExceptionGroup("x", [KeyboardInterrupt()])],
)
def test_whatever_a_function_raises_in_its_thread_is_an_outcome(raised: Any) -> None:
    def breaks() -> None:
        raise raised

    async def waits() -> None:
        raise asyncio.CancelledError  # as of a task of its own that was cancelled

    def work() -> tuple[bool, bool]:
        return tool(breaks).execute().success, tool(waits).execute().success

    with ThreadPoolExecutor(1) as pool:  # as agents run them: only the main thread hears Ctrl-C
        assert pool.submit(work).result() == (False, False)


class Odd(BaseException):
    """Of somebody who thinks that nobody catches it."""


@pytest.mark.anyio
@pytest.mark.parametrize("raised", [GeneratorExit, SystemExit, Odd, BaseExceptionGroup("x", [Odd()])])
async def test_whatever_a_function_raises_in_the_main_thread_is_an_outcome_too(raised: Any) -> None:
    def breaks() -> None:
        raise raised

    async def waits() -> None:
        await asyncio.sleep(0)
        raise raised

    for function in (breaks, waits):
        assert (await tool(function).execute_async({})).error


def test_a_call_whose_coroutine_is_closed_ends_quietly() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def begun() -> Any:
        call = tool(never).execute_async({})
        call.send(None)  # as a task does, which nobody goes on with
        return call

    asyncio.run(
        begun()
    ).close()  # a coroutine that went on from here would be told of as one that ignores its end


def test_results_are_text_json_or_pictures() -> None:
    picture = Image(data="aGk=", mime="image/png")
    assert shown(picture) == (picture,) and shown([picture, picture]) == (picture, picture)
    for value, text in (
        ("as it is", "as it is"),
        ("", "(no output)"),
        (None, "(no output)"),
        ([1, 2], "[1, 2]"),
        ({"a": Place(city="Zürich")}, '{"a": {"city": "Zürich", "zip": null}}'),
        (object, "<class 'object'>"),
        (float("inf"), "Infinity"),
        ({"a": float("nan")}, '{"a": "NaN"}'),
    ):
        (part,) = shown(value)
        assert not isinstance(part, Image) and part.text.strip('"') == text


def test_a_result_that_cannot_be_written_is_said_to_be_and_an_error_is_bounded() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def breaks(words: int = 0) -> None:
        raise ValueError("x" * words) if words else Mute()

    ring: list[Any] = []
    ring.append(ring)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for value in (ring, deep):
        (part,) = shown(value)
        assert not isinstance(part, Image) and part.text.startswith("(done; what it gave, a list, cannot be")
    assert tool(breaks).execute().error == "breaks: Mute"
    assert len(tool(breaks).execute(words=100_000).error or "") < 2_100


def test_a_default_that_no_model_can_read_is_left_out_in_silence() -> None:
    def odd(x: Any = object) -> str:
        return "done"

    assert tool(odd).spec.parameters["properties"] == {"x": {}} and tool(odd).execute().success


@pytest.mark.anyio
async def test_an_async_function_is_awaited_and_execute_works_inside_a_running_loop() -> None:
    @tool
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert (await later.execute_async({"x": 1})).result == 2
    assert later.execute(x=1).result == 2
    assert await later(5) == 6


@pytest.mark.anyio
async def test_progress_reaches_the_watcher_from_a_thread_and_from_the_loop() -> None:
    seen: list[tuple[float, float | None, str]] = []

    @tool
    def threaded(n: int, context: ToolContext) -> str:
        for step in range(n):
            context.progress(step, n, "going")
        return "done"

    @tool
    async def looped(context: ToolContext) -> str:
        context.progress(1)
        await asyncio.sleep(0)
        return "done"

    def watch(done: float, total: float | None, message: str) -> None:
        seen.append((done, total, message))

    assert list(threaded.spec.parameters["properties"]) == ["n"]
    assert (await threaded.execute_async({"n": 2}, watch)).success
    assert (await looped.execute_async({}, watch)).success
    assert seen == [(0, 2, "going"), (1, 2, "going"), (1, None, "")]


@pytest.mark.anyio
async def test_a_function_that_takes_too_long_is_left_and_told() -> None:
    told = threading.Event()

    @tool(timeout_s=0.05)
    def slow(context: ToolContext) -> None:
        while not context.cancelled:
            time.sleep(0.005)
        told.set()

    outcome = await slow.execute_async({})
    assert outcome.error == "slow: took longer than 0.05 s"
    assert await asyncio.to_thread(told.wait, 60)
