"""What we use of the SDK's private parts is still there, and does what we take it for.

A failure here, and not somewhere deep in a server, is how a new SDK release says that it moved them:
mend servers/protocol/sdk_private.py, or hold `mcp` below that release in pyproject.toml.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mcp.server import MCPServer

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("package", ["servers", "orchestrator"])
def test_no_other_module_touches_a_private_part_of_the_sdk(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mcp":
                private = any(part.startswith("_") for part in (node.module or "").split("."))
                private |= any(alias.name.startswith("_") for alias in node.names)
                assert not private or file.name == "sdk_private.py", f"{file}:{node.lineno}"


def test_the_private_parts_of_the_sdk_are_where_we_reach_for_them() -> None:
    from servers.protocol import sdk_private

    server = MCPServer("probe")

    @server.tool()
    def echo(text: str) -> str:
        """Say it again."""
        return text

    assert "text" in sdk_private.tools_of(server)["echo"].parameters["properties"]
    kinds = [type(one).__name__ for one in sdk_private.lowlevel_of(server).middleware]
    assert "OpenTelemetryMiddleware" in kinds
    sdk_private.without_telemetry(server)
    left = [type(one).__name__ for one in sdk_private.lowlevel_of(server).middleware]
    assert left == [kind for kind in kinds if kind != "OpenTelemetryMiddleware"]
    assert callable(sdk_private.lowlevel_of(server).run)
