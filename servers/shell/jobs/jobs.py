"""Commands as jobs: started through the supervisor, waited for as long as asked, readable until evicted."""

from __future__ import annotations

import contextlib
import json
import os
import secrets as tokens
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from ...output import ToolError, explain, secret_patterns
from ...state.home import home
from ..sandbox.limits import Limits
from ..sandbox.sandbox import Launch
from .supervisor import Ended, Spec

MAX_RUNNING = 8  # the next ones wait
MAX_KEPT = 64  # ended jobs whose output can still be read
MAX_OUTPUT_BYTES = 64 << 20
KEEPER_S = 5.0  # how long the fork server may take to notice a job
_END_S = 0.9
_QUEUE_S = 20.0  # how long a command waits for one of the others to end
_AT_ONCE_BYTES = 64 << 10  # a fresh socket takes this much without waiting


@dataclass(slots=True, kw_only=True)
class Job:
    """One command: running while `ended` and `failure` are None."""

    id: str
    command: str  # as it was asked for
    sandbox: str  # as results name it
    spool: Path
    control: socket.socket
    timeout_s: float
    began: float = field(default_factory=time.time)  # seconds since 1970
    started: float = field(default_factory=time.monotonic)
    ended: Ended | None = None
    failure: str | None = None  # it could not be started, or its supervisor was killed
    read_bytes: int = 0  # of the spool, handed out so far
    heard: bytes = b""
    on_end: Callable[[Job], None] | None = None  # called once, when the end is noticed
    notes: list[str] = field(default_factory=list)  # what else there is to say about it
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def running(self) -> bool:
        return self.ended is None and self.failure is None

    async def wait(self, wait_s: float) -> bool:
        """Wait for the end, at most `wait_s`; whether it has come."""
        with anyio.move_on_after(wait_s):
            async with self.lock:  # one reader of the socket at a time
                while self.running:
                    await anyio.wait_readable(self.control)
                    self._hear()
        return not self.running

    def poll(self) -> bool:
        """Whether it has ended, without waiting."""
        if self.running and not self.lock.locked():
            self._hear()
        return not self.running

    def send(self, order: Mapping[str, Any]) -> None:
        """Hand the supervisor an order; one that has gone needs none."""
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(order).encode() + b"\n")

    def _hear(self) -> None:
        while self.running:
            try:
                data = self.control.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.failure = "its supervisor was killed from outside; everything it ran has been killed"
                break
            self.heard += data
            *lines, self.heard = self.heard.split(b"\n")
            for line in lines:
                message: dict[str, Any] = json.loads(line)
                if "failed" in message:
                    self.failure = f"could not start: {message['failed']}"
                elif "ended" in message:
                    self.ended = Ended(**message)
        if self.on_end:
            self.on_end(self)
            self.on_end = None


