"""The loopback server of all vendors' wires, one a process, with an empty log for every test; a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.store import Store
from tests.wire.stub import SECRET, Stub


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "foreign: against servers that nobody here wrote, where they are installed"
    )


@pytest.fixture(scope="session")
def running_stub() -> Iterator[Stub]:
    with Stub() as running:
        yield running


@pytest.fixture
def stub(running_stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    running_stub.log.clear()
    running_stub.failures.clear()
    running_stub.held.clear()
    while running_stub.gone.acquire(blocking=False):
        pass
    return running_stub


@pytest.fixture
def store(own_state: Path) -> Iterator[Store]:
    """The store of this test's own home."""
    opened = Store()
    yield opened
    opened.close()
