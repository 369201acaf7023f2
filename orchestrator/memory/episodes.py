"""What earlier runs teach: each task with what was done, how it ended and what it took. A view of the journal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..sanitize import one_line
from ..store.database import Database
from ..store.transcript import moment
from ..store.under_way import all_under_way

MAX_CHARS = 4_000  # of a task and of an outcome
RateBy = Literal["model", "agent", "pattern"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One tool call."""

    tool: str
    arguments: dict[str, Any]
    ok: bool | None  # None: it never ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    session: str
    run: str
    at: float  # seconds since 1970
    agent: str
    role: str
    model: str
    task: str
    actions: tuple[Action, ...]
    outcome: str  # the answer, or why there is none
    success: bool
    seconds: float | None  # None: the run never ended
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None

    @property
    def pattern(self) -> str:
        """How it was done: "delegate" and the tools used, in the order of their first use; "answer" without any."""
        return " > ".join(dict.fromkeys(action.tool for action in self.actions)) or "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often it went well."""

    key: str  # a model, an agent or a pattern
    runs: int
    successes: int

    @property
    def share(self) -> float:
        """By Laplace's rule, so that one lucky run does not count as certainty."""
        return (self.successes + 1) / (self.runs + 2)


def episodes(
    database: Database, *, limit: int = 100, session: str | None = None, success_only: bool = False
) -> list[Episode]:
    """The newest first: runs of leads and workers that ended, or were broken off; those under way are none yet."""
    of_one = "AND session = ?" if session else ""
    rows = database.read(
        f"{_BEGUN} WHERE kind = 'run_started' {of_one} ORDER BY id DESC LIMIT ?",
        *((session,) if session else ()),
        limit + len(all_under_way(database.path)) if not success_only else -1,
    )
    return _chosen(database, rows, limit, success_only)


def similar(database: Database, task: str, k: int = 5, *, success_only: bool = False) -> list[Episode]:
    """The episodes whose task shares most words with this one, and of equals those with the rarer words.

    What shares no more than half as many as the best is not similar: often it is a word such as "the".
    """
    words = list(dict.fromkeys(_words(task)))[:64]
    if not words:
        return []
    rows = database.read(
        "SELECT events.session, events.run, events.at, events.body, messages.text FROM"
        " (SELECT rowid AS id, rank FROM found WHERE found MATCH ?) AS hits"
        " CROSS JOIN messages ON messages.id = hits.id AND messages.role = 'user'"
        " JOIN rounds ON rounds.id = messages.round"
        " JOIN events ON events.session = rounds.session AND events.run = rounds.run AND events.kind = 'run_started'"
        " ORDER BY hits.rank LIMIT ?",
        " OR ".join(f'"{word}"' for word in words),
        20 * k,
    )
    shared = [len(set(_words(row[4])).intersection(words)) for row in rows]
    near = sorted(
        (place for place, count in enumerate(shared) if 2 * count > max(shared)),
        key=lambda place: -shared[place],
    )
    return _chosen(database, (rows[place][:4] for place in near), k, success_only)


def rates(found: Iterable[Episode], by: RateBy = "model") -> list[Rate]:
    """How often each model, agent or pattern of these episodes went well; the best first."""
    counts: dict[str, list[int]] = {}
    for one in found:
        key = one.pattern if by == "pattern" else one.agent if by == "agent" else one.model
        entry = counts.setdefault(key, [0, 0])
        entry[0] += 1
        entry[1] += one.success
    made = [Rate(key=key, runs=runs, successes=good) for key, (runs, good) in counts.items()]
    return sorted(made, key=lambda rate: (-rate.share, -rate.runs, rate.key))


def odds(database: Database, task: str, models: Iterable[str], *, least: int = 3) -> dict[str, float | None]:
    """For each "provider:model" its share of successes at tasks like this one, as `Specialist.odds` of `route` takes it.

    None where fewer than `least` such runs are known.
    """
    known = {rate.key: rate for rate in rates(similar(database, task, 200))}
    found = {model: known.get(model) for model in models}
    return {model: rate.share if rate and rate.runs >= least else None for model, rate in found.items()}


