"""Python functions as tools: of the library, of the command line and, through `understudy serve`, of any MCP host."""

from __future__ import annotations

from .function_tool import FunctionTool, ToolContext, ToolOutcome, tool
from .toolbox import FunctionTools, Tool, as_toolbox, given_tools

__all__ = [
    "FunctionTool",
    "FunctionTools",
    "Tool",
    "ToolContext",
    "ToolOutcome",
    "as_toolbox",
    "given_tools",
    "tool",
]
