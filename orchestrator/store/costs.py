"""Views of what was spent: by model, agent, label, day or conversation, and what delegating saved."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from servers.ollama.forecast.token_estimates import CHARS_PER_TOKEN
from servers.ollama.ledger.runs import DELIVERED

from ..errors import ConfigError
from ..providers.catalog import Prices, cost_usd
from ..types import Usage
from .database import Database

By = Literal["model", "agent", "label", "day", "session"]
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_KEYS: Mapping[By, str] = {
    "model": "model",
    "agent": "agent",
    "day": "strftime('%Y-%m-%d', at, 'unixepoch', 'localtime')",
    "session": "coalesce(session, '')",
    "label": "coalesce(label.key || '=' || label.value, '')",
}
_ONE_LABEL = "EXISTS (SELECT 1 FROM json_each(labels) AS l WHERE l.key = ? AND l.value = ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One line of the bill. A sum whose `unknown_calls` is not 0 is a lower bound."""

    key: str  # "" where calls have none, such as a label
    calls: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float  # of the calls whose cost is known
    unknown_calls: int  # whose cost nobody knows
    uncounted_calls: int  # answered, but the tokens were not reported


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What the leads would have paid to do themselves what they handed over, less everything spent on that.

    Tokens of what the leads wrote to delegate and read of receipts are estimates, the workers' are counted.
    """

    delegations: int
    failed: int  # not accepted; they saved nothing, and what they cost counts
    would_have_cost_usd: float
    spent_usd: float
    unknown: int  # delegations without known tokens or prices; no part of the sums

    @property
    def net_usd(self) -> float:
        """May be negative."""
        return self.would_have_cost_usd - self.spent_usd


def spent(
    database: Database,
    by: By = "model",
    *,
    since: float = 0.0,
    labels: Mapping[str, str] | None = None,
    session: str | None = None,
) -> list[Spent]:
    """The dearest first, days in order. With several labels, a call stands in the line of each of them."""
    where, values = _chosen(since, labels or {}, session)
    source = "calls LEFT JOIN json_each(calls.labels) AS label" if by == "label" else "calls"
    order = "1" if by == "day" else "7 DESC, 1"
    rows = database.read(
        f"SELECT {_KEYS[by]}, count(*), sum(error IS NOT NULL), coalesce(sum(input_tokens), 0),"
        " coalesce(sum(cached_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0.0),"
        " sum(cost_usd IS NULL), sum(error IS NULL AND (input_tokens IS NULL OR output_tokens IS NULL))"
        f" FROM {source} WHERE {where} GROUP BY 1 ORDER BY {order}",
        *values,
    )
    names = Spent.__slots__
    return [Spent(**dict(zip(names, row, strict=True))) for row in rows]


def total(lines: list[Spent]) -> Spent:
    """The sum of lines; of labels it counts a call for each of its labels."""
    figures = (name for name in Spent.__slots__ if name != "key")
    return Spent(key="total", **{name: sum(getattr(line, name) for line in lines) for name in figures})


def since_of(text: str) -> float:
    """Seconds since 1970 of "7d", "12h", "today" or "2026-11-01". Raises ConfigError."""
    if text == "today":
        return datetime.combine(date.today(), datetime.min.time()).timestamp()
    if ago := re.fullmatch(r"([0-9]{1,6})([mhdw])", text):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"--since wants a time such as 7d, 12h, today or 2026-11-01, found {text!r}"
        ) from None


def savings(
    database: Database, *, since: float = 0.0, prices: Prices | None = None, session: str | None = None
) -> Savings:
    """What delegating saved: by tool (receipts of local models) and by workers that were asked as models."""
    found = [*_receipts(database, since, session), *_workers(database, since, session)]
    sums = Savings(delegations=0, failed=0, would_have_cost_usd=0.0, spent_usd=0.0, unknown=0)
    for one in found:
        own = _priced(one.lead, one.own, prices)
        instead = _priced(one.lead, one.instead, prices) if one.good else 0.0
        known = own is not None and instead is not None and one.cost_usd is not None
        sums = replace(
            sums,
            delegations=sums.delegations + 1,
            failed=sums.failed + (not one.good),
            unknown=sums.unknown + (not known),
            would_have_cost_usd=sums.would_have_cost_usd + ((instead or 0.0) if known else 0.0),
            spent_usd=sums.spent_usd + ((own or 0.0) + (one.cost_usd or 0.0) if known else 0.0),
        )
    return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delegation:
    lead: str | None
    good: bool
    own: Usage  # of the lead, to delegate and to read the receipt
    instead: Usage  # of the lead, had it done the work itself
    cost_usd: float | None  # of the worker


def _receipts(database: Database, since: float, session: str | None) -> list[_Delegation]:
    """Delegations by the ollama server's tools, from their receipts in the journal."""
    of_one = "AND done.session = ?" if session else ""
    rows = database.read(
        "SELECT done.body, length(begun.body), (SELECT model FROM rounds WHERE rounds.session = done.session"
        "  AND rounds.run = done.run LIMIT 1)"
        " FROM events AS done LEFT JOIN events AS begun ON begun.session = done.session AND begun.run = done.run"
        "  AND begun.kind = 'tool_started'"
        "  AND json_extract(begun.body, '$.call.id') = json_extract(done.body, '$.result.call_id')"
        " WHERE done.kind = 'tool_finished' AND done.at >= ? AND json_extract(done.body, '$.result.name')"
        f" LIKE '%\\_\\_delegat%' ESCAPE '\\' {of_one} ORDER BY done.id",
        since,
        *((session,) if session else ()),
    )
    seen = set[str]()
    return [one for body, asked, lead in rows if (one := _receipt(json.loads(body), asked, lead, seen))]


