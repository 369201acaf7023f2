"""Foreign opinions: the same tool loop against servers that nobody here wrote.

llama.cpp's own server runs a model file written by hand (needs xllamacpp, numpy and gguf); aimock needs Node
and `npm install @copilotkit/aimock`, its command found on the PATH or named by AIMOCK.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.errors import ContextTooLong
from orchestrator.providers import Provider, complete, models_of, open_provider
from orchestrator.providers.wrap.retrying import Retry, Retrying
from orchestrator.types import Completion, Delta, Message, Request, result, user
from tests.wire.wires import WEATHER

ROOT = Path(__file__).parents[3]
AIMOCK = os.environ.get("AIMOCK") or shutil.which("aimock")
ENGINE = all(importlib.util.find_spec(name) for name in ("xllamacpp", "gguf", "numpy"))

pytestmark = [pytest.mark.anyio, pytest.mark.foreign]


@contextmanager
def running(*command: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def conversed(provider: Provider, model: str, **more: Any) -> tuple[Completion, Completion]:
    """A turn with calls, and the turn after their results."""
    ask = Request(
        model=f"{provider.name}:{model}", messages=(user("What is the weather?"),), tools=(WEATHER,), **more
    )
    first = await complete(provider, ask)
    results = Message(role="tool", parts=tuple(result(call, "sunny") for call in first.message.tool_calls))
    second = await complete(provider, replace(ask, messages=(*ask.messages, first.message, results)))
    return first, second


# llama.cpp


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not ENGINE:
        pytest.skip("xllamacpp, gguf and numpy are not installed")
    file = tmp_path_factory.mktemp("llama") / "scripted.gguf"
    with running(sys.executable, "-m", "tests.wire.scripted_gguf", str(file), "0") as process:
        assert process.stdout is not None
        yield next(line.strip() for line in process.stdout if line.startswith("http://"))


LLAMA = {
    "chat": ("openai", "/v1", {"api": "chat"}),
    "responses": ("openai", "/v1", {"api": "responses"}),
    "anthropic": ("anthropic", "", {}),
}


def at_llama(address: str, wire: str) -> Provider:
    kind, path, settings = LLAMA[wire]
    provider = open_provider(wire, kind=kind, base_url=address + path, **settings)
    return Retrying(provider, Retry(first_s=0.1))  # its server may drop a connection that is being used again


@pytest.mark.parametrize("wire", LLAMA)
async def test_llama_cpp_calls_tools_and_answers(llama: str, wire: str) -> None:
    with anyio.fail_after(60):
        first, second = await conversed(at_llama(llama, wire), "scripted")
    one, two = first.message.tool_calls
    assert [one.arguments, two.arguments] == [{"city": "Oslo"}, {"city": "Łódź"}] and first.stop == "tool"
    assert second.message.text == "It is sunny in both." and second.stop == "end"
    assert (second.usage.input_tokens or 0) > 50 and second.usage.output_tokens


@pytest.mark.parametrize("target", LLAMA)
@pytest.mark.parametrize("source", LLAMA)
async def test_llama_cpp_takes_conversations_from_each_of_its_wires(
    llama: str, source: str, target: str
) -> None:
    first, _ = await conversed(at_llama(llama, source), "scripted")
    results = Message(
        role="tool", parts=tuple(result(call, "no", is_error=True) for call in first.message.tool_calls)
    )
    history = (user("What is the weather?"), first.message, results)
    request = Request(model=f"{target}:scripted", messages=history, tools=(WEATHER,))
    assert (await complete(at_llama(llama, target), request)).message.text == "It is sunny in both."


async def test_llama_cpp_streams_and_times_its_phases(llama: str) -> None:
    request = Request(model="chat:scripted", messages=(user("Hi"),))
    items = [item async for item in at_llama(llama, "chat").stream(request)]
    done = items[-1]
    assert isinstance(done, Completion) and done.message.text == "Hello from llama.cpp"
    assert len([item for item in items if isinstance(item, Delta)]) > 1
    assert done.usage.prefill_s and done.usage.decode_s and done.raw["timings"]["predicted_n"]


@pytest.mark.parametrize("wire", LLAMA)
async def test_llama_cpp_says_when_the_context_is_too_small(llama: str, wire: str) -> None:
    request = Request(model=f"{wire}:scripted", messages=(user("many words " * 9000),))
    with pytest.raises(ContextTooLong):
        await complete(at_llama(llama, wire), request)


async def test_llama_cpp_lists_its_model_with_the_context(llama: str) -> None:
    (model,) = await models_of(at_llama(llama, "chat"))
    assert model.context_tokens == 8192


# aimock

FIXTURES = {
    "fixtures": [
        {"match": {"hasToolResult": True}, "response": {"content": "It is sunny in both."}},
        {
            "match": {"userMessage": "What is the weather?"},
            "response": {
                "toolCalls": [
                    {"name": "get_weather", "arguments": {"city": "Oslo"}},
                    {"name": "get_weather", "arguments": {"city": "Łódź"}},
                ]
            },
        },
    ]
}
MOCKED = {
    "anthropic": ("anthropic", "", {}),
    "chat": ("openai", "/v1", {"api": "chat"}),
    "responses": ("openai", "/v1", {"api": "responses"}),
    "google": ("google", "", {"api_version": "v1beta"}),
    "bedrock": ("bedrock", "", {"region": "us-east-1"}),
    "ollama": ("ollama", "", {}),
}


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if AIMOCK is None or shutil.which("node") is None:
        pytest.skip("aimock is not installed")
    folder = tmp_path_factory.mktemp("aimock")
    (folder / "fixtures.json").write_text(json.dumps(FIXTURES), encoding="utf-8")
    config = folder / "aimock.json"
    config.write_text(json.dumps({"llm": {"fixtures": str(folder / "fixtures.json")}}), encoding="utf-8")
    with running(AIMOCK, "--config", str(config)) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        yield "http://" + line.partition("http://")[2].split()[0].rstrip("/.")


@pytest.mark.filterwarnings("ignore:FUNCTION_CALL is not a valid FinishReason")  # which is aimock's own
@pytest.mark.parametrize("wire", MOCKED)
async def test_aimock_calls_tools_and_answers(
    aimock: str, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    kind, path, settings = MOCKED[wire]
    provider = open_provider(wire, kind=kind, base_url=aimock + path, **settings)
    with anyio.fail_after(60):
        first, second = await conversed(provider, "any")
    assert [call.arguments for call in first.message.tool_calls] == [{"city": "Oslo"}, {"city": "Łódź"}]
    assert (first.stop, second.message.text, second.stop) == ("tool", "It is sunny in both.", "end")
