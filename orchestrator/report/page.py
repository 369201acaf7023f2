"""The report as one HTML file: its plots, tables and their library inside it; it asks no server for anything.

Plotly draws: it is alive, works in a page without a network, and reads in light and dark by the page's own style.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from math import ceil, floor, log10
from typing import Any

from servers.durations import duration

from ..errors import ConfigError

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --faint: #5b6570; --line: #d8dde3 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e6e9ec; --faint: #9aa4ae; --line: #333a41 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .25rem }
p { margin: .25rem 0; color: var(--faint) }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)) }
.plot { min-width: 0; overflow: hidden } .wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% } td, th { padding: .3rem .6rem; text-align: right;
  border-bottom: 1px solid var(--line); white-space: nowrap } td:first-child, th:first-child { text-align: left }
@media (max-width: 600px) { table { font-size: .8rem } td, th { padding: .3rem .2rem } th { white-space: normal }
  td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 6rem } }
.js-plotly-plot text { fill: var(--ink) !important }
.js-plotly-plot .gridlayer path, .js-plotly-plot .zerolinelayer path { stroke: var(--line) !important }
"""
_FIT = """addEventListener("load", () =>
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.Plots.resize(plot)))"""
"""Plots drawn while the page was still being read do not know how wide their place is."""
_LAYOUT: dict[str, Any] = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 56, "r": 12, "t": 12, "b": 48},
    "height": 340,
    "legend": {"orientation": "h", "y": -0.25},
}


def page(figures: Mapping[str, Any]) -> str:
    """The whole document. Raises ConfigError without plotly."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as exc:
        raise ConfigError(
            "a report needs plotly; pip install 'understudy[report]' brings it, or in a clone of the repository '.[report]'"
        ) from exc
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    plots = "".join(
        [
            _plot("Forecast against measured", _forecasts(figures["forecasts"])),
            _plot("Forecasts over time", _coverage(figures["coverage"])),
            _plot("Reading speed by depth", _speeds(figures["speeds"], "reads_per_s")),
            _plot("Writing speed by depth", _speeds(figures["speeds"], "writes_per_s")),
        ]
    )
    body = [
        f"<h1>Understudy report</h1><p>{made}</p>",
        f'<div class="plots">{plots}</div>',
        _timeline(figures["timeline"]),
        _table("Gates by kind of task", figures["odds"], _ODDS),
        _table("Advice that was followed", _named(figures["advice"], "action"), _ADVICE),
        _table("Batches", [_batch(one) for one in figures["batches"]], _BATCHES),
        _table("What models cost", figures["cost"], _COST),
        _saved(figures["savings"]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Understudy report</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><script>{get_plotlyjs()}</script></head><body>{''.join(body)}"
        f"<script>{_FIT}</script></body></html>\n"
    )


def _plot(title: str, data: tuple[list[dict[str, Any]], dict[str, Any]]) -> str:
    from plotly.graph_objects import Figure

    traces, axes = data
    if not traces:
        return f'<div class="plot"><h2>{title}</h2><p>Nothing was measured yet.</p></div>'
    figure = Figure(data=traces, layout={**_LAYOUT, **axes})
    drawn = figure.to_html(
        full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False}
    )
    return f'<div class="plot"><h2>{title}</h2>{drawn}</div>'


def _forecasts(points: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One mark a run with its 90 % interval, by model and where the seconds come from; on the line it was exact."""
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [one["measured_s"] for one in own],
            "y": [one["forecast_s"] for one in own],
            "error_y": {
                "symmetric": False,
                "thickness": 1,
                "width": 0,
                "array": [max((one["high_s"] or one["forecast_s"]) - one["forecast_s"], 0) for one in own],
                "arrayminus": [
                    max(one["forecast_s"] - (one["low_s"] or one["forecast_s"]), 0) for one in own
                ],
            },
        }
        for name, own in _by_model(points).items()
    ]
    if traces:
        ends = [one[key] for one in points for key in ("measured_s", "forecast_s") if one[key] > 0]
        line = {"dash": "dot", "color": "#8a949e"}
        exact = [min(ends), max(ends)]
        traces.append(
            {"type": "scatter", "mode": "lines", "name": "exact", "x": exact, "y": exact, "line": line}
        )
    axes = {
        "xaxis": log_axis("measured s", [one["measured_s"] for one in points]),
        "yaxis": log_axis(
            "forecast s", [one[key] for one in points for key in ("low_s", "forecast_s", "high_s")]
        ),
    }
    return traces, axes


def _coverage(points: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    at = [datetime.fromtimestamp(one["at"], UTC).isoformat() for one in points]
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines+markers", "name": name, "x": at, "y": [one[key] for one in points]}
        for key, name in (("inside", "inside the 90 % interval"), ("error", "median error"))
    ]
    axes = {
        "yaxis": {"tickformat": ".0%", "range": [0, 1.05], "title": "of the last 20"},
        "xaxis": {"type": "date"},
    }
    return (traces if points else []), axes


def _speeds(points: Sequence[Mapping[str, Any]], key: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    known = [one for one in points if one[key]]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [one["tokens_in"] for one in own],
            "y": [one[key] for one in own],
        }
        for name, own in _by_model(known).items()
    ]
    axes = {
        "xaxis": log_axis("prompt tokens", [one["tokens_in"] for one in known]),
        "yaxis": {"rangemode": "tozero", "title": "tokens/s"},
    }
    return traces, axes


