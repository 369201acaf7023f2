"""What a call's answer says of a job: how it went, what it printed, and what to do where the network was missing."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from ...output import fenced, masked, one_line, visible
from .jobs import Job, total_bytes

_SHOWN_BYTES = 32_000
_TAIL = 0.75
_MAX_LINE = 2000
_NO_NETWORK = re.compile(
    rb"Network is unreachable|Temporary failure in name resolution|Name or service not known|Could not resolve host"
    rb"|\b(?:ENETUNREACH|EAI_AGAIN|ENOTFOUND)\b|nodename nor servname|[^\n]{0,40}socket[^\n]{0,60}(?:not permitted|[Pp]ermission denied)"
    rb"|PermissionError: \[Errno 1\] Operation not permitted",
    re.IGNORECASE,
)
_TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[PX^_][^\x1b]*(?:\x1b\\|$)|[@-Z\\-_])"
)


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
    if job.ended and job.ended["lost_bytes"]:
        cut += f" · {job.ended['lost_bytes']:,} bytes of its output are lost: the disk of the state folder is full"
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
        short_output(head)
        .encode("utf-8", "surrogatepass")[: room - int(room * _TAIL)]
        .decode("utf-8", "ignore")
    )
    last = short_output(tail).encode("utf-8", "surrogatepass")[-int(room * _TAIL) :].decode("utf-8", "ignore")
    kept = min(len((first + last).encode("utf-8", "surrogatepass")), size)
    return Recorded(
        f"{first}\n... {size - kept:,} bytes left out here, {_kept(kept, size)} ...\n{last}", end, kept
    )


def short_output(text: str) -> str:
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
