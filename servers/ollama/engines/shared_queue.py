"""Who uses one engine now, or waits for it: every process of this user that speaks to the same address.

An engine takes one run of a model at a time and lets the others wait without a word. So each run lays a ticket
into a folder of the state that belongs to the engine's address, in the order they come, and holds a lock on it
while it lives: a killed process's tickets are known by their missing lock, and swept. Where the folder cannot be
written, runs go on unannounced.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

from ...output import one_line
from ...state.home import home
from ...state.one_process import lock_now
from ..ledger.keys import host_of

_SIZE = 512
"""Of a ticket, in bytes: one write of it is whole or not there for every reader."""
_COMING = ".coming"

log = logging.getLogger(__name__)
_numbers = count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run on the engine, of any process of this user."""

    name: str
    """Of its ticket: those that came earlier sort first."""
    model: str
    who: str
    """The program and its process, for people: "understudy-ollama, process 4711"."""
    seconds: float
    """What it was forecast to take, without its wait; 0 is not known."""
    began: float | None
    """When it got its turn, by the wall clock; None while it waits. In the future where the engine has to come to it."""
    spread: float = 0.0
    """The standard deviation of the logarithm of `seconds`; 0 is not known."""

    @property
    def gone_s(self) -> float:
        """For how long it has run."""
        return 0.0 if self.began is None else max(time.time() - self.began, 0.0)


@dataclass(slots=True, kw_only=True)
class Ticket:
    """One run's place in the queue, to be told when its turn comes."""

    queue: SharedQueue
    entry: Entry
    fd: int

    def started(self, seconds: float, spread: float = 0.0) -> None:
        """It has its turn, and should now take so long."""
        self._tell(seconds, spread, began=time.time())

    def foreseen(self, seconds: float, spread: float, *, after_s: float) -> None:
        """It is on the engine since it `started`, which should come to it `after_s` later, and should then take so long."""
        began = self.entry.began or time.time()
        self._tell(seconds, spread, began=began + after_s)

    def _tell(self, seconds: float, spread: float, *, began: float) -> None:
        self.entry = replace(self.entry, seconds=seconds, spread=spread, began=began)
        with suppress(OSError):
            _write(self.fd, self.entry)

    def ahead(self) -> list[Entry]:
        """The runs of this model that came earlier and have not ended."""
        return [one for one in self.queue.entries(self.entry.model) if one.name < self.entry.name]


class SharedQueue:
    """The queue of the engine at a base URL. Every name of this machine is the same place."""

    def __init__(self, url: str) -> None:
        place = f"{host_of(url)} {urlsplit(url).port}"
        self._name = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._who = f"{_program()}, process {os.getpid()}"

    @contextmanager
    def ticket(self, model: str, seconds: float, spread: float = 0.0) -> Generator[Ticket | None]:
        """A place in the queue for as long as the context is open; None where none can be taken."""
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}"
        entry = Entry(name=name, model=model, who=self._who, seconds=seconds, spread=spread, began=None)
        try:
            folder = self._folder()
            fd = _laid(folder, entry)
        except OSError as exc:
            log.warning("other processes do not see this run: %s", exc)
            yield None
            return
        try:
            yield Ticket(queue=self, entry=entry, fd=fd)
        finally:
            with suppress(OSError):
                os.unlink(folder / name)
            os.close(fd)

    def entries(self, model: str | None = None) -> list[Entry]:
        """Every run that lives, of one model or of all, the earliest first. Removes what killed processes left."""
        try:
            folder = self._folder()
            names = sorted(os.listdir(folder))
        except OSError:
            return []
        read = [_read(folder / name) for name in names if not name.endswith(_COMING)]
        return [entry for entry in read if entry and model in (None, entry.model)]

    def _folder(self) -> Path:
        folder = home() / "engines" / self._name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


def _laid(folder: Path, entry: Entry) -> int:
    """A descriptor of a new ticket, which shows itself to others only when its lock is held."""
    coming = folder / (entry.name + _COMING)
    fd = os.open(coming, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        lock_now(fd)
        _write(fd, entry)
        os.rename(coming, folder / entry.name)
    except BaseException:
        os.close(fd)
        with suppress(OSError):
            os.unlink(coming)
        raise
    return fd


def _write(fd: int, entry: Entry) -> None:
    facts = {
        "model": entry.model[:200],
        "who": entry.who[:100],
        "seconds": entry.seconds,
        "spread": entry.spread,
        "began": entry.began,
    }
    os.pwrite(fd, json.dumps(facts).encode()[:_SIZE].ljust(_SIZE), 0)


def _read(path: Path) -> Entry | None:
    """What a ticket says; None when its process has gone, or it is none."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            facts = json.loads(os.pread(fd, _SIZE, 0))
            began = facts["began"]
            return Entry(
                name=path.name,
                model=str(facts["model"]),
                who=one_line(str(facts["who"])),
                seconds=float(facts["seconds"]),
                spread=float(facts.get("spread", 0.0)),
                began=None if began is None else float(began),
            )
        os.unlink(path)  # nobody holds it: its process was killed
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        os.close(fd)
    return None


def _program() -> str:
    return os.path.basename(sys.argv[0]) or "python"
