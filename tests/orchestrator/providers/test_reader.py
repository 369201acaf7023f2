"""What a model says: a call where it means one, and never one that it thinks, quotes, or had no room to finish."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.events import Event, Notice
from orchestrator.providers import complete
from orchestrator.providers.reader import read, understood
from orchestrator.providers.scripted import Scripted
from orchestrator.types import (
    Completion,
    Message,
    Request,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolSpec,
    Usage,
    assistant,
    result,
    user,
)
from tests.wire.stub import Stub
from tests.wire.wires import PING, WIRES, opened

WRITE = ToolSpec(
    name="files__write_file",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "content": {"type": "string"},
            "count": {"type": "integer"},
        },
    },
)
LIST = ToolSpec(name="files__list_files", description="", parameters={"type": "object", "properties": {}})
ARGUMENTS = {"path": "a.txt", "content": "hello there", "count": 3}
JSON = '{"path": "a.txt", "content": "hello there", "count": 3}'
OBJECT = f'{{"name": "files__write_file", "arguments": {JSON}}}'
PARAMETERS = "<parameter=path>\na.txt\n</parameter>\n<parameter=content>\nhello there\n</parameter>\n<parameter=count>\n3\n</parameter>"
ATTRIBUTES = '<parameter name="path">a.txt</parameter><parameter name="content">hello there</parameter><parameter name="count">3</parameter>'
PYTHON = "files__write_file(path='a.txt', content='hello there', count=3)"
KEYS = "".join(
    f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in ARGUMENTS.items()
)

FORMS: dict[str, str] = {
    "bare": OBJECT,
    "parameters": OBJECT.replace("arguments", "parameters"),
    "list": f"[{OBJECT}]",
    "openai": f'{{"type": "function", "function": {{"name": "files__write_file", "arguments": {JSON!r}}}}}'.replace("'", '"').replace('"{"', '{"').replace('3}"', "3}"),
    "double encoded": OBJECT.replace(JSON, '"' + JSON.replace('"', '\\"') + '"'),
    "python dict": OBJECT.replace('"', "'"),
    "trailing comma": OBJECT.replace("3}", "3,}"),
    "number as a string": OBJECT.replace("3}", '"3"}'),
    "tool name": f'{{"tool_name": "files__write_file", "parameters": {JSON}}}',
    "action": f'{{"action": "files__write_file", "action_input": {JSON}}}',
    "hermes": f"<tool_call>\n{OBJECT}\n</tool_call>",
    "hermes unclosed": f"<tool_call>\n{OBJECT}",
    "qwen3-coder": f"<tool_call>\n<function=files__write_file>\n{PARAMETERS}\n</function>\n</tool_call>",
    "seed": f"<seed:tool_call><function=files__write_file>{PARAMETERS}</function></seed:tool_call>",
    "glm": f"<tool_call>files__write_file\n{KEYS}</tool_call>",
    "mistral": f"[TOOL_CALLS] [{OBJECT}]",
    "mistral args": f"[TOOL_CALLS]files__write_file[ARGS]{JSON}",
    "mistral plain": f"[TOOL_CALLS]files__write_file{JSON}",
    "llama": f"<function=files__write_file>{JSON}</function>",
    "python tag": f'<|python_tag|>{{"name": "files__write_file", "parameters": {JSON}}}',
    "python tag call": "<|python_tag|>files__write_file.call(path='a.txt', content='hello there', count=3)",
    "harmony": f"<|channel|>commentary to=functions.files__write_file <|constrain|>json<|message|>{JSON}<|call|>",
    "harmony start": f"<|start|>assistant<|channel|>commentary to=functions.files__write_file<|message|>{JSON}<|call|>",
    "deepseek": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>files__write_file\n```json\n{JSON}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek 3.1": f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>files__write_file<｜tool▁sep｜>{JSON}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "kimi": f"<|tool_calls_section_begin|><|tool_call_begin|>functions.files__write_file:0<|tool_call_argument_begin|>{JSON}<|tool_call_end|><|tool_calls_section_end|>",
    "minimax": f'<minimax:tool_call>\n<invoke name="files__write_file">\n{ATTRIBUTES}\n</invoke>\n</minimax:tool_call>',
    "minimax list": f"<tool_calls>\n{OBJECT}\n</tool_calls>",
    "granite": f"<|tool_call|>[{OBJECT}]",
    "phi": f"<|tool_call|>[{OBJECT}]<|/tool_call|>",
    "functools": f"functools[{OBJECT}]",
    "nemotron": f"<TOOLCALL>[{OBJECT}]</TOOLCALL>",
    "command": f"<|START_ACTION|>[{OBJECT}]<|END_ACTION|>",
    "lfm": f"<|tool_call_start|>[{PYTHON}]<|tool_call_end|>",
    "pythonic": f"[{PYTHON}]",
    "pythonic alone": PYTHON,
    "fenced": f"Sure!\n```json\n{OBJECT}\n```",
    "tool code": f"```tool_code\nprint({PYTHON})\n```",
    "fenced hermes": f"```xml\n<tool_call>{OBJECT}</tool_call>\n```",
    "decorated": OBJECT.replace("files__write_file", "functions.files__write_file"),
    "default api": f"default_api.{PYTHON}",
    "dotted": OBJECT.replace("files__write_file", "files.write_file"),
    "harmony tail": OBJECT.replace("files__write_file", "files__write_file<|channel|>commentary"),
    "gemma": "<start_function_call>call:files__write_file{content:<escape>hello there<escape>,count:3,path:<escape>a.txt<escape>}<end_function_call>",
    "apertus": f'<|tools_prefix|>[{{"files__write_file": {JSON}}}]<|tools_suffix|>',
    "step": "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>" + '<invoke name="files__write_file">'.replace("<", "<steptml:")
        + ATTRIBUTES.replace("<p", "<steptml:p").replace("</p", "</steptml:p") + "</steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>",
    "longcat": f"<tool_call>files__write_file\n{KEYS}</tool_call>".replace("<", "<longcat_").replace("<longcat_/", "</longcat_"),
    "hunyuan": f"<tool_calls>\n<tool_call>files__write_file\n```json\n{JSON}\n```\n</tool_call>\n</tool_calls>",
    "minicpm": '<function name="files__write_file">' + ATTRIBUTES.replace("parameter", "param") + "</function>",
    "olmo": f"<function_calls>\n{PYTHON}\n</function_calls>",
    "command-r": f"Action: ```json\n[\n    {OBJECT.replace('name', 'tool_name', 1).replace('arguments', 'parameters')}\n]\n```",
    "react": f"Action: files__write_file\nAction Input: {JSON}",
    "gigachat": f"function call<|role_sep|>\n{OBJECT}</s>",
    "after words": f"I write the file now.\n\n{OBJECT}",
    "without its server": OBJECT.replace("files__write_file", "write_file"),
}  # fmt: skip


BEGINNINGS = ["<tool_call>{", "<tool_call>x<arg_key>", "[TOOL_CALLS]a{", "to=a<|message|>{", "<|tool_call|>[", "“", "`a ",
    '<invoke name="x">', "<function=a><parameter=b>", "<tool_calls>[{", "<｜tool▁call▁begin｜>a{", "<think>", "```\n", "\n{", "\n[\"", "<start_function_call>call:a{b:<escape>",
    "<|tools_prefix|>[{", "Action: x\nAction Input: {", "Action: ```[", "<function name='a'>", "<function_calls>a("]  # fmt: skip


def heard(
    text: str | Message,
    *,
    native: bool = False,
    stop: Stop = "end",
    given: tuple[Message, ...] = (user("go"),),
) -> Completion:
    message = assistant(text, origin="box:m") if isinstance(text, str) else text
    request = Request(model="box:m", messages=given, tools=(WRITE, LIST))
    return understood(request, Completion(message=message, usage=Usage(), stop=stop), native=native)


def natively() -> tuple[Message, ...]:
    """A conversation in which the model has called by the vendor's own way."""
    call = ToolCall(id="c1", name="files__list_files", arguments={})
    return (user("go"), assistant(call, origin="box:m"), Message(role="tool", parts=(result(call, "a.txt"),)))


