"""The border: whatever one tool, one answer or one line of a foreign server is, everything else goes on."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent
from orchestrator.config.load import Config, ServerSettings
from orchestrator.events import Event, Notice
from orchestrator.mcp_client.names import portable_names
from orchestrator.mcp_client.results import read_result
from orchestrator.providers.scripted import Scripted
from orchestrator.session.session import Session, open_session
from orchestrator.types import Image, Text, ToolCall, ToolResult, assistant
from tests import hostile_server
from tests.hostile_server import ANSWERS, WRONG_LINES

pytestmark = pytest.mark.anyio


@dataclass
class Screen:
    events: list[Event] = field(default_factory=list[Event])

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


@asynccontextmanager
async def hostile(fault: str, folder: Path) -> AsyncGenerator[tuple[Session, Screen]]:
    settings = ServerSettings(
        command=sys.executable,
        args=(hostile_server.__file__, fault),
        cwd=str(folder),
        call_timeout_s=0.5 if fault == "silence" else 60.0,
    )
    screen = Screen()
    with anyio.fail_after(60):
        async with open_session(
            Config(servers={"foreign": settings}, folder=str(folder)), screen.events.append
        ) as session:
            yield session, screen


async def names(session: Session) -> list[str]:
    await session.connected()
    return [spec.name.removeprefix("foreign__") for spec in (await session.toolbox()).specs]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("no name", "the 2nd has no name"),
        ("a name that is a number", "the 2nd has no name"),
        ("an empty name", "the 2nd has no name"),
        ("a tool that is text", "the 2nd has no name"),
        ("a tool that is null", "the 2nd has no name"),
        ("no inputSchema", "`bad` has no inputSchema"),
        ("an inputSchema of null", "`bad` has no inputSchema"),
        ("an inputSchema of text", "`bad` has an inputSchema that is no object: 'object'"),
        ("an inputSchema of another type", "`bad` has an inputSchema of type 'array'"),
        ("properties that are a list", "properties: ['text'] is not of type 'object'"),
        ("a type that does not exist", "properties.x.type: 'strin'"),
        ("one name twice", "`bad` is listed twice"),
    ],
)
async def test_a_malformed_tool_is_left_out_with_one_sentence_and_costs_no_other(
    tmp_path: Path, fault: str, sentence: str
) -> None:
    async with hostile(fault, tmp_path) as (session, screen):
        assert await names(session) == ["good", *(["bad"] if "twice" in fault else []), "echo"]
        assert (await session.call_tool("foreign", "good", {})).text == "fine"
        assert (await session.call_tool("foreign", "echo", {"text": "hear"})).text == '"hear"'
    (notice,) = screen.notices
    assert sentence in notice and "\n" not in notice


@pytest.mark.parametrize(
    "fault",
    [
        "a description that is a number",
        "annotations that are text",
        "an outputSchema that is text",
        "an inputSchema without type",
        "a schema that contains itself",
        "no serverInfo",
        "a banner on stdout",
        "death by an unknown method",
    ],
)
async def test_what_is_wrong_beside_the_tools_costs_none_of_them(tmp_path: Path, fault: str) -> None:
    async with hostile(fault, tmp_path) as (session, screen):
        assert await names(session) == ["good", "bad", "echo"]
        assert (await session.call_tool("foreign", "bad", {})).text == "called bad"
    assert len(screen.notices) <= 1


@pytest.mark.parametrize(
    ("fault", "own"),
    [
        ("two names that become one", ("a.b", "a_b")),
        ("two long names", ("x" * 65 + "1", "x" * 65 + "2")),
        ("a name of no letters", ("日本", "中国")),
    ],
)
async def test_two_tools_whose_names_become_one_both_stay_and_each_is_called_by_its_own(
    tmp_path: Path, fault: str, own: tuple[str, str]
) -> None:
    async with hostile(fault, tmp_path) as (session, screen):
        offered = [name for name in await names(session) if name not in ("good", "echo")]
        assert len(offered) == 2
        assert {(await session.call_tool("foreign", name, {})).text for name in offered} == {
            f"called {name}" for name in own
        }
        assert (await session.call_tool("foreign", own[0], {})).text == f"called {own[0]}"
    assert screen.notices == []


@pytest.mark.parametrize("fault", ANSWERS)
async def test_a_sloppy_answer_is_read_as_far_as_it_goes_and_the_run_goes_on(
    tmp_path: Path, fault: str
) -> None:
    async with hostile(fault, tmp_path) as (session, screen):
        call = assistant(
            ToolCall(id="1", name="foreign__bad", arguments={}),
            ToolCall(id="2", name="foreign__good", arguments={}),
        )
        lead = Scripted(call, "done")
        session.add_provider("scripted", lead)
        reply = await session.ask(Agent(name="lead", model="scripted:x"), "call them")
    assert reply.text == "done" and screen.notices == []
    bad, good = (part for part in lead.requests[1].messages[-1].parts if isinstance(part, ToolResult))
    assert good.text == "fine" and bad.content
    said = ANSWERS[fault]
    if "seven" in str(said) and fault != "a promise and another kind":
        assert bad.text.startswith(("seven", '{"output": "seven"}', "[a block of type 'video'"))
    assert bad.is_error == ("isError" in fault)


async def test_a_broken_promise_is_text_and_a_note(tmp_path: Path) -> None:
    for fault, note in {
        "a promise and text alone": "promises a structured result and sent none",
        "a promise and another kind": "n: 'seven' is not of type 'integer'",
    }.items():
        async with hostile(fault, tmp_path) as (session, _):
            answer = await session.call_tool("foreign", "bad", {})
            first, second = answer.content
            assert isinstance(first, Text) and first.text == "seven" and not answer.is_error
            assert isinstance(second, Text) and note in second.text


@pytest.mark.parametrize("fault", WRONG_LINES)
async def test_a_line_that_is_not_as_it_should_be_still_reaches_its_call(tmp_path: Path, fault: str) -> None:
    async with hostile(fault, tmp_path) as (session, screen):
        await session.connected()
        answer = await session.call_tool("foreign", "bad", {})
        assert answer.text.startswith("seven") and answer.is_error == fault.startswith("an error")
        assert (await session.call_tool("foreign", "good", {})).text == "fine"
    assert len(screen.notices) <= 1 and not re.search(r"Traceback|\n", "".join(screen.notices))


async def test_what_a_server_prints_is_in_its_log_and_not_on_the_screen(
    tmp_path: Path, own_state: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for fault in ("a print before the answer", "a traceback on stderr"):
        async with hostile(fault, tmp_path) as (session, _):
            assert (await session.call_tool("foreign", "bad", {})).text == "seven"
    log = (own_state / "understudy" / "logs" / "foreign.log").read_text(encoding="utf-8")
    assert "stdout: debug: called" in log and "stderr: ValueError: oh" in log
    shown = capfd.readouterr()
    assert shown.out == shown.err == ""


async def test_a_server_that_never_answers_costs_the_one_call(tmp_path: Path) -> None:
    async with hostile("silence", tmp_path) as (session, _):
        answer = await session.call_tool("foreign", "bad", {})
        assert answer.is_error and "call_timeout_s" in answer.text
        assert (await session.call_tool("foreign", "good", {})).text == "fine"


async def test_a_server_that_dies_says_its_last_words_and_is_started_again(tmp_path: Path) -> None:
    async with hostile("death", tmp_path) as (session, _):
        answer = await session.call_tool("foreign", "bad", {})
        assert answer.is_error and "last words" in answer.text
        assert (await session.call_tool("foreign", "good", {})).text == "fine"


async def test_a_program_that_is_no_server_is_told_once(tmp_path: Path) -> None:
    async with hostile("nothing but noise", tmp_path) as (session, screen):
        await session.connected()
        for _ in range(3):
            assert "no key" in (await session.call_tool("foreign", "good", {})).text
    assert len([notice for notice in screen.notices if "did not start" in notice]) == 1


async def test_a_list_without_end_ends(tmp_path: Path) -> None:
    async with hostile("a cursor without end", tmp_path) as (session, _):
        assert await names(session) == ["good", "echo"]


def test_a_picture_is_of_the_kind_it_really_is() -> None:
    ((image,), _) = read_result(ANSWERS["a picture"])
    assert isinstance(image, Image) and image.mime == "image/png"
    ((named,), _) = read_result(ANSWERS["a picture that is none"])
    assert isinstance(named, Text)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True),
        st.lists(st.text(min_size=1), max_size=6),
        max_size=4,
    )
)
def test_no_two_tools_of_any_servers_share_a_name_and_every_vendor_takes_each(
    servers: dict[str, list[str]],
) -> None:
    offered = [name for server, tools in servers.items() for name in portable_names(server, tools)]
    assert len(offered) == len(set(offered)) == sum(len(set(tools)) for tools in servers.values())
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}", name) for name in offered)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["content", "type", "text", "data", "isError", "structuredContent", "resource"])
            | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    JSON, st.none() | st.dictionaries(st.sampled_from(["type", "properties", "$ref", "x"]), JSON, max_size=3)
)
def test_whatever_a_server_answers_is_something_a_model_can_read(sent: object, promised: object) -> None:
    content, failed = read_result(sent, promised if isinstance(promised, dict) else None)
    assert content and isinstance(failed, bool)
