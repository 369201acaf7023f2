"""The vendors' own SDKs, pointed at the gateway, get whole answers of models that run here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import anyio
import httpx2
import ollama
import openai
import pytest

from orchestrator.config.load import Config
from orchestrator.config.models import ProviderSettings
from orchestrator.errors import ConfigError
from orchestrator.events import Event, Foreseen
from orchestrator.gateway.serving import listener, serving
from orchestrator.store.store import Store
from servers.ollama.ledger.ledger import Ledger
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

pytestmark = pytest.mark.anyio
SMALL = SimulatedModel(name="small:latest", answer_tokens=40.0, answer_spread=0.0)
CALL = {"content": "", "tool_calls": [{"name": "read", "arguments": {"path": "a.txt"}}]}
SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}


def reads_then_says(body: Mapping[str, Any]) -> str | Mapping[str, Any]:
    """A model that reads a file and says what stood in it."""
    if "tools" not in body:
        return "Hello."
    last = body["messages"][-1]
    return f"It says {last['content']}." if last["role"] == "tool" else CALL


@asynccontextmanager
async def gateway(
    answers: Any = None, *, scale: float = 0.0, world: World | None = None, **more: Any
) -> AsyncGenerator[str]:
    world = world or World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    world.answers = answers
    config = more.pop("config", None) or Config()
    async with simulated(world, scale=scale) as url:
        local = config.providers.get("ollama", ProviderSettings()).model_copy(update={"base_url": url})
        providers = {**config.providers, "ollama": local}
        config = config.model_copy(update={"providers": providers})
        bound = listener("127.0.0.1", 0, more.get("token"))
        async with serving(config, bound, **more) as at:
            yield at


async def test_the_anthropic_sdk_completes_a_turn_with_a_tool() -> None:
    async with (
        gateway(reads_then_says) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="none") as client,
    ):
        tools: Any = [{"name": "read", "description": "Read a file.", "input_schema": SCHEMA}]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        first = await client.messages.create(
            model="ollama:small", max_tokens=500, messages=asked, tools=tools
        )
        (call,) = first.content
        assert first.stop_reason == "tool_use" and call.type == "tool_use" and call.input == {"path": "a.txt"}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "hello"}
        asked += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        async with client.messages.stream(
            model="ollama:small", max_tokens=500, messages=asked, tools=tools
        ) as stream:
            said = [text async for text in stream.text_stream]
            last = await stream.get_final_message()
    assert "".join(said) == "It says hello." == last.content[0].text  # type: ignore[union-attr]
    assert (last.stop_reason, last.model) == ("end_turn", "ollama:small")
    assert last.usage.input_tokens > 0 and last.usage.output_tokens > 0


async def test_the_openai_sdk_completes_a_turn_with_a_tool_over_chat_completions() -> None:
    async with (
        gateway(reads_then_says) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        tools: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        async with client.chat.completions.stream(
            model="ollama:small", messages=asked, tools=tools
        ) as stream:
            async for _ in stream:
                pass
            first = (await stream.get_final_completion()).choices[0]
        assert first.finish_reason == "tool_calls" and first.message.tool_calls
        (call,) = first.message.tool_calls
        assert json.loads(call.function.arguments) == {"path": "a.txt"}
        asked += [first.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "hello"}]
        last = await client.chat.completions.create(model="ollama:small", messages=asked, tools=tools)
    assert (last.choices[0].message.content, last.choices[0].finish_reason) == ("It says hello.", "stop")
    assert last.usage and last.usage.completion_tokens > 0


async def test_the_openai_sdk_completes_a_turn_with_a_tool_over_responses() -> None:
    async with (
        gateway(reads_then_says) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        tools: Any = [{"type": "function", "name": "read", "parameters": SCHEMA, "strict": False}]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        async with client.responses.stream(model="ollama:small", input=asked, tools=tools) as stream:
            async for _ in stream:
                pass
            first = await stream.get_final_response()
        call = first.output[-1]
        assert call.type == "function_call" and json.loads(call.arguments) == {"path": "a.txt"}
        asked += [
            call.to_dict(),
            {"type": "function_call_output", "call_id": call.call_id, "output": "hello"},
        ]
        last = await client.responses.create(model="ollama:small", input=asked, tools=tools)
        async with client.responses.stream(model="ollama:small", input=asked, tools=tools) as stream:
            said = "".join([e.delta async for e in stream if e.type == "response.output_text.delta"])
    assert said == last.output_text == "It says hello." and last.status == "completed"


async def test_tools_in_a_namespace_reach_the_model_and_their_calls_come_back_in_it() -> None:
    def reads_there(body: Mapping[str, Any]) -> str | Mapping[str, Any]:
        last, name = body["messages"][-1], body["tools"][0]["function"]["name"]
        said = f"{name} says {last['content']}." if last["role"] == "tool" else ""
        return said or {"content": "", "tool_calls": [{"name": name, "arguments": {"path": "a.txt"}}]}

    async with (
        gateway(reads_there) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        read = {"type": "function", "name": "read", "parameters": SCHEMA, "strict": False}
        written = {"type": "custom", "name": "note"}
        tools: Any = [
            {"type": "namespace", "name": "mcp__files", "description": "Files.", "tools": [read, written]}
        ]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        async with client.responses.stream(model="ollama:small", input=asked, tools=tools) as stream:
            async for _ in stream:
                pass
            call = (await stream.get_final_response()).output[-1]
        assert call.type == "function_call" and (call.namespace, call.name) == ("mcp__files", "read")
        asked += [
            call.to_dict(),
            {"type": "function_call_output", "call_id": call.call_id, "output": "hello"},
        ]
        last = await client.responses.create(model="ollama:small", input=asked, tools=tools)
    assert last.output_text == "mcp__files__read says hello."


async def test_the_ollama_client_completes_a_turn_with_a_tool_and_sees_the_timings() -> None:
    async with gateway(reads_then_says) as url, ollama.AsyncClient(host=url) as client:
        tools: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        first = await client.chat("small", messages=asked, tools=tools)
        assert first.message.tool_calls and first.message.tool_calls[0].function.arguments == {
            "path": "a.txt"
        }
        asked += [first.message, {"role": "tool", "tool_name": "read", "content": "hello"}]
        lines = [line async for line in await client.chat("small", messages=asked, tools=tools, stream=True)]
        assert "".join(line.message.content or "" for line in lines) == "It says hello."
        assert lines[-1].done and lines[-1].eval_count and lines[-1].eval_duration
        said = await client.generate("small", prompt="Hello")
        assert said.done and said.response == "Hello."
        assert [model.model for model in (await client.list()).models] == ["small:latest"]
        assert (await client.show("small")).modelinfo


async def test_every_call_reaches_the_ledger_and_one_conversation_of_the_journal() -> None:
    async with gateway(reads_then_says) as url, ollama.AsyncClient(host=url) as client:
        tools: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}]
        asked: list[Any] = [{"role": "user", "content": "What does a.txt say?"}]
        first = await client.chat("small", messages=asked, tools=tools)
        asked += [first.message, {"role": "tool", "tool_name": "read", "content": "hello"}]
        second = await client.chat("small", messages=asked, tools=tools)
        asked += [second.message, {"role": "user", "content": "Thanks."}]
        await client.chat("small", messages=asked, tools=tools)
        await client.chat("small", messages=[{"role": "user", "content": "Something else."}])
    with Ledger.open() as ledger:
        runs = ledger.runs(last=10)
    assert len(runs) == 4 and all(run.profile.tokens_out and run.kind == "lead" for run in runs)
    store = Store()
    kept = {session.title: session for session in store.sessions()}
    assert kept.keys() == {"What does a.txt say?", "Something else."}
    talk = kept["What does a.txt say?"]
    said = store.history(talk.id)
    assert [message.role for message in said] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert said[3].text == "It says hello."
    store.close()


async def test_what_could_not_be_written_yet_is_written_as_the_gateway_ends() -> None:
    store = Store()
    async with gateway() as url, ollama.AsyncClient(host=url) as client:
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await client.chat("small", messages=[{"role": "user", "content": "Hello?"}])
        other.close()
    (session,) = store.sessions()
    assert [message.role for message in store.history(session.id)] == ["user", "assistant"]
    store.close()


async def test_a_call_written_as_text_arrives_as_a_call_and_not_as_text() -> None:
    printed = 'I will look. <tool_call>{"name": "read", "arguments": {"path": "a.txt"}}</tool_call>'
    async with (
        gateway(lambda body: printed) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="none") as client,
    ):
        tools: Any = [{"name": "read", "input_schema": SCHEMA}]
        async with client.messages.stream(
            model="ollama:small",
            max_tokens=500,
            messages=[{"role": "user", "content": "Read a.txt"}],
            tools=tools,
        ) as stream:
            said = "".join([text async for text in stream.text_stream])
            whole = await stream.get_final_message()
    assert said.strip() == "I will look."
    assert [block.type for block in whole.content] == ["text", "tool_use"]


async def test_a_model_is_described_under_the_name_it_is_asked_for() -> None:
    async with (
        gateway() as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as one,
        anthropic.AsyncAnthropic(base_url=url, api_key="none") as other,
    ):
        assert (await one.models.retrieve("ollama:small")).owned_by == "ollama"
        assert (await other.models.retrieve("ollama:small:latest")).id == "ollama:small:latest"
        with pytest.raises(
            openai.NotFoundError, match=r"no model ollama:gone; there are ollama:small:latest"
        ):
            await one.models.retrieve("ollama:gone")


async def test_a_local_call_is_forecast_once_calls_like_it_were_measured() -> None:
    heard: list[Event] = []
    async with (
        gateway(lambda body: "hello " * 5, scale=0.15, emit=heard.append) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        with anyio.fail_after(60):
            while not any(isinstance(event, Foreseen) and event.total_s is not None for event in heard):
                asked: Any = [{"role": "user", "content": f"hi {len(heard)}"}]
                await client.chat.completions.create(model="ollama:small", messages=asked)


async def test_errors_come_in_the_words_of_each_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "k")
    config = Config(budget_usd=0.000001)
    async with (
        gateway(config=config) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as chat,
    ):
        asked: list[Any] = [{"role": "user", "content": "Hello"}]
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none") as messages:
            with pytest.raises(anthropic.NotFoundError, match=r"nosuch.*is not installed"):
                await messages.messages.create(model="ollama:nosuch", max_tokens=9, messages=asked)
            with pytest.raises(anthropic.NotFoundError, match="no provider is known"):
                await messages.messages.create(model="gibberish", max_tokens=9, messages=asked)
            with pytest.raises(anthropic.BadRequestError, match="messages"):
                await messages.messages.create(model="ollama:small", max_tokens=9, messages=[])
        with pytest.raises(openai.NotFoundError) as missing:
            await chat.chat.completions.create(model="ollama:nosuch", messages=asked)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.RateLimitError) as poor:  # no other kind says that the money is spent
            await chat.chat.completions.create(model="openrouter:dear/model", messages=asked)
        picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        with pytest.raises(openai.BadRequestError, match="data: URL"):
            await chat.chat.completions.create(
                model="ollama:small",
                messages=[{"role": "user", "content": [picture]}],  # type: ignore[list-item]
            )
        with pytest.raises(openai.BadRequestError, match="no response is kept here"):
            await chat.responses.create(model="ollama:small", input="hi", previous_response_id="resp_1")
        async with ollama.AsyncClient(host=url) as client:
            with pytest.raises(ollama.ResponseError, match="not installed") as native:
                await client.chat("nosuch", messages=asked)
        assert native.value.status_code == 404
    assert poor.value.code == "insufficient_quota"


@pytest.mark.parametrize(
    ("method", "path", "status", "place", "said"),
    [
        ("GET", "/v1/messages", 405, ("error", "type"), "invalid_request_error"),
        ("GET", "/v1/messages/batches", 404, ("error", "type"), "not_found_error"),
        ("POST", "/v1/models", 405, ("error", "code"), "method_not_supported"),
        ("POST", "/v1/audio/speech", 404, ("error", "code"), None),
        ("OPTIONS", "/v1/responses", 405, ("error", "code"), "method_not_supported"),
        ("DELETE", "/api/chat", 405, ("error",), "there is no DELETE /api/chat here; it takes POST"),
    ],
)
async def test_a_wrong_method_or_path_is_told_in_the_words_of_each_vendor(
    method: str, path: str, status: int, place: tuple[str, ...], said: str | None
) -> None:
    async with gateway() as url, httpx2.AsyncClient(base_url=url) as client:
        answer = await client.request(method, path)
        assert answer.status_code == status and ("allow" in answer.headers) == (status == 405)
        found = answer.json()
        for key in place:
            found = found[key]
        assert found == said


async def test_what_would_be_answered_otherwise_than_it_was_asked_is_refused() -> None:
    asked = {"model": "ollama:small", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    tool: dict[str, Any] = {"name": "a", "input_schema": {"type": "object"}}
    chat, messages = "/v1/chat/completions", "/v1/messages"
    wrong: list[tuple[str, dict[str, Any], str]] = [
        (messages, {"max_tokens": 0}, "max_tokens"),
        (chat, {"max_tokens": 0}, "max_tokens"),
        (messages, {"tools": [tool], "tool_choice": {"type": "tool", "name": "b"}}, r"offered (a)"),
        (chat, {"tool_choice": "sometimes"}, "tool_choice"),
        (chat, {"response_format": {"type": "yaml"}}, "response_format"),
    ]
    async with gateway() as url, httpx2.AsyncClient(base_url=url) as client:
        for path, more, said in wrong:
            answer = await client.post(path, json={**asked, **more})
            assert answer.status_code == 400 and said in answer.json()["error"]["message"], answer.text


async def test_tokens_are_counted_on_both_wires_that_count() -> None:
    turn: Any = [{"role": "user", "content": "how many? " * 50}]
    async with (
        gateway() as at,
        anthropic.AsyncAnthropic(base_url=at, api_key="none") as messages,
        openai.AsyncOpenAI(base_url=f"{at}/v1", api_key="none") as responses,
    ):
        counted = await messages.messages.count_tokens(model="ollama:small", messages=turn)
        other = await responses.responses.input_tokens.count(model="ollama:small", input=turn)
    assert other.input_tokens == counted.input_tokens > 100


async def test_a_picture_that_is_none_is_refused_on_every_wire() -> None:
    bad: Any = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo@"}
    url = f"data:image/png;base64,{bad['data']}"
    async with gateway() as at, httpx2.AsyncClient(base_url=at) as client:
        for path, key, message in (
            ("/v1/messages", "messages", {"content": [{"type": "image", "source": bad}]}),
            (
                "/v1/chat/completions",
                "messages",
                {"content": [{"type": "image_url", "image_url": {"url": url}}]},
            ),
            ("/v1/responses", "input", {"content": [{"type": "input_image", "image_url": url}]}),
            ("/api/chat", "messages", {"content": "", "images": [bad["data"]]}),
        ):
            body = {"model": "ollama:small", "max_tokens": 9, key: [{"role": "user", **message}]}
            refused = await client.post(path, json=body)
            assert refused.status_code == 400 and "wanted a picture as base64" in refused.text, path


async def test_a_failure_in_mid_answer_reaches_every_client_as_a_failure() -> None:
    asked: list[Any] = [{"role": "user", "content": "Hello"}]
    world = World(machine=Machine(SMALL, noise=Noise(spread=0.0)))
    async with gateway(world=world, config=Config(providers={"ollama": ProviderSettings(retries=0)})) as url:
        world.faults += ["error", "error", "error"]
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as messages:
            with pytest.raises(anthropic.APIStatusError):
                async with messages.messages.stream(
                    model="ollama:small", max_tokens=99, messages=asked
                ) as stream:
                    await stream.get_final_message()
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as chat:
            with pytest.raises(openai.APIError):
                async for _ in await chat.chat.completions.create(
                    model="ollama:small", messages=asked, stream=True
                ):
                    pass
        async with ollama.AsyncClient(host=url) as client:
            with pytest.raises(ollama.ResponseError):
                async for _ in await client.chat("small", messages=asked, stream=True):
                    pass


async def test_an_answer_cut_within_its_thoughts_has_an_empty_text_and_not_none() -> None:
    thinker = SimulatedModel(name="small:latest", thinking_tokens=2000.0)
    world = World(machine=Machine(thinker, noise=Noise(spread=0.0)))
    async with gateway(world=world) as url, httpx2.AsyncClient(timeout=60) as client:
        asked = {
            "model": "ollama:small",
            "max_tokens": 20,
            "messages": [{"role": "user", "content": "Hello"}],
        }
        choice = (await client.post(f"{url}/v1/chat/completions", json=asked)).json()["choices"][0]
    assert choice["finish_reason"] == "length" and choice["message"]["reasoning_content"]
    assert choice["message"]["content"] == ""


async def test_a_client_that_leaves_frees_the_models_slot() -> None:
    config = Config(providers={"ollama": ProviderSettings(max_parallel=1)})
    body = {"model": "ollama:small", "max_tokens": 4000, "messages": [{"role": "user", "content": "Hello"}]}
    slow = SimulatedModel(name="small:latest", answer_tokens=3000.0, answer_spread=0.0)
    world = World(machine=Machine(slow, noise=Noise(spread=0.0)))
    async with (
        gateway(world=world, config=config, scale=1.0) as url,
        httpx2.AsyncClient(timeout=60) as client,
    ):
        async with client.stream("POST", f"{url}/v1/messages", json=body | {"stream": True}) as answer:
            async for line in answer.aiter_lines():
                if "content_block_delta" in line:
                    break
        with anyio.move_on_after(1.0):
            await client.post(f"{url}/v1/messages", json=body)
        with anyio.fail_after(60):
            while (await client.get(f"{url}/health")).json()["in_flight"]:
                await anyio.lowlevel.checkpoint()
        assert 'status="cut"} 2' in (await client.get(f"{url}/metrics")).text
    with Ledger.open() as ledger:
        assert {run.profile.outcome for run in ledger.runs(last=5)} == {"cancelled"}


@asynccontextmanager
async def vendor() -> AsyncGenerator[tuple[str, list[Any]]]:
    """A vendor that answers everything with a recorded stream, and keeps what it was asked."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    heard: list[Any] = []

    async def answer(request: Request) -> Response:
        heard.append((request.url.path, dict(request.headers), await request.json()))
        return Response(b"event: ping\ndata: {}\n\n", 201, {"request-id": "req_1"}, "text/event-stream")

    import uvicorn

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    bound = listener("127.0.0.1", 0, None)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [bound])
        yield f"http://127.0.0.1:{bound.getsockname()[1]}", heard
        server.should_exit = True


async def test_a_vendors_own_model_passes_through_byte_for_byte_with_the_callers_key() -> None:
    async with vendor() as (at, heard), httpx2.AsyncClient() as client:
        config = Config(providers={name: ProviderSettings(base_url=at) for name in ("anthropic", "openai")})
        async with gateway(config=config) as url:
            body = b'{ "model": "claude-opus-5-5", "odd": [1,2] , "messages": []}'
            headers = {"x-api-key": "sk-mine", "anthropic-beta": "b1", "content-type": "application/json"}
            answer = await client.post(f"{url}/v1/messages?beta=true", content=body, headers=headers)
            assert (answer.status_code, answer.headers["request-id"]) == (201, "req_1")
            assert answer.text == "event: ping\ndata: {}\n\n"
            key = {"authorization": "Bearer sk-other"}
            await client.post(f"{url}/v1/responses", json={"model": "openai:gpt-6"}, headers=key)
            keyless = await client.post(f"{url}/v1/messages", content=body)
    (path, sent, asked), (other_path, other_sent, other_asked) = heard
    assert path == "/v1/messages" and asked["odd"] == [1, 2]
    assert (sent["x-api-key"], sent["anthropic-beta"]) == ("sk-mine", "b1")
    assert (other_path, other_asked) == ("/responses", {"model": "gpt-6"})
    assert other_sent["authorization"] == "Bearer sk-other"
    assert keyless.status_code == 401 and "your own key" in keyless.json()["error"]["message"]


