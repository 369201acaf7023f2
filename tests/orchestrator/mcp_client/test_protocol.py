"""The whole of the protocol as a host speaks it: addresses, instructions, changing tools, questions, roots."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import uvicorn
from mcp.server import MCPServer, runner
from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field

from orchestrator.agent import Agent
from orchestrator.config.load import Config, ServerSettings
from orchestrator.gateway.serving import listener
from orchestrator.providers.scripted import Scripted
from orchestrator.session.session import Session, open_session
from orchestrator.types import assistant

pytestmark = pytest.mark.anyio

HEARD: list[dict[str, str]] = []


class Order(BaseModel):
    size: Literal["small", "large"]
    count: int = Field(ge=1, le=9)
    gift: bool
    note: str = ""
    colour: str = Field(default="red", min_length=3)


def build(*, old: bool = False) -> MCPServer:
    """`old`: of the protocol before 2026, where a server asks in requests of its own."""
    if old:
        runner._has_modern_envelope = lambda params: False  # type: ignore[assignment]
    server = MCPServer("far", instructions="Call `greet` before anything else.")

    @server.tool()
    def greet(name: str, ctx: Context[Any, Any]) -> str:
        """Greet."""
        client = ctx.session.client_params
        info = client.client_info if client else None
        return f"hello {name}, from {info.name if info else '?'}"

    @server.tool()
    async def grow(ctx: Context[Any, Any]) -> str:
        """Add a tool."""
        server.add_tool(lambda: "new", name="grown", description="A tool that came later.")
        await (ctx.session.send_tool_list_changed() if old else ctx.notify_tools_changed())
        return "grown"

    @server.tool()
    async def order(ctx: Context[Any, Any]) -> str:
        """Ask for an order."""
        answer = await ctx.elicit("What shall it be?", Order)
        return answer.data.model_dump_json() if answer.action == "accept" else answer.action

    @server.tool()
    async def visit(ctx: Context[Any, Any]) -> str:
        """Send the person to an address."""
        answer = await ctx.elicit_url("Sign in.", "https://example.com/sign-in", "e1")
        return answer.action

    @server.tool()
    async def where(ctx: Context[Any, Any]) -> str:
        """Which folder the host works in."""
        return str((await ctx.session.list_roots()).roots[0].uri)

    return server


@asynccontextmanager
async def far(kind: str) -> AsyncGenerator[str]:
    server = build()
    app: Any = server.streamable_http_app() if kind == "http" else server.sse_app()

    async def heard(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            HEARD.append({key.decode(): value.decode() for key, value in scope["headers"]})
        await app(scope, receive, send)

    bound = listener("127.0.0.1", 0, None)
    running = uvicorn.Server(uvicorn.Config(heard, log_config=None, timeout_graceful_shutdown=1))
    async with anyio.create_task_group() as group:
        group.start_soon(running.serve, [bound])
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/{'mcp' if kind == 'http' else 'sse'}"
        running.should_exit = True


@asynccontextmanager
async def host(
    server: ServerSettings, folder: Path, answers: Sequence[str | None] = ()
) -> AsyncGenerator[tuple[Session, list[str]]]:
    asked: list[str] = []
    left = list(answers)

    async def approve(question: str, choices: Sequence[str]) -> str | None:
        asked.append(f"{question} {'/'.join(choices)}".strip())
        return left.pop(0)

    with anyio.fail_after(60):
        async with open_session(
            Config(servers={"far": server}, folder=str(folder)), approve=approve if answers else None
        ) as session:
            yield session, asked


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_a_server_at_an_address_is_found_whichever_way_it_speaks(kind: str, tmp_path: Path) -> None:
    HEARD.clear()
    async with far(kind) as url:
        settings = ServerSettings(url=url, headers={"authorization": "Bearer t0p"})
        async with host(settings, tmp_path) as (session, _):
            said = await session.call_tool("far", "greet", {"name": "Ada"})
    assert said.text == "hello Ada, from understudy"
    assert all(headers["authorization"] == "Bearer t0p" for headers in HEARD)


async def test_a_dead_address_is_one_sentence(tmp_path: Path) -> None:
    async with host(ServerSettings(url="http://127.0.0.1:9/mcp"), tmp_path) as (session, _):
        said = await session.call_tool("far", "greet", {"name": "Ada"})
    assert said.is_error and "http://127.0.0.1:9/mcp" in said.text and "\n" not in said.text


def local(tmp_path: Path, old: bool = False, **more: Any) -> ServerSettings:
    script = tmp_path / "far.py"
    root = Path(__file__).resolve().parents[3]
    script.write_text(
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        f"from tests.orchestrator.mcp_client.test_protocol import build\nbuild(old={old}).run()\n"
    )
    return ServerSettings(command=sys.executable, args=(str(script),), cwd=str(tmp_path), **more)


async def test_instructions_of_a_server_reach_the_models_that_have_its_tools(tmp_path: Path) -> None:
    model = Scripted(assistant("a"), assistant("b"), assistant("c"), name="scripted")
    async with host(local(tmp_path), tmp_path) as (session, _):
        session.add_provider("scripted", model)
        await session.connected()
        for tools in (("far",), ()):
            await session.ask(Agent(name="lead", model="scripted:x", system="Lead.", tools=tools), "go")
    async with host(local(tmp_path), tmp_path) as (session, _):  # known from last time, before it has started
        session.add_provider("scripted", model)
        await session.ask(Agent(name="lead", model="scripted:x", tools=("far",)), "go")
    first, second, third = model.requests
    assert first.system.startswith("Lead.\n\n") and "Call `greet` before anything else." in first.system
    assert second.system == "Lead." and "Call `greet`" in third.system


async def test_only_the_tools_that_are_wanted_are_offered(tmp_path: Path) -> None:
    async with host(local(tmp_path, tools=("gr*",), without_tools=("grow",)), tmp_path) as (session, _):
        assert [spec.name for spec in (await session.toolbox()).specs] == ["far__greet"]
        assert (await session.call_tool("far", "grow", {})).is_error


@pytest.mark.parametrize("old", [True, False])
async def test_tools_that_come_later_are_offered_at_once(old: bool, tmp_path: Path) -> None:
    async with host(local(tmp_path, old), tmp_path) as (session, _):
        await session.call_tool("far", "grow", {})
        with anyio.fail_after(60):
            while "far__grown" not in {spec.name for spec in (await session.toolbox()).specs}:
                await anyio.lowlevel.checkpoint()
        assert (await session.call_tool("far", "grown", {})).text == "new"


async def test_a_form_is_asked_field_by_field_and_checked(tmp_path: Path) -> None:
    answers = ["large", "inf", "3", "yes", "", ""]
    async with host(local(tmp_path, old=True), tmp_path, answers) as (session, asked):
        said = await session.call_tool("far", "order", {})
    assert said.text == '{"size":"large","count":3,"gift":true,"note":"","colour":"red"}'
    assert (
        asked[0].endswith("small/large")
        and "cannot be taken: inf" in asked[2]
        and "nothing written is red" in asked[5]
    )


@pytest.mark.parametrize("answers", [[None], ["small", "1", None], ["small", "x", "y", "z"]])
async def test_a_question_that_is_not_answered_is_declined(answers: list[str | None], tmp_path: Path) -> None:
    async with host(local(tmp_path, old=True), tmp_path, answers) as (session, _):
        assert (await session.call_tool("far", "order", {})).text == "decline"


async def test_an_address_is_shown_and_opened_by_the_person(tmp_path: Path) -> None:
    async with host(local(tmp_path, old=True), tmp_path, ["yes"]) as (session, asked):
        assert (await session.call_tool("far", "visit", {})).text == "accept"
    assert "https://example.com/sign-in" in asked[0]


async def test_a_server_may_ask_for_the_workspace(tmp_path: Path) -> None:
    async with host(local(tmp_path, old=True), tmp_path) as (session, _):
        assert (await session.call_tool("far", "where", {})).text == tmp_path.as_uri()


async def test_a_foreign_server_gets_what_it_needs_and_not_what_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "ANTHROPIC_API_KEY", "UNDERSTUDY_HOME", "OLLAMA_HOST", "SECRET"):
        monkeypatch.setenv(name, str(tmp_path))
    script = tmp_path / "env.py"
    script.write_text(
        "import os, json\nfrom mcp.server import MCPServer\nserver = MCPServer('far')\n"
        "@server.tool(structured_output=False)\ndef env() -> str:\n    return json.dumps(dict(os.environ))\nserver.run()\n"
    )
    settings = ServerSettings(
        command=sys.executable, args=(str(script),), cwd=str(tmp_path), env={"GIVEN": "1"}
    )
    async with host(settings, tmp_path) as (session, _):
        said = (await session.call_tool("far", "env", {})).text
    assert "HTTPS_PROXY" in said and "GIVEN" in said
    assert not any(name in said for name in ("ANTHROPIC_API_KEY", "UNDERSTUDY_HOME", "OLLAMA_HOST", "SECRET"))
