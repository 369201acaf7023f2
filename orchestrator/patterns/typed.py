"""An answer of a type: described to the model, checked, and asked for again with what was wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ..agent import Agent
from ..errors import ConfigError, InvalidAnswer, OrchestratorError, reason
from ..function_tools.signature import no_schema
from ..providers.answer_schemas import IN_WORDS
from ..reply import Reply
from ..types import JsonObject, Message
from .ask import Ask
from .parse import json_in

TRIES = 3
_AGAIN = "That does not fit what was asked for: {wrong}. Write the whole answer again, as JSON alone."


class OutputType:
    """A pydantic model, dataclass, TypedDict or plain type as the form of an answer. Raises ConfigError for others.

    What is no object is asked for as {"value": ...}: vendors take nothing else as a schema.
    """

    def __init__(self, of: Any) -> None:
        self.name = getattr(of, "__name__", str(of))
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(of)
            schema = _rooted(self._adapter.json_schema())
        except PydanticUserError as exc:
            raise ConfigError(f"an answer cannot have the type {self.name}: {no_schema(exc)}") from exc
        except Exception as exc:  # pydantic looks into whatever it is given
            raise ConfigError(f"an answer cannot have the type {self.name}: {reason(exc)}") from exc
        self.wrapped = schema.get("type") != "object"
        self.schema: JsonObject = _closed(_value_of(schema) if self.wrapped else schema)

    def read(self, text: str) -> Any:
        """The value in what the model wrote. Raises ValueError with one sentence."""
        found = json_in(text)
        if found is None:
            if not self.wrapped:
                raise ValueError("there is no JSON in it")
            found = _bare(text.strip())
        if self.wrapped and isinstance(found, dict) and found.keys() == {"value"}:
            found = found["value"]
        try:
            return self._adapter.validate_python(found)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{where + ': ' if where else ''}{first['msg']}") from exc


async def typed(
    ask: Ask,
    agent: Agent,
    prompt: str,
    output_type: Any,
    *,
    history: Sequence[Message] = (),
    has_tools: bool = True,
) -> Reply:
    """The answer with its value as `output`. Raises InvalidAnswer when three tries did not fit.

    Without tools the vendor's own structured output is used from the start; with tools only for the second try, when
    they are no longer offered: some servers make no calls while they are held to a schema.
    """
    form = OutputType(output_type)
    held = replace(agent, tools=(), settings={**agent.settings, "schema": form.schema})
    first = (
        replace(agent, system=f"{agent.system}\n\n{IN_WORDS}\n{json.dumps(form.schema)}".strip())
        if has_tools
        else held
    )
    reply = await ask(first, prompt, history=history)
    tries = [reply]
    while True:
        try:
            return replace(_whole(tries), output=form.read(reply.text))
        except ValueError as exc:
            wrong = str(exc) if reply.stop == "end" else f"{exc} (it ended by {reply.stop})"
        if len(tries) == TRIES:
            break
        done = tuple(message for one in tries for message in one.messages)
        try:
            reply = await ask(held, _AGAIN.format(wrong=wrong), history=(*history, *done))
        except OrchestratorError as exc:
            if isinstance(exc.reply, Reply):
                exc.reply = _whole([*tries, exc.reply])
            else:
                exc.reply = replace(_whole(tries), output=None, error=str(exc))
            raise
        tries.append(reply)
    said = f"{agent.name}: no answer of the type {form.name} in {TRIES} tries: {wrong}"
    failed = InvalidAnswer(said)
    failed.reply = replace(_whole(tries), output=None, error=said)
    raise failed


def _whole(tries: Sequence[Reply]) -> Reply:
    """All tries as one run; the last one's answer."""
    whole = tries[0]
    for one in tries[1:]:
        whole = replace(
            one,
            messages=(*whole.messages, *one.messages),
            usage=whole.usage + one.usage,
            seconds=whole.seconds + one.seconds,
            iterations=whole.iterations + one.iterations,
            recorded=whole.recorded or one.recorded,
            simulated=whole.simulated or one.simulated,
        )
    return whole


def _bare(text: str) -> Any:
    """What is no object as models like to write it: 5, true, "red", or red."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """A type that holds itself as a whole stands at the root, not only among the definitions: vendors look there."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    return {**schema["$defs"][name], "$defs": schema["$defs"]} if name else schema


def _value_of(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {"type": "object", "properties": {"value": inner}, "required": ["value"], **defs}


def _closed(schema: Any) -> Any:
    """Every object says that it takes nothing more, and no titles: several vendors ask for the first. A choice between
    kinds is "anyOf": none of the vendors' ways takes pydantic's "oneOf" with its "discriminator".
    """
    if isinstance(schema, list):
        return [_closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    named = ("properties", "$defs")
    closed = {
        "anyOf" if key == "oneOf" else key: {name: _closed(one) for name, one in value.items()}
        if key in named
        else _closed(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "discriminator" and isinstance(value, dict) and "propertyName" in value)
    }
    if "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
