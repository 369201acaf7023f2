"""R95-R98, R101: what config.yaml puts around the providers of a session, and several models under one name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import yaml

from orchestrator.config.load import Config, load_config
from orchestrator.errors import BadRequest, ConfigError, OutOfBudget, Overloaded, ProviderError, Refused
from orchestrator.events import Event, Notice, RunEnded, Streamed, Switched
from orchestrator.providers.scripted import Scripted
from orchestrator.session.session import Session, open_session
from orchestrator.types import Completion, Delta, Request, Thinking, Usage, assistant, user
from tests.wire.stub import Stub
from tests.wire.turns import dumps
from tests.wire.wires import opened

pytestmark = pytest.mark.anyio

SWIFT = {"retry_first_s": 0.001, "retry_max_s": 0.002}


def configured(folder: Path, **settings: Any) -> Config:
    """From a file the user named, without servers."""
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_config(path, cwd=folder, env={}).model_copy(update={"servers": {}})


def at(stub: Stub, kind: str = "openai", **more: Any) -> dict[str, Any]:
    place = {"openai": "openai/v1", "ollama": "ollama"}[kind]
    return {"kind": kind, "base_url": stub.url(place), **SWIFT, **more}


async def asked(session: Session, model: str, prompt: str = "Hi") -> str:
    return (await session.ask(session.agent(model), prompt)).text


def calls(stub: Stub) -> list[str]:
    return [entry["model"] for entry in stub.log if entry["model"]]


async def test_what_waiting_cures_is_asked_again_and_the_person_is_told(stub: Stub, tmp_path: Path) -> None:
    told: list[Event] = []
    async with open_session(configured(tmp_path, providers={"box": at(stub)}), told.append) as session:
        assert await asked(session, "box:stub-flaky2") == "Hello from the stub."
        with pytest.raises(BadRequest):
            await asked(session, "box:stub-e400")
    assert calls(stub) == ["stub-flaky2"] * 3 + ["stub-e400"]
    assert sum("asking again" in event.text for event in told if isinstance(event, Notice)) == 2


async def test_a_provider_that_keeps_failing_is_left_alone(stub: Stub, tmp_path: Path) -> None:
    box = at(stub, retries=0, breaker_failures=2)
    async with open_session(configured(tmp_path, providers={"box": box})) as session:
        for _ in range(2):
            with pytest.raises(ProviderError):
                await asked(session, "box:stub-e503")
        with pytest.raises(Overloaded, match="left alone"):
            await asked(session, "box:stub-text")
    assert calls(stub) == ["stub-e503"] * 2


async def test_answers_are_kept_and_recorded_beside_the_configuration(stub: Stub, tmp_path: Path) -> None:
    box = at(stub, cache="kept/answers.db", record="tape.jsonl")
    config = configured(tmp_path, providers={"box": box})
    for _ in range(2):
        async with open_session(config) as session:
            reply = await session.ask(session.agent("box:stub-text"), "Hi")
    assert calls(stub) == ["stub-text"] and reply.usage.cost_usd == 0.0  # the second answer cost nothing
    assert (tmp_path / "kept" / "answers.db").exists()
    assert len((tmp_path / "tape.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    async with open_session(configured(tmp_path)) as session:
        assert await asked(session, f"scripted:{tmp_path / 'tape.jsonl'}") == "Hello from the stub."


async def test_a_recording_or_a_cache_that_cannot_be_written_is_told_and_the_answer_stands(
    stub: Stub, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    told: list[Event] = []
    box = at(stub, record="file/tape.jsonl", cache="file/answers.db")
    async with open_session(configured(tmp_path, providers={"box": box}), told.append) as session:
        for _ in range(2):
            assert await asked(session, "box:stub-text") == "Hello from the stub."
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert len(notices) == 2 and sorted("recorded" in text for text in notices) == [False, True]


class Counting:
    """Answers once `expected` calls are inside at the same time, or at once when that is too many."""

    name = "mine"

    def __init__(self) -> None:
        self.inside = self.most = 0

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.inside -= 1
        yield Completion(message=assistant("ok", origin="mine:m"), usage=Usage())


async def test_a_limit_of_parallel_calls_holds_also_for_a_provider_of_ones_own(tmp_path: Path) -> None:
    mine = Counting()
    config = configured(tmp_path, providers={"mine": {"max_parallel": 2}})
    with anyio.fail_after(60):
        async with open_session(config) as session:
            session.add_provider("mine", mine)
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(asked, session, "mine:m")
    assert mine.most == 2


async def test_the_next_model_answers_in_its_own_settings_and_the_switch_is_told(
    stub: Stub, tmp_path: Path
) -> None:
    told: list[Event] = []
    config = configured(
        tmp_path,
        providers={
            "near": at(stub, "ollama", retries=1),
            "far": at(stub),
            "safe": {"fallback": ["near:stub-e503", "far:stub-text"]},
        },
        models={"far:*": {"max_tokens": 77}},
        default_model="safe",
    )
    async with open_session(config, told.append) as session:
        lead = session.agent()
        reply = await session.ask(lead, "Hi")
        assert (await session.listed())["safe"][0]["id"] == "safe:auto"
    assert lead.model == "safe:auto" and reply.messages[-1].origin == "far:stub-text"
    assert calls(stub)[:3] == ["stub-e503", "stub-e503", "stub-text"]
    assert stub.log[[e["model"] for e in stub.log].index("stub-text")]["body"]["max_tokens"] == 77
    (switch,) = [event for event in told if isinstance(event, Switched)]
    assert (switch.old, switch.new) == ("near:stub-e503", "far:stub-text") and "busy" in switch.reason


async def test_a_paid_fallback_that_does_not_fit_the_budget_is_not_asked(tmp_path: Path) -> None:
    paid = Scripted("never", name="anthropic")
    config = configured(
        tmp_path,
        budget_usd=0.001,
        providers={"ollama": {"retries": 0}, "safe": {"fallback": ["ollama:m", "anthropic:claude-opus-5-5"]}},
    )
    async with open_session(config) as session:
        session.add_provider("ollama", Scripted(Overloaded("ollama", "busy"), name="ollama"))
        session.add_provider("anthropic", paid)
        with pytest.raises(ProviderError, match=r"claude-opus-5-5 may cost up to \$0\.\d+ and \$0\.0010"):
            await asked(session, "safe")
    assert not paid.requests


async def test_requests_go_round_a_deployment_that_is_sick_whatever_ails_it(
    stub: Stub, tmp_path: Path
) -> None:
    config = configured(
        tmp_path,
        providers={
            "a": at(stub, breaker_failures=1),
            "b": at(stub),
            "both": {"balanced": ["a:stub-e401", "b:stub-text"], **SWIFT},
        },
    )
    async with open_session(config) as session:
        for _ in range(3):
            assert await asked(session, "both") == "Hello from the stub."
    assert calls(stub) == ["stub-e401"] + ["stub-text"] * 3


async def test_when_no_deployment_answers_the_group_asks_again(stub: Stub, tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        providers={
            "a": at(stub),
            "b": at(stub),
            "both": {"balanced": ["a:stub-flaky1", "b:stub-e503"], **SWIFT},
        },
    )
    async with open_session(config) as session:
        assert await asked(session, "both") == "Hello from the stub."
    assert calls(stub).count("stub-flaky1") == 2


async def test_what_is_wrong_in_itself_is_not_carried_from_deployment_to_deployment(tmp_path: Path) -> None:
    config = configured(tmp_path, providers={"both": {"balanced": ["a:m", "b:m"]}, "a": {}, "b": {}})
    second = Scripted("never", name="b")
    async with open_session(config) as session:
        session.add_provider("a", Scripted(Refused("a", "no"), name="a"))
        session.add_provider("b", second)
        with pytest.raises(Refused):
            await asked(session, "both")
    assert not second.requests


async def test_the_budget_ends_a_run_with_what_was_done_and_is_shared_by_all_models(tmp_path: Path) -> None:
    prices = {"lab:*": {"price": {"input_usd": 0, "output_usd": 1000}}}
    answer = Completion(
        message=assistant("ok", origin="lab:m"), usage=Usage(input_tokens=9, output_tokens=400)
    )
    config = configured(tmp_path, budget_usd=1.0, models=prices, max_tokens=500)
    told: list[Event] = []
    async with open_session(config, told.append) as session:
        session.add_provider("lab", Scripted(answer, answer, name="lab"))
        assert (await session.ask(session.agent("lab:m"), "one")).usage.cost_usd == pytest.approx(0.4)
        assert (await session.ask(session.agent("lab:other"), "two")).usage.cost_usd == pytest.approx(0.4)
        with pytest.raises(
            OutOfBudget, match=r"may cost up to \$0\.5000 and \$0\.2000 of \$1\.0000 are left"
        ):
            await asked(session, "lab:m")
        assert session.budget.spent_usd == pytest.approx(0.8)
    assert [e.usage.cost_usd for e in told if isinstance(e, RunEnded)] == [
        pytest.approx(0.4),
        pytest.approx(0.4),
        None,
    ]


async def test_a_model_without_a_price_is_no_bargain(tmp_path: Path) -> None:
    for allowed in (False, True):
        config = configured(tmp_path, budget_usd=5.0, budget_allows_unknown=allowed)
        async with open_session(config) as session:
            session.add_provider("lab", Scripted("ok", name="lab"))
            if allowed:
                assert await asked(session, "lab:m") == "ok" and session.budget.unknown_calls == 1
            else:
                with pytest.raises(OutOfBudget, match="lab:m has no known price"):
                    await asked(session, "lab:m")


@pytest.mark.parametrize(
    ("model", "own", "cost"),
    [
        ("anthropic:claude-opus-5-5", {}, True),
        ("work:claude-opus-5-5", {"work": {"kind": "anthropic"}}, True),
        ("work:claude-opus-5-5", {"work": {"kind": "anthropic", "base_url": "http://proxy/v1"}}, None),
        ("gpu:any", {"gpu": {"kind": "ollama", "base_url": "http://10.0.0.9:11434"}}, 0.0),
        ("lab:m", {}, None),
    ],
)
async def test_every_call_says_what_it_cost_where_anybody_knows(
    tmp_path: Path, model: str, own: dict[str, Any], cost: float | bool | None
) -> None:
    name = model.partition(":")[0]
    used = Usage(input_tokens=1000, output_tokens=1000)
    async with open_session(configured(tmp_path, providers=own)) as session:
        session.add_provider(name, Scripted(Completion(message=assistant("ok"), usage=used), name=name))
        said = (await session.ask(session.agent(model), "Hi")).usage.cost_usd
    assert said is not None and said > 0 if cost is True else said == cost


@pytest.mark.parametrize(
    ("providers", "says"),
    [
        (
            {"x": {"fallback": ["y:m"], "balanced": ["y:m"]}},
            "line 2: providers.x: wanted fallback or balanced",
        ),
        ({"x": {"fallback": []}}, "providers.x.fallback: .*at least one"),
        ({"x": {"fallback": ["a:b"], "base_url": "http://h"}}, "base_url belongs to each of its models"),
        ({"x": {"retries": 99}}, "providers.x.retries: .* 20, found 99"),
        ({"x": {"cache": "memcached://h"}}, "providers.x.cache: .*redis://host:port/0"),
        ({"x": {"num_retries": 2}}, "did you mean 'retries'"),
        ({"x": {"fallbacks": ["a:b"]}}, "did you mean 'fallback'"),
    ],
)
def test_a_wrong_wrapper_is_named_with_its_place(
    tmp_path: Path, providers: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        configured(tmp_path, providers=providers)


@pytest.mark.parametrize(
    ("providers", "says"),
    [
        ({"x": {"fallback": ["nobody:m"]}}, "providers.x.fallback: no provider 'nobody'"),
        ({"x": {"fallback": ["x"]}}, "leads back to itself: x -> x"),
        ({"x": {"fallback": ["y"]}, "y": {"balanced": ["ollama:m", "x:auto"]}}, "x -> y -> x"),
    ],
)
def test_a_group_that_leads_nowhere_is_a_mistake_of_its_file(
    tmp_path: Path, providers: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        configured(tmp_path, providers=providers)


async def test_the_fast_model_has_a_name_and_an_alias_of_that_name_goes_before_it(tmp_path: Path) -> None:
    async with open_session(configured(tmp_path, fast_model="ollama:tiny")) as session:
        assert session.agent("fast").model == "ollama:tiny"
    own = configured(tmp_path, fast_model="ollama:tiny", aliases={"fast": "openai:gpt-x"})
    async with open_session(own) as session:
        assert session.agent("fast").model == "openai:gpt-x"


@pytest.mark.parametrize(
    ("wire", "sealed"),
    [
        ("anthropic", {"signature": "of another account"}),
        ("bedrock", {"signature": "of another account"}),
        ("responses", {"id": "rs_1", "encrypted_content": "of another key", "summary": []}),
    ],
)
async def test_thoughts_a_vendor_no_longer_takes_back_do_not_end_the_conversation(
    stub: Stub, wire: str, sealed: dict[str, Any], tmp_path: Path
) -> None:
    told: list[Event] = []
    model = f"{wire}:stub-text"
    history = (user("Hi"), assistant(Thinking(text="hm", seal=sealed), "Hello.", origin=model))
    async with open_session(configured(tmp_path), told.append) as session:
        session.add_provider(wire, opened(stub, wire))
        reply = await session.ask(session.agent(model), "And now?", history=history)
    assert reply.text == "Hello from the stub." and len(calls(stub)) == 2
    assert [event.level for event in told if isinstance(event, Notice)] == ["warning"]
    assert "of another" not in dumps(stub.sent) and "Hello." in dumps(stub.sent)


@pytest.mark.parametrize("scenario", ["hang", "slowhead", "e503"])  # mid-answer, before it, between two tries
async def test_giving_up_in_any_phase_frees_what_was_held(stub: Stub, scenario: str, tmp_path: Path) -> None:
    box = at(stub, max_parallel=1, cache="memory") | {"retry_first_s": 60.0, "retry_max_s": 60.0}
    prices = {"box:*": {"price": {"input_usd": 1, "output_usd": 1}}}
    config = configured(tmp_path, providers={"box": box}, models=prices, budget_usd=1.0)
    scope = anyio.CancelScope()

    def told(event: Event) -> None:
        if isinstance(event, Streamed) and scope.deadline == float("inf"):
            scope.cancel()  # after the first word

    async with open_session(config, told) as session:
        await asked(session, "box:stub-text", "Warm up.")
        scope = anyio.CancelScope()
        if scenario != "hang":
            scope.deadline = anyio.current_time() + 0.3
        with anyio.fail_after(60), scope:
            async with anyio.create_task_group() as group:
                for _ in range(3):  # two of them wait for their turn
                    group.start_soon(asked, session, f"box:stub-{scenario}")
        assert scope.cancelled_caught and session.budget.set_aside_usd == pytest.approx(0)
        with anyio.fail_after(60):
            assert await asked(session, "box:stub-text") == "Hello from the stub."
    if scenario == "hang":
        assert await anyio.to_thread.run_sync(partial(stub.gone.acquire, timeout=60))


async def test_fallbacks_can_be_added_to_any_configuration_from_python(stub: Stub, tmp_path: Path) -> None:
    config = configured(tmp_path, providers={"box": at(stub, retries=0)})
    async with open_session(config.with_fallbacks("box:stub-e503", ["box:stub-text"])) as session:
        reply = await session.ask(session.agent(), "Hi")
    assert reply.messages[-1].origin == "box:stub-text" and config.default_model is None
