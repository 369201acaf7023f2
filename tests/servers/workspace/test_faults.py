"""Killed, refused or full: what is left is the old state or the new one, and nothing else."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.output import ToolError
from servers.workspace import Change, Workspace
from servers.workspace.undo_store import UndoStore
from tests.processes import PATIENCE_S, until
from tests.stdio import Stdio, start


def wait_for(happened: Callable[[], bool]) -> None:
    """Spin, so that what follows falls into the middle of what has just happened."""
    until(happened, pause_s=0)


def kill(server: Stdio) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.close()


def snapshot(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def other_file_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The state folder on another file system, so that nothing can be renamed into it."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        monkeypatch.setenv("UNDERSTUDY_HOME", folder)
        yield Path(folder)


def test_a_killed_write_leaves_old_or_new_bytes_and_no_litter(root: Path) -> None:
    old, new = b"old " * 1000, "new!" * 2_500_000
    (root / "big.txt").write_bytes(old)
    for _ in range(6):
        server = start("files", str(root))
        server.send(
            "tools/call",
            {
                "name": "write_file",
                "arguments": {"path": "big.txt", "content": new, "if_exists": "overwrite"},
            },
        )
        wait_for(lambda: len(os.listdir(root)) > 1 or (root / "big.txt").stat().st_size != len(old))
        kill(server)
        assert (root / "big.txt").read_bytes() in (old, new.encode())
        with start("files", str(root)) as again:
            assert os.listdir(root) == ["big.txt"]
            assert not again.call("read_file", path="big.txt", limit=1).is_error
        (root / "big.txt").write_bytes(old)


def test_a_killed_patch_of_many_files_is_taken_back_or_whole(root: Path) -> None:
    names = [f"f{i:03}.txt" for i in range(150)]
    for name in names:
        (root / name).write_text("old\n", encoding="utf-8")
    patch = "".join(f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-old\n+new\n" for name in names)
    for _ in range(4):
        server = start("files", str(root))
        server.send("tools/call", {"name": "apply_patch", "arguments": {"patch": patch}})
        wait_for(lambda: (root / names[0]).read_bytes() == b"new\n")
        kill(server)
        with start("files", str(root)):
            contents = [(root / name).read_bytes() for name in names]
        assert len(set(contents)) == 1 and sorted(os.listdir(root)) == names
        for name in names:
            (root / name).write_text("old\n", encoding="utf-8")


@pytest.mark.usefixtures("other_file_system")
def test_a_killed_deletion_brings_the_tree_back_or_can_be_undone(root: Path) -> None:
    for i in range(300):
        (root / f"tree/d{i % 7}").mkdir(parents=True, exist_ok=True)
        (root / f"tree/d{i % 7}/f{i}").write_bytes(os.urandom(4000))
    before = snapshot(root)
    for _ in range(3):
        server = start("files", str(root))
        server.send("tools/call", {"name": "delete_file", "arguments": {"path": "tree", "recursive": True}})
        wait_for(lambda: not (root / "tree").exists())
        kill(server)
        with start("files", str(root)) as again:
            if not (root / "tree").exists():
                assert snapshot(root) == {}
                op = again.call("undo").text.split()[0]
                assert not again.call("undo", op=op).is_error
        assert snapshot(root) == before


@pytest.mark.usefixtures("other_file_system")
def test_deleting_and_undoing_works_across_file_systems(root: Path) -> None:
    (root / "tree/inner").mkdir(parents=True)
    (root / "tree/inner/run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "tree/inner/run.sh").chmod(0o755)
    (root / "tree/link").symlink_to("inner/run.sh")
    before = snapshot(root)
    workspace = Workspace([root])
    done = workspace.delete("tree")
    assert os.listdir(root) == []
    workspace.undo(done.id)
    assert snapshot(root) == before
    assert os.readlink(root / "tree/link") == "inner/run.sh"
    assert (root / "tree/inner/run.sh").stat().st_mode & 0o777 == 0o755


def test_moves_between_roots_on_two_file_systems_are_whole_and_undoable(root: Path, tmp_path: Path) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as far:
        (root / "tree").mkdir()
        (root / "tree/x").write_bytes(b"1")
        workspace = Workspace([root, far])
        done = workspace.move("root/tree", f"{Path(far).name}/tree")
        assert os.listdir(root) == [] and (Path(far) / "tree/x").read_bytes() == b"1"
        workspace.undo(done.id)
        assert (root / "tree/x").read_bytes() == b"1" and os.listdir(far) == []


def test_a_file_size_limit_is_told_and_changes_nothing(root: Path) -> None:
    (root / "a.txt").write_bytes(b"old")
    with start("files", str(root)) as server:
        server.call("undo")  # the store is open before the limit comes
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
        result = server.call(
            "write_file", path="a.txt", content=os.urandom(300_000).hex(), if_exists="overwrite"
        )
        assert result.is_error and "nothing was changed" in result.text
        assert snapshot(root) == {"a.txt": b"old"}


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    try:
        (small / "a.txt").write_bytes(b"old")
        workspace = Workspace([small])
        with pytest.raises(ToolError, match=r"No space left.*nothing was changed"):
            workspace.apply(
                [Change(path="new/b.txt", data=b"x"), Change(path="a.txt", data=b"n" * 1_000_000)],
                tool="test",
            )
        assert snapshot(small) == {"a.txt": b"old"}
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_state_folder_that_cannot_keep_the_old_bytes_stops_the_change(root: Path, own_state: Path) -> None:
    (root / "a.txt").write_bytes(b"old")
    workspace = Workspace([root])
    (own_state / "understudy/undo").write_bytes(b"in the way")
    with pytest.raises(ToolError, match="nothing was changed"):
        workspace.apply([Change(path="a.txt", data=b"new")], tool="test")
    assert (root / "a.txt").read_bytes() == b"old"


def test_a_damaged_undo_store_does_not_keep_a_server_from_starting(root: Path, own_state: Path) -> None:
    (root / "a.txt").write_bytes(b"old")
    (own_state / "understudy/undo").mkdir(parents=True)
    (own_state / "understudy/undo/undo.sqlite").write_bytes(b"no database" * 1000)
    with start("files", str(root)) as server:
        assert "old" in server.call("read_file", path="a.txt").text
        result = server.call("write_file", path="a.txt", content="new", if_exists="overwrite")
        assert result.is_error and "nothing was changed" in result.text
        assert server.call("undo").is_error


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_read_only_file_stays_as_it_is(root: Path, mode: int) -> None:
    (root / "a.txt").write_bytes(b"old")
    (root / "a.txt").chmod(mode)
    with pytest.raises(ToolError, match="read-only"):
        Workspace([root]).apply([Change(path="a.txt", data=b"new")], tool="test")
    assert (root / "a.txt").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_an_ordinary_user_is_told_which_right_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so a child that has become another user tries it."""
    with tempfile.TemporaryDirectory() as open_to_all:
        root, state = Path(open_to_all) / "root", Path(open_to_all) / "state"
        for folder, mode in ((Path(open_to_all), 0o755), (root, 0o755), (state, 0o777)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)
        (root / "a.txt").write_bytes(b"old")
        monkeypatch.setenv("UNDERSTUDY_HOME", str(state / "own"))

        said = subprocess.run(
            [sys.executable, "-c", CHANGES_AS_ANOTHER_USER, str(root)],
            check=True,
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        ).stdout
        assert "a.txt is read-only on disk" in said
        assert "new.txt could not be changed: Permission denied; nothing was changed" in said
        assert snapshot(root) == {"a.txt": b"old"}


