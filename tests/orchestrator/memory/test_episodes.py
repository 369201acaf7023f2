"""R90, R91: what earlier runs teach, as a view of the journal."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import anyio
import pytest

from orchestrator.agent import Agent, run
from orchestrator.cli import main
from orchestrator.errors import OrchestratorError, Overloaded
from orchestrator.events import RunStarted
from orchestrator.memory.episodes import episodes, odds, rates, similar
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import open_conversation
from orchestrator.store.store import Store
from orchestrator.types import ToolCall, ToolSpec, assistant, result
from tests.results import described


class Box:
    specs = (ToolSpec(name="look", description="", parameters={"type": "object"}),)

    async def call(self, call: ToolCall, progress: Any = None) -> Any:
        return result(call, "seen", is_error=bool(call.arguments.get("bad")))


def lived(store: Store, task: str, *lines: Any, model: str = "a:m") -> None:
    recorder = open_conversation(store)
    agent = Agent(name="lead", model=model)
    with suppress(OrchestratorError):
        anyio.run(lambda: run(agent, task, provider=Scripted(*lines), tools=Box(), emit=recorder))


def test_an_episode_has_task_actions_outcome_success_and_metrics(store: Store) -> None:
    calls = [assistant(ToolCall(id="c", name="look", arguments={"bad": bad})) for bad in (True, False)]
    lived(store, "fix the parser tests", *calls, "All 12 pass.")
    (one,) = episodes(store.database)
    assert (one.task, one.outcome, one.success, one.model) == (
        "fix the parser tests",
        "All 12 pass.",
        True,
        "a:m",
    )
    assert [(a.tool, a.arguments, a.ok) for a in one.actions] == [
        ("look", {"bad": True}, False),
        ("look", {"bad": False}, True),
    ]
    assert one.pattern == "look" and one.seconds is not None


def test_what_failed_and_what_was_killed_are_episodes_too(store: Store) -> None:
    lived(store, "paint the fence", Overloaded("a", "too busy"))
    session = store.start(title="t")
    store.start_run(session, RunStarted(run="r", parent=None, agent="lead", model="a:m", prompt="sail away"))
    newest, older = episodes(store.database)
    assert (newest.success, newest.seconds, newest.outcome) == (
        False,
        None,
        "the program ended before the answer was complete",
    )
    assert not older.success and "too busy" in older.outcome
    assert episodes(store.database, success_only=True) == []


def test_a_run_that_is_under_way_is_no_episode_yet(store: Store) -> None:
    lived(store, "paint the fence", "Painted.")
    recorder = open_conversation(store)
    recorder(RunStarted(run="r", parent=None, agent="lead", model="a:m", prompt="paint the fence"))
    assert [one.task for one in episodes(store.database, limit=1)] == ["paint the fence"]
    assert all(one.success for one in (*episodes(store.database), *similar(store.database, "paint", 5)))
    recorder.finish()
    assert [one.success for one in episodes(store.database)] == [False, True]


def test_similar_tasks_are_found_and_tell_which_model_did_them(store: Store) -> None:
    for n in range(3):
        lived(store, f"fix the failing parser tests {n}", "done", model="good:m")
        lived(store, f"fix parser {n}", Overloaded("a", "busy"), model="bad:m")
    lived(store, "write a poem about rain", "done", model="bad:m")
    found = similar(store.database, "fix the parser", 6)
    assert len(found) == 6 and all("parser" in one.task for one in found)
    assert {one.model for one in similar(store.database, "fix the parser", 6, success_only=True)} == {
        "good:m"
    }
    best, worst = rates(found)
    assert (best.key, best.successes, best.runs, worst.key, worst.successes) == ("good:m", 3, 3, "bad:m", 0)
    known = odds(store.database, "fix a parser", ["good:m", "bad:m", "new:m"])
    assert known == {"good:m": pytest.approx(0.8), "bad:m": pytest.approx(0.2), "new:m": None}
    assert similar(store.database, "?!") == []


def test_the_command_line_lists_exports_and_rates_them(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    lived(store, "fix the parser", "done")
    lived(store, "paint it", Overloaded("a", "busy"))
    assert main(["memory", "episodes"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["failed", "done"]
    assert main(["memory", "episodes", "parser", "--export"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["task"], told["success"], told["pattern"]) == ("fix the parser", True, "answer")
    assert told["metrics"]["failed_actions"] == 0 and told["at"].endswith("Z")
    assert main(["memory", "rates", "--by", "pattern", "--json"]) == 0
    found = described("memory rates", capsys.readouterr().out)
    assert found["rates"] == [{"key": "answer", "runs": 2, "successes": 1, "share": 0.5}]
