"""A local lead's calls reach the ledger as delegated runs do: profiled, keyed alike, however they end."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.agent import Agent
from orchestrator.config.load import Config, ServerSettings
from orchestrator.config.models import ProviderSettings
from orchestrator.errors import ProviderError
from orchestrator.events import Event, Foreseen, RunStarted
from orchestrator.providers import complete, open_provider
from orchestrator.providers.ollama import Ollama
from orchestrator.providers.ollama_forecast import Asked, tools_notice
from orchestrator.session.session import open_session
from orchestrator.types import Request, ToolSpec, user
from servers.ollama.engines.shared_queue import Entry, SharedQueue
from servers.ollama.forecast.forecast import Forecast
from servers.ollama.ledger.ledger import Ledger, Run
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.processes import cancelled_once

pytestmark = pytest.mark.anyio
SMALL = SimulatedModel(name="small:latest", answer_tokens=40.0, answer_spread=0.0, gpu_share=1.0)


def asking(prompt: str = "Hello", **more: Any) -> Request:
    return Request(model="ollama:small", messages=(user(prompt),), **more)


def ledger_runs() -> list[Run]:
    """Newest first."""
    with Ledger.open() as ledger:
        return ledger.runs(last=100)


@asynccontextmanager
async def ollama(
    world: World | None = None, *, scale: float = 0.0, **settings: Any
) -> AsyncGenerator[Ollama]:
    world = world or World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    async with simulated(world, scale=scale, parallel=2) as url:
        provider = Ollama(base_url=url, **settings)
        try:
            yield provider
        finally:
            await provider.aclose()


async def test_a_lead_and_its_worker_on_one_model_teach_one_law(tmp_path: Path) -> None:
    """Through the public door: a session asks the lead, and its ollama server does a delegation and shows both."""
    (tmp_path / "a.txt").write_text("Some words.\n" * 50, encoding="utf-8")
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    async with simulated(world) as url:
        config = Config(
            folder=str(tmp_path),
            providers={"ollama": ProviderSettings(base_url=url)},
            servers={
                "ollama": ServerSettings(
                    command="understudy-ollama", args=(str(tmp_path), "--host", url), cwd=str(tmp_path)
                )
            },
        )
        async with open_session(config) as session:
            lead = Agent(name="lead", model="ollama:small", tools=())
            first = await session.ask(lead, "Say something long enough to be measured.")
            told = await session.call_tool(
                "ollama", "delegate", {"task": "x", "model": "small", "files": ["a.txt"]}
            )
            profile = await session.call_tool("ollama", "profile", {})
    worker, chat = ledger_runs()
    assert (chat.kind, chat.asked_by, worker.kind) == ("lead", "understudy", "answer")
    assert chat.key == worker.key and chat.key.processor == "gpu"  # one law, and no reload between the two
    assert worker.profile.load_s is not None and worker.profile.load_s < 0.1
    usage = first.usage
    assert (chat.profile.tokens_in, chat.profile.tokens_out) == (usage.input_tokens, usage.output_tokens)
    assert (chat.profile.total_s, chat.profile.prefill_s) == (usage.total_s, usage.prefill_s)
    assert (
        chat.profile.simulated and chat.profile.outcome == "done" and chat.profile.first_token_s is not None
    )
    assert '"forecast"' in told.text  # from the lead's one run
    assert '"kind": "lead"' in profile.text and '"runs": 2' in profile.text


async def test_a_later_turn_expects_its_beginning_in_the_cache_and_a_capped_one_says_so() -> None:
    async with ollama() as provider:
        await complete(provider, asking("word " * 400))
        await complete(provider, asking("word " * 400 + "and more", max_tokens=5))
    second, first = ledger_runs()
    assert first.expected_cached is None and second.expected_cached is not None
    assert second.profile.tokens_in is not None and second.expected_cached > 0.8 * second.profile.tokens_in
    assert (second.profile.outcome, second.cap, first.profile.outcome) == ("length", 5, "done")
    assert second.chars_in == 5 * 400 + len("and more")


async def test_prompts_with_tools_teach_no_characters_per_token() -> None:
    tool = ToolSpec(name="ping", description="Answers.", parameters={"type": "object", "properties": {}})
    async with ollama() as provider:
        await complete(provider, asking(tools=(tool,)))
    (run,) = ledger_runs()
    assert run.chars_in is None and run.profile.tokens_in is not None


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("abort", "aborted"), ("error", "error"), ("hang-up", "error"), ("cut", "overflow")],
)
async def test_a_call_that_fails_is_on_record_as_what_it_was(fault: Any, outcome: str) -> None:
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)), faults=[fault])
    async with ollama(world, num_ctx=2048 if fault == "cut" else None) as provider:
        with pytest.raises(ProviderError):
            await complete(provider, asking("word " * (3000 if fault == "cut" else 10)))
    (run,) = ledger_runs()
    assert run.profile.outcome == outcome and run.profile.wall_s is not None and run.profile.simulated


async def test_a_call_that_is_cancelled_or_left_is_on_record() -> None:
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)), answers=lambda body: "word " * 3000)
    async with ollama(world, scale=1.0) as provider:
        await cancelled_once(lambda: world.requests, lambda: complete(provider, asking()))
        async with aclosing(provider.stream(asking("Go on"))) as items:
            await anext(items)
    left, cancelled = ledger_runs()
    assert [left.profile.outcome, cancelled.profile.outcome] == ["cancelled", "cancelled"]
    assert left.profile.first_token_s is not None and left.profile.total_s is None


async def test_calls_at_the_same_time_are_marked_and_none_is_lost() -> None:
    async with ollama(scale=0.02) as provider, anyio.create_task_group() as group:
        for n in range(6):
            group.start_soon(complete, provider, asking(f"{n}"))
    runs = ledger_runs()
    assert len(runs) == 6 and all(run.overlapped for run in runs)


async def test_a_ledger_that_cannot_be_used_costs_the_conversation_nothing(
    own_state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own_state / "understudy").mkdir(exist_ok=True)
    (own_state / "understudy" / "ledger.sqlite").write_bytes(b"not a database" * 100)
    async with ollama() as provider:
        assert (await complete(provider, asking())).message.text
    with caplog.at_level(logging.WARNING):
        assert "not recorded" in caplog.text


async def test_a_server_that_is_not_there_is_one_error_and_no_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    provider = open_provider("ollama", base_url="http://127.0.0.1:9")
    with pytest.raises(ProviderError):
        await complete(provider, asking())
    assert ledger_runs() == [] and caplog.text == ""


async def test_a_lead_that_ran_before_is_told_what_it_should_take_while_it_runs(tmp_path: Path) -> None:
    """The forecast waits for nothing and nothing waits for it: it is told beside the answer."""
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    seen: list[Event] = []
    async with simulated(world, scale=0.1) as url:
        config = Config(folder=str(tmp_path), providers={"ollama": ProviderSettings(base_url=url)})
        async with open_session(config, seen.append) as session:
            lead = Agent(name="lead", model="ollama:small", tools=())
            await session.ask(lead, "First.")
            assert not any(isinstance(event, Foreseen) for event in seen)
            for _ in range(5):
                await session.ask(lead, "Say something long enough to be measured.")
            told = [event for event in seen if isinstance(event, Foreseen)]
    assert told
    runs = {event.run: place for place, event in enumerate(seen) if isinstance(event, RunStarted)}
    for event in told:
        assert event.run in runs and event.total_s and event.low_s and event.high_s and event.simulated
        assert event.low_s <= event.total_s <= event.high_s


async def test_others_that_wait_for_a_lead_know_what_its_own_run_takes_and_that_it_waits_itself(
    tmp_path: Path,
) -> None:
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    heard: list[tuple[Foreseen, Entry]] = []

    def hear(event: Event) -> None:
        if isinstance(event, Foreseen) and event.total_s:
            heard.append((event, queue.entries("small:latest")[-1]))

    async with simulated(world, scale=0.05) as url:
        queue = SharedQueue(url)
        config = Config(folder=str(tmp_path), providers={"ollama": ProviderSettings(base_url=url)})
        async with open_session(config, hear) as session:
            lead = Agent(name="lead", model="ollama:small", tools=())

            async def until_told(count: int) -> None:
                with anyio.fail_after(60):
                    while len(heard) < count:
                        await session.ask(lead, "Say something long enough to be measured.")

            await until_told(1)
            with queue.ticket("small:latest", 30.0) as ahead:
                assert ahead is not None
                ahead.started(30.0)
                await until_told(len(heard) + 1)
    (free, alone), (waits, behind) = heard[0], heard[-1]
    assert alone.seconds == free.total_s and alone.spread > 0 and alone.gone_s < 30
    assert waits.total_s and waits.total_s > 20 > behind.seconds > 0, "its own run, not the one it waits for"
    assert behind.began and behind.began > time.time() and behind.gone_s == 0.0


@pytest.mark.parametrize(
    ("prefill_s", "tool_chars", "told"), [(180.0, 14_000, True), (2.0, 14_000, False), (180.0, 900, False)]
)
async def test_a_lead_on_a_slow_machine_is_told_that_its_tools_are_being_read(
    prefill_s: float, tool_chars: int, told: bool
) -> None:
    asked = Asked(
        run="r", host="here", model="small", kind="chat", chars=16_000, cap=None, think=False, cached=None,
        cold=False, tool_chars=tool_chars,
    )  # fmt: skip
    forecast = Forecast(
        total_s=200.0, low_s=150.0, high_s=300.0, wait_s=0.0, load_s=0.0, prefill_s=prefill_s, decode_s=20.0, cold=False,
        runs=3, tokens_in=4571, tokens_cached=0, tokens_out_p50=50, tokens_out_p90=90, cap=None, cap_s=None,
        ventiles=(200.0,) * 19,
    )  # fmt: skip
    said = "".join(notice.text for notice in tools_notice(asked, forecast))
    assert bool(said) == told
    assert not told or ("4,000 of them the tools: about 3 min here" in said and "run_timeout_s" in said)
