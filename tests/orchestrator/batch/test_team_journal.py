"""Durable patterns in a team's database: the same journal as a conversation's, and any machine goes on with a run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchmarks.postgres import Postgres
from orchestrator.batch.team_journal import TeamJournal, TeamRuns
from orchestrator.errors import RunError
from orchestrator.events import Journaled
from orchestrator.patterns import Journal
from orchestrator.patterns.durable import Remembered
from orchestrator.store.store import Store
from tests.command import Running, begun
from tests.orchestrator.batch.test_team import needs_postgres
from tests.processes import being_read

pytestmark = pytest.mark.anyio

Open = Callable[[], Journal]


@pytest.fixture(params=["store", pytest.param("team", marks=needs_postgres)])
def open_journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one run's journal again and again, each time as a process does that goes on with it."""
    opened = list[TeamJournal]()

    def of_the_team() -> Journal:
        for one in opened:
            one.close()
        opened.append(TeamJournal(request.getfixturevalue("database").url, "r"))
        return opened[-1]

    def of_the_store() -> Journal:
        def tell(key: str, value: Any) -> None:
            store.note(session, Journaled(run="r", key=key, value=value))

        return Remembered({event.key: event.value for event in store.journaled(session)}, tell)

    if request.param == "team":
        yield of_the_team
        for one in opened:
            one.close()
    else:
        with closing(Store(tmp_path / "c.sqlite")) as store:
            session = store.start()
            yield of_the_store


def giving(value: Any, done: list[Any]) -> Any:
    async def work() -> Any:
        await anyio.lowlevel.checkpoint()
        done.append(value)
        return value

    return work


async def test_a_value_is_made_once_and_found_again(open_journal: Open) -> None:
    values = [None, 0, "", "ä\0\udc80", {"a": [1.5, {"b": "\N{SNOWMAN}"}]}]
    done = list[Any]()
    journal = open_journal()
    for place, value in enumerate(values):
        assert await journal.once(f"k/{place}", giving(value, done)) == value
    again = open_journal()
    for place, value in enumerate(values):
        assert await again.once(f"k/{place}", giving("another", done)) == value
    assert done == values


async def test_what_raises_is_not_kept(open_journal: Open) -> None:
    async def failing() -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await open_journal().once("k", failing)
    assert await open_journal().once("k", giving(1, [])) == 1


async def test_of_two_at_once_both_get_the_value_that_was_kept_first(open_journal: Open) -> None:
    journal, got, done = open_journal(), list[Any](), list[Any]()

    async def one(value: int) -> None:
        got.append(await journal.once("k", giving(value, done)))

    async with anyio.create_task_group() as group:
        for value in range(5):
            group.start_soon(one, value)
    assert len(set(got)) == 1 and await open_journal().once("k", giving(9, [])) == got[0]


@needs_postgres
def test_one_process_at_a_time_has_a_run_and_death_frees_it(database: Postgres) -> None:
    first = TeamJournal(database.url, "r")
    with pytest.raises(RunError, match="the run r is being gone on with by another process"):
        TeamJournal(database.url, "r")
    with closing(TeamJournal(database.url, "s")):
        first.close()
    TeamJournal(database.url, "r").close()


CHAIN = [
    {"id": f"t{n}", "role": f"r{n}", "task": f"do t{n}", "depends_on": [f"t{n - 1}"] if n else []}
    for n in range(3)
]


def scripted(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.jsonl").write_text(json.dumps({"text": text}) if text else "", encoding="utf-8")


@needs_postgres
def test_a_plan_killed_on_one_machine_waits_for_a_person_and_ends_on_two_others(
    tmp_path: Path, database: Postgres
) -> None:
    """No reply that was finished is asked for again, and of two answers given at once the first counts."""
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    scripted(tmp_path, m=json.dumps({"tasks": CHAIN}), r0="result 0", r2="result 2")
    os.mkfifo(tmp_path / "r1.jsonl")

    def at(home: str, *words: str) -> Running:
        env = {"UNDERSTUDY_DB": database.url, "UNDERSTUDY_HOME": str(tmp_path / home)}
        return begun(*words, "--team", "--json", cwd=tmp_path, env=env)

    def said(home: str, *words: str) -> tuple[int, dict[str, Any]]:
        process = at(home, *words)
        out, err = process.communicate(timeout=60)
        assert out, err
        return process.returncode, json.loads(out)

    roles = [word for n in range(3) for word in ("--role", f"r{n}=scripted:r{n}.jsonl")]
    code, paused = said("one", "plan", "--manager", "scripted:m.jsonl", *roles, "--approve", "go")
    assert code == 3 and paused["question"].startswith("Carry out this plan?")
    scripted(tmp_path, m="")  # asked again it would fail
    killed = at("two", "patterns", "approve")
    with being_read(tmp_path / "r1.jsonl", killed):
        with closing(TeamRuns(database.url)) as runs:
            (run,) = runs.unfinished()
            code, refused = said("four", "patterns", "approve", run.run, "--answer", "no")
            assert code == 1 and "being gone on with by another process" in refused["error"]
            assert run.paused and runs.find(None).values[run.paused["key"]] == "yes"
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
    (tmp_path / "r1.jsonl").unlink()
    scripted(tmp_path, m="summed up", r0="", r1="result 1")
    code, ended = said("three", "patterns", "resume", "last")
    assert code == 0 and ended["text"] == "summed up"
    assert [task["result"] for task in ended["details"]["tasks"]] == ["result 0", "result 1", "result 2"]
    code, none = said("three", "patterns", "resume")
    assert code == 1 and none["error"] == "no pattern of the team is unfinished; there are none"
