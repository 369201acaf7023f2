"""The append-only record of every local run: what it was, what it took, what came of it, what it saved.

One SQLite file under the state folder, shared by any number of processes. Totals are kept by the database
itself as runs arrive, so what `profile` asks for stays fast however long the record grows.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Self

from ...state.home import home
from ...state.sqlite import NewerFormat, connect, transaction
from .runs import (
    RUNNER_OPTIONS,
    VERDICTS,
    Accuracy,
    Key,
    Output,
    Provenance,
    Run,
    Totals,
    Verdict,
    filed,
    plain,
    processor_of,
    row_of,
    run_of,
    settings_of,
)
from .schema import APPLICATION_ID, CREATE, LATER_COLUMNS, RUN_COLUMNS, STEPS, TOTAL_COLUMNS, VERSION

MAX_RUNS = 1000
"""The most runs one question returns."""
MAX_NOTE_CHARS = 2_000
BUSY_S = 20.0
"""How long a write waits for another process's write."""
_CHECKED_BYTES = 8 << 20
"""A file up to this size is checked whole when opened (about 20 ms); larger ones as they are read."""


class LedgerError(Exception):
    """The ledger cannot be used or was asked for something it does not have. The message is one sentence."""


@dataclass(slots=True, weakref_slot=True)
class Ledger:
    """An open ledger. Every method may be called from any thread and raises LedgerError."""

    path: Path
    _db: sqlite3.Connection
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, path: str | Path | None = None) -> Ledger:
        """The ledger at `path`, by default in the state folder; created when missing.

        A file that is damaged, newer, or not a ledger is left exactly as it is.
        """
        where = Path(path) if path is not None else home() / "ledger.sqlite"
        try:
            where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if where.exists():
                if not where.is_file():
                    raise LedgerError(f"the ledger {where} cannot be opened: it is no regular file")
                if where.stat().st_size:
                    _inspect(where)
            db = connect(
                where, CREATE, version=VERSION, steps=STEPS, application_id=APPLICATION_ID, busy_s=BUSY_S
            )
        except NewerFormat as exc:
            raise _newer(where, exc.found) from exc
        except sqlite3.Error as exc:
            raise _damaged(where, exc) from exc
        except OSError as exc:
            raise LedgerError(f"the ledger {where} cannot be opened: {exc.strerror or exc}") from exc
        return cls(where, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __post_init__(self) -> None:
        weakref.finalize(self, self._db.close)  # one that is forgotten leaves no file open

    def close(self) -> None:
        """Close the file; further calls fail."""
        with self._lock:
            self._db.close()

    def record(self, run: Run) -> int:
        """Append a run; its id."""
        row = row_of(run if run.at else replace(run, at=time.time()))
        with self._transaction() as db:
            done = db.execute(_INSERT, row)
            return int(done.lastrowid or 0)

    def runs(
        self,
        *,
        key: Key | None = None,
        model: str | None = None,
        kind: str | None = None,
        host: str | None = None,
        provenance: Provenance | None = None,
        after: int = 0,
        last: int = 20,
    ) -> list[Run]:
        """The last runs that match, newest first, at most MAX_RUNS; only those with an id above `after`.

        `model` here and below: the name its runs are filed under; see `filed`.
        """
        wanted = {"key": str(key) if key else None, "model": model, "kind": kind, "host": host}
        known = {name: value for name, value in wanted.items() if value is not None}
        clauses = [*(f"runs.{name} = ?" for name in known), "runs.id > ?", *_within(provenance)]
        with self._reading() as db:
            rows = db.execute(
                f"{_SELECT} WHERE {' AND '.join(clauses)} ORDER BY runs.id DESC LIMIT ?",
                [*known.values(), after, max(0, min(last, MAX_RUNS))],
            ).fetchall()
        return [run_of(row) for row in rows]

    def keys(self, host: str) -> list[Key]:
        """Every key this host has runs under, the one used last first."""
        names = [f.name for f in fields(Key)]
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {', '.join(names)} FROM keys WHERE host = ? ORDER BY last DESC LIMIT ?",
                (host, MAX_RUNS),
            ).fetchall()
        return [Key(**dict(zip(names, row, strict=True))) for row in rows]

    def run(self, run: int) -> Run:
        """One run by its id."""
        with self._reading() as db:
            row = db.execute(_SELECT + " WHERE runs.id = ?", (run,)).fetchone()
        if row is None:
            raise LedgerError(f"no run {run} in the ledger; {self._span()}")
        return run_of(row)

    def rate(self, run: int, verdict: str, note: str | None = None) -> None:
        """The caller's judgement of a run; a later one replaces it in the odds, both stay on record."""
        if verdict not in VERDICTS:
            raise LedgerError(f"no verdict {verdict!r}; there are {', '.join(VERDICTS)}")
        if note is not None and len(note) > MAX_NOTE_CHARS:
            raise LedgerError(f"a note may have {MAX_NOTE_CHARS:,} characters, this one has {len(note):,}")
        self.run(run)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO ratings(run, at, verdict, note) VALUES (?, ?, ?, ?)",
                (run, time.time(), verdict, note),
            )

    def complete(
        self,
        run: int,
        *,
        advice: Sequence[Mapping[str, object]] | None = None,
        tokens_without: int | None = None,
        tokens_spent: int | None = None,
    ) -> None:
        """Add what became known after a run was recorded: the advice given, and what the caller saved.

        Savings count when both figures of a pair come in one call; several calls add up.
        """
        self.run(run)
        told = json.dumps(list(advice)) if advice else None
        with self._transaction() as db:
            db.execute(
                f"INSERT INTO later(run, at, {', '.join(LATER_COLUMNS)}) VALUES (?, ?, ?, ?, ?)",
                (run, time.time(), told, tokens_without, tokens_spent),
            )

    def lengths(
        self, model: str, kind: str, *, think: bool = False, format: str | None = None, last: int = 50
    ) -> list[Output]:
        """Of the last runs of that kind, the answers that ended by themselves or at the cap, newest first."""
        query = (
            "SELECT tokens_out, outcome = 'length', tokens_in FROM (SELECT * FROM runs WHERE model = ? "
            "AND kind = ? "
            "AND think = ? AND format IS ? ORDER BY id DESC LIMIT ?) "
            "WHERE tokens_out > 0 AND outcome IN ('done', 'length')"
        )
        with self._reading() as db:
            rows = db.execute(query, (model, kind, int(think), format, min(last, MAX_RUNS))).fetchall()
        return [Output(tokens=tokens, cut=bool(cut), tokens_in=tokens_in) for tokens, cut, tokens_in in rows]

    def passed(self, model: str, kind: str, format: str | None, last: int = 50) -> tuple[int, int, int]:
        """(passed, failed, unchecked) among the last runs of that kind and form; an answer cut at its cap has failed."""
        verdict = "CASE WHEN gate_passed NOT NULL THEN gate_passed WHEN outcome = 'length' THEN 0 ELSE 2 END"
        query = (
            f"SELECT {verdict}, count(*) FROM (SELECT * FROM runs WHERE model = ? AND kind = ? AND format IS ? "
            "ORDER BY id DESC LIMIT ?) WHERE gate_passed NOT NULL OR outcome IN ('done', 'length') GROUP BY 1"
        )
        with self._reading() as db:
            found = dict(db.execute(query, (model, kind, format, min(last, MAX_RUNS))).fetchall())
        return found.get(1, 0), found.get(0, 0), found.get(2, 0)

    def formed(self, model: str, kind: str, format: str, last: int = 50) -> tuple[int, int]:
        """(well formed, not) among the last runs of that kind and form, whatever a check then said of what they do.

        Not well formed is what could not be put into the file, does not parse, loses definitions or was cut at its cap.
        """
        bad = "outcome = 'length' OR (gate_passed IS 0 AND (gate IS NULL OR gate LIKE '%syntax' OR gate LIKE '%keeps'))"
        query = (
            f"SELECT {bad}, count(*) FROM (SELECT * FROM runs WHERE model = ? AND kind = ? AND format = ? "
            "ORDER BY id DESC LIMIT ?) WHERE outcome IN ('done', 'length') GROUP BY 1"
        )
        with self._reading() as db:
            found = dict(db.execute(query, (model, kind, format, min(last, MAX_RUNS))).fetchall())
        return found.get(0, 0), found.get(1, 0)

    def counted(self, model: str, last: int = 30) -> list[tuple[int, int]]:
        """(characters, tokens) of the last prompts of a model where both are known, newest first."""
        query = (
            "SELECT chars_in, tokens_in FROM (SELECT * FROM runs WHERE model = ? ORDER BY id DESC LIMIT ?) "
            "WHERE chars_in > 0 AND tokens_in > 0"
        )
        with self._reading() as db:
            return db.execute(query, (model, min(last, MAX_RUNS))).fetchall()

    def summary(self, *, model: str | None = None, kind: str | None = None) -> list[Totals]:
        """Totals per model and task kind, most runs first; as cheap for ten million runs as for ten."""
        where = [(name, value) for name, value in (("model", model), ("kind", kind)) if value is not None]
        clause = " WHERE " + " AND ".join(f"{name} = ?" for name, _ in where) if where else ""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {', '.join(TOTAL_COLUMNS)} FROM totals{clause} ORDER BY runs DESC, model, kind",
                [value for _, value in where],
            ).fetchall()
        return [Totals(**dict(zip(TOTAL_COLUMNS, row, strict=True))) for row in rows]

    def accuracy(
        self, *, model: str | None = None, provenance: Provenance | None = None, last: int = 100
    ) -> Accuracy:
        """How the last forecasts of finished runs did."""
        within = "".join(f" AND {clause}" for clause in _within(provenance))
        clause, values = (" AND model = ?", [model]) if model is not None else ("", [])
        query = (
            "SELECT forecast_s, forecast_low_s, forecast_high_s, total_s, forecast_given_s FROM runs WHERE forecast_s NOT NULL "
            f"AND total_s > 0 AND outcome IN ('done', 'length'){clause}{within} ORDER BY id DESC LIMIT ?"
        )
        with self._reading() as db:
            rows = db.execute(query, [*values, min(last, MAX_RUNS)]).fetchall()
        errors = [abs(mid - actual) / actual for mid, _, _, actual, _ in rows]
        given = [abs(known - actual) / actual for *_, actual, known in rows if known is not None]
        inside = [
            low <= actual <= high for _, low, high, actual, _ in rows if low is not None and high is not None
        ]
        return Accuracy(
            runs=len(rows),
            median_error=median(errors) if errors else None,
            coverage=sum(inside) / len(inside) if inside else None,
            median_error_given_length=median(given) if given else None,
        )

    @property
    def identity(self) -> str:
        """Which ledger this is among those of a team."""
        with self._reading() as db:
            return str(db.execute("SELECT id FROM identity").fetchone()[0])

    def own_since(self, run: int) -> list[tuple[int, dict[str, object]]]:
        """Its own runs above an id as rows, the earliest first, with their latest verdict; none it has from others."""
        with self._reading() as db:
            rows = db.execute(
                f"{_SELECT} WHERE runs.id > ? AND NOT EXISTS (SELECT 1 FROM taken WHERE taken.run = runs.id)"
                " ORDER BY runs.id LIMIT ?",
                (run, MAX_RUNS),
            ).fetchall()
        names = (*RUN_COLUMNS, "verdict")
        return [(row[0], dict(zip(names, row[1:], strict=True))) for row in rows]

    def rated_since(self, rating: int) -> list[tuple[int, int, str]]:
        """(rating, run, verdict) of its own runs above a rating's id, the earliest first."""
        with self._reading() as db:
            return db.execute(
                "SELECT id, run, verdict FROM ratings WHERE id > ? ORDER BY id LIMIT ?", (rating, MAX_RUNS)
            ).fetchall()

    def take_in(self, ledger: str, rows: Sequence[tuple[int, Mapping[str, object]]]) -> int:
        """Append runs of another ledger, each once; how many were new."""
        taken = 0
        with self._transaction() as db:
            for theirs, row in rows:
                known = db.execute("SELECT 1 FROM taken WHERE (ledger, theirs) = (?, ?)", (ledger, theirs))
                if known.fetchone():
                    continue
                done = db.execute(_INSERT, {name: row.get(name) for name in RUN_COLUMNS})
                db.execute("INSERT INTO taken VALUES (?, ?, ?)", (ledger, theirs, done.lastrowid))
                taken += 1
        return taken

    def taken_until(self, ledger: str) -> int:
        """The highest id of another ledger's runs that it has; 0 for none."""
        with self._reading() as db:
            row = db.execute("SELECT max(theirs) FROM taken WHERE ledger = ?", (ledger,)).fetchone()
        return int(row[0] or 0)

    def _span(self) -> str:
        with self._reading() as db:
            (newest,) = db.execute("SELECT max(id) FROM runs").fetchone()
        return f"runs 1 to {newest} are there" if newest else "it is empty"

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as exc:
                raise _damaged(self.path, exc) from exc
            except OverflowError as exc:
                raise LedgerError("the ledger cannot hold that: a number of more than 64 bits") from exc
            except UnicodeEncodeError as exc:
                raise LedgerError(f"the ledger cannot hold that: {exc}") from exc

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._reading() as db, transaction(db):
            yield db


