"""Consult, synthesise, vote, debate, escalate: what a panel makes of its members' answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ProviderError
from orchestrator.patterns import (
    Outcome,
    by_embedding,
    by_judge,
    consult,
    debate,
    escalate,
    synthesise,
    vote,
)
from tests.orchestrator.patterns.members import Members, agent, agents

pytestmark = pytest.mark.anyio


async def test_a_consultation_keeps_the_order_of_its_advisers_and_every_failure() -> None:
    sick = {"b": [ProviderError("b", "down")], "c": [KeyError("choices")], "d": ["  "], "e": ["no"]}
    ask = Members({"a": ["yes"], **sick}, delays={"a": 0.02})
    outcome = await consult(ask, agents("abcde"), "ok?")
    assert [(r.model, r.error or r.text) for r in outcome.responses] == [
        ("m:a", "yes"),
        ("m:b", "b: down"),
        ("m:c", "KeyError: 'choices'"),
        ("m:d", "the answer is empty"),
        ("m:e", "no"),
    ]
    assert outcome.ok and outcome.usage.input_tokens == 30  # an empty answer is paid for too
    assert outcome.cost_usd == 1.5
    assert "## m:a\n\nyes" in outcome.text and "answer of m:b] failed: b: down" in outcome.short()


async def test_a_panel_nobody_answers_says_so_of_each() -> None:
    ask = Members({"a": [ProviderError("a", "down")], "b": [""]})
    for outcome in (
        await consult(ask, agents("ab"), "?"),
        await vote(ask, agents("ab"), "?"),
        await debate(ask, agents("ab"), "?"),
        await escalate(ask, agents("ab"), "?"),
    ):
        assert outcome.error == "nobody answered: m:a: a: down; m:b: the answer is empty"
    assert "name at least one" in str((await consult(ask, [], "?")).error)


async def test_advisers_are_asked_at_once_and_a_slow_one_costs_its_own_time_alone() -> None:
    waiting, everybody = list[str](), anyio.Event()

    async def meet(prompt: str) -> str:
        waiting.append(prompt)
        if len(waiting) == 3:
            everybody.set()
        await everybody.wait()
        return "met"

    ask = Members({name: [meet] for name in "abc"} | {"d": ["late"]}, delays={"d": 60})
    with anyio.fail_after(60):
        outcome = await consult(ask, [*agents("abc"), agent("d", timeout_s=0.05)], "?")
    assert [r.ok for r in outcome.responses] == [True, True, True, False]
    assert outcome.responses[3].error == "no answer within 0.05 s"


async def test_cancelling_a_panel_stops_every_member() -> None:
    ask = Members({name: ["x"] for name in "abc"}, delays=dict.fromkeys("abc", 60))
    with anyio.fail_after(60), anyio.move_on_after(0.05) as scope:
        await consult(ask, agents("abc"), "?")
    assert scope.cancelled_caught and ask.names == ["a", "b", "c"] and not ask.finished


async def test_a_synthesis_cites_its_sources_and_is_asked_again_when_it_cites_none() -> None:
    ask = Members({"a": ["red"], "b": ["blue"], "j": ["Red, I think.", "Red [1], not blue [2]."]})
    outcome = await synthesise(ask, agents("ab"), "which?", judge=agent("j"))
    assert outcome.text == "Red [1], not blue [2]." and not outcome.warnings
    assert outcome.details == {"sources": {"1": "m:a", "2": "m:b"}, "cited": [1, 2]}
    assert "It cites no source" in ask.asked[-1][1]


async def test_a_synthesis_that_cites_nobody_who_answered_is_said_to() -> None:
    ask = Members({"a": ["red"], "b": [ProviderError("b", "down")], "c": ["blue"], "j": ["Red [2] [7]."]})
    outcome = await synthesise(ask, agents("abc"), "which?", judge=agent("j"))
    assert outcome.warnings == ("the synthesis cites [2], which is no answer",)
    failed = await synthesise(
        Members({**ask.lines, "j": [ProviderError("j", "gone")]}), agents("abc"), "?", judge=agent("j")
    )
    assert failed.error == "the judge m:j failed: j: gone; the answers are kept" and len(failed.answers) == 2


async def test_a_vote_counts_what_answers_come_down_to() -> None:
    lines = ["I think so.\nANSWER: Yes.", "**answer:** yes", "ANSWER: no", "never", "Answer: YES"]
    ask = Members({name: [line] for name, line in zip("abcde", lines, strict=True)})
    outcome = await vote(ask, agents("abcde"), "is it?")
    assert outcome.text == "Yes." and outcome.agreement == 0.6
    assert outcome.details["ballots"][0] == {"ballot": "Yes.", "votes": 3, "voters": [1, 2, 5]}
    assert outcome.reason == "3 of 5 votes; compared by words" and len(outcome.responses) == 5


async def test_a_tie_is_said_to_be_one_and_has_no_result() -> None:
    ask = Members({"a": ["ANSWER: x"], "b": ["ANSWER: y"], "c": [ProviderError("c", "down")]})
    outcome = await vote(ask, agents("abc"), "?")
    assert not outcome.ok and outcome.text == "" and outcome.agreement == 0.5 and outcome.details["tie"]
    assert outcome.error == "a tie between x and y, 1 of 2 votes each"
    heavy = await vote(Members(ask.lines), agents("abc"), "?", weights=[2, 1, 5])
    assert heavy.text == "x" and heavy.agreement == pytest.approx(2 / 3)


async def test_only_one_of_the_choices_is_a_ballot() -> None:
    lines = ["Red.", "I would say blue", "green", "red or blue", "not quite: RED"]
    ask = Members({name: [line] for name, line in zip("abcde", lines, strict=True)})
    outcome = await vote(ask, agents("abcde"), "which?", choices=["red", "blue"])
    assert outcome.text == "red" and outcome.agreement == pytest.approx(2 / 3)
    assert outcome.responses[2].error == "no valid ballot: wanted one of red, blue, found 'green'"
    assert outcome.responses[3].error is not None and outcome.responses[3].text == "red or blue"


async def test_a_choice_named_twice_or_without_a_word_is_one_choice_or_none() -> None:
    ask = Members({"a": ["yes"], "b": ["Yes."], "c": ["no"]})
    outcome = await vote(ask, agents("abc"), "?", choices=("yes", "Yes ", "yes", " ", "no"))
    assert outcome.text == "yes" and outcome.agreement == pytest.approx(2 / 3)


async def test_the_callers_own_function_decides_and_its_fault_loses_no_ballot() -> None:
    ask = Members({"a": ["ANSWER: 3"], "b": ["ANSWER: 10"], "c": ["ANSWER: 4"]})

    def median(ballots: Sequence[str]) -> str:
        return sorted(ballots, key=int)[len(ballots) // 2]

    outcome = await vote(ask, agents("abc"), "how many?", voting_fn=median)
    assert outcome.text == "4" and outcome.reason == "chosen by median out of 3 ballots"
    broken = await vote(Members(ask.lines), agents("abc"), "?", voting_fn=lambda ballots: ballots[9])
    assert broken.error is not None and "IndexError" in broken.error and len(broken.answers) == 3


async def test_answers_are_grouped_by_meaning_where_asked_and_the_method_is_named() -> None:
    lines = {"a": ["ANSWER: a dozen"], "b": ["ANSWER: twelve"], "c": ["ANSWER: ten"]}
    ask = Members({**lines, "j": ["Sure: [[1, 2], [3]]"]})
    judged = await vote(ask, agents("abc"), "?", meaning=by_judge(ask, agent("j")))
    assert (judged.text, judged.details["compared_by"]) == ("a dozen", "judge m:j")
    assert judged.responses[-1].step == "grouping"

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.1 * ("ten" in text) * 30] for text in texts]

    near = await vote(Members(lines), agents("abc"), "?", meaning=by_embedding(embed, model="e"))
    assert near.text == "a dozen" and near.details["compared_by"].startswith("embedding e")


@pytest.mark.parametrize("said", ["no idea", "[[1],[2]]", "[[1,2,3],[3]]", "[1,2,3]", '{"a": 1}', ""])
async def test_a_judge_that_groups_nothing_leaves_it_to_the_words(said: str) -> None:
    ask = Members({"a": ["ANSWER: x"], "b": ["ANSWER: X"], "c": ["ANSWER: y"], "j": [said]})
    outcome = await vote(ask, agents("abc"), "?", meaning=by_judge(ask, agent("j")))
    assert outcome.text == "x" and outcome.details["compared_by"] == "words" and len(outcome.warnings) == 1


@given(
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=7).flatmap(
        lambda votes: st.tuples(st.just(votes), st.permutations(range(len(votes))))
    )
)
def test_a_winner_has_most_votes_whatever_order_they_come_in(drawn: tuple[list[str], list[int]]) -> None:
    votes, order = drawn
    names = "abcdefg"[: len(votes)]

    async def held(order: Sequence[int], **more: Any) -> Outcome:
        turns = [anyio.Event() for _ in votes]

        def says(place: int) -> Any:
            async def line(prompt: str) -> str:
                if (at := order.index(place)) > 0:
                    await turns[at - 1].wait()
                turns[at].set()
                return f"ANSWER: {votes[place]}"

            return line

        ask = Members({name: [says(place)] for place, name in enumerate(names)})
        return await vote(ask, agents(names), "?", **more)

    outcome = anyio.run(held, order)
    (best, most), *rest = Counter(votes).most_common()
    assert outcome.agreement == pytest.approx(most / len(votes))
    assert outcome.ok == (not rest or rest[0][1] < most) and outcome.text == (best if outcome.ok else "")
    again = anyio.run(held, list(range(len(votes))))
    assert (again.text, again.error, again.details) == (outcome.text, outcome.error, outcome.details)
    early = anyio.run(lambda: held(order, stop_early=True))
    assert early.text == outcome.text and early.ok == outcome.ok


async def test_a_vote_stops_early_once_nothing_can_change_it() -> None:
    ask = Members({name: ["ANSWER: yes"] for name in "abcde"}, delays={"d": 60, "e": 60})
    with anyio.fail_after(60):
        outcome = await vote(ask, agents("abcde"), "?", stop_early=True)
    assert outcome.text == "yes" and outcome.agreement == 1.0
    assert [r.error for r in outcome.responses[3:]] == ["not needed: the result could no longer change"] * 2


async def test_a_debate_begins_blind_ends_when_all_agree_and_offers_nothing_that_writes() -> None:
    lines = {"a": ["ANSWER: 4"], "b": ["ANSWER: 5", "I forgot one.\nANSWER: 4"], "c": ["ANSWER: 4"]}
    ask = Members(lines)
    outcome = await debate(ask, agents("abc"), "2+2?", rounds=5)
    assert outcome.text == "4" and outcome.agreement == 1.0
    assert outcome.details["rounds"] == 1 and outcome.details["converged"]
    assert outcome.details["changes"] == [{"round": 1, "model": "m:b", "from": "5", "to": "4"}]
    assert all("Others" not in prompt for _, prompt in ask.asked[:3])
    assert all(asked.read_only for asked, _ in ask.asked)
    assert "m:a" not in ask.asked[4][1]


async def test_a_debate_without_agreement_reports_the_minority_and_does_not_go_round_in_vain() -> None:
    ask = Members({"a": ["ANSWER: x"], "b": ["ANSWER: x"], "c": ["because...\nANSWER: y"]})
    outcome = await debate(ask, agents("abc"), "?", rounds=9)
    assert outcome.text == "x" and outcome.agreement == pytest.approx(2 / 3)
    assert outcome.details["minority"] == [{"model": "m:c", "answer": "y", "text": "because...\nANSWER: y"}]
    assert outcome.details["rounds"] == 1  # nobody moved


async def test_a_tied_debate_is_decided_by_the_judge_alone() -> None:
    lines = {"a": ["ANSWER: x"], "b": ["ANSWER: y"], "j": ["ANSWER: y"]}
    tied = await debate(Members(lines), agents("ab"), "?")
    assert not tied.ok and "a tie of 1 to 1" in str(tied.error)
    judged = await debate(Members(lines), agents("ab"), "?", judge=agent("j"))
    assert judged.text == "y" and judged.reason == "a tie, decided by m:j"


async def test_sycophants_who_give_up_the_majority_are_reported() -> None:
    ask = Members({"a": ["ANSWER: 4", "ANSWER: 5"], "b": ["ANSWER: 4", "ANSWER: 5"], "c": ["ANSWER: 5"]})
    outcome = await debate(ask, agents("abc"), "2+2?")
    assert outcome.text == "5" and "follow no majority" in outcome.warnings[0]


async def test_what_was_agreed_is_carried_out_with_tools_and_nothing_else_is() -> None:
    ask = Members({"a": ["ANSWER: x"], "b": ["ANSWER: x"], "w": ["done"]})
    outcome = await debate(ask, agents("ab"), "?", implement=agent("w", tools=None))
    assert outcome.text == "done" and not ask.asked[-1][0].read_only
    tied = Members({"a": ["ANSWER: x"], "b": ["ANSWER: y"], "w": ["done"]})
    await debate(tied, agents("ab"), "?", implement=agent("w"))
    assert "w" not in tied.names


async def test_more_models_are_asked_only_where_the_first_two_disagree() -> None:
    agree = Members({name: ["ANSWER: x"] for name in "abc"})
    outcome = await escalate(agree, agents("abc"), "?")
    assert agree.names == ["a", "b"] and outcome.text == "x" and outcome.details["not_needed"] == ["m:c"]
    split = Members({"a": ["ANSWER: x"], "b": ["ANSWER: y"], "c": ["ANSWER: y"], "d": ["ANSWER: x"]})
    outcome = await escalate(split, agents("abcd"), "?")
    assert split.names == ["a", "b", "c"] and outcome.text == "y"
    assert outcome.agreement == pytest.approx(2 / 3)


async def test_in_an_escalation_the_next_stands_in_for_one_that_fails() -> None:
    ask = Members(
        {"a": [ProviderError("a", "down")], "b": ["ANSWER: y"], "c": ["ANSWER: y"], "d": ["ANSWER: x"]}
    )
    outcome = await escalate(ask, agents("abcd"), "?")
    assert ask.names == ["a", "b", "c"] and outcome.text == "y"
    same = await escalate(Members({"a": ["ANSWER: y"]}), [agent("a"), agent("a")], "?")
    assert "one model" in same.warnings[0]


async def test_an_outcome_is_one_json_object_with_everything_in_it() -> None:
    ask = Members({"a": ["ANSWER: x"], "b": [ProviderError("b", "down")]})
    found = json.loads(json.dumps((await vote(ask, agents("ab"), "?")).as_json()))
    assert found["ok"] and found["models"] == ["m:a", "m:b"] and found["cost_usd"] == 0.5
    assert [r["ok"] for r in found["responses"]] == [True, False]
    assert found["usage"] == {"input_tokens": 10, "output_tokens": 2, "cost_usd": 0.5}
