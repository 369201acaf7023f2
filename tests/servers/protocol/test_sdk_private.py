"""What we use of the SDK's private parts is still there, and does what we take it for.

A failure here, and not somewhere deep in a server, is how a new SDK release says that it moved them:
mend servers/protocol/sdk_private.py, or hold `mcp` below that release in pyproject.toml.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mcp.server import MCPServer, runner
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

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


RESULTS: list[dict[str, object]] = [
    {"content": [{"type": "text", "text": "ä\u2028"}], "isError": False, "resultType": "complete"},
    {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}], "resultType": "complete"},
    {"content": [], "structuredContent": {"a": [1]}, "isError": True, "resultType": "complete"},
    {
        "content": [{"type": "resource_link", "uri": "a:b", "name": "c", "unknown": 1}],
        "resultType": "complete",
    },
    {"content": [{"type": "text", "text": "x"}], "_meta": {"a/b": 1}, "resultType": "complete"},
]


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS])
@pytest.mark.parametrize("result", RESULTS)
def test_a_result_that_is_written_once_is_the_one_the_sdk_would_write(
    result: dict[str, object], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from servers.protocol import sdk_private

    for name in ("_methods", "aclose_shielded", "_replay_from_opening_request"):
        monkeypatch.setattr(runner, name, getattr(runner, name))  # as it was, afterwards
    theirs = runner._methods.serialize_server_result("tools/call", version, result)
    sdk_private.once_per_call()
    ours = runner._methods.serialize_server_result("tools/call", version, result)
    assert {"isError": False} | ours == {"isError": False} | theirs
    with pytest.raises(ValueError, match="content"):
        runner._methods.serialize_server_result("tools/call", version, {"content": [{"type": "audio"}]})