def _inspect(path: Path) -> None:
    """Look at an existing file without writing to it. Raises LedgerError or sqlite3.Error."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    try:
        db.execute("BEGIN")  # one moment for all three: another process may be creating the tables
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if version == 0 and owner == 0 and tables == 0:
            return  # another process is just creating it
        if owner != APPLICATION_ID:
            raise LedgerError(
                f"{path} is a database of another program, not a ledger; move it away or set UNDERSTUDY_HOME"
            )
        if version > VERSION:
            raise _newer(path, version)
        if path.stat().st_size <= _CHECKED_BYTES:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(str(found).splitlines()[0])
    finally:
        db.close()


def _newer(path: Path, found: int) -> LedgerError:
    return LedgerError(
        f"the ledger {path} was written by a newer Understudy (format {found}, this one reads {VERSION}); "
        "upgrade, or set UNDERSTUDY_HOME to start another"
    )


def _damaged(path: Path, exc: sqlite3.Error) -> LedgerError:
    reason = str(exc)
    if "locked" in reason or "busy" in reason:
        return LedgerError(
            f"the ledger {path} was busy for {BUSY_S:.0f} s; another process holds it, try again"
        )
    if "full" in reason or "readonly" in reason or "I/O" in reason or "unable to open" in reason:
        return LedgerError(f"the ledger {path} cannot be used: {reason}; check the disk and its permissions")
    if isinstance(exc, sqlite3.ProgrammingError):
        return LedgerError(f"the ledger {path} is not in a usable state: {reason}")
    return LedgerError(
        f"the ledger {path} is damaged ({reason}) and was left as it is; move it away to start a new one"
    )


def _within(provenance: Provenance | None) -> list[str]:
    """Clauses that keep to the runs of one provenance; none for all."""
    if provenance is None:
        return []
    return [f"simulated = {int(provenance == 'simulated')}", f"recorded = {int(provenance == 'recorded')}"]


_INSERT = f"INSERT INTO runs({', '.join(RUN_COLUMNS)}) VALUES ({', '.join(':' + c for c in RUN_COLUMNS)})"
_TOLD = {
    name: f"coalesce((SELECT {name} FROM later WHERE run = runs.id AND {name} IS NOT NULL "
    f"ORDER BY id DESC LIMIT 1), runs.{name})"
    for name in LATER_COLUMNS
}
_SELECT = (
    f"SELECT runs.id, {', '.join(_TOLD.get(c, 'runs.' + c) for c in RUN_COLUMNS)}, "
    "(SELECT verdict FROM ratings WHERE run = runs.id ORDER BY id DESC LIMIT 1) FROM runs"
)

__all__ = [
    "MAX_RUNS",
    "RUNNER_OPTIONS",
    "VERDICTS",
    "Accuracy",
    "Key",
    "Ledger",
    "LedgerError",
    "Provenance",
    "Run",
    "Totals",
    "Verdict",
    "filed",
    "plain",
    "processor_of",
    "settings_of",
]
