"""R100, R101: what models cost, by model, agent, label and day; budgets that several processes share."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.agent import Agent
from orchestrator.cli import main
from orchestrator.coding_agent import CodingAgent
from orchestrator.config.load import Config, load_config
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import ConfigError, OrchestratorError, OutOfBudget, Overloaded
from orchestrator.events import Called, Event, RunStarted
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.session.session import open_session
from orchestrator.store.costs import By, Savings, savings, since_of, spent, total
from orchestrator.store.database import Database
from orchestrator.store.spending import Spending
from orchestrator.store.store import Store
from orchestrator.terminal.display import Display
from orchestrator.types import Completion, Message, ToolCall, Usage, assistant
from tests.results import described

PAID = """
budget_usd_per_day: {day}
models:
  "paid:*": {{price: {{input_usd: 1000, output_usd: 1000}}, max_tokens: 400}}
  "lead:*": {{price: {{input_usd: 100, output_usd: 500}}}}
"""


def config(folder: Path, text: str = PAID.format(day="null"), **flags: Any) -> Config:
    path = folder / "given.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, cwd=folder, env={}, **flags).model_copy(update={"servers": {}})


def said(text: str | Message, into: int, out: int) -> Completion:
    message = assistant(text) if isinstance(text, str) else text
    return Completion(message=message, usage=Usage(input_tokens=into, output_tokens=out))


def ask(
    config: Config, *lines: Any, name: str = "paid", prompt: str = "Hi", events: list[Event] | None = None
) -> Reply:
    async def work() -> Reply | OrchestratorError:
        seen: list[Event] = [] if events is None else events
        async with open_session(config, seen.append) as session:
            session.add_provider(name, Scripted(*lines, name=name))
            try:
                return await session.ask(session.agent(f"{name}:m", name="clerk"), prompt)
            except OrchestratorError as exc:
                return exc

    done = anyio.run(work)
    if isinstance(done, OrchestratorError):
        raise done
    return done


def bill(by: By = "model", **which: Any) -> dict[str, Any]:
    database = Database()
    try:
        return {line.key: line for line in spent(database, by, **which)}
    finally:
        database.close()


def test_each_call_is_written_down_with_its_labels_also_when_nothing_else_is_kept(tmp_path: Path) -> None:
    ask(config(tmp_path, labels={"team": "red"}), said("a", 100, 50))
    ask(config(tmp_path, labels={"team": "blue", "for": "x"}), said("b", 10, 5))
    assert bill()["paid:m"].cost_usd == pytest.approx(0.165)
    assert {key: line.calls for key, line in bill("label").items()} == {
        "team=red": 1,
        "team=blue": 1,
        "for=x": 1,
    }
    assert list(bill("agent")) == ["clerk"]
    assert bill(labels={"team": "red"})["paid:m"].input_tokens == 100
    assert list(bill("day")) == [time.strftime("%Y-%m-%d")]
    assert not bill(since=time.time() + 60)


def test_tries_that_failed_are_counted_and_an_unknown_price_stays_unknown(tmp_path: Path) -> None:
    known = config(tmp_path, "providers: {lab: {retries: 1, retry_first_s: 0.01}}")
    events = list[Event]()
    ask(known, Overloaded("lab", "busy", retry_after_s=0.01), said("a", 7, 3), name="lab", events=events)
    line = bill()["lab:m"]
    assert (line.calls, line.failed, line.unknown_calls, line.input_tokens) == (2, 1, 1, 7)
    calls = [event for event in events if isinstance(event, Called)]
    assert [call.error is None for call in calls] == [False, True] and calls[1].usage.cost_usd is None
    assert main(["cost", "--json"]) == 0


def test_the_bill_is_printed_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cost"]) == 0 and capsys.readouterr().out == "nothing was spent in this time\n"
    ask(config(tmp_path, labels={"team": "red"}), said("a", 100, 50))
    ask(config(tmp_path), said("a", 100, 50), name="lab")
    assert main(["cost", "--by", "label"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        ["team=red", "1", "0", "100", "0", "50", "$0.1500"],
        ["(none)", "1", "0", "100", "0", "50", "unknown"],
        ["total", "2", "0", "200", "0", "100", "$0.1500", "and", "1", "of", "unknown", "cost"],
    ]
    assert main(["cost", "--by", "day", "--since", "1d", "--label", "team=red", "--json"]) == 0
    assert described("cost", capsys.readouterr().out)["total"]["cost_usd"] == pytest.approx(0.15)
    assert main(["cost", "--since", "soon"]) == 2
    assert "--since wants a time such as 7d" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["cost", "--label", "red"])
    assert "wanted KEY=VALUE" in capsys.readouterr().err


def test_a_budget_of_the_day_holds_for_the_next_process_and_names_what_was_spent(tmp_path: Path) -> None:
    today = config(tmp_path, PAID.format(day=1.0))
    ask(today, said("a", 400, 400))
    with pytest.raises(OutOfBudget, match=r"of the \$1\.0000 for today, \$0\.8000 are spent"):
        ask(today, said("b", 1, 1))
    assert ask(today, "free all the same", name="ollama").text == "free all the same"
    assert len(bill()) == 2 and bill()["paid:m"].calls == 1


def test_a_budget_of_a_label_refuses_that_label_alone(tmp_path: Path) -> None:
    text = PAID.format(day="null") + "budget_usd_per_label: {team=red: 0.9}\n"
    red, blue = (config(tmp_path, text, labels={"team": team}) for team in ("red", "blue"))
    ask(red, said("a", 400, 400))
    with pytest.raises(OutOfBudget, match="the label team=red"):
        ask(red, said("b", 1, 1))
    assert ask(blue, said("b", 400, 400)).text == "b"


def test_a_budget_of_a_conversation_holds_when_it_is_resumed(tmp_path: Path) -> None:
    one = config(tmp_path, PAID.format(day="null") + "budget_usd_per_conversation: 0.9\n")

    def chat(name: str, line: Completion) -> str:
        with CodingAgent(name, model="paid:m", config=one, tools=()) as agent:
            agent.add_provider("paid", Scripted(line, name="paid"))
            return agent.chat("Hi")

    chat("ann", said("a", 400, 400))
    with pytest.raises(OrchestratorError, match="this conversation"):
        chat("ann", said("b", 1, 1))
    assert chat("bob", said("b", 1, 1)) == "b"


def test_a_fallback_is_checked_at_its_own_price_against_the_budget_of_the_day(tmp_path: Path) -> None:
    text = (
        PAID.format(day=0.3)
        + "providers: {safe: {fallback: [ollama:m, paid:m]}, ollama: {retries: 0}, paid: {}}\n"
    )

    async def work() -> None:
        async with open_session(config(tmp_path, text)) as session:
            session.add_provider("ollama", Scripted(Overloaded("ollama", "busy"), name="ollama"))
            session.add_provider("paid", Scripted("never", name="paid"))
            with pytest.raises(OrchestratorError, match="paid:m may cost up to"):
                await session.ask(session.agent("safe"), "Hi")

    anyio.run(work)


def test_two_processes_cannot_spend_the_same_money(tmp_path: Path) -> None:
    code = """
