"""R16, R118: what a program written for OpenAI or LiteLLM passes to `completion` works, or is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import completion, load_config
from orchestrator.errors import BadRequest, ConfigError
from orchestrator.providers import open_provider
from tests.wire.stub import Stub
from tests.wire.wires import SETTINGS, WIRES, opened

GIVEN: dict[str, Any] = {"top_p": 0.5, "stop": "END", "seed": 7, "user": "u1", "metadata": {"job": "j"}}
LACKING: dict[str, set[str]] = {
    "anthropic": {"seed"},
    "bedrock": {"seed", "user", "metadata"},
    "google": {"user", "metadata"},
    "ollama": {"user", "metadata"},
    "chat": set(),
    "responses": set(),
}


def asked(stub: Stub, wire: str, tmp_path: Path, **given: Any) -> dict[str, Any]:
    """What the vendor was sent."""
    kind, path, _ = SETTINGS[wire]
    own = {wire: {"kind": kind, "base_url": stub.url(path)}}
    config = load_config(cwd=tmp_path, env={}, providers=own, display__quiet=True)
    done = completion(
        f"{wire}:stub-text", "Hi", config=config, providers={wire: opened(stub, wire)}, num_retries=0, **given
    )
    assert done.choices[0].message.content
    return stub.sent


def value_in(sent: dict[str, Any], wire: str, name: str) -> Any:
    if wire == "google":
        sent = sent["generationConfig"]
        name = {"top_p": "topP", "stop": "stopSequences"}.get(name, name)
    if wire == "bedrock":
        sent = sent["inferenceConfig"]
        name = {"top_p": "topP", "stop": "stopSequences"}[name]
    if wire == "ollama":
        sent = sent["options"]
    if wire == "anthropic":
        name = {"stop": "stop_sequences", "user": "metadata"}.get(name, name)
    return sent[name]


@pytest.mark.parametrize("wire", WIRES)
def test_an_argument_of_openai_goes_out_in_the_vendors_words_or_is_refused(
    stub: Stub, wire: str, tmp_path: Path
) -> None:
    for name, value in GIVEN.items():
        if name in LACKING[wire]:
            with pytest.raises(ConfigError, match=f"completion: {name}: .*; leave it out"):
                asked(stub, wire, tmp_path, **{name: value})
            continue
        found = value_in(asked(stub, wire, tmp_path, **{name: value}), wire, name)
        wanted = {"stop": ["END"]} | ({"user": {"user_id": "u1"}} if wire == "anthropic" else {})
        assert found == wanted.get(name, value)
    if wire == "anthropic":
        versions = [one["headers"]["anthropic-version"] for one in stub.log if "top_p" in one["body"]]
        assert versions == ["2023-06-01"]  # the last that takes it


def test_a_cap_and_what_says_nothing_are_as_on_openai(stub: Stub, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {
        "stream": False,
        "n": 1,
        "logprobs": False,
        "stop": None,
        "tools": None,
        "api_key": None,
    }
    sent = asked(stub, "chat", tmp_path, max_completion_tokens=9, **nothing)
    assert 9 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert not sent.keys() & {"n", "logprobs", "stop", "tools", "api_key"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"stream": True},
            r"stream cannot be given here: .* CodingAgent\(model=...\).stream\(prompt\) yields",
        ),
        ({"n": 2}, "n: wanted 1: one answer to a request, found 2"),
        ({"logprobs": True}, "logprobs cannot be given here: answers come without them"),
        ({"api_key": "k"}, "api_key cannot be given here: it is read from the environment"),
        ({"base_url": "http://x"}, "base_url cannot be given here: .* config.yaml"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens and max_completion_tokens mean the same"),
        ({"stop": 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"top_p": "x"}, "top_p"),
        ({"functions": [{}]}, "functions cannot be given here: give them as tools="),
    ],
)
def test_what_cannot_be_had_is_one_sentence_and_nothing_is_asked(
    stub: Stub, tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"completion: .*{says}") as refused:
        asked(stub, "chat", tmp_path, **given)
    assert "\n" not in str(refused.value) and stub.log == []


def test_openai_itself_is_not_asked_by_responses_for_what_only_chat_completions_have(tmp_path: Path) -> None:
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    own = open_provider("openai", api_key="k", base_url="https://api.openai.com/v1")
    with pytest.raises(
        BadRequest, match=r"Responses have no stop; .*api: chat.* Chat Completions, which have it"
    ):
        completion("openai:gpt-9", "Hi", stop="END", config=config, providers={"openai": own}, num_retries=0)


def test_models_that_are_asked_in_turn_must_agree_on_the_words(stub: Stub, tmp_path: Path) -> None:
    kinds = {name: {"kind": SETTINGS[name][0], "base_url": stub.url(SETTINGS[name][1])} for name in WIRES}
    config = load_config(cwd=tmp_path, env={}, providers=kinds, display__quiet=True)
    more: dict[str, Any] = {"config": config, "providers": {name: opened(stub, name) for name in WIRES}}
    more |= {"fallbacks": ["google:stub-text"], "num_retries": 0}
    assert completion("chat:stub-e503", "Hi", top_p=0.5, **more).model == "google:stub-text"
    with pytest.raises(ConfigError, match=r"completion: stop: cannot be sent to .* name it differently"):
        completion("chat:stub-e503", "Hi", stop="END", **more)