@pytest.mark.parametrize("form", FORMS)
def test_a_printed_call_is_made_by_a_model_that_prints_its_calls(form: str) -> None:
    done = heard(FORMS[form])
    (call,) = done.message.tool_calls
    assert (call.name, call.arguments, done.stop) == ("files__write_file", ARGUMENTS, "tool")
    assert "write_file" not in done.message.text and "<" not in done.message.text


@pytest.mark.parametrize("form", FORMS)
def test_a_printed_call_is_none_when_the_model_makes_native_calls(form: str) -> None:
    for done in (heard(FORMS[form], native=True), heard(FORMS[form], given=natively())):
        assert not done.message.tool_calls and done.doubts and done.nudge


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_call_that_was_cut_off_is_not_made(form: str, native: bool) -> None:
    done = heard(FORMS[form], stop="length", native=native)
    assert not done.message.tool_calls and done.doubts


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_call_that_is_only_thought_of_is_not_made(form: str, native: bool) -> None:
    for thought in (
        f"<think>\nPerhaps {FORMS[form]}\n</think>\nNo, it is fine as it is.",
        f"I could write {FORMS[form]}\n</think>\nNo, it is fine as it is.",
        f"[THINK]{FORMS[form]}[/THINK]No, it is fine as it is.",
    ):
        done = heard(thought, native=native)
        assert not done.message.tool_calls, thought
        if not native:
            assert done.message.text == "No, it is fine as it is."
            assert any(isinstance(part, Thinking) for part in done.message.parts)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_call_that_stands_in_what_was_read_is_a_quotation(form: str, native: bool) -> None:
    call = ToolCall(id="printed_1", name="files__list_files", arguments={})
    notes = Message(role="tool", parts=(result(call, f"# NOTES\n{FORMS[form]}\n"),))
    given = (user("What is in NOTES.md?"), assistant(call, origin="box:m"), notes)
    for text in (FORMS[form], f"NOTES.md says:\n```\n{FORMS[form]}\n```", f"It says:\n\n{FORMS[form]}"):
        assert not heard(text, given=given, native=native).message.tool_calls, text


