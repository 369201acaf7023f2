"""Print what models took so far as Prometheus text, for a scrape job or a textfile collector."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..gateway.metrics import label
from . import options as common

if TYPE_CHECKING:
    from ..store.costs import Spent

EXAMPLES = """\
examples:
  understudy metrics
  understudy metrics > /var/lib/node_exporter/understudy.prom
  UNDERSTUDY_TELEMETRY=http://127.0.0.1:4318 understudy run "..."      traces and metrics to a collector, as it happens
"""


def add(parser: argparse.ArgumentParser) -> None:
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ..store.costs import spent
    from ..store.database import Database

    database = Database()
    try:
        lines = spent(database, "model")
    finally:
        database.close()
    if options.json:
        common.print_json({"models": [asdict(line) for line in lines]})
    else:
        sys.stdout.write(prometheus(lines))
    return 0


_METRICS = (
    ("understudy_model_calls_total", "Calls of models, tries that failed included.", "calls"),
    ("understudy_model_calls_failed_total", "Calls that failed.", "failed"),
    ("understudy_model_input_tokens_total", "Tokens read, where reported.", "input_tokens"),
    ("understudy_model_cached_tokens_total", "Of them, read from a vendor's cache.", "cached_tokens"),
    ("understudy_model_output_tokens_total", "Tokens written, where reported.", "output_tokens"),
    ("understudy_model_cost_usd_total", "US dollars, of calls whose cost is known.", "cost_usd"),
    ("understudy_model_calls_of_unknown_cost_total", "Calls whose cost nobody knows.", "unknown_calls"),
)


def prometheus(lines: list[Spent]) -> str:
    """The text exposition format, version 0.0.4."""
    said: list[str] = []
    for name, meaning, field in _METRICS:
        said += [f"# HELP {name} {meaning}\n", f"# TYPE {name} counter\n"]
        said += [f'{name}{{model="{label(line.key)}"}} {getattr(line, field)}\n' for line in lines]
    return "".join(said)
