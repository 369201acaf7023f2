"""The registry of servers agrees with what is installed and what hosts are given."""

from __future__ import annotations

import importlib.util
import json
from importlib.metadata import entry_points
from pathlib import Path

from servers.protocol.registry import SERVER_COMMANDS


def test_every_registered_server_has_its_module_console_script_and_entry_in_mcp_json() -> None:
    scripts = {point.name: point.value for point in entry_points(group="console_scripts")}
    offered = json.loads((Path(__file__).parents[3] / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]
    assert {name: entry["command"] for name, entry in offered.items()} == SERVER_COMMANDS
    for server, command in SERVER_COMMANDS.items():
        assert scripts[command] == f"servers.protocol.front:{server}"
        assert importlib.util.find_spec(f"servers.{server}.server")
    assert {name for name in scripts if name.startswith("understudy-")} == set(SERVER_COMMANDS.values())
