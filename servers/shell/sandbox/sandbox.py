"""What can happen to the machine while a command runs: bubblewrap, else Landlock with seccomp, else nothing.

Inside, a command sees the system's programs and libraries, the toolchains on PATH, the workspace
(writable, but for its protected places), an empty home with a cache of its own, and no network but a loopback
that all commands of the session share.
Which rung applied is named in every result; nothing falls back in silence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...state.home import home
from . import landlock
from .ahead import Ahead, ahead
from .bubblewrap import at, failure, outside
from .limits import Limits
from .visible_paths import NETWORK_FILES, cache_folder, visible

Level = Literal["bwrap", "landlock", "none"]
Mode = Literal["required", "preferred", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start one command so that the sandbox holds."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    ruleset: landlock.Ruleset | None
    session_net: bool = False  # its network is the session's own: loopback alone
    depth: int  # processes of the sandbox on top of the command's
    ahead: Ahead | None = None  # the same command in a sandbox that is set up before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The rung that holds here for one workspace."""

    root: Path
    level: Level
    given: str | None = None  # the root by another name, through a link, as the user wrote it
    why: str  # why it is no higher rung; "" for the highest

    @property
    def limits(self) -> str:
        """What this rung does not hold, for whoever decides whether that is enough; "" for the highest."""
        return _LIMITS[self.level]

    def named(self, *, network: bool) -> str:
        """How results name it."""
        if self.level == "none":
            return "sandbox=none net=on"
        return f"sandbox={self.level} net={'on' if network else 'off'}"

    def launch(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        network: bool,
        limits: Limits,
        extra: Path | None = None,
    ) -> Launch:
        """`argv` wrapped for this rung. `env` must hold PATH and HOME; `extra` is one more folder to write in."""
        env = dict(env)
        match self.level:
            case "bwrap":
                # The limit is set inside, where the new user namespace counts from 0; root has none.
                processes = limits["processes"] if os.getuid() else None
                bound = f'ulimit -u {processes} 2>/dev/null; exec "$@"'
                inside = ["bash", "-c", bound, "bash", *argv] if processes else argv
                line = outside(self.root, env=env, network=network, extra=extra, given=self.given)
                early = ahead(
                    line, argv, root=self.root, cwd=cwd, env=env, cpu_s=limits["cpu_s"], processes=processes
                )
                return Launch(
                    argv=(*line, *at(cwd, inside)),
                    env=env,
                    cwd="/",
                    ruleset=None,
                    session_net=not network,
                    depth=2,
                    ahead=None if extra else early,
                )
            case "landlock":
                scratch, cache = scratch_folder(), cache_folder(self.root)
                scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
                env |= {"TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache), "GOCACHE": f"{cache}/go-build"}
                # git stops or warns at a configuration it may not read
                env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
                readable = [*visible(env), *(NETWORK_FILES if network else ()), "/proc"]
                writable = [*map(str, filter(None, (self.root, scratch, cache, extra))), *_DEVICES]
                rules = landlock.Ruleset(read=readable, write=writable, network="all" if network else "none")
                return Launch(
                    argv=tuple(argv), env=env, cwd=str(cwd), ruleset=rules, session_net=not network, depth=0
                )
            case "none":
                return Launch(argv=tuple(argv), env=env, cwd=str(cwd), ruleset=None, depth=0)


def open_sandbox(root: Path, mode: Mode, given: str | None = None) -> Sandbox:
    """The best rung that works here, found by trying it. Raises OSError when `required` and none does."""
    if mode == "off":
        return Sandbox(root=root, level="none", why="switched off")
    why_not = failure(root)
    if why_not is None:
        return Sandbox(root=root, level="bwrap", why="", given=given)
    if landlock.abi():
        return Sandbox(root=root, level="landlock", why=why_not)
    why = f"{why_not}; this system has no Landlock either"
    if mode == "required":
        raise OSError(f"a sandbox is required and none works here: {why}")
    return Sandbox(root=root, level="none", why=why)


def scratch_folder() -> Path:
    """Where commands of this process put temporary files, on the rung that has no /tmp of its own."""
    return home() / "shell" / "tmp" / str(os.getpid())


def refused_root(root: Path) -> str | None:
    """Why this folder may not be a workspace, or None: a sandbox around everything is none."""
    if root == Path(root.anchor):
        return "the whole file system cannot be a workspace; name a project folder"
    if root == home() or home() in root.parents:
        return f"{root} is Understudy's own state; name a project folder"
    return None


_LIMITS: dict[Level, str] = {
    "bwrap": "",
    "landlock": (
        "landlock holds content, network and signals, but not these: mode, owner and times of the user's files outside "
        "can be changed, their names and sizes seen, and other processes' command lines; what is written to "
        ".git/config, hooks and other protected places is put back when the command ends"
    ),
    "none": "nothing holds: a command can do whatever the user can",
}

_DEVICES = tuple(
    f"/dev/{name}" for name in ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"]
)
