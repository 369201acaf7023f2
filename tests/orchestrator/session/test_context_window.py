"""R83, R85, R86, R93: what of a conversation is sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent
from orchestrator.coding_agent import CodingAgent
from orchestrator.config.load import load_config
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import ContextTooLong, ProviderError
from orchestrator.events import Event
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.session.context_window import Memory, Window, latest, tokens_of, transcript_of, within
from orchestrator.terminal.display import Display
from orchestrator.types import Image, Message, Thinking, ToolCall, Usage, assistant, result, user


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """One question with everything up to its answer."""
    made = [user(draw(st.text(max_size=20)))]
    for number in range(draw(st.integers(0, 3))):
        call = ToolCall(id=f"c{number}", name="t", arguments={"a": draw(st.text(max_size=20))})
        thinking = [Thinking(text="hm", seal={"s": 1})] if draw(st.booleans()) else []
        made += [
            assistant(*thinking, call),
            Message(role="tool", parts=(result(call, draw(st.text(max_size=40))),)),
        ]
    return [*made, assistant("done")] if draw(st.booleans()) else made


conversations = st.lists(turns(), max_size=6).map(lambda parts: [m for part in parts for m in part])


def sendable(messages: Sequence[Message]) -> None:
    assert not messages or messages[0].role == "user"
    for place, message in enumerate(messages):
        if message.tool_calls:
            ids = {part.call_id for part in messages[place + 1].parts if part.kind == "tool_result"}
            assert ids == {call.id for call in message.tool_calls}


@given(history=conversations, n=st.integers(0, 12))
def test_a_window_of_messages_is_a_sendable_end_of_the_conversation(history: list[Message], n: int) -> None:
    kept = latest(history, n)
    sendable(kept)
    assert len(kept) <= max(n, 8) and (n == 0 or not history or kept)  # the last turn is kept whole
    if len(history) <= n:
        assert list(kept) == history
    elif kept:
        assert [m.text for m in kept] == [m.text for m in history[-len(kept) :]]
        cut = len(kept) < len(history)
        assert not cut or not any(p.kind == "thinking" for m in kept for p in m.parts)
    assert list(latest(history, None)) == history


@given(history=conversations, limit=st.integers(0, 300))
def test_a_window_of_tokens_holds_as_many_turns_as_fit(history: list[Message], limit: int) -> None:
    kept = within(history, limit)
    sendable(kept)
    assert tokens_of(kept) <= limit
    starts = [place for place, m in enumerate(history) if m.role == "user"]
    longer = [start for start in starts if len(history) - start > len(kept)]
    assert not longer or tokens_of(history[longer[-1] :]) > limit


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 1, 6),
        ("word " * 1000, 1000, 1600),
        ("漢字" * 500, 700, 1200),
        ("def f(x):\n    return x\n" * 100, 600, 900),
    ],
)
def test_tokens_are_estimated_rather_too_many_than_too_few(text: str, least: int, most: int) -> None:
    assert least <= tokens_of([user(text)]) <= most
    assert tokens_of([user(Image(data="a" * 10**6, mime="image/png"))]) < 3000


class Asked:
    """An `ask` that answers from its list and keeps what it was asked with."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, tuple[Message, ...]]] = []

    async def __call__(self, agent: Agent, prompt: Any, *, history: Sequence[Message] = ()) -> Reply:
        self.sent.append((agent.name, prompt, tuple(history)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Reply(agent=agent.name, text=answer, messages=(user(prompt), assistant(answer)), usage=Usage())


LEAD, WRITER = Agent(name="lead", model="a:b"), Agent(name="summary", model="s:m")
LONG = "word " * 100  # about 144 tokens


def talk(turns: int) -> list[Message]:
    return [m for n in range(turns) for m in (user(f"q{n} {LONG}"), assistant(f"a{n}"))]


@pytest.mark.anyio
async def test_past_the_threshold_a_summary_that_says_so_stands_for_the_older_turns() -> None:
    ask, history = Asked("they counted words", "fine", "fine", "they counted more", "fine"), talk(6)
    memory = Memory(Window(max_tokens=600, writer=WRITER))
    await memory.ask(ask, LEAD, "next?", history)
    (name, prompt, sent), (_, _, second) = ask.sent
    assert name == "summary" and sent == () and "user: q0 word" in prompt and "q4" not in prompt
    assert second[0].text.startswith(
        "[Summary of the 8 messages before this one, written by s:m]\n\nthey counted words"
    )
    assert [m.text[:2] for m in second[1:]] == ["q4", "a4", "q5", "a5"]
    assert tokens_of(second) <= 600

    await memory.ask(ask, LEAD, "and?", history)
    assert [name for name, _, _ in ask.sent] == ["summary", "lead", "lead"]  # written once, used again
    history += talk(3)
    await memory.ask(ask, LEAD, "and now?", history)
    assert "they counted words" in ask.sent[3][1] and "they counted more" in ask.sent[4][2][0].text


@pytest.mark.anyio
async def test_without_a_writer_or_when_it_fails_older_turns_are_left_out() -> None:
    said: list[Event] = []
    for window in (Window(max_tokens=600), Window(max_tokens=600, writer=WRITER)):
        ask = Asked(*([ProviderError("s", "down")] if window.writer else []), "fine")
        await Memory(window, said.append).ask(ask, LEAD, "next?", talk(6))
        assert [m.text[:2] for m in ask.sent[-1][2]] == ["q3", "a3", "q4", "a4", "q5", "a5"]
    assert [e.text for e in said if e.kind == "notice"] == [
        "no summary could be written, older messages are left out: s: down"
    ]


@pytest.mark.anyio
async def test_a_conversation_too_long_for_the_model_is_shortened_until_it_fits() -> None:
    said: list[Event] = []
    too_long = ContextTooLong("a", "too long")
    ask = Asked(too_long, too_long, "fits")
    reply = await Memory(Window(), said.append).ask(ask, LEAD, "next?", talk(8))
    assert reply.text == "fits" and [len(sent) for _, _, sent in ask.sent] == [16, 8, 4]
    assert [e.text for e in said if e.kind == "notice"][-1].endswith("4 of 16 earlier messages go along")


@pytest.mark.anyio
async def test_a_question_that_is_too_long_by_itself_or_in_mid_run_is_an_error() -> None:
    with pytest.raises(ContextTooLong):
        await Memory(Window()).ask(Asked(ContextTooLong("a", "too long")), LEAD, "next?", [])
    history = talk(2)

    class Growing(Asked):
        async def __call__(self, agent: Agent, prompt: Any, *, history: Sequence[Message] = ()) -> Reply:
            kept.append(user("a round was kept"))
            return await super().__call__(agent, prompt, history=history)

    kept = history
    ask = Growing(ContextTooLong("a", "too long"), "never")
    with pytest.raises(ContextTooLong):
        await Memory(Window()).ask(ask, LEAD, "next?", history)
    assert len(ask.sent) == 1


def test_a_transcript_is_bounded_and_says_what_it_leaves_out() -> None:
    text = transcript_of(talk(50), 200)
    assert len(text) < 900 and "characters left out" in text and "a49" in text


def test_windows_come_from_the_configuration_through_the_library(tmp_path: Path) -> None:
    config = load_config(cwd=tmp_path, env={}, history_tokens=300, summary_model="sum:m")
    display = Display(settings=DisplaySettings(format="plain", quiet=True))
    with CodingAgent(
        model="fake:m", tools=(), n_latest_messages=None, config=config, display=display
    ) as agent:
        lead, writer = Scripted(*["ok"] * 4, name="fake"), Scripted("THE SUMMARY", "SUMMARY 2", name="sum")
        agent.add_provider("fake", lead)
        agent.add_provider("sum", writer)
        for n in range(3):
            agent.chat(f"q{n} {LONG}")
        assert "THE SUMMARY" in lead.requests[-1].messages[0].text
        assert len(agent.history) == 6 and writer.requests[0].tools == ()
