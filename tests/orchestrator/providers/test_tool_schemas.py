"""Tools as vendors take them: schemas fitted, and what is refused all the same left out by name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.errors import BadRequest
from orchestrator.events import Event, Notice
from orchestrator.providers import complete
from orchestrator.providers.error_mapping import failure
from orchestrator.providers.schemas import inlined
from orchestrator.providers.tool_schemas import fitted
from orchestrator.providers.wrap.refused_tools import RefusedTools
from orchestrator.types import Completion, Delta, Request, ToolSpec, Usage, assistant, user
from tests.wire.stub import Stub
from tests.wire.turns import dumps
from tests.wire.wires import WIRES, asking, opened

pytestmark = pytest.mark.anyio

STRING = {"type": "string"}
A = {"properties": {"a": STRING}, "required": ["a"]}
B = {"properties": {"b": STRING, "a": {"type": "integer"}}, "required": ["b"]}


@pytest.mark.parametrize(
    ("given", "sent", "note"),
    [
        ({"type": "object"}, {"properties": {}}, ""),
        ({}, {"properties": {}}, ""),
        ({"type": ["object", "null"], **A}, A, ""),
        (
            {"allOf": [A, B]},
            {"properties": {"a": {"type": "integer"}, "b": STRING}, "required": ["a", "b"]},
            "",
        ),
        (
            {"type": "object", "oneOf": [A, B]},
            {"properties": {"a": {"anyOf": [STRING, {"type": "integer"}]}, "b": STRING}},
            "exactly one of these sets: {a} or {b}",
        ),
        ({"anyOf": [A, {**A, "title": "A"}]}, A, "at least one"),
        ({"$ref": "#/$defs/T", "$defs": {"T": A}}, {"$defs": {"T": A}, **A}, ""),
        ({"$ref": "#"}, {"properties": {}}, ""),
        ({**A, "not": {"required": ["b"]}}, A, '{"not": {"required": ["b"]}}'),
        ({"required": ["gone"]}, {"properties": {"gone": {}}, "required": ["gone"]}, ""),
        ({"properties": {"x": True, "y": False}}, {"properties": {"x": {}}}, ""),
        ({"properties": {"x": {"type": "array"}}}, {"properties": {"x": {"type": "array", "items": {}}}}, ""),
        (
            {"properties": {"x": {"type": "array", "items": [STRING]}}},
            {"properties": {"x": {"type": "array", "items": {"anyOf": [STRING]}}}},
            "",
        ),
        (
            {"properties": {"x": {"$ref": "#/no"}, "y": {"$ref": "https://x/y"}}},
            {"properties": {"x": {}, "y": {}}},
            "",
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", **A}, A, ""),
    ],
)
def test_a_root_that_vendors_refuse_is_folded_and_what_that_loses_is_told(
    given: dict[str, Any], sent: dict[str, Any], note: str
) -> None:
    schema, said = fitted(given)
    if "allOf" in given:  # the first to name a property may have its word on it
        assert set(schema["properties"]) == {"a", "b"} and schema["required"] == ["a", "b"]
    else:
        assert schema == {"type": "object", **sent}
    assert note in said and (note or not said)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["#", "#/$defs/a", "#/properties/x", "string", "object"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "required",
                    "$ref",
                    "$defs",
                    "allOf",
                    "anyOf",
                    "oneOf",
                    "items",
                    "not",
                    "a",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@example({"required": ["a"], "properties": {"a": False}})
@given(
    st.dictionaries(
        st.sampled_from(["type", "properties", "required", "$ref", "$defs", "allOf", "oneOf"]), VALUES
    )
)
def test_whatever_the_schema_the_root_is_a_plain_object_and_fitting_it_again_changes_nothing(
    schema: dict[str, Any],
) -> None:
    once, _ = fitted(schema)
    assert once["type"] == "object" and isinstance(once["properties"], dict)
    assert not {"anyOf", "oneOf", "allOf", "not", "$ref"} & once.keys()
    assert fitted(once) == (once, "")


def test_a_schema_that_names_itself_many_times_over_takes_no_time() -> None:
    hostile = {
        "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{j}"} for j in range(20)]} for i in range(20)}
    }
    assert fitted(hostile | {"$ref": "#/$defs/d0"})[0]["type"] == "object"
    assert inlined(hostile | {"properties": {"x": {"$ref": "#/$defs/d0"}}})


@pytest.mark.parametrize("wire", WIRES)
async def test_every_wire_sends_properties_and_no_combinator(stub: Stub, wire: str) -> None:
    odd = ToolSpec(name="odd", description="", parameters={"oneOf": [A, B]})
    bare = ToolSpec(name="bare", description="x" * 3_000, parameters={"type": "object"})
    await complete(opened(stub, wire), asking(wire, "plain", tools=(odd, bare)))
    sent = dumps(stub.sent)
    assert (
        "oneOf" not in sent
        and "exactly one of these sets" in sent
        and '"properties":{}' in sent.replace(" ", "")
    )


class Picky:
    """Refuses the tool called `bad` in a vendor's words, and more than `most` tools."""

    name = "vendor"

    def __init__(self, words: str, most: int = 99) -> None:
        self.words, self.most = words, most
        self.sent: list[list[str]] = []

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        names = [tool.name for tool in request.tools]
        self.sent.append(names)
        if "bad" in names:
            raise failure(self.name, 400, self.words.format(n=names.index("bad"), m=names.index("bad") + 1))
        if len(names) > self.most:
            raise failure(self.name, 400, self.words)
        yield Completion(message=assistant("ok"), usage=Usage())


