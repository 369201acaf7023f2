"""A client that takes MCP tasks: the answer to a call as it is on the wire, and what became of its task."""

from __future__ import annotations

from typing import Any

import anyio
from mcp import Client
from mcp.types import CallToolRequest, CallToolRequestParams, Request, RequestParams, Result
from pydantic import ConfigDict, TypeAdapter


class Said(Result):
    model_config = ConfigDict(extra="allow")

    @property
    def all(self) -> dict[str, Any]:
        return self.model_extra or {}


class About(RequestParams):
    task_id: str


class AboutTask(Request[About, str]):
    name_param = "taskId"


async def called(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """The answer as it is on the wire."""
    params = CallToolRequestParams(name=name, arguments=arguments)
    said = await client.session.send_request(CallToolRequest(params=params), TypeAdapter(dict[str, Any]))
    return said


async def about(client: Client, method: str, id: str) -> dict[str, Any]:
    return (
        await client.session.send_request(AboutTask(method=f"tasks/{method}", params=About(task_id=id)), Said)
    ).all


async def ended(client: Client, id: str) -> dict[str, Any]:
    while (task := await about(client, "get", id))["status"] == "working":  # noqa: ASYNC110  # what clients do
        await anyio.sleep(task["pollIntervalMs"] / 1000)
    return task
