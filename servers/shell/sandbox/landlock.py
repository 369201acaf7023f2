"""Landlock and seccomp on the calling process: the sandbox where bubblewrap is missing. Linux only.

Standard library only: the supervisor runs without site-packages. Sources: landlock(7), seccomp(2),
include/uapi/linux/{landlock,seccomp,bpf_common}.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from typing import Literal, TypedDict


class Ruleset(TypedDict):
    """What stays possible. Paths that do not exist are skipped."""

    read: list[str]  # and run
    write: list[str]  # and everything else
    network: Literal["all", "loopback", "none"]  # loopback: it is in a network that has nothing else


_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_BY_ABI = {1: (1 << 13) - 1, 2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
_DEVICE_NODES = 1 << 6 | 1 << 11  # never: root would read the disk through one
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_NET_TCP = 3  # bind and connect
_SCOPES = 3  # abstract Unix sockets and signals
_DROP_BOUNDING = 24
_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2


def abi() -> int:
    """The kernel's Landlock version, 0 without it. Asked of the kernel: /sys/kernel/security need not be mounted."""
    if sys.platform != "linux":
        return 0
    return max(_libc().syscall(_CREATE, None, ctypes.c_size_t(0), 1), 0)


def restrict(rules: Ruleset) -> None:
    """Confine this process and all it will start. Raises OSError when the kernel refuses: then nothing may run."""
    libc, version = _libc(), abi()
    if not version:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = 0
    for since, rights in _BY_ABI.items():
        handled |= rights if version >= since else 0
    net = _NET_TCP if version >= 4 and rules["network"] == "none" else 0
    scopes = _SCOPES if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, net, scopes)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _checked(libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for path in rules["read"]:
            _allow(libc, ruleset, path, handled & (_EXECUTE | _READ_FILE | _READ_DIR))
        for path in rules["write"]:
            _allow(libc, ruleset, path, handled & ~_DEVICE_NODES)
        for capability in range(64):  # root keeps none past the exec
            libc.prctl(_DROP_BOUNDING, capability, 0, 0, 0)
        _checked(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    _filter(libc, rules["network"])


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                rights &= _ON_FILES
            _checked(libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", rights, fd), 0))
        finally:
            os.close(fd)


# System calls refused with EPERM: reaching other processes, kernel interfaces a test run has no use for,
# new namespaces (they would undo the rest), and io_uring, which opens sockets without the socket call.
_CALLS = {
    "x86_64": (0xC000003E, 41, (101, 310, 311, 246, 320, 321, 323, 298, 165, 166, 155, 161, 272, 308, 425, 426, 427, 248, 249, 250, 175, 176, 313, 428, 429, 430, 431, 432, 442, 135, 169, 167, 168, 304)),
    "aarch64": (0xC00000B7, 198, (117, 270, 271, 104, 294, 280, 282, 241, 40, 39, 41, 51, 97, 268, 425, 426, 427, 217, 218, 219, 105, 106, 273, 428, 429, 430, 431, 432, 442, 92, 142, 224, 225, 265)),
}  # fmt: skip
# Calls that reach another process by its number: allowed on the caller itself, so where these arguments are 0.
_SELF_ONLY = {
    "x86_64": {302: (0,), 141: (0, 1), 144: (0,), 142: (0,), 314: (0,), 251: (1,)},
    "aarch64": {261: (0,), 140: (0, 1), 119: (0,), 118: (0,), 274: (0,), 30: (1,)},
}
"""prlimit64, setpriority (which, who), sched_setscheduler, sched_setparam, sched_setattr, ioprio_set (who)."""
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_X32 = 0x40000000
_INTERNET = (2, 10)  # AF_INET, AF_INET6


def _filter(libc: ctypes.CDLL, network: str) -> None:
    """Refuse the calls above, and sockets when the network is off (Landlock knows only TCP).

    In a loopback network those of the internet families are allowed: a Unix socket would lead out by its path.
    socketpair stays. On an unknown architecture this raises: the sandbox would be less than it says.
    """
    try:
        arch, socket_call, refused = _CALLS[platform.machine()]
    except KeyError:
        raise OSError(errno.ENOSYS, f"no system call table for {platform.machine()}") from None
    numbers = [*refused, *([socket_call] if network == "none" else [])]
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    program = [
        (_LOAD, 0, 0, 4),  # the architecture: 32-bit calls have other numbers
        (_EQUAL, 1, 0, arch),
        refuse,
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
    ]
    for number in numbers:
        program += [(_EQUAL, 0, 1, number), refuse]
    for number, arguments in _SELF_ONLY[platform.machine()].items():
        checks = [
            line for place in arguments for line in ((_LOAD, 0, 0, 16 + 8 * place), (_EQUAL, 1, 0, 0), refuse)
        ]
        program += [(_EQUAL, 0, len(checks) + 1, number), *checks, (_LOAD, 0, 0, 0)]
    if network == "loopback":
        families = [
            line for family in _INTERNET for line in ((_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW))
        ]
        program += [(_EQUAL, 0, len(families) + 2, socket_call), (_LOAD, 0, 0, 16), *families, refuse]
    program.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filled = struct.pack("@HxxxxxxQ", len(program), ctypes.addressof(code))
    _checked(libc.prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(filled), 0, 0))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
