"""Which addresses a tool may connect to, decided where the connection is made: what was checked is what is dialled.

A name is resolved once, each of its addresses is checked, and one of these is connected to: a second answer of the
name server, a redirect, or a host written as 0x7f000001, 017700000001 or ::ffff:7f00:1 comes by here like any other.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, cast

import anyio
import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata of clouds that is not in a private range, and what Python calls global though nobody routes it.
_INSIDE = [
    ipaddress.ip_network(one) for one in ("168.63.129.16/32", "192.0.0.0/24", "2002::/16", "2001::/32")
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """The rules of the tool forbid this; its text says what and why."""


def is_public(address: Address) -> bool:
    """Whether it is an address of the open internet: not this machine, its network, its cloud, nor a group of hosts."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local:
            return False
    special = address.is_multicast or address.is_reserved or any(address in one for one in _INSIDE)
    return address.is_global and not special


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses, and to those of `allow`: names of hosts, addresses, networks."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._inner = cast(
            "httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend()
        )  # a stub where anyio is missing
        self._hosts: set[str] = set()
        self._networks: list[Any] = []
        for one in allow:
            try:
                self._networks.append(ipaddress.ip_network(one, strict=False))
            except ValueError:
                self._hosts.add(one.casefold().rstrip("."))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with anyio.fail_after(timeout):
                found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"the name server did not answer for {host}") from None
        except (OSError, UnicodeError) as exc:
            raise httpcore2.ConnectError(f"{host}: {exc}") from exc
        addresses = list(dict.fromkeys(str(row[4][0]) for row in found))
        for address in addresses:
            if not self._may(host, ipaddress.ip_address(address)):
                raise NotAllowed(
                    f"{host} is at {address}, which is not on the open internet; it must be in `allow`"
                )
        for place, address in enumerate(addresses, 1):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                if place == len(addresses):
                    raise
        raise httpcore2.ConnectError(f"{host} has no address")

    def _may(self, host: str, address: Address) -> bool:
        if is_public(address) or host.casefold().rstrip(".") in self._hosts:
            return True
        plain = address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
        return any(plain in network for network in self._networks)
