"""The append-only record of every local run: what it was, what it took, what came of it, what it saved.

One SQLite file under the state folder, shared by any number of processes. Totals are kept by the database
itself as runs arrive, so what `profile` asks for stays fast however long the record grows.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, Self

from ..home import home
from .ledger_schema import APPLICATION_ID, CREATE, RUN_COLUMNS, TOTAL_COLUMNS, VERSION
from .profile import Profile

Verdict = Literal["good", "revised", "rejected"]
VERDICTS: tuple[Verdict, ...] = ("good", "revised", "rejected")

MAX_RUNS = 1000
"""The most runs one question returns."""
MAX_RAW_CHARS = 20_000
BUSY_S = 20.0
"""How long a write waits for another process's write."""
_CHECKED_BYTES = 8 << 20
"""A file up to this size is checked whole when opened (about 20 ms); larger ones as they are read."""


class LedgerError(Exception):
    """The ledger cannot be used or was asked for something it does not have. The message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a speed law belongs to: runs with equal keys should be equally fast."""

    host: str
    """The machine that runs the engine."""
    processor: str = "unknown"
    """cpu, gpu, split or unknown; see `processor_of`."""
    digest: str
    """Of the model's bytes, or its name where no digest is known."""
    settings: str = "{}"
    """Runner options that reload the model, as canonical JSON; see `settings_of`."""
    server: str = "unknown"
    """Engine name and version, to the minor number."""

    def __str__(self) -> str:
        return f"{self.host}|{self.processor}|{self.digest}|{self.settings}|{self.server}"


def processor_of(gpu_share: float | None) -> str:
    """The processor class of a share of the model in GPU memory."""
    if gpu_share is None:
        return "unknown"
    return "cpu" if gpu_share == 0 else "gpu" if gpu_share >= 1 else "split"


def settings_of(options: Mapping[str, object]) -> str:
    """Canonical JSON of the options that make a different engine; per-request options are left out."""
    kept = {name: options[name] for name in sorted(RUNNER_OPTIONS & options.keys())}
    return json.dumps(kept, separators=(",", ":"))


