"""The hosts there are: where each keeps its servers, in which form, and what it passes on to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SDK_PASSES = frozenset({"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"})
"""What the MCP SDKs pass on to a server unless they are told more."""
_CODEX_PASSES = SDK_PASSES | {"LANG", "LC_ALL", "TMPDIR", "TZ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a server is started, before a host's words for it."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    title: str
    file: Callable[[Path], Path]  # of the project, or of the user where it has one file for all projects
    keys: tuple[str, ...]  # under which it looks for servers
    after: str  # what the person does then
    form: Literal["json", "jsonc", "toml", "yaml"] = "json"
    words: Literal["plain", "typed", "opencode", "zed", "codex"] = "plain"
    passes: frozenset[str] | None = None  # variables it passes on; None: all of its own
    shared: bool = False  # one file for all projects
    cwd: str | None = None  # where it starts servers; None: in the project

    def entry(self, server: Server) -> dict[str, Any]:
        """The server in this host's words."""
        env = dict(server.env)
        if self.words == "opencode":
            local = {"type": "local", "command": [server.command, *server.args], "enabled": True}
            return local | ({"environment": env} if env else {})
        plain = {"command": server.command, "args": list(server.args)} | ({"env": env} if env else {})
        match self.words:
            case "typed":
                return {"type": "stdio", **plain}
            case "zed":
                return {"source": "custom", **plain}
            case "codex":
                return {**plain, "startup_timeout_sec": 30}
            case _:
                return plain

    def server(self, entry: Any) -> Server | None:
        """How this host would start an entry; None for what is no program."""
        match entry:
            case {"command": [str(command), *args]}:
                env = entry.get("environment")
            case {"command": str(command)}:
                args, env = entry.get("args") or [], entry.get("env")
            case _:
                return None
        variables = {str(k): str(v) for k, v in env.items()} if isinstance(env, dict) else {}
        return Server(command=command, args=tuple(map(str, args)), env=variables)


def _in_project(*names: str) -> Callable[[Path], Path]:
    """The first of these files that is there, else the first of them."""
    return lambda root: next((root / name for name in names if (root / name).exists()), root / names[0])


def _home(variable: str, default: str, *parts: str) -> Callable[[Path], Path]:
    return lambda root: Path(os.environ.get(variable) or Path(default).expanduser()).joinpath(*parts)


def _claude_desktop(root: Path) -> Path:
    if sys.platform == "darwin":
        folder = Path("~/Library/Application Support").expanduser()
    elif sys.platform == "win32":
        folder = Path(os.environ.get("APPDATA", "~")).expanduser()
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return folder / "Claude" / "claude_desktop_config.json"


HOSTS = {
    "claude-desktop": Host(
        title="Claude Desktop",
        file=_claude_desktop,
        keys=("mcpServers",),
        after="Quit Claude Desktop and start it again.",
        passes=SDK_PASSES,
        shared=True,
        cwd="/",
    ),
    "claude-code": Host(
        title="Claude Code",
        file=_in_project(".mcp.json"),
        keys=("mcpServers",),
        words="typed",
        after="Start claude in that folder and approve the servers.",
    ),
    "cursor": Host(
        title="Cursor",
        file=_in_project(".cursor/mcp.json"),
        keys=("mcpServers",),
        form="jsonc",
        after="Open Cursor's settings, MCP, and switch the servers on.",
    ),
    "vscode": Host(
        title="VS Code",
        file=_in_project(".vscode/mcp.json"),
        keys=("servers",),
        form="jsonc",
        words="typed",
        after="Open the file in VS Code and press Start above each server.",
    ),
    "codex": Host(
        title="Codex",
        file=_home("CODEX_HOME", "~/.codex", "config.toml"),
        keys=("mcp_servers",),
        form="toml",
        words="codex",
        after="Start codex; /mcp lists the servers.",
        passes=_CODEX_PASSES,
        shared=True,
    ),
    "gemini": Host(
        title="Gemini CLI",
        file=_in_project(".gemini/settings.json"),
        keys=("mcpServers",),
        form="jsonc",
        after="Start gemini in that folder and trust the folder; /mcp lists the servers.",
    ),
    "opencode": Host(
        title="opencode",
        file=_in_project("opencode.json", "opencode.jsonc"),
        keys=("mcp",),
        form="jsonc",
        words="opencode",
        after="Start opencode in that folder.",
    ),
    "zed": Host(
        title="Zed",
        file=_home("XDG_CONFIG_HOME", "~/.config", "zed", "settings.json"),
        keys=("context_servers",),
        form="jsonc",
        words="zed",
        after="Zed starts the servers at once; its agent panel lists them.",
        shared=True,
    ),
    "fast-agent": Host(
        title="fast-agent",
        file=_in_project("fastagent.config.yaml", "fast-agent.yaml"),
        keys=("mcp", "servers"),
        form="yaml",
        after="Name the servers in your agent's `servers`, or start fast-agent go --servers NAMES.",
        passes=SDK_PASSES,
    ),
    "ollmcp": Host(
        title="ollmcp",
        file=_in_project(".ollmcp.json"),
        keys=("mcpServers",),
        after="Start ollmcp with --servers-json and this file.",
        passes=SDK_PASSES,
    ),
}
