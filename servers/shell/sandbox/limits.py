"""Bounds on one job: resource limits, control groups where the system lends them, the end of its whole tree.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TypedDict

_PR_SET_CHILD_SUBREAPER = 36
_KEYCTL_JOIN_SESSION_KEYRING = 1
_GROUP = "understudy-"


class Limits(TypedDict):
    memory_bytes: int  # of the whole tree where a control group can say so, else of each process
    processes: int  # threads count too
    file_bytes: int  # of one file
    cpu_s: int  # of one process


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends: no double fork escapes the kill."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_keyring() -> None:
    """Leave the session's kernel keyring, which can hold tickets and keys, for a new one."""
    if number := {"x86_64": 250, "aarch64": 219}.get(platform.machine()) if sys.platform == "linux" else None:
        ctypes.CDLL(None).syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def descendants(root: int) -> dict[int, int]:
    """Every process below `root` with its depth (children are 1), parents before children."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: dict[int, int] = {}
    row, depth = children.get(root, []), 1
    while row:
        found |= dict.fromkeys(row, depth)
        row, depth = [child for pid in row for child in children.get(pid, [])], depth + 1
    return found


def signal_tree(root: int, number: signal.Signals, *, below: int = 0) -> int:
    """Signal every descendant deeper than `below`; how many there were."""
    count = 0
    for pid, depth in descendants(root).items():
        if depth > below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
                count += 1
    return count


def kill_tree(root: int) -> None:
    """One sweep: freeze what there is so that it cannot fork on, then kill it. Repeat until none is left."""
    seen: set[int] = set()
    while fresh := [pid for pid in descendants(root) if pid not in seen]:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
        seen.update(fresh)
    for pid in seen:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def apply(limits: Limits, *, count_user: bool) -> None:
    """Set this process's resource limits; it and all it starts keep them.

    `count_user`: bound processes by this user's number of them as well. Not for a command that gets a
    user namespace of its own (it is counted there), and without effect on root.
    """
    cpu_s = limits["cpu_s"]
    bounds = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (
            resource.RLIMIT_DATA,
            limits["memory_bytes"],
        ),  # not RLIMIT_AS: runtimes reserve far more than they use
    ]
    if count_user and os.getuid():
        bounds.append((resource.RLIMIT_NPROC, _own_threads() + limits["processes"]))
    for which, wanted in bounds:
        hard = resource.getrlimit(which)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))


class Groups:
    """The control groups of one job: the bounds that hold for root and for the tree as a whole.

    Empty where none may be made (no cgroup file system, an ordinary user without delegation).
    """

    def __init__(self, limits: Limits) -> None:
        self.folders: list[Path] = []
        name = f"{_GROUP}{os.getpid()}"
        for parent, files in _places(limits):
            folder = parent / name
            with contextlib.suppress(OSError):
                folder.mkdir()
                self.folders.append(folder)
                for file, value in files.items():
                    with contextlib.suppress(FileNotFoundError):
                        (folder / file).write_text(str(value), encoding="ascii")

    @staticmethod
    def drop_left() -> None:
        """Remove the groups of supervisors that were killed."""
        for parent, _ in _places(Limits(memory_bytes=0, processes=0, file_bytes=0, cpu_s=0)):
            for folder in parent.glob(f"{_GROUP}*"):
                if not os.path.exists(f"/proc/{folder.name.removeprefix(_GROUP)}"):
                    with contextlib.suppress(OSError):
                        folder.rmdir()

    def enter(self) -> None:
        """Move this process in; what it starts follows. Call it in the child, before the command."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.procs").write_text("0", encoding="ascii")

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something here for want of memory."""
        for folder in self.folders:
            for file in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    for line in (folder / file).read_text(encoding="ascii").splitlines():
                        key, _, value = line.partition(" ")
                        if key == "oom_kill" and value != "0":
                            return True
        return False

    def remove(self) -> None:
        deadline = time.monotonic() + 0.5  # a killed process leaves its group a moment later
        for folder in self.folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.005)
                else:
                    break


def usage(root: int) -> tuple[int, int]:
    """Resident bytes and number of threads below `root`: the watch where no control group counts."""
    resident = threads = 0
    for pid in descendants(root):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
            threads += int(fields[17])
            resident += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return resident, threads


def _parents() -> list[tuple[int, int]]:
    if not Path("/proc/self/stat").exists():
        import subprocess

        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, check=False).stdout
        return [(int(pid), int(parent)) for pid, parent in map(bytes.split, listed.splitlines())]
    rows: list[tuple[int, int]] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    rows.append((int(name), int(os.read(fd, 1024).rpartition(b") ")[2].split()[1])))
                finally:
                    os.close(fd)
    return rows


def _own_threads() -> int:
    mine, total = os.getuid(), 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == mine:
                total += len(os.listdir(f"/proc/{name}/task"))
    return total


def _places(limits: Limits) -> list[tuple[Path, dict[str, int]]]:
    """Folders where a group may be made, with the files to write: cgroup v1 controllers, then v2.

    In v2 a group beside our own is used: one below it would need us to leave ours
    (cgroup-v2.rst, "No Internal Process Constraint").
    """
    memory, processes = limits["memory_bytes"], limits["processes"]
    v1 = {
        "pids": {"pids.max": processes},
        "memory": {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
    }
    v2 = {"pids.max": processes, "memory.max": memory, "memory.swap.max": 0}
    own: dict[str, str] = {}
    mounts: dict[str, Path] = {}
    try:
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            own |= dict.fromkeys(controllers.split(","), path)
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            left, _, right = line.partition(" - ")
            kind, _, options = right.split(" ", 2)
            if kind == "cgroup":
                mounts |= {c: Path(left.split()[4]) for c in v1 if c in options.split(",")}
            elif kind == "cgroup2":
                mounts[""] = Path(left.split()[4])
    except (OSError, ValueError):
        return []
    places = [(mounts[c] / own.get(c, "/").lstrip("/"), files) for c, files in v1.items() if c in mounts]
    if "" in mounts and len(places) < len(v1):
        beside = mounts[""] / Path(own.get("", "/")).parent.relative_to("/")
        with contextlib.suppress(OSError):
            lent = (beside / "cgroup.subtree_control").read_text(encoding="ascii").split()
            if {"pids", "memory"} & set(lent):
                places.append((beside, v2))
    return places
