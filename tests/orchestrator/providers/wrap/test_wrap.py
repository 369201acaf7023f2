"""Wrappers: each alone, and together in the order that config gives them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrator.errors import (
    AuthFailed,
    BadRequest,
    ConfigError,
    ContextTooLong,
    OutOfBudget,
    OutOfCredit,
    Overloaded,
    ProviderError,
    RateLimited,
    Refused,
    Unreachable,
)
from orchestrator.events import Event, Notice, Switched
from orchestrator.providers import Provider, complete, models_of, open_provider
from orchestrator.providers.catalog import Price
from orchestrator.providers.scripted import Scripted
from orchestrator.providers.wrap.balanced import Balanced, Deployment
from orchestrator.providers.wrap.breaker import Breaker
from orchestrator.providers.wrap.budgeted import Budget, Budgeted
from orchestrator.providers.wrap.cached import Cached
from orchestrator.providers.wrap.caches import Cache, MemoryCache, SqliteCache
from orchestrator.providers.wrap.compose import Wrapping, cache_at, wrapped
from orchestrator.providers.wrap.fallback import Fallback, Step
from orchestrator.providers.wrap.limited import Limited
from orchestrator.providers.wrap.recorded import Recorded
from orchestrator.providers.wrap.retrying import Retry, Retrying
from orchestrator.types import Completion, Delta, Request, ToolCall, Usage, assistant, user
from tests.wire.stub import Stub
from tests.wire.wires import asking, opened

pytestmark = pytest.mark.anyio

ASK = Request(model="scripted:m", messages=(user("Hi"),))
BUSY = Overloaded("scripted", "busy")


class Clock:
    """Time that passes when told; sleeping is telling."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Gate:
    """Answers when let; tells how many wait inside."""

    name = "gate"

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.entered = anyio.Event()
        self.open = anyio.Event()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.entered.set()
        try:
            await self.open.wait()
            yield Completion(message=assistant("through", origin="gate:m"), usage=Usage())
        finally:
            self.inside -= 1


async def text_of(provider: Provider, request: Request = ASK) -> str:
    return (await complete(provider, request)).message.text


# limited


async def test_no_more_calls_run_than_allowed_and_all_are_answered() -> None:
    gate = Gate()
    limited = Limited(gate, 2)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(text_of, limited)
            await gate.entered.wait()
            gate.open.set()
    assert gate.most == 2 and limited.limiter.borrowed_tokens == 0


async def test_a_cancelled_call_gives_its_place_back() -> None:
    gate = Gate()
    limited = Limited(gate, 1)
    with anyio.move_on_after(0.05):
        await text_of(limited)
    gate.open.set()
    with anyio.fail_after(60):
        assert await text_of(limited) == "through"


async def test_a_stream_may_be_closed_by_another_task() -> None:
    limited = Limited(Scripted("one two three"), 1)
    items = limited.stream(ASK)
    await anext(items)
    async with anyio.create_task_group() as group:
        group.start_soon(items.aclose)
    assert limited.limiter.borrowed_tokens == 0


# retrying


async def test_what_waiting_cures_is_asked_again_and_told() -> None:
    clock, told = Clock(), list[Event]()
    model = Scripted(BUSY, Unreachable("scripted", "gone"), "at last")
    assert (
        await text_of(Retrying(model, Retry(sleep=clock.sleep, jitter=lambda: 0.0), emit=told.append))
        == "at last"
    )
    assert clock.slept == [1.0, 2.0] and len(model.requests) == 3
    assert [event.text for event in told if isinstance(event, Notice)] == snapshot(
        ["scripted: busy; asking again in 1.0 s", "scripted: gone; asking again in 2.0 s"]
    )


@pytest.mark.parametrize("error", [AuthFailed, OutOfCredit, BadRequest, ContextTooLong, Refused])
async def test_the_hopeless_is_never_asked_again(error: Callable[[str, str], ProviderError]) -> None:
    model = Scripted(error("scripted", "no"), "never said")
    with pytest.raises(ProviderError):
        await text_of(Retrying(model, Retry(sleep=Clock().sleep)))
    assert len(model.requests) == 1


async def test_retry_after_is_honoured_and_an_overlong_one_is_not_waited_for() -> None:
    clock = Clock()
    retry = Retry(sleep=clock.sleep, max_s=60)
    await text_of(Retrying(Scripted(RateLimited("x", "slow", retry_after_s=7), "ok"), retry))
    assert clock.slept == [7.0]
    with pytest.raises(RateLimited):
        await text_of(Retrying(Scripted(RateLimited("x", "slow", retry_after_s=3600), "ok"), retry))
    assert clock.slept == [7.0]


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.01, 10), st.floats(0.01, 100))
def test_waits_never_exceed_their_cap(failed: int, jitter: float, first_s: float, max_s: float) -> None:
    wait = Retry(attempts=1000, first_s=first_s, max_s=max_s, jitter=lambda: jitter).wait_s(failed, BUSY)
    assert wait is not None and 0 < wait <= max_s


