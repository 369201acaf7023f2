"""A file is held by one process at a time, and says by which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servers.state.one_process import HeldElsewhere, held_alone

HOLD = """
import sys
from pathlib import Path
from servers.state.one_process import held_alone
with held_alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_holds_it_is_said_whatever_stood_there_before_and_a_kill_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    path.parent.mkdir()
    path.write_text("12345678901234", encoding="utf-8")  # left behind by one that was killed
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(HeldElsewhere, match=f"^{other.pid}$"), held_alone(path):
            pass
        other.kill()
        other.wait()
        with held_alone(path):
            assert path.read_text(encoding="utf-8") == str(os.getpid())
    assert not path.exists()


def test_a_file_that_was_removed_meanwhile_is_not_taken_for_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder leaves between our opening it and our holding it: ours would be a file that nobody sees."""
    path, opened, real = tmp_path / "a.lock", list[int](), os.open

    def open_and_lose(*args: object, **more: object) -> int:
        fd = real(*args, **more)  # type: ignore[arg-type]
        if not opened:
            path.unlink()
        opened.append(fd)
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    with held_alone(path):
        assert len(opened) == 2 and path.read_text(encoding="utf-8") == str(os.getpid())
