"""Any model leads, local models work, every exchange is shown."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import run
    from .chat_completion import acompletion, completion
    from .coding_agent import CodingAgent, NoAnswer
    from .config.load import Config, from_env, load_config, with_fallbacks
    from .delegated import Delegated
    from .errors import ConfigError, OrchestratorError, ProviderError, RunError, Stopped
    from .function_tools import FunctionTool, ToolContext, ToolOutcome, tool
    from .hooks import Hooks
    from .patterns import (
        Job,
        Outcome,
        Response,
        Specialist,
        Stage,
        Task,
        consult,
        debate,
        decide,
        delegate,
        durable,
        escalate,
        handoff,
        parallel,
        pipeline,
        plan,
        refine,
        route,
        synthesise,
        vote,
    )
    from .plain_agent import Agent
    from .providers.estimate import count_tokens
    from .reply import MadeCall, Reply
    from .session.history_window import trim_history
    from .session.session import Session, open_session
    from .store.store import Store
    from .terminal.display import Display

__all__ = [
    "Agent",
    "CodingAgent",
    "Config",
    "ConfigError",
    "Delegated",
    "Display",
    "FunctionTool",
    "Hooks",
    "Job",
    "MadeCall",
    "NoAnswer",
    "OrchestratorError",
    "Outcome",
    "ProviderError",
    "Reply",
    "Response",
    "RunError",
    "Session",
    "Specialist",
    "Stage",
    "Stopped",
    "Store",
    "Task",
    "ToolContext",
    "ToolOutcome",
    "acompletion",
    "completion",
    "consult",
    "count_tokens",
    "debate",
    "decide",
    "delegate",
    "durable",
    "escalate",
    "from_env",
    "handoff",
    "load_config",
    "open_session",
    "parallel",
    "pipeline",
    "plan",
    "refine",
    "route",
    "run",
    "synthesise",
    "tool",
    "trim_history",
    "vote",
    "with_fallbacks",
]

_HOMES = {
    "agent": ("run",),
    "coding_agent": ("CodingAgent", "NoAnswer"),
    "chat_completion": ("acompletion", "completion"),
    "config.load": ("Config", "from_env", "load_config", "with_fallbacks"),
    "delegated": ("Delegated",),
    "terminal.display": ("Display",),
    "function_tools": ("FunctionTool", "ToolContext", "ToolOutcome", "tool"),
    "errors": ("ConfigError", "OrchestratorError", "ProviderError", "RunError", "Stopped"),
    "hooks": ("Hooks",),
    "patterns": (
        "Job",
        "Outcome",
        "Response",
        "Specialist",
        "Stage",
        "Task",
        "consult",
        "debate",
        "decide",
        "delegate",
        "durable",
        "escalate",
        "handoff",
        "parallel",
        "pipeline",
        "plan",
        "refine",
        "route",
        "synthesise",
        "vote",
    ),
    "plain_agent": ("Agent",),
    "providers.estimate": ("count_tokens",),
    "reply": ("MadeCall", "Reply"),
    "session.history_window": ("trim_history",),
    "session.session": ("Session", "open_session"),
    "store.store": ("Store",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: `understudy --help` needs none of them."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
