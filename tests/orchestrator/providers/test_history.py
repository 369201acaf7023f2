"""The law of portable histories: whatever went in, every vendor's rules hold for what comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.genai import types as gt
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from orchestrator.errors import BadRequest
from orchestrator.providers import (
    anthropic_wire,
    bedrock_wire,
    google_wire,
    ollama_wire,
    openai_chat,
    openai_responses,
)
from orchestrator.providers.dialects import Dialect
from orchestrator.providers.portable_history import portable, wire_name
from orchestrator.types import Image, Message, Part, Request, Text, Thinking, ToolCall, ToolResult
from tests.wire import as_anthropic, as_bedrock, as_chat, as_google, as_ollama, as_responses

HERE = "here:model"
TEXTS = st.text(max_size=12) | st.sampled_from(["", " \n", "ok", "\ud800 broken"])
IDS = st.sampled_from(["a", "b", "", "ill egal", "x" * 80, "call_1"])
NAMES = st.sampled_from(["ping", "files.read", "", "ä" * 70, "9lives"])
SEALS = st.none() | st.just({"signature": "any"})


def _last_for_calls(part: Part) -> bool:
    """As every vendor's own turns come."""
    return part.kind == "tool_call"


CONTENT = st.builds(Text, text=TEXTS) | st.builds(
    Image, data=st.sampled_from(["aGk=", "not base64!"]), mime=st.sampled_from(["image/png", "image/tiff"])
)
SPOKEN: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=TEXTS),
    st.builds(Thinking, text=TEXTS, seal=SEALS),
    st.builds(ToolCall, id=IDS, name=NAMES, arguments=st.just({"n": 1})),
)
MESSAGES = st.one_of(
    st.builds(Message, role=st.just("user"), parts=st.lists(CONTENT, max_size=3).map(tuple)),
    st.builds(
        Message,
        role=st.just("assistant"),
        parts=st.lists(SPOKEN, max_size=4).map(lambda parts: tuple(sorted(parts, key=_last_for_calls))),
        origin=st.sampled_from([HERE, "other:model"]),
    ),
    st.builds(
        Message,
        role=st.just("tool"),
        parts=st.lists(
            st.builds(ToolResult, call_id=IDS, name=NAMES, content=st.lists(CONTENT, max_size=2).map(tuple)),
            max_size=3,
        ).map(tuple),
    ),
)
HISTORIES = st.lists(MESSAGES, max_size=7).map(tuple)


def prepared(messages: tuple[Message, ...]) -> Request:
    try:
        return portable(Request(model=HERE, messages=messages), HERE)
    except BadRequest:  # nothing in it has words
        reject()


@given(HISTORIES)
@settings(deadline=None)
def test_every_call_is_answered_by_the_very_next_message(messages: tuple[Message, ...]) -> None:
    out = prepared(messages).messages
    for message, following in zip(out, (*out[1:], None), strict=False):
        calls = [call.id for call in message.tool_calls]
        answers = (
            [part.call_id for part in following.parts if isinstance(part, ToolResult)] if following else []
        )
        assert calls == answers and len(set(calls)) == len(calls)


@given(HISTORIES)
@settings(deadline=None)
def test_preparing_twice_changes_nothing(messages: tuple[Message, ...]) -> None:
    once = prepared(messages)
    assert portable(once, HERE) == once


@given(HISTORIES)
@settings(deadline=None)
def test_no_word_of_a_person_is_lost(messages: tuple[Message, ...]) -> None:
    said = [
        p.text
        for m in messages
        if m.role == "user"
        for p in m.parts
        if isinstance(p, Text) and p.text.strip()
    ]
    kept = [
        p.text
        for m in prepared(messages).messages
        if m.role == "user"
        for p in m.parts
        if isinstance(p, Text)
    ]
    for text in said:
        assert text.replace("\ud800", "\ufffd") in kept


@given(HISTORIES)
@settings(deadline=None)
def test_every_vendor_takes_it(messages: tuple[Message, ...]) -> None:
    request = prepared(messages)
    if not request.messages:
        return
    assert (
        as_anthropic.complaint(anthropic_wire.body_of(sealed(request, as_anthropic.SEAL), hosted=True))
        is None
    )
    assert as_bedrock.complaint(bedrock_wire.body_of(sealed(request, as_bedrock.SEAL))) is None
    assert as_chat.complaint(openai_chat.body_of(request, dialect=Dialect())) is None
    assert as_responses.complaint(openai_responses.body_of(request)) is None
    assert as_ollama.complaint(ollama_wire.body_of(request, num_ctx=4096, room=99, keep_alive=None)) is None
    contents = google_wire.contents_of(sealed(request, as_google.SEAL))
    assert as_google.complaint({"contents": [_json(content) for content in contents]}) is None


@pytest.mark.parametrize(
    ("name", "legal"), [("ping", True), ("a__b-c", True), ("a.b", False), ("", False), ("ä", False)]
)
def test_legal_names_stay_and_others_become_legal(name: str, legal: bool) -> None:
    made = wire_name(name)
    assert (made == name) is legal and wire_name(made) == made and len(made) <= 64


def sealed(request: Request, seal: str) -> Request:
    """Its own thinking signed as the vendor signs it."""

    def signed(part: Part) -> Part:
        return replace(part, seal={"signature": seal}) if isinstance(part, Thinking) and part.seal else part

    messages = tuple(replace(m, parts=tuple(signed(p) for p in m.parts)) for m in request.messages)
    return replace(request, messages=messages)


def _json(content: gt.Content) -> dict[str, Any]:
    return content.model_dump(mode="json", by_alias=True, exclude_none=True)
