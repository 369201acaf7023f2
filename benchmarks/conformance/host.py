"""Our host as the official conformance suite drives it: connects to the address it is given and calls what is there.

python benchmarks/conformance/host.py URL
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence

import anyio
import httpx2

from orchestrator.config.load import Config, ServerSettings
from orchestrator.events import Event, Notice
from orchestrator.mcp_client.launch import Launch
from orchestrator.mcp_client.sign_in import sign_in
from orchestrator.session.session import open_session

ARGUMENTS = {"add_numbers": {"a": 5, "b": 3}}


async def browsed(address: str) -> None:
    """What the person's browser does at a page that asks nothing."""
    async with httpx2.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        await browser.get(address)


async def first_choice(question: str, choices: Sequence[str]) -> str | None:
    """The person presses Enter where they may, and takes the first choice elsewhere."""
    return choices[0] if choices else ""


def show(event: Event) -> None:
    if isinstance(event, Notice):
        sys.stderr.write(f"{event.text}\n")


async def main(url: str) -> None:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    known = {key: context[key] for key in ("client_id", "client_secret") if key in context}
    settings = ServerSettings.model_validate({"url": url} | ({"oauth": known} if known else {}))

    async def opened(address: str) -> None:
        group.start_soon(browsed, address)

    async with anyio.create_task_group() as group:
        if os.environ.get("MCP_CONFORMANCE_SCENARIO", "").startswith("auth/"):
            await sign_in("far", Launch(**settings.launch()), opened)
    async with open_session(Config(servers={"far": settings}), show, approve=first_choice) as session:
        await session.connected()
        for spec in (await session.toolbox()).specs:
            name = spec.name.removeprefix("far__")
            said = await session.call_tool("far", name, ARGUMENTS.get(name, {}))
            sys.stderr.write(f"{name}: {said.text}\n")


if __name__ == "__main__":
    os.environ["UNDERSTUDY_HOME"] = tempfile.mkdtemp()
    anyio.run(main, sys.argv[1])
