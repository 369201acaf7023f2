"""A sink that turns events into OpenTelemetry spans and metrics, by the conventions for generative AI.

A run is `invoke_agent`, a call of a model `chat`, a call of a tool `execute_tool`. While a run or a tool is under way
its span is the current one of the task, so what the MCP client sends along joins the servers' own spans to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from servers.protocol.telemetry import TelemetryError, begin

from .errors import ConfigError
from .events import Called, Event, RunEnded, RunStarted, ToolFinished, ToolStarted

Attributes = dict[str, Any]


class Telemetry:
    """Made by `open_telemetry`."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self.flush = flush
        self._tracer = trace.get_tracer("understudy")
        meter = metrics.get_meter("understudy")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", unit="s")
        self._open: dict[str, tuple[Span, Any]] = {}  # by run, or run and call

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                asked = {
                    "gen_ai.agent.name": event.agent,
                    "gen_ai.agent.id": event.run,
                    **_model(event.model),
                }
                self._begin(
                    event.run, f"invoke_agent {event.agent}", "invoke_agent", asked | _labels(event.labels)
                )
            case ToolStarted():
                called = {"gen_ai.tool.name": event.call.name, "gen_ai.tool.call.id": event.call.id}
                key = f"{event.run}/{event.call.id}"
                self._begin(key, f"execute_tool {event.call.name}", "execute_tool", called)
            case ToolFinished():
                error = "tool_error" if event.result.is_error else None
                self._end(f"{event.run}/{event.result.call_id}", error)
            case Called():
                self._called(event)
            case RunEnded():
                self._end(event.run, event.error, _usage(event.usage.input_tokens, event.usage.output_tokens))
            case _:
                pass

    def _begin(self, key: str, name: str, operation: str, attributes: Attributes) -> None:
        span = self._tracer.start_span(
            name, kind=SpanKind.INTERNAL, attributes={"gen_ai.operation.name": operation, **attributes}
        )
        self._open[key] = (span, context.attach(trace.set_span_in_context(span)))

    def _end(self, key: str, error: str | None, attributes: Attributes | None = None) -> None:
        if (opened := self._open.pop(key, None)) is None:
            return
        span, token = opened
        span.set_attributes(attributes or {})
        if error:
            span.set_attribute("error.type", error if " " not in error else "error")
            span.set_status(StatusCode.ERROR, error[:500])
        span.end()
        with suppress(ValueError):  # a run that was broken off elsewhere ends in another task
            context.attach(context.get_current())
            context.detach(token)

    def _called(self, event: Called) -> None:
        """A call is told when it is over, so its span is made afterwards, with the time at which it began."""
        end = time.time_ns()
        attributes = {"gen_ai.operation.name": "chat", **_model(event.model), **_labels(event.labels)}
        usage = _usage(event.usage.input_tokens, event.usage.output_tokens)
        cost = {} if event.usage.cost_usd is None else {"understudy.cost_usd": event.usage.cost_usd}
        failed = {} if event.error is None else {"error.type": "error"}
        span = self._tracer.start_span(
            f"chat {attributes['gen_ai.request.model']}",
            kind=SpanKind.CLIENT,
            start_time=end - int(event.seconds * 1e9),
            attributes=attributes | usage | cost | failed,
        )
        if event.error is not None:
            span.set_status(StatusCode.ERROR, event.error[:500])
        span.end(end)
        self._duration.record(event.seconds, attributes | failed)
        for kind in ("input", "output"):
            if (tokens := usage.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                self._tokens.record(tokens, attributes | {"gen_ai.token.type": kind})


def open_telemetry(endpoint: str) -> Telemetry:
    """What sends to the OTLP endpoint. Raises ConfigError where the packages are missing."""
    try:
        flush = begin("understudy", endpoint)
    except TelemetryError as exc:
        raise ConfigError(str(exc)) from exc
    assert flush is not None
    return Telemetry(flush)


def _model(model: str) -> Attributes:
    provider, _, name = model.partition(":")
    known = {"google": "gcp.gemini", "bedrock": "aws.bedrock", "xai": "x_ai", "mistral": "mistral_ai"}
    return {"gen_ai.provider.name": known.get(provider, provider), "gen_ai.request.model": name or provider}


def _usage(into: int | None, out: int | None) -> Attributes:
    figures = {"gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out}
    return {key: value for key, value in figures.items() if value is not None}


def _labels(labels: Any) -> Attributes:
    return {f"understudy.label.{key}": value for key, value in labels.items()}