async def test_any_async_function_can_be_made_persistent() -> None:
    calls: list[int] = []

    @Retry(attempts=4, sleep=Clock().sleep, when=lambda exc: isinstance(exc, OSError))
    async def flaky(x: int) -> int:
        calls.append(x)
        if len(calls) < 3:
            raise OSError("not yet")
        return x

    assert await flaky(5) == 5 and calls == [5, 5, 5]


async def test_the_real_wire_is_asked_again_after_503(stub: Stub) -> None:
    provider = Retrying(opened(stub, "chat"), Retry(sleep=Clock().sleep))
    assert await text_of(provider, asking("chat", "flaky2")) == "Hello from the stub."


# breaker


async def test_the_breaker_goes_from_closed_to_open_to_half_open_and_back() -> None:
    clock = Clock()
    model = Scripted(*[BUSY] * 5, BUSY, "well again", "and again")
    breaker = Breaker(model, failures=5, cooldown_s=60, clock=clock)
    for _ in range(5):
        assert breaker.state == "closed"
        with pytest.raises(Overloaded):
            await text_of(breaker)
    assert breaker.state == "open"
    with pytest.raises(Overloaded, match="left alone for another 60 s after busy") as caught:
        await text_of(breaker)
    assert len(model.requests) == 5 and not caught.value.retryable and caught.value.retry_after_s == 60
    clock.now += 60
    assert breaker.state == "half_open"
    with pytest.raises(Overloaded):  # the probe fails: open at once
        await text_of(breaker)
    assert breaker.state == "open"
    clock.now += 60
    assert await text_of(breaker) == "well again" and breaker.state == "closed"
    assert await text_of(breaker) == "and again"


async def test_no_credit_opens_the_breaker_at_once() -> None:
    breaker = Breaker(Scripted(OutOfCredit("scripted", "spend limit")), clock=Clock())
    with pytest.raises(OutOfCredit):
        await text_of(breaker)
    assert breaker.state == "open"


@pytest.mark.parametrize("error", [BadRequest, AuthFailed])
async def test_a_request_or_a_key_that_is_refused_says_nothing_about_health(
    error: Callable[[str, str], ProviderError],
) -> None:
    breaker = Breaker(Scripted(*[error("scripted", "no")] * 9, "fine"), failures=2, clock=Clock())
    for _ in range(9):
        with pytest.raises(ProviderError, match="scripted: no"):
            await text_of(breaker)
    assert await text_of(breaker) == "fine"


async def test_half_open_lets_one_call_through_and_a_cancelled_probe_frees_the_next() -> None:
    clock, gate = Clock(), Gate()
    breaker = Breaker(gate, failures=1, cooldown_s=1, clock=clock)
    breaker._open_until = clock.now  # half open  # pyright: ignore[reportPrivateUsage]
    async with anyio.create_task_group() as group:
        group.start_soon(text_of, breaker)
        await gate.entered.wait()
        with pytest.raises(Overloaded):
            await text_of(breaker)
        group.cancel_scope.cancel()
    gate.open.set()
    assert await text_of(breaker) == "through"


# fallback


async def test_the_next_model_answers_and_the_switch_is_told() -> None:
    told: list[Event] = []
    local = Scripted("from here", name="ollama")
    chain = Fallback(Scripted(BUSY), Step(provider=local, model="ollama:qwen3:8b"), emit=told.append)
    done = await complete(chain, ASK)
    assert done.message.origin == "ollama:qwen3:8b" and local.requests[0].model == "ollama:qwen3:8b"
    assert told == [Switched(old="scripted:m", new="ollama:qwen3:8b", reason="scripted: busy")]


@pytest.mark.parametrize("error", [BadRequest, Refused])
async def test_a_request_wrong_in_itself_is_not_carried_on(
    error: Callable[[str, str], ProviderError],
) -> None:
    second = Scripted("never")
    with pytest.raises(error):  # type: ignore[arg-type]
        await text_of(Fallback(Scripted(error("scripted", "no")), second))
    assert not second.requests


async def test_when_all_fail_all_are_named() -> None:
    with pytest.raises(ProviderError, match="none of 2 models answered: scripted: busy; b: no key") as caught:
        await text_of(Fallback(Scripted(BUSY), Scripted(AuthFailed("b", "no key"))))
    assert caught.value.retryable


