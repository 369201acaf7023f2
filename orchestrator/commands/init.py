"""Print or write what an MCP host needs to start the four servers, with absolute paths."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.protocol.registry import SERVER_COMMANDS

from ..errors import ConfigError

EXAMPLES = """\
examples:
  understudy init --host claude-desktop --root ~/projects/shop
  understudy init --host vscode --write
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    key: str  # under which the host looks for servers
    typed: bool  # whether an entry says "type": "stdio"
    after: str  # what the person does then


HOSTS = {
    "claude-desktop": Host(key="mcpServers", typed=False, after="Quit Claude Desktop and start it again."),
    "claude-code": Host(
        key="mcpServers", typed=True, after="Start claude in that folder and approve the servers."
    ),
    "cursor": Host(
        key="mcpServers", typed=False, after="Open Cursor's settings, MCP, and switch the servers on."
    ),
    "vscode": Host(
        key="servers", typed=True, after="Open the file in VS Code and press Start above each server."
    ),
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", required=True, choices=sorted(HOSTS))
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="the folder to work in (default: here)"
    )
    parser.add_argument(
        "--write", action="store_true", help="put it into the host's file; what stands there stays"
    )


def run(options: argparse.Namespace) -> int:
    root = options.root.expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(f"--root: {root} is not a folder")
    host, path = HOSTS[options.host], _file(options.host, root)
    entries = {name: _entry(command, root, host) for name, command in SERVER_COMMANDS.items()}
    if not options.write:
        sys.stdout.write(json.dumps({host.key: entries}, indent=2) + "\n")
        sys.stderr.write(f"This belongs into {path}; --write puts it there. {host.after}\n")
        return 0
    _merge(path, host.key, entries)
    sys.stdout.write(f"{path} now starts {', '.join(entries)}. {host.after}\n")
    return 0


def _entry(command: str, root: Path, host: Host) -> dict[str, Any]:
    """Hosts start servers elsewhere with a short PATH, so both paths are absolute."""
    script = Path(sys.executable).parent / (command + (".exe" if sys.platform == "win32" else ""))
    entry = {"command": str(script) if script.exists() else command, "args": [str(root)]}
    return {"type": "stdio", **entry} if host.typed else entry


def _file(host: str, root: Path) -> Path:
    if host == "claude-desktop":
        if sys.platform == "darwin":
            folder = Path("~/Library/Application Support").expanduser()
        elif sys.platform == "win32":
            folder = Path(os.environ.get("APPDATA", "~")).expanduser()
        else:
            folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        return folder / "Claude" / "claude_desktop_config.json"
    return (
        root / {"claude-code": ".mcp.json", "cursor": ".cursor/mcp.json", "vscode": ".vscode/mcp.json"}[host]
    )


def _merge(path: Path, key: str, entries: Mapping[str, Any]) -> None:
    held: Any = {}
    if path.exists():
        try:
            held = json.loads(path.read_text(encoding="utf-8") or "{}")
        except ValueError as exc:
            raise ConfigError(f"{path} is not JSON ({exc}); nothing was changed") from exc
    servers: Any = held.setdefault(key, {}) if isinstance(held, dict) else None
    if not isinstance(servers, dict):
        raise ConfigError(f"{path}: wanted an object with {key!r}, found something else; nothing was changed")
    if taken := [name for name in entries if name in servers and servers[name] != entries[name]]:
        raise ConfigError(
            f"{path} already has a server named {taken[0]!r} that is not this one; nothing was changed"
        )
    servers.update(entries)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(held, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
