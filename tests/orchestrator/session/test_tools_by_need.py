"""R58: a question is sent with the tools it needs, the rest is one call away, and nothing that was used is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import CodingAgent, load_config
from orchestrator.config.load import Config
from orchestrator.providers.scripted import Scripted
from orchestrator.session.tools_by_need import MORE, ByNeed, is_work
from orchestrator.tools import Merged
from orchestrator.types import Request, ToolCall, ToolResult, ToolSpec, assistant, user

TALK = [
    "hello", "Hi!", "good morning", "thanks a lot", "Who are you?", "Tell me a joke", "What is the capital of France?",
    "How tall was Napoleon?", "hallo", "Wie geht es dir?", "bonjour", "hola, ¿qué tal?", "How are you?", "Nice.",
]  # fmt: skip
WORK = [
    "Fix the bug", "What does this project do?", "Summarise README.md", "run the tests", "commit that", "git status",
    "Rename foo to bar everywhere", "Why does main() crash?", "Was macht dieses Projekt?", "Räum src/util auf",
    "Corrige le fichier", "Arregla el archivo", "list the files", "Which models are there?", "continue", "yes, do that",
    "How long would qwen take for notes.txt?", "undo it", "Add a --json option", "explain parse_args", "look at ~/x",
    "Make it faster", "In welcher Datei steht das?", "who wrote this function?", "/etc/hosts", "Δες το main.py",
    "word " * 31,
]  # fmt: skip


@pytest.mark.parametrize("question", TALK)
def test_talk_is_known_as_talk(question: str) -> None:
    assert not is_work(question)


@pytest.mark.parametrize("question", WORK)
def test_work_is_never_taken_for_talk(question: str) -> None:
    assert is_work(question)


class Box:
    """A server's tools, each long enough that a list of them is worth leaving out."""

    def __init__(self, *names: str, said: str = "") -> None:
        self.specs = tuple(
            ToolSpec(name=name, description=said or "x" * 800, parameters={"type": "object"})
            for name in names
        )

    async def call(self, call: ToolCall, progress: Any = None) -> ToolResult:
        return ToolResult(call_id=call.id, name=call.name, content=())


FILES, GIT = Box("files__read", "files__write"), Box("git__log")
WEATHER = Box("weather__forecast", said="Forecast of rain and wind. " * 40)
OWN = Box("double")
GROUPS = {"files": FILES, "git": GIT, "weather": WEATHER}


def offered(question: str, *history: Any) -> list[str]:
    whole = Merged(OWN, *GROUPS.values())
    box = ByNeed(whole, GROUPS, own=["files", "git"], question=question, history=history)
    return [spec.name for spec in box.specs]


def test_only_what_the_conversation_touches_is_offered() -> None:
    work = ["files__read", "files__write", "git__log"]
    assert offered("hello") == ["double", MORE]
    assert offered("fix main.py") == ["double", *work, MORE]
    assert offered("Any rain in Oslo?") == ["double", "weather__forecast", MORE]
    assert offered("thanks", user("fix main.py"), assistant("done")) == ["double", *work, MORE]
    assert offered("word " * 31) == ["double", *work, "weather__forecast"]


@pytest.mark.parametrize("name", ["weather__forecast", MORE])
def test_what_was_called_or_asked_for_once_stays(name: str) -> None:
    call = ToolCall(id="1", name=name, arguments={"group": "weather"})
    assert "weather__forecast" in offered("hello", user("hi"), assistant(call))


def test_a_short_list_is_offered_whole() -> None:
    few = {"a": Box("a__b", said="short")}
    box = ByNeed(Merged(*few.values()), few, own=[], question="hello")
    assert [spec.name for spec in box.specs] == ["a__b"]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load_config(cwd=tmp_path_factory.mktemp("w"), env={}, display__quiet=True)


@pytest.fixture
def lead(config: Config) -> Iterator[CodingAgent]:
    with CodingAgent(model="fake:m", config=config) as agent:
        yield agent


def sent(request: Request) -> int:
    tools = [
        {"name": one.name, "description": one.description, "parameters": dict(one.parameters)}
        for one in request.tools
    ]
    return len(json.dumps(tools)) + len(request.system)


def test_a_greeting_is_sent_with_a_tenth_of_what_work_is_sent_with(lead: CodingAgent) -> None:
    script = Scripted("hi", "fixed", "you are welcome", name="fake")
    lead.add_provider("fake", script)
    for question in ("hello", "Fix money.py", "thanks"):
        lead.chat(question)
    greeting, work, after = script.requests
    assert sent(greeting) * 10 < sent(work) and [one.name for one in greeting.tools] == [MORE]
    assert "delegate" not in greeting.system and "ollama__delegate" in work.system
    assert after.tools == work.tools  # prompt caches hold the list


def test_a_group_that_was_left_out_is_one_call_away_and_an_unoffered_call_is_made_all_the_same(
    config: Config, lead: CodingAgent
) -> None:
    Path(config.folder, "a.txt").write_text("inside", encoding="utf-8")
    script = Scripted(
        assistant(ToolCall(id="1", name=MORE, arguments={"group": "nosuch"})),
        assistant(ToolCall(id="2", name=MORE, arguments={"group": "git"})),
        assistant(ToolCall(id="3", name="files__read_file", arguments={"path": "a.txt"})),
        "done",
        name="fake",
    )
    lead.add_provider("fake", script)
    reply = lead.reply("hello")
    wrong, opened, read = (call.result or "" for call in reply.tool_calls)
    assert wrong.startswith("no group 'nosuch'; there are files, shell, git, ollama")
    assert opened.startswith("Offered from now on: git__git_status, ") and "inside" in read
    names = [{one.name.partition("__")[0] for one in request.tools} for request in script.requests]
    assert names == [{MORE}, {MORE}, {"git", MORE}, {"git", "files", MORE}]


def test_named_forced_and_unlimited_tools_are_all_offered(config: Config) -> None:
    for given, settings in (
        ({"tools": ["files"]}, {}),
        ({"tools": None}, {"tools_by_need": False}),
        ({"tools": None, "chat_kwargs": {"tool_choice": "required"}}, {}),
    ):
        script = Scripted("hi", name="fake")
        with CodingAgent(model="fake:m", config=config.model_copy(update=settings), **given) as agent:  # type: ignore[arg-type]
            agent.add_provider("fake", script)
            agent.chat("hello")
        assert len(script.requests[0].tools) > 8 and all(one.name != MORE for one in script.requests[0].tools)


def test_without_tools_the_lead_is_told_of_none(config: Config) -> None:
    script = Scripted("hi", name="fake")
    with CodingAgent(model="fake:m", tools=(), config=config) as agent:
        agent.add_provider("fake", script)
        agent.chat("Fix money.py")
    assert script.requests[0].system == "" and not script.requests[0].tools
