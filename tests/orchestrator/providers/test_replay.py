"""Conversations move between vendors in the middle: from every wire to every other, sealed thinking left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.providers import complete
from orchestrator.types import Message, Request, result, user
from tests.wire.stub import Stub
from tests.wire.turns import dumps, seal
from tests.wire.wires import WEATHER, WIRES, asking, opened

pytestmark = pytest.mark.anyio

PAIRS = [(source, target) for source in WIRES for target in WIRES]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_a_conversation_goes_on_with_another_model(stub: Stub, source: str, target: str) -> None:
    ask = asking(source, "tools", tools=(WEATHER,))
    turn = (await complete(opened(stub, source), ask)).message
    results = Message(role="tool", parts=tuple(result(call, "sunny") for call in turn.tool_calls))
    onward = replace(
        ask, model=f"{target}:stub-tools", messages=(*ask.messages, turn, results, user("And now?"))
    )
    done = await complete(opened(stub, target), onward)
    assert done.message.text == "It is sunny in both." and done.message.origin == f"{target}:stub-tools"
    sent = dumps(stub.sent)
    assert "Łódź" in sent
    for wire in WIRES:
        assert (seal(wire) in sent) == (wire == source == target and wire not in ("chat", "ollama"))
    # And back home: the seal of the first turn is still in the record.
    home = replace(onward, model=turn.origin, messages=(*onward.messages, done.message, user("Thanks.")))
    assert (await complete(opened(stub, source), home)).stop == "end"
    assert seal(source) in dumps(stub.sent) or source in ("chat", "ollama")


@pytest.mark.parametrize("target", WIRES)
@pytest.mark.parametrize("source", ["anthropic", "ollama"])  # with seals and without
async def test_an_interrupted_turn_is_repaired(stub: Stub, source: str, target: str) -> None:
    """Ctrl-C between the calls and their results: one result arrived, one never did."""
    ask = asking(source, "tools", tools=(WEATHER,))
    turn = (await complete(opened(stub, source), ask)).message
    partly = Message(role="tool", parts=(result(turn.tool_calls[1], "sunny"),))
    provider = opened(stub, target)
    for tail in ((turn,), (turn, partly), (turn, user("Never mind.")), (turn, user("Wait."), partly)):
        request = Request(model=f"{target}:stub-text", messages=(*ask.messages, *tail), tools=(WEATHER,))
        assert (await complete(provider, request)).stop == "end"
        assert "Interrupted" in dumps(stub.sent)


@pytest.mark.parametrize("wire", WIRES)
async def test_history_with_calls_may_go_on_without_tools(stub: Stub, wire: str) -> None:
    turn = (await complete(opened(stub, wire), asking(wire, "tools", tools=(WEATHER,)))).message
    results = Message(role="tool", parts=tuple(result(call, "") for call in turn.tool_calls))
    request = Request(model=f"{wire}:stub-text", messages=(user("Hi"), turn, results))
    assert (await complete(opened(stub, wire), request)).stop == "end"