async def test_an_open_breaker_is_passed_over_without_a_call() -> None:
    sick = Scripted(OutOfCredit("scripted", "empty"))
    chain = Fallback(Breaker(sick, clock=Clock()), Scripted("second", "second"))
    assert [await text_of(chain), await text_of(chain)] == ["second", "second"]
    assert len(sick.requests) == 1


async def test_a_paid_fallback_is_checked_against_the_budget() -> None:
    budget = Budget(limit_usd=0.01)
    paid = Scripted("never", name="anthropic")
    chain = Fallback(
        Budgeted(Scripted(Overloaded("ollama", "busy"), name="ollama"), budget),
        Step(provider=Budgeted(paid, budget), model="anthropic:claude-opus-5-5"),
    )
    with pytest.raises(ProviderError, match="anthropic:claude-opus-5-5 may cost up to"):
        await text_of(chain, Request(model="ollama:m", messages=(user("Hi"),), max_tokens=4000))
    assert not paid.requests and budget.spent_usd == 0


# budgeted


def costing(usd_in: float, usd_out: float) -> dict[str, Price]:
    return {"paid:m": Price(input_usd=usd_in, output_usd=usd_out)}


async def test_what_was_spent_is_counted_and_the_next_call_is_refused_when_it_no_longer_fits() -> None:
    budget = Budget(limit_usd=1.0, prices=costing(1000, 1000))
    said = Completion(message=assistant("ok"), usage=Usage(input_tokens=500, output_tokens=400))
    provider = Budgeted(Scripted(said, said, name="paid"), budget)
    ask = Request(model="paid:m", messages=(user("Hi"),), max_tokens=500)
    done = await complete(provider, ask)
    assert done.usage.cost_usd == pytest.approx(0.9) and budget.spent_usd == pytest.approx(0.9)
    with pytest.raises(
        OutOfBudget, match=r"paid:m may cost up to \$0\.\d+ and \$0\.1000 of \$1\.0000 are left"
    ):
        await complete(provider, ask)


async def test_an_unknown_price_is_not_affordable_unless_allowed() -> None:
    ask = Request(model="lab:mystery", messages=(user("Hi"),))
    with pytest.raises(OutOfBudget, match="lab:mystery has no known price"):
        await text_of(Budgeted(Scripted("x", name="lab"), Budget(limit_usd=5)), ask)
    budget = Budget(limit_usd=5, allow_unknown=True)
    assert await text_of(Budgeted(Scripted("x", name="lab"), budget), ask) == "x"
    assert budget.unknown_calls == 1 and budget.spent_usd == 0


async def test_calls_under_way_are_set_aside_so_that_many_at_once_cannot_overspend() -> None:
    gate = Gate()
    gate.name = "paid"
    budget = Budget(limit_usd=1.0, prices=costing(1, 1000))
    provider, refused = Budgeted(gate, budget), list[OutOfBudget]()
    ask = Request(model="paid:m", messages=(user("Hi"),), max_tokens=400)

    async def call() -> None:
        try:
            await complete(provider, ask)
        except OutOfBudget as exc:
            refused.append(exc)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)
            while gate.inside + len(refused) < 5:
                await anyio.lowlevel.checkpoint()
            gate.open.set()
    assert gate.most == 2 and len(refused) == 3 and budget.set_aside_usd == pytest.approx(0)


async def test_local_models_are_free() -> None:
    budget = Budget(limit_usd=0.0)
    done = await complete(
        Budgeted(Scripted("x", name="ollama"), budget), Request(model="ollama:q", messages=(user("a"),))
    )
    assert done.usage.cost_usd == 0.0


# cached


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_answer_is_kept_until_it_is_too_old(kind: str, tmp_path: Path) -> None:
    clock = Clock()
    store: Cache = (
        MemoryCache(clock=clock) if kind == "memory" else SqliteCache(tmp_path / "c.db", clock=clock)
    )
    call = ToolCall(id="1", name="t", arguments={"a": 1})
    first = Completion(message=assistant("Hi ", call), usage=Usage(output_tokens=9, decode_s=2.0))
    model = Scripted(first, "new")
    cached = Cached(model, store, ttl_s=100)
    one, two = await complete(cached, ASK), await complete(cached, ASK)
    assert (
        two.message == one.message
        and two.recorded
        and two.usage.output_tokens == 0
        and two.usage.decode_s is None
    )
    assert len(model.requests) == 1
    clock.now += 101
    assert await text_of(cached) == "new"


async def test_another_question_is_another_answer(tmp_path: Path) -> None:
    cached = Cached(Scripted("a", "b", "c"), SqliteCache(tmp_path / "c.db"))
    hot = Request(model="scripted:m", messages=(user("Hi"),), temperature=0.9)
    patient = Request(model="m", messages=(user("Hi"),), timeout_s=9)
    assert [await text_of(cached, r) for r in (ASK, hot, patient)] == ["a", "b", "a"]


