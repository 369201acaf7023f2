"""Scripted models: what they say, what they check, and how clearly they stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.errors import ConfigError, RateLimited
from orchestrator.providers import complete, open_provider
from orchestrator.providers.scripted import Scripted, ScriptError
from orchestrator.types import Delta, Message, Request, ToolCall, Usage, assistant, result, user

pytestmark = pytest.mark.anyio


def asked(prompt: str, model: str = "scripted:demo") -> Request:
    return Request(model=model, messages=(user(prompt),))


def script(tmp_path: Path, *lines: dict[str, Any]) -> str:
    file = tmp_path / "demo.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return f"scripted:{file}"


async def test_lines_are_said_in_order_and_marked_as_recorded() -> None:
    model = Scripted("Hello there.", lambda request: request.messages[-1].text.upper())
    first, second = await complete(model, asked("a")), await complete(model, asked("b"))
    assert (first.message.text, second.message.text) == ("Hello there.", "B")
    assert first.recorded and first.message.origin == "scripted:demo"
    assert first.usage == Usage()  # nothing was measured, so nothing is claimed
    assert [r.messages[-1].text for r in model.requests] == ["a", "b"]


async def test_the_deltas_are_exactly_the_text() -> None:
    text = "  two  words\n\nand a tail \n"
    items = [item async for item in Scripted(text).stream(asked("x"))]
    assert "".join(i.text for i in items if isinstance(i, Delta)) == text


async def test_a_script_that_runs_out_says_what_it_was_asked() -> None:
    model = Scripted("only one")
    await complete(model, asked("a"))
    for _ in range(2):
        with pytest.raises(ScriptError, match=r"ran out: it has 1 reply, and was asked 'and now\?'"):
            await complete(model, asked("and now?"))


async def test_lines_left_unread_are_an_error() -> None:
    with pytest.raises(ScriptError, match="2 lines unread"):
        Scripted("a", "b").assert_done()


async def test_a_file_plays_text_thinking_calls_and_recorded_figures(tmp_path: Path) -> None:
    model = script(
        tmp_path,
        {
            "thinking": "Hm.",
            "text": "Reading.",
            "tool_calls": [{"name": "files__read_file", "arguments": {"path": "a"}}],
            "usage": {"input_tokens": 40, "decode_s": 0.5},
        },
        {"text": "Done.", "stop": "length"},
    )
    provider = open_provider("scripted")
    first = await complete(provider, asked("go", model))
    (call,) = first.message.tool_calls
    assert (call.name, call.arguments, first.stop) == ("files__read_file", {"path": "a"}, "tool")
    assert first.usage == Usage(input_tokens=40, decode_s=0.5) and first.recorded
    assert (await complete(provider, asked("go on", model))).stop == "length"


async def test_an_expectation_that_is_not_met_names_file_and_line(tmp_path: Path) -> None:
    model = script(tmp_path, {"expect": ["def add"], "text": "fine"})
    with pytest.raises(ScriptError, match=r"demo\.jsonl line 1 expects 'def add' .* asked 'nothing here'"):
        await complete(open_provider("scripted"), asked("nothing here", model))


async def test_what_a_tool_answered_can_be_used_in_a_later_call(tmp_path: Path) -> None:
    model = script(
        tmp_path,
        {"tool_calls": [{"name": "shell__run_command", "arguments": {"command": "echo ${HOME}"}}]},
        {"capture": {"job": r"job (\w+)"}, "tool_calls": [{"name": "job", "arguments": {"id": ["${job}"]}}]},
    )
    provider = open_provider("scripted")
    first = await complete(provider, asked("go", model))
    (call,) = first.message.tool_calls
    assert call.arguments == {"command": "echo ${HOME}"}  # never captured, so not ours to replace
    answers = Message(role="tool", parts=(result(call, "started as job x7, still running"),))
    request = Request(model=model, messages=(user("go"), first.message, answers))
    (later,) = (await complete(provider, request)).message.tool_calls
    assert later.arguments == {"id": ["x7"]} and later.id != call.id


async def test_a_scripted_failure_is_the_real_error(tmp_path: Path) -> None:
    model = script(tmp_path, {"error": {"kind": "RateLimited", "message": "slow down", "retry_after_s": 2}})
    with pytest.raises(RateLimited) as caught:
        await complete(open_provider("scripted"), asked("go", model))
    assert caught.value.retry_after_s == 2 and caught.value.retryable


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: Invalid JSON"),
        ('{"txt": "a"}', "line 2: txt: Extra inputs"),
        ('{"text": 3}', "line 2: text: Input should be a valid string"),
        ('{"usage": {"tokens": 3}}', "no figure 'tokens'; there are input_tokens"),
        ('{"capture": {"a": "("}}', "line 2: capture: missing \\)"),
    ],
)
async def test_a_broken_file_is_one_clear_sentence(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "demo.jsonl"
    file.write_text('{"text": "fine"}\n' + line, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        await complete(open_provider("scripted"), asked("go", f"scripted:{file}"))


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the script .*none\.jsonl: No such file"):
        await complete(open_provider("scripted"), asked("go", f"scripted:{tmp_path / 'none.jsonl'}"))


async def test_a_paced_script_can_be_interrupted(tmp_path: Path) -> None:
    model = script(tmp_path, {"text": "one two three", "usage": {"total_s": 3000}})
    heard: list[str] = []
    with anyio.move_on_after(0.05):
        async for item in open_provider("scripted", pace=1).stream(asked("go", model)):
            heard.append(item.text if isinstance(item, Delta) else "done")
    assert heard == []


async def test_a_line_may_be_a_whole_message_or_an_exception() -> None:
    call = ToolCall(id="c1", name="ping", arguments={})
    model = Scripted(assistant(call), RateLimited("x", "no"))
    assert (await complete(model, asked("a"))).stop == "tool"
    with pytest.raises(RateLimited):
        await complete(model, asked("b"))
