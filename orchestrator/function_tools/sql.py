"""Questions to a database: `tools=[sql_reader("shop.sqlite")]`, or the URL of another. Its engine refuses every change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

from ..errors import ConfigError, reason
from .function_tool import FunctionTool, tool

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_LOOKING = {
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "foreign_key_list",
    "data_version",
}
"""Pragmas that tell of the schema; the last is asked by full-text tables themselves."""
_DECLARED = {"type", "name", "tbl_name", "rootpage", "sql"}

# What makes a transaction read only, and bounds a statement, before anything of the model's is run.
_READ_ONLY = {
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = {ms}", "SELECT 1"),
    "mysql": (
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION max_execution_time = {ms}",
        "START TRANSACTION",
    ),
    "mariadb": (
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION max_statement_time = {s}",
        "START TRANSACTION",
    ),
}


def sql_reader(
    path: str | Path, *, max_rows: int = 100, max_bytes: int = 1_000_000, timeout_s: float = 10.0
) -> FunctionTool[..., Any]:
    """A tool `query` on an SQLite file, or, with SQLAlchemy, on a database by its URL.

    `timeout_s`: longest a question may take; `max_bytes`: of one value in SQLite. Of a URL: PostgreSQL through psycopg,
    MySQL and MariaDB, asked in a transaction that the server keeps from writing; give it a user without rights to
    write as well, for what such a user's functions do is theirs. Raises ConfigError for another database, and where
    SQLAlchemy (pip install understudy[sql]) or the driver is missing.
    """
    given: Any = path
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigError(f"sql_reader: wanted the path of an SQLite file, or a URL, found {given!r}")
    if max_rows < 1 or timeout_s <= 0:
        raise ConfigError("sql_reader: max_rows wants 1 or more, and timeout_s more than 0")
    if "://" in str(path):
        return _by_url(str(path), max_rows, timeout_s)
    file = Path(path).resolve()

    @tool(name="query", read_only=True)
    def query(sql: str) -> dict[str, Any]:
        """Ask the SQLite database with one SELECT; its tables stand in sqlite_master.

        Returns columns, rows, and more: whether there are rows beyond those.
        """
        if not file.is_file():
            raise ValueError(f"there is no file {file}")
        until = monotonic() + timeout_s
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=timeout_s)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_bytes)
            database.set_authorizer(_only_reading)
            database.set_progress_handler(lambda: monotonic() > until, 1000)
            try:
                found = database.execute(sql)
                rows = found.fetchmany(max_rows + 1)
            except sqlite3.Error as exc:
                raise ValueError(_why(exc, timeout_s)) from exc
            columns = [column[0] for column in found.description or ()]
            if not columns:
                raise ValueError("this asks nothing; give one SELECT")
        return {"columns": columns, "rows": rows[:max_rows], "more": len(rows) > max_rows}

    return query


def _by_url(url: str, max_rows: int, timeout_s: float) -> FunctionTool[..., Any]:
    try:
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool
    except ImportError as exc:
        raise ConfigError("a database by its URL needs SQLAlchemy: pip install 'understudy[sql]'") from exc
    try:
        place = sqlalchemy.make_url(url)
        kind, driver = place.get_backend_name(), place.get_driver_name()
        if kind not in _READ_ONLY or (kind == "postgresql" and driver != "psycopg"):
            known = f"postgresql+psycopg, {', '.join(one for one in _READ_ONLY if one != 'postgresql')} or an SQLite file"
            raise ConfigError(f"sql_reader: {kind} by {driver} cannot be kept from writing; give {known}")
        # No pool: what a question sets of its session ends with its connection. What psycopg prepares is one statement;
        # it sends others as they stand, "COMMIT; DELETE ..." too.
        prepared = {"prepare_threshold": 0} if kind == "postgresql" else {}
        engine = sqlalchemy.create_engine(place, poolclass=NullPool, connect_args=prepared)
    except (ArgumentError, NoSuchModuleError, ImportError) as exc:
        raise ConfigError(f"sql_reader: {reason(exc)}") from exc

    said = (
        f"Ask the {kind} database with one SELECT; its tables stand in information_schema.tables.\n"
        "Returns columns, rows, and more: whether there are rows beyond those."
    )

    @tool(name="query", description=said, read_only=True, timeout_s=timeout_s * 2)
    def query(sql: str) -> dict[str, Any]:
        with engine.connect() as database:
            for line in _READ_ONLY[kind]:
                database.exec_driver_sql(line.format(ms=int(timeout_s * 1000), s=timeout_s))
            found = database.exec_driver_sql(sql.replace("%", "%%"), {})
            rows = [list(row) for row in found.fetchmany(max_rows + 1)] if found.returns_rows else []
            return {
                "columns": list(found.keys()) if found.returns_rows else [],
                "rows": rows[:max_rows],
                "more": len(rows) > max_rows,
            }

    return query


def _only_reading(action: int, one: str | None, two: str | None, *rest: str | None) -> int:
    harmless = action in _READING and two != "load_extension"
    harmless |= action == sqlite3.SQLITE_PRAGMA and one in _LOOKING
    # A full-text table declares its columns, which the engine takes for a change; the file itself is opened to be read.
    harmless |= action == sqlite3.SQLITE_UPDATE and one == "sqlite_master" and two in _DECLARED
    return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY


def _why(exc: sqlite3.Error, timeout_s: float) -> str:
    said = str(exc)
    if said == "interrupted":
        return f"it took longer than {timeout_s:g} s; ask for less"
    if "authori" in said:
        return f"only reading is allowed here, one SELECT at a time ({said})"
    return said