def log_axis(title: str, values: Sequence[float | None]) -> dict[str, Any]:
    """A logarithmic axis whose marks are whole numbers: plotly alone writes the 2 of 20 and the 2 of 2,000 alike."""
    found = [value for value in values if value and value > 0]
    axis = {"type": "log", "title": title}
    if not found:
        return axis
    first, last = floor(log10(min(found))), ceil(log10(max(found)))
    decades = log10(max(found) / min(found))
    steps = (1, 2, 5) if decades < 1.6 else (1, 3) if decades < 3 else (1,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return {**axis, "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def _timeline(timeline: Mapping[str, Any] | None) -> str:
    if not timeline or not timeline["calls"]:
        return "<h2>Who was asked</h2><p>No model was asked in a conversation yet.</p>"
    calls = timeline["calls"]
    start = min(one["at"] - (one["seconds"] or 0) for one in calls)
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [escape(_who(one)) for one in calls],
        "x": [one["seconds"] or 0 for one in calls],
        "base": [one["at"] - (one["seconds"] or 0) - start for one in calls],
        "text": [_call(one) for one in calls],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": ["#c4554d" if one["error"] else "#4c78a8" for one in calls]},
    }
    axes = {
        "xaxis": {"title": "seconds"},
        "yaxis": {"automargin": True, "autorange": "reversed", "ticklabelstandoff": 6},
        "barmode": "overlay",
        "height": 90 + 40 * len(set(trace["y"])),
    }
    table = _table("", calls, _CALLS)
    return _plot(f"Who was asked in “{escape(timeline['title'])}”", ([trace], axes)) + table


def _who(one: Mapping[str, Any]) -> str:
    """One row for each agent and model, so that the members of a panel stand under each other."""
    model = str(one["model"]).partition(":")[2] or str(one["model"])
    role = "" if one["role"] == one["agent"] else f" ({one['role']})"
    return f"{one['agent']}{role}, {model if len(model) <= 24 else model[:23] + '…'}"


def _call(one: Mapping[str, Any]) -> str:
    price = "price unknown" if one["cost_usd"] is None else f"${one['cost_usd']:.4f}"
    took = _seconds(one["seconds"])
    return escape(f"{one['model']}: {took}, {price}{', failed' if one['error'] else ''}")


def _by_model(points: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """By model, host and provenance, as a legend names them."""
    found = dict[str, list[Mapping[str, Any]]]()
    for one in points:
        name = f"{one['model']} on {one['host'].removesuffix(' (simulated)')}, {one['provenance']}"
        found.setdefault(escape(name), []).append(one)
    return found


Columns = Sequence[tuple[str, str, Callable[[Any], str]]]


def _table(title: str, rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
    heading = f"<h2>{title}</h2>" if title else ""
    if not rows:
        return f"{heading}<p>Nothing yet.</p>" if title else ""
    head = "".join(f"<th>{name}</th>" for _, name, _ in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(shown(row[key]))}</td>" for key, _, shown in columns) + "</tr>"
        for row in rows
    )
    return f'{heading}<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _batch(one: Mapping[str, Any]) -> dict[str, Any]:
    """A batch as a row: how many of its orders have come how far."""
    counts = one["counts"]
    other = {state: number for state, number in counts.items() if state not in ("done", "failed")}
    return {
        "batch": f"{one['id']} ({one['in']})",
        "orders": sum(counts.values()),
        "done": counts.get("done", 0),
        "failed": counts.get("failed", 0),
        "other": ", ".join(f"{number:,} {state}" for state, number in sorted(other.items())) or "-",
    }


def _saved(saved: Mapping[str, Any]) -> str:
    heading = "<h2>What delegating saved</h2>"
    if not saved["delegations"]:
        return f"{heading}<p>No lead of a conversation has handed work on yet.</p>"
    return (
        f"{heading}<p>{saved['delegations']:,} delegations by leads, {saved['failed']:,} failed, "
        f"{saved['unknown']:,} without known prices. The others would have cost the leads "
        f"{_usd(saved['would_have_cost_usd'])}; {_usd(saved['spent_usd'])} was spent on them: net "
        f"{_usd(saved['net_usd'])}.</p>"
    )


def _named(found: Mapping[str, Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{name: key, **values} for key, values in found.items()]


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s" if abs(value) < 100 else duration(value)


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}".replace("$-", "-$")


_ODDS: Columns = [
    ("model", "model", str), ("kind", "kind", str), ("runs", "runs", _count),
    ("passed", "passed", _count), ("failed", "failed", _count), ("odds", "odds", _share),
]  # fmt: skip
_ADVICE: Columns = [
    ("action", "advice", str), ("runs", "followed", _count), ("saved_s", "saved (median)", _seconds),
    ("helped", "helped", _share), ("median_error", "off by", _share),
]  # fmt: skip
_BATCHES: Columns = [
    ("batch", "batch", str), ("orders", "orders", _count), ("done", "done", _count), ("failed", "failed", _count),
    ("other", "others", str),
]  # fmt: skip
_COST: Columns = [
    ("key", "model", str), ("calls", "calls", _count), ("failed", "failed", _count),
    ("input_tokens", "tokens in", _count), ("output_tokens", "tokens out", _count), ("cost_usd", "known cost", _usd),
]  # fmt: skip
_CALLS: Columns = [
    ("model", "model", str), ("agent", "agent", str), ("role", "role", str), ("seconds", "took", _seconds),
    ("tokens_in", "tokens in", _count), ("tokens_out", "tokens out", _count), ("cost_usd", "cost", _usd),
]  # fmt: skip
