"""Patterns as tools: of our own lead, of any MCP host over stdio, long ones as jobs; never deeper than allowed."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.extension import advertise

from orchestrator import load_config, open_session, patterns
from orchestrator.commands.panel import Command
from orchestrator.config.pattern_parameters import of_word, parameters
from orchestrator.config.patterns import BY_USE, Pattern
from orchestrator.function_tools import FunctionTools
from orchestrator.providers.scripted import Scripted
from orchestrator.serve.patterns import build
from orchestrator.session.pattern_tools import PatternTools
from orchestrator.store.store import Store
from orchestrator.terminal.chat.commands import COMMANDS as COMMANDS_OF_A_CHAT
from orchestrator.types import ToolCall, assistant
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from servers.protocol.tasks import IDENTIFIER
from tests.command import understudy
from tests.followed import about, called, ended
from tests.tokens import count

pytestmark = pytest.mark.anyio
UNDERSTUDY = str(Path(sys.executable).parent / "understudy")


def configured(folder: Path, **more: Any) -> Any:
    (folder / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    lines = [f"{key}: {json.dumps(value)}" for key, value in more.items()]
    (folder / "own.yaml").write_text("\n".join(lines) or "{}", encoding="utf-8")
    return load_config(folder / "own.yaml", cwd=folder, env={})


def script(folder: Path, name: str, *replies: str) -> str:
    text = "\n".join(json.dumps({"text": reply}) for reply in replies)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return f"scripted:{name}.jsonl"


async def test_any_host_has_the_patterns_over_stdio(tmp_path: Path) -> None:
    a, b = script(tmp_path, "a", "ANSWER: x", "roses"), script(tmp_path, "b", "ANSWER: x")
    one, two = (
        script(tmp_path, "one", "begun", "better", "all of it"),
        script(tmp_path, "two", "went on", "verse"),
    )
    own = {"use": "ask", "model": script(tmp_path, "own", "mine"), "parameters": {"tone": "plain"}}
    configured(tmp_path, patterns={"mine": own | {"prompt": "{question}, {tone}"}})
    server = StdioServerParameters(
        command=UNDERSTUDY, args=["serve", "--config", str(tmp_path / "own.yaml")], cwd=tmp_path
    )
    async with Client(stdio_client(server)) as client:
        listed = (await client.list_tools()).tools
        names = [one.name for one in listed]
        assert names == [*BY_USE, "pattern", "outcome"]
        voted = await client.call_tool("vote", {"question": "which?", "models": [a, b]})
        text: str = voted.content[0].text  # type: ignore[union-attr]
        assert "[vote: 2 of 2 votes; compared by words" in text and not voted.is_error
        job = re.search(r"\[job (\w+)\]", text)
        assert job is not None
        again = await client.call_tool("outcome", {"job": job[1]})
        assert again.content[0].text == text  # type: ignore[union-attr]
        asked = await client.call_tool("ask", {"model": a, "prompt": "two lines"})
        assert "roses" in asked.content[0].text  # type: ignore[union-attr]
        handed = await client.call_tool("handoff", {"task": "a book", "first": one, "second": two})
        assert "all of it" in handed.content[0].text and not handed.is_error  # type: ignore[union-attr]
        stages = {"x": {"model": two, "prompt": "sing of {input}"}}
        sung = await client.call_tool("pipeline", {"input": "tea", "stages": stages})
        assert "[pipeline: 1 of 1 stages done" in sung.content[0].text  # type: ignore[union-attr]
        mine = await client.call_tool(
            "pattern", {"name": "mine", "question": "q", "words": {"tone": "formal"}}
        )
        assert "mine" in mine.content[0].text and not mine.is_error  # type: ignore[union-attr]
        for tool, given, says in (
            (
                "vote",
                {"question": "q", "modles": [a]},
                "there is no parameter modles; it takes question, models,",
            ),
            ("vote", {"models": [a]}, "question is missing"),
            ("vote", {"question": 7}, "question: wanted text, found int"),
            ("vote", {"question": " ", "models": [a]}, "the question is empty; say what to ask"),
            ("vote", {"question": "q", "models": [a], "samples": 99}, "samples: wanted at most 50, found 99"),
            ("vote", {"question": "q", "models": []}, "models: wanted at least one entry"),
            ("handoff", {"task": "t", "first": a}, "second is missing"),
            ("pipeline", {"input": "q", "stages": {"s": {"use": "votee"}}}, "stages.s.use: wanted one of"),
            ("pattern", {"name": "mien", "question": "q"}, "no pattern 'mien'; there are mine"),
            ("ask", {"model": "nope:x", "prompt": "p"}, "no provider 'nope'"),
            ("consult", {"question": "q"}, "no models are named"),
            ("outcome", {"job": "zz"}, f"no job 'zz'; there are {job[1]}"),
        ):
            failed = await client.call_tool(tool, given)
            text = failed.content[0].text  # type: ignore[union-attr]
            assert failed.is_error and says in text and "Error:" not in text
    assert count(json.dumps([one.model_dump(exclude_none=True) for one in listed])) < 2_300


async def test_our_own_lead_starts_a_panel_where_one_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    panel = [script(tmp_path, "a", "red"), script(tmp_path, "b", "blue")]
    config = configured(tmp_path, panel=panel)
    call = ToolCall(id="1", name="consult", arguments={"question": "which?"})
    lead = Scripted(assistant(call), "red it is", name="fake")
    async with open_session(config) as session:
        session.add_provider("fake", lead)
        reply = await session.ask(session.agent("fake:m"), "choose a colour")
    assert reply.text == "red it is" and "of scripted:a.jsonl] red" in str(reply.tool_calls[0].result)
    without = Scripted("hello", name="fake")
    async with open_session(configured(tmp_path)) as session:
        session.add_provider("fake", without)
        await session.ask(session.agent("fake:m"), "hi")
    assert without.requests[0].tools == ()


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("ask", {"model": "deep", "prompt": "go on"}),
        ("pipeline", {"input": "go on", "stages": {"one": "deep"}}),
        ("parallel", {"input": "go on", "jobs": {"one": {"model": "deep"}}}),
        ("route", {"task": "go on", "specialists": {"any task": "deep"}}),
        ("pattern", {"name": "mine", "question": "go on"}),
    ],
)
async def test_models_that_ask_models_stop_at_the_third(
    tmp_path: Path, tool: str, given: dict[str, Any]
) -> None:
    config = configured(
        tmp_path,
        providers={"fake": {}},
        agents={"deep": {"model": "fake:m", "tools": ["patterns"]}},
        patterns={"mine": {"model": "deep"}},
    )
    call = ToolCall(id="1", name=tool, arguments=given)
    model = Scripted(*[assistant(call)] * 3, "third", "second", "first", name="fake")
    async with open_session(config) as session:
        session.add_provider("fake", model)
        reply = await session.ask(session.agent(name="deep"), "begin")
    assert reply.text == "first" and len(model.requests) == 6
    assert (
        "would be the 4th model in a chain of delegations; 3 are allowed"
        in model.requests[3].messages[-1].parts[0].text
    )  # type: ignore[union-attr]


async def test_what_takes_long_goes_on_as_a_job(tmp_path: Path) -> None:
    turn = anyio.Event()

    class Slow(Scripted):
        async def stream(self, request: Any) -> Any:
            await turn.wait()
            async for item in super().stream(request):
                yield item

    async with open_session(configured(tmp_path)) as session, anyio.create_task_group() as group:
        session.add_provider("slow", Slow("done at last", name="slow"))
        tools = FunctionTools(PatternTools(lambda: session, lambda: group, wait_s=0.01).tools)
        begun = await tools.call(ToolCall(id="1", name="ask", arguments={"model": "slow:m", "prompt": "p"}))
        job = re.search(r"still runs as job (\w+): call outcome with it", begun.text)
        assert job is not None
        turn.set()
        text = begun.text
        with anyio.fail_after(60):
            while "done at last" not in text:
                text = (await tools.call(ToolCall(id="2", name="outcome", arguments={"job": job[1]}))).text


async def test_a_host_that_takes_tasks_follows_and_cancels_what_takes_long(tmp_path: Path) -> None:
    small = SimulatedModel(name="small:latest", context_length=8192)
    world = World(
        machine=Machine(small, noise=Noise(spread=0.01)),
        answers=lambda body: "word " * (3000 if "long" in str(body) else 12),
    )
    with simulated_in_thread(world, scale=0.4) as url, anyio.fail_after(120):
        server = build(configured(tmp_path, providers={"ollama": {"base_url": url}}))
        async with Client(server, extensions=[advertise(IDENTIFIER)]) as client:
            asked = {"model": "ollama:small:latest", "prompt": "be short"}
            task = await called(client, "ask", **asked)
            assert (task["resultType"], task["status"]) == ("task", "working")
            done = await ended(client, task["taskId"])
            assert done["status"] == "completed" and "word word" in done["result"]["content"][0]["text"]
            long = await called(client, "ask", **{**asked, "prompt": "be long"})
            assert "the ask has run for" in long["statusMessage"]
            await about(client, "cancel", long["taskId"])
            assert (await ended(client, long["taskId"]))["status"] == "cancelled"


async def test_what_is_called_off_or_stopped_asks_nobody_any_more(tmp_path: Path) -> None:
    class Never(Scripted):
        def __init__(self) -> None:
            super().__init__(name="never")
            self.asked, self.left = anyio.Event(), anyio.Event()

        async def stream(self, request: Any) -> Any:
            self.asked.set()
            try:
                await anyio.sleep_forever()
                yield
            finally:
                self.left.set()

    one = ToolCall(id="1", name="consult", arguments={"question": "q", "models": ["never:m"]})
    async with (
        open_session(configured(tmp_path)) as session,
        anyio.create_task_group() as group,
        anyio.create_task_group() as caller,
    ):
        with anyio.fail_after(60):
            session.add_provider("never", called_off := Never())
            tools = FunctionTools(PatternTools(lambda: session, lambda: group).tools)
            caller.start_soon(tools.call, one)
            await called_off.asked.wait()
            caller.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await called_off.left.wait()
                session.add_provider("never", stopped := Never())
                tools = FunctionTools(PatternTools(lambda: session, lambda: group, wait_s=0.01).tools)
                begun = await tools.call(one)
                await stopped.asked.wait()
                job = begun.text.partition("as job ")[2].partition(":")[0]
                ended = await tools.call(
                    ToolCall(id="2", name="outcome", arguments={"job": job, "stop": True})
                )
                await stopped.left.wait()
                assert "stopped" in ended.text or "still runs" in ended.text


async def test_a_panel_of_a_host_is_kept_like_any_other(tmp_path: Path) -> None:
    configured(tmp_path)
    a = script(tmp_path, "a", "four seasons")
    parameters = StdioServerParameters(command=UNDERSTUDY, args=["serve"], cwd=tmp_path, env={**os.environ})
    async with Client(stdio_client(parameters)) as client:
        await client.call_tool("consult", {"question": "how many?", "models": [a]})
    store = Store()
    try:
        assert any("four seasons" in found.excerpt for found in store.search("seasons"))
    finally:
        store.close()


def test_what_a_pattern_does_by_default_is_the_same_in_python_and_everywhere_else() -> None:
    for use in set(BY_USE) - {"ask", "consult", "pipeline", "parallel"}:
        settings = {name: field.default for name, field in BY_USE[use].model_fields.items()}
        for name, parameter in inspect.signature(getattr(patterns, use)).parameters.items():
            if name in settings and parameter.default not in (inspect.Parameter.empty, None):
                assert parameter.default == settings[name], (use, name)


def test_every_door_takes_every_parameter_of_every_pattern() -> None:
    """Options, words in a chat and the schema of a tool are made from the definition that config.yaml is checked by."""
    offered = {
        one.name: one for one in PatternTools(lambda: pytest.fail("nothing is run"), lambda: None).tools
    }
    for use, settings in BY_USE.items():
        own = (
            set(settings.model_fields)
            - set(Pattern.model_fields)
            - {"use", *({"role"} if use == "ask" else ())}
        )
        assert {one.name for one in parameters(use)} == own
        assert set(offered[use].spec.parameters["properties"]) == {settings.asks, *own}
        if use == "ask":
            continue
        parser = argparse.ArgumentParser()
        Command(use).add(parser)
        assert {f"of_{name}" for name in own} <= {action.dest for action in parser._actions}
        usage = COMMANDS_OF_A_CHAT[f"/{use}"].usage
        assert usage.startswith(f"/{use} ") and usage.endswith(settings.asks.upper())
        for one in parameters(use):
            if one.kind != "members":
                assert of_word(use, f"{one.name}=x") is not None


WRONG: list[tuple[str, str, str, Any, str]] = [
    ("vote", "samples", "99", 99, "wanted at most 50, found 99"),
    ("vote", "samples", "many", "many", "wanted a whole number, found 'many'"),
    ("vote", "samples", "2.5", 2.5, "wanted a whole number, found 2.5"),
    ("vote", "choices", "x", ["x"], "wanted two choices or more, or none at all, found only 'x'"),
    ("vote", "judge", "", "", "wanted a model as provider:model, for example ollama:qwen3:8b, found nothing"),
    ("debate", "rounds", "0", 0, "wanted at least 1, found 0"),
]


async def test_a_wrong_value_is_told_in_the_same_sentence_at_every_door(tmp_path: Path) -> None:
    config = configured(tmp_path)
    lines = [f"/{use} a:1,b:1 {name}={typed} go" for use, name, typed, _, _ in WRONG]
    kept = {f"p{at}": {"use": use, name: value} for at, (use, name, _, value, _) in enumerate(WRONG)}
    (tmp_path / "config.yaml").write_text(json.dumps({"patterns": kept}), encoding="utf-8")
    in_yaml = understudy("patterns", "--trust", cwd=tmp_path).stderr
    (tmp_path / "config.yaml").unlink()
    in_a_chat = understudy("chat", cwd=tmp_path, stdin="\n".join(lines)).stdout
    with anyio.fail_after(60):
        async with Client(build(config)) as client:
            for at, (use, name, typed, value, says) in enumerate(WRONG):
                given = {"question": "go", "models": ["a:1", "b:1"], name: value}
                answer = await client.call_tool(use, given)
                assert answer.is_error and f"{name}: {says}" in answer.content[0].text  # type: ignore[union-attr]
                command = understudy(use, "--models", "a:1,b:1", f"--{name}={typed}", "go", cwd=tmp_path)
                assert (command.returncode, command.stderr) == (2, f"understudy: --{name}: {says}\n")
                assert f"patterns.p{at}.{name}: {says}" in in_yaml
                assert f" {name}: {says}\n" in in_a_chat


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("vote", "--smaples", "3", "go"), "there is no option --smaples; did you mean --samples?"),
        (
            ("vote", "--qqq=3", "go"),
            "there is no option --qqq; `understudy vote --help` lists those there are",
        ),
        (("vote", "--stop-early=maybe", "go"), "--stop-early: wanted without a value, found 'maybe'"),
    ],
)
def test_an_option_that_there_is_not_is_named_whatever_else_is_wrong(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = understudy(*words, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.endswith(f"error: {says}\n")