RUNNER_OPTIONS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict", "shift"}
)
"""A change of any of these reloads the model in Ollama."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One line of the ledger. None is "not known" throughout; money may make the saving negative."""

    key: Key
    profile: Profile
    kind: str = "other"
    """Task kind: summary, edit, extract, ..."""
    think: bool = False
    format: str | None = None
    """None, "json" or "schema"."""
    cap: int | None = None
    """num_predict as sent."""
    chars_in: int | None = None
    """Characters of the prompt as sent: the ledger learns tokens per character from them."""
    overlapped: bool = False
    """Another run shared the engine: not fit to learn a speed from."""
    busy_cores: float | None = None
    """CPU cores everything else on the machine used meanwhile."""
    asked_by: str | None = None
    gate: str | None = None
    gate_passed: bool | None = None
    """None when no gate looked at the result."""
    forecast_s: float | None = None
    forecast_low_s: float | None = None
    forecast_high_s: float | None = None
    """The 90 % interval of forecast_s."""
    advice: Sequence[Mapping[str, object]] = ()
    """Advice in force for this run, as given; kept as JSON."""
    tokens_without: int | None = None
    """Tokens the caller would have spent doing the work itself."""
    tokens_spent: int | None = None
    """Tokens the caller did spend on this delegation."""
    usd_without: float | None = None
    usd_spent: float | None = None
    raw: Mapping[str, object] | None = None
    """The server's last object; text and token arrays are left out when it is stored."""
    at: float = 0.0
    """Seconds since 1970; 0 means now."""
    id: int = 0
    """0 until recorded."""
    verdict: Verdict | None = None
    """The caller's latest rating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Everything recorded about one model and task kind. Sums cover the runs that reported the value."""

    model: str
    kind: str
    runs: int = 0
    done: int = 0
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    gate_passed: int = 0
    gate_failed: int = 0
    good: int = 0
    revised: int = 0
    rejected: int = 0
    tokens_counted: int = 0
    """Runs where both token figures are known; the saving is theirs alone."""
    tokens_saved: int = 0
    """Without less spent: negative when delegating cost more than it saved."""
    usd_counted: int = 0
    usd_saved: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How forecasts did: the median of |forecast - actual| / actual, and the share inside the interval."""

    runs: int
    median_error: float | None
    coverage: float | None


@dataclass(slots=True)
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
            os.close(os.open(where, os.O_CREAT | os.O_RDWR, 0o600))
            if where.stat().st_size:
                _inspect(where)
            db = _connect(where)
        except sqlite3.Error as exc:
            raise _damaged(where, exc) from exc
        except OSError as exc:
            raise LedgerError(f"the ledger {where} cannot be opened: {exc.strerror or exc}") from exc
        return cls(where, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; further calls fail."""
        with self._lock:
            self._db.close()

    def record(self, run: Run) -> int:
        """Append a run; its id."""
        row = _row(run if run.at else replace(run, at=time.time()))
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
        last: int = 20,
    ) -> list[Run]:
        """The last runs that match, newest first, at most MAX_RUNS."""
        wanted = {"key": str(key) if key else None, "model": model, "kind": kind, "host": host}
        return [_run(row) for row in self._select({k: v for k, v in wanted.items() if v is not None}, last)]

    def run(self, run: int) -> Run:
        """One run by its id."""
        with self._reading() as db:
            row = db.execute(_SELECT + " WHERE runs.id = ?", (run,)).fetchone()
        if row is None:
            raise LedgerError(f"no run {run} in the ledger; {self._span()}")
        return _run(row)

    def rate(self, run: int, verdict: str, note: str | None = None) -> None:
        """The caller's judgement of a run; a later one replaces it in the odds, both stay on record."""
        if verdict not in VERDICTS:
            raise LedgerError(f"no verdict {verdict!r}; there are {', '.join(VERDICTS)}")
        self.run(run)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO ratings(run, at, verdict, note) VALUES (?, ?, ?, ?)",
                (run, time.time(), verdict, note),
            )

    def lengths(
        self, model: str, kind: str, *, think: bool = False, format: str | None = None, last: int = 50
    ) -> list[tuple[int, bool]]:
        """(tokens out, cut by the cap) of the last runs of that kind that ended by themselves or at the cap."""
        query = (
            "SELECT tokens_out, outcome = 'length' FROM runs WHERE model = ? AND kind = ? AND think = ? "
            "AND format IS ? AND tokens_out > 0 AND outcome IN ('done', 'length') ORDER BY id DESC LIMIT ?"
        )
        with self._reading() as db:
            rows = db.execute(query, (model, kind, int(think), format, min(last, MAX_RUNS))).fetchall()
        return [(int(tokens), bool(cut)) for tokens, cut in rows]

    def summary(self, *, model: str | None = None, kind: str | None = None) -> list[Totals]:
        """Totals per model and task kind, in order of runs; they cost the same for ten runs or ten million."""
        where = [(name, value) for name, value in (("model", model), ("kind", kind)) if value is not None]
        clause = " WHERE " + " AND ".join(f"{name} = ?" for name, _ in where) if where else ""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {', '.join(TOTAL_COLUMNS)} FROM totals{clause} ORDER BY runs DESC, model, kind",
                [value for _, value in where],
            ).fetchall()
        return [Totals(**dict(zip(TOTAL_COLUMNS, row, strict=True))) for row in rows]

    def accuracy(self, *, model: str | None = None, last: int = 100) -> Accuracy:
        """How the last forecasts of finished runs did."""
        clause, values = (" AND model = ?", [model]) if model is not None else ("", [])
        query = (
            "SELECT forecast_s, forecast_low_s, forecast_high_s, total_s FROM runs WHERE forecast_s IS NOT NULL "
            f"AND total_s > 0 AND outcome IN ('done', 'length'){clause} ORDER BY id DESC LIMIT ?"
        )
        with self._reading() as db:
            rows = db.execute(query, [*values, min(last, MAX_RUNS)]).fetchall()
        errors = sorted(abs(mid - actual) / actual for mid, _, _, actual in rows)
        inside = [
            low <= actual <= high for _, low, high, actual in rows if low is not None and high is not None
        ]
        return Accuracy(
            runs=len(rows),
            median_error=(errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2 if errors else None,
            coverage=sum(inside) / len(inside) if inside else None,
        )

    def _select(self, wanted: Mapping[str, str], last: int) -> list[tuple[object, ...]]:
        clause = " WHERE " + " AND ".join(f"runs.{name} = ?" for name in wanted) if wanted else ""
        with self._reading() as db:
            return db.execute(
                f"{_SELECT}{clause} ORDER BY runs.id DESC LIMIT ?",
                [*wanted.values(), max(0, min(last, MAX_RUNS))],
            ).fetchall()

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

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode with our tables; several processes may be doing the same right now."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as exc:  # SQLite's own wait does not cover this change
                if "locked" not in str(exc) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in CREATE:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _inspect(path: Path) -> None:
    """Look at an existing file without writing to it. Raises LedgerError or sqlite3.Error."""
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    try:
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
            raise LedgerError(
                f"the ledger {path} was written by a newer Understudy (format {version}, this one reads {VERSION}); "
                "upgrade, or set UNDERSTUDY_HOME to start another"
            )
        if path.stat().st_size <= _CHECKED_BYTES:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(str(found).splitlines()[0])
    finally:
        db.close()


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


_PROFILE_COLUMNS = tuple(f.name for f in fields(Profile))
_INSERT = f"INSERT INTO runs({', '.join(RUN_COLUMNS)}) VALUES ({', '.join(':' + c for c in RUN_COLUMNS)})"
_SELECT = (
    f"SELECT runs.id, {', '.join('runs.' + c for c in RUN_COLUMNS)}, "
    "(SELECT verdict FROM ratings WHERE ratings.run = runs.id ORDER BY ratings.id DESC LIMIT 1) FROM runs"
)


def _row(run: Run) -> dict[str, object]:
    row: dict[str, object] = {**asdict(run.profile), **asdict(run.key), "key": str(run.key)}
    row |= {c: getattr(run, c) for c in RUN_COLUMNS if c not in row and c not in ("advice", "raw")}
    row["advice"] = json.dumps(list(run.advice)) if run.advice else None
    row["raw"] = _slim(run.raw)
    return {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}


def _slim(raw: Mapping[str, object] | None) -> str | None:
    """The numbers and short words of a final object; neither the answer nor its token ids belong in a ledger."""
    if raw is None:
        return None
    kept = {
        key: value
        for key, value in raw.items()
        if key != "response" and (value is None or isinstance(value, bool | int | float | str))
    }
    return json.dumps(kept)[:MAX_RAW_CHARS]


def _run(row: Sequence[object]) -> Run:
    cell = dict(zip(("id", *RUN_COLUMNS, "verdict"), row, strict=True))
    for name in ("simulated", "recorded", "think", "overlapped"):
        cell[name] = bool(cell[name])
    profile = Profile(**{name: cell.pop(name) for name in _PROFILE_COLUMNS})  # type: ignore[arg-type]
    key = Key(**{f.name: cell.pop(f.name) for f in fields(Key)})  # type: ignore[arg-type]
    passed, advice, raw = cell.pop("gate_passed"), cell.pop("advice"), cell.pop("raw")
    cell.pop("key")
    return Run(
        key=key,
        profile=profile,
        gate_passed=None if passed is None else bool(passed),
        advice=json.loads(advice) if isinstance(advice, str) else (),
        raw=_parsed(raw),
        **cell,  # type: ignore[arg-type]
    )


def _parsed(raw: object) -> Mapping[str, object] | None:
    if not isinstance(raw, str):
        return None
    try:
        return json.loads(raw)
    except ValueError:  # longer than MAX_RAW_CHARS when it was stored
        return None
