"""R83, R85, R86, R93: what of a conversation is sent."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator import count_tokens, trim_history
from orchestrator.agent import Agent
from orchestrator.coding_agent import CodingAgent
from orchestrator.config.load import load_config
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import ContextTooLong, ProviderError
from orchestrator.events import Event
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.session.context_window import Memory, Window
from orchestrator.session.history_window import latest, within
from orchestrator.session.summary import transcript_of
from orchestrator.store.store import Store
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
    assert count_tokens(kept) <= limit
    starts = [place for place, m in enumerate(history) if m.role == "user"]
    longer = [start for start in starts if len(history) - start > len(kept)]
    assert not longer or count_tokens(history[longer[-1] :]) > limit


@given(history=conversations, n=st.none() | st.integers(0, 12), limit=st.none() | st.integers(0, 300))
def test_trimming_by_both_at_once_is_the_same_as_by_one_after_the_other(
    history: list[Message], n: int | None, limit: int | None
) -> None:
    kept = trim_history(history, n_messages=n, max_tokens=limit)
    sendable(kept)
    last = trim_history(history, n_messages=n)
    assert kept == (last if limit is None else trim_history(last, max_tokens=limit))
    assert limit is None or count_tokens(kept) <= limit


def test_of_a_last_turn_that_is_too_long_the_question_and_its_last_rounds_stay() -> None:
    calls = [ToolCall(id=f"c{n}", name="t", arguments={}) for n in range(3)]
    rounds = [m for c in calls for m in (assistant(c), Message(role="tool", parts=(result(c, LONG),)))]
    kept = trim_history([user("why?"), *rounds, assistant("so")], max_tokens=350)
    assert [m.role for m in kept] == ["user", *["assistant", "tool"] * 2, "assistant"] and kept[
        -1
    ].text == "so"
    assert trim_history([user(LONG), assistant("so")], max_tokens=100) == ()


@given(
    history=conversations,
    n=st.none() | st.integers(0, 9),
    limit=st.none() | st.integers(20, 300),
    room=st.none() | st.integers(0, 2_000),
    answers=st.lists(st.text(max_size=30) | st.none(), max_size=2),
)
def test_whatever_the_windows_what_goes_along_is_sendable_and_fits(
    history: list[Message], n: int | None, limit: int | None, room: int | None, answers: list[str | None]
) -> None:
    async def holds(agent: Agent, prompt: Any) -> int | None:
        return room

    now: list[Asked] = []

    async def ask(agent: Agent, prompt: Any, *, history: Sequence[Message] = ()) -> Reply:
        return await now[agent.name == "summary"](agent, prompt, history=history)

    sums = [ProviderError("s", "down") if text is None else text for text in answers]
    memory = Memory(Window(n_messages=n, max_tokens=limit, writer=WRITER if answers else None), room=holds)
    for part in (
        [*history, user(LONG * 5), assistant("so")],
        [*history, user(LONG * 5), assistant("so")] * 2,
    ):
        now[:] = [Asked("fine"), Asked(*sums, *["x" * 5_000] * 3)]
        anyio.run(memory.ask, ask, LEAD, "next?", part)
        sent = now[0].sent[0][2]
        sendable(sent)
        limits = [limit] if limit is not None else []
        limits += [max(room, 1_000)] if room is not None else []  # every model holds a thousand tokens
        assert not limits or count_tokens(sent) <= min(limits)


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
    assert least <= count_tokens([user(text)]) <= most
    assert count_tokens([user(Image(data="a" * 10**6, mime="image/png"))]) < 3000


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
    assert count_tokens(second) <= 600

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


def test_a_summary_keeps_its_place_after_a_restart_and_in_a_fork_and_is_used_for_nothing_else(
    tmp_path: Path,
) -> None:
    config = load_config(cwd=tmp_path, env={}, history_tokens=400, summary_model="sum:m", display__quiet=True)
    writer = Scripted("THE SUMMARY", name="sum")

    def asked(question: str) -> Sequence[Message]:
        lead = Scripted("ok", name="fake")
        with CodingAgent("ann", model="fake:m", tools=(), n_latest_messages=None, config=config) as agent:
            agent.add_provider("fake", lead)
            agent.add_provider("sum", writer)
            agent.chat(question)
        return lead.requests[0].messages

    for n in range(4):
        sent = asked(f"q{n} {LONG}")
    assert "THE SUMMARY" in sent[0].text and len(writer.requests) == 1
    assert "THE SUMMARY" in asked("short")[0].text and len(writer.requests) == 1  # written once, found again
    store = Store()
    fork, early = (store.fork(store.find("ann").id, rounds=n) for n in (None, 1))
    told = store.summary(fork)
    assert told is not None and told == store.summary(store.find("ann").id) and store.summary(early) is None
    memory = Memory(Window(max_tokens=400), summary=told)
    ask = Asked("fine", "fine")
    anyio.run(memory.ask, ask, LEAD, "next?", store.history(fork)[: told.stands_for + 2])
    other = [user("something else"), *store.history(fork)[1:]]
    anyio.run(Memory(Window(max_tokens=400), summary=told).ask, ask, LEAD, "next?", other)
    assert "THE SUMMARY" in ask.sent[0][2][0].text and "THE SUMMARY" not in str(ask.sent[1][2])
    store.close()


def test_a_conversation_fits_the_smaller_model_that_goes_on_with_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "providers: {small: {kind: ollama, options: {num_ctx: 2048}}}\n", encoding="utf-8"
    )
    config = load_config(cwd=tmp_path, env={}, approve=lambda *_: True, display__format="plain")
    shown = io.StringIO()
    display = Display(Console(file=shown, width=200), config.display)
    with CodingAgent(
        model="big:m", tools=(), n_latest_messages=None, config=config, display=display
    ) as agent:
        big, small = Scripted(*["ok"] * 13, name="big"), Scripted("ok", "ok", name="small")
        agent.add_provider("big", big)
        agent.add_provider("small", small)
        for n in range(12):
            agent.chat(f"q{n} {LONG}")
        agent.use_model("small:m")
        agent.chat("and now?")
        agent.chat("really?")
        agent.use_model("big:m")
        agent.chat("all of it?")
    for request in small.requests:
        assert 500 < count_tokens(request.messages) + count_tokens(request.system) < 2048
        sendable(request.messages)
    assert len(big.requests[-1].messages) == 29
    assert shown.getvalue().count("the conversation does not fit small:m; ") == 1
