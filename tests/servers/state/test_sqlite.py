"""SQLite files that several processes share."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from servers.state.sqlite import connect, transaction

TABLES = ["CREATE TABLE IF NOT EXISTS t (x)"]
WRITER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None) as db:
    db.execute("INSERT INTO t VALUES ('theirs')")
db.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    mask = os.umask(0)
    yield tmp_path / "a.sqlite"
    os.umask(mask)


def another_process_writes_and_ends(path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITER, path], check=True)


@pytest.mark.parametrize("again", [connect, lambda path, tables: connect(path, tables).close()])
def test_a_second_connection_leaves_the_locks_of_the_first_alone(path: Path, again: object) -> None:
    """Else the other process takes itself for the last one and deletes the log that the first still writes to."""
    assert callable(again)
    with closing(connect(path, TABLES)) as first:
        first.execute("INSERT INTO t VALUES ('ours')")
        second = again(path, TABLES)
        another_process_writes_and_ends(path)
        assert Path(f"{path}-wal").exists()
        with transaction(first):
            first.executemany("INSERT INTO t VALUES (?)", [("ours",)] * 5_000)
        another_process_writes_and_ends(path)
        assert first.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert dict(first.execute("SELECT x, count(*) FROM t GROUP BY x")) == {"ours": 5_001, "theirs": 2}
        if second is not None:
            second.close()


def test_many_threads_and_processes_make_one_file_for_its_owner_alone(path: Path) -> None:
    def writes(number: int) -> None:
        with closing(connect(path, TABLES)) as db, transaction(db):
            db.execute("INSERT INTO t VALUES (?)", (number,))
        if number % 4 == 0:
            another_process_writes_and_ends(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(writes, range(16)))
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM t").fetchone() == (20,)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_whose_file_is_not_there_yet_leads_to_it(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.sqlite"
    path.symlink_to(target)
    connect(path, TABLES).close()
    assert target.is_file() and path.is_symlink()


def test_a_folder_in_place_of_the_file_is_said(path: Path) -> None:
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        connect(path, TABLES)