async def test_the_token_opens_the_gateway_and_never_reaches_a_vendor() -> None:
    body = {"model": "claude-opus-5-5", "messages": []}
    async with vendor() as (at, heard), httpx2.AsyncClient() as client:
        config = Config(providers={"anthropic": ProviderSettings(base_url=at)})
        async with gateway(config=config, token="sesame") as url:
            for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer sesam"}):
                assert (await client.get(f"{url}/health", headers=headers)).status_code == 401
            assert (await client.get(f"{url}/health", headers={"x-api-key": "sesame"})).status_code == 200
            both = {"x-understudy-token": "sesame", "x-api-key": "sk-mine"}
            await client.post(f"{url}/v1/messages", json=body, headers=both)
            alone = await client.post(f"{url}/v1/messages", json=body, headers={"x-api-key": "sesame"})
    ((_, sent, _),) = heard
    assert alone.status_code == 401 and "x-understudy-token" in alone.text
    assert "sesame" not in str(sent) and sent["x-api-key"] == "sk-mine"


async def test_web_pages_and_names_made_to_point_here_are_refused() -> None:
    async with gateway() as url, httpx2.AsyncClient() as client:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            refused = await client.get(f"{url}/v1/models", headers=headers)
            assert refused.status_code == 403, headers
        assert (await client.get(f"{url}/v1/models", headers={"origin": url})).status_code == 200