CHANGES_AS_ANOTHER_USER = """
import os, sys, tempfile
from servers.output import ToolError
from servers.workspace import Change, Workspace

own = os.environ["UNDERSTUDY_HOME"]
with tempfile.TemporaryDirectory() as warm:  # all that is imported late is there before it cannot be read any more
    os.environ["UNDERSTUDY_HOME"] = f"{warm}/state"
    Workspace([warm]).apply([Change(path="a", data=b"")], tool="test")
os.environ["UNDERSTUDY_HOME"] = own
os.setgroups([])
os.setgid(4242)
os.setuid(4242)
workspace = Workspace([sys.argv[1]])
for path in ("a.txt", "new.txt"):
    try:
        workspace.apply([Change(path=path, data=b"new")], tool="test")
    except ToolError as exc:
        print(exc)
"""


def test_the_undo_store_forgets_the_oldest_beyond_its_caps(root: Path, own_state: Path) -> None:
    workspace = Workspace([root])
    ops = [workspace.apply([Change(path="a", data=os.urandom(20_000))], tool="test").id for _ in range(40)]
    (root / "tree").mkdir()
    (root / "tree/big").write_bytes(os.urandom(300_000))
    ops.append(workspace.delete("tree").id)
    store = UndoStore(own_state / "understudy/undo")
    gone = store.prune(max_bytes=400_000)
    assert gone == ops[: len(gone)] and 0 < len(gone) < len(ops)
    with pytest.raises(ToolError, match="no change"):
        workspace.undo(ops[0])
    workspace.undo(ops[-1])
    assert (root / "tree/big").stat().st_size == 300_000
    assert store.prune(max_age_s=-1) and store.recent(10) == []
    assert os.listdir(own_state / "understudy/undo/trash") == []


def test_the_caps_hold_also_when_each_server_changes_little(
    root: Path, own_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.workspace.undo_store.MAX_STORE_BYTES", 200_000)
    for _ in range(8):
        (root / "big").write_bytes(os.urandom(100_000))
        Workspace([root]).delete("big")
    assert len(os.listdir(own_state / "understudy/undo/trash")) <= 2


def test_no_name_changes_before_its_old_and_its_new_bytes_are_on_disk(root: Path, tmp_path: Path) -> None:
    # A power cut cannot be had here; the order of what is asked of the disk can be seen.
    (root / "a.txt").write_text("old\n")
    code = "import sys; from servers.workspace import *; w = Workspace([sys.argv[1]]); "
    code += "[w.apply([Change(path='a.txt', data=word)], tool='t') for word in (b'one', b'two')]"
    calls = [
        "strace",
        "-f",
        "-y",
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2",
        "-o",
        tmp_path / "o",
    ]
    try:
        subprocess.run([*calls, sys.executable, "-c", code, root], check=True, timeout=PATIENCE_S)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("there is no strace here, or it may not look on")
    lines = (tmp_path / "o").read_text().splitlines()
    renames = [at for at, line in enumerate(lines) if "rename" in line and "a.txt" in line]
    assert len(renames) == 2
    before = lines[renames[0] : renames[1]]  # of the second change alone: the first one also makes the store
    assert "sync(" in before[1] and "root>" in before[1]  # its folder, after the first rename
    assert any("sync(" in line and "undo.sqlite-wal>" in line for line in before[2:])
    assert any("sync(" in line and "/.understudy-" in line for line in before[2:])
