"""Answers of Chat Completions as its many servers really send them: chunk by chunk, or whole where no stream was made."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from servers.ollama.ledger.profile import from_llamacpp

from ..errors import ProviderError
from ..types import Completion, Delta, Stop, Usage
from .assembler import Assembly
from .error_mapping import failure, vendor_words
from .sanitize import count, sane

STOPS: dict[str, Stop] = {
    "stop": "end",
    "tool_calls": "tool",
    "tool_use": "tool",
    "function_call": "tool",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "sensitive": "refusal",
    "refusal": "refusal",
}
BROKEN = ("error", "network_error", "insufficient_system_resource", "abort")
"""The server gave up in the middle of the answer."""


async def read(parts: Assembly, chunks: Any) -> AsyncGenerator[Delta | Completion]:
    reading = Reading(parts)
    async for chunk in chunks:
        if isinstance(chunk, Mapping):
            for delta in reading.take(cast("Mapping[str, Any]", chunk)):
                yield delta
    yield reading.done()


class Reading:
    """One answer, from objects of the wire. SDKs do not check what servers send: everything is looked at here."""

    def __init__(self, parts: Assembly) -> None:
        self.parts = parts
        self._usage, self._timings, self._reason = Usage(), None, ""
        self._counted = False  # the last chunk came, which carries the usage alone
        self._calls: dict[Any, _Call] = {}  # the open one by the server's index
        self._begun = 0

    def take(self, chunk: Mapping[str, Any]) -> Iterator[Delta]:
        if chunk.get("object") == "error" or (chunk.get("error") and not chunk.get("choices")):
            message, code = vendor_words(chunk, "the server reported an error")
            raise failure(self.parts.provider, None, message, code=code)
        choices = chunk.get("choices") or ()
        if isinstance(said := chunk.get("usage"), Mapping):
            self._usage, self._counted = _usage(said), not choices
        self._timings = chunk.get("timings") or self._timings  # llama.cpp's server
        for choice in choices:
            for form in (choice.get("delta"), choice.get("message")):
                if isinstance(form, Mapping):
                    yield from self._message(form)
            self._reason = choice.get("finish_reason") or self._reason

    def done(self) -> Completion:
        """Raises ProviderError when the end was not announced, or was that of a server that gave up."""
        if self._reason in BROKEN:
            raise ProviderError(
                self.parts.provider, f"the server gave up in the middle: {self._reason}", retryable=True
            )
        if not self._reason and not self._counted:
            self.parts.cut()
        usage = self._usage
        if self._timings:
            profile = from_llamacpp(self._timings, model="")
            usage = replace(usage, prefill_s=profile.prefill_s, decode_s=profile.decode_s)
        return Completion(
            message=self.parts.message(),
            usage=usage,
            stop=self.parts.stop(self._reason, STOPS),
            raw={"timings": sane(self._timings)} if self._timings else {},
        )

    def _message(self, said: Mapping[str, Any]) -> Iterator[Delta]:
        for field in ("reasoning_content", "reasoning"):
            if isinstance(thought := said.get(field), str) and thought:
                yield self.parts.thinking((0, 0), thought)
                break
        for thinking, text in _pieces(said.get("content")):
            yield self.parts.thinking((0, 0), text) if thinking else self.parts.text((1, 0), text)
        if isinstance(refusal := said.get("refusal"), str) and refusal:
            yield self.parts.text((1, 0), refusal)
        given: Any = said.get("tool_calls")
        calls: list[Any] = given if isinstance(given, list) else []
        for place, call in enumerate(calls):
            if isinstance(call, Mapping):
                self._call(call, place if call.get("index") is None and len(calls) > 1 else call.get("index"))
        if isinstance(legacy := said.get("function_call"), Mapping) and not calls:
            self._call({"function": legacy}, None)

    def _call(self, call: Mapping[str, Any], index: Any) -> None:
        """A piece of a call. Several may come under one index: a new one begins where the last is complete."""
        function = call.get("function")
        held = function if isinstance(function, Mapping) else call
        id, name, written = call.get("id") or "", held.get("name") or "", held.get("arguments")
        piece = written if isinstance(written, str) else "" if written is None else json.dumps(written)
        if not (id or name or piece):
            return
        open_call = self._calls.get(index)
        if open_call and piece and piece == open_call.written and id in ("", open_call.id):
            return  # what was said in pieces, said once more as a whole
        if open_call is None or open_call.ends_before(id, name, piece, self.parts.names):
            name = name or (open_call.name if open_call else "")
            open_call = self._calls[index] = _Call(key=(2, self._begun))
            self._begun += 1
        open_call.grow(self.parts, id, name, piece)


class _Call:
    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key
        self.id = self.name = self.written = ""

    def ends_before(self, id: str, name: str, piece: str, names: Mapping[str, str]) -> bool:
        """Whether these are of another call: another id with a name, or more where this one is whole."""
        if id and self.id and id != self.id and name:
            return True
        anew, other = piece.lstrip().startswith("{"), bool(name and self.name and name != self.name)
        if not anew and not other:
            return False
        whole = _object(self.written)
        if whole and (other or anew):
            return True
        return other and (whole is not None or (self.name + name not in names and name in names))

    def grow(self, parts: Assembly, id: str, name: str, piece: str) -> None:
        if name and self.name and name != self.name and self.name + name in parts.names:
            name = self.name + name  # a name that comes in pieces
            parts.rename(self.key, name)
        if not self.name or not parts.has(self.key) or id:
            parts.call(self.key, name, id=id or None)
        self.id, self.name = id or self.id, name or self.name
        if not piece:
            return
        if len(self.written) < 8 and _object(self.written) == {} and piece.lstrip().startswith("{"):
            self.written = ""  # some servers begin with an empty object
            parts.replace(self.key, "")
        self.written += piece
        parts.arguments(self.key, piece)


def _object(written: str) -> dict[str, Any] | None:
    """The JSON object that `written` is; None while it is none."""
    if not written.rstrip().endswith("}"):
        return None
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _pieces(content: Any) -> Iterator[tuple[bool, str]]:
    """(whether it is thinking, its text) of a content that is text, or a list of chunks as Mistral's thinking models send."""
    if isinstance(content, str):
        if content:
            yield False, content
        return
    for chunk in content if isinstance(content, list) else [content] if isinstance(content, Mapping) else ():
        if isinstance(chunk, str):
            yield from _pieces(chunk)
        elif isinstance(chunk, Mapping):
            inner = chunk.get("thinking") or chunk.get("reasoning")
            if chunk.get("type") in ("thinking", "reasoning") or inner:
                yield from ((True, text) for _, text in _pieces(inner or chunk.get("text")))
            else:
                yield from _pieces(chunk.get("text"))


def _usage(said: Mapping[str, Any]) -> Usage:
    prompt, completion = (
        held if isinstance(held := said.get(key), Mapping) else {}
        for key in ("prompt_tokens_details", "completion_tokens_details")
    )
    return Usage(
        input_tokens=count(said.get("prompt_tokens")),
        cached_tokens=count(prompt.get("cached_tokens")),
        cache_write_tokens=count(prompt.get("cache_write_tokens")),
        output_tokens=count(said.get("completion_tokens")),
        thinking_tokens=count(completion.get("reasoning_tokens")),
    )
