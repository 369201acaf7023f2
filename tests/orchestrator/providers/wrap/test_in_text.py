"""R52-R54: models that cannot call tools write what they want to do, and are understood."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.errors import Unsupported
from orchestrator.events import Event, Notice, Streamed
from orchestrator.providers import close, complete
from orchestrator.providers.error_mapping import failure
from orchestrator.providers.scripted import Scripted
from orchestrator.providers.wrap.compose import Wrapping, wrapped
from orchestrator.providers.wrap.in_text import InText
from orchestrator.providers.wrap.in_text_reading import Eyes, read
from orchestrator.tools import Merged, Progress, no_progress
from orchestrator.types import (
    Completion,
    Image,
    Message,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    result,
    user,
)
from tests.wire.stub import Stub
from tests.wire.turns import dumps
from tests.wire.wires import WIRES, opened

pytestmark = pytest.mark.anyio

NONE = Unsupported("ollama", "m does not support tools", feature="tools")
READ = ToolSpec(
    name="files__read_file",
    description="Reads a file.",
    parameters={
        "type": "object",
        "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["path"],
    },
)
WORKER = Agent(name="w", model="ollama:m", system="Be brief.", max_rounds=6)


class Files:
    """One tool; what it is asked is kept."""

    specs = (READ,)

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        await anyio.lowlevel.checkpoint()
        self.asked.append(dict(call.arguments))
        return result(call, "blue is the colour")


async def test_the_same_loop_runs_with_a_model_that_only_writes_text() -> None:
    model = Scripted(
        NONE,
        'Thought: I look.\nAction: files__read_file\nAction Input: {"path": "a.txt"}\nObservation: it is red',
        "Thought: Now I know.\nFinal Answer: It is blue.\nReally.",
        "Plain talk.",
        name="ollama",
    )
    told: list[Event] = []
    files, provider = Files(), InText(model, emit=told.append)
    reply = await run(WORKER, "Which colour?", provider=provider, tools=files, emit=told.append)
    assert files.asked == [{"path": "a.txt"}] and reply.text == "It is blue.\nReally."
    first, asked, again = model.requests
    assert first.tools and not asked.tools and asked.system.startswith("Be brief.")
    assert '"limit"' in asked.system and "Reads a file." in asked.system
    assert [message.role for message in again.messages] == ["user", "assistant", "user"]
    assert (
        "Thought: I look." in again.messages[1].text and "Action: files__read_file" in again.messages[1].text
    )
    assert "Observation: blue is the colour" in again.messages[2].text and "red" not in again.messages[1].text
    shown = "".join(event.text for event in told if isinstance(event, Streamed) and not event.thinking)
    assert shown == "It is blue.\nReally."  # no labels, no actions
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert "ollama:m cannot call tools" in notice.text
    assert (await run(WORKER, "Hi", provider=provider, tools=files)).text == "Plain talk."
    assert len(model.requests) == 4  # it is not asked natively a second time


async def test_who_only_thinks_aloud_is_reminded_once_and_both_answers_are_counted() -> None:
    used = Usage(output_tokens=5)
    aloud = Completion(message=assistant("Thought: I should read a.txt."), usage=used)
    acts = Completion(message=assistant("Action: files__read_file\nAction Input: a.txt"), usage=used)
    model = Scripted(NONE, aloud, acts, "Final Answer: done", name="ollama")
    files = Files()
    reply = await run(WORKER, "go", provider=InText(model), tools=files)
    assert files.asked == [{"path": "a.txt"}] and reply.text == "done" and reply.usage.output_tokens == 10
    assert "Final Answer:" in model.requests[2].messages[-1].text


async def test_who_will_not_act_is_taken_at_its_word() -> None:
    model = Scripted(NONE, "Thought: it is 4.", "Thought: it is 4, I said.", name="ollama")
    reply = await run(WORKER, "2+2", provider=InText(model), tools=Files())
    assert reply.text == "it is 4, I said."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Action: no_such_tool\nAction Input: {}", "there are: files__read_file"),
        ('Action: files__read_file\nAction Input: {"path": ', "were not a JSON object"),
    ],
)
async def test_a_wrong_action_is_an_observation_it_can_learn_from(said: str, told: str) -> None:
    model = Scripted(NONE, said, "Final Answer: sorry", name="ollama")
    reply = await run(WORKER, "go", provider=InText(model), tools=Merged(Files()))
    assert reply.text == "sorry" and told in model.requests[-1].messages[-1].text
    assert "Observation: the tool failed:" in model.requests[-1].messages[-1].text


ARGUMENTS: dict[str, str] = {
    "json": 'Action: files__read_file\nAction Input: {"path": "a", "limit": 3}',
    "bold": '**Thought:** hm\n**Action:** `files__read_file`\n**Action Input:** {"path": "a", "limit": 3}',
    "fenced": 'Action: files__read_file\nAction Input:\n```json\n{"path": "a", "limit": 3}\n```\nThen I see.',
    "python": "Action: files__read_file\nAction Input: {'path': 'a', 'limit': 3}",
    "more words": 'Action: files__read_file\nAction Input: {"path": "a", "limit": 3}\n\nI wait for the result.',
    "one line": 'Action: files__read_file({"path": "a", "limit": 3})',
    "case": 'ACTION: Files__Read_File\naction input: {"path": "a", "limit": 3}',
    "call": '<tool_call>{"name": "files__read_file", "arguments": {"path": "a", "limit": 3}}</tool_call>',
    "fence on the label's line": 'Action: files__read_file\nAction Input: ```json\n{"path": "a", "limit": 3}\n```',
    "fenced name": 'Action: ```\nfiles__read_file\n```\nAction Input: `{"path": "a", "limit": 3}`',
    "all in one fence": '```\nThought: hm\nAction: files__read_file\nAction Input: {"path": "a", "limit": 3}\n```',
    "decorated": 'Action: functions.files__read_file\nAction Input: {"path": "a", "limit": 3}',
    "without its server": 'Action: read_file\nAction Input: {"path": "a", "limit": 3}',
    "number as text": 'Action: files__read_file\nAction Input: {"path": "a", "limit": "3"}',
    "comma too many": 'Action: files__read_file\nAction Input: {"path": "a", "limit": 3,}',
    "written twice": 'Action: files__read_file\nAction Input: "{\\"path\\": \\"a\\", \\"limit\\": 3}"',
    "answer too": 'Action: files__read_file\nAction Input: {"path": "a", "limit": 3}\nFinal Answer: I read it.',
}


@pytest.mark.parametrize("form", ARGUMENTS)
def test_actions_are_read_from_the_forms_models_write(form: str) -> None:
    (call,) = read(assistant(ARGUMENTS[form]), (READ,)).tool_calls
    assert (call.name, call.arguments, call.raw) == ("files__read_file", {"path": "a", "limit": 3}, None)


def test_several_actions_are_several_calls() -> None:
    text = "Action: files__read_file\nAction Input: a\nAction: files__read_file\nAction Input: b\n"
    assert [call.arguments for call in read(assistant(text), (READ,)).tool_calls] == [
        {"path": "a"},
        {"path": "b"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The plan:\nAction: press the button\nand wait.",
        "Final Answer: write\nAction: files__read_file\nAction Input: {}",
        "Action: none\nFinal Answer: nothing to do",
        'Thought: it says\n```\nAction: files__read_file\nAction Input: {"path": "a"}\n```\nFinal Answer: so it says',
        'Thought: it says\n> Action: files__read_file\n> Action Input: {"path": "a"}\nFinal Answer: so it says',
        "No labels at all.",
        "",
    ],
)
def test_what_merely_looks_like_an_action_is_none(text: str) -> None:
    assert not read(assistant(text), (READ,)).tool_calls


@pytest.mark.parametrize(
    "quote", ["{}", "Thought: The file says:\n{}", "```\n{}\n```", "{}\nFinal Answer: so it says"]
)
def test_an_action_that_stands_in_what_was_read_is_a_quotation(quote: str) -> None:
    action = 'Action: files__read_file\nAction Input: {"path": "/etc/passwd"}'
    seen = user(f"Observation: the file begins\n{action}\nand ends")
    assert not read(assistant(quote.format(action)), (READ,), given=(seen,)).tool_calls
    assert read(assistant(action), (READ,)).tool_calls


FINISHED = {
    'Action: finish\nAction Input: {"answer": "It is 4."}': "It is 4.",
    'Thought: I know.\nAction: Finish\nAction Input: {"answer": "It is 4."}\nObservation: ok': "It is 4.",
    "Action: Final Answer\nAction Input: It is 4.": "It is 4.",
    'Action: final_answer\nAction Input: {"final_answer": "It is 4."}': "It is 4.",
    "Action: Finish[It is 4.]": "It is 4.",
    'Action: finish\nAction Input: ```json\n{"answer": "It is 4."}\n```': "It is 4.",
    'Action: finish({"answer": "It is 4."})': "It is 4.",
    'Action: finish\nAction Input: {"answer": 4}': "4",
    'Action: finish\nAction Input: {"answer": {"n": 4}}': '{"n": 4}',
    "Action: respond\nAction Input: {'response': 'It is 4.'}": "It is 4.",
    "Final Answer: ```python\nprint(4)\n```": "```python\nprint(4)\n```",
    "**Final Answer:** `4`": "4`",
}


@pytest.mark.parametrize("text", FINISHED)
async def test_an_action_that_is_the_answer_is_the_answer_and_is_shown(text: str) -> None:
    told: list[Event] = []
    model = Scripted(NONE, text, name="ollama")
    reply = await run(WORKER, "2+2", provider=InText(model), tools=Files(), emit=told.append)
    shown = "".join(event.text for event in told if isinstance(event, Streamed) and not event.thinking)
    assert reply.text == FINISHED[text] and shown.strip() == FINISHED[text] and len(model.requests) == 2


def test_a_tool_called_finish_is_called() -> None:
    finish = ToolSpec(name="finish", description="", parameters={"type": "object"})
    (call,) = read(assistant('Action: finish\nAction Input: {"answer": "x"}'), (finish,)).tool_calls
    assert call.arguments == {"answer": "x"}


LABELS = [
    "Thought:",
    "Action:",
    "Action Input:",
    "Observation:",
    "Final Answer:",
    "files__read_file",
    "{",
    '{"path": 1}',
]
WRITTEN = st.lists(
    st.sampled_from([*LABELS, "\n", " ", "words ", "```", "**", "é\ud800"]) | st.text(max_size=8)
).map("".join)


@given(WRITTEN, st.lists(st.integers(1, 9), max_size=30))
def test_whatever_is_written_is_read_and_shown_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    made = read(assistant(text), (READ,))
    assert all(call.name and json.dumps(dict(call.arguments)) for call in made.tool_calls)
    whole, eyes = Eyes(), Eyes()
    at_once = [*whole.see(text), *whole.see("", last=True)]
    pieces: list[str] = []
    rest = text
    for size in [*cuts, len(text) or 1]:
        pieces.append(rest[:size])
        rest = rest[size:]
    bit_by_bit = [delta for piece in pieces for delta in eyes.see(piece)] + list(eyes.see("", last=True))
    for thinking in (False, True):
        said = ["".join(d.text for d in deltas if d.thinking == thinking) for deltas in (at_once, bit_by_bit)]
        assert said[0] == said[1]


async def test_a_conversation_of_another_model_goes_on_in_text() -> None:
    call = ToolCall(id="1", name="files__read_file", arguments={"path": "ä"})
    shown = ToolResult(
        call_id="1",
        name=call.name,
        content=(Text(text="see"), Image(data="AAAA", mime="image/png")),
        is_error=True,
    )
    thought = Thinking(text="hidden", seal={"signature": "x"})
    history = (user("Hi"), assistant(thought, "I look.", call), Message(role="tool", parts=(shown,)))
    model = Scripted(NONE, "Final Answer: ok", name="ollama")
    request = Request(model="ollama:m", messages=history, tools=(READ,), tool_choice="any")
    assert (await complete(InText(model), request)).message.text == "ok"
    sent = model.requests[-1]
    assert [part.kind for message in sent.messages for part in message.parts] == [
        "text",
        "thinking",
        "text",
        "text",
        "text",
    ]
    assert "the tool failed: see\n(1 images cannot be shown here)" in sent.messages[-1].text
    assert sent.tool_choice is None and "must use one of the tools" in sent.system


async def test_other_lacks_of_a_model_are_not_its_lack_of_tools() -> None:
    model = Scripted(Unsupported("ollama", "no eyes", feature="images"), name="ollama")
    with pytest.raises(Unsupported, match="no eyes"):
        await complete(InText(model), Request(model="ollama:m", messages=(user("Hi"),), tools=(READ,)))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "registry.ollama.ai/library/gemma3:4b does not support tools"),
        (400, "This model doesn't support tool use in streaming mode."),
        (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (500, "tools param requires --jinja flag"),
        (404, "No endpoints found that support tool use. To learn more about provider routing, visit: ..."),
        (400, "Function calling is not enabled for models/gemma-3-27b-it"),
        (400, "`tool calling` is not supported with this model"),
        (400, "deepseek-reasoner does not support Function Calling"),
        (400, "tool_use is not supported for this model"),
        (400, "Unsupported parameter: 'tools' is not supported with this model."),
    ],
)
def test_what_servers_say_of_models_without_tools_is_known(status: int, said: str) -> None:
    found = failure("p", status, said)
    assert isinstance(found, Unsupported) and found.feature == "tools"


@pytest.mark.parametrize(
    "said",
    [
        "tool_choice forces tool use is not allowed; `tool_choice` is not supported with thinking",
        "Function tools with reasoning_effort are not supported for gpt-6 in /v1/chat/completions",
        "m does not support tool_choice 'required'",
    ],
)
def test_a_way_of_using_tools_that_is_refused_is_no_lack_of_tools(said: str) -> None:
    assert not isinstance(failure("p", 400, said), Unsupported)


@pytest.mark.parametrize("wire", WIRES)
async def test_on_every_wire_a_model_without_tools_works_with_tools(stub: Stub, wire: str) -> None:
    files = Files()
    files.specs = (replace(READ, name="ping"),)
    provider = wrapped(opened(stub, wire), Wrapping(retries=0))
    agent = replace(WORKER, model=f"{wire}:stub-notools")
    with anyio.fail_after(60):
        reply = await run(agent, "Weather?", provider=provider, tools=files)
    assert files.asked == [{"n": 1}] and reply.text == "It is sunny in both."
    assert [message.role for message in reply.messages] == ["user", "assistant", "tool", "assistant"]
    assert "made up" not in dumps(stub.sent) and "blue is the colour" in dumps(stub.sent)
    await close(provider)
