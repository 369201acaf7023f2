"""Agents of programs where their home is missing, read-only or full: they answer, say why nothing is kept, and keep it later."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.coding_agent import CodingAgent
from orchestrator.config.load import Config
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import OrchestratorError
from orchestrator.events import Event, Notice
from orchestrator.plain_agent import Agent
from orchestrator.providers.scripted import Scripted
from orchestrator.store.store import Store, StoreError
from tests.disks import disk_at, fill

CAUSES = {"read-only": "read-only", "full": "is full"}


def agent(*lines: str, kind: type[CodingAgent] = Agent) -> tuple[CodingAgent, list[str]]:
    told = list[str]()

    def emit(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    config = Config(default_model="fake:m", display=DisplaySettings(quiet=True))
    made = kind(name="ann", tools=(), config=config, emit=emit)
    made.add_provider("fake", Scripted(*lines, name="fake"))
    return made, told


def test_a_home_that_is_missing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "not" / "there"))
    for kind in (Agent, CodingAgent):
        one, told = agent("yes", kind=kind)
        with one:
            one.chat("there?")
            assert one.memory.store("the home was made") is not None
        assert told == []
    again, _ = agent()
    with again:
        assert [m.text for m in again.history] == ["there?", "yes"] * 2


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("state", ["read-only", "full"])
def test_in_a_home_that_cannot_be_written_it_answers_says_why_and_keeps_all_once_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, known: bool
) -> None:
    with disk_at(tmp_path / "disk", "1m") as disk:
        monkeypatch.setenv("UNDERSTUDY_HOME", str(disk))
        if known:
            before, _ = agent("one")
            with before:
                before.chat("1")
        ballast = fill(disk) if state == "full" else None
        if ballast is None:
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        one, told = agent("two", "three")
        with one:
            assert [m.text for m in one.history] == (["1", "one"] if known else [])
            assert one.chat("2") == "two"
            (notice,) = told
            assert CAUSES[state] in notice and "held in memory" in notice and "move" not in notice
            with pytest.raises(StoreError, match=CAUSES[state]):
                one.memory.store("a fact")
            if ballast is None:
                subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            else:
                ballast.unlink()
            assert one.chat("3") == "three"
            assert told[-1] == "what was held back is written now"
            assert one.memory.store("a fact") is not None
            whole = [m.text for m in one.history]
        again, _ = agent()
        with again:
            assert [m.text for m in again.history] == whole


def test_what_could_not_be_kept_until_the_end_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.write_text("a file in its place", encoding="utf-8")
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    one, told = agent("hello")
    with one:
        assert one.chat("hi") == "hello"
    assert "held in memory" in told[0] and "could not be kept" in told[-1]
    with pytest.raises(StoreError):
        Store().find("last")


def test_a_home_that_others_may_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    with pytest.raises(OrchestratorError, match="every user may write"):
        agent()
