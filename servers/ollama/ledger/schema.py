"""The ledger's tables: rows are only ever appended; totals and keys follow by triggers."""

from __future__ import annotations

APPLICATION_ID = 0x556E6473  # "Unds": tells a ledger from any other SQLite file
VERSION = 3
_SHARED = (
    "CREATE TABLE identity(id TEXT NOT NULL)",
    "INSERT INTO identity VALUES (lower(hex(randomblob(8))))",
    """CREATE TABLE taken(ledger TEXT NOT NULL, theirs INTEGER NOT NULL, run INTEGER NOT NULL REFERENCES runs(id),
        PRIMARY KEY (ledger, theirs)) WITHOUT ROWID""",
    "CREATE INDEX taken_run ON taken(run)",
)
"""Which ledger this is among those of a team, and the runs it has from others."""
STEPS = (("ALTER TABLE runs ADD COLUMN forecast_given_s REAL",), _SHARED)
"""From each earlier format to the next."""

_TYPES = {
    "at": "REAL NOT NULL",
    "key": "TEXT NOT NULL",
    "host": "TEXT NOT NULL",
    "processor": "TEXT NOT NULL",
    "digest": "TEXT NOT NULL",
    "settings": "TEXT NOT NULL",
    "server": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "load_s": "REAL",
    "prefill_s": "REAL",
    "decode_s": "REAL",
    "queue_s": "REAL",
    "total_s": "REAL",
    "wall_s": "REAL",
    "first_token_s": "REAL",
    "tokens_in": "INTEGER",
    "tokens_cached": "INTEGER",
    "tokens_out": "INTEGER",
    "chars_out": "INTEGER",
    "num_ctx": "INTEGER",
    "prefill_tokens_per_s": "REAL",
    "decode_tokens_per_s": "REAL",
    "context_used": "REAL",
    "gpu_share": "REAL",
    "thinking_share": "REAL",
    "simulated": "INTEGER NOT NULL",
    "recorded": "INTEGER NOT NULL",
    "kind": "TEXT NOT NULL",
    "think": "INTEGER NOT NULL",
    "format": "TEXT",
    "cap": "INTEGER",
    "chars_in": "INTEGER",
    "expected_cached": "INTEGER",
    "overlapped": "INTEGER NOT NULL",
    "busy_cores": "REAL",
    "asked_by": "TEXT",
    "gate": "TEXT",
    "gate_passed": "INTEGER",
    "forecast_s": "REAL",
    "forecast_low_s": "REAL",
    "forecast_high_s": "REAL",
    "forecast_given_s": "REAL",
    "advice": "TEXT",
    "tokens_without": "INTEGER",
    "tokens_spent": "INTEGER",
    "raw": "TEXT",
}

RUN_COLUMNS = tuple(_TYPES)
LATER_COLUMNS = ("advice", "tokens_without", "tokens_spent")
"""Known only after a run was recorded; each may be told once more, in a row of `later`."""

_SUMS = {
    "runs": "1",
    "done": "new.outcome = 'done'",
    "seconds": "coalesce(new.total_s, new.wall_s, 0)",
    "tokens_in": "coalesce(new.tokens_in, 0)",
    "tokens_out": "coalesce(new.tokens_out, 0)",
    "gate_passed": "coalesce(new.gate_passed, 0)",
    "gate_failed": "coalesce(1 - new.gate_passed, 0)",
    "tokens_counted": "new.tokens_without - new.tokens_spent IS NOT NULL",
    "tokens_saved": "coalesce(new.tokens_without - new.tokens_spent, 0)",
}
_VERDICTS = ("good", "revised", "rejected")

TOTAL_COLUMNS = ("model", "kind", *_SUMS, *_VERDICTS)

_LATEST = "(SELECT verdict FROM ratings WHERE run = new.run AND id < new.id ORDER BY id DESC LIMIT 1)"
_MOVED = ", ".join(f"{v} = {v} + (new.verdict = '{v}') - coalesce({_LATEST} = '{v}', 0)" for v in _VERDICTS)

_SAVINGS = ", ".join(f"{name} = {name} + ({_SUMS[name]})" for name in ("tokens_counted", "tokens_saved"))
_ADDED = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)

CREATE = (
    f"""CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT,
        {", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})""",
    """CREATE TABLE ratings(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs(id),
        at REAL NOT NULL, verdict TEXT NOT NULL, note TEXT)""",
    f"""CREATE TABLE later(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs(id),
        at REAL NOT NULL, {", ".join(f"{name} {_TYPES[name]}" for name in LATER_COLUMNS)})""",
    f"""CREATE TABLE totals(model TEXT NOT NULL, kind TEXT NOT NULL,
        {", ".join(f"{name} NOT NULL DEFAULT 0" for name in (*_SUMS, *_VERDICTS))},
        PRIMARY KEY (model, kind)) WITHOUT ROWID""",
    """CREATE TABLE keys(key TEXT PRIMARY KEY, host TEXT NOT NULL, processor TEXT NOT NULL,
        digest TEXT NOT NULL, settings TEXT NOT NULL, server TEXT NOT NULL,
        last INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX runs_key ON runs(key, id)",
    "CREATE INDEX runs_host ON runs(host, id)",
    "CREATE INDEX runs_kind ON runs(kind, id)",
    "CREATE INDEX runs_model ON runs(model, id)",
    "CREATE INDEX runs_model_kind ON runs(model, kind, id)",
    "CREATE INDEX runs_length ON runs(model, kind, think, format, id)",
    "CREATE INDEX runs_forecast ON runs(model, id) WHERE forecast_s IS NOT NULL",
    "CREATE INDEX runs_forecast_all ON runs(id) WHERE forecast_s IS NOT NULL",
    "CREATE INDEX ratings_run ON ratings(run, id)",
    "CREATE INDEX later_run ON later(run, id)",
    f"""CREATE TRIGGER count_run AFTER INSERT ON runs BEGIN
        INSERT INTO totals(model, kind, {", ".join(_SUMS)})
        VALUES (new.model, new.kind, {", ".join(_SUMS.values())}) ON CONFLICT DO UPDATE SET {_ADDED};
        INSERT INTO keys
        VALUES (new.key, new.host, new.processor, new.digest, new.settings, new.server, new.id)
        ON CONFLICT DO UPDATE SET last = excluded.last; END""",
    f"""CREATE TRIGGER count_rating AFTER INSERT ON ratings BEGIN
        UPDATE totals SET {_MOVED}
        WHERE (model, kind) = (SELECT model, kind FROM runs WHERE id = new.run); END""",
    f"""CREATE TRIGGER count_later AFTER INSERT ON later BEGIN
        UPDATE totals SET {_SAVINGS}
        WHERE (model, kind) = (SELECT model, kind FROM runs WHERE id = new.run); END""",
    """CREATE TRIGGER runs_stay BEFORE UPDATE ON runs
        BEGIN SELECT raise(ABORT, 'runs are only appended'); END""",
    """CREATE TRIGGER runs_remain BEFORE DELETE ON runs
        BEGIN SELECT raise(ABORT, 'runs are only appended'); END""",
    *_SHARED,
)
