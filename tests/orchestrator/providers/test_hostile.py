"""Servers that answer nonsense: whatever comes back, it is an answer or an error of ours, never a raw one."""

from __future__ import annotations

import copy
import json
import random
import re
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from orchestrator.errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    OutOfCredit,
    ProviderError,
    RateLimited,
    Unsupported,
)
from orchestrator.providers import close, complete
from orchestrator.providers.error_mapping import failure
from orchestrator.providers.reader import understood
from orchestrator.providers.waits import retry_after
from orchestrator.types import Completion, Message, Request, Usage, assistant, user
from tests.wire import as_anthropic, as_bedrock, as_chat, as_google, as_ollama, as_responses
from tests.wire.stub import Stub
from tests.wire.turns import TURNS, Dialect
from tests.wire.wires import PING, WEATHER, WIRES, asking, opened

DIALECTS: dict[str, Dialect] = {
    "anthropic": as_anthropic.DIALECT,
    "responses": as_responses.DIALECT,
    "chat": as_chat.DIALECT,
    "google": as_google.DIALECT,
    "bedrock": as_bedrock.DIALECT,
    "ollama": as_ollama.DIALECT,
}
KEPT = TypeAdapter(Completion)
JUNK: list[Any] = [None, "", "junk", -1, 1e308, True, [], {}, [None], {"a": {"b": []}}, ["x", 3], "\ud800"]


@pytest.mark.anyio
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # an SDK warns of values it does not know
async def test_nonsense_is_an_answer_or_an_error_of_ours(stub: Stub, wire: str) -> None:
    provider, dialect = opened(stub, wire), DIALECTS[wire]
    body = {"stream_options": {"include_usage": True}}
    outcomes: set[str] = set()
    for seed in range(100):
        dice = random.Random(seed)
        frames = dialect.frames(TURNS["tools"], "stub-tools", body)
        for at in dice.sample(range(len(frames)), dice.choice([1, 1, 2, 5])):
            frames[at] = spoilt(frames[at], wire, dice)
        stub.raw = b"".join(frames)
        try:
            with anyio.fail_after(60):
                done = await complete(provider, asking(wire, "tools", tools=(WEATHER,)))
            KEPT.validate_json(KEPT.dump_json(done), strict=True)  # every field is what it says
            outcomes.add("answer")
        except ProviderError as exc:
            outcomes.add(type(exc).__name__)
        except Exception as exc:
            raise AssertionError(f"seed {seed}") from exc
        finally:
            stub.raw = None
    assert "answer" in outcomes and len(outcomes) > 1
    await close(provider)


def spoilt(frame: bytes, wire: str, dice: random.Random) -> bytes:
    """One value of the frame's JSON replaced or taken away, or the frame cut."""
    if dice.random() < 0.1:
        return frame[: dice.randrange(len(frame))]
    if wire == "bedrock":
        start = frame.index(b"{")
        kind = re.search(rb":event-type\x07..(\w+)", frame, re.DOTALL)
        body = _spoilt_json(json.loads(frame[start:-4]), dice)
        name = kind[1].decode() if kind else "messageStop"
        return as_bedrock.frame(json.dumps(body).encode(), message_type="event", event_type=name)
    match = re.search(rb"\{.*\}", frame, re.DOTALL)
    if match is None:
        return b""
    body = json.dumps(_spoilt_json(json.loads(match[0]), dice)).encode()
    return frame[: match.start()] + body + frame[match.end() :]


def _spoilt_json(value: Any, dice: random.Random) -> Any:
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        here = todo.pop()
        inner = here.items() if isinstance(here, dict) else enumerate(here)
        for key, item in inner:
            places.append((here, key))
            if isinstance(item, dict | list):
                todo.append(item)
    if not places:
        return dice.choice(JUNK)
    here, key = dice.choice(places)
    if isinstance(here, dict) and dice.random() < 0.3:
        del here[key]
    else:
        here[key] = dice.choice(JUNK)
    return value


WORDS = st.text(max_size=60) | st.sampled_from(
    ["model not found", "rate_limit", "context length", "retry in 9e999s", ""]
)


