"""One workspace's shell: what may run is decided, run in the sandbox, and told in few words.

`run_gate` is the same for a program that needs a yes or no from a command and has nobody to ask.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.to_thread

from ...output import ToolError, one_line
from ...state import audit
from ...state.home import usable_home
from ...workspace.outside_programs import outside_program
from ..policy.judge import Decision, Judge
from ..policy.rules import BUILT_IN, Policy
from ..sandbox.limits import Limits
from ..sandbox.restore import Guard, guard
from ..sandbox.sandbox import Sandbox, open_sandbox, refused_root, scratch_folder
from ..sandbox.visible_paths import drop_old_caches, git_identity
from .job_report import refused_network
from .jobs import Job, Jobs, as_text

MAX_TIMEOUT_S = 3600.0
MAX_INPUT_BYTES = 4 << 20
MAX_WORDS = 8000  # bubblewrap takes 9,000 with its own
MAX_WORD_BYTES = 128_000  # Linux takes 128 KiB
_PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "JAVA_HOME",
    "GOPATH",
    "GOROOT",
    "VIRTUAL_ENV",
)
_QUIET = {
    "TERM": "dumb", "NO_COLOR": "1", "CI": "1", "PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "EDITOR": "true", "PYTHONUNBUFFERED": "1",
    "PIP_PROGRESS_BAR": "off", "TQDM_DISABLE": "1", "DEBIAN_FRONTEND": "noninteractive", "npm_config_fund": "false",
    "npm_config_update_notifier": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}  # fmt: skip
SWEEP_S = 1.0
SWEEP_SHARE = 50  # times what a sweep takes there is between two
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True, kw_only=True)
class Shell:
    """A workspace with its policy, its sandbox and its jobs."""

    root: Path
    policy: Policy
    sandbox: Sandbox
    jobs: Jobs = field(default_factory=Jobs)
    wanted: anyio.Event = field(default_factory=anyio.Event)  # a sandbox for the next command
    guarded: dict[str, tuple[Job, Guard]] = field(default_factory=dict[str, tuple[Job, Guard]])  # what runs
    guarding: anyio.Event = field(default_factory=anyio.Event)  # something runs

    @property
    def bash(self) -> str:
        """The shell commands are for: never one that a command has put in the workspace."""
        found = outside_program("bash", self.root) or "/bin/bash"
        if not os.path.exists(found):
            raise ToolError("there is no bash on this machine; install it, or give the program as argv")
        return found

    def judge(
        self,
        command: str | None,
        argv: Sequence[str] | None,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        *,
        also: frozenset[str] = frozenset(),
    ) -> Decision:
        """Decide on a command or an argv. Raises ToolError when it is not exactly one of the two, or empty.

        `also` are rules allowed in a sandbox besides those of the policy.
        """
        policy = replace(self.policy, contained=self.policy.contained | also) if also else self.policy
        judge = Judge(policy=policy, root=self.root, level=self.sandbox.level)
        folder = self.folder(cwd)
        if (command is None) == (argv is None):
            raise ToolError(
                "give either command (a line for bash) or argv (a list of words), not both and not neither"
            )
        if command is not None:
            if not command.strip():
                raise ToolError("command is empty; give a line for bash, such as 'ls'")
            return judge.text(command, cwd=folder, env=env)
        if len(argv or ()) > MAX_WORDS or any(
            len(word.encode("utf-8", "replace")) > MAX_WORD_BYTES for word in argv or ()
        ):
            raise ToolError(
                f"argv has at most {MAX_WORDS:,} words of {MAX_WORD_BYTES:,} bytes; give more as stdin or in a file"
            )
        if not argv or not argv[0]:
            raise ToolError("argv is empty; give a program and its arguments, such as ['ls', '-l']")
        return judge.argv(argv, cwd=folder, env=env)

    async def start(
        self,
        command: str | None,
        argv: Sequence[str] | None,
        *,
        cwd: str = ".",
        timeout_s: float = 120,
        stdin: str | None = "",
        env: Mapping[str, str] | None = None,
        network: bool | None = None,
        extra: Path | None = None,
        approved: bool = False,
    ) -> Job:
        """Start what has been decided on.

        `network` None: as the policy says; `extra`: one more folder to write in; `approved`: the user said yes
        to exactly this, so it may make protected places that are not there yet.
        """
        words = [self.bash, "-c", command] if command is not None else list(argv or ())
        if not timeout_s > 0:
            raise ToolError(f"timeout_s is a number of seconds above 0, found {timeout_s:g}")
        if stdin is not None and len(stdin) > MAX_INPUT_BYTES:
            raise ToolError(
                f"stdin has {len(stdin):,} characters, at most {MAX_INPUT_BYTES:,} go in; put them in a file"
            )
        online = self.policy.network if network is None else network
        limits = self._limits(timeout_s)
        launch = self.sandbox.launch(
            words,
            cwd=self.folder(cwd),
            env=self.environment(env or {}),
            network=online,
            limits=limits,
            extra=extra,
        )
        mounted = self.sandbox.level == "bwrap"
        kept = None if approved else await anyio.to_thread.run_sync(lambda: guard(self.root, mounted=mounted))
        job = await self.jobs.start(
            launch,
            command=command if command is not None else as_text(words),
            sandbox=self.sandbox.named(network=online),
            timeout_s=timeout_s,
            limits=limits,
            stdin=stdin,
            on_end=lambda job: self._ended(job, kept),
        )
        if kept and job.running:
            self.guarded[job.id] = (job, kept)
            self.guarding.set()
        return job

    async def keep_clear(self) -> None:
        """While commands run, move away what they make in protected places, until cancelled: a host may read it before
        they end."""
        took = 0.0
        while True:
            if not self.guarded:
                self.guarding = anyio.Event()
                await self.guarding.wait()
            await anyio.sleep(max(SWEEP_S, SWEEP_SHARE * took))
            began = time.monotonic()
            for job, kept in list(self.guarded.values()):
                if made := await anyio.to_thread.run_sync(kept.clear):
                    job.notes += made
                    audit.record("shell", event="cleared", job=job.id, undone="; ".join(made))
            took = time.monotonic() - began

    async def keep_ready(self) -> None:
        """After each command set up the sandbox of the next one, until cancelled: nobody waits for it then."""
        while True:
            self.wanted = anyio.Event()
            await self.wanted.wait()
            await anyio.to_thread.run_sync(self._make_ready)

    def _make_ready(self) -> None:
        limits = self._limits(MAX_TIMEOUT_S)
        with suppress(OSError, ToolError):  # the next command starts by itself
            launch = self.sandbox.launch(
                ["true"],
                cwd=self.root,
                env=self.environment({}),
                network=self.policy.network,
                limits=limits,
            )
            self.jobs.prepare(launch, limits)

    def _ended(self, job: Job, kept: Guard | None) -> None:
        """Note the end, and undo what the command did to protected places."""
        self.wanted.set()
        self.guarded.pop(job.id, None)
        undone = kept.put_back() if kept else []
        job.notes += undone
        job.notes += [said] if (said := refused_network(job)) else []
        facts = (
            {"ended": job.ended["ended"], "exit": job.ended["exit"], "bytes": job.ended["output_bytes"]}
            if job.ended
            else {}
        )
        audit.record(
            "shell", event="end", job=job.id, failure=job.failure, undone="; ".join(undone) or None, **facts
        )

    def folder(self, cwd: str) -> Path:
        """The folder `cwd` names. Raises ToolError outside the workspace or when it is none."""
        place = Path(os.path.realpath(self.root / os.path.expanduser(cwd))) if "\0" not in cwd else None
        if place is None or not place.is_relative_to(self.root):
            raise ToolError(
                f"cwd {one_line(cwd)!r} is outside the workspace; give a folder inside it, '.' is its top"
            )
        if not os.path.isdir(place):
            raise ToolError(f"cwd {one_line(cwd)!r} is not a folder of the workspace")
        return place

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """An allow-list of ours, what keeps programs quiet, and `extra`."""
        for name, value in extra.items():
            if len(value.encode("utf-8", "replace")) > MAX_WORD_BYTES:
                raise ToolError(
                    f"env: {one_line(name)} has more than {MAX_WORD_BYTES:,} bytes; put it in a file"
                )
            if not _NAME.fullmatch(name) or "\0" in value:
                raise ToolError(f"env: {one_line(name)!r} is not a variable's name with a plain value")
        names = [*_PASSED, *self.policy.env, *(name for name in os.environ if name.startswith("LC_"))]
        kept = {name: os.environ[name] for name in names if name in os.environ}
        path = [entry for entry in kept.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(entry)]
        kept |= {"PATH": os.pathsep.join(path), "HOME": os.path.expanduser("~")}
        return {**kept, **_QUIET, **git_identity(outside_program("git", self.root)), **extra}

    def close(self) -> None:
        """End everything that runs, and clear what it left outside the workspace."""
        self.jobs.close()
        shutil.rmtree(scratch_folder(), ignore_errors=True)

    def _limits(self, timeout_s: float) -> Limits:
        cpus = os.cpu_count() or 1
        return Limits(
            memory_bytes=self.policy.memory_mb << 20,
            processes=self.policy.processes,
            file_bytes=self.policy.file_mb << 20,
            cpu_s=int(timeout_s * cpus) + 1,
        )


def open_shell(root: Path, policy: Policy = BUILT_IN) -> Shell:
    """A shell on `root`. Raises ValueError or OSError with one sentence when it cannot be had."""
    usable_home()
    given = os.path.abspath(root)
    root = Path(os.path.realpath(root))
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; name the project folder to work in")
    if why := refused_root(root):
        raise ValueError(why)
    drop_old_caches()
    return Shell(
        root=root, policy=policy, sandbox=open_sandbox(root, policy.sandbox, _other_name(given, root))
    )


def _other_name(given: str, root: Path) -> str | None:
    """The root as it was given, where that is another name that a sandbox can add beside the real one."""
    place = Path(given)
    apart = place != root and not place.is_relative_to(root) and not root.is_relative_to(place)
    return given if apart else None
