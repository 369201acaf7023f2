"""R3, R55: an answer of a type is asked for in each vendor's own way, with a schema that this vendor takes."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from orchestrator import CodingAgent, load_config
from orchestrator.errors import InvalidAnswer
from orchestrator.patterns.typed import OutputType
from orchestrator.providers import complete
from orchestrator.reply import Reply
from tests.wire.stub import Stub
from tests.wire.turns import TURNS, Said, Turn
from tests.wire.wires import WIRES, asking, opened


class Colour(enum.Enum):
    red = "red"
    blue = "blue"


class Inner(BaseModel):
    n: int = Field(ge=0, le=9, description="how many")


class Outer(BaseModel):
    inner: Inner = Field(description="the first")
    more: list[Inner] = Field(min_length=2)
    colour: Colour
    when: datetime
    kind: Literal["a"] = "a"
    note: str | None = None
    short: str = Field("", max_length=5, pattern="^[a-z]*$")
    ahead: Annotated[str, Field(json_schema_extra={"pattern": "^(?!x)"})] = ""
    link: Annotated[str, Field(json_schema_extra={"format": "uri"})] = ""


class Tree(BaseModel):
    name: str
    kids: list[Tree]


@dataclass
class Pair:
    a: int
    b: float = 1.5


OUTER = {"inner": {"n": 1}, "more": [{"n": 1}, {"n": 2}], "colour": "red", "when": "2026-11-27T01:02:03Z"}
VALUES: dict[str, tuple[Any, Any]] = {
    "nested": (Outer, OUTER),
    "dataclass": (Pair, {"a": 1}),
    "list": (list[Inner], {"value": [{"n": 1}]}),
    "union": (Inner | Pair, {"value": {"a": 2, "b": 3.0}}),
    "literal": (Literal["x", "y"], {"value": "y"}),
    "optional": (Inner | None, {"value": None}),
    "enum": (Colour, {"value": "blue"}),
    "datetime": (datetime, {"value": "2026-11-27T01:02:03Z"}),
    "recursive": (Tree, {"name": "a", "kids": [{"name": "b", "kids": []}]}),
    "map": (dict[str, int], {"a": 1}),
    "tuple": (tuple[int, str], {"value": [1, "a"]}),
    "bounded": (Annotated[int, Field(ge=3)], {"value": 4}),
}
IN_WORDS = {"recursive", "map", "tuple"}
"""What Anthropic's structured outputs cannot say."""


NO_FORMAT = {"openai": ("uri",), "google": ("uri", "uuid", "email")}


def schema_in(sent: dict[str, Any], wire: str) -> Any:
    match wire:
        case "anthropic":
            return sent.get("output_config", {}).get("format", {}).get("schema")
        case "bedrock":
            form = sent.get("outputConfig", {}).get("textFormat")
            return form and json.loads(form["structure"]["jsonSchema"]["schema"])
        case "chat":
            return sent["response_format"]["json_schema"]
        case "responses":
            return sent["text"]["format"]
        case "google":
            return sent["generationConfig"]["responseJsonSchema"]
        case _:
            return sent["format"]


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
        for key in ("properties", "$defs"):
            for one in schema.get(key, {}).values():
                yield from parts(one)
        for key in ("items", "additionalProperties"):
            yield from parts(schema.get(key))
        for key in ("anyOf", "prefixItems"):
            for one in schema.get(key, ()):
                yield from parts(one)


def refused(schema: dict[str, Any], wire: str) -> str | None:
    """What this vendor's documentation says against it."""
    common = {"type", "enum", "anyOf", "$ref", "$defs", "properties", "required", "items", "description"}
    own = {
        "anthropic": {"const", "format", "minItems", "additionalProperties"},
        "google": {
            "format",
            "minItems",
            "maxItems",
            "minimum",
            "maximum",
            "prefixItems",
            "additionalProperties",
        },
        "openai": {"const", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
        | {"multipleOf", "minItems", "maxItems", "additionalProperties"},
    }[wire]
    for part in parts(schema):
        if "(?" in part.get("pattern", "") or part.get("format") in NO_FORMAT.get(wire, ()):
            return f"not understood: {part}"
        if unknown := part.keys() - common - own:
            return f"{unknown} is not supported"
        if "$ref" in part and len(part) > 1 and "$defs" not in part:
            return f"something stands beside a reference: {part}"
        if wire != "google" and part.get("type") == "object":
            if part["additionalProperties"] is not False:
                return f"additionalProperties must be false: {part}"
            if wire == "openai" and part["required"] != list(part["properties"]):
                return f"not all are required: {part}"
        if wire == "anthropic" and part.get("minItems", 0) > 1:
            return "minItems is 0 or 1"
    for name, part in schema.get("$defs", {}).items():
        for key in part.get("required", ()) if wire != "openai" else ():
            if f'"#/$defs/{name}"' in json.dumps(part["properties"][key]):
                return f"{name}.{key} is a cycle"
    return None


@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
async def test_every_type_is_sent_as_a_schema_that_the_vendor_takes(stub: Stub, wire: str) -> None:
    provider = opened(stub, wire)
    for kind, (of, _) in VALUES.items():
        await complete(provider, asking(wire, "text", schema=OutputType(of).schema))
        found = schema_in(stub.sent, wire)
        if wire in ("anthropic", "bedrock"):
            if kind in IN_WORDS:
                assert found is None and "JSON Schema" in json.dumps(stub.sent["system"])
            else:
                assert "system" not in stub.sent and refused(found, "anthropic") is None
        elif wire in ("chat", "responses"):
            assert found["strict"] is (kind not in ("map", "tuple"))
            assert not found["strict"] or refused(found["schema"], "openai") is None
        elif wire == "google":
            assert refused(found, "google") is None
        else:
            assert found["type"] == "object" and "$ref" not in json.dumps(found)


@pytest.mark.anyio
async def test_what_a_vendor_has_no_word_for_is_told_in_the_description(stub: Stub) -> None:
    await complete(opened(stub, "anthropic"), asking("anthropic", "text", schema=OutputType(Outer).schema))
    sent = schema_in(stub.sent, "anthropic")
    inner, short = sent["$defs"]["Inner"]["properties"]["n"], sent["properties"]["short"]
    assert (
        inner["description"] == "how many\n\n{maximum: 9, minimum: 0}"
        and "maxLength: 5" in short["description"]
    )
    assert sent["properties"]["inner"] == {"anyOf": [{"$ref": "#/$defs/Inner"}], "description": "the first"}


@pytest.mark.parametrize("wire", WIRES)
def test_on_every_wire_a_typed_answer_is_read_asked_again_and_streamed(
    stub: Stub, wire: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = opened(stub, wire)
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    bounded: Any = VALUES["bounded"][0]
    with CodingAgent(model=f"{wire}:stub-typed", config=config, tools=()) as agent:
        agent.add_provider(wire, provider)
        for of, value in VALUES.values():
            monkeypatch.setitem(TURNS, "typed", Turn((Said(json.dumps(value)),)))
            form = OutputType(of)
            assert agent.chat("?", output_type=of) == form.read(json.dumps(value))
        *_, last = agent.stream("?", output_type=bounded)
        assert isinstance(last, Reply) and last.output == 4 and last.success
        monkeypatch.setitem(TURNS, "typed", Turn((Said('{"value": 2}'),)))
        with pytest.raises(InvalidAnswer) as failed:
            agent.chat("?", output_type=bounded)
        assert failed.value.reply is not None and failed.value.reply.iterations == 3
        assert "should be greater than or equal to 3" in json.dumps(stub.sent)
