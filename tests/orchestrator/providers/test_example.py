"""R9, R125: the documented provider of one's own runs, and works inside every wrapper; the documented settings load."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from examples.add_provider import Shout
from orchestrator.config.load import load_config
from orchestrator.providers import complete
from orchestrator.providers.names import COMPATIBLE, Compatible
from orchestrator.providers.wrap.budgeted import Budget
from orchestrator.providers.wrap.compose import Wrapping, wrapped
from orchestrator.providers.wrap.fallback import Fallback
from orchestrator.session.session import open_session
from orchestrator.types import Request, user
from tests.wire.stub import Stub

ROOT = Path(__file__).parents[3]


def test_the_example_runs_and_is_as_short_as_promised(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "add_provider.py")]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "HELLO FROM A MODEL OF MY OWN" in done.stdout
    assert len(inspect.getsource(Shout).splitlines()) <= 20


@pytest.mark.anyio
async def test_a_provider_of_ones_own_works_inside_every_wrapper(tmp_path: Path) -> None:
    settings = Wrapping(max_parallel=1, retries=1, cache="memory", record=str(tmp_path / "t.jsonl"))
    provider = Fallback(wrapped(Shout(), settings, budget=Budget(limit_usd=1, allow_unknown=True)))
    request = Request(model="shout:loud", messages=(user("go"),))
    assert (await complete(provider, request)).message.text == "GO"


@pytest.mark.anyio
async def test_the_documented_settings_mean_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_KEY", "k")
    config = load_config(ROOT / "examples" / "config.yaml", cwd=tmp_path)
    assert not config.notices
    async with open_session(config.model_copy(update={"servers": {}})) as session:
        assert session.agent().model == "safe:auto" and session.budget.limit_usd == 2.0
        assert session.agent("claude").model == "anthropic:claude-opus-5-5"
        assert session.agent("fast").model == "ollama:qwen3:1.7b"
        for name in config.providers:
            assert (await session.provider(name)).name == name
        assert session.agent("box:m").settings == {"max_tokens": 2000}
        price = session.wired.price("box:m")
        assert price is not None and price.output_usd == pytest.approx(0.4)


@pytest.mark.anyio
async def test_a_compatible_service_is_one_row_of_a_table(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMPATIBLE, "house", Compatible(stub.url("openai/v1"), "HOUSE_KEY"))
    monkeypatch.setenv("HOUSE_KEY", "k-house")
    config = load_config(cwd=tmp_path, env={}).model_copy(update={"servers": {}})
    async with open_session(config) as session:
        reply = await session.ask(session.agent("house:stub-text"), "Hi")
    assert reply.messages[-1].origin == "house:stub-text" and reply.usage.output_tokens == 20
    assert stub.log[-1]["headers"]["authorization"] == "Bearer k-house"