@pytest.mark.parametrize("form", [name for name in FORMS if "\n" not in FORMS[name]])
def test_a_call_in_inline_code_or_a_quotation_is_an_example(form: str) -> None:
    for text in (f"One writes `{FORMS[form]}` for it.", f"An example:\n> {FORMS[form]}\n\nThat is all."):
        assert not heard(text).message.tool_calls, text


@given(
    text=st.lists(st.sampled_from([*FORMS.values(), "words", "\n", "```", "<think>", "</think>", "`"])).map(
        "".join
    )
)
def test_no_text_is_a_call_of_a_model_that_makes_native_calls(text: str) -> None:
    for done in (heard(text, native=True), heard(text, given=natively())):
        assert not done.message.tool_calls


@given(st.text())
def test_text_without_marks_stays_as_it_is(text: str) -> None:
    if not any(mark in text for mark in "<[{(◁"):
        assert heard(text).message == assistant(text, origin="box:m")


def test_native_calls_of_an_answer_that_was_cut_off_are_not_made() -> None:
    call = ToolCall(id="c1", name="files__write_file", arguments={})
    done = heard(assistant("I write.", call, origin="box:m"), stop="length", native=True)
    assert (
        not done.message.tool_calls
        and done.message.text == "I write."
        and "files__write_file" in done.doubts[0]
    )


@pytest.mark.parametrize(
    "raw",
    [
        "{'path': 'a.txt', 'content': 'x', 'count': '3'}",
        '{"path": "a.txt", "content": "x", "count": 3,}',
        '"{\\"path\\": \\"a.txt\\", \\"content\\": \\"x\\", \\"count\\": 3}"',
        '```json\n{"path": "a.txt", "content": "x", "count": 3}\n```',
    ],
)
def test_native_arguments_are_repaired_where_the_meaning_is_certain(raw: str) -> None:
    call = ToolCall(id="c1", name="functions.files__write_file", arguments={}, raw=raw)
    (made,) = heard(assistant(call, origin="box:m"), native=True).message.tool_calls
    assert (made.name, made.raw) == ("files__write_file", None)
    assert made.arguments == {"path": "a.txt", "content": "x", "count": 3}


@pytest.mark.parametrize("raw", ['{"path": "a', "[1]", "hello", "{'a': open('x')}"])
def test_native_arguments_that_are_none_stay_as_they_were_written(raw: str) -> None:
    call = ToolCall(id="c1", name="files__write_file", arguments={}, raw=raw)
    (made,) = heard(assistant(call, origin="box:m"), native=True).message.tool_calls
    assert (made.arguments, made.raw) == ({}, raw)


def test_only_what_the_schema_wants_as_a_number_becomes_one() -> None:
    call = ToolCall(id="c1", name="files__write_file", arguments={"path": "12", "count": "12"})
    (made,) = heard(assistant(call, origin="box:m"), native=True).message.tool_calls
    assert made.arguments == {"path": "12", "count": 12}


