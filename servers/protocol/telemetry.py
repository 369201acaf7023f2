"""OpenTelemetry, where one setting asks for it: traces and metrics of a process to an OTLP endpoint.

UNDERSTUDY_TELEMETRY is the endpoint's address, for example http://127.0.0.1:4318; without it nothing is loaded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

VARIABLE = "UNDERSTUDY_TELEMETRY"
FLUSH_S = 3.0  # what has not arrived by then, at the end of a process, is lost
_SDK, _OTLP = "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"  # of the extra `telemetry`
_begun: list[Callable[[], None]] = []


class TelemetryError(Exception):
    """Telemetry was asked for and cannot be had; the message says what would work."""


def begin(service: str, endpoint: str | None = None) -> Callable[[], None] | None:
    """What sends the rest at the end; None where nobody asked for telemetry. A process begins once.

    Raises TelemetryError where the packages are missing.
    """
    endpoint = endpoint or os.environ.get(VARIABLE)
    if not endpoint:
        return None
    if not _begun:
        _begun.append(_opened(service, endpoint.rstrip("/")))
    return _begun[0]


def _opened(service: str, endpoint: str) -> Callable[[], None]:
    try:
        of_spans, of_metrics = (import_module(f"{_OTLP}.{kind}_exporter") for kind in ("trace", "metric"))
        sdk_trace, sdk_export = (import_module(f"{_SDK}.trace{part}") for part in ("", ".export"))
        sdk_metrics, sdk_reader = (import_module(f"{_SDK}.metrics{part}") for part in ("", ".export"))
        resources = import_module(f"{_SDK}.resources")
    except ImportError as exc:
        raise TelemetryError(
            "telemetry is on, and its packages are missing: pip install 'understudy[telemetry]'"
        ) from exc
    resource = resources.Resource.create({"service.name": service, "service.version": version("understudy")})
    spans = sdk_trace.TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = of_spans.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=5)
    spans.add_span_processor(sdk_export.BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    reader = sdk_reader.PeriodicExportingMetricReader(
        of_metrics.OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=5),
        export_interval_millis=10_000,
    )
    meters = sdk_metrics.MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
    from opentelemetry import metrics, trace

    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)

    def send() -> None:
        spans.force_flush()
        meters.force_flush()

    def flush() -> None:
        sender = threading.Thread(target=send, daemon=True)  # it tries for longer, whatever time it is given
        sender.start()
        sender.join(FLUSH_S)

    return flush