class Broken:
    async def get(self, key: str) -> bytes | None:
        raise ConnectionError("no store")

    async def set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        raise ConnectionError("no store")


class Rotten(MemoryCache):
    async def get(self, key: str) -> bytes | None:
        return b'{"message": 5'


@pytest.mark.parametrize("store", [Broken(), Rotten()])
async def test_a_broken_store_never_breaks_a_call_and_is_told_once(store: Cache) -> None:
    told: list[Event] = []
    cached = Cached(Scripted("a", "b"), store, emit=told.append)
    assert [await text_of(cached), await text_of(cached)] == ["a", "b"]
    assert len(told) == 1 and "the cache of scripted does not work" in str(told[0])


async def test_a_damaged_cache_file_never_breaks_a_call(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"this is no database" * 99)
    assert await text_of(Cached(Scripted("a"), SqliteCache(tmp_path / "c.db"))) == "a"


async def test_answers_cut_short_are_not_kept() -> None:
    cut = Completion(message=assistant("half"), usage=Usage(), stop="length")
    assert [await text_of(c := Cached(Scripted(cut, "whole"), MemoryCache())), await text_of(c)] == [
        "half",
        "whole",
    ]


async def test_memory_keeps_the_answers_used_last() -> None:
    store = MemoryCache(most=2)
    for key in ("a", "b"):
        await store.set(key, key.encode(), None)
    await store.get("a")
    await store.set("c", b"c", None)
    assert [await store.get(key) for key in ("a", "b", "c")] == [b"a", None, b"c"]


# balanced


async def test_requests_go_where_answers_come_soonest() -> None:
    fast, slow = (
        Deployment(step=Step(provider=Scripted("x")), mean_s=1.0),
        Deployment(step=Step(provider=Scripted("x")), mean_s=2.5),
    )
    balanced = Balanced(slow, fast)
    chosen: list[Deployment] = []
    for _ in range(7):  # seven requests at once
        chosen.append(balanced.choose(ASK))
        chosen[-1].under_way += 1
    assert chosen.count(fast) == 5 and chosen.count(slow) == 2


async def test_a_forecast_goes_before_what_was_measured() -> None:
    near, far = Scripted("near", name="near"), Scripted("far", name="far")
    balanced = Balanced(
        Deployment(step=Step(provider=far), mean_s=0.1),
        Deployment(step=Step(provider=near), mean_s=9.0),
        expect=lambda provider, request: 1.0 if provider is near else 50.0,
    )
    assert await text_of(balanced) == "near"


async def test_a_sick_deployment_is_avoided_and_asking_again_reaches_another() -> None:
    clock = Clock()
    sick, well = Scripted(BUSY, "well again"), Scripted("a", "b")
    balanced = Balanced(sick, well, rest_s=30, clock=clock)
    persistent = Retrying(balanced, Retry(sleep=clock.sleep))
    assert [await text_of(persistent), await text_of(persistent)] == ["a", "b"]
    clock.now += 30
    assert balanced.choose(ASK).step.provider is sick


# recorded, and all together


async def test_what_was_recorded_plays_again(stub: Stub, tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    recorder = Recorded(opened(stub, "anthropic"), file)
    first = await complete(recorder, asking("anthropic", "tools"))
    with pytest.raises(RateLimited):
        await complete(recorder, asking("anthropic", "e429"))
    player = open_provider("scripted")
    ask = Request(model=f"scripted:{file}", messages=(user("Hi"),))
    again = await complete(player, ask)
    assert again.message.text == first.message.text and again.usage == first.usage and again.recorded
    assert [c.arguments for c in again.message.tool_calls] == [c.arguments for c in first.message.tool_calls]
    with pytest.raises(RateLimited):
        await complete(player, ask)


async def test_config_gives_all_of_them_and_they_still_list_models(stub: Stub, tmp_path: Path) -> None:
    settings = Wrapping(
        max_parallel=2,
        retries=2,
        retry_max_s=0.01,
        cache=str(tmp_path / "c.db"),
        record=str(tmp_path / "t.jsonl"),
    )
    provider = wrapped(opened(stub, "chat"), settings, budget=Budget(limit_usd=None))
    for _ in range(2):
        assert await text_of(provider, asking("chat", "flaky1")) == "Hello from the stub."
    assert (
        len([entry for entry in stub.log if entry["model"]]) == 2
    )  # one 503, one answer, one from the cache
    assert len((tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert [model.name for model in await models_of(provider)] == ["stub-text", "stub-vllm", "stub.gguf"]


def test_an_unknown_kind_of_cache_is_named() -> None:
    with pytest.raises(ConfigError, match="found 'memcached://x'"):
        cache_at("memcached://x")
