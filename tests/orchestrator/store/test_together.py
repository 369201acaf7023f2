"""Several processes in one conversation: nothing is lost, every vendor takes what comes of it, each is told of the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from orchestrator.cli import main
from orchestrator.coding_agent import CodingAgent
from orchestrator.config.load import Config
from orchestrator.config.models import DisplaySettings
from orchestrator.events import Appended, Event, RunEnded, RunStarted
from orchestrator.history import UNDER_WAY
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import open_conversation
from orchestrator.store.store import Store
from orchestrator.types import Usage, assistant, user
from tests.conversations import whole
from tests.wire.stub import Stub
from tests.wire.wires import refused

TURNS = """
import sys
import anyio
from orchestrator.agent import Agent, run
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import open_conversation
from orchestrator.store.store import Store
from orchestrator.types import ToolCall, ToolSpec, assistant, result

me, turns, wait = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "wait"

class Box:
    specs = (ToolSpec(name="echo", description="", parameters={"type": "object"}),)
    async def call(self, call, progress=None):
        if wait:
            print("at work", flush=True)
            await anyio.to_thread.run_sync(sys.stdin.readline)
        return result(call, f"{me} did it")

recorder = open_conversation(Store(), which="last", emit=lambda event: print(event.text, flush=True))
agent = Agent(name="lead", model="scripted:s")
for n in range(turns):
    calls = [ToolCall(id=f"c{m}", name="echo", arguments={}) for m in range(1 if wait else 2)]
    script = Scripted(assistant(f"{me} looks", *calls), f"{me} answers {n}")
    history = tuple(recorder.up_to_date())
    anyio.run(lambda: run(agent, f"{me} asks {n}", provider=script, tools=Box(), history=history, emit=recorder))
recorder.close()
"""


def other(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TURNS, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(store: Store) -> list[str]:
    return [message.text for message in store.history(store.find("last").id)]


@pytest.fixture
def begun(own_state: Path) -> Store:
    """A store with one conversation of one turn."""
    store = Store()
    recorder = open_conversation(store)
    recorder(RunStarted(run="0", parent=None, agent="lead", model="o:m", prompt="begin"))
    recorder(Appended(run="0", messages=(user("begin"), assistant("begun")), usage=Usage()))
    recorder(RunEnded(run="0", usage=Usage(), seconds=1.0))
    return store


def test_two_processes_in_one_conversation_lose_nothing_and_every_vendor_takes_it(
    begun: Store, stub: Stub
) -> None:
    with other("ann", 6, "on") as ann, other("bob", 6, "on") as bob:
        assert (ann.wait(120), bob.wait(120)) == (0, 0)
    history = begun.history(begun.find("last").id)
    whole(history)
    texts = [message.text for message in history]
    for name in ("ann", "bob"):
        places = [texts.index(f"{name} asks {n}") for n in range(6)]
        assert places == sorted(places)
        for n, place in enumerate(places):
            assert texts[place + 1 : place + 4] == [f"{name} looks", "", f"{name} answers {n}"]
    assert len(texts) == 2 + 2 * 6 * 4 == begun.find("last").messages
    assert anyio.run(refused, stub, [history]) == []
    begun.close()


def test_who_goes_on_meanwhile_is_told_by_whom_and_gets_the_other_turn_once_it_is_whole(
    begun: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.jsonl").write_text('{"text": "aside"}\n', encoding="utf-8")
    ask = ["run", "--no-tools", "--model", "scripted:s.jsonl", "--resume", "last", "--quiet", "--json", "me"]
    with other("ann", 1, "wait") as ann:
        assert ann.stdout is not None and ann.stdout.readline() == "at work\n"
        assert main(ask) == 0
        told = capsys.readouterr().out
        assert f"process {ann.pid} (" in told and "is in the middle of another turn" in told
        assert any(UNDER_WAY in text for text in said(begun))
        ann.communicate("\n", timeout=60)
        assert ann.returncode == 0
    assert said(begun) == [
        "begin",
        "begun",
        "ann asks 0",
        "ann looks",
        "",
        "ann answers 0",
        "me",
        "aside",
    ]
    assert main(ask) == 0 and "in the middle" not in capsys.readouterr().out
    begun.close()


def test_an_agent_in_two_places_knows_in_each_what_was_said_in_the_other() -> None:
    def agent(*lines: str) -> tuple[CodingAgent, Scripted, list[Event]]:
        script, heard = Scripted(*lines, name="fake"), list[Event]()
        config = Config(default_model="fake:m", display=DisplaySettings(quiet=True))
        made = CodingAgent(name="ann", tools=(), config=config, emit=heard.append)
        made.add_provider("fake", script)
        return made, script, heard

    (one, _, _), (two, asked, _) = agent("one", "three"), agent("two")
    with one, two:
        one.chat("1")
        two.chat("2")
        one.chat("3")
        assert [m.text for m in asked.requests[0].messages] == ["1", "one", "2"]
        assert [m.text for m in one.history] == ["1", "one", "2", "two", "3", "three"]
    with agent()[0] as again:
        assert again.history == one.history


def test_a_conversation_that_is_deleted_meanwhile_ends_its_record_and_not_the_turn(
    begun: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with other("ann", 1, "wait") as ann:
        assert ann.stdout is not None and ann.stdout.readline() == "at work\n"
        assert main(["sessions", "delete", "last"]) == 0
        assert f"process {ann.pid} (" in capsys.readouterr().out
        told, _ = ann.communicate("\n", timeout=60)
        assert ann.returncode == 0 and "was deleted; this turn is not kept" in told
    assert begun.sessions() == [] and begun.search("ann") == []
    begun.close()


def test_after_its_deletion_the_next_turn_begins_another_conversation(begun: Store) -> None:
    recorder = open_conversation(begun, which="last")
    begun.delete(str(recorder.session))
    for run, text in (("1", "lost"), ("2", "kept")):
        recorder(RunStarted(run=run, parent=None, agent="lead", model="o:m", prompt=text))
        recorder(
            RunStarted(run=f"{run}w", parent=run, agent="helper", model="o:m", prompt="x", role="worker")
        )
        recorder(RunEnded(run=f"{run}w", usage=Usage(), seconds=1.0))
        recorder(Appended(run=run, messages=(user(text), assistant("yes")), usage=Usage()))
        recorder(RunEnded(run=run, usage=Usage(), seconds=1.0))
    assert said(begun) == ["kept", "yes"] and len(begun.sessions()) == 1
    assert [m.text for m in recorder.history] == ["begin", "begun", "lost", "yes", "kept", "yes"]
    begun.close()
