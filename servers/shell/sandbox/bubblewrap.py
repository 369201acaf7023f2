"""Bubblewrap: new namespaces around a command, with only what it needs mounted into them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...state.home import home
from ...workspace.outside_programs import outside_program
from .nested_places import MAX_NESTED, survey
from .visible_paths import (
    NETWORK_FILES,
    PROTECTED,
    SECRET_PLACES,
    cache_folder,
    git_folders,
    visible,
)

TMP_BYTES = 1 << 30
_PROC_READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
"""Bubblewrap covers these only where their folder is writable; to root without capabilities their files still are:
one line in /proc/sys/kernel/core_pattern would run code outside."""
_PROC_HIDDEN = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/scsi",
    "/proc/sched_debug", "/proc/timer_list", "/proc/timer_stats",
)  # fmt: skip


def wrapped(
    root: Path, inside: Sequence[str], *, cwd: Path, env: Mapping[str, str], network: bool
) -> list[str]:
    """The command line that runs `inside` contained. `env` has PATH and HOME."""
    return [*outside(root, env=env, network=network), *at(cwd, inside)]


def at(cwd: Path, inside: Sequence[str]) -> list[str]:
    """The end of bubblewrap's line: what to run, and where."""
    return ["--chdir", str(cwd), "--", *inside]


def outside(
    root: Path,
    *,
    env: Mapping[str, str],
    network: bool,
    extra: Path | None = None,
    given: str | None = None,
) -> list[str]:
    """Bubblewrap's line but for the command: all that is mounted. `extra` is one more folder to write in,
    `given` another name of the root."""
    user = Path(env["HOME"])
    argv = [
        outside_program("bwrap", root) or "/usr/bin/bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    argv += ["--share-net"] if network else []
    argv += _kernel()
    argv += _tmpfs(Path("/tmp")) + ["--dir", "/var/tmp"]
    if user.is_absolute() and user != Path("/"):
        argv += _tmpfs(user)
    for path in visible(env):
        if os.path.islink(path) and Path(path).parent == Path("/"):
            argv += ["--symlink", os.readlink(path), path]  # /bin and its like
        else:
            argv += ["--ro-bind", path, path]
    for path in NETWORK_FILES if network else ():
        argv += ["--ro-bind-try", path, path]
    if user.is_absolute() and user != Path("/"):
        argv += ["--bind", str(cache_folder(root)), str(user / ".cache")]
    argv += ["--bind", str(root), str(root)]
    argv += ["--symlink", str(root), given] if given else []
    argv += _protected(root)
    argv += [part for name in SECRET_PLACES for part in _hidden(user / name, root)]
    argv += (
        ["--tmpfs", str(home())] if home().is_relative_to(root) else []
    )  # undo, audit, the policy's memory
    argv += ["--bind", str(extra), str(extra)] if extra else []
    return [*argv, "--remount-ro", "/"]


def failure(root: Path) -> str | None:
    """None when bubblewrap can run a command in this workspace, else why not."""
    if sys.platform != "linux" or not outside_program("bwrap", root):
        return "bubblewrap (bwrap) is not installed"
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.path.expanduser("~")}
    argv = wrapped(root, ["true"], cwd=root, env=env, network=False)
    try:
        tried = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"bubblewrap does not work here ({exc})"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"bubblewrap does not work here ({said or tried.returncode})"


def _kernel() -> list[str]:
    """/proc and /dev of its own, without what reaches the kernel that all share."""
    argv = ["--proc", "/proc"]
    for path in _PROC_READ_ONLY:
        argv += ["--ro-bind-try", path, path]
    for path in _PROC_HIDDEN:
        if os.path.exists(path):
            argv += ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", os.devnull, path]
    return [*argv, "--dev", "/dev"]


def _tmpfs(path: Path) -> list[str]:
    return ["--size", str(TMP_BYTES), "--tmpfs", str(path)]


def _protected(root: Path) -> list[str]:
    """Read-only mounts, and mounts of the folders around them: a folder that is none could be renamed, and made anew."""
    folders = git_folders(root)
    argv = [part for folder in folders for part in ("--bind", str(folder), str(folder))]
    names = [name.removeprefix(".git/") for name in PROTECTED if name.startswith(".git/")]
    places = [folder / name for folder in folders for name in names] + [
        root / name for name in (*PROTECTED, ".git", *sorted(survey(root).places())[:MAX_NESTED])
    ]
    kept = [place for place in dict.fromkeys(places) if place not in folders]
    return argv + [part for place in kept for part in _read_only(place)]


def _read_only(place: Path) -> list[str]:
    return ["--ro-bind", str(place), str(place)] if place.exists() and not place.is_symlink() else []


def _hidden(place: Path, root: Path) -> list[str]:
    """Cover a secret, where the workspace would show it."""
    if not place.is_relative_to(root) or not place.exists() or place.is_symlink():
        return []
    return ["--tmpfs", str(place)] if place.is_dir() else ["--ro-bind", os.devnull, str(place)]
