"""Where the parts meet: configuration in, `ask` out. One exit stack owns every server and provider."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import anyio

from servers.protocol.registry import SERVER_COMMANDS

from ..agent import Agent, run
from ..config.load import Config
from ..depth import MAX_DEPTH, inherited
from ..errors import ConfigError, RunError, reason
from ..events import Emit, Notice, guarded, ignore, tee
from ..function_tools import FunctionTool, Tool, as_toolbox
from ..function_tools.load import is_function, load_tools
from ..hooks import NO_HOOKS, Hooks
from ..mcp_client.launch import Launch
from ..mcp_client.prefork import Warm
from ..mcp_client.server import Hosted
from ..providers import ModelInfo, Provider, sdk_warnings, split
from ..providers.estimate import count_tokens
from ..providers.wrap.budgeted import Budget, Purse
from ..reply import Reply
from ..run_log import RunLog
from ..store.spending import Limits, Spending
from ..tools import NO_TOOLS, Approve, Merged, Progress, Toolbox, no_progress
from ..types import Message, ToolCall, ToolResult
from .long_results import Bounded
from .provider_registry import Wired
from .remembering import Remembering
from .tools_by_need import LEADS, ByNeed, lead_system

PATTERNS = "patterns"
"""Among an agent's tools: the patterns. A lead with all tools has them where a panel is configured."""
ANSWER_SHARE = 4  # of a model's window that earlier messages leave to its answer and its tools' results

_depth: ContextVar[int] = ContextVar("depth", default=0)


