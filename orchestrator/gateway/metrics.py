"""What the gateway did since it started, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..types import Usage

Labels = tuple[tuple[str, str], ...]
HELP = {
    "requests_total": "Calls by wire, model and status.",
    "tokens_in_total": "Tokens of prompts, as engines and vendors counted them.",
    "tokens_out_total": "Tokens of answers, as engines and vendors counted them.",
    "seconds_total": "Seconds from a call to its end.",
}


@dataclass(slots=True)
class Metrics:
    in_flight: int = 0
    counts: dict[str, Counter[Labels]] = field(default_factory=lambda: {name: Counter() for name in HELP})

    def answered(self, wire: str, model: str, status: str, seconds: float, usage: Usage) -> None:
        """`status`: an HTTP status, "cut" where the client left, or "broken" after the answer had begun."""
        labels = (("wire", wire), ("model", model))
        self.counts["requests_total"][(*labels, ("status", status))] += 1
        self.counts["seconds_total"][labels] += seconds  # type: ignore[assignment]  # a Counter adds floats as well
        self.counts["tokens_in_total"][labels] += usage.input_tokens or 0
        self.counts["tokens_out_total"][labels] += usage.output_tokens or 0

    def text(self, gauges: Mapping[str, float]) -> str:
        lines = list[str]()
        for name, value in {"in_flight": self.in_flight, **gauges}.items():
            lines += [f"# TYPE understudy_gateway_{name} gauge", f"understudy_gateway_{name} {value:g}"]
        for name, counts in self.counts.items():
            full = f"understudy_gateway_{name}"
            lines += [f"# HELP {full} {HELP[name]}", f"# TYPE {full} counter"]
            lines += [f"{full}{{{_written(labels)}}} {value:.10g}" for labels, value in counts.items()]
        return "\n".join(lines) + "\n"


def _written(labels: Labels) -> str:
    return ",".join(f'{name}="{label(value)}"' for name, value in labels)


def label(value: str) -> str:
    """As it stands between the quotes of a label."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
