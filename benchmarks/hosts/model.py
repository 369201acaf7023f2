"""The model of every host: what it calls, one after the other, under whatever names the host gives our tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PROMPT = "Correct add in sum.py, test it, delegate a summary of it, and commit."
STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("files", "read_file", {"path": "sum.py"}),
    ("files", "edit_file", {"path": "sum.py", "edits": [{"old": "a - b", "new": "a + b"}]}),
    ("shell", "run_command", {"command": "python3 -c 'import sum; print(sum.add(2, 3))'"}),
    ("shell", "run_tests", {}),
    ("ollama", "delegate", {"task": "Say in one sentence what this does.", "files": ["sum.py"]}),
    ("git", "git_stage", {"paths": ["sum.py"]}),
    ("git", "git_commit", {"message": "Add instead of subtracting"}),
)
DONE = "All of it is done."
WAITS = ("WaitForMcpServers", "list_mcp_resources")
"""What Claude Code and Codex offer while servers start, and what waits for them."""


@dataclass(slots=True)
class Turn:
    """The model of one host: the next call after each result."""

    results: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])

    def answer(self, body: Mapping[str, Any]) -> str | Mapping[str, Any]:
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        messages: list[Any] = body.get("messages") or []
        if not any("read_file" in name for name in names):
            waits = next((name for name in WAITS if name in names), None)
            if waits and str(messages).count(waits) < 3:
                return {"content": "", "tool_calls": [{"name": waits, "arguments": {}}]}
            return (
                "This module adds two numbers and gives their sum."  # a delegation, or a host's own question
            )
        said = [
            str(message.get("content"))
            for message in messages
            if message["role"] == "tool" and message.get("tool_name") not in WAITS
        ]
        self.results = max(self.results, said, key=len)
        if len(said) >= len(STEPS):
            return DONE
        server, tool, arguments = STEPS[len(said)]
        found = next((name for name in names if name.endswith(tool) and server in name), None)
        if found is None:
            self.missing.append(f"{server} {tool}")
            return f"There is no {tool}."
        return {"content": "", "tool_calls": [{"name": found, "arguments": arguments}]}