def test_an_address_that_others_reach_wants_a_token() -> None:
    with pytest.raises(ConfigError, match="UNDERSTUDY_GATEWAY_TOKEN"):
        listener("0.0.0.0", 0, None)
    listener("0.0.0.0", 0, "sesame").close()


async def test_routes_aliases_and_groups_answer_under_their_own_names() -> None:
    providers = {"safe": ProviderSettings(fallback=("ollama:nosuch", "ollama:small"))}
    config = Config(aliases={"worker": "ollama:small"}, providers=providers)
    routes = [("claude-haiku-*", "worker")]
    asked: list[Any] = [{"role": "user", "content": "Hello"}]
    async with (
        gateway(lambda body: "Hello.", config=config, routes=routes) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="none") as messages,
    ):
        for name in ("claude-haiku-4-5", "worker", "safe", "ollama:small"):
            done = await messages.messages.create(model=name, max_tokens=99, messages=asked)
            assert done.model == name and done.content[0].text == "Hello."  # type: ignore[union-attr]
        listed = [model.id async for model in messages.models.list()]
        counted = await messages.messages.count_tokens(model="worker", messages=asked)
    assert {"worker", "safe", "ollama:small:latest"} <= set(listed) and counted.input_tokens > 0


async def test_a_long_conversation_stays_one_however_few_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("orchestrator.gateway.conversations.MAX_OPEN", 2)
    async with gateway(lambda body: CALL) as url, ollama.AsyncClient(host=url) as client:
        tools: Any = [{"type": "function", "function": {"name": "read", "parameters": SCHEMA}}]
        asked: list[Any] = [{"role": "user", "content": "Read on."}]
        for number in range(5):
            answer = await client.chat("small", messages=asked, tools=tools)
            asked += [answer.message, {"role": "tool", "tool_name": "read", "content": f"page {number}"}]
    store = Store()
    (kept,) = store.sessions()
    roles = [message.role for message in store.history(kept.id)]
    store.close()
    assert roles == ["user", *(["assistant", "tool"] * 4), "assistant"]
