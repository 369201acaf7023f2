"""Runs that are under way: each holds a file beside the journal, so that one in another process is not taken for killed."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from servers.state.one_process import HeldElsewhere, held_alone, holder

TRIES = 10


@contextmanager
def hold(journal: Path, run: str) -> Generator[None]:
    """Within it the run is under way. Where no file can be held, others take it for killed."""
    with ExitStack() as stack:
        for _ in range(TRIES):
            try:
                stack.enter_context(held_alone(_file(journal, run)))
            except HeldElsewhere:  # for this moment, by somebody who looks whether it is held
                time.sleep(0.001)
            except (ImportError, OSError):
                break
            else:
                break
        yield


def is_under_way(journal: Path, run: str) -> bool:
    return holder(_file(journal, run)) is not None


def all_under_way(journal: Path) -> dict[str, str]:
    """All runs that are under way, with the number of the process that is at it."""
    files = list(_folder(journal).glob("*.lock"))
    return {file.stem: pid for file in files if (pid := holder(file)) is not None}


def _file(journal: Path, run: str) -> Path:
    return _folder(journal) / f"{run}.lock"


def _folder(journal: Path) -> Path:
    return journal.with_name(f"{journal.stem}-under-way")
