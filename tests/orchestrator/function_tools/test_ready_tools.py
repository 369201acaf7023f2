"""The calculator evaluates no Python, and SQL changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import ConfigError
from orchestrator.function_tools.calculator import calculate
from orchestrator.function_tools.load import load_tools
from orchestrator.function_tools.sql import sql_reader


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14),
        ("-(2 ** 10) / 4", -256.0),
        (" 7 // 2 % 2", 1),
        ("sqrt(16) + max(1, 2)", 6.0),
        ("2^3", 8),
        ("6 × 7 − 4 ÷ 2", 40.0),
        ("max(3)", 3),
    ],
)
def test_it_calculates(expression: str, value: float) -> None:
    assert calculate.execute(expression=expression).result == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')", "(1).real", "[1]", "'a' * 9", "True", "x", "1 if 1 else 2", "9 ** 9 ** 9",
        "2 ** 99999", "1 / 0", "(-8) ** 0.5", "sqrt(x=1)", "1 +", "", "(" * 300, "1" * 501, "10 ** -99999999", "abs",
        "1e999", "1e308 * 10", "max()", "sqrt(4, 4)", "(2 ** 1000) ** 4",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_or_too_large_is_a_failed_call(expression: str) -> None:
    outcome = calculate.execute(expression=expression)
    assert not outcome.success and outcome.error and len(outcome.error) < 250
    assert "unknown" not in outcome.error and "object" not in outcome.error


def test_it_is_configured_by_its_place() -> None:
    (found,) = load_tools("orchestrator.function_tools.calculator:calculate")
    assert found is calculate


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "a shop?.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE item (name TEXT, price INT)")
        database.executemany("INSERT INTO item VALUES (?, ?)", [("pen", 1), ("ink", 5), ("pad", 3)])
        database.commit()
    return path


def test_a_question_is_answered_with_at_most_so_many_rows(shop: Path) -> None:
    found = sql_reader(shop, max_rows=2).execute(sql="SELECT name FROM item ORDER BY price")
    assert found.result == {"columns": ["name"], "rows": [("pen",), ("pad",)], "more": True}


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM item", "INSERT INTO item VALUES ('x', 1)", "DROP TABLE item", "PRAGMA journal_mode = WAL",
        "ATTACH 'other.sqlite' AS o", "SELECT 1; DELETE FROM item", "CREATE TEMP TABLE t (x)", "VACUUM INTO 'copy.sqlite'",
        "SELECT load_extension('x')", "SELECT zeroblob(100000000)", "SELECT nope",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    ],
)  # fmt: skip
def test_everything_but_a_bounded_question_fails_and_changes_nothing(shop: Path, sql: str) -> None:
    before = shop.read_bytes()
    assert not sql_reader(shop, timeout_s=0.2).execute(sql=sql).success
    assert shop.read_bytes() == before and list(shop.parent.glob("*.sqlite")) == [shop]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM item", "only reading is allowed here, one SELECT at a time"),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r", "longer than 0.2 s"),
        (" ; ", "this asks nothing; give one SELECT"),
    ],
)  # fmt: skip
def test_what_fails_says_what_would_work(shop: Path, sql: str, said: str) -> None:
    assert said in (sql_reader(shop, timeout_s=0.2).execute(sql=sql).error or "")


def test_the_schema_and_full_text_tables_are_read_as_others_are(shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as database:
        database.execute("CREATE VIRTUAL TABLE note USING fts5(text)")
        database.execute("INSERT INTO note VALUES ('seven wrens')")
        database.commit()
    query = sql_reader(shop)
    assert query.execute(sql="SELECT * FROM note WHERE note MATCH 'wrens'").result["rows"] == [
        ("seven wrens",)
    ]
    assert [row[1] for row in query.execute(sql="PRAGMA table_info(item)").result["rows"]] == [
        "name",
        "price",
    ]
    for sql in (
        "INSERT INTO note VALUES ('x')",
        "UPDATE sqlite_master SET name = 'x'",
        "PRAGMA user_version = 3",
    ):
        assert not query.execute(sql=sql).success


@pytest.mark.parametrize("wrong", [{"path": ""}, {"path": None}, {"max_rows": 0}, {"timeout_s": 0}])
def test_what_cannot_be_a_reader_is_refused_where_it_is_made(shop: Path, wrong: Any) -> None:
    given: dict[str, Any] = {"path": shop, **wrong}
    with pytest.raises(ConfigError, match="sql_reader: "):
        sql_reader(**given)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert not sql_reader(tmp_path / "no.sqlite").execute(sql="SELECT 1").success
    assert not (tmp_path / "no.sqlite").exists()
