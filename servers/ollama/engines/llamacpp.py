"""A llama.cpp server: one model, exact token counts before a run, and the `timings` object after it.

Source: llama.cpp's tools/server README and server-common.h. Its context size is fixed when it starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, cast

import anyio

from ..ledger.profile import Outcome, from_llamacpp, from_ollama
from .connection import Connection, Served
from .http import json_object
from .protocol import Answer, EngineError, Model, Query, Said
from .stream import Arriving, error_text


class LlamaCpp(Served):
    """A Runtime on one base URL. `key` is the server's API key, where it wants one."""

    def __init__(self, url: str, *, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else None
        super().__init__(Connection(url, kind="llama.cpp", start="llama-server", headers=headers))
        self._ask = self._connection.ask

    async def engine(self) -> str:
        return "llamacpp"

    async def models(self) -> list[Model]:
        listed: object = (await self._ask("GET", "/v1/models")).get("data")
        entries = cast("list[object]", listed) if isinstance(listed, list) else []
        room = await self._context()
        return [_model(cast("dict[str, Any]", entry), room) for entry in entries if isinstance(entry, dict)]

    async def model(self, name: str) -> Model:
        known = await self.models()
        found = next((model for model in known if model.name == name), None)
        if found is None:
            raise EngineError(f"no model {name[:80]!r} here; there is {', '.join(m.name for m in known)}")
        return found

    async def count(self, query: Query) -> int | None:
        """By the server's own template and tokenizer."""
        rendered = await self._ask("POST", "/apply-template", _templated(query))
        asked = {"content": rendered.get("prompt"), "add_special": True, "parse_special": True}
        tokens: object = (await self._ask("POST", "/tokenize", asked)).get("tokens")
        return len(cast("list[object]", tokens)) if isinstance(tokens, list) else None

    async def chat(self, query: Query, said: Said) -> Answer:
        run = Arriving(said)
        with anyio.move_on_after(query.timeout_s):
            await self._connection.run("/v1/chat/completions", body_of(query), run, _take)
            return _answer(query, run)
        run.stopped(query.timeout_s)
        return _answer(query, run)

    async def _context(self) -> int | None:
        settings: object = (await self._ask("GET", "/props")).get("default_generation_settings")
        room = cast("dict[str, object]", settings).get("n_ctx") if isinstance(settings, dict) else None
        return room if isinstance(room, int) and room > 0 else None


def body_of(query: Query) -> dict[str, object]:
    """The request of one run."""
    body: dict[str, object] = {
        **_templated(query),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": max(query.num_predict, 1),
        "temperature": query.temperature,
        "seed": query.seed,
        "cache_prompt": True,
    }
    if query.schema is not None:
        schema = {"name": "answer", "schema": query.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _templated(query: Query) -> dict[str, object]:
    return {"messages": list(query.messages), "chat_template_kwargs": {"enable_thinking": query.think}}


def _take(run: Arriving, line: bytes) -> bool:
    """Take one line of the event stream; true when it was the last."""
    if not line.startswith(b"data:"):
        if line.startswith((b":", b"event:", b"id:", b"retry:")):
            return False
        return run.failed("the server sent a line that is no event")
    data = line[5:].strip()
    if data == b"[DONE]":
        return True
    item = json_object(data)
    if item is None:
        return run.failed("the server sent an event that is not a JSON object")
    if "error" in item:
        run.final = item
        return run.failed(f"the engine stopped during the run: {error_text(json.dumps(item))}")
    if "timings" in item or "usage" in item:
        run.final = {**run.final, **{k: v for k, v in item.items() if k != "choices"}}
    choices: object = item.get("choices")
    for choice in cast("list[object]", choices) if isinstance(choices, list) else []:
        _hear(run, cast("dict[str, Any]", choice) if isinstance(choice, dict) else {})
    return run.endless


def _hear(run: Arriving, choice: Mapping[str, Any]) -> None:
    delta: object = choice.get("delta")
    if isinstance(delta, dict):
        said = cast("dict[str, object]", delta)
        run.hear(said.get("reasoning_content"), thinking=True)
        run.hear(said.get("content"), thinking=False)
    if choice.get("finish_reason"):
        run.final = {**run.final, "finish_reason": choice["finish_reason"]}


def _answer(query: Query, run: Arriving) -> Answer:
    text, thinking = "".join(run.text), "".join(run.thinking)
    reason = run.final.get("finish_reason")
    ended: Outcome = "length" if reason == "length" else "done" if reason else "aborted"
    outcome = run.outcome or ended
    if outcome == "aborted" and run.error is None:
        run.error = "the stream ended without its end: the server gave the run up"
    timings: object = run.final.get("timings")
    if outcome == "overflow":  # the error's own numbers are read as Ollama's are
        profile = from_ollama(
            run.final, model=query.model, outcome=outcome, wall_s=run.wall_s, num_ctx=query.num_ctx
        )
    else:
        profile = from_llamacpp(
            cast("dict[str, object]", timings) if isinstance(timings, dict) else {},
            model=query.model,
            outcome=outcome,
            wall_s=run.wall_s,
            first_token_s=run.first_token_s,
            load_s=0.0,
            num_ctx=query.num_ctx,
            thinking_chars=len(thinking),
            answer_chars=len(text),
        )
    return Answer(text=text, profile=profile, error=run.error, raw=run.final)


def _model(entry: Mapping[str, Any], room: int | None) -> Model:
    path = str(entry.get("id") or "model")
    meta: object = entry.get("meta")
    known = cast("dict[str, object]", meta) if isinstance(meta, dict) else {}
    size, params = known.get("size"), known.get("n_params")
    name = PurePath(path).name.removesuffix(".gguf")
    return Model(
        name=name,
        digest=f"llamacpp:{name}:{size}",
        size_bytes=size if isinstance(size, int) else None,
        parameters=f"{params / 1e9:.2g}B" if isinstance(params, int) else None,
        quantization=str(known["ftype"]) if "ftype" in known else None,
        context_length=room,
        info={"general.parameter_count": params} if isinstance(params, int) else {},
        loaded=True,
        loaded_ctx=room,
    )
