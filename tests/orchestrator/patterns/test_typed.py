"""R3, R55: an answer of a type is described, checked, and asked for again with what was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel, Field

from orchestrator import CodingAgent, load_config, tool
from orchestrator.errors import BadRequest, ConfigError, InvalidAnswer
from orchestrator.events import Event, Notice
from orchestrator.providers.scripted import Scripted
from orchestrator.types import ToolCall, assistant

T = TypeVar("T")


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


class Page(BaseModel, Generic[T]):
    items: list[T]


class Tree(BaseModel):
    name: str
    kids: list[Tree] = []


@dataclass
class Pair:
    a: int
    b: list[int]


@tool
def census(city: str) -> int:
    return 700_000


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[CodingAgent]:
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    with CodingAgent(model="fake:m", config=config, tools=()) as made:
        yield made


@pytest.mark.parametrize(
    ("of", "said", "value"),
    [
        (City, '{"name": "Oslo", "people": 7}', City(name="Oslo", people=7)),
        (City, 'Here:\n```json\n{"name": "Oslo", "people": "7"}\n```', City(name="Oslo", people=7)),
        (Pair, '{"a": 1, "b": [2]}', Pair(1, [2])),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (Literal["yes", "no"], '{"value": "yes"}', "yes"),
        (int, '{"value": 3}', 3),
        (int, "3", 3),
        (bool, "true", True),
        (str, "hello there", "hello there"),
        (Literal["yes", "no"], "yes", "yes"),
        (
            Page[City],
            '{"items": [{"name": "Oslo", "people": 7}]}',
            Page[City](items=[City(name="Oslo", people=7)]),
        ),
        (Tree, '{"name": "a", "kids": [{"name": "b"}]}', Tree(name="a", kids=[Tree(name="b")])),
        (City | Tree, '{"name": "Oslo", "people": 7}', City(name="Oslo", people=7)),
        (dict[str, int], '{"a": 3}', {"a": 3}),
        (City | None, '{"value": null}', None),
    ],
)
def test_the_answer_is_a_value_of_the_type(agent: CodingAgent, of: Any, said: str, value: Any) -> None:
    script = Scripted(said, name="fake")
    agent.add_provider("fake", script)
    reply = agent.reply("?", output_type=of)
    assert reply.output == value and type(reply.output) is type(value) and reply.text == said
    schema = script.requests[0].schema
    assert schema is not None and schema["type"] == "object"


def test_a_choice_between_kinds_is_asked_for_in_the_one_form_all_vendors_take(agent: CodingAgent) -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]
        lives: int

    class Dog(BaseModel):
        kind: Literal["dog"]

    kinds = Annotated[Cat | Dog, Field(discriminator="kind")]
    script = Scripted('[{"kind": "dog"}, {"kind": "cat", "lives": 9}]', '{"kind": "dog"}', name="fake")
    agent.add_provider("fake", script)
    assert agent.reply("?", output_type=list[kinds]).output == [Dog(kind="dog"), Cat(kind="cat", lives=9)]
    assert agent.reply("?", output_type=kinds).output == Dog(kind="dog")
    for request in script.requests:
        wire = str(request.schema)
        assert "anyOf" in wire and "oneOf" not in wire and "discriminator" not in wire


def test_what_does_not_fit_is_asked_for_again_with_what_was_wrong(agent: CodingAgent) -> None:
    script = Scripted(
        "Oslo, I think", '{"name": "Oslo", "people": -1}', '{"name": "Oslo", "people": 7}', name="fake"
    )
    agent.add_provider("fake", script)
    reply = agent.reply("which city?", output_type=City)
    assert reply.output == City(name="Oslo", people=7) and reply.iterations == 3
    asked = [request.messages[-1].text for request in script.requests]
    assert "there is no JSON in it" in asked[1]
    assert "people: Input should be greater than or equal to 0" in asked[2]
    assert len(reply.messages) == 6 and reply.messages == agent.history


def test_three_answers_that_do_not_fit_are_a_failure_with_all_that_was_said(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted("a", "b", "c", name="fake"))
    with pytest.raises(InvalidAnswer, match="no answer of the type City in 3 tries: there is no JSON in it"):
        agent.chat("which?", output_type=City)
    agent.add_provider("fake", Scripted("a", "b", "c", name="fake"))
    failed = agent.try_reply("which?", output_type=City)
    assert (failed.success, failed.output, failed.text, failed.iterations) == (False, None, "c", 3)


def test_tools_are_used_before_the_answer_is_held_to_its_form(agent: CodingAgent) -> None:
    call = assistant(ToolCall(id="1", name="census", arguments={"city": "Oslo"}))
    script = Scripted(call, "Oslo has 700000.", '{"name": "Oslo", "people": 700000}', name="fake")
    agent.add_provider("fake", script)
    agent.tools = (census,)
    assert agent.chat("how many?", output_type=City) == City(name="Oslo", people=700_000)
    first, _second, third = script.requests
    assert first.schema is None and '"people"' in first.system and len(first.tools) == 1
    assert third.schema is not None and third.tools == ()


def test_a_type_without_a_schema_is_refused_before_anything_is_asked(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted(name="fake"))
    with pytest.raises(ConfigError, match="an answer cannot have the type Path2"):
        agent.chat("?", output_type=type("Path2", (), {}))
    odd: Any = {"type": "object"}
    for wrong in (odd, "Nowhere"):
        with pytest.raises(ConfigError, match="an answer cannot have the type"):
            agent.reply("?", output_type=wrong)


@pytest.mark.parametrize(
    "refusal",
    [
        "output_config.format: this model does not support structured outputs",
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        "The model does not support outputConfig.textFormat",
        "Unsupported parameter: 'text.format'",
    ],
)
def test_a_model_that_cannot_be_held_to_a_form_is_asked_in_words(tmp_path: Path, refusal: str) -> None:
    told: list[Event] = []
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    with CodingAgent(model="fake:m", config=config, tools=(), emit=told.append) as agent:
        script = Scripted(BadRequest("fake", refusal), "4", "5", name="fake")
        agent.add_provider("fake", script)
        assert (agent.chat("n?", output_type=int), agent.chat("n?", output_type=int)) == (4, 5)
        _, *later = script.requests
        assert [one.schema for one in later] == [None, None] and '"value"' in later[1].system
        assert [refusal in one.text for one in told if isinstance(one, Notice)] == [True]
        agent.add_provider("fake", Scripted(BadRequest("fake", "messages: too odd"), name="fake"))
        with pytest.raises(BadRequest, match="too odd"):
            agent.chat("n?", output_type=int)
