"""A named agent with memory and function tools, and nothing it was not given: no servers, no prompt, no screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .coding_agent import CodingAgent
from .config.arguments import text
from .config.files import short
from .config.load import Config, configuration
from .errors import ConfigError
from .function_tools import Tool
from .providers.dialects import Dialect
from .providers.openai_chat import messages_of
from .types import Request


class Agent(CodingAgent):
    """As CodingAgent, for programs that are not about code.

    `name`: its memory is kept on disk under it. `system_prompt`: "" is none. `tools`: functions, servers, toolboxes;
    none unless given. Raises as CodingAgent. `session_id`: one conversation of many that this agent has, for example a user's; None: its own.
    Name and id have at most 99 characters together, and the name has no "/".
    """

    def __init__(
        self,
        name: str | None = None,
        system_prompt: str = "",
        model: str | None = None,
        n_latest_messages: int | None = 10,
        tools: Sequence[Tool] | None = (),
        reset: bool = False,
        chat_kwargs: Mapping[str, Any] | None = None,
        tool_kwargs: Mapping[str, Any] | None = None,
        *,
        session_id: str | None = None,
        config: Config | None = None,
        verbose: bool = False,
        **more: Any,
    ) -> None:
        """`verbose`: show what happens, as CodingAgent does; `more`: further arguments of CodingAgent."""
        if session_id is not None and not text(session_id, "session_id").strip():
            raise ConfigError("session_id: wanted one character or more, or None, found none")
        if name is not None and "/" in text(name, "name"):
            raise ConfigError(
                f"name: wanted one without '/', which parts it from a session_id, found {short(name)}"
            )
        found = configuration(config)
        if not verbose:
            found = found.model_copy(update={"display": found.display.model_copy(update={"quiet": True})})
        super().__init__(
            f"{name or 'agent'}/{session_id}" if session_id is not None else name,
            system_prompt,
            model,
            n_latest_messages,
            tools or (),
            reset,
            chat_kwargs,
            tool_kwargs,
            config=found,
            **more,
        )

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The whole conversation as OpenAI's Chat Completions writes messages, restarts included."""
        return messages_of(Request(model="", messages=self.history), Dialect())
