"""A foreign server that answers every call with a task and asks a question in the middle of it."""

from __future__ import annotations

from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.extension import Extension, MethodBinding
from mcp.types import RequestParams

QUESTION = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Which colour?",
        "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}},
    },
}


class About(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class AllTasks(Extension):
    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}

    def methods(self) -> list[MethodBinding]:
        of = {"get": self.get, "update": self.update, "cancel": self.cancel}
        return [MethodBinding(f"tasks/{name}", About, do) for name, do in of.items()]

    async def intercept_tool_call(self, params: Any, ctx: Any, call_next: Any) -> Any:
        if params.name == "cancelled":
            return await call_next(ctx)
        task = {"taskId": params.name, "status": "working", "statusMessage": "thinking", "pollIntervalMs": 1}
        self.tasks[params.name] = task
        return task | {"resultType": "task"}

    async def get(self, ctx: Any, params: About) -> dict[str, Any]:
        task = self.tasks[params.task_id]
        match params.task_id:
            case "ask" if "result" not in task:
                task |= {"status": "input_required", "inputRequests": {"q": QUESTION}}
            case "fail":
                task |= {"status": "failed", "error": {"code": -32603, "message": "the disk is full"}}
            case "add":
                task |= {"status": "completed", "result": {"content": [{"type": "text", "text": "3"}]}}
        return dict(task)

    async def update(self, ctx: Any, params: About) -> dict[str, Any]:
        said = str((params.input_responses or {})["q"]["content"]["colour"])
        done = {"status": "completed", "result": {"content": [{"type": "text", "text": said}]}}
        self.tasks[params.task_id] = self.tasks[params.task_id] | done
        return {}

    async def cancel(self, ctx: Any, params: About) -> dict[str, Any]:
        self.tasks[params.task_id]["status"] = "cancelled"
        return {}


def main() -> None:
    tasks = AllTasks()
    server = MCPServer("later", extensions=[tasks])
    for name in ("ask", "fail", "add", "endless"):
        server.add_tool(lambda: "never", name=name, description="A task.")

    @server.tool()
    def cancelled() -> str:
        """The names of the tasks that were cancelled."""
        return ",".join(name for name, task in tasks.tasks.items() if task["status"] == "cancelled")

    anyio.run(server.run_stdio_async)


if __name__ == "__main__":
    main()
