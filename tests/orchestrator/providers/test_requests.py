"""Any conversation, however odd, is either accepted by a strict server or refused by us in one sentence."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest

from orchestrator.errors import BadRequest
from orchestrator.providers import close, complete
from orchestrator.types import (
    Image,
    Message,
    Part,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    assistant,
    result,
    user,
)
from tests.wire.stub import Stub
from tests.wire.turns import dumps, seal
from tests.wire.wires import PING, WIRES, opened

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("wire", WIRES)]

TEXTS = [
    "",
    " ",
    "hi",
    "half \ud800",
    "a\x00b",
    "\x1b[31m",
    "é" * 50,
    "x" * 5000,
    "{}",
    "😀\udc00",
    "\ufeff",
    "\r\n",
]
IDS = ["", "same", "same", "a b", "ü" * 80, "call_1", "x" * 100, "\ud800"]
NAMES = ["get_weather", "ping", "files.read/ä", "", "1abc", "a" * 100, "\ud83d", "with space", "__", "-"]
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"a": None, "": ""},
    {"\ud800": "\udfff"},
    {"n": float("nan"), "i": float("inf")},
    {"deep": [[[[{}]]]], "big": 10**30},
]
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"\ud800": {"type": "string", "description": "\udc00"}}},
    {"type": "object", "properties": {"x": {"default": float("nan")}}},
    {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}},
]
IMAGES = [("AAAA", "image/png"), ("not base64", "image/png"), ("AAAA", "image/tiff"), ("", "")]


def odd_part(dice: random.Random, role: str, own: bool, wire: str) -> Part:
    match dice.choice({"assistant": "ttci", "user": "tti", "tool": "r"}[role]):
        case "t":
            return Text(text=dice.choice(TEXTS))
        case "c" if dice.random() < 0.3:
            sealed = {"signature": seal(wire)} if own and wire in ("anthropic", "bedrock") else None
            return Thinking(text=dice.choice(TEXTS), seal=sealed)
        case "c":
            raw = dice.choice([None, None, "{bad \ud800"])
            name, arguments = dice.choice(NAMES), dice.choice(ARGUMENTS)
            return ToolCall(id=dice.choice(IDS), name=name, arguments=arguments, raw=raw)
        case "i":
            data, mime = dice.choice(IMAGES)
            return Image(data=data, mime=mime)
        case _:
            content: list[Text | Image] = [
                Text(text=dice.choice(TEXTS)),
                Image(data="AAAA", mime="image/png"),
            ]
            some = tuple(dice.choices(content, k=dice.randrange(3)))
            failed = dice.random() < 0.3
            return ToolResult(
                call_id=dice.choice(IDS), name=dice.choice(NAMES), content=some, is_error=failed
            )


def odd_request(dice: random.Random, wire: str) -> Request:
    messages: list[Message] = []
    for _ in range(dice.randrange(1, 8)):
        role = dice.choice(["user", "assistant", "tool"])
        origin = dice.choice(["", f"{wire}:stub-text", "other:m"]) if role == "assistant" else ""
        own = origin.startswith(wire)
        parts = tuple(odd_part(dice, role, own, wire) for _ in range(dice.randrange(4)))
        messages.append(Message(role=role, parts=parts, origin=origin))  # type: ignore[arg-type]
    tools = tuple(
        ToolSpec(name=name, description=dice.choice(TEXTS), parameters=dice.choice(SCHEMAS))
        for name in dice.sample(NAMES, dice.randrange(4))
    )
    return Request(
        model=f"{wire}:stub-text",
        messages=tuple(messages),
        system=dice.choice(TEXTS),
        tools=tools,
        tool_choice=dice.choice([None, "any", *(tool.name for tool in tools)]) if tools else None,
        max_tokens=dice.choice([None, 1, 100]),
        options=dice.choice([{}, {"user": "\ud800", "seed": float("nan")}]),
    )


async def test_a_conversation_of_odd_parts_in_odd_order_is_accepted(stub: Stub, wire: str) -> None:
    provider, accepted = opened(stub, wire), 0
    for seed in range(80):
        request = odd_request(random.Random(seed), wire)
        try:
            with anyio.fail_after(60):
                await complete(provider, request)
            accepted += 1
        except BadRequest as exc:
            if "there is nothing to answer" not in str(exc):
                raise AssertionError(f"seed {seed}") from exc
    assert accepted > 40
    await close(provider)


@pytest.mark.parametrize(
    "messages", [(), (user(""),), (user(" \n"), user()), (assistant(Thinking(text="hm")),)]
)
async def test_a_request_without_words_is_refused_before_it_is_sent(
    stub: Stub, wire: str, messages: tuple[Message, ...]
) -> None:
    with pytest.raises(BadRequest, match="there is nothing to answer"):
        await complete(opened(stub, wire), Request(model=f"{wire}:stub-text", messages=messages))
    assert not stub.log or wire == "ollama"


async def test_what_is_no_json_is_named_and_not_tried_again(stub: Stub, wire: str) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    for arguments, says in (({"a": {1, 2}}, "set is no JSON value"), ({"a": deep}, "nested too deeply")):
        call = ToolCall(id="1", name="ping", arguments=arguments)
        history = (user("Hi"), assistant(call), Message(role="tool", parts=(result(call, "ok"),)))
        with pytest.raises(BadRequest, match=says) as caught:
            await complete(
                opened(stub, wire), Request(model=f"{wire}:stub-text", messages=history, tools=(PING,))
            )
        assert not caught.value.retryable


async def test_a_huge_result_arrives_whole(stub: Stub, wire: str) -> None:
    call = ToolCall(id="1", name="ping", arguments={})
    long = '\u00e4\U0001f600"quoted"\\\x7f' * 100_000  # without a blank: one server counts words
    history = (user("Hi"), assistant(call), Message(role="tool", parts=(result(call, long),)))
    request = Request(model=f"{wire}:stub-text", messages=history, tools=(PING,))
    with anyio.fail_after(60):
        assert (await complete(opened(stub, wire), request)).stop == "end"
    assert dumps(long)[1:-1] in dumps(stub.sent)
