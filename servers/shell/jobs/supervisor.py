"""One command from its start to the death of its last descendant: started, fed, bounded, recorded and ended.

It runs in a fork of its own, which adopts all the job's orphans, so the end of a job is the end of its whole tree.
Standard library only: it runs without site-packages.

A job's socket carries JSON lines. First a Spec (two, where a sandbox is set up ahead of its command); then {"input": text}, {"end": true} (of input),
{"kill": grace_s}. Back: {"failed": reason} or {"started": true}, and at the end an Ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import selectors
import signal
import socket
import termios
import time
from typing import Any, Literal, NoReturn, TypedDict

from ..sandbox import limits as bounds
from ..sandbox import private_net
from ..sandbox.landlock import Ruleset, restrict
from .output_log import Secret, Spool

GRACE_S = 1.0  # between TERM and KILL
WATCH_S = 0.1  # how often memory and processes are looked at where no control group counts them
_PROMPT_S = 0.1  # output without a newline is shown after this silence
_CHUNK = 1 << 16


class Spec(TypedDict):
    argv: list[str]
    env: dict[str, str]
    cwd: str
    spool: str
    stdin: str | None  # the whole input; None: a terminal that later input reaches
    timeout_s: float
    max_output_bytes: int
    limits: bounds.Limits
    ruleset: Ruleset | None  # Landlock and seccomp, when they are the sandbox
    session_net: bool  # it shares the session's own network: loopback alone
    shell_depth: int  # processes of the sandbox itself on top of the command's: bubblewrap has 2
    secrets: list[Secret]
    ahead: bool  # start `argv` now; a second Spec will say what is to run in it
    words: list[str] | None  # what an `argv` that was started ahead waits for


Reason = Literal["exit", "timeout", "killed", "output", "memory", "processes"]


class Ended(TypedDict):
    ended: Reason
    exit: int  # 128 + signal number for a killed process, as shells say it
    duration_s: float
    output_bytes: int  # printed, before any cut
    lost_bytes: int  # of it, for which the disk had no room
    survivors: int  # processes left after the kill: 0


class Job:
    """One command from its start to the death of its last descendant."""

    def __init__(self, control: socket.socket, network: private_net.Network | None) -> None:
        self.control, self.network = control, network
        self.orders = b""
        self.spec: Spec = self._first()
        self.kill_at: float | None = None
        self.reason: Reason = "exit"
        self.child = 0
        self.status: int | None = None  # of the command itself, once reaped
        self.groups = bounds.Groups(self.spec["limits"])
        self.selector = selectors.DefaultSelector()
        self.input = bytearray()

    def run(self) -> None:
        bounds.adopt_orphans()
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        try:
            words = self._set_up() if self.spec["ahead"] else None
            self.started = time.monotonic()
            self.deadline = self.started + self.spec["timeout_s"]
            self.spool = Spool(self.spec["spool"], self.spec["secrets"], self.spec["max_output_bytes"])
            if failure := None if self._handed(words) else self._start():
                self._say({"failed": failure})
                return
            self._say({"started": True})
            self.selector.register(wake, selectors.EVENT_READ, lambda: self._reap(wake))
            self.selector.register(self.control, selectors.EVENT_READ, self._obey)
            self.selector.register(self.output, selectors.EVENT_READ, lambda: self._record(self.output))
            while self.status is None:
                self._turn()
            survivors = self._end_all()
            while self._record(self.output):
                pass
            self.spool.flush()
            if self.reason == "exit" and self.groups.out_of_memory():
                self.reason = "memory"
            self._say(
                Ended(
                    ended=self.reason,
                    exit=_code(self.status),
                    duration_s=round(time.monotonic() - self.started, 3),
                    output_bytes=self.spool.total,
                    lost_bytes=self.spool.lost,
                    survivors=survivors,
                )
            )
        finally:
            self._end_all()
            self.groups.remove()

    # starting

    def _set_up(self) -> int:
        """Start the sandbox that waits for words, then wait for the Spec that has them; where to write them."""
        theirs, words = os.pipe()
        self._start((None, theirs))
        self.input_ends = True
        self.spec = self._first()
        return words

    def _handed(self, words: int | None) -> bool:
        """Give the sandbox that was set up its words; False where there is none, or none any more."""
        if words is None:
            return False
        with contextlib.suppress(OSError), open(words, "wb") as pipe:
            if os.waitpid(self.child, os.WNOHANG) == (0, 0):
                pipe.write(b"".join(os.fsencode(word) + b"\0" for word in self.spec["words"] or ()))
                return True
        os.close(self.output)
        return False

    def _start(self, given: tuple[int | None, int] | None = None) -> str | None:
        """Fork and exec; why it could not be, or None."""
        self.output, theirs = os.pipe()
        os.set_blocking(self.output, False)
        report, failed = os.pipe()
        self.terminal, stdin = given or self._open_stdin()
        self.child = os.fork()
        if self.child == 0:
            self._become(stdin, theirs, failed)
        for fd in (theirs, failed, stdin):
            os.close(fd)
        with open(report, "rb") as pipe:
            return pipe.read().decode("utf-8", "replace") or None  # empty: exec closed it

    def _open_stdin(self) -> tuple[int | None, int]:
        """Our end and the command's. Nothing at all is no pipe: an empty one would make rg and others read it."""
        text = self.spec["stdin"]
        if text == "":
            self.input_ends = True
            return None, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if text is not None:
            theirs, ours = os.pipe()
            self.input += text.encode("utf-8", "surrogatepass")
            self.input_ends = True
            os.set_blocking(ours, False)
            self.selector.register(ours, selectors.EVENT_WRITE, lambda: self._feed(ours))
            return ours, theirs
        self.input_ends = False
        try:
            ours, theirs = pty.openpty()
            mode = termios.tcgetattr(theirs)
            mode[3] &= ~(termios.ECHO | termios.ISIG)
            termios.tcsetattr(theirs, termios.TCSANOW, mode)
        except OSError:
            return None, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.set_blocking(ours, False)
        self.selector.register(ours, selectors.EVENT_READ, lambda: self._record(ours))
        return ours, theirs

    def _become(self, stdin: int, output: int, failed: int) -> NoReturn:
        spec = self.spec
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            self.groups.enter()
            os.chdir(spec["cwd"])
            for target, fd in enumerate((stdin, output, output)):
                os.dup2(fd, target)
            bounds.own_keyring()
            bounds.apply(spec["limits"], count_user=spec["shell_depth"] == 0)
            argv, rules = spec["argv"], spec["ruleset"]
            if spec["session_net"] and self.network and private_net.join(self.network):
                argv = in_this_network(argv) if rules is None else argv
                rules = rules and {**rules, "network": "loopback"}
            if rules:
                restrict(rules)
            os.execvpe(argv[0], argv, spec["env"])
        except BaseException as exc:  # noqa: BLE001  (a forked child must not return)
            text = str(exc)
            if isinstance(exc, OSError) and exc.strerror:
                tried = exc.filename if isinstance(exc.filename, str) else spec["argv"][0]
                text = f"{tried}: {exc.strerror}"
            os.write(failed, (text or type(exc).__name__).encode())
        finally:
            os._exit(127)

    # running

    def _turn(self) -> None:
        """Wait for the next thing to happen, and see to limits."""
        now = time.monotonic()
        pauses = [self.deadline - now, 0.5]
        if self.kill_at is not None:
            pauses.append(self.kill_at - now)
        if self.spool.waiting:
            pauses.append(_PROMPT_S)
        if not self.groups.folders:
            pauses.append(WATCH_S)
        ready = self.selector.select(max(min(pauses), 0))
        for key, _ in ready:
            key.data()
        if not ready:
            self.spool.flush()
        if self.spool.full:
            self._stop("output", 0)
        if time.monotonic() >= self.deadline:
            self._stop("timeout", GRACE_S)
        if not self.groups.folders:
            self._watch()
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            bounds.kill_tree(os.getpid())

    def _watch(self) -> None:
        resident, threads = bounds.usage(os.getpid())
        if resident > self.spec["limits"]["memory_bytes"]:
            self._stop("memory", 0)
        elif threads > self.spec["limits"]["processes"]:
            self._stop("processes", 0)

    def _stop(self, reason: Reason, grace_s: float) -> None:
        """Ask everything to end; what has not within `grace_s` is killed."""
        if self.kill_at is None:
            self.reason = reason
            self.kill_at = time.monotonic() + grace_s
            if grace_s:
                bounds.signal_tree(os.getpid(), signal.SIGTERM, below=self.spec["shell_depth"])
        elif not grace_s:
            self.kill_at = time.monotonic()

    def _reap(self, wake: socket.socket) -> None:
        wake.recv(4096)
        for pid, status in reaped().items():
            if pid == self.child:
                self.status = status

    def _end_all(self) -> int:
        """Kill whatever still descends from us; how many could not be (0, but for processes in a dead disk wait)."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:  # no child, so no descendant: orphans would be our children
                return 0
            if pid == 0:
                bounds.kill_tree(os.getpid())
                time.sleep(0.001)
            elif pid == self.child:
                self.status = status
        return len(bounds.descendants(os.getpid()))

    # talking

    def _record(self, fd: int) -> bool:
        """Take what is there to read; whether there may be more."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if data:
            self.spool.write(data)
        elif fd in self.selector.get_map():
            self.selector.unregister(fd)
        return bool(data)

    def _feed(self, fd: int) -> None:
        """Give the command its input as fast as it takes it."""
        try:
            del self.input[: os.write(fd, self.input[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # nobody reads it any more
            self.input.clear()
        if not self.input:
            self.selector.unregister(fd)
            if self.input_ends:
                os.close(fd)
                self.terminal = None

    def _obey(self) -> None:
        data = self.control.recv(_CHUNK)
        if not data:  # the server has gone
            self._stop("killed", 0)
            self.selector.unregister(self.control)
            return
        self.orders += data
        *lines, self.orders = self.orders.split(b"\n")
        for line in lines:
            order: dict[str, Any] = json.loads(line)
            if "kill" in order:
                self._stop("killed", order["kill"])
            elif self.terminal is not None and not self.input_ends:
                self._type(order.get("input", "\x04"))

    def _type(self, text: str) -> None:
        """Queue text for the terminal; it is handed over when the terminal has room."""
        assert self.terminal is not None
        terminal = self.terminal
        self.input += text.encode("utf-8", "surrogatepass")
        self.selector.modify(
            terminal, selectors.EVENT_READ | selectors.EVENT_WRITE, lambda: self._talk(terminal)
        )

    def _talk(self, terminal: int) -> None:
        self._record(terminal)
        with contextlib.suppress(OSError):
            del self.input[: os.write(terminal, self.input[:1024])]
        if not self.input and terminal in self.selector.get_map():
            self.selector.modify(terminal, selectors.EVENT_READ, lambda: self._record(terminal))

    def _first(self) -> Spec:
        while b"\n" not in self.orders:
            data = self.control.recv(_CHUNK)
            if not data:
                raise EOFError
            self.orders += data
        line, _, self.orders = self.orders.partition(b"\n")
        return json.loads(line)

    def _say(self, message: Any) -> None:
        with contextlib.suppress(OSError):
            self.control.sendall(json.dumps(message).encode() + b"\n")


def in_this_network(argv: list[str]) -> list[str]:
    """A line of bubblewrap's that keeps the network it is started in."""
    at = argv.index("--unshare-all") + 1
    return [*argv[:at], "--share-net", *argv[at:]]


def _nothing(*_: object) -> None:
    """A handler, so that the signal wakes the selector."""


def reaped() -> dict[int, int]:
    """Children that have ended, with their wait status."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = status
    return ended


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
