"""A network that all commands of one session share and nobody else: loopback, and no way out of it. Linux only.

Standard library only: the supervisor runs without site-packages. A namespace lives as long as somebody has it open,
so whoever made it may end. Sources: network_namespaces(7), user_namespaces(7), setns(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
from typing import NamedTuple

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING


class Network(NamedTuple):
    """Descriptors of the namespaces; `user` where an ordinary user had to make one to own the network."""

    net: int
    user: int | None


def made() -> Network | None:
    """A new network with loopback up; None where the kernel does not let us."""
    if sys.platform != "linux":
        return None
    said, saying = os.pipe()
    waiting, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(said)
        os.close(go)
        try:
            os.write(saying, _enter_new())
            os.read(waiting, 1)  # until the parent has it open
        finally:
            os._exit(0)
    os.close(saying)
    os.close(waiting)
    try:
        kind = os.read(said, 1)
        if kind not in (b"n", b"u"):
            return None
        net = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC) if kind == b"u" else None
        return Network(net, user)
    except OSError:
        return None
    finally:
        os.close(go)
        os.close(said)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def join(network: Network) -> bool:
    """Put this process, which has one thread, into the network; whether that worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    if network.user is not None and libc.setns(network.user, _NEWUSER):
        return False
    return libc.setns(network.net, _NEWNET) == 0


def _enter_new() -> bytes:
    """How this process got into a new network: `n` by itself, `u` with a user namespace, `-` not."""
    libc = ctypes.CDLL(None, use_errno=True)
    kind, uid, gid = b"n", os.geteuid(), os.getegid()
    try:
        if libc.unshare(_NEWNET):
            kind = b"u"
            if libc.unshare(_NEWUSER | _NEWNET):
                return b"-"
            for file, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{uid} {uid} 1"),
                ("gid_map", f"{gid} {gid} 1"),
            ):
                with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
                    out.write(text)
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _UP_AND_RUNNING))
    except OSError:
        return b"-"
    return kind