@given(
    st.none() | st.integers(100, 999),
    WORDS,
    WORDS,
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), WORDS),
)
def test_every_status_and_text_has_a_meaning(
    status: int | None, message: str, code: str, headers: dict[str, str]
) -> None:
    error = failure("p", status, message, code=code, headers=headers)
    assert str(error).startswith("p: ") and "\n" not in str(error)
    assert error.retry_after_s is None or 0 <= error.retry_after_s < float("inf")


@given(
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), WORDS | st.floats().map(str)), WORDS
)
def test_a_wait_is_a_number_of_seconds_or_unknown(headers: dict[str, str], message: str) -> None:
    wait = retry_after(headers, message)
    assert wait is None or 0 <= wait < float("inf")


QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (429, "RESOURCE_EXHAUSTED", f"{QUOTA} Please retry in 7.5s.", RateLimited),
        (429, "insufficient_quota", QUOTA, OutOfCredit),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", OutOfCredit),
        (429, "rate_limit_error contract_spend_limit_reached", "You have reached it.", OutOfCredit),
        (400, "", "API key not valid. Please pass a valid API key.", AuthFailed),
        (413, "", "Request too large for model on tokens per minute (TPM): Limit 6000", ContextTooLong),
        (500, "", "image input is not supported - hint: you may need to provide the mmproj", Unsupported),
        (None, "throttlingException", "Too many tokens, please wait before trying again.", RateLimited),
        (404, "", "404 page not found", BadRequest),
        (301, "", "Moved Permanently", BadRequest),
    ],
)
def test_what_vendors_say_for_the_same_thing(
    status: int | None, code: str, message: str, kind: type[ProviderError]
) -> None:
    assert type(failure("p", status, message, code=code)) is kind


MARKS = [
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "```json\n",
    "\n```",
    "<function=ping>",
    "</function>",
    "<|python_tag|>",
]


def heard(text: str) -> Message:
    """What a model that is not known to make native calls says by `text`."""
    request = Request(model="m", messages=(user("?"),), tools=(PING,))
    return understood(request, Completion(message=assistant(text), usage=Usage()), native=False).message


PRINTED = st.lists(
    st.sampled_from(
        [
            *MARKS,
            '{"name": "ping", "arguments": {}}',
            '{"name": "rm", "arguments": {}}',
            "[",
            "]",
            " and ",
            "{",
        ]
    )
).map("".join)


@given(PRINTED)
def test_only_tools_that_were_offered_are_rescued(text: str) -> None:
    made = heard(text)
    assert all(call.name == "ping" for call in made.tool_calls)
    if not made.tool_calls:
        assert made == assistant(text)


RESCUED: dict[str, str] = {
    "bare": '{"name": "ping", "arguments": {"n": 1}}',
    "parameters": '{"name": "ping", "parameters": {"n": 1}}',
    "list": '[{"name": "ping", "arguments": {"n": 1}}]',
    "fenced": 'Sure!\n```json\n{"name": "ping", "arguments": {"n": 1}}\n```',
    "hermes": '<tool_call>\n{"name": "ping", "arguments": {"n": 1}}\n</tool_call>',
    "unclosed": 'I will.<tool_call>{"name": "ping", "arguments": {"n": 1}}',
    "mistral": '[TOOL_CALLS] [{"name": "ping", "arguments": {"n": 1}}]',
    "llama": '<function=ping>{"n": 1}</function>',
    "python tag": '<|python_tag|>{"name": "ping", "parameters": {"n": 1}}',
    "openai": '{"type": "function", "function": {"name": "ping", "arguments": "{\\"n\\": 1}"}}',
}


@pytest.mark.parametrize("form", RESCUED)
def test_calls_are_rescued_from_the_forms_models_print(form: str) -> None:
    made = heard(RESCUED[form])
    (call,) = made.tool_calls
    assert (call.name, call.arguments) == ("ping", {"n": 1}) and "{" not in made.text


@pytest.mark.parametrize(
    "text",
    [
        'An example: {"name": "ping", "arguments": {}} would call it.',
        '```json\n{"name": "other", "arguments": {}}\n```',
        '<tool_call>{"name": "ping", "arguments": [1]}</tool_call>',
        "<tool_call>not json</tool_call>",
    ],
)
def test_text_that_merely_speaks_of_calls_stays(text: str) -> None:
    assert heard(text) == assistant(text)