def request(*names: str, **more: Any) -> Request:
    tools = tuple(ToolSpec(name=name, description="", parameters={}) for name in names)
    return Request(model="vendor:m", messages=(user("Hi"),), tools=tools, **more)


@pytest.mark.parametrize(
    "words",
    [
        "tools.{n}.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
        "tools.{n}.custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'",
        "Invalid schema for function 'bad': In context=('properties', 'x'), array schema missing items.",
        "Invalid 'tools[{n}].function.description': string too long. Expected a string with maximum length 1024",
        "* GenerateContentRequest.tools[0].function_declarations[{n}].parameters.properties[x].items: missing field.",
        "Invalid JSON payload received. Unknown name \"x\" at 'tools[0].function_declarations[{n}].parameters'",
        "The value at toolConfig.tools.{n}.toolSpec.inputSchema.json.type must be one of the following: object.",
        "1 validation error detected: Value at 'toolConfig.tools.{m}.member.toolSpec.name' failed to satisfy constraint",
        "{{'detail': [{{'type': 'missing', 'loc': ['body', 'tools', {n}, 'function', 'parameters'], 'msg': 'x'}}]}}",
        "invalid JSON schema for tool bad, tools[{n}].function.parameters: `/properties/x`: unknown",
        '["body","tools",{n},"function","name"]: String should match pattern',
        "Invalid tool definition 'bad': unsupported keyword",
    ],
)
async def test_a_refused_tool_is_told_by_its_name_left_out_and_the_request_made_again(words: str) -> None:
    events: list[Event] = []
    vendor = Picky(words)
    provider = RefusedTools(vendor, emit=events.append)
    for _ in range(2):
        assert (await complete(provider, request("first", "bad", "last"))).message.text == "ok"
    assert vendor.sent == [["first", "bad", "last"], ["first", "last"], ["first", "last"]]
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "`bad`" in notice and "first" not in notice


@pytest.mark.parametrize(
    "words",
    [
        "Invalid 'tools': array too long. Expected an array with maximum length 2, but got an array with length 4.",
        "At most 2 tools are supported.",
        "The maximum number of tools is 2",
    ],
)
async def test_too_many_tools_are_cut_to_what_the_vendor_takes(words: str) -> None:
    vendor = Picky(words, most=2)
    await complete(RefusedTools(vendor), request("a", "b", "c", "d"))
    assert vendor.sent == [["a", "b", "c", "d"], ["a", "b"]]


@pytest.mark.parametrize(
    "words",
    ["temperature must be at most 1", "messages.3: the tool 'bad' was not answered", "no such parameter 'x'"],
)
async def test_a_refusal_of_something_else_stays_one(words: str) -> None:
    vendor = Picky(words)
    with pytest.raises(BadRequest):
        await complete(RefusedTools(vendor), request("bad", "b"))
    assert len(vendor.sent) == 1


async def test_a_refused_tool_that_was_demanded_is_the_callers_error() -> None:
    with pytest.raises(BadRequest):
        await complete(RefusedTools(Picky("tools.{n}.custom: bad")), request("bad", tool_choice="bad"))
