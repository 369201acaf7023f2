"""One PostgreSQL for the tests of this folder, a database of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from benchmarks.postgres import Postgres, postgres


@pytest.fixture(scope="package")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def database(server: Postgres, request: pytest.FixtureRequest) -> Postgres:
    """A database of this test's own."""
    name = f"t{abs(hash(request.node.name))}"
    with psycopg.connect(server.url, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}".encode())
    return replace(server, url=server.url.rpartition("/")[0] + f"/{name}")
