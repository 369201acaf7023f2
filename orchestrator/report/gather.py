"""The figures of a report, read from the ledger and the journal: plain values that become JSON as they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from servers.ollama.ledger.ledger import MAX_RUNS, Ledger, LedgerError
from servers.ollama.ledger.runs import CALIBRATION, Run, Totals, provenance_of
from servers.ollama.reports.advice_outcomes import outcomes_of

from ..errors import RunError
from ..store.costs import savings, spent
from ..store.store import Store

WINDOW = 20
"""Runs behind each point of the coverage over time."""


def gathered(*, last: int, since: float, session: str | None) -> dict[str, Any]:
    """Everything a report shows. `since` in seconds since 1970; `session`: whose timeline, None the newest's.

    Raises RunError when the ledger cannot be read, ConfigError for a session that is not there.
    """
    try:
        ledger = Ledger.open()
        try:
            runs = [run for run in ledger.runs(last=min(last, MAX_RUNS)) if run.at >= since]
            totals = ledger.summary()
        finally:
            ledger.close()
    except LedgerError as exc:
        raise RunError(str(exc)) from exc
    store = Store()
    try:
        return {
            "forecasts": _forecasts(runs),
            "coverage": _coverage(runs),
            "speeds": _speeds(runs),
            "advice": {action: asdict(outcome) for action, outcome in outcomes_of(runs).items()},
            "odds": [_odds(one) for one in totals if one.kind != CALIBRATION],
            "cost": [asdict(line) for line in spent(store.database, "model", since=since)],
            "savings": _savings(store, since),
            "timeline": _timeline(store, session),
        }
    finally:
        store.close()


def _forecasts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Of finished runs, the oldest first: what was said before and what it took."""
    return [
        {
            "run": run.id,
            "at": run.at,
            "model": run.profile.model,
            "host": run.key.host,
            "kind": run.kind,
            "forecast_s": run.forecast_s,
            "low_s": run.forecast_low_s,
            "high_s": run.forecast_high_s,
            "measured_s": run.profile.total_s,
            "provenance": _provenance(run),
        }
        for run in reversed(runs)
        if run.forecast_s is not None and run.profile.total_s and run.profile.outcome in ("done", "length")
    ]


def _coverage(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """After each forecast run: the share of the last WINDOW inside their 90 % interval, and their median error."""
    points = list[dict[str, Any]]()
    recent = deque[tuple[bool, float]](maxlen=WINDOW)
    for one in _forecasts(runs):
        if one["low_s"] is None or one["high_s"] is None:
            continue
        measured = one["measured_s"]
        recent.append(
            (one["low_s"] <= measured <= one["high_s"], abs(one["forecast_s"] - measured) / measured)
        )
        errors = sorted(error for _, error in recent)
        inside = sum(hit for hit, _ in recent) / len(recent)
        points.append(
            {"at": one["at"], "runs": len(recent), "inside": inside, "error": errors[len(errors) // 2]}
        )
    return points


def _speeds(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Tokens a second of each run by how deep its prompt was."""
    return [
        {
            "model": run.profile.model,
            "host": run.key.host,
            "tokens_in": run.profile.tokens_in,
            "reads_per_s": run.profile.prefill_tokens_per_s,
            "writes_per_s": run.profile.decode_tokens_per_s,
            "provenance": _provenance(run),
        }
        for run in reversed(runs)
        if run.profile.tokens_in and run.profile.outcome in ("done", "length")
    ]


def _odds(totals: Totals) -> dict[str, Any]:
    judged = totals.gate_passed + totals.gate_failed
    return {
        "model": totals.model,
        "kind": totals.kind,
        "runs": totals.runs,
        "passed": totals.gate_passed,
        "failed": totals.gate_failed,
        "odds": totals.gate_passed / judged if judged else None,
    }


def _savings(store: Store, since: float) -> dict[str, Any]:
    saved = savings(store.database, since=since)
    return {**asdict(saved), "net_usd": saved.net_usd}


def _timeline(store: Store, session: str | None) -> dict[str, Any] | None:
    """Who was asked when in one conversation, how long it took, at what price; None where nobody was asked."""
    if session is None:  # an exchange of the gateway is a conversation too, of which no agent asked anybody
        newest = store.database.read(
            "SELECT sessions.id FROM calls JOIN sessions ON sessions.id = calls.session ORDER BY at DESC LIMIT 1"
        )
        if not newest:
            return None
        session = str(newest[0][0])
    kept = store.find(session)
    rows = store.database.read(
        "SELECT at, seconds, agent, role, model, input_tokens, output_tokens, cost_usd, error FROM calls"
        " WHERE session = ? ORDER BY at",
        kept.id,
    )
    names = ("at", "seconds", "agent", "role", "model", "tokens_in", "tokens_out", "cost_usd", "error")
    return {
        "session": kept.id,
        "title": kept.title,
        "calls": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _provenance(run: Run) -> str:
    return provenance_of(simulated=run.profile.simulated, recorded=run.profile.recorded)
