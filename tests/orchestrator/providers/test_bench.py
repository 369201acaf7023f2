"""R18: one prompt to several models."""

from __future__ import annotations

import pytest

from orchestrator.providers.bench import bench
from orchestrator.providers.scripted import Scripted
from orchestrator.types import Request, user
from tests.wire.stub import Stub
from tests.wire.wires import opened

pytestmark = pytest.mark.anyio


async def test_models_are_compared_and_a_failing_one_does_not_stop_the_rest(stub: Stub) -> None:
    chat, ollama = opened(stub, "chat"), opened(stub, "ollama")
    models = {
        "chat:stub-text": chat,
        "chat:stub-e429": chat,
        "ollama:stub-text": ollama,
        "scripted:m": Scripted("a", "b"),
    }
    request = Request(model="", messages=(user("Hi"),), max_tokens=50)
    trials = [trial async for trial in bench(models, request, attempts=2)]
    assert [(trial.model, trial.attempt) for trial in trials] == [
        (model, n) for model in models for n in (1, 2)
    ]
    hosted, _, limited, _, local, _, scripted, _ = trials
    assert hosted.text == "Hello from the stub." and hosted.usage.cost_usd is None  # a price nobody knows
    assert (
        hosted.seconds is not None
        and hosted.first_token_s is not None
        and hosted.seconds >= hosted.first_token_s > 0
    )
    assert limited.error == "chat: Rate limit reached" and limited.seconds is None
    assert (
        local.tokens_per_s == pytest.approx(19 / 3.0) and local.usage.cost_usd == 0.0
    )  # the runtime's own figure
    assert scripted.recorded and scripted.tokens_per_s is None
    assert {entry["body"]["model"] for entry in stub.log if entry["model"]} == {"stub-text", "stub-e429"}
