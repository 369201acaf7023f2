"""R60, R119: traces across the process border to a real OTLP endpoint, Prometheus text, the program's own log."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from tests.command import understudy

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """An OTLP endpoint on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: dict[str, list[Any]] = {}  # by service
        self.metrics = set[str]()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = (
                128  # five processes come at once; who finds five waiting would wait a second
            )

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
            return
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            name = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            self.spans.setdefault(name, []).extend(s for scope in resource.scope_spans for s in scope.spans)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def script(folder: Path) -> str:
    call = {"name": "files__read_file", "arguments": {"path": "a.txt"}}
    lines = [{"tool_calls": [call]}, {"text": "It says hello."}]
    (folder / "a.txt").write_text("hello\n")
    (folder / "lead.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "scripted:lead.jsonl"


def test_a_run_is_one_trace_from_the_agent_to_the_server_that_did_the_work(
    tmp_path: Path, collector: Collector
) -> None:
    words = ["run", "--model", script(tmp_path), "--label", "team=red", "Read a.txt", "--json"]
    done = understudy(*words, cwd=tmp_path, env={"UNDERSTUDY_TELEMETRY": collector.url})
    assert done.returncode == 0, done.stderr
    ours = {span.name: span for span in collector.spans["understudy"]}
    run, tool = ours["invoke_agent lead"], ours["execute_tool files__read_file"]
    assert tool.parent_span_id == run.span_id and ours["chat lead.jsonl"].parent_span_id == run.span_id
    assert attributes(run)["gen_ai.operation.name"] == "invoke_agent"
    assert attributes(ours["chat lead.jsonl"])["understudy.label.team"] == "red"
    theirs = [s for name, spans in collector.spans.items() if name != "understudy" for s in spans]
    served = next(span for span in theirs if span.name == "tools/call read_file")
    assert served.trace_id == run.trace_id and served.parent_span_id
    sent = {span.span_id: span for span in collector.spans["understudy"]}[served.parent_span_id]
    assert sent.trace_id == run.trace_id and sent.parent_span_id == tool.span_id
    assert "gen_ai.client.operation.duration" in collector.metrics


def test_without_the_setting_nothing_is_sent_and_nothing_is_loaded(
    tmp_path: Path, collector: Collector
) -> None:
    code = (
        "import sys; from orchestrator.cli import main;"
        f"main(['run', '--model', {script(tmp_path)!r}, 'x', '--json', '--no-tools']);"
        "sys.exit('opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not collector.spans


def test_an_endpoint_that_is_not_there_hinders_no_answer(tmp_path: Path) -> None:
    words = ["run", "--model", script(tmp_path), "Read a.txt", "--quiet"]
    done = understudy(*words, cwd=tmp_path, env={"UNDERSTUDY_TELEMETRY": "http://127.0.0.1:1"})
    assert (done.returncode, done.stdout) == (0, "It says hello.\n")


def test_what_models_took_is_printed_as_prometheus_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--model", script(tmp_path), "--no-tools", "--quiet", "x"]) == 0
    capsys.readouterr()
    assert main(["metrics"]) == 0
    said = capsys.readouterr().out
    assert "# TYPE understudy_model_calls_total counter\n" in said
    assert 'understudy_model_calls_total{model="scripted:lead.jsonl"} 2\n' in said


def test_the_log_says_who_did_what_and_verbose_shows_it(tmp_path: Path, own_state: Path) -> None:
    words = ["run", "--model", script(tmp_path), "--quiet", "Read a.txt"]
    assert understudy(*words, cwd=tmp_path).stderr == ""
    log = own_state / "understudy" / "logs" / "understudy.log"
    text = log.read_text(encoding="utf-8")
    assert "[lead] begins with scripted:lead.jsonl" in text and "a.txt" not in text
    loud = understudy(*words, "--verbose", "--log-level", "debug", cwd=tmp_path).stderr
    assert "[lead] calls files__read_file {'path': 'a.txt'}" in loud and "[lead] ended after" in loud


def test_the_log_is_kept_small(tmp_path: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = own_state / "understudy" / "logs"
    folder.mkdir(parents=True)
    (folder / "understudy.log").write_text("old\n" * 300_000)
    assert main(["run", "--model", script(tmp_path), "--no-tools", "--quiet", "x"]) == 0
    assert (folder / "understudy.log").stat().st_size < 100_000
    assert (folder / "understudy.log.1").read_text().startswith("old")
