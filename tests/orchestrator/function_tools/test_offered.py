"""R73, R125: the same functions are tools of the library, of the command line and of any MCP host."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import ElicitResult

from orchestrator import CodingAgent, load_config, tool
from orchestrator.errors import ConfigError
from orchestrator.function_tools.load import load_tools
from orchestrator.providers.scripted import Scripted
from orchestrator.types import ToolCall, assistant

MODULE = '''\
from orchestrator import ToolContext, tool

@tool
def say_hello(name: str, context: ToolContext) -> str:
    """Greet somebody."""
    context.progress(1, 2, "greeting")
    print("a stray word on stdout")
    return f"Hello {name}!"

@tool(needs_approval=True)
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"

def plain(x: int) -> int:
    return x + 1
'''
UNDERSTUDY = str(Path(sys.executable).parent / "understudy")
HELLO = ToolCall(id="1", name="say_hello", arguments={"name": "Ann"})


@tool
def say_hello(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}!"


def offered(script: Scripted) -> list[str]:
    return [spec.name for spec in script.requests[0].tools]


def agent_of(folder: Path, script: Scripted, **more: Any) -> CodingAgent:
    agent = CodingAgent(model="fake:m", config=load_config(cwd=folder, env={}, display__quiet=True), **more)
    agent.add_provider("fake", script)
    return agent


def test_functions_modules_and_servers_mix(tmp_path: Path) -> None:
    (tmp_path / "mixed_tools.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "a.txt").write_text("kept", encoding="utf-8")

    def double(x: int) -> int:
        return 2 * x

    read = ToolCall(id="2", name="files__read_file", arguments={"path": "a.txt"})
    plain = ToolCall(id="3", name="plain", arguments={"x": 1})
    script = Scripted(assistant(HELLO, read, plain), "done", name="fake")
    tools = [say_hello, double, "mixed_tools:plain", "files"]
    with agent_of(tmp_path, script, tools=tools) as agent:
        reply = agent.reply("go")
    assert offered(script)[:3] == ["say_hello", "double", "plain"] and "files__read_file" in offered(script)
    results = [made.result or "" for made in reply.tool_calls]
    assert results[0] == "Hello Ann!" and "kept" in results[1] and results[2] == "2"


def test_a_tool_call_may_be_a_function_and_needs_no_server(tmp_path: Path) -> None:
    script = Scripted(assistant(HELLO), name="fake")
    with agent_of(tmp_path, script, tools=[say_hello]) as agent:
        assert agent.tool_call("greet Ann") == "Hello Ann!"
        assert offered(script) == ["say_hello"]


@pytest.mark.parametrize(("answer", "result"), [("yes", "paid 3"), ("no", "declined"), (None, "declined")])
def test_the_person_is_asked_before_a_function_that_needs_approval(
    answer: str | None, result: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    def approve(question: str, choices: Sequence[str]) -> str | None:
        asked.append(question)
        return answer

    @tool(needs_approval=True)
    def pay(amount: int) -> str:
        return f"paid {amount}"

    call = ToolCall(id="1", name="pay", arguments={"amount": 3})
    script = Scripted(assistant(call), "ok", name="fake")
    with agent_of(tmp_path, script, tools=[pay], approve=approve) as agent:
        (made,) = agent.reply("pay").tool_calls
    assert result in (made.result or "") and asked == ["Let the model call pay(amount=3)?"]


def test_without_anybody_to_ask_it_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "unasked_tools.py").write_text(MODULE, encoding="utf-8")
    call = ToolCall(id="1", name="pay", arguments={"amount": 3})
    with agent_of(tmp_path, Scripted(assistant(call), "ok", name="fake"), tools=["unasked_tools:*"]) as agent:
        (made,) = agent.reply("pay").tool_calls
    assert made.is_error and "nobody can be asked" in (made.result or "")


def test_two_tools_of_one_name_and_names_of_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "named_tools.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken_tools.py").write_text("import nothing_like_it", encoding="utf-8")
    (tmp_path / "leaving_tools.py").write_text("raise SystemExit(3)", encoding="utf-8")
    for tools, says in (
        ([say_hello, "named_tools:say_hello"], "two tools are called 'say_hello'"),
        (["named_tools:nope"], "named_tools has no function 'nope'; there are pay, plain, say_hello"),
        (["no_such_module:f"], "'no_such_module' cannot be loaded: ModuleNotFoundError"),
        (["broken_tools:f"], "No module named 'nothing_like_it'"),
        (["leaving_tools:f"], "SystemExit: 3"),
        (["nowhere.py:f"], "there is no file .*nowhere.py"),
        (["nope"], "no server 'nope' is configured; .* functions are named module:function"),
    ):
        with (
            agent_of(tmp_path, Scripted("x", name="fake"), tools=tools) as agent,
            pytest.raises(ConfigError, match=says),
        ):
            agent.chat("go")


def test_a_module_in_the_folder_never_stands_in_for_an_installed_one(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("def boom() -> None: ...", encoding="utf-8")
    before = list(sys.path)
    with pytest.raises(ConfigError, match="rich has no function 'boom'"):
        load_tools("rich:boom", tmp_path)
    assert sys.path == before


def test_configuration_and_command_line_offer_functions_too(tmp_path: Path) -> None:
    (tmp_path / "cli_tools.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "lead.jsonl").write_text(
        '{"tool_calls": [{"name": "say_hello", "arguments": {"name": "Ann"}}]}\n'
        '{"expect": ["Hello Ann!"], "text": "Greeted."}\n',
        encoding="utf-8",
    )
    config = tmp_path / "mine.yaml"
    config.write_text("tools: [cli_tools.py:say_hello]\ndefault_model: scripted:lead.jsonl\n")
    for more in (["--config", str(config)], ["--tools", "cli_tools", "--model", "scripted:lead.jsonl"]):
        command = [UNDERSTUDY, "run", "greet", "--json", "--no-keep", *more]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["text"] == "Greeted." and found["tool_calls"][0]["result"] == "Hello Ann!"


def test_a_workspace_that_names_code_waits_for_trust(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        "tools: [evil]\nagents:\n  lead: {tools: ['evil:f', files]}\n  other: {tools: [files]}\n"
    )
    config = load_config(cwd=tmp_path, env={})
    assert config.tools == () and list(config.agents) == ["other"]
    assert "run the Python code of" in config.notices[0]


class Host:
    """An MCP host with the functions of one module over real stdio."""

    def __init__(self, folder: Path, module: str, answer: str | None = None, mode: str = "auto") -> None:
        self.asked: list[str] = []
        self.seen: list[tuple[float, str | None]] = []

        async def elicit(context: Any, params: Any) -> ElicitResult:
            self.asked.append(params.message)
            if answer == "accept":
                return ElicitResult(action="accept", content={"run": True})
            return ElicitResult(action="decline")

        start = StdioServerParameters(command=UNDERSTUDY, args=["serve", "--tools", module], cwd=str(folder))
        options: dict[str, Any] = {"elicitation_callback": elicit} if answer else {}
        self.client = Client(stdio_client(start), mode=mode, **options)

    async def call(self, name: str, /, **arguments: Any) -> tuple[str, bool]:
        async def watch(done: float, total: float | None, message: str | None) -> None:
            self.seen.append((done, message))

        found = await self.client.call_tool(name, arguments, progress_callback=watch)
        return found.content[0].text, bool(found.is_error)  # type: ignore[union-attr]


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_any_mcp_host_lists_and_calls_them_over_stdio(tmp_path: Path, mode: str) -> None:
    (tmp_path / "served_tools.py").write_text(MODULE, encoding="utf-8")
    host = Host(tmp_path, "served_tools.py", "accept", mode)
    with anyio.fail_after(60):
        async with host.client:
            listed = (await host.client.list_tools()).tools
            assert [one.name for one in listed] == ["say_hello", "pay"]
            assert listed[0].input_schema["properties"] == {"name": {"type": "string"}}
            assert await host.call("say_hello", name="Ann") == ("Hello Ann!", False)
            assert host.seen == [(1, "greeting")]
            assert await host.call("pay", amount="2") == ("paid 2", False)
            assert host.asked == ["Let the model call pay(amount='2')?"]
            text, failed = await host.call("say_hello", nmae="Ann")
            assert failed and "it takes say_hello(name: string)" in text
            text, failed = await host.call("plain", x=1)
            assert failed and "there are say_hello, pay" in text


@pytest.mark.anyio
async def test_a_host_that_declines_or_cannot_ask_gets_nothing_run(tmp_path: Path) -> None:
    (tmp_path / "served_tools.py").write_text(MODULE, encoding="utf-8")
    for answer, says in (("decline", "the person declined"), (None, "nobody can be asked here")):
        host = Host(tmp_path, "served_tools:pay", answer)
        with anyio.fail_after(60):
            async with host.client:
                text, failed = await host.call("pay", amount=2)
                assert failed and says in text


def test_serve_without_tools_offers_the_patterns(tmp_path: Path) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]
    said = "".join(json.dumps(one) + "\n" for one in asked)
    done = subprocess.run(
        [UNDERSTUDY, "serve"], input=said, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "understudy-patterns"


def test_serve_says_which_tools_cannot_be_loaded(tmp_path: Path) -> None:
    command = [UNDERSTUDY, "serve", "--tools", "nope_at_all"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2 and "cannot be loaded: ModuleNotFoundError" in done.stderr
    assert done.stdout == ""
