"""Hosts that ask the user before each call themselves, as the user said once: our own question would be a second one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..state import audit
from ..state.home import home
from ..state.whole_file import write_whole

if TYPE_CHECKING:  # the command line needs none of it
    from mcp.server.mcpserver import Context


def asks_itself(ctx: Context[Any, Any]) -> bool:
    """Whether the user said of this host that it asks before each call."""
    return host_name(ctx) in names()


def host_name(ctx: Context[Any, Any]) -> str | None:
    """What the host calls itself; None when it does not say."""
    params = ctx.request_context.session.client_params
    return params.client_info.name if params else None


def way_out(ctx: Context[Any, Any]) -> str:
    """The command with which the user says so, for a refusal; "" for a host without a plain name."""
    name = host_name(ctx)
    plain = name is not None and name.isprintable() and "'" not in name and len(name) <= 80
    return f" If this host itself asks before each call: understudy trust --host '{name}'." if plain else ""


def names() -> list[str]:
    """The hosts of which it was said."""
    try:
        found = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def remember(name: str, *, asks: bool) -> bool:
    """Note it of a host, or take it back; whether that changed anything."""
    known = names()
    if (name in known) is asks:
        return False
    wanted = sorted({*known, name} if asks else {*known} - {name})
    write_whole(_file(), json.dumps(wanted))
    audit.record("trust", host=name, asks=asks)
    return True


def _file() -> Path:
    return home() / "asking-hosts.json"
