"""Questions to an SQLite file: `tools=[sql_reader("shop.sqlite")]`. SQLite itself refuses every change."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

from .function_tool import FunctionTool, tool

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def sql_reader(
    path: str | Path, *, max_rows: int = 100, max_bytes: int = 1_000_000, timeout_s: float = 10.0
) -> FunctionTool[..., Any]:
    """A tool `query` on the file. `timeout_s`: longest a question may take; `max_bytes`: of one value."""
    file = Path(path).resolve()

    @tool(name="query", read_only=True)
    def query(sql: str) -> dict[str, Any]:
        """Ask the SQLite database with one SELECT; its tables stand in sqlite_master.

        Returns columns, rows, and more: whether there are rows beyond those.
        """
        until = monotonic() + timeout_s
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=timeout_s)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_bytes)
            database.set_authorizer(_only_reading)
            database.set_progress_handler(lambda: monotonic() > until, 1000)
            found = database.execute(sql)
            rows = found.fetchmany(max_rows + 1)
            columns = [column[0] for column in found.description or ()]
        return {"columns": columns, "rows": rows[:max_rows], "more": len(rows) > max_rows}

    return query


def _only_reading(action: int, one: str | None, two: str | None, *rest: str | None) -> int:
    harmless = action in _READING and two != "load_extension"
    return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY
