"""What a simulated Ollama answers: the native API's rules and texts, with a machine's made-up durations.

Modelled on a real server's answers in tests/wire/ollama and on Ollama's server/routes.go and api/types.go.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from ..ledger.runs import RUNNER_OPTIONS
from .machine import Machine, Ran, SimulatedModel

Fault = Literal["abort", "error", "busy", "cut", "hang-up"]
"""abort: the stream ends without `done`. error: an error line in mid-stream. busy: 503. cut: the prompt is
cut in silence whatever was asked. hang-up: the connection breaks in mid-stream."""

Answers = Callable[[Mapping[str, Any]], str | Mapping[str, Any]]
"""From the request's body to what the model says: text, or {content, thinking, tool_calls}."""


class Refused(Exception):
    """An answer other than 200: the status and the error text."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


@dataclass(slots=True)
class World:
    """A simulated server's state: its machine, its version, what its models say, the faults still to come."""

    machine: Machine = field(default_factory=Machine)
    version: str = "0.34.0-simulated"
    """Versions before 0.33.3 do not report cached tokens. Always ends in "-simulated"."""
    answers: Answers | None = None
    """None: filler words, or the smallest value a schema allows, as long as the machine draws."""
    faults: list[Fault] = field(default_factory=list[Fault])
    """For the next requests that reach the engine, one each, the first first."""
    requests: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    """Bodies of the last chat and generate requests."""
    most_at_once: int = 0
    """The most requests for one model that were here at the same time, those that waited for its slot included."""

    def __post_init__(self) -> None:
        if not self.version.endswith("-simulated"):
            self.version += "-simulated"

    def reports_cache(self) -> bool:
        return tuple(int(n) for n in self.version.split("-")[0].split(".")) >= (0, 33, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A checked request, ready for its slot."""

    model: SimulatedModel
    body: Mapping[str, Any]
    generate: bool
    prompt: str
    tokens_in: int
    num_ctx: int
    cap: int
    think: bool
    keep_alive_s: float
    options: Mapping[str, object]
    load_only: bool
    fault: Fault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One run as the wire tells it: pieces in order, and the last object."""

    ran: Ran
    pieces: Sequence[Mapping[str, Any]]
    final: Mapping[str, Any]


def check(world: World, body: Mapping[str, Any], *, generate: bool) -> Order:
    """Everything Ollama refuses before it runs. Raises Refused."""
    name, machine = body.get("model"), world.machine
    if not isinstance(name, str) or (not name and not generate):
        raise Refused(400, "model is required") if not generate else Refused(404, "model '' not found")
    model = machine.model(name)
    if model is None:
        raise Refused(404, f"model '{name}' not found")
    options = _options(body.get("options") or {})
    _check_format(body.get("format"))
    think = body.get("think")
    if think and "thinking" not in model.capabilities:
        raise Refused(400, f'"{name}" does not support thinking')
    if body.get("tools") and "tools" not in model.capabilities:
        raise Refused(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    messages = [m for m in body.get("messages") or [] if isinstance(m, dict)]
    fault = world.faults.pop(0) if world.faults and (body.get("prompt") or messages) else None
    if fault == "busy":
        raise Refused(503, "server busy, please try again.  maximum pending requests exceeded")
    num_ctx = min(cast("int", options.get("num_ctx", 4096)), model.context_length)
    prompt, size = _fitted(world, model, body, messages, num_ctx, generate=generate, cut=fault == "cut")
    asked = cast("int", options.get("num_predict", -1))
    return Order(
        model=model,
        body=body,
        generate=generate,
        prompt=prompt,
        tokens_in=size,
        num_ctx=num_ctx,
        cap=asked if asked > 0 else 10 * num_ctx,
        think="thinking" in model.capabilities if think is None else bool(think),
        keep_alive_s=_seconds(body.get("keep_alive")),
        options={
            k: v
            for k, v in {**options, "num_ctx": num_ctx, "shift": body.get("shift")}.items()
            if k in RUNNER_OPTIONS
        },
        load_only=not (body.get("prompt") if generate else messages),
        fault=fault,
    )


def play(world: World, order: Order) -> Played:
    """Run an order on the machine: the virtual clock moves, the story comes back."""
    machine, model = world.machine, order.model
    thinking_tokens, answer_tokens = machine.answer_length(model, think=order.think)
    said: Mapping[str, Any] = {}
    if world.answers is not None:
        given = world.answers(order.body)
        said = {"content": given} if isinstance(given, str) else given
        answer_tokens = (
            1 + _tokens(model, str(said.get("content", ""))) + 16 * len(said.get("tool_calls", []))
        )
        if "thinking" in said:
            thinking_tokens = _tokens(model, str(said["thinking"])) if order.think else 0
    elif order.body.get("format"):
        said = {"content": json.dumps(_instance(order.body["format"]))}
        answer_tokens = 1 + _tokens(model, said["content"])
    wanted = thinking_tokens + answer_tokens
    room = order.num_ctx - order.tokens_in if order.body.get("shift") is False else wanted
    out = max(min(wanted, order.cap, room), 1)
    ran = machine.run(
        model,
        order.prompt,
        out,
        options=order.options,
        tokens_in=order.tokens_in,
        keep_alive_s=order.keep_alive_s,
    )
    pieces = _pieces(order, said, thinking_tokens, answer_tokens, out)
    return Played(
        ran=ran, pieces=pieces, final=_final(world, order, ran, said, thinking_tokens, cut=out < wanted)
    )


def chunk(order: Order, piece: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the stream before the last."""
    base = {"model": order.body["model"], "created_at": now()}
    if order.generate:
        text = {"response": piece.get("content", "")}
        return {
            **base,
            **text,
            **({"thinking": piece["thinking"]} if "thinking" in piece else {}),
            "done": False,
        }
    return {**base, "message": {"role": "assistant", "content": "", **piece}, "done": False}


def loaded_only(world: World, order: Order) -> tuple[float, dict[str, Any]]:
    """A request without a prompt loads the model, or with keep_alive 0 unloads it; no durations told."""
    base: dict[str, Any] = {"model": order.body["model"], "created_at": now()}
    base |= {"response": ""} if order.generate else {"message": {"role": "assistant", "content": ""}}
    if order.keep_alive_s == 0:
        world.machine.unload(order.model)
        return 0.0, {**base, "done": True, "done_reason": "unload"}
    took = world.machine.load(order.model, order.options)
    world.machine.clock += took
    return took, {**base, "done": True, "done_reason": "load"}


def now(after_s: float = 0.0) -> str:
    """A time stamp as the wire has it."""
    return (datetime.now(UTC) + timedelta(seconds=after_s)).isoformat().replace("+00:00", "Z")


def _options(given: object) -> dict[str, object]:
    options: dict[str, object] = dict(cast("Mapping[str, object]", given)) if isinstance(given, dict) else {}
    for key in ("num_ctx", "num_predict", "num_thread", "num_batch", "num_gpu", "seed", "top_k"):
        value = options.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            if not isinstance(value, float) or not value.is_integer():
                raise Refused(500, f'option "{key}" must be of type integer')
            options[key] = int(value)
    return {key: value for key, value in options.items() if value is not None}


def _check_format(format: object) -> None:
    if format not in (None, "", "json") and not isinstance(format, dict):
        shown = json.dumps(json.dumps(format))
        raise Refused(500, f'invalid format: {shown}; expected "json" or a valid JSON Schema object')


def _fitted(
    world: World,
    model: SimulatedModel,
    body: Mapping[str, Any],
    messages: list[dict[str, Any]],
    num_ctx: int,
    *,
    generate: bool,
    cut: bool,
) -> tuple[str, int]:
    """The prompt that reaches the engine, and its tokens; a long one is refused, dropped or cut as asked."""
    machine = world.machine
    prompt = str(body.get("prompt") or "") if generate else _rendered(body, messages)
    size = machine.tokens(model, prompt)
    if cut:
        return prompt, max(min(size, num_ctx) // 2, 1)
    if size <= num_ctx:
        return prompt, size
    if not generate and body.get("truncate") is not False:
        kept = list(messages)
        while len(kept) > 1 and size > num_ctx:
            oldest = next((i for i, m in enumerate(kept[:-1]) if m.get("role") != "system"), None)
            if oldest is None:
                break
            del kept[oldest]
            prompt = _rendered(body, kept)
            size = machine.tokens(model, prompt)
        if size <= num_ctx:
            return prompt, size
    elif generate and body.get("truncate") is not False and body.get("shift") is not False:
        return prompt[-int(num_ctx / 2 * model.chars_per_token) :], num_ctx // 2
    text = f"request ({size} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    if generate and body.get("truncate") is not False:
        raise Refused(400, text)
    inner = {
        "code": 400,
        "message": text,
        "type": "exceed_context_size_error",
        "n_prompt_tokens": size,
        "n_ctx": num_ctx,
    }
    raise Refused(400, json.dumps({"error": inner}, separators=(",", ":")))


def _rendered(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    tools = json.dumps(body["tools"]) + "\n" if body.get("tools") else ""
    parts: list[str] = []
    for m in messages:
        calls = json.dumps(m["tool_calls"]) if m.get("tool_calls") else ""
        parts.append(f"{m.get('role', '')}\n{m.get('content') or ''}{calls}\n")
    return tools + "".join(parts)


def _pieces(
    order: Order, said: Mapping[str, Any], thinking_tokens: int, answer_tokens: int, out: int
) -> list[dict[str, Any]]:
    """About one piece a token, as many as the cap let through."""
    thought = min(thinking_tokens, out)
    written = (
        out - thought - (1 if out == thinking_tokens + answer_tokens else 0)
    )  # the end token says nothing
    pieces = [{"thinking": piece} for piece in _split(said.get("thinking"), thinking_tokens, thought)]
    return pieces + [
        {"content": piece} for piece in _split(said.get("content"), max(answer_tokens - 1, 1), written)
    ]


def _split(text: object, tokens: int, shown: int) -> list[str]:
    """`text` in `tokens` pieces, the first `shown` of them; filler words without a text."""
    if shown <= 0:
        return []
    if not isinstance(text, str):
        return [_FILLER[i % len(_FILLER)] + " " for i in range(shown)]
    width = max(math.ceil(len(text) / max(tokens, 1)), 1)
    return [text[i : i + width] for i in range(0, len(text), width)][:shown]


def _final(
    world: World, order: Order, ran: Ran, said: Mapping[str, Any], thinking_tokens: int, *, cut: bool
) -> dict[str, Any]:
    out, write_s = ran.tokens_out, ran.write_s
    if order.think and order.body.get("format") and not world.reports_cache():
        hidden = min(thinking_tokens, out - 1)  # two passes, and only the second is told
        out, write_s = out - hidden, write_s * (out - hidden) / out
    last: dict[str, Any] = {"model": order.body["model"], "created_at": now()}
    if order.generate:
        last |= {"response": ""}
    else:
        calls = [] if cut else said.get("tool_calls", [])
        message = {"role": "assistant", "content": ""} | (
            {"tool_calls": _calls(world, calls)} if calls else {}
        )
        last |= {"message": message}
    last |= {"done": True, "done_reason": "length" if cut else "stop"}
    last |= {"context": [1, 2, 3]} if order.generate else {}
    last |= {"total_duration": _ns(ran.total_s), "load_duration": _ns(ran.load_s)}
    last |= {"prompt_eval_count": ran.tokens_in}
    if world.reports_cache():
        last |= {"prompt_eval_cached_count": ran.cached}
    last |= {
        "prompt_eval_duration": _ns(ran.read_s),
        "eval_count": out,
        "eval_duration": max(_ns(write_s), 1000),
    }
    return last


def _calls(world: World, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{world.machine.rng.getrandbits(64):016x}",
            "function": {"index": i, "name": call["name"], "arguments": dict(call.get("arguments", {}))},
        }
        for i, call in enumerate(calls)
    ]


def _instance(schema: object, depth: int = 0) -> object:
    """A small value a JSON Schema allows; "json" is any object."""
    if not isinstance(schema, dict) or depth > 8:
        return {"answer": "simulated"}
    s = cast("Mapping[str, Any]", schema)
    if "const" in s or s.get("enum"):
        return s.get("const", (s.get("enum") or [None])[0])
    kind = s.get("type", "object" if "properties" in s else "string")
    match kind[0] if isinstance(kind, list) and kind else kind:
        case "object":
            wanted = s.get("required", list(s.get("properties", {})))
            return {
                key: _instance(s.get("properties", {}).get(key, {"type": "string"}), depth + 1)
                for key in wanted
            }
        case "array":
            return [_instance(s.get("items", {"type": "string"}), depth + 1)] * max(s.get("minItems", 1), 1)
        case "integer" | "number":
            return s.get("minimum", 1)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "simulated".ljust(s.get("minLength", 0), ".")[: s.get("maxLength", 1000)]


def _seconds(keep_alive: object) -> float:
    """Of a keep_alive: seconds, a Go duration, negative for ever; five minutes when not given."""
    if isinstance(keep_alive, str) and keep_alive:
        units = {"h": 3600.0, "m": 60.0, "s": 1.0}
        number, unit = (
            (keep_alive[:-1], units[keep_alive[-1]]) if keep_alive[-1] in units else (keep_alive, 1.0)
        )
        try:
            value = float(number) * unit
        except ValueError:
            raise Refused(400, f'time: invalid duration "{keep_alive}"') from None
    elif isinstance(keep_alive, int | float) and not isinstance(keep_alive, bool):
        value = float(keep_alive)
    else:
        value = 300.0
    return value if value >= 0 else math.inf


def _tokens(model: SimulatedModel, text: str) -> int:
    return math.ceil(len(text) / model.chars_per_token)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


_FILLER = ("the", "simulated", "model", "says", "nothing", "of", "its", "own", "and", "counts", "words")
