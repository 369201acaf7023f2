"""R76: a database by its URL answers questions, and its own engine refuses to be changed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from benchmarks.postgres import Postgres, postgres, programs
from orchestrator.errors import ConfigError
from orchestrator.function_tools.sql import sql_reader


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if programs() is None and "CI" not in os.environ:
        pytest.skip("PostgreSQL is not installed")
    with postgres() as made:
        with psycopg.connect(made.url, autocommit=True) as database:
            database.execute("CREATE TABLE item (name TEXT, price INT)")
            database.execute("INSERT INTO item VALUES ('pen', 1), ('ink 5%', 5), ('pad', 3)")
        yield made


def url(server: Postgres) -> str:
    return server.url.replace("postgresql://", "postgresql+psycopg://")


def test_a_question_is_answered_with_at_most_so_many_rows(server: Postgres) -> None:
    query = sql_reader(url(server), max_rows=2)
    found = query.execute(
        sql="SELECT name FROM item WHERE name LIKE 'p%' OR name LIKE '%5%%' ORDER BY price DESC"
    )
    assert found.result == {"columns": ["name"], "rows": [["ink 5%"], ["pad"]], "more": True}
    assert "postgresql database" in query.spec.description and query.spec.read_only


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM item", "DROP TABLE item", "CREATE TABLE t (x INT)", "SELECT * INTO t FROM item",
        "COMMIT; DELETE FROM item", "ROLLBACK; DROP TABLE item", "SET TRANSACTION READ WRITE",
        "WITH gone AS (DELETE FROM item RETURNING *) SELECT * FROM gone",
        "DO $$ BEGIN COMMIT; DELETE FROM item; END $$",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM item; END $$",
        "SELECT set_config('transaction_read_only', 'off', false)", "SELECT nope",
    ],
)  # fmt: skip
def test_everything_that_would_change_it_is_refused_by_the_engine(server: Postgres, sql: str) -> None:
    assert not sql_reader(url(server)).execute(sql=sql).success
    with psycopg.connect(server.url) as database:
        tables = database.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        )
        assert tables.fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM item").fetchone() == (3,)


def test_what_a_question_sets_of_its_session_ends_with_it(server: Postgres) -> None:
    query = sql_reader(url(server))
    query.execute(sql="SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    query.execute(sql="COMMIT")
    assert not query.execute(sql="DELETE FROM item").success


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("nosuch://x/y", "nosuch"),
        (
            "sqlite:///x.db",
            "cannot be kept from writing; give postgresql.psycopg, mysql, mariadb or an SQLite file",
        ),
        ("postgresql+psycopg2://x/y", "postgresql by psycopg2 cannot be kept from writing"),
        ("no such://", "sql_reader: "),
    ],
)
def test_a_database_that_cannot_be_kept_from_writing_is_refused(given: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        sql_reader(given)
