"""No keys, no network but loopback, a state folder of its own for every test."""

from __future__ import annotations

import signal
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from orchestrator.mcp_client import prefork
from tests import preforked
from tests.time_limit import limited

# A law holds or not: how fast is no question of it, and every run tries other examples.
settings.register_profile(
    "ours", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")

# Whoever starts the tests in the background of a script has them ignore Ctrl-C, and every process they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

preforked.use()

KEYS = ("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_API_BASE")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with limited(f"the setup of {item.name}"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with limited(item.name):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with limited(f"the teardown of {item.name}"):
        return (yield)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """UNDERSTUDY_HOME and HOME of this test: nothing of the person's who runs it is read or written."""
    import os

    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home / "understudy"))
    for name in tuple(os.environ):
        if name.endswith(KEYS) or name.startswith(
            ("AWS_", "UNDERSTUDY_MODEL", "DEFAULT_MODEL", "OLLAMA_", "XDG_")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return home


@pytest.fixture
def forked_as_users_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions start what forks their servers as a program, and not as a fork of what the tests keep."""
    monkeypatch.setattr(prefork, "started", preforked.as_users_start_it)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise OSError(f"a test wanted to reach {address[0]}; only loopback is allowed")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