def as_jsonl(found: Iterable[Episode]) -> Iterator[str]:
    """One line an episode, everything in it."""
    for one in found:
        metrics = {
            "seconds": one.seconds,
            "input_tokens": one.input_tokens,
            "output_tokens": one.output_tokens,
            "cost_usd": one.cost_usd,
            "actions": len(one.actions),
            "failed_actions": sum(action.ok is False for action in one.actions),
        }
        kept = {key: value for key, value in asdict(one).items() if key not in metrics}
        kept["actions"] = [asdict(action) for action in one.actions]
        yield json.dumps(
            {"kind": "episode", **kept, "at": moment(one.at), "pattern": one.pattern, "metrics": metrics}
        )


_BEGUN = "SELECT session, run, at, body FROM events"


def _chosen(database: Database, rows: Iterable[Any], limit: int, success_only: bool) -> list[Episode]:
    found: dict[tuple[str, str], Episode] = {}
    going = all_under_way(database.path)
    for row in rows:
        if len(found) >= limit:
            break
        if row[1] not in going and (row[0], row[1]) not in found:
            one = _episode(database, row)
            if one.success or not success_only:
                found[row[0], row[1]] = one
    return list(found.values())


def _episode(database: Database, row: Any) -> Episode:
    session, run, at, text = row
    begun = json.loads(text)
    happened = database.read(
        "SELECT kind, body FROM events WHERE session = ? AND run = ? AND kind IN"
        " ('tool_started', 'tool_finished', 'run_ended') ORDER BY id",
        session,
        run,
    )
    calls = list[tuple[dict[str, Any], bool | None]]()  # some models use the same ids in every round
    ended: dict[str, Any] | None = None
    for kind, body in happened:
        event = json.loads(body)
        match kind:
            case "tool_started":
                calls.append((event["call"], None))
            case "tool_finished":
                calls = _with_end(calls, event["result"])
            case _:
                ended = event
    usage: dict[str, Any] = ended["usage"] if ended else {}
    error = ended["error"] if ended else "the program ended before the answer was complete"
    return Episode(
        session=session,
        run=run,
        at=at,
        agent=begun["agent"],
        role=begun["role"],
        model=begun["model"],
        task=begun["prompt"][:MAX_CHARS],
        actions=tuple(Action(tool=call["name"], arguments=call["arguments"], ok=ok) for call, ok in calls),
        outcome=error or _answer(database, session, run),
        success=error is None,
        seconds=ended["seconds"] if ended else None,
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cost_usd=usage.get("cost_usd"),
    )


def _with_end(
    calls: list[tuple[dict[str, Any], bool | None]], result: dict[str, Any]
) -> list[tuple[dict[str, Any], bool | None]]:
    """`calls` with the end of the one this result belongs to: the first of its id that is still open."""
    open_ones = (n for n, (call, ok) in enumerate(calls) if ok is None and call["id"] == result["call_id"])
    if (place := next(open_ones, None)) is not None:
        calls[place] = (calls[place][0], not result["is_error"])
    return calls


def _answer(database: Database, session: str, run: str) -> str:
    rows = database.read(
        "SELECT messages.text FROM rounds JOIN messages ON messages.round = rounds.id WHERE rounds.session = ?"
        " AND rounds.run = ? AND messages.role = 'assistant' ORDER BY messages.id DESC LIMIT 1",
        session,
        run,
    )
    return str(rows[0][0])[:MAX_CHARS] if rows else ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def line(one: Episode) -> str:
    """For a person."""
    mark = "done" if one.success else "failed"
    return f"{moment(one.at)}  {mark:6}  {one.model}  {one_line(one.task, 80)}  [{one_line(one.pattern, 80)}]"