import sys, anyio
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import OutOfBudget
from orchestrator.store.spending import Limits, Spending
purse = Spending(Limits(per_day=1.0))
try:
    purse.set_aside("paid:m", 0.6, {})
    print("held", flush=True)
    sys.stdin.read()
except OutOfBudget as exc:
    print(exc, flush=True)
"""
    held = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None and held.stdin is not None
    assert held.stdout.readline() == "held\n"
    second = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, input="", check=True
    )
    assert "$0.6000 set aside for calls under way" in second.stdout
    held.communicate(timeout=60)


def test_a_budget_that_cannot_be_checked_refuses_with_the_cause(tmp_path: Path) -> None:
    broken = Path(os.environ["UNDERSTUDY_HOME"])
    broken.mkdir(parents=True)
    (broken / "conversations.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(OutOfBudget, match=r"the budget cannot be checked: .* is damaged"):
        ask(config(tmp_path, PAID.format(day=5)), said("a", 1, 1))
    assert ask(config(tmp_path), said("a", 1, 1)).text == "a"


def test_a_workspace_cannot_raise_a_budget_unasked(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "max_rounds: 3\nbudget_usd_per_day: 100\nbudget_usd_per_label: {a=b: 9}\nlabels: {a: c}\n"
    )
    found = load_config(cwd=tmp_path, env={})
    assert found.budget_usd_per_day is None and not found.budget_usd_per_label and not found.labels
    assert found.max_rounds == 3 and "set budget_usd_per_day to 100" in found.notices[0]


def test_on_success_is_told_each_call_and_cannot_break_one(tmp_path: Path) -> None:
    told = list[Called]()

    def note(call: Called) -> None:
        told.append(call)
        raise KeyError("mine")

    screen = io.StringIO()
    agent = CodingAgent(
        model="paid:m",
        config=config(tmp_path),
        tools=(),
        labels={"team": "red"},
        on_success=note,
        display=Display(Console(file=screen, width=200), DisplaySettings(format="plain")),
    )
    agent.add_provider("paid", Scripted(said("a", 10, 5), Overloaded("paid", "busy"), name="paid"))
    with agent:
        assert agent.chat("Hi") == "a"
    assert [(call.model, call.labels, call.usage.cost_usd) for call in told] == [
        ("paid:m", {"team": "red"}, pytest.approx(0.015))
    ]
    assert "on_success failed at called: KeyError: 'mine'" in screen.getvalue()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a:x", "b:y"]),
            st.sampled_from(["lead", "worker"]),
            st.sampled_from([{}, {"t": "1"}, {"t": "2"}]),
            st.none() | st.integers(0, 10**9),
            st.none() | st.integers(0, 10**6),
            st.sampled_from([None, 0.0, 0.25, 1.5]),
        ),
        max_size=12,
    )
)
def test_every_way_of_counting_comes_to_the_same_sum_to_the_token(calls: list[Any]) -> None:
    path = Path(os.environ["UNDERSTUDY_HOME"])
    path.mkdir(parents=True, exist_ok=True)
    file = path / f"{time.monotonic_ns()}.sqlite"
    spending = Spending(path=file)
    for number, (model, agent, labels, into, out, cost) in enumerate(calls):
        spending(RunStarted(run=str(number), parent=None, agent=agent, model=model, prompt=""))
        usage = Usage(input_tokens=into, output_tokens=out, cost_usd=cost)
        spending(Called(run=str(number), model=model, usage=usage, seconds=0, labels=labels))
    spending.close()
    database = Database(file)
    sums = Counter[str]()
    for _, _, _, into, out, cost in calls:
        sums += Counter(i=into or 0, o=out or 0, n=1, u=cost is None, c=int((cost or 0) * 100))
    for by in ("model", "agent", "label", "day", "session"):
        whole = total(spent(database, by))
        assert (whole.input_tokens, whole.output_tokens, whole.calls) == (sums["i"], sums["o"], sums["n"])
        assert (whole.unknown_calls, round(whole.cost_usd * 100)) == (sums["u"], sums["c"])
    database.close()


def receipt(outcome: str, into: int | None = 20_000, out: int | None = 1_000) -> str:
    return json.dumps({"outcome": outcome, "profile": {"tokens_in": into, "tokens_out": out}})


class Delegating:
    """The one tool of the ollama server that matters here, answering with the receipts given."""

    def __init__(self, *receipts: str) -> None:
        self.receipts = list(receipts)

    specs = ()

    async def call(self, call: ToolCall, progress: Any = None) -> Any:
        from orchestrator.types import result

        return result(call, self.receipts.pop(0))


def test_a_delegation_is_used_once_however_often_its_receipt_is_shown(tmp_path: Path, store: Store) -> None:
    ran = {"model": "small", "run": 2, "delegation": "d1", "outcome": "accepted"}
    ran |= {"profile": {"tokens_in": 100, "tokens_out": 10}}
    failed = {"model": "tiny@desk", "run": 1, "outcome": "rejected", "tokens_in": 50, "tokens_out": 5}
    waits = {"outcome": "running", "delegation": "d1"}
    ended = {**ran, "tried": [failed]}
    mapped = {"model": "small", "outcome": "answered", "chunks": 2, "tokens_in": 7, "tokens_out": 3}
    gave_up = {**failed, "outcome": "escalate", "tried": [failed], "profile": ran["profile"]}
    shown = [json.dumps(one) for one in (waits, ended, ended, mapped, gave_up, 5)]
    saved = delegated(tmp_path, *shown, tool="delegation")
    kept = store.usage(store.find("last").id)
    assert kept["ollama:small"] == Usage(input_tokens=107, output_tokens=13, cost_usd=0.0)
    assert kept["ollama:tiny"] == Usage(input_tokens=100, output_tokens=10, cost_usd=0.0)
    assert (saved.delegations, saved.failed) == (3, 1)  # a job under way is none yet


def delegated(tmp_path: Path, *receipts: str, tool: str = "delegate") -> Savings:
    from orchestrator.agent import run
    from orchestrator.store.recorder import open_conversation

    recorder = open_conversation(Store())
    calls = [
        assistant(ToolCall(id=f"c{n}", name=f"ollama__{tool}", arguments={"task": "x"}))
        for n in range(len(receipts))
    ]
    script = Scripted(*calls, "done", name="lead")
    agent = Agent(name="lead", model="lead:m")
    anyio.run(lambda: run(agent, "go", provider=script, tools=Delegating(*receipts), emit=recorder))
    assert recorder.store is not None
    return savings(recorder.store.database, prices=config(tmp_path).own_prices())


def test_net_savings_count_what_was_handed_over_less_what_delegating_took(tmp_path: Path) -> None:
    saved = delegated(tmp_path, receipt("accepted"))
    assert (saved.delegations, saved.failed, saved.unknown) == (1, 0, 0)
    assert saved.would_have_cost_usd == pytest.approx(20_000 * 100e-6 + 1_000 * 500e-6)
    assert 0 < saved.spent_usd < 0.05 and saved.net_usd == saved.would_have_cost_usd - saved.spent_usd


def test_maps_and_receipts_that_were_asked_for_later_count_too_and_none_twice(tmp_path: Path) -> None:
    summed = json.dumps({"outcome": "accepted", "profile": None, "tokens_in": 20_000, "tokens_out": 1_000})
    one = delegated(tmp_path, receipt("accepted")).would_have_cost_usd
    mapped = delegated(tmp_path, summed, tool="delegate_map")
    assert (mapped.delegations, mapped.would_have_cost_usd) == (2, pytest.approx(2 * one))
    late = json.dumps({**json.loads(receipt("accepted")), "delegation": "d1"})
    working = json.dumps({"delegation": "d1", "state": "working"})
    asked = delegated(tmp_path, working, late, late, tool="delegation")
    assert (asked.delegations, asked.failed, asked.would_have_cost_usd) == (3, 0, pytest.approx(3 * one))


def test_what_failed_saved_nothing_so_the_sum_may_be_negative(tmp_path: Path) -> None:
    saved = delegated(tmp_path, receipt("rejected"), receipt("accepted", None, None))
    assert (saved.delegations, saved.failed, saved.unknown) == (2, 1, 1)
    assert saved.would_have_cost_usd == 0 and saved.net_usd < 0


def test_figures_of_an_older_file_are_taken_over(own_state: Path) -> None:
    ask_of = Database()
    path = ask_of.path
    with ask_of.writing() as database:
        database.execute("INSERT INTO sessions VALUES ('s', NULL, 1, '', '', NULL, 1, 'a:x', 0)")
        database.execute(
            "INSERT INTO rounds (session, run, main, agent, model, at, usage, recorded, begun) VALUES"
            " ('s', 'r', 1, 'lead', 'a:x', 5, '{\"input_tokens\": 7, \"cost_usd\": 0.5}', 0, 1)"
        )
    ask_of.close()
    raw = sqlite3.connect(path)
    raw.executescript(
        "DROP TABLE calls; DROP TABLE set_aside; DROP TABLE vectors; DROP TABLE memories; DROP TABLE remembered;"
        "PRAGMA user_version = 2;"
    )
    raw.close()
    line = bill()["a:x"]
    assert (line.calls, line.input_tokens, line.cost_usd, line.uncounted_calls) == (1, 7, 0.5, 1)


def test_since_takes_spans_and_dates() -> None:
    assert since_of("2026-11-01") < since_of("today") <= time.time()
    assert since_of("7d") == pytest.approx(time.time() - 7 * 86_400, abs=60)
    for wrong in ("", "7", "-7d", "7 d", "\u0661d", "2026-13-45", "tomorrow", "1e9"):
        with pytest.raises(ConfigError, match="--since wants a time"):
            since_of(wrong)


@pytest.mark.parametrize(
    "wrong", [{"a=b": "c"}, {"": "x"}, {"a": ""}, {"a": 3}, {3: "a"}, {"a": None}, "x", [("a", "b")]]
)
def test_labels_that_no_budget_could_name_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^labels: "):
        CodingAgent(model="scripted:s", labels=wrong)
