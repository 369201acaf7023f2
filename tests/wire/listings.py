"""What the stub answers when asked for models, in every vendor's words."""

from __future__ import annotations

from typing import Any

SUPPORTED = {"supported": True}


def listing(path: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """(body, status) for a path that is no model call."""
    if path == "/ollama/api/embed":
        return {"embeddings": [embedding(text) for text in body["input"]]}, 200
    if path == "/openai/v1/embeddings":
        made = [embedding(text) for text in body["input"]]
        data = [{"object": "embedding", "index": n, "embedding": one} for n, one in enumerate(made)]
        return {
            "object": "list",
            "model": body["model"],
            "data": data,
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }, 200
    if path in LISTINGS:
        return LISTINGS[path], 200
    return {"error": f"the stub has no {path}"}, 404


def embedded(path: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """What an embedding model answers at a path that others share; None at every other."""
    if path.endswith(":batchEmbedContents"):
        texts = [part["text"] for each in body["requests"] for part in each["content"]["parts"]]
        return {"embeddings": [{"values": embedding(text)} for text in texts]}
    if path.endswith("/invoke"):
        if "inputText" in body:
            return {"embedding": embedding(body["inputText"]), "inputTextTokenCount": 1}
        return {
            "embeddings": [embedding(text) for text in body["texts"]],
            "response_type": "embeddings_floats",
        }
    return None


MEANINGS = ({"car", "vehicle", "automobile"}, {"fruit", "apple", "banana"}, {"parser", "grammar", "syntax"})


def embedding(text: str) -> list[float]:
    """How often each of a few meanings occurs: texts without a common word may lie near each other."""
    words = text.lower().replace(".", " ").split()
    return [0.1, *(float(sum(word in meaning for word in words)) for meaning in MEANINGS)]


LISTINGS: dict[str, dict[str, Any]] = {
    "/anthropic/v1/models": {
        "data": [
            {
                "type": "model",
                "id": "stub-text",
                "display_name": "Stub",
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
                "capabilities": {
                    "thinking": SUPPORTED,
                    "image_input": SUPPORTED,
                    "batch": {"supported": False},
                },
            }
        ],
        "has_more": False,
        "first_id": "stub-text",
        "last_id": "stub-text",
    },
    "/openai/v1/models": {
        "object": "list",
        "data": [
            {"id": "stub-text", "object": "model", "created": 1, "owned_by": "stub"},
            {"id": "stub-vllm", "object": "model", "created": 1, "owned_by": "vllm", "max_model_len": 32_768},
            {
                "id": "stub.gguf",
                "object": "model",
                "created": 1,
                "owned_by": "me",
                "meta": {"n_ctx": 8192, "size": 42},
            },
        ],
    },
    "/ollama/api/tags": {"models": [{"name": "stub-text:latest", "model": "stub-text:latest", "size": 42}]},
    "/ollama/api/show": {
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": ["completion", "tools", "thinking", "vision"],
    },
    "/ollama/api/ps": {"models": [{"name": "stub-loaded:latest", "size": 42, "context_length": 16_384}]},
    "/google/v1/models": {
        "models": [
            {
                "name": "models/stub-text",
                "displayName": "Stub",
                "inputTokenLimit": 1_048_576,
                "outputTokenLimit": 65_536,
                "supportedGenerationMethods": ["generateContent"],
                "thinking": True,
            },
            {"name": "models/stub-embed", "supportedGenerationMethods": ["embedContent"]},
        ]
    },
    "/bedrock/foundation-models": {
        "modelSummaries": [
            {
                "modelId": "stub-text",
                "modelArn": "arn:aws:bedrock:us-east-1::foundation-model/stub-text",
                "inputModalities": ["TEXT", "IMAGE"],
                "outputModalities": ["TEXT"],
            }
        ]
    },
    "/bedrock/inference-profiles": {
        "inferenceProfileSummaries": [
            {
                "inferenceProfileId": "us.stub-text",
                "inferenceProfileName": "US stub",
                "inferenceProfileArn": "arn:aws:bedrock:us-east-1::inference-profile/us.stub-text",
                "models": [],
                "status": "ACTIVE",
                "type": "SYSTEM_DEFINED",
            }
        ]
    },
}