@pytest.mark.parametrize("begins", [*BEGINNINGS])
def test_a_text_full_of_beginnings_is_read_through_and_holds_no_call(begins: str) -> None:
    """A search that begins anew at each of them would take minutes."""
    assert not heard(begins * (300_000 // len(begins))).message.tool_calls


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.anyio
async def test_on_every_wire_a_call_cut_off_before_its_arguments_runs_nothing(stub: Stub, wire: str) -> None:
    request = Request(model=f"{wire}:stub-cutcall", messages=(user("Hi"),), tools=(PING,))
    done = await complete(opened(stub, wire), request)
    assert done.stop == "length" and done.message.text == "I begin."
    assert not done.message.tool_calls and "ping" in done.doubts[0]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.anyio
async def test_on_every_wire_printed_text_calls_nothing_once_the_model_has_called_natively(
    stub: Stub, wire: str
) -> None:
    model = f"{wire}:stub-printed"
    first = Request(model=model, messages=(user("Hi"),), tools=(PING,))
    (made,) = (await complete(opened(stub, wire), first)).message.tool_calls
    assert (made.name, made.arguments) == ("ping", {"n": 3})
    call = ToolCall(id="call_1", name="ping", arguments={})
    turn = (assistant(call, origin=model), Message(role="tool", parts=(result(call, "the notes"),)))
    done = await complete(opened(stub, wire), replace(first, messages=(user("Hi"), *turn)))
    assert not done.message.tool_calls and "ping" in done.message.text and done.doubts


@pytest.mark.anyio
async def test_the_model_is_told_once_and_the_person_too() -> None:
    seen: list[Event] = []
    doubtful = Completion(
        message=assistant(OBJECT), usage=Usage(), doubts=("the answer shows a call",), nudge="call it"
    )
    script = Scripted(doubtful, doubtful)
    reply = await run(Agent(name="lead", model="s:m"), "go", provider=script, emit=seen.append)
    assert [m.text for m in script.requests[1].messages] == ["go", OBJECT, "call it"]
    assert reply.text == OBJECT and len(script.requests) == 2
    assert len([e for e in seen if isinstance(e, Notice) and "nothing was called" in e.text]) == 2


def test_words_around_a_call_stay_said() -> None:
    done = heard(f"I look first.\n<tool_call>{OBJECT}</tool_call>")
    assert [part.text for part in done.message.parts if isinstance(part, Text)] == ["I look first."]


@pytest.mark.parametrize(
    "text",
    [
        f"A call would look like this:\n```json\n{OBJECT}\n```",
        f"For example:\n\n{OBJECT}",
        f"NOTES.md contains\n{OBJECT}",
    ],
)
def test_a_call_that_is_introduced_as_an_example_is_named_and_not_made(text: str) -> None:
    done = heard(text)
    assert not done.message.tool_calls and "example" in done.doubts[0] and done.nudge


NEIGHBOURS = {
    "a brace too many": f"<tool_call>\n{OBJECT}}}\n</tool_call>",
    "a brace lost": f"<tool_call>\n{OBJECT[:-1]}\n</tool_call>",
    "without brackets": f"TOOL_CALLS[{OBJECT}]",
    "a whole message": f'{{"tool_calls": [{{"type": "function", "function": {OBJECT}}}]}}',
    "a line and an object": f"files__write_file\n{JSON}",
    "several lines of Python": f"<function_calls>\n{PYTHON}\n</function_calls>",
    "gemma nested": "<start_function_call>call:files__write_file{path:<escape>a.txt<escape>, content: <escape>hello there<escape>, count: 3}",
    "internlm": f"<|action_start|><|plugin|>{OBJECT}<|action_end|>",
}


@pytest.mark.parametrize("form", NEIGHBOURS)
def test_near_forms_of_a_call_are_read(form: str) -> None:
    (call,) = read(NEIGHBOURS[form], (WRITE, LIST)).calls
    assert (call.name, dict(call.arguments)) == ("files__write_file", ARGUMENTS)
    assert not read(NEIGHBOURS[form], (WRITE, LIST), stop="length").calls
    assert not read(f"<think>{NEIGHBOURS[form]}</think>Done.", (WRITE, LIST)).calls


def test_several_objects_in_a_row_are_several_calls() -> None:
    assert len(read(f"{OBJECT}; {OBJECT}", (WRITE, LIST)).calls) == 2


@pytest.mark.parametrize(
    "around",
    [
        'He wrote "{}" there', "It holds '{}' inside", "Es steht „{}“ darin", "« {} »", "<pre>{}</pre>",
        "<code>{}</code> is what it says", "<!-- {} -->", "| a | b |\n|---|---|\n| {} | x |", "<document>{}</document>",
        "For example, you could write {} to call it.", "The file has {} and more.",
    ],
)  # fmt: skip
def test_a_marked_call_that_is_quoted_in_any_way_is_none(around: str) -> None:
    assert not read(around.format(f"<tool_call>{OBJECT}</tool_call>"), (WRITE, LIST)).calls
