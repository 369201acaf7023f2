"""Requests and answers in the words of Gemini's generate_content."""

from __future__ import annotations

import base64
import re
from typing import Any

from google.genai import types as gt

from ..types import Delta, Image, JsonObject, Part, Request, Stop, Text, Thinking, ToolCall, ToolResult, Usage
from .answer_schemas import GEMINI, fitting
from .assembler import Assembly
from .portable_history import sides

STOPS: dict[str, Stop] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "ESCALATION",
            "MODEL_ARMOR",
        ),
        "refusal",
    ),
}
MALFORMED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    }
)
UNSIGNED = base64.urlsafe_b64decode("skip_thought_signature_validator")
"""What Gemini 3 and later take in place of the signature that a call of another model cannot have."""


class Reader:
    """Puts streamed parts in their place. A signed part is one of its own: it may not be joined to a neighbour."""

    def __init__(self, parts: Assembly) -> None:
        self.parts = parts
        self.key = 0
        self.open: str | None = None  # the kind of part that still grows

    def read(self, part: gt.Part) -> Delta | None:
        signature = base64.b64encode(part.thought_signature).decode() if part.thought_signature else None
        if call := part.function_call:
            self._next(None)
            self.parts.call(self.key, call.name or "", id=call.id, arguments=dict(call.args or {}))
            self.parts.seal(self.key, "tool_call", signature=signature)
            return None
        if part.text is None or not (part.text or signature):
            return None
        kind = "thinking" if part.thought else "text"
        if signature or self.open != kind:
            self._next(None if signature else kind)
        if signature:
            self.parts.seal(self.key, kind, signature=signature)
        if not part.text:
            return None
        return (self.parts.thinking if part.thought else self.parts.text)(self.key, part.text)

    def _next(self, kind: str | None) -> None:
        self.key += 1
        self.open = kind


def config_of(request: Request) -> gt.GenerateContentConfig:
    """The SDK's own tool loop and its silent second requests are off."""
    tools = [
        gt.FunctionDeclaration(
            name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
        )
        for tool in request.tools
    ]
    fields: dict[str, Any] = {
        "system_instruction": request.system or None,
        "temperature": request.temperature,
        "max_output_tokens": request.max_tokens,
        "tools": [gt.Tool(function_declarations=tools)] if tools else None,
        "tool_config": _choice(request.tool_choice) if tools and request.tool_choice else None,
        "thinking_config": _thinking(request),
        "automatic_function_calling": gt.AutomaticFunctionCallingConfig(disable=True),
        "automatic_continuation": False,
    }
    if request.schema:
        fields |= {"response_mime_type": "application/json", "response_json_schema": _form(request.schema)}
    own = {
        key: value for key, value in request.options.items() if key in gt.GenerateContentConfig.model_fields
    }
    beside = {key: value for key, value in request.options.items() if key not in own}
    if beside:
        fields["http_options"] = gt.HttpOptions(extra_body=beside)
    return gt.GenerateContentConfig(**{k: v for k, v in (fields | own).items() if v is not None})


def _form(schema: JsonObject) -> dict[str, Any]:
    fit = fitting(schema, GEMINI)
    return dict(schema) if fit is None else fit


def contents_of(request: Request) -> list[gt.Content]:
    signs = not re.match(r"(models/)?gemini-[12]\D", request.model_name)
    out: list[gt.Content] = []
    for role, parts in sides(request.messages):
        made = [wire for part in parts if (wire := _part(part)) is not None]
        first = next((wire for wire in made if wire.function_call), None)
        if signs and first and not first.thought_signature:
            first.thought_signature = UNSIGNED
        out.append(gt.Content(role="model" if role == "assistant" else "user", parts=made))
    return out


def usage_of(said: gt.GenerateContentResponseUsageMetadata | None) -> Usage | None:
    """Every chunk carries the sum so far. Thoughts are counted beside the answer here, within it in ours."""
    if said is None:
        return None
    written, thought = said.candidates_token_count, said.thoughts_token_count
    return Usage(
        input_tokens=said.prompt_token_count,
        cached_tokens=said.cached_content_token_count,
        output_tokens=None if written is None and thought is None else (written or 0) + (thought or 0),
        thinking_tokens=thought,
    )


def _part(part: Part) -> gt.Part | None:
    match part:
        case Text():
            return gt.Part(text=part.text, thought_signature=_signature(part))
        case Thinking():
            signature = _signature(part)
            return gt.Part(text=part.text, thought=True, thought_signature=signature) if signature else None
        case Image():
            return gt.Part(inline_data=gt.Blob(data=base64.b64decode(part.data), mime_type=part.mime))
        case ToolCall():
            call = gt.FunctionCall(id=part.id, name=part.name, args=dict(part.arguments))
            return gt.Part(function_call=call, thought_signature=_signature(part))
        case ToolResult():
            images = [
                gt.FunctionResponsePart(
                    inline_data=gt.FunctionResponseBlob(data=base64.b64decode(p.data), mime_type=p.mime)
                )
                for p in part.content
                if isinstance(p, Image)
            ]
            said = {"error" if part.is_error else "output": part.text}
            return gt.Part(
                function_response=gt.FunctionResponse(
                    id=part.call_id, name=part.name, response=said, parts=images or None
                )
            )


def _signature(part: Text | Thinking | ToolCall) -> bytes | None:
    written = (part.seal or {}).get("signature")
    return base64.b64decode(written) if written else None


def _choice(choice: str) -> gt.ToolConfig:
    allowed = None if choice == "any" else [choice]
    mode = gt.FunctionCallingConfigMode.ANY
    return gt.ToolConfig(
        function_calling_config=gt.FunctionCallingConfig(mode=mode, allowed_function_names=allowed)
    )


def _thinking(request: Request) -> gt.ThinkingConfig | None:
    if request.think is None:
        return None
    if request.think is False:
        return gt.ThinkingConfig(thinking_budget=0)
    level = None if request.think is True else gt.ThinkingLevel(request.think.upper())
    return gt.ThinkingConfig(include_thoughts=True, thinking_level=level)