class Jobs:
    """All jobs of one server. `close` ends every one of them."""

    def __init__(self) -> None:
        self.all: dict[str, Job] = {}
        self.folder: Path | None = None
        self.number = 0
        self.lock = threading.Lock()
        self.keeper: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self.closed = False
        self.starting = 0
        self.ready: tuple[tuple[object, ...], socket.socket] | None = None  # a sandbox for the next command

    async def start(
        self,
        launch: Launch,
        *,
        command: str,
        sandbox: str,
        timeout_s: float,
        limits: Limits,
        stdin: str | None = None,
        on_end: Callable[[Job], None] | None = None,
    ) -> Job:
        """Start a command, after a while in the queue when many run. Raises ToolError when it cannot be."""
        await self._room()
        self.starting += 1
        try:
            return await self._start(launch, command, sandbox, timeout_s, limits, stdin, on_end)
        finally:
            self.starting -= 1

    async def _start(
        self,
        launch: Launch,
        command: str,
        sandbox: str,
        timeout_s: float,
        limits: Limits,
        stdin: str | None,
        on_end: Callable[[Job], None] | None,
    ) -> Job:
        early = launch.ahead if stdin == "" else None
        ours = self._prepared(early.key) if early else None
        if ours is None:
            early = None
            ours, theirs = socket.socketpair()
            with theirs:
                if self.keeper:
                    self._hand_over(theirs)  # at once
                else:
                    await anyio.to_thread.run_sync(self._hand_over, theirs)
        self.number += 1
        job = Job(
            id=f"j{self.number}",
            command=command,
            sandbox=sandbox,
            spool=self._spools() / f"{self.number}.out",
            control=ours,
            timeout_s=timeout_s,
            on_end=on_end,
        )
        spec = _spec(launch, limits, timeout_s, stdin, str(job.spool), early.words if early else None)
        job.spool.touch(mode=0o600)
        line = _line(spec)
        try:
            if len(line) < _AT_ONCE_BYTES:
                ours.sendall(line)
            else:
                await anyio.to_thread.run_sync(ours.sendall, line)
        except OSError as exc:
            ours.close()
            raise ToolError(
                f"the command's supervisor ended before it began ({explain(exc)}); try again"
            ) from exc
        ours.setblocking(False)
        self.all[job.id] = job
        self._evict()
        return job

    def prepare(self, launch: Launch, limits: Limits) -> None:
        """Set up a sandbox for the next command that is launched alike. Blocks for a moment."""
        if launch.ahead is None or (self.ready and self.ready[0] == launch.ahead.key):
            return
        ours, theirs = socket.socketpair()
        with theirs:
            self._hand_over(theirs)
        early = replace(launch, argv=launch.ahead.argv, env={"PATH": os.defpath})
        ours.sendall(_line({**_spec(early, limits, 0, "", "", None), "ahead": True}))
        with self.lock:
            old, self.ready = self.ready, None if self.closed else (launch.ahead.key, ours)
        for control in (old[1] if old else None, ours if self.closed else None):
            if control:
                control.close()

    def _prepared(self, key: tuple[object, ...]) -> socket.socket | None:
        """The sandbox that waits, if it is as a new one would be; one that is not is ended."""
        with self.lock:
            ready, self.ready = self.ready, None
        if ready is None:
            return None
        with contextlib.suppress(OSError):
            ready[1].setblocking(False)
            gone = ready[0] != key
            with contextlib.suppress(BlockingIOError):
                gone = gone or not ready[1].recv(1, socket.MSG_PEEK)
            if not gone:
                ready[1].setblocking(True)
                return ready[1]
        ready[1].close()
        return None

    async def _room(self) -> None:
        """Wait until fewer than MAX_RUNNING run. Raises ToolError when that takes too long."""
        deadline = time.monotonic() + _QUEUE_S
        while (
            len(running := [job for job in self.all.values() if not job.poll()]) + self.starting
            >= MAX_RUNNING
        ):
            if time.monotonic() > deadline:
                names = ", ".join(job.id for job in running)
                raise ToolError(
                    f"{MAX_RUNNING} jobs run already ({names}); kill one with the job tool, or wait"
                )
            await anyio.sleep(0.02)

    def find(self, job_id: str) -> Job:
        """The job of this id. Raises ToolError naming those there are."""
        if job := self.all.get(job_id):
            return job
        known = ", ".join(self.all) or "none yet"
        raise ToolError(f"no job {job_id!r}; there are: {known}")

    def close(self) -> None:
        """Kill everything: each supervisor sees its socket close. Bounded, and safe to call twice."""
        with self.lock:
            self.closed = True
            keeper, self.keeper = self.keeper, None
            ready, self.ready = self.ready, None
        if ready:
            ready[1].close()
        for job in self.all.values():
            job.control.close()
        if keeper:
            process, orders = keeper
            orders.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _hand_over(self, theirs: socket.socket) -> None:
        """Give the job's socket to the fork server, starting that on first use and again if it was killed."""
        with self.lock:
            if self.closed:
                raise ToolError("the server is ending")
            if self.keeper and self.keeper[0].poll() is not None:
                self.keeper[1].close()
                self.keeper = None
            if not self.keeper:
                self.keeper = _start_keeper()
            if not _taken(self.keeper[1], theirs):  # killed a moment ago
                self.keeper[0].kill()
                self.keeper[1].close()
                self.keeper = _start_keeper()
                if not _taken(self.keeper[1], theirs):
                    raise ToolError("the process that starts commands was killed twice; nothing was run")

    def _spools(self) -> Path:
        if self.folder is None:
            parent = home() / "shell" / "jobs"
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for old in parent.iterdir():  # of servers that were killed
                if not os.path.exists(f"/proc/{old.name.partition('-')[0]}"):
                    shutil.rmtree(old, ignore_errors=True)
            self.folder = parent / f"{os.getpid()}-{tokens.token_hex(4)}"
            self.folder.mkdir(mode=0o700)
        return self.folder

    def _evict(self) -> None:
        ended = [job for job in self.all.values() if not job.running]
        for job in ended[: max(len(ended) - MAX_KEPT, 0)]:
            del self.all[job.id]
            job.control.close()
            job.spool.unlink(missing_ok=True)


def _spec(
    launch: Launch,
    limits: Limits,
    timeout_s: float,
    stdin: str | None,
    spool: str,
    words: Sequence[str] | None,
) -> Spec:
    return Spec(
        argv=list(launch.argv),
        env=launch.env,
        cwd=launch.cwd,
        spool=spool,
        stdin=stdin,
        timeout_s=timeout_s,
        max_output_bytes=MAX_OUTPUT_BYTES,
        limits=limits,
        ruleset=launch.ruleset,
        session_net=launch.session_net,
        shell_depth=launch.depth,
        secrets=list(secret_patterns()),
        ahead=False,
        words=None if words is None else list(words),
    )


def _line(spec: Mapping[str, Any]) -> bytes:
    return json.dumps(spec).encode() + b"\n"


def _taken(keeper: socket.socket, theirs: socket.socket) -> bool:
    """Whether the fork server took the job's socket over; one that is being killed may leave it unread."""
    try:
        socket.send_fds(keeper, [b"j"], [theirs.fileno()])
        return bool(keeper.recv(1))
    except OSError:
        return False


def _start_keeper() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(KEEPER_S)
    package = Path(__file__).parents[3]
    code = (
        f"import sys; sys.path.insert(0, {str(package)!r}); "
        f"from servers.shell.jobs.fork_server import keep; keep({theirs.fileno()}, sys.argv[1:])"
    )
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", code, *(rule for _, rule in secret_patterns())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env=_quiet_env(),
            cwd="/",
        )
    return process, ours


def _quiet_env() -> dict[str, str]:
    """Nothing of the server's environment: a command could read it from its ancestors."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def total_bytes(job: Job) -> int:
    """What has been recorded so far."""
    with contextlib.suppress(OSError):
        return job.spool.stat().st_size
    return 0


def as_text(argv: Sequence[str]) -> str:
    """An argv as one would type it."""
    import shlex

    return shlex.join(argv)
