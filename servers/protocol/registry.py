"""The servers there are: everything that starts, offers or permits one of ours by name reads it here.

A further server needs a package `servers/NAME` with `server.main`, its line here, and its console script in
pyproject.toml.
"""

from __future__ import annotations

SERVERS = ("files", "shell", "git", "ollama")


def command_of(server: str) -> str:
    """The console script that starts a server."""
    return f"understudy-{server}"


SERVER_COMMANDS = {server: command_of(server) for server in SERVERS}
