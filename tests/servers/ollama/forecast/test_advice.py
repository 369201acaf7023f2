"""Advice and plans: what they promise comes true in the simulated world they were computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.coach import world_of
from benchmarks.worlds import key_of, run_of, shape_of
from servers.durations import duration
from servers.ollama.forecast.advice import Advice, Recommendation, recommend
from servers.ollama.forecast.plans import Plan, Refusal, Task, Worker, largest_output, plan_for
from servers.ollama.forecast.quantiles import Wait
from servers.ollama.forecast.speed_model import SpeedModel
from servers.ollama.forecast.token_estimates import Lengths, lengths_of
from servers.ollama.ledger.ledger import Ledger
from servers.ollama.ledger.runs import Output
from servers.ollama.reports.advice_outcomes import outcomes_of, recorded
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

MODEL = SimulatedModel(read_s=1 / 200, write_s=1 / 20, read_rho=1e-3, write_rho=1e-3, load_s=6.0)


def learned(model: SimulatedModel = MODEL, runs: int = 8, *, noise: float = 0.03) -> SpeedModel:
    machine, speed = Machine(model, noise=Noise(spread=noise)), SpeedModel(key_of(model), shape_of(model))
    for n in range(runs):
        ran = machine.run(model, f"{n}", 30 + 20 * n, tokens_in=150 + 350 * n)
        speed.learn(run_of(model, ran))
    return speed


LAW = learned()


def answers(*tokens: int, thinking: int = 600) -> Callable[[Task], Lengths]:
    """Lengths as the ledger would tell them: these when plain, `thinking` more when thinking, 30 with a
    schema.
    """

    def lengths(task: Task) -> Lengths:
        more = thinking if task.think else 0
        seen = [Output(tokens=30 if task.format else n + more, cut=False) for n in tokens]
        return lengths_of(seen, cap=task.cap)

    return lengths


def worker(speed: SpeedModel = LAW, **changed: object) -> Worker:
    return replace(
        Worker(model="sim", speed=speed, lengths=answers(90, 100, 110, 100, 105, 95, 100, 100), cold=False),
        **changed,  # type: ignore[arg-type]
    )


def advised(told: Recommendation, action: str) -> Advice:
    return next(advice for advice in told.advice if advice.action == action)


def truth(tokens_in: int, tokens_out: int, cached: int = 0, model: SimulatedModel = MODEL) -> float:
    return model.reading_s(tokens_in - cached, cached) + model.writing_s(tokens_out, tokens_in)


def test_dropping_half_the_prompt_saves_what_it_says() -> None:
    told = recommend(Task(tokens_in=3000, cap=110), worker())
    advice = advised(told, "shorten_prompt")
    assert advice.change == {"tokens_in": 1500} and advice.then_s is not None
    assert advice.then_s == pytest.approx(truth(1500, 100), rel=0.12)
    assert advice.saves_s == pytest.approx(truth(3000, 100) - truth(1500, 100), rel=0.15)
    assert "drop 1,500 prompt tokens" in advice.say and "->" in advice.say


def test_advice_is_ranked_by_seconds_saved_and_small_savings_are_left_out() -> None:
    told = recommend(Task(tokens_in=3000, cap=4000, think=True), worker(cold=True))
    saved = [advice.saves_s for advice in told.advice]
    assert saved == sorted(saved, reverse=True) and len(saved) >= 3
    assert told.forecast is not None and min(saved) > 0.08 * told.forecast.total_s
    quick = recommend(Task(tokens_in=400, least_in=390, cap=110), worker())
    assert quick.advice == ()


def test_a_cap_is_set_where_nine_in_ten_answers_end() -> None:
    advice = advised(recommend(Task(tokens_in=200, cap=2000), worker()), "cap_output")
    assert advice.change == {"cap": 110} and "nine in ten" in advice.say
    assert recommend(Task(tokens_in=400, least_in=400, cap=2000, least_out=1900), worker()).advice == ()


def test_a_cap_that_cuts_answers_is_raised() -> None:
    advice = advised(recommend(Task(tokens_in=400, cap=60), worker()), "raise_cap")
    cap = advice.change["cap"]
    assert isinstance(cap, int) and cap >= 105 and "100% of such answers are cut" in advice.say
    assert not [
        a for a in recommend(Task(tokens_in=400, cap=200), worker()).advice if a.action == "raise_cap"
    ]


def test_reloads_are_told_of() -> None:
    machine, speed = Machine(MODEL, noise=Noise(spread=0.03)), SpeedModel(key_of(MODEL))
    for n in range(6):
        speed.learn(run_of(MODEL, machine.run(MODEL, f"{n}", 40, options={"num_thread": n % 2})))
    assert (
        "loaded sim again"
        in advised(recommend(Task(tokens_in=200, cap=110), worker(speed)), "keep_loaded").say
    )


def test_thinking_off_and_a_schema_shorten_the_answer() -> None:
    told = recommend(Task(tokens_in=200, cap=2000, think=True, kind="extract"), worker())
    assert advised(told, "no_thinking").then_s == pytest.approx(truth(200, 100), rel=0.12)
    short = recommend(Task(tokens_in=200, cap=110, kind="extract"), worker())
    assert advised(short, "ask_schema").then_s == pytest.approx(truth(200, 30), rel=0.15)
    assert not [
        a
        for a in recommend(Task(tokens_in=200, cap=110, think=True), worker(can_think=False)).advice
        if a.action == "no_thinking"
    ]


def test_parts_pay_where_depth_is_dear_and_only_there() -> None:
    advice = advised(recommend(Task(tokens_in=8000, least_in=200, cap=110), worker()), "split")
    parts = advice.change["parts"]
    assert isinstance(parts, int) and parts > 1
    each = truth(200 + 7800 // parts, 100 // parts)
    assert advice.then_s == pytest.approx(parts * each, rel=0.15)
    flat = replace(MODEL, read_rho=0.0, write_rho=0.0, name="flat")
    told = recommend(Task(tokens_in=8000, least_in=4000, cap=110), worker(learned(flat)))
    assert not [a for a in told.advice if a.action == "split"]


def test_a_cold_model_is_kept_loaded_and_a_wait_is_named() -> None:
    assert advised(recommend(Task(tokens_in=200, cap=110), worker(cold=True)), "keep_loaded").saves_s > 2
    waiting = recommend(Task(tokens_in=200, cap=110), worker(wait=Wait(20.0)))
    assert advised(waiting, "wait").saves_s == pytest.approx(20, rel=0.05)


def test_a_faster_model_is_named_unless_it_fails_its_gates() -> None:
    fast = replace(MODEL, name="fast", read_s=1 / 2000, write_s=1 / 200)
    other = Worker(model="fast", speed=learned(fast), lengths=answers(*[100] * 8), odds=0.9, cold=False)
    told = recommend(Task(tokens_in=1000, cap=110), worker(odds=0.95), others=[other])
    advice = advised(told, "other_model")
    assert advice.change == {"model": "fast"} and "90%" in advice.say
    assert advice.then_s == pytest.approx(truth(1000, 100, model=fast), rel=0.15)
    weak = recommend(Task(tokens_in=1000, cap=110), worker(odds=0.95), others=[replace(other, odds=0.3)])
    small = recommend(Task(tokens_in=1000, cap=110), worker(odds=0.95), others=[replace(other, room=500)])
    assert not [a for told in (weak, small) for a in told.advice if a.action == "other_model"]


def test_small_work_is_better_done_by_the_caller() -> None:
    slow = replace(MODEL, name="slow", read_s=1 / 20, write_s=1 / 2)
    told = recommend(Task(tokens_in=60, cap=110), worker(learned(slow)))
    assert "do it yourself" in advised(told, "do_it_yourself").say


def test_nothing_measured_gives_no_advice_but_says_what_to_do() -> None:
    told = recommend(Task(tokens_in=1000, deadline_s=5.0), worker(SpeedModel(key_of(MODEL))))
    assert told.forecast is None and told.advice == () and told.plan is None
    assert told.refusal is not None and told.refusal.nearest is None
    assert "no run of sim was measured" in told.refusal.say and "calibrate" in told.refusal.say


def test_a_loose_deadline_changes_nothing_and_a_tight_one_as_little_as_it_can() -> None:
    task = Task(tokens_in=3000, least_in=300, cap=400, least_out=80, think=True)
    loose = plan_for(replace(task, deadline_s=400.0), [worker()])
    assert isinstance(loose, Plan) and loose.changes == () and loose.task.think
    middle = plan_for(replace(task, deadline_s=1.6 * truth(3000, 110)), [worker()])
    assert isinstance(middle, Plan) and not middle.task.think and middle.task.tokens_in == 3000
    tight = plan_for(replace(task, deadline_s=0.6 * truth(3000, 110)), [worker()])
    assert isinstance(tight, Plan) and 300 < tight.task.tokens_in < 3000 and tight.odds >= 0.9
    assert truth(tight.task.tokens_in, 100) < 0.6 * truth(3000, 110)
    assert truth(tight.task.tokens_in, 100) > 0.35 * truth(3000, 110)  # no more is cut than needed


def test_a_plan_turns_to_the_next_worker_when_the_first_cannot() -> None:
    fast = replace(MODEL, name="fast", read_s=1 / 5000, write_s=1 / 500)
    other = Worker(model="fast", speed=learned(fast), lengths=answers(*[100] * 8), cold=False)
    plan = plan_for(
        Task(tokens_in=3000, least_in=2900, cap=110, least_out=100, deadline_s=2.0), [worker(), other]
    )
    assert isinstance(plan, Plan) and plan.model == "fast"


def test_an_impossible_deadline_is_refused_with_the_nearest_plan_and_the_time_it_needs() -> None:
    told = recommend(Task(tokens_in=3000, least_in=1000, cap=400, deadline_s=1.0), worker())
    refusal = told.refusal
    assert told.plan is None and refusal is not None and refusal.nearest is not None
    assert refusal.nearest.task.tokens_in == 1000 and refusal.needs_s is not None
    assert (
        "1 s cannot be met here" in refusal.say
        and f"allow {duration(refusal.needs_s, up=True)}" in refusal.say
    )
    again = plan_for(
        Task(tokens_in=3000, least_in=1000, cap=400, deadline_s=refusal.needs_s * 1.05), [worker()]
    )
    assert isinstance(again, Plan) and "waiting" not in refusal.say
    queued = plan_for(Task(tokens_in=200, cap=110, deadline_s=1.0), [worker(wait=Wait(40.0))])
    assert isinstance(queued, Refusal) and "40 s of it waiting for other work; allow" in queued.say


def test_a_plan_needs_a_deadline() -> None:
    with pytest.raises(ValueError, match="deadline_s"):
        plan_for(Task(tokens_in=10), [worker()])


@settings(deadline=None)
@given(
    tokens_in=st.integers(1, 40_000),
    least_in=st.integers(0, 50_000),
    cap=st.none() | st.integers(1, 4000),
    least_out=st.integers(0, 3000),
    think=st.booleans(),
    deadline_s=st.floats(0.001, 5000),
    room=st.none() | st.integers(1, 50_000),
)
def test_a_plan_never_leaves_the_task_and_meets_the_deadline_it_promises(
    tokens_in: int,
    least_in: int,
    cap: int | None,
    least_out: int,
    think: bool,
    deadline_s: float,
    room: int | None,
) -> None:
    task = Task(
        tokens_in=tokens_in,
        least_in=least_in,
        cap=cap,
        least_out=least_out,
        think=think,
        deadline_s=deadline_s,
    )
    found = plan_for(task, [worker(room=room)])
    plan = found if isinstance(found, Plan) else found.nearest
    if room is not None and room < task.floor + task.least_answer:
        assert isinstance(found, Refusal) and plan is None and "tokens of context" in found.say
        return
    assert plan is not None
    assert room is None or plan.task.tokens_in + task.least_answer <= room
    assert task.floor <= plan.task.tokens_in <= tokens_in
    assert cap is None or (plan.task.cap is not None and plan.task.cap <= cap)
    assert think or not plan.task.think
    assert plan.odds == plan.forecast.odds(deadline_s)
    if isinstance(found, Refusal):
        assert found.needs_s is not None and found.needs_s > deadline_s


def test_the_ledger_says_whether_followed_advice_held() -> None:
    machine, told = Machine(MODEL), worker()

    def record(tokens_in: int, cap: int) -> int:
        return ledger.record(
            replace(run_of(MODEL, machine.run(MODEL, f"{cap}", 100, tokens_in=tokens_in)), cap=cap)
        )

    with Ledger.open() as ledger:
        first = record(3000, 110)
        ledger.complete(first, advice=recorded(recommend(Task(tokens_in=3000, cap=110), told).advice))
        second = record(1480, 110)  # as advised: half the prompt
        ledger.complete(second, advice=recorded(recommend(Task(tokens_in=1480, cap=2000), told).advice))
        record(1480, 1900)  # not as advised
        came = outcomes_of(ledger.runs(last=10))
    assert set(came) == {"shorten_prompt"}
    assert came["shorten_prompt"].runs == 1 and came["shorten_prompt"].median_error < 0.25


@pytest.mark.anyio
async def test_a_caller_that_follows_the_plan_meets_its_deadline_by_the_third_call() -> None:
    """Worlds of the coach benchmark over the real wire; the naive caller has the same tasks and mostly
    fails.
    """
    naive = advised_hits = 0
    worlds = range(9100, 9112)
    for seed in worlds:
        found = await world_of(seed)
        naive += any(call.hit for call in found["naive"][:3])
        advised_hits += any(call.hit for call in found["advised"][:3])
    assert advised_hits >= len(worlds) - 1
    assert naive <= 0.7 * len(worlds)


def test_the_largest_output_is_what_the_context_holds_and_the_deadline_allows() -> None:
    assert largest_output(Task(tokens_in=1000), worker()) is None
    assert largest_output(Task(tokens_in=1000), worker(room=4096)) == 3096
    within = Task(tokens_in=1000, deadline_s=truth(1000, 200))
    fits = largest_output(within, worker(room=4096))
    assert fits is not None and 100 < fits <= 200
    forecast = worker().forecast(replace(within, cap=fits))
    assert forecast is not None and forecast.cap_s is not None and within.deadline_s is not None
    assert forecast.cap_s <= within.deadline_s
    assert largest_output(replace(within, deadline_s=0.01), worker(room=4096)) == 0


def test_no_model_is_advised_that_never_ran_or_hardly_ever_passes() -> None:
    quick = SimulatedModel(name="quick", read_s=MODEL.read_s / 10, write_s=MODEL.write_s / 10)
    task = Task(tokens_in=1000, cap=110)
    weak = replace(worker(learned(quick)), model="quick", odds=0.06)
    borrowed = SpeedModel(key_of(quick))
    borrowed.reading.lend(-8.0, spread=0.5)
    borrowed.writing.lend(-6.0, spread=0.5)
    for other in (weak, replace(weak, odds=None, speed=borrowed)):
        told = recommend(task, worker(odds=0.1), others=[other])
        assert "other_model" not in [advice.action for advice in told.advice]
    told = recommend(task, worker(odds=0.1), others=[replace(weak, odds=0.9)])
    assert "other_model" in [advice.action for advice in told.advice]