def _receipt(body: Any, asked_chars: int | None, lead: str | None, seen: set[str]) -> _Delegation | None:
    """The delegation of a tool's answer; None where that is no receipt, or one whose id was `seen` before."""
    text = "\n".join(part.get("text", "") for part in body["result"]["content"])
    try:
        receipt: Any = json.loads(text)
        outcome, profile = receipt["outcome"], receipt.get("profile") or receipt  # a map sums up beside it
        known = receipt.get("delegation")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if outcome == "running":
        return None  # its receipt is still to come
    if known is not None:
        if str(known) in seen:
            return None
        seen.add(str(known))
    own = Usage(input_tokens=_tokens(len(text)), output_tokens=_tokens(asked_chars or 0))
    instead = Usage(input_tokens=profile.get("tokens_in"), output_tokens=profile.get("tokens_out"))
    good = outcome in DELIVERED
    vendors: float | None = receipt.get("cost_usd", 0.0)  # null: one took part whose price nobody knows
    return _Delegation(lead=lead, good=good, own=own, instead=instead, cost_usd=vendors)


def _workers(database: Database, since: float, session: str | None) -> list[_Delegation]:
    """Runs of workers that were asked as models: what their calls took, and the model that led meanwhile."""
    of_one = "AND calls.session = ?" if session else ""
    rows = database.read(
        "SELECT sum(input_tokens), sum(output_tokens), CASE WHEN count(cost_usd) = count(*) THEN sum(cost_usd) END,"
        " max(error IS NULL), coalesce("
        "  (SELECT model FROM rounds WHERE rounds.session = calls.session AND main LIMIT 1),"
        "  (SELECT model FROM sessions WHERE sessions.id = calls.session))"
        f" FROM calls WHERE role = 'worker' AND agent NOT IN ('summary', 'rung') AND at >= ? {of_one} GROUP BY session, run",
        since,
        *((session,) if session else ()),
    )
    return [
        _Delegation(
            lead=lead,
            good=bool(answered),
            own=Usage(input_tokens=written, output_tokens=0),  # the lead reads the answer
            instead=Usage(input_tokens=read, output_tokens=written),
            cost_usd=cost,
        )
        for read, written, cost, answered, lead in rows
    ]


def _priced(model: str | None, usage: Usage, prices: Prices | None) -> float | None:
    return cost_usd(model, usage, prices) if model else None


def _tokens(chars: int) -> int:
    return round(chars / CHARS_PER_TOKEN)


def _chosen(since: float, labels: Mapping[str, str], session: str | None) -> tuple[str, list[Any]]:
    where, values = ["at >= ?"], list[Any]([since])
    if session is not None:
        where.append("session = ?")
        values.append(session)
    for key, value in labels.items():
        where.append(_ONE_LABEL)
        values += [key, value]
    return " AND ".join(where), values
