"""Delegations to a worker that recites: the real server and its tools, with answers that a test wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mcp import Client

from servers.ollama.engines.replay import Recited
from servers.ollama.hosts.hosts import Hosts
from servers.ollama.server import build
from servers.ollama.service import Service
from servers.shell.policy.rules import BUILT_IN
from servers.workspace import Workspace


async def recited(
    tree: Path, *answers: str | dict[str, Any], tool: str = "delegate", **call: Any
) -> dict[str, Any]:
    """What the tool returns for a workspace whose worker, `w`, says these answers in turn. What it runs ends with it."""
    said = [answer if isinstance(answer, dict) else {"text": answer} for answer in answers]
    script = tree.parent / f"{tree.name}.json"
    script.write_text(
        json.dumps({"models": [{"name": "w", "context_length": 1 << 20}], "answers": said}), encoding="utf-8"
    )
    service = Service.open(Workspace([str(tree)]), Hosts.single(Recited(str(script))), BUILT_IN)
    try:
        async with Client(build([str(tree)], service=service)) as client:
            result = await client.call_tool(tool, {"model": "w", **call})
    finally:
        service.close()
    assert result.structured_content is not None, result.content
    return result.structured_content
