"""R13: one small conversation with a tool, word for word as each vendor gets it."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot

from orchestrator.providers import complete
from orchestrator.types import Message, Request, ToolCall, assistant, result, user
from tests.wire.stub import Stub
from tests.wire.wires import WEATHER, opened

pytestmark = pytest.mark.anyio

CALL = ToolCall(id="c1", name="get_weather", arguments={"city": "Łódź"})
HISTORY = (
    user("Sunny?"),
    assistant("I look.", CALL),
    Message(role="tool", parts=(result(CALL, "no", is_error=True),)),
)


async def sent(stub: Stub, wire: str) -> dict[str, Any]:
    request = Request(
        model=f"{wire}:stub-text",
        messages=HISTORY,
        system="Be brief.",
        tools=(WEATHER,),
        tool_choice="any",
        max_tokens=99,
    )
    await complete(opened(stub, wire), request)
    return stub.sent


async def test_anthropic(stub: Stub) -> None:
    assert await sent(stub, "anthropic") == snapshot(
        {
            "max_tokens": 99,
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Sunny?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Łódź"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "c1",
                            "is_error": True,
                            "content": [{"type": "text", "text": "no"}],
                        }
                    ],
                },
            ],
            "model": "stub-text",
            "stream": True,
            "system": "Be brief.",
            "tool_choice": {"type": "any"},
            "tools": [
                {
                    "name": "get_weather",
                    "description": "Weather of a city.",
                    "input_schema": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                        "required": ["city"],
                    },
                }
            ],
        }
    )


async def test_openai_responses(stub: Stub) -> None:
    assert await sent(stub, "responses") == snapshot(
        {
            "model": "stub-text",
            "stream": True,
            "include": ["reasoning.encrypted_content"],
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Sunny?"}]},
                {"role": "assistant", "content": "I look."},
                {
                    "type": "function_call",
                    "call_id": "c1",
                    "name": "get_weather",
                    "arguments": '{"city": "Łódź"}',
                },
                {
                    "type": "function_call_output",
                    "call_id": "c1",
                    "output": [{"type": "input_text", "text": "ERROR"}, {"type": "input_text", "text": "no"}],
                },
            ],
            "instructions": "Be brief.",
            "max_output_tokens": 99,
            "store": False,
            "tool_choice": "required",
            "tools": [
                {
                    "type": "function",
                    "name": "get_weather",
                    "description": "Weather of a city.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                        "required": ["city"],
                    },
                    "strict": False,
                }
            ],
        }
    )


async def test_openai_chat(stub: Stub) -> None:
    assert await sent(stub, "chat") == snapshot(
        {
            "model": "stub-text",
            "stream": True,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Sunny?"},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city": "Łódź"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "ERROR: no"},
            ],
            "max_tokens": 99,
            "stream_options": {"include_usage": True},
            "tool_choice": "required",
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "description": "Weather of a city.",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                            "required": ["city"],
                        },
                    },
                }
            ],
        }
    )


async def test_google(stub: Stub) -> None:
    assert await sent(stub, "google") == snapshot(
        {
            "contents": [
                {"parts": [{"text": "Sunny?"}], "role": "user"},
                {
                    "parts": [
                        {"text": "I look."},
                        {
                            "functionCall": {"id": "c1", "args": {"city": "Łódź"}, "name": "get_weather"},
                            "thoughtSignature": "skip_thought_signature_validator",
                        },
                    ],
                    "role": "model",
                },
                {
                    "parts": [
                        {"functionResponse": {"id": "c1", "name": "get_weather", "response": {"error": "no"}}}
                    ],
                    "role": "user",
                },
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}], "role": "user"},
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "description": "Weather of a city.",
                            "name": "get_weather",
                            "parameters_json_schema": {
                                "type": "object",
                                "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                                "required": ["city"],
                            },
                        }
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "generationConfig": {"maxOutputTokens": 99},
        }
    )


async def test_bedrock(stub: Stub) -> None:
    assert await sent(stub, "bedrock") == snapshot(
        {
            "messages": [
                {"role": "user", "content": [{"text": "Sunny?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"text": "I look."},
                        {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Łódź"}}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"toolResult": {"toolUseId": "c1", "status": "error", "content": [{"text": "no"}]}}
                    ],
                },
            ],
            "system": [{"text": "Be brief."}],
            "inferenceConfig": {"maxTokens": 99},
            "toolConfig": {
                "tools": [
                    {
                        "toolSpec": {
                            "name": "get_weather",
                            "inputSchema": {
                                "json": {
                                    "type": "object",
                                    "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                                    "required": ["city"],
                                }
                            },
                            "description": "Weather of a city.",
                        }
                    }
                ],
                "toolChoice": {"any": {}},
            },
        }
    )


async def test_ollama(stub: Stub) -> None:
    assert await sent(stub, "ollama") == snapshot(
        {
            "model": "stub-text",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Sunny?"},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "tool_calls": [
                        {
                            "id": "c1",
                            "function": {"index": 0, "name": "get_weather", "arguments": {"city": "Łódź"}},
                        }
                    ],
                },
                {"role": "tool", "tool_name": "get_weather", "tool_call_id": "c1", "content": "ERROR: no"},
            ],
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {"num_ctx": 4096, "num_predict": 99},
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "get_weather",
                        "description": "Weather of a city.",
                        "parameters": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
                            "required": ["city"],
                        },
                    },
                }
            ],
        }
    )


@pytest.mark.parametrize(
    ("model", "most"),
    [("claude-opus-5-5", 16_000), ("claude-3-5-sonnet-20241022", 8192), ("claude-3-opus-20240229", 4096)],
)
async def test_anthropic_demands_a_cap_and_older_models_write_less(stub: Stub, model: str, most: int) -> None:
    provider = opened(stub, "anthropic")
    await complete(provider, Request(model=f"anthropic:{model}", messages=(user("Hi"),)))
    assert stub.sent["max_tokens"] == most


async def test_anthropic_gets_no_words_after_a_call(stub: Stub) -> None:
    turn = assistant("I look.", CALL, "Soon more.", origin="anthropic:stub-text")
    history = (user("Sunny?"), turn, Message(role="tool", parts=(result(CALL, "yes"),)))
    request = Request(model="anthropic:stub-text", messages=history, tools=(WEATHER,))
    await complete(opened(stub, "anthropic"), request)
    kinds = [block["type"] for block in stub.sent["messages"][1]["content"]]
    assert kinds == ["text", "text", "tool_use"]
