"""Refine, handoff, pipeline, route, parallel, plan: work that several models do in turn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.errors import ProviderError
from orchestrator.patterns import (
    AgentTools,
    Job,
    Outcome,
    Specialist,
    Stage,
    handoff,
    parallel,
    pipeline,
    plan,
    refine,
    route,
)
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.types import Message, ToolCall, assistant
from tests.orchestrator.patterns.members import Members, agent

pytestmark = pytest.mark.anyio

REVISED = "better\nPOINTS:\n1: done\n2: dismissed because the task asks for it"


async def test_a_draft_is_revised_until_the_critic_approves() -> None:
    ask = Members({"a": ["draft", REVISED], "c": ["1. Too short.\n2. Too long.", "<OK>"]})
    outcome = await refine(ask, agent("a"), agent("c"), "write", iterations=5)
    assert outcome.text == "better" and outcome.details["approved"] and ask.names == ["a", "c", "a", "c"]
    assert outcome.reason == "approved by m:c in review 2"
    dismissed = {"review": "1", "point": "Too long.", "reason": "the task asks for it"}
    assert outcome.details["dismissed"] == [dismissed] and not outcome.warnings
    assert all(asked.read_only for asked, _ in ask.asked)


async def test_a_critic_that_never_approves_ends_with_the_last_draft() -> None:
    ask = Members({"a": ["one", "two", "three"], "c": ["1. No."]})
    outcome = await refine(ask, agent("a"), agent("c"), "write")
    assert outcome.ok and outcome.text == "three" and not outcome.details["approved"]
    assert outcome.reason == "not approved after 2 reviews; the last revision was not reviewed"
    assert outcome.warnings == tuple(f"review {n}: nothing was said about point 1" for n in (1, 2))


@pytest.mark.parametrize(
    ("review", "approves"),
    [
        ("<OK>", True),
        ("<ok>.", True),
        ("All is well.\n\n**<OK>**", True),
        ("1. Wrong.\n<OK>", False),
        ("I cannot say <OK> yet", False),
        ("<OK> if you fix the second line", False),
        ("OK", False),
    ],
)
async def test_only_a_plain_approval_is_one(review: str, approves: bool) -> None:
    ask = Members({"a": ["text <OK>"], "c": [review]})
    outcome = await refine(ask, agent("a"), agent("c"), "write", iterations=1)
    assert outcome.details["approved"] is approves


async def test_a_model_does_not_approve_its_own_text() -> None:
    ask = Members({"a": ["draft"], "c": ["<OK>"], "w": ["done"]})
    outcome = await refine(ask, agent("a", model="m:1"), agent("c", model="m:1"), "x", implement=agent("w"))
    assert outcome.text == "draft" and not outcome.details["approved"] and "w" not in ask.names
    assert "that is no approval" in outcome.reason and "not asked to carry it out" in outcome.warnings[0]
    other = await refine(Members(ask.lines), agent("a"), agent("c"), "x", implement=agent("w"))
    assert other.text == "done" and other.responses[-1].step == "implementation"


async def test_a_sick_critic_or_author_leaves_the_draft_as_it_was() -> None:
    sick = ProviderError("m", "down")
    critic = await refine(Members({"a": ["draft"], "c": [sick]}), agent("a"), agent("c"), "x")
    assert critic.ok and critic.text == "draft" and "review 1 failed" in critic.warnings[0]
    late = await refine(Members({"a": ["draft", sick], "c": ["1. No."]}), agent("a"), agent("c"), "x")
    assert late.ok and late.text == "draft" and "revision 1 failed" in late.warnings[0]
    none = await refine(Members({"a": [sick], "c": ["<OK>"]}), agent("a"), agent("c"), "x")
    assert none.error == "the author m:a failed: m: down"


async def test_work_is_handed_over_reviewed_and_ended_by_who_began_it() -> None:
    seen: list[Sequence[Message]] = []
    members = Members({"a": ["plan", "looks thin", "final"], "b": ["built"]})

    async def ask(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        seen.append(history)
        return await members(agent, prompt, history=history)

    outcome = await handoff(ask, agent("a"), agent("b"), "make it")
    assert members.names == ["a", "b", "a", "a"] and outcome.text == "final"
    assert [r.step for r in outcome.responses] == ["begin", "go on", "review", "end"]
    assert [m.text for m in seen[1]] == ["make it", "plan"] and seen[1][1].origin == "m:a"
    sick = Members({"a": ["plan", "review", "final"], "b": [ProviderError("b", "down")]})
    ended = await handoff(sick, agent("a"), agent("b"), "make it")
    assert ended.text == "final" and ended.warnings == ("step 'go on' failed: b: down",)


async def test_stages_pass_on_what_they_made_and_conditions_pass_some_over() -> None:
    ask = Members({"p": ["PLAN {input}"], "x": ["RUN"], "c": ["CODE"]})
    stages = [
        Stage(name="plan", agent=agent("p"), prompt="plan {input}", transform_input=str.upper),
        Stage(name="fix", agent=agent("x"), when=lambda given, outputs: "error" in given),
        Stage(name="code", agent=agent("c"), prompt="{plan} of {question} by {input}"),
    ]
    outcome = await pipeline(ask, stages, "it")
    assert outcome.text == "CODE" and outcome.reason == "2 of 3 stages done, passed over: fix"
    assert [prompt for _, prompt in ask.asked] == ["plan IT", "PLAN {input} of it by PLAN {input}"]
    assert outcome.details["tokens"]["code"] == {"input_tokens": 10, "output_tokens": 2}
    assert sum(t["input_tokens"] for t in outcome.details["tokens"].values()) == outcome.usage.input_tokens


async def test_a_failed_stage_is_named_and_what_was_made_before_is_kept() -> None:
    ask = Members({"a": ["{}"], "b": ["not json", "still not"], "c": ["never"]})
    stages = [
        Stage(name="one", agent=agent("a"), validate_output=json.loads),
        Stage(name="two", agent=agent("b"), validate_output=json.loads, tries=2),
        Stage(name="three", agent=agent("c")),
    ]
    outcome = await pipeline(ask, stages, "go")
    assert outcome.error is not None and "stage 'two' failed: its output is not valid" in outcome.error
    assert outcome.details["failed_stage"] == "two" and outcome.details["partial_outputs"] == {"one": "{}"}
    assert ask.names == ["a", "b", "b"] and "was refused" in ask.asked[2][1]

    def breaks(given: str) -> str:
        raise ValueError("no number")

    broken = await pipeline(ask, [Stage(name="t", agent=agent("a"), transform_input=breaks)], "go")
    assert broken.error == "stage 't' failed: its input: ValueError: no number"


async def test_jobs_run_within_a_limit_by_priority_and_their_errors_are_values() -> None:
    running, most = 0, 0

    async def line(prompt: str) -> str:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await anyio.lowlevel.checkpoint()
        running -= 1
        return prompt

    ask = Members({"a": [line], "b": [ProviderError("b", "down")], "s": ["x"]}, delays={"s": 60})
    jobs = [
        *(Job(agent=agent("a"), prompt=str(n), priority=n) for n in range(4)),
        Job(agent=agent("b"), prompt="b", priority=9),
        Job(agent=agent("s"), prompt="s", timeout_s=0.05),
    ]
    with anyio.fail_after(60):
        outcome = await parallel(ask, jobs, max_concurrent=2)
    assert [r.error or r.text for r in outcome.responses] == [
        *"0123",
        "b: down",
        "no answer within 0.05 s",
    ]
    assert outcome.details["completed"] == 4 and outcome.details["failed"] == 2 and most <= 2
    assert [prompt for _, prompt in ask.asked][:2] == ["b", "3"] and outcome.details["duration_s"] > 0


def specialists(**more: Any) -> list[Specialist]:
    return [
        Specialist(agent=agent("sql"), description="databases, SQL queries", odds=0.9, cost_usd=0.2),
        Specialist(agent=agent("prose"), description="letters, summaries, prose", odds=0.9, cost_usd=0.01),
        Specialist(agent=agent("cheap"), description="anything", odds=0.2, cost_usd=0.0),
    ]


async def test_a_task_goes_to_whose_description_fits_then_to_the_cheapest_that_is_good_enough() -> None:
    ask = Members({name: [name] for name in ("sql", "prose", "cheap", "r")})
    fits = await route(ask, specialists(), "speed up this database query")
    assert fits.text == "sql" and "words of its description stand in the task" in fits.reason
    none = await route(ask, specialists(), "paint it")
    assert none.text == "prose" and none.details["candidates"][2]["name"] == "cheap"


@pytest.mark.parametrize(
    ("said", "chosen", "why"),
    [
        ('{"choice": "cheap", "reason": "it is easy"}', "cheap", "m:r: it is easy"),
        ('```json\n{"choice": "sql"}\n```', "sql", "no reason was given"),
        ('{"choice": "nobody"}', "prose", "it named 'nobody', who is not there"),
        ("I would take sql", "prose", "its answer was no choice"),
        ("", "prose", "the answer is empty"),
    ],
)
async def test_a_router_chooses_and_where_it_cannot_the_rule_does(said: str, chosen: str, why: str) -> None:
    ask = Members({name: [name] for name in ("sql", "prose", "cheap")} | {"r": [said]})
    outcome = await route(ask, specialists(), "paint it", router=agent("r"))
    assert outcome.text == chosen and why in outcome.reason


async def test_where_the_chosen_one_fails_the_next_best_answers() -> None:
    ask = Members({"sql": [ProviderError("sql", "down")], "prose": ["I"], "cheap": ["x"]})
    outcome = await route(ask, specialists(), "speed up this query")
    assert outcome.text == "I" and outcome.details["answered_by"] == "m:prose"
    assert outcome.warnings == ("sql failed (sql: down); the next best was asked",)


def planned(*tasks: tuple[str, str, list[str]], **more: Any) -> str:
    return json.dumps(
        {"tasks": [{"id": i, "role": r, "task": f"do {i}", "depends_on": needs} for i, r, needs in tasks]}
    )


FIVE = {role: agent(role) for role in ("research", "design", "code", "test", "write")}


async def test_a_plan_is_carried_out_in_the_order_of_its_dependencies_and_summed_up() -> None:
    tasks = planned(
        ("e", "write", ["d"]),
        ("d", "test", ["c", "b"]),
        ("c", "code", ["a"]),
        ("b", "design", ["a"]),
        ("a", "research", []),
    )
    ask = Members(
        {"m": [f"Here it is:\n```json\n{tasks}\n```", "the whole"]} | {r: [f"{r} done"] for r in FIVE}
    )
    outcome = await plan(ask, agent("m"), FIVE, "build it")
    assert outcome.text == "the whole" and outcome.reason == "5 of 5 tasks completed"
    assert ask.names[0] == "m" and ask.names[-3:] == ["test", "write", "m"] and ask.names[1] == "research"
    assert [t["status"] for t in outcome.details["tasks"]] == ["completed"] * 5
    assert outcome.details["tasks"][0]["id"] == "a"
    assert "Result of c:\ncode done" in ask.asked[4][1] and "research done" not in ask.asked[4][1]
    assert [asked.read_only for asked, _ in ask.asked] == [True, *[False] * 5, True]


async def test_a_failed_task_takes_along_only_what_depends_on_it() -> None:
    tasks = planned(("a", "code", []), ("b", "test", ["a"]), ("c", "write", []))
    ask = Members({"m": [tasks, "sum"], "code": [KeyError("x")], "test": ["t"], "write": ["w"]})
    outcome = await plan(ask, agent("m"), FIVE, "go")
    states = {t["id"]: (t["status"], t["error"]) for t in outcome.details["tasks"]}
    assert states["a"] == ("failed", "KeyError: 'x'") and states["c"] == ("completed", None)
    assert states["b"] == ("failed", "it needs 'a', which failed") and "test" not in ask.names
    assert outcome.ok and len(outcome.warnings) == 2 and "failed" in ask.asked[-1][1]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (planned(("a", "code", ["c"]), ("b", "code", ["a"]), ("c", "code", ["b"])), "in a circle: "),
        (planned(("a", "code", ["a"])), "in a circle: a -> a"),
        (planned(("a", "cook", [])), "task 'a' is for 'cook', who is not there; there are research"),
        (planned(("a", "code", ["z"])), "'a' depends on 'z', which is no task"),
        (planned(("a", "code", []), ("a", "code", [])), "two tasks are called 'a'"),
        ("- first this\n- then that", "wanted a JSON object with a list of tasks"),
        ('{"tasks": [{"id": "a", "role": "code"}]}', "task 'a' does not say what to do"),
        ('{"tasks": [', "wanted a JSON object"),
        ('{"tasks": []}', "wanted a JSON object"),
        ('{"tasks": ["x"]}', "task 1 is no object"),
        (
            json.dumps({"tasks": [{"role": "code", "task": str(n)} for n in range(21)]}),
            "21 tasks, at most 20",
        ),
    ],
)
async def test_a_plan_that_cannot_be_carried_out_goes_back_once_with_what_is_wrong(
    said: str, why: str
) -> None:
    ask = Members({"m": [said]})
    outcome = await plan(ask, agent("m"), FIVE, "go")
    assert outcome.error is not None and why in outcome.error and ask.names == ["m", "m"]
    assert why in ask.asked[1][1]
    ask = Members({"m": [said, planned(("a", "code", [])), "sum"], "code": ["c"]})
    assert (await plan(ask, agent("m"), FIVE, "go")).text == "sum"


async def test_a_circle_is_named_in_its_order() -> None:
    said = planned(("a", "code", ["c"]), ("b", "code", ["a"]), ("c", "code", ["b"]))
    outcome = await plan(Members({"m": [said]}), agent("m"), FIVE, "go")
    circle = str(outcome.error).partition("circle: ")[2].split(" -> ")
    assert circle[0] == circle[-1] and sorted(circle[1:]) == ["a", "b", "c"]


async def test_nothing_is_begun_before_the_plan_is_approved() -> None:
    lines = {"m": [planned(("a", "code", [])), "sum"], "code": ["c"]}
    asked: list[str] = []

    def says(*answers: str) -> Any:
        left = list(answers)

        async def approve(question: str) -> str:
            asked.append(question)
            return left.pop(0)

        return approve

    refused = Members(lines)
    outcome = await plan(refused, agent("m"), FIVE, "go", approve=says("no"))
    assert refused.names == ["m"] and outcome.error == "the plan was not approved; nothing was done"
    assert asked == ["Carry out this plan?\n- a (code): do a"]
    changed = Members({"m": [*lines["m"][:1], *lines["m"]], "code": ["c"]})
    outcome = await plan(changed, agent("m"), FIVE, "go", approve=says("smaller, please", "yes"))
    assert outcome.text == "sum" and "The person says: smaller, please" in changed.asked[1][1]


@given(st.data())
def test_every_task_waits_for_what_it_needs_and_results_do_not_depend_on_who_is_first(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 7))
    needs = [data.draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set() for n in range(count)]
    fails = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    steps = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    tasks = [(str(n), "code", [str(m) for m in needs[n]]) for n in range(count)]
    shuffled = data.draw(st.permutations(tasks))

    def held(waits: Sequence[int]) -> tuple[Outcome, list[str]]:
        begun: list[str] = []

        async def does(prompt: str) -> str:
            name = prompt.split("\n", maxsplit=1)[0].removeprefix("do ")
            begun.append(name)
            for _ in range(waits[int(name)]):
                await anyio.lowlevel.checkpoint()
            if int(name) in fails:
                raise ProviderError("m", "down")
            return f"{name} done"

        ask = Members({"m": [planned(*shuffled), "sum"], "code": [does]})
        return anyio.run(lambda: plan(ask, agent("m"), {"code": agent("code")}, "go")), begun

    outcome, begun = held(steps)
    for name in begun:
        assert all(str(need) in begun[: begun.index(name)] for need in needs[int(name)])
    again, _ = held([0] * count)
    assert again.details == outcome.details and again.error == outcome.error
    assert [(r.step, r.error) for r in again.responses] == [(r.step, r.error) for r in outcome.responses]


async def test_agents_are_tools_of_another_agent() -> None:
    ask = Members({"poet": ["roses"], "sick": [ProviderError("s", "down")]})
    tools = AgentTools(ask, {"poet": agent("poet", tools=()), "sick": agent("sick")})
    calls = [
        ToolCall(id=str(n), name=name, arguments=given)
        for n, (name, given) in enumerate(
            [
                ("ask_poet", {"prompt": "two lines"}),
                ("ask_sick", {"prompt": "x"}),
                ("ask_poet", {}),
                ("ask_me", {}),
            ]
        )
    ]
    lead = Scripted(assistant(*calls), "done")
    reply = await run(agent("lead"), "go", provider=lead, tools=tools)
    assert [call.result for call in reply.tool_calls] == [
        "roses",
        "sick failed: s: down",
        "ask_poet wants a prompt, as text",
        "no tool 'ask_me'; there are: ask_poet, ask_sick",
    ]
    assert [spec.read_only for spec in tools.specs] == [True, None]


async def test_an_agent_that_may_only_read_is_offered_nothing_else_and_calls_nothing_else() -> None:
    ask = Members({"poet": ["roses"], "w": ["written"]})
    tools = AgentTools(ask, {"poet": agent("poet", tools=()), "w": agent("w")})
    calls = [ToolCall(id=n, name=n, arguments={"prompt": "x"}) for n in ("ask_poet", "ask_w")]
    lead = Scripted(assistant(*calls), "done")
    reply = await run(agent("lead", read_only=True), "go", provider=lead, tools=tools)
    assert [spec.name for spec in lead.requests[0].tools] == ["ask_poet"] and ask.names == ["poet"]
    assert "is not offered before the work is agreed upon" in str(reply.tool_calls[1].result)
