"""One workspace's shell: what may run is decided, run in the sandbox, and told in few words.

`run_gate` is the same for a program that needs a yes or no from a command and has nobody to ask.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread

from ...output import ToolError, fenced, masked, one_line, visible
from ...state import audit
from ...workspace.outside_programs import outside_program
from ..policy.judge import Decision, Finding, Judge
from ..policy.rules import BUILT_IN, NETWORK, Policy
from ..sandbox.limits import Limits
from ..sandbox.restore import Guard, guard
from ..sandbox.sandbox import Sandbox, open_sandbox, refused_root, scratch_folder
from ..sandbox.visible_paths import drop_old_caches, git_identity
from .jobs import Job, Jobs, as_text, total_bytes

MAX_TIMEOUT_S = 3600.0
MAX_INPUT_BYTES = 4 << 20
MAX_WORDS = 8000  # bubblewrap takes 9,000 with its own
MAX_WORD_BYTES = 128_000  # Linux takes 128 KiB
_SHOWN_BYTES = 32_000
_TAIL = 0.75
_MAX_LINE = 2000
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
_NO_NETWORK = re.compile(
    rb"Network is unreachable|Temporary failure in name resolution|Name or service not known|Could not resolve host"
    rb"|ENETUNREACH|EAI_AGAIN|ENOTFOUND|nodename nor servname|[^\n]{0,40}socket[^\n]{0,60}(?:not permitted|[Pp]ermission denied)"
    rb"|PermissionError: \[Errno 1\] Operation not permitted",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[@-Z\\-_])"
)


@dataclass(slots=True, kw_only=True)
class Shell:
    """A workspace with its policy, its sandbox and its jobs."""

    root: Path
    policy: Policy
    sandbox: Sandbox
    jobs: Jobs = field(default_factory=Jobs)

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
            processes=limits["processes"],
            extra=extra,
        )
        mounted = self.sandbox.level == "bwrap"
        kept = None if approved else await anyio.to_thread.run_sync(lambda: guard(self.root, mounted=mounted))
        return await self.jobs.start(
            launch,
            command=command if command is not None else as_text(words),
            sandbox=self.sandbox.named(network=online),
            timeout_s=timeout_s,
            limits=limits,
            stdin=stdin,
            on_end=lambda job: self._ended(job, kept),
        )

    def _ended(self, job: Job, kept: Guard | None) -> None:
        """Note the end, and undo what the command did to protected places."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """What a gate command came to."""

    exit: int | None  # None: it did not run, `output` says why
    output: str  # bounded, secrets masked; not fenced
    sandbox: str
    duration_s: float | None


async def run_gate(root: Path, command: str, *, timeout_s: float, policy: Policy = BUILT_IN) -> GateRun:
    """Run a check nobody is there to confirm: what the policy would ask about is refused, naming the rule,
    unless the policy says what else holds then (`ask_fallback`).

    A command that is still running after `timeout_s` is killed; its exit is then not 0.
    Call `close_gates` when the process ends.
    """
    shell = _gate_shell(str(root), policy)
    try:
        decision = shell.judge(command, None)
    except ToolError as exc:
        return GateRun(exit=None, output=str(exc), sandbox="", duration_s=None)
    if policy.refuses(decision.effect):
        return GateRun(exit=None, output=refusal(decision, policy), sandbox="", duration_s=None)
    job = await shell.start(command, None, timeout_s=timeout_s, stdin="")
    try:
        await job.wait(timeout_s + 10)
    finally:
        if job.running:
            job.send({"kill": 0})
    if job.ended is None:
        return GateRun(
            exit=None, output=job.failure or "it could not be stopped", sandbox=job.sandbox, duration_s=None
        )
    text = recorded(job, 0).text
    code = job.ended["exit"] if job.ended["ended"] == "exit" else job.ended["exit"] or 1
    note = "" if job.ended["ended"] == "exit" else f"\n[{ending(job)}]"
    return GateRun(exit=code, output=text + note, sandbox=job.sandbox, duration_s=job.ended["duration_s"])


def close_gates() -> None:
    """End every gate command of this process."""
    for shell in _gates:
        shell.close()
    _gates.clear()
    _gate_shell.cache_clear()


_gates: list[Shell] = []


@cache
def _gate_shell(root: str, policy: Policy) -> Shell:
    shell = open_shell(Path(root), policy)
    _gates.append(shell)
    return shell


def refusal(decision: Decision, policy: Policy) -> str:
    """Why a command does not run, and the line that would let it."""
    worst = decision.worst
    unruled = worst.rule == "default"
    what = f"not run: {worst.part!r}: {'no rule allows it' if unruled else worst.rule}"
    if decision.effect == "deny":
        return f"{what}. The policy ({policy.source}) denies it."
    return (
        f"{what}, so the policy ({policy.source}) asks the user first, and nobody can be asked here. "
        f"A policy file (--policy FILE) with {allowing_line(worst)} would allow it."
    )


def allowing_line(finding: Finding) -> str:
    """The line of a policy file that lets this through unasked."""
    name = rule_for(finding.part) if finding.rule == "default" else None
    return f'allow = ["{name}"]' if name else 'ask_fallback = "allow"'


def rule_for(part: str) -> str | None:
    """The narrowest rule for a command that reads like one: `git init`, but `rm`."""
    words = part.split(" ")
    several = {rule.split(" ")[0] for rule in BUILT_IN.contained | NETWORK if " " in rule}
    chosen = (
        words[:2] if words[0] in several and len(words) > 1 and not words[1].startswith("-") else words[:1]
    )
    return " ".join(chosen) if all(re.fullmatch(r"[\w.+/-]+", word) for word in chosen) else None


def ending(job: Job) -> str:
    """How it went, for a header: exit=0, or what ended it."""
    if job.ended is None:
        return job.failure or "running"
    code = f"exit={job.ended['exit']}"
    match job.ended["ended"]:
        case "exit":
            return code
        case "timeout":
            return f"timed out after {job.timeout_s:g} s · {code}"
        case "killed":
            return f"killed · {code} · survivors={job.ended['survivors']}"
        case "output":
            return f"killed: it printed more than {job.ended['output_bytes'] >> 20} MB · {code}"
        case "memory":
            return f"killed: out of memory · {code}"
        case "processes":
            return f"killed: too many processes · {code}"


def header(job: Job, kept: str = "") -> str:
    """One line: how it went, how long it took, what held it, how much is shown when that is not all."""
    took = job.ended["duration_s"] if job.ended else time.monotonic() - job.started
    cut = f" · {kept}" if kept else ""
    state = ending(job) if not job.running else f"running · job={job.id}"
    return f"{state} · {took:.1f} s · {job.sandbox}{cut}"


class Recorded(NamedTuple):
    """What a job printed, as it can be shown."""

    text: str
    end: int  # where in the spool it ended
    kept: int | None = None  # bytes of it that are shown, when that is not all


def recorded(job: Job, start: int, max_bytes: int = _SHOWN_BYTES) -> Recorded:
    """What the job printed from byte `start` on, cut to its head and tail."""
    end = total_bytes(job) - (_begun(job) if job.running else 0)
    size = end - start
    if size <= 0:
        return Recorded("", max(start, end))
    with open(job.spool, "rb") as spool:
        spool.seek(start)
        if size <= 4 * max_bytes:
            head = tail = readable_output(spool.read(size))
            if len(head.encode("utf-8", "surrogatepass")) <= max_bytes:
                return Recorded(head, end)
        else:  # the middle would be cut away again
            head = readable_output(spool.read(2 * max_bytes))
            spool.seek(end - 2 * max_bytes)
            tail = readable_output(spool.read(2 * max_bytes))
    room = max_bytes - 80
    first = (
        _short(head).encode("utf-8", "surrogatepass")[: room - int(room * _TAIL)].decode("utf-8", "ignore")
    )
    last = _short(tail).encode("utf-8", "surrogatepass")[-int(room * _TAIL) :].decode("utf-8", "ignore")
    kept = min(len((first + last).encode("utf-8", "surrogatepass")), size)
    return Recorded(
        f"{first}\n... {size - kept:,} bytes left out here, {_kept(kept, size)} ...\n{last}", end, kept
    )


def _short(text: str) -> str:
    """Long lines among others cut to their head and tail; a line that is alone has the whole room."""
    lines = text.split("\n")
    if sum(map(bool, lines)) < 2:
        return text
    return "\n".join(
        line
        if len(line) <= _MAX_LINE
        else f"{line[: _MAX_LINE * 3 // 4]} ... {len(line) - _MAX_LINE:,} characters left out ... {line[-_MAX_LINE // 4 :]}"
        for line in lines
    )


def _begun(job: Job) -> int:
    """How many bytes at the end of the output so far are a character whose rest is still to come."""
    with open(job.spool, "rb") as spool:
        spool.seek(max(total_bytes(job) - 3, 0))
        last = spool.read(3)
    for count in range(1, len(last) + 1):
        byte = last[-count]
        if byte & 0xC0 != 0x80:  # the first byte of one says how long it is
            return count if byte >= 0xC0 and count < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
    return 0


def readable_output(data: bytes) -> str:
    """Terminal output as text: colours and overwritten progress dropped, the unseen shown, secrets masked."""
    text = _TERMINAL.sub("", data.decode("utf-8", "replace")).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return masked(visible("\n".join(lines)))


def told(job: Job, start: int = 0) -> tuple[str, int]:
    """Header and fenced output of a job from byte `start` on, and where the next part starts."""
    text, end, kept = recorded(job, start)
    cut = _kept(kept, end - start) if kept is not None else ""
    shown = "\n".join([header(job, cut), *job.notes])
    if not text:
        return shown + ("\nno output" if start == 0 and not job.running else "\nno new output"), end
    return f"{shown}\n{fenced(text, masked(f'{job.id} {job.command}')[:70])}", end


def refused_network(job: Job) -> str:
    """What lifts it, when a command failed for want of a network; "" when it did not."""
    if "net=off" not in job.sandbox or not job.ended or not job.ended["exit"]:
        return ""
    with open(job.spool, "rb") as spool:
        spool.seek(max(total_bytes(job) - 20_000, 0))
        if not (found := _NO_NETWORK.search(spool.read())):
            return ""
    said = one_line(found[0].decode("utf-8", "replace"))
    return (
        f"the network is off here, which is why it said {said!r}: only this session's own commands reach one another, on "
        "127.0.0.1. A policy file (--policy FILE) with [sandbox] network = true turns it on"
    )


def _kept(kept: int, size: int) -> str:
    """The same words in the header and at the cut."""
    return f"kept {_size(kept)} of {_size(size)}"


def _size(count: float) -> str:
    for unit in ("", "K", "M"):
        if count < 1000:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}G"
