"""A run that survives its process: killed at any point and resumed, no finished reply is asked for again."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import load_config, open_session
from orchestrator.agent import Agent
from orchestrator.config.pattern_parameters import settings_of
from orchestrator.errors import Paused, ProviderError
from orchestrator.events import Event, RunEnded, tee
from orchestrator.patterns import Outcome, decide, durable, pausing, plan, refine, vote
from orchestrator.patterns.durable import Remembered
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.session.panels import resume_pattern, run_pattern
from orchestrator.store.recorder import open_conversation
from orchestrator.store.resumable import unfinished
from orchestrator.store.store import Store
from orchestrator.types import Message
from tests.command import begun, understudy
from tests.orchestrator.patterns.members import Members, agent, agents
from tests.processes import PATIENCE_S, being_read
from tests.results import described

pytestmark = pytest.mark.anyio


class Killed(BaseException):
    """The process ends here."""


TASKS = json.dumps(
    {
        "tasks": [
            {"id": "a", "role": "code", "task": "do a", "depends_on": []},
            {"id": "b", "role": "test", "task": "do b", "depends_on": ["a"]},
            {"id": "c", "role": "code", "task": "do c", "depends_on": ["a"]},
        ]
    }
)


async def planned(ask: Any) -> Outcome:
    return await plan(ask, agent("m"), {"code": agent("code"), "test": agent("test")}, "go")


async def refined(ask: Any) -> Outcome:
    return await refine(ask, agent("a"), agent("c"), "write")


async def voted(ask: Any) -> Outcome:
    return await vote(ask, [agent("v")] * 4, "which?")


@given(st.sampled_from([planned, refined, voted]), st.lists(st.integers(0, 4), max_size=4))
def test_killed_anywhere_and_resumed_it_comes_to_the_same_and_asks_nothing_twice(
    work: Any, kills: list[int]
) -> None:
    kept: dict[str, Any] = {}
    finished: Counter[str] = Counter()

    async def attempted(limit: int | None) -> Outcome | None:
        left = limit

        async def ask(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
            nonlocal left
            await anyio.lowlevel.checkpoint()
            if left is not None:
                left -= 1
                if left < 0:
                    raise Killed
            lines = {"m": [TASKS if "Plan this work" in prompt else "sum"], "a": ["one"], "c": ["1. No."]}
            members = Members({**lines, "code": [prompt[:4]], "test": ["ok"], "v": ["ANSWER: x"]})
            return await members(agent, prompt, history=history)

        def tell(key: str, value: Any) -> None:
            kept[key] = json.loads(json.dumps(value))  # through the disk
            finished[key] += 1

        try:
            return await work(durable(ask, Remembered(dict(kept), tell), "r"))
        except BaseExceptionGroup as group:
            if group.split(Killed)[1] is not None:
                raise
            return None
        except Killed:
            return None

    for limit in kills:
        anyio.run(attempted, limit)
    outcome = anyio.run(attempted, None)
    assert outcome is not None and outcome.ok and set(finished.values()) <= {1}
    before = len(kept)
    again = anyio.run(attempted, 0)  # everything is there: nobody is asked
    assert again is not None and len(kept) == before
    assert (again.text, again.details) == (outcome.text, outcome.details)


async def test_a_failure_is_not_kept_and_asked_again() -> None:
    journal = Remembered()
    first = Members({"a": [ProviderError("a", "down")], "b": ["ANSWER: x"]})
    await vote(durable(first, journal, "k"), agents("ab"), "?")
    second = Members({"a": ["ANSWER: x"], "b": ["never asked"]})
    outcome = await vote(durable(second, journal, "k"), agents("ab"), "?")
    assert second.names == ["a"] and outcome.agreement == 1.0


async def test_a_decision_is_kept_once_and_found_again() -> None:
    journal = Remembered()
    with pytest.raises(Paused) as pause:
        await pausing(journal, "k")("go on?")
    assert await decide(journal, pause.value.key, "yes") == "yes"
    assert await decide(journal, pause.value.key, "no") == "yes"
    assert await pausing(journal, "k")("go on?") == "yes"
    with pytest.raises(Paused):
        await pausing(journal, "k")("and now?")


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_a_plan_killed_by_the_system_goes_on_in_another_process(tmp_path: Path, finished: int) -> None:
    """Killed while the task after the first `finished` ones is under way: it waits for ever on a named pipe."""
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    chain = [
        {"id": f"t{n}", "role": f"r{n}", "task": f"do t{n}", "depends_on": [f"t{n - 1}"] if n else []}
        for n in range(3)
    ]
    (tmp_path / "m.jsonl").write_text(json.dumps({"text": json.dumps({"tasks": chain})}), encoding="utf-8")
    for n in range(3):
        (tmp_path / f"r{n}.jsonl").write_text(json.dumps({"text": f"result {n}"}), encoding="utf-8")
    stuck = tmp_path / f"r{finished}.jsonl"
    stuck.unlink()
    os.mkfifo(stuck)
    roles = [word for n in range(3) for word in ("--role", f"r{n}=scripted:r{n}.jsonl")]
    process = begun("plan", "--manager", "scripted:m.jsonl", *roles, "--json", "go", cwd=tmp_path)
    with being_read(stuck, process):
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)
    for name in ("m", *(f"r{n}" for n in range(finished))):
        (tmp_path / f"{name}.jsonl").write_text("", encoding="utf-8")  # asked again it would fail
    (tmp_path / "m.jsonl").write_text(json.dumps({"text": "summed up"}), encoding="utf-8")
    stuck.unlink()
    stuck.write_text(json.dumps({"text": f"result {finished}"}), encoding="utf-8")
    done = understudy("patterns", "resume", "--json", cwd=tmp_path)
    found = described("patterns", done.stdout)
    assert found["ok"] and found["text"] == "summed up", done.stderr
    assert [task["result"] for task in found["details"]["tasks"]] == ["result 0", "result 1", "result 2"]


async def test_cancelling_a_panel_leaves_a_history_that_can_be_sent(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")

    answered, stop = anyio.Event(), anyio.CancelScope()

    def watch(event: Event) -> None:
        if isinstance(event, RunEnded) and event.error is None:
            answered.set()

    class Never(Scripted):
        async def stream(self, request: Any) -> Any:
            await answered.wait()
            await anyio.wait_all_tasks_blocked()  # the answer has reached its panel
            stop.cancel()
            await anyio.sleep(600)
            yield

    config = load_config(cwd=tmp_path, env={})
    with closing(Store()) as store:
        recorder = open_conversation(store)
        async with open_session(config, tee(recorder, watch)) as session:
            session.add_provider("a", Scripted("quick", name="a"))
            session.add_provider("b", Never(name="b"))
            settings = settings_of({"use": "consult", "models": ["a:1", "b:1"]})
            with anyio.fail_after(60), stop:
                await run_pattern(session, settings, "well?")
            texts = [(m.role, m.text) for m in recorder.history]
            assert texts == [
                ("user", "well?"),
                ("assistant", "[consult, answer of a:1] quick"),
                ("assistant", "[interrupted: stopped by the person]"),
            ]
            assert [m.text for m in store.history(recorder.session or "")] == [text for _, text in texts]
            session.add_provider("b", Scripted("slow", name="b"))
            outcome = await resume_pattern(session, unfinished(store))
        assert [one.text for one in outcome.responses] == ["quick", "slow"]