class Session:
    """Models and tools, opened once and shared by everything that runs. Made by `open_session`."""

    def __init__(
        self,
        config: Config,
        hosted: Sequence[Hosted],
        emit: Emit,
        purse: Purse | None = None,
        approve: Approve | None = None,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        self.config, self.emit, self.approve, self.hooks = config, emit, approve, hooks
        self._loaded: dict[str, list[FunctionTool[..., Any]]] = {}  # by "module:function"
        self.hosted = {server.name: server for server in hosted}
        self.wired = Wired(config, emit, purse)
        self.remembering = Remembering(config, emit)

    def agent(self, model: str | None = None, *, name: str = "lead", system: str | None = None) -> Agent:
        """An agent as configured under `name`, with what is given here in place of what stands there.

        `system`: its prompt; None: as configured, of a lead the lead's own.
        Raises ConfigError when no model is given and none is configured, or when its name means nothing.
        """
        config = self.config
        kept = config.agents.get(name)
        spec = model or (kept.model if kept else None) or config.default_model
        if spec is None:
            raise ConfigError(
                "no model is chosen: give --model provider:model, set DEFAULT_MODEL, or default_model in config.yaml"
            )
        if system is None:
            system = kept.system if kept and kept.system else LEADS if name == "lead" else ""
        full = config.resolve(spec, self.wired.names())
        return Agent(
            name=name,
            model=full,
            system=system,
            max_rounds=config.max_rounds,
            timeout_s=config.run_timeout_s,
            settings=config.request_settings(full),
            tools=kept.tools if kept else None if name == "lead" else (),
            hooks=self.hooks,
        )

    async def ask(self, agent: Agent, prompt: str | Message, *, history: Sequence[Message] = ()) -> Reply:
        """Run the agent with its provider and its tools. Raises OrchestratorError."""
        depth = max(_depth.get(), inherited())
        if depth >= MAX_DEPTH:
            raise RunError(
                f"{agent.name} would be the {depth + 1}th model in a chain of delegations; {MAX_DEPTH} are allowed"
            )
        provider = await self.provider(split(agent.model)[0])
        question = prompt.text if isinstance(prompt, Message) else prompt
        tools = await self._tools_of(agent, question, history)
        agent = self._instructed(agent, tools)
        if not agent.tools_answer and tools is not NO_TOOLS:
            tools = Bounded(tools, partial(self.wired.window, agent.model), history)
        if self.config.memory.enabled and agent.role == "lead":
            agent, tools = await self.remembering.at_hand(agent, tools, question)
        token = _depth.set(depth + 1)
        try:
            return await run(agent, prompt, provider=provider, tools=tools, history=history, emit=self.emit)
        finally:
            _depth.reset(token)

    async def room(self, agent: Agent, prompt: str | Message) -> int | None:
        """About how many tokens of earlier messages the agent's model holds beside its prompts, tools and an answer.

        None where nobody knows how much it holds.
        """
        window = await self.wired.window(agent.model)
        if window is None:
            return None
        tools = await self.toolbox(agent.tools)
        asked = count_tokens(self._instructed(agent, tools).system, tools.specs) + count_tokens(prompt)
        answer = min(agent.settings.get("max_tokens") or window, window // ANSWER_SHARE)
        return max(window - asked - answer, 0)

    async def _tools_of(self, agent: Agent, question: str, history: Sequence[Message]) -> Toolbox:
        """Its tools; of an agent that names none and may use all, those that the conversation needs."""
        tools = await self.toolbox(agent.tools)
        if agent.tools is not None or agent.settings.get("tool_choice") or not self.config.tools_by_need:
            return tools
        groups: dict[str, Toolbox] = dict(self.hosted)
        if self.config.panel:
            groups[PATTERNS] = as_toolbox(self._patterns(), self.approve)
        return ByNeed(
            tools,
            groups,
            own=[PATTERNS, *(name for name, server in self.hosted.items() if server.launch.ours)],
            question=question,
            history=history,
            instructions={name: server.instructions for name, server in self.hosted.items()},
        )

    def _instructed(self, agent: Agent, tools: Toolbox) -> Agent:
        """The agent told how its servers say that their tools are used; of tools that are not offered, nothing."""
        offered = {spec.name for spec in tools.specs}
        said = [
            f"How the tools named {server.name}__... are used, by their server:\n{server.instructions}"
            for server in self._chosen(None if agent.tools is None else servers_among(agent.tools))
            if server.instructions and any(spec.name in offered for spec in server.specs)
        ]
        system = lead_system(offered) if agent.system == LEADS else agent.system
        return replace(agent, system="\n\n".join(filter(None, [system, *said])))

    async def toolbox(self, tools: Sequence[Tool] | None = None) -> Toolbox:
        """These tools; when None, those of all servers and the configured functions.

        Waits only for servers whose lists are not known from last time. Raises ConfigError.
        """
        given = () if tools is None else tools
        servers = servers_among(given)
        chosen = self._chosen(None if tools is None else servers)
        functions: list[Callable[..., Any] | Toolbox] = []
        for one in self.config.tools if tools is None else given:
            if not isinstance(one, str):
                functions.append(one)
            elif one == PATTERNS:
                continue
            elif one not in servers:
                functions += await self._functions(one)
        if PATTERNS in given or (tools is None and self.config.panel):
            functions += self._patterns()
        for server in chosen:
            await server.known.wait()
        own = [as_toolbox(functions, self.approve)] if functions else []
        boxes = [*own, *(self._offered(server) for server in chosen)]
        return Merged(*boxes) if boxes else NO_TOOLS

    def _offered(self, server: Hosted) -> Toolbox:
        if server.name != "ollama" or not server.launch.ours:
            return server
        from .delegation import LastRungs  # which is built on this module

        return LastRungs(server, self)

    def _patterns(self) -> list[FunctionTool[..., Any]]:
        from .pattern_tools import PatternTools  # whose patterns are built on this module

        if PATTERNS not in self._loaded:
            self._loaded[PATTERNS] = PatternTools(lambda: self, lambda: None, own=self.config.patterns).tools
        return self._loaded[PATTERNS]

    async def _functions(self, spec: str) -> list[FunctionTool[..., Any]]:
        if spec not in self._loaded:
            self._loaded[spec] = await anyio.to_thread.run_sync(load_tools, spec, self.config.folder)
        return self._loaded[spec]

    async def connected(self, servers: Sequence[str] | None = None) -> None:
        """Wait until these servers, all when None, have started or failed; their lists are fresh then."""
        for server in self._chosen(servers):
            await server.settled()

    async def call_tool(
        self, server: str, tool: str, arguments: Mapping[str, Any], progress: Progress = no_progress
    ) -> ToolResult:
        """One call, as a model would make it. Raises ConfigError for a server that is not configured."""
        (host,) = self._chosen([server])
        return await host.call(ToolCall(id="call", name=f"{server}__{tool}", arguments=arguments), progress)

    def add_provider(self, name: str, provider: Provider) -> None:
        """Use `provider` for models named `name:...` from now on; the caller closes it."""
        self.wired.add(name, provider)

    async def provider(self, name: str) -> Provider:
        """The provider called `name`, opened on first use, inside what is configured around it. Raises ConfigError."""
        return await self.wired.provider(name)

    @property
    def budget(self) -> Budget:
        """What this session has spent, and may."""
        return self.wired.budget

    async def models(self) -> dict[str, list[str]]:
        """{provider: its models} for every provider that is configured or open; a dead one is left out with a notice."""
        return {name: [info["name"] for info in infos] for name, infos in (await self.listed()).items()}

    async def listed(self) -> dict[str, list[dict[str, Any]]]:
        """As `models`, with what each provider says about its models, and their prices; None is what nobody knows."""
        found: dict[str, list[dict[str, Any]]] = {}

        async def one(name: str) -> None:
            try:
                listed = await self.wired.listed(name)
                infos = sorted(listed, key=lambda info: info.name)
            except Exception as exc:  # noqa: BLE001  (of a provider of the caller's own, which may raise anything)
                why = reason(exc)
                self.emit(Notice(text=f"{name} cannot list its models: {why}", level="warning"))
                return
            if infos:
                found[name] = await anyio.to_thread.run_sync(lambda: [self._said(info) for info in infos])

        async with anyio.create_task_group() as group:
            for name in sorted({*self.config.usable_providers(), *self.wired.names()}):
                group.start_soon(one, name)
        return dict(sorted(found.items()))

    async def aclose(self) -> None:
        """Close every provider and memory; `open_session` does it at its end."""
        await self.wired.aclose()
        await self.remembering.aclose()

    def _said(self, info: ModelInfo) -> dict[str, Any]:
        capabilities = None if info.capabilities is None else sorted(info.capabilities)
        price = self.wired.price(info.id)
        return {
            **asdict(info),
            "id": info.id,
            "capabilities": capabilities,
            "input_usd": price and price.input_usd,  # of a million tokens
            "output_usd": price and price.output_usd,
        }

    def _chosen(self, servers: Sequence[str] | None) -> list[Hosted]:
        names = list(self.hosted) if servers is None else servers
        for name in names:
            if name not in self.hosted:
                raise no_server(name, self.hosted)
        return [self.hosted[name] for name in names]


def no_server(name: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"no server {name!r} is configured; there are {', '.join(known) or 'none'}; "
        "functions are named module:function"
    )


def servers_among(tools: Iterable[Tool]) -> list[str]:
    """The names of servers among what was given as tools."""
    return [one for one in tools if isinstance(one, str) and not is_function(one) and one != PATTERNS]


@asynccontextmanager
async def open_session(
    config: Config,
    emit: Emit = ignore,
    *,
    approve: Approve | None = None,
    hooks: Hooks = NO_HOOKS,
    conversation: Callable[[], str | None] = lambda: None,
) -> AsyncGenerator[Session]:
    """A session whose servers start in the background and end, with everything they started, when it closes.

    `approve`: answers what tools and servers ask; None: everything is declined. `hooks`: asked around each model call and tool call of all its agents.
    `conversation`: the id of the kept conversation that models are asked for; what they cost is written down with it.
    """
    spending = Spending(_limits(config), conversation=conversation)
    log = RunLog()
    emit = tee(guarded(emit, "emit", log), spending, log)
    traced = None
    if config.telemetry:
        from ..telemetry import open_telemetry  # its packages are an extra

        traced = await anyio.to_thread.run_sync(open_telemetry, config.telemetry)
        emit = tee(traced, emit)
    warm = None if sys.platform == "win32" else Warm()
    fault: BaseException | None = None
    async with AsyncExitStack() as stack:
        launches = {name: Launch(**server.launch()) for name, server in config.servers.items()}
        if warm is not None and any(
            launch.command in SERVER_COMMANDS.values() for launch in launches.values()
        ):
            warm.open()
            stack.push_async_callback(warm.close)
        hosted = [
            Hosted(name, launch, warm=warm, emit=emit, approve=approve, folder=config.folder)
            for name, launch in launches.items()
        ]
        stack.callback(spending.close)
        if traced is not None:
            stack.push_async_callback(anyio.to_thread.run_sync, traced.flush)
        session = Session(config, hosted, emit, spending, approve, hooks)
        stack.enter_context(
            sdk_warnings.heard_by(lambda text: session.emit(Notice(text=text, level="warning")))
        )
        stack.push_async_callback(session.aclose)
        group = await stack.enter_async_context(anyio.create_task_group())
        for server in hosted:
            group.start_soon(server.live)
        try:
            yield session
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:  # noqa: BLE001  (raised below as it is: the task group would wrap it)
            fault = exc
        finally:
            group.cancel_scope.cancel()
    if fault is not None:
        raise fault


def _limits(config: Config) -> Limits:
    return Limits(
        per_day=config.budget_usd_per_day,
        per_conversation=config.budget_usd_per_conversation,
        per_label=config.budget_usd_per_label,
    )
