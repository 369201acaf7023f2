"""A connection to a team's PostgreSQL: its tables made once, a restart waited for, every fault one sentence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from servers.state.sqlite import statements

from ..errors import ConfigError, RunError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
_MIGRATING = 5_238_114
"""The advisory lock of whoever makes the tables."""
_DEATH_IS_NOTICED = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "6000",
    "client_connection_check_interval": "500",  # also while it waits or computes
}
"""Settings of the server for this connection, in s, s, times, ms, ms."""
HOLD_S, FIRST_HOLD_S = 15.0, 1.0
"""How long a lock that another holds is waited for, after a break and at first."""
RESTART_S = 30.0
"""How long a database that has gone may take to come back."""


class TeamDatabase:
    """Methods block, from any thread. Raises RunError when the database cannot be used.

    `schema`: statements that may run again. `holds`: an advisory lock that is held as long as this process lives;
    `held_says`: what to say when another holds it.
    """

    def __init__(
        self, url: str, schema: str, *, holds: int | None = None, held_says: str = "another holds the lock"
    ) -> None:
        try:
            import psycopg
        except ImportError as exc:
            raise ConfigError(
                "a team's database needs psycopg; pip install 'understudy[team]' brings it"
            ) from exc
        self.path = url.rpartition("@")[2]
        self._holds, self._held_says = holds, held_says
        self._error = psycopg.Error
        self._lock = threading.Lock()
        self._known = False
        """The database has answered once: then it is waited for when it goes."""
        self._open = lambda: psycopg.connect(url, autocommit=True, connect_timeout=10)
        with self._told():
            self._db = self._connected()
            self._db.execute("SELECT pg_advisory_lock(%s)", (_MIGRATING,))
            for statement in statements(schema):
                self._db.execute(statement.encode())
            self._db.execute("SELECT pg_advisory_unlock(%s)", (_MIGRATING,))

    def close(self) -> None:
        self._db.close()

    def change(self, statement: str, values: Sequence[object] = ()) -> int:
        """How many rows it changed."""
        return self.with_connection(lambda db: db.execute(statement.encode(), values).rowcount)

    def ask(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        return self.with_connection(lambda db: db.execute(statement.encode(), values).fetchall())

    def with_connection(self, work: Callable[[psycopg.Connection], T]) -> T:
        """Do it; where the connection breaks, once more on a new one: every statement here bears that."""
        with self._lock, self._told():
            try:
                return work(self._db)
            except self._error:
                if not self._db.broken:
                    raise
                self._db = self._connected()
                return work(self._db)

    def _connected(self) -> psycopg.Connection:
        """A connection that says who lives; a database that restarts is waited for."""
        deadline = time.monotonic() + RESTART_S
        while True:
            try:
                db = self._open()
                self._notice_death(db)
                if self._holds is not None:
                    self._hold(db, self._holds)
                self._known = True
                return db
            except self._error:
                if time.monotonic() > deadline or not self._known:
                    raise
                time.sleep(0.2)

    def _hold(self, db: psycopg.Connection, lock: int) -> None:
        """Wait a moment where another has it: after a break that is what the server still thinks of us."""
        deadline = time.monotonic() + (HOLD_S if self._known else FIRST_HOLD_S)
        while not (row := db.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()) or not row[0]:
            if time.monotonic() > deadline:
                db.close()
                raise RunError(self._held_says)
            time.sleep(0.05)

    def _notice_death(self, db: psycopg.Connection) -> None:
        """Let the server find out soon when this machine is gone: by itself it takes hours to free what a dead one held."""
        for name, value in _DEATH_IS_NOTICED.items():
            with suppress(self._error):  # an older server, or one whose system cannot tell
                db.execute("SELECT set_config(%s, %s, false)", (name, value))

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except self._error as exc:
            said = " ".join(str(exc).split()) or type(exc).__name__
            raise RunError(f"the team's database {self.path} cannot be used: {said}") from exc
