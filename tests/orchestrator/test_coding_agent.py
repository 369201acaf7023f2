"""R1, R2, R9, R15, R24-R26, R31, R57, R82-R84, R124: the synchronous face of a session."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator import tool
from orchestrator.coding_agent import CodingAgent, NoAnswer
from orchestrator.config.load import Config, load_config
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import ConfigError, OrchestratorError, OutOfTime, ProviderError
from orchestrator.events import Event
from orchestrator.providers import ModelInfo
from orchestrator.providers.scripted import Scripted
from orchestrator.terminal.display import Display
from orchestrator.types import Thinking, ToolCall, assistant


class Listing(Scripted):
    async def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo(provider=self.name, name="b"), ModelInfo(provider=self.name, name="a"))


class Dead(Scripted):
    async def models(self) -> tuple[ModelInfo, ...]:
        raise ProviderError(self.name, "nobody there")


class Strange(BaseException):
    """No Exception."""


class Room:
    """Agents over scripted providers, and what they drew."""

    def __init__(self, folder: Path) -> None:
        self.config: Config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": "http://127.0.0.1:1"})
        self.screen = io.StringIO()
        self.made: list[CodingAgent] = []

    def agent(
        self, *lines: Any, name: str | None = None, tools: Sequence[Any] | None = (), **more: Any
    ) -> CodingAgent:
        display = Display(Console(file=self.screen, width=200), DisplaySettings(format="plain"))
        made = CodingAgent(name, model="fake:m", tools=tools, config=self.config, display=display, **more)
        self.made.append(made)
        self.script = Scripted(*lines, name="fake")
        made.add_provider("fake", self.script)
        return made


@pytest.fixture
def room(tmp_path: Path, own_state: Path) -> Iterator[Room]:
    found = Room(tmp_path)
    yield found
    for agent in found.made:
        agent.close()


def test_it_answers_and_remembers(room: Room) -> None:
    agent = room.agent("Four.", "Six.")
    assert agent.chat("2+2?") == "Four."
    assert agent.chat("And 2 more?") == "Six."
    assert [m.text for m in room.script.requests[1].messages] == ["2+2?", "Four.", "And 2 more?"]
    assert [m.text for m in agent.history] == ["2+2?", "Four.", "And 2 more?", "Six."]


def test_the_window_limits_what_is_sent_and_not_what_is_kept(room: Room) -> None:
    for limit, sent in ((2, 3), (None, 7), (0, 1), (3, 3)):
        agent = room.agent(*"abcd", n_latest_messages=limit)
        for prompt in "1234":
            agent.chat(prompt)
        assert len(room.script.requests[-1].messages) == sent, limit
        assert len(agent.history) == 8
    with pytest.raises(ConfigError, match="n_latest_messages: wanted 0 or more"):
        room.agent(n_latest_messages=-1)


def test_a_named_agent_remembers_after_a_restart_and_reset_forgets_only_it(room: Room) -> None:
    for name in ("ann", "bob"):
        with room.agent("noted", name=name) as agent:
            agent.chat(f"I am {name}")
    again = room.agent("You are ann.", name="ann")
    assert again.chat("Who am I?") == "You are ann."
    assert [m.text for m in room.script.requests[0].messages] == ["I am ann", "noted", "Who am I?"]
    again.close()
    assert room.agent(name="ann", reset=True).history == ()
    assert room.agent(name="ann").history == ()
    assert len(room.agent(name="bob").history) == 2
    assert room.agent().history == ()


def test_a_failure_is_part_of_the_conversation_and_the_next_question_goes_on(room: Room) -> None:
    agent = room.agent("one", ProviderError("fake", "down"), "three")
    agent.chat("1")
    with pytest.raises(ProviderError, match="down"):
        agent.chat("2")
    assert agent.chat("3") == "three"
    assert [m.text for m in room.script.requests[-1].messages] == [
        "1",
        "one",
        "2",
        "[interrupted: fake: down]",
        "3",
    ]


def test_a_failure_nobody_catches_is_told_in_a_sentence_and_not_in_the_frames_of_ours(room: Room) -> None:
    agent = room.agent(ProviderError("fake", "down"))
    with pytest.raises(ProviderError) as failed:
        agent.chat("1")
    told = traceback.format_exception(failed.value)
    assert told[-1].endswith("fake: down\n") and not [line for line in told if "providers" in line]


def test_try_reply_returns_a_failure_instead_of_raising_it(room: Room) -> None:
    agent = room.agent("one", ProviderError("fake", "down"))
    assert agent.try_reply("1").success
    failed = agent.try_reply("2")
    assert (failed.success, failed.error, failed.iterations) == (False, "fake: down", 0)
    assert failed.messages == agent.history[-2:]
    agent.add_provider("fake", Scripted("back", name="fake"))
    assert agent.try_reply("3").text == "back"


def test_the_model_can_be_switched_in_mid_conversation(room: Room) -> None:
    agent = room.agent("from m")
    agent.chat("hello")
    other = Scripted("from x", name="other")
    agent.add_provider("other", other)
    agent.use_model("other:x")
    assert agent.model == "other:x" and agent.chat("and you?") == "from x"
    assert [m.text for m in other.requests[0].messages] == ["hello", "from m", "and you?"]
    assert "model switched: fake:m → other:x" in room.screen.getvalue()
    for wrong, says in (
        ("othr:x", "did you mean 'other'"),
        ("", "empty"),
        ("what-is-this", "provider:model"),
    ):
        with pytest.raises(ConfigError, match=says):
            agent.use_model(wrong)
    assert agent.model == "other:x"


def test_kwargs_reach_the_request_and_unknown_ones_the_provider(room: Room) -> None:
    agent = room.agent(
        "ok",
        system_prompt="Be brief, step {current_step}.",
        chat_kwargs={"temperature": 0.0, "max_tokens": 7, "seed": 3},
        tool_kwargs={"temperature": 1.0},
    )
    agent.chat("x")
    request = room.script.requests[0]
    assert (request.temperature, request.max_tokens, dict(request.options)) == (0.0, 7, {"seed": 3})
    assert request.system == "Be brief, step 1."


def test_the_configuration_of_a_model_reaches_its_requests(room: Room) -> None:
    own = {"fake:*": {"max_tokens": 9, "options": {"seed": 1}}}
    room.config = load_config(cwd=room.config.folder, env={}, models=own, temperature=0.0)
    agent = room.agent("ok", chat_kwargs={"top_k": 4})
    agent.chat("x")
    request = room.script.requests[0]
    assert (request.max_tokens, request.temperature, dict(request.options)) == (
        9,
        0.0,
        {"seed": 1, "top_k": 4},
    )


def test_a_forced_tool_call_sends_no_history_and_keeps_the_record(room: Room, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the real file\n", encoding="utf-8")
    call = ToolCall(id="1", name="files__read_file", arguments={"path": "a.txt"})
    agent = room.agent("hi", assistant(call), "bye", tools=["files"], tool_kwargs={"temperature": 0.5})
    agent.chat("hello")
    assert "the real file" in agent.tool_call("read a.txt")
    forced = room.script.requests[1]
    assert [m.text for m in forced.messages] == ["read a.txt"]
    assert (forced.tool_choice, forced.temperature) == ("any", 0.5)
    agent.chat("thanks")
    assert [m.role for m in room.script.requests[2].messages] == ["user", "assistant"] + [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert room.script.requests[2].tool_choice is None


def test_a_forced_tool_call_that_takes_too_long_is_out_of_time(room: Room, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")

    class Silent(Scripted):
        async def stream(self, request: Any) -> Any:
            await asyncio.Event().wait()
            yield

    room.config = load_config(cwd=tmp_path, env={}, run_timeout_s=0.05)
    agent = room.agent(tools=["files"])
    agent.add_provider("fake", Silent(name="fake"))
    with pytest.raises(OutOfTime, match=r"no answer within 0\.05 s"):
        agent.tool_call("read")
    assert agent.history[0].text == "read" and "0.05 s" in agent.history[-1].text


def test_a_tool_call_without_tools_says_so(room: Room) -> None:
    agent = room.agent("x")
    with pytest.raises(ConfigError, match="has no tools to call"):
        agent.tool_call("do")
    with pytest.raises(ConfigError, match=r"no server 'nope' is configured"):
        room.agent("x", tools=["nope"]).chat("do")


def test_a_delegation_shows_itself_and_sees_only_what_it_is_given(room: Room) -> None:
    agent = room.agent("hi")
    agent.chat("a secret")
    worker = Scripted("counted", name="w")
    agent.add_provider("w", worker)
    assert agent.delegate("w:q", "count", context="of apples") == "counted"
    assert [m.text for m in worker.requests[0].messages] == ["of apples\n\ncount"]
    assert worker.requests[0].tools == ()
    assert "you │ ⇒ worker w:q: of apples count" in room.screen.getvalue()
    assert len(agent.history) == 2


def test_a_consultation_asks_all_at_once_and_keeps_the_answers_that_came(room: Room) -> None:
    agent = room.agent()
    barrier = threading.Barrier(2, timeout=60)

    class Together(Scripted):
        async def stream(self, request: Any) -> Any:
            await asyncio.to_thread(barrier.wait)  # passes only when both are being asked
            async for item in super().stream(request):
                yield item

    agent.add_provider("a", Together("yes", name="a"))
    agent.add_provider("b", Together("no", name="b"))
    agent.add_provider("c", Scripted(ProviderError("c", "asleep"), name="c"))
    answers = agent.consult(["a:1", "c:3", "b:2", "a:1"], "well?")
    assert answers == {"a:1": "yes", "c:3": "c: asleep", "b:2": "no"}
    assert isinstance(answers["c:3"], NoAnswer) and not isinstance(answers["a:1"], NoAnswer)


def test_a_panel_is_a_turn_of_the_conversation(room: Room) -> None:
    agent = room.agent("b was better")
    agent.add_provider("a", Scripted("ANSWER: yes", "draft", name="a"))
    agent.add_provider("b", Scripted("ANSWER: Yes", "<OK>", name="b"))
    voted = agent.vote(["a:1", "b:1"], "is it?")
    assert voted.text == "yes" and voted.agreement == 1.0 and len(voted.responses) == 2
    assert agent.refine("write", author="a:1", critic="b:1").text == "draft"
    assert agent.chat("which was better?") == "b was better"
    sent = [message.text for message in room.script.requests[0].messages]
    assert "[vote, ballot of b:1] ANSWER: Yes" in sent and "[refine, draft of a:1] draft" in sent
    with pytest.raises(ConfigError, match="roundz"):
        agent.together("debate", "well?", roundz=3)


def test_all_models_are_listed_and_a_dead_provider_does_not_matter(room: Room) -> None:
    agent = room.agent()
    agent.add_provider("fake", Listing(name="fake"))
    agent.add_provider("gone", Dead(name="gone"))
    assert agent.list_all_models() == {"fake": ["a", "b"]}
    assert "gone cannot list its models" in room.screen.getvalue()


def test_no_model_at_all_is_said_with_what_would_work(tmp_path: Path) -> None:
    config = load_config(cwd=tmp_path, env={})
    with CodingAgent(tools=(), config=config) as agent, pytest.raises(ConfigError, match="DEFAULT_MODEL"):
        agent.chat("x")


def test_it_works_inside_a_running_event_loop(room: Room) -> None:
    async def main() -> str:
        return room.agent("inside").chat("x")

    assert asyncio.run(main()) == "inside"


def test_threads_take_turns(room: Room) -> None:
    agent = room.agent(*["ok"] * 20)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(agent.chat, map(str, range(20)))) == ["ok"] * 20
    roles = [m.role for m in agent.history]
    assert roles == ["user", "assistant"] * 20


def test_an_interrupt_cancels_the_turn_and_the_next_goes_on(room: Room) -> None:
    events: list[Event] = []

    class Hanging(Scripted):
        async def stream(self, request: Any) -> Any:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await asyncio.Event().wait()
            async for item in super().stream(request):
                yield item

    agent = room.agent("hi", "again", emit=events.append)
    agent.chat("first")
    agent.add_provider("slow", Hanging(name="slow"))
    agent.use_model("slow:m")
    with pytest.raises(KeyboardInterrupt):
        agent.chat("hang")
    assert [e.error for e in events if e.kind == "run_ended"] == [None, "cancelled"]
    agent.use_model("fake:m")
    assert agent.chat("more") == "again" and len(agent.history) == 6


def test_calling_it_from_its_own_callback_is_refused_instead_of_hanging(room: Room) -> None:
    refused = list[str]()

    def again(event: Event) -> None:
        if event.kind == "run_started":
            with pytest.raises(RuntimeError, match="from within itself") as caught:
                agent.chat("from within")
            refused.append(str(caught.value))

    agent = room.agent("x", emit=again)
    assert agent.chat("x") == "x" and len(refused) == 1


@pytest.mark.parametrize("fault", [ValueError("mine"), SystemExit(3), GeneratorExit(), Strange("odd")])
def test_a_callback_that_fails_is_told_once_and_loses_nothing(room: Room, fault: BaseException) -> None:
    heard = list[str]()

    def broken(event: Event) -> None:
        heard.append(event.kind)
        raise fault

    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    call = ToolCall(id="1", name="double", arguments={"x": 4})
    agent = room.agent(assistant(call), "Eight.", "Again.", tools=[double], emit=broken, on_success=broken)
    assert agent.chat("Twice four?") == "Eight." and agent.chat("More?") == "Again."
    assert [m.role for m in agent.history] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    shown = room.screen.getvalue()
    assert shown.count("emit failed at run_started: ") == 1 == shown.count("on_success failed at called: ")
    assert heard.count("run_ended") == 2  # it goes on being told


def test_a_tool_whose_approval_cannot_be_asked_for_is_not_run(room: Room) -> None:
    ran = list[int]()

    @tool(needs_approval=True)
    def danger() -> None:
        """Do it."""
        ran.append(1)

    def broken(question: str, choices: Sequence[str]) -> str:
        raise KeyError("mine")

    call = ToolCall(id="1", name="danger", arguments={})
    agent = room.agent(assistant(call), "Not done.", tools=[danger], approve=broken)
    (made,) = agent.reply("go").tool_calls
    assert (
        made.result == "danger was not run: its approval could not be asked for, KeyError: 'mine'" and not ran
    )


@pytest.mark.parametrize("name", ["emit", "on_success", "approve"])
def test_a_callback_that_cannot_be_called_at_once_is_refused_in_a_sentence(room: Room, name: str) -> None:
    async def later(*given: Any) -> None: ...

    for wrong, found in ((later, "one that is async"), ("print", "'print'")):
        with pytest.raises(ConfigError, match=f"{name}: wanted a function that is called .* found {found}"):
            room.agent("x", **{name: wrong})


def test_a_closed_agent_says_so(room: Room) -> None:
    agent = room.agent("x")
    agent.close()
    agent.close()
    with pytest.raises(OrchestratorError, match="closed"):
        agent.chat("x")


def test_the_summary_of_its_own_conversation_needs_no_argument(room: Room) -> None:
    agent = room.agent(assistant(Thinking(text="hm"), "Four."))
    agent.chat("2+2?")
    room.screen.truncate(0)
    agent.display.show_conversation_summary()
    assert "you │ 2+2?" in room.screen.getvalue() and "fake:m │ Four." in room.screen.getvalue()


SCRIPT = """
from orchestrator import CodingAgent, load_config
agent = CodingAgent(name="doc", model="scripted:demo.jsonl")
print(agent.chat("Read a.txt."))
"""


def test_a_program_that_forgets_to_close_ends_by_itself_with_its_servers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello\n", encoding="utf-8")
    (tmp_path / "demo.jsonl").write_text(
        '{"tool_calls": [{"name": "files__read_file", "arguments": {"path": "a.txt"}}]}\n'
        '{"expect": ["hello"], "text": "It says hello."}\n',
        encoding="utf-8",
    )
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("It says hello.\n") and done.stderr == ""
    assert "lead scripted:demo.jsonl │" in done.stdout or "doc scripted:demo.jsonl │" in done.stdout


def test_every_public_name_is_there_and_no_other() -> None:
    import orchestrator

    assert [name for name in orchestrator.__all__ if getattr(orchestrator, name).__name__ != name] == []
    assert orchestrator.__all__ == sorted(orchestrator.__all__) == dir(orchestrator)
    assert not hasattr(orchestrator, "CodingAgnt")
