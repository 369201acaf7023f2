"""The friendly face: one agent with its tools, its memory and its screen, for programs that are not asynchronous.

    with CodingAgent(model="anthropic:claude-opus-5-5") as agent:
        print(agent.chat("What does this project do?"))

It may be used inside a running event loop and from several threads: everything runs in a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import anyio
import anyio.to_thread

from .agent import Agent
from .config.arguments import labels as told_labels
from .config.arguments import names, text, told_at_once
from .config.call_settings import CallSettings, call_settings
from .config.load import Config, configuration, load_config
from .config.pattern_parameters import settings_of
from .delegated import Delegated
from .errors import ConfigError, OrchestratorError, RunError
from .events import Called, Emit, Event, Notice, Switched, guarded, ignore, tee
from .function_tools import Tool, given_tools
from .hooks import NO_HOOKS, Hooks
from .patterns import Outcome, delegate
from .patterns.typed import typed
from .providers import Provider
from .providers.plain import as_provider
from .reply import Reply
from .session.background_loop import Background, Work
from .session.context_window import Memory, window_of
from .session.delegation import shown_delegation
from .session.panels import run_pattern
from .session.remembering import AgentMemory
from .session.session import Session, no_server, open_session, servers_among
from .session.turn_state import TurnState, TurnWatch
from .session.turn_stream import TurnStream
from .store.recorder import Recorder, open_conversation
from .store.store import Store
from .terminal.display import Display
from .tools import Approve
from .types import Message, Usage

T = TypeVar("T")
_turns: ContextVar[frozenset[threading.Lock]] = ContextVar("turns", default=frozenset())
"""Of agents that this is called within."""
_ORDER = {"files", "write", "gate", "ladder", "deadline_s", "max_output", "schema", "think", "wait_s"}


class NoAnswer(str):
    """Stands in a consultation for the answer of a model that failed; its text says why."""


class CodingAgent:
    """An agent that remembers.

    `name` (1 to 100 characters): under it the conversation is kept on disk and there again after a restart; None: in memory alone.
    `model`: "provider:model" or an alias; None: the configuration's. `n_latest_messages`: how many of the last
    messages a request carries, 0 or more; None: all. `tools`: functions, "module:function", names of servers, toolboxes, as one
    likes to mix them; None: all that are configured, (): none.
    `reset`: begin by forgetting what this name kept. `chat_kwargs` and `tool_kwargs`: fields of each request
    of `chat` and `tool_call` (max_tokens, temperature 0 to 2, think, timeout in seconds, num_retries, ...); others go to
    the vendor as they are. `system_prompt`: None is the lead's own, "" none.
    `display`: what draws; None: as configured, on standard output. `approve`: given a question of a tool and the choices
    there are, returns one of them, or None to decline; without it everything is declined. `labels`: on what is spent,
    besides the configuration's, for `understudy cost`. `on_success`: told each model call that was answered, with its
    tokens and cost. `emit`: told everything that happens. What these two raise becomes one warning and breaks nothing.
    `hooks`: asked before and after each model call and tool call, of panels and workers too; they may change, decline or
    stop.
    Raises ConfigError for arguments that cannot be. It may be used from several threads and event loops, which take turns;
    not after a fork, and not from its own tools and hooks within a turn. Close it, or use it in a `with` or `async with`.
    """

    def __init__(
        self,
        name: str | None = None,
        system_prompt: str | None = None,
        model: str | None = None,
        n_latest_messages: int | None = 10,
        tools: Sequence[Tool] | None = None,
        reset: bool = False,
        chat_kwargs: Mapping[str, Any] | None = None,
        tool_kwargs: Mapping[str, Any] | None = None,
        *,
        config: Config | None = None,
        display: Display | None = None,
        approve: Callable[[str, Sequence[str]], str | None] | None = None,
        labels: Mapping[str, str] | None = None,
        on_success: Callable[[Called], None] | None = None,
        emit: Emit = ignore,
        hooks: Hooks = NO_HOOKS,
    ) -> None:
        """Raises ConfigError for what the configuration or the arguments have wrong."""
        window: Any = n_latest_messages
        if window is not None and (not isinstance(window, int) or window < 0):
            raise ConfigError(f"n_latest_messages: wanted 0 or more, or None for all, found {window!r}")
        if name is not None and not 0 < len(text(name, "name").strip()) <= 100:
            raise ConfigError(
                f"name: wanted 1 to 100 characters, those of a session_id included, or None, found {len(name)}"
            )
        given: Any = hooks
        if not isinstance(given, Hooks):
            raise ConfigError(f"hooks: wanted Hooks(before_model=..., ...), found {type(given).__name__}")
        for what, said in (("system_prompt", system_prompt), ("model", model)):
            if said is not None:
                text(said, what)
        shown: Any = display
        if shown is not None and not isinstance(shown, Display):
            raise ConfigError(f"display: wanted a Display, or None, found {type(shown).__name__}")
        for what, called in (("emit", emit), ("on_success", on_success), ("approve", approve)):
            if called is not None:
                told_at_once(called, what)
        whole = configuration(config)
        labelled: dict[str, Any] = {"labels": {**whole.labels, **told_labels(labels or {})}}
        self.config = whole.model_copy(update=labelled)
        self.name, self.system_prompt, self.n_latest_messages = name, system_prompt, n_latest_messages
        self.tools = None if tools is None else given_tools(tools)
        self.chat_kwargs = call_settings({} if chat_kwargs is None else chat_kwargs, "chat_kwargs")
        self.tool_kwargs = call_settings({} if tool_kwargs is None else tool_kwargs, "tool_kwargs")
        retries = [
            kwargs.retries for kwargs in (self.chat_kwargs, self.tool_kwargs) if kwargs.retries is not None
        ]
        if retries:  # they hold for both: a provider is opened once
            self.config = self.config.model_copy(update={"retries": max(retries)})
        self.display = display or Display(settings=self.config.display)
        self.display.history = lambda: self.history
        self._model, self._approve, self._hooks = model, approve, hooks
        self._told = guarded(emit, "emit", self._say)
        self._store = Store(later=True) if name is not None else None
        self._recorder = self._remembered(reset)
        quiet = display is None and self.config.display.quiet
        told = guarded(_successes(on_success), "on_success", self._say) if on_success else ignore
        self._listener: Emit = ignore  # of the turn that is being streamed
        self._watch = TurnWatch()
        heard = [self._watch, self._recorder, ignore if quiet else self.display, self._told, told]
        self._emit = tee(*heard, self._listen)
        self._turn = threading.Lock()  # a conversation has one turn at a time
        self._opening = threading.Lock()
        self._background: Background | None = None
        self._session: Session | None = None
        self._closed = False
        self._memory: Memory | None = None
        self._given: dict[str, Provider] = {}
        for note in self.config.notices if config is None else ():
            self._say(Notice(text=note, level="warning"))

    @classmethod
    def load_config(cls, *args: Any, **flags: Any) -> Config:
        """The configuration, as `load_config` reads it, with the same arguments. Raises ConfigError."""
        return load_config(*args, **flags)

    @property
    def model(self) -> str | None:
        """The model that answers next, as it was given; None when none is chosen."""
        return self._model or self.config.default_model

    @property
    def history(self) -> tuple[Message, ...]:
        """The whole conversation, also what no longer fits the window."""
        return tuple(self._recorder.history)

    @property
    def state(self) -> TurnState:
        """Where the loop is now: goal, phase, iteration, history, context. Of the last turn when none runs."""
        found = self._watch.state
        before = len(self._recorder.history) - len(found.context)
        return replace(found, history=tuple(self._recorder.history[: max(before, 0)]))

    @overload
    def chat(self, prompt: str) -> str: ...
    @overload
    def chat(self, prompt: str, *, output_type: type[T]) -> T: ...
    def chat(self, prompt: str, *, output_type: type[Any] | None = None) -> Any:
        """The answer, after all the tool calls it takes; as a value of `output_type` where that is given.

        Raises OrchestratorError: ConfigError for what the caller has wrong, ProviderError where the model cannot answer,
        RunError where the run ended before (OutOfRounds, OutOfTime, OutOfBudget, Stopped, InvalidAnswer). The
        conversation stays usable.
        """
        return self.reply(prompt, output_type=output_type).output

    def reply(self, prompt: str, *, output_type: Any = None) -> Reply:
        """As `chat`, with messages, tool calls, usage and seconds; an error raised has the same as its `reply`, None where
        nothing was begun.

        `output_type`: a pydantic model, dataclass or other type that the answer must have; the value is `output`. An
        answer that does not fit is asked for again with what is wrong, twice, then InvalidAnswer is raised.
        """
        text(prompt, "prompt")
        with self._taking_turn():
            return self._call(lambda: self._answer(prompt, output_type))

    def try_reply(self, prompt: str, *, output_type: Any = None) -> Reply:
        """As `reply`, but a failure is a Reply too: `success` is False and `error` says why. Raises no OrchestratorError."""
        try:
            return self.reply(prompt, output_type=output_type)
        except OrchestratorError as exc:
            if isinstance(exc.reply, Reply):
                return exc.reply
            return Reply(agent=self.name or "lead", text="", messages=(), usage=Usage(), error=str(exc))

    def stream(self, prompt: str, *, output_type: Any = None) -> TurnStream:
        """The turn as it happens: text and thoughts, tools that start and end, notices, last the Reply.

        For `for` and for `async for`; it begins with the first step. Leaving the loop stops the turn. Raises as `reply`.
        """

        text(prompt, "prompt")

        def start(listen: Emit) -> Work[Reply]:
            turn = self._taking_turn()
            turn.__enter__()
            try:
                self._listener = listen
                work = self._running().start(lambda: self._answer(prompt, output_type))
            except BaseException:
                turn.__exit__(None, None, None)
                raise

            def done() -> None:
                self._listener = ignore
                turn.__exit__(None, None, None)

            work.when_done(done)
            return work

        return TurnStream(start)

    async def _answer(self, prompt: str, output_type: Any) -> Reply:
        _turns.set(_turns.get() | {self._turn})  # of this task alone, and the threads it asks
        session = self._open
        if self._memory is None:
            self._memory = Memory(
                window_of(session, self.n_latest_messages),
                self._emit,
                room=session.room,
                summary=self._recorder.summary,
            )
        memory = self._memory
        agent = self._agent(session, self.chat_kwargs)

        async def ask(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
            return await memory.ask(session.ask, agent, prompt, self._recorder.up_to_date())

        if output_type is None:
            return await ask(agent, prompt)
        has_tools = bool((await session.toolbox(agent.tools)).specs)
        return await typed(ask, agent, prompt, output_type, has_tools=has_tools)

    def tool_call(self, prompt: str) -> str:
        """What the tools say that the model calls for `prompt`, which it must; no history is sent, the record is kept.

        Raises ConfigError where there are no tools; as `chat` otherwise.
        """

        async def work() -> str:
            _turns.set(_turns.get() | {self._turn})
            session = self._open
            agent = self._agent(session, self.tool_kwargs)
            if not (await session.toolbox(agent.tools)).specs:
                raise ConfigError(
                    f"{agent.name} has no tools to call; configure servers, or name them in `tools`"
                )
            settings = {"tool_choice": "any", **agent.settings}
            return (await session.ask(replace(agent, settings=settings, tools_answer=True), prompt)).text

        text(prompt, "prompt")
        with self._taking_turn():
            return self._call(work)

    def use_model(self, model: str) -> None:
        """Go on with another model; the conversation stays. Raises ConfigError for a name that means nothing."""
        new = self.config.resolve(text(model, "model"), self._given)
        with self._taking_turn():
            old, self._model = self.model, new
        if old is not None and old != new:
            self._emit(Switched(old=old, new=new))

    def list_all_models(self) -> dict[str, list[str]]:
        """{provider: its models, as it names them}; a provider that cannot be reached is left out, with a notice."""
        return self._call(self._models)

    async def _models(self) -> dict[str, list[str]]:
        return await self._open.models()

    def delegate(self, target_model: str, task: str, *, context: str = "", **order: Any) -> Delegated:
        """The target's answer, a str that is also the receipt: files, gate, profile, forecast, advice, cost.

        It sees `task` and `context`, nothing of the conversation. Models of Ollama, and "auto", go through the ollama
        server; `order`: further arguments of its tool delegate (files, write, gate, ladder, deadline_s in seconds,
        max_output in tokens, schema, think). A `ladder` may end with vendors' models, "anthropic:...": asked where the
        others failed, under the same gates and within the budget. A failed gate is a receipt too. Raises
        OrchestratorError where nothing could run.
        """
        text(context, "context")
        if not text(task, "task").strip():
            raise ConfigError("task: wanted what is to be done, found nothing")
        full = (
            "ollama:auto"
            if text(target_model, "target_model") == "auto"
            else self.config.resolve(target_model, self._given)
        )
        provider, _, model = full.partition(":")
        local = provider == "ollama" and provider not in self._given
        if order and "ollama" not in self.config.servers:
            raise ConfigError(f"{next(iter(order))} wants the ollama server, and none is configured")
        if wrong := sorted(set(order) - _ORDER):
            raise ConfigError(f"delegate: there is no {wrong[0]}; there are {', '.join(sorted(_ORDER))}")

        async def work() -> Delegated:
            session = self._open
            if not order and not (local and "ollama" in self.config.servers):
                worker = session.agent(full, name="worker")
                reply = await delegate(session.ask, worker, task, context=context)
                return Delegated.answered(reply, full)
            asked = {"task": task, "context": context, "model": model if local else full, **order}
            if "ollama" in session.hosted:
                return Delegated.of(await shown_delegation(session, asked))
            servers = {"ollama": self.config.servers["ollama"]}  # not among this agent's own tools
            alone = self.config.model_copy(update={"servers": servers})
            async with open_session(alone, self._emit, approve=self._asked()) as other:
                for name, given in self._given.items():
                    other.add_provider(name, given)
                other.wired.budget = session.budget
                return Delegated.of(await shown_delegation(other, asked))

        return self._call(work)

    def consult(self, models: Sequence[str], question: str) -> dict[str, str]:
        """{model as it was given: its answer}, all asked at once; a model that failed has a NoAnswer, which is a str.

        It is a turn of this conversation. Raises ConfigError for a name that means nothing, OutOfBudget where all of it
        may cost too much.
        """
        asked = list(dict.fromkeys(names(models, "models")))
        outcome = self.together("consult", question, models=asked)
        return {
            model: said.text if said.ok else NoAnswer(said.error)
            for model, said in zip(asked, outcome.responses, strict=True)
        }

    def vote(self, models: Sequence[str], question: str, *, choices: Sequence[str] = ()) -> Outcome:
        """What most models say; a tie has no result. `agreement`: 0..1, with every ballot in `responses`.

        `choices`: the only valid ballots; (): whatever an answer comes down to. Raises as `consult`.
        """
        asked = {"models": list(names(models, "models")), "choices": list(names(choices, "choices"))}
        return self.together("vote", question, **asked)

    def refine(self, task: str, *, author: str, critic: str, iterations: int = 2) -> Outcome:
        """The author's text after at most `iterations` reviews by the critic, 1 or more, fewer when it approves.

        `author`, `critic`: models. Raises as `consult`.
        """
        return self.together("refine", task, author=author, critic=critic, iterations=iterations)

    def together(self, pattern: str, question: str, **settings: Any) -> Outcome:
        """The outcome of any pattern: one of config.yaml by its name, or a built-in one with its settings.

        It is a turn of this conversation. Raises ConfigError for settings that it does not have.
        """
        text(question, "question")
        own = self.config.patterns.get(pattern)
        known = own if own is not None and not settings else settings_of({"use": pattern, **settings})

        async def work() -> Outcome:
            _turns.set(_turns.get() | {self._turn})
            return await run_pattern(self._open, known, question, name=pattern if own else None)

        with self._taking_turn():
            return self._call(work)

    def add_provider(self, name: str, provider: Any) -> None:
        """Models called `name:...` are asked of `provider` from now on.

        It has stream(request), or the simple shape: chat(messages, model) -> str, and list_models() where it can. Raises
        ConfigError when it has neither.
        """
        provider = as_provider(name, provider)
        self._given[name] = provider
        if self._session is not None:
            self._session.add_provider(name, provider)

    @property
    def memory(self) -> AgentMemory:
        """What this agent remembers beyond its conversation: store, retrieve, delete, clear."""
        return AgentMemory(lambda: self._open.remembering.of(self.name or "lead"), self._call)

    def usage(self) -> dict[str, Usage]:
        """{"provider:model": tokens, seconds and US dollars} in this conversation, over all restarts; workers, advisers and
        delegations to local models included, whose seconds stand in their receipts. What nobody reported is None.
        """
        return dict(self._recorder.spent)

    def close(self) -> None:
        """End servers and connections. Closing twice is the same as once."""
        with self._opening:
            background, self._background, self._session = self._background, None, None
            self._closed = True
        if background is not None:
            background.close()
        self._recorder.finish()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    def _remembered(self, reset: bool) -> Recorder:
        if reset and self._store is not None and self.name is not None:
            self._store.forget(self.name)
        return open_conversation(self._store, name=self.name, folder=self.config.folder, emit=self._say)

    def _listen(self, event: Event) -> None:
        self._listener(event)

    def _say(self, event: Event) -> None:
        """What the recorder itself has to say: to the screen and to whoever listens, not to the record."""
        self.display(event)
        self._told(event)

    def _agent(self, session: Session, kwargs: CallSettings) -> Agent:
        agent = session.agent(self._model, name=self.name if self.name in self.config.agents else "lead")
        options = {**agent.settings.get("options", {}), **kwargs.options}
        return replace(
            agent,
            name=self.name or agent.name,
            system=agent.system if self.system_prompt is None else self.system_prompt,
            settings={**agent.settings, **kwargs.request, **({"options": options} if options else {})},
            tools=agent.tools if self.tools is None else self.tools,
        )

    @property
    def _open(self) -> Session:
        assert self._session is not None
        return self._session

    @contextmanager
    def _taking_turn(self) -> Generator[None]:
        if self._background is not None:
            self._background.refuse_within()
        if self._turn in _turns.get():
            raise RunError(
                "this agent is within a turn, which its tool or hook cannot take part in; give them an agent of their own"
            )
        with self._turn:
            yield

    def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return self._running().call(work)
        except OrchestratorError as exc:  # its sentence says it; how we came there stays in its __context__
            raise exc.with_traceback(None) from None

    def _running(self) -> Background:
        with self._opening:
            if self._closed:
                raise OrchestratorError("this agent is closed; make a new one, of the same name to go on")
            if self._background is None:
                self._background, self._session = self._opened()
            return self._background

    def _opened(self) -> tuple[Background, Session]:
        config = self.config
        if self.tools is not None:  # servers nobody may use need not start
            asked = servers_among(self.tools)
            for name in asked:
                if name not in config.servers:
                    raise no_server(name, config.servers)
            wanted = {name: server for name, server in config.servers.items() if name in asked}
            config = config.model_copy(update={"servers": wanted})
        background = Background()
        try:
            session = background.enter(
                open_session(
                    config,
                    self._emit,
                    approve=self._asked(),
                    hooks=self._hooks,
                    conversation=lambda: self._recorder.session,
                )
            )
        except BaseException:
            background.close()
            raise
        for name, provider in self._given.items():
            session.add_provider(name, provider)
        return background, session

    def _asked(self) -> Approve | None:
        if (approve := self._approve) is None:
            return None

        async def ask(question: str, choices: Sequence[str]) -> str | None:
            return await anyio.to_thread.run_sync(approve, question, choices)

        return ask


def _successes(on_success: Callable[[Called], None]) -> Emit:
    def told(event: Event) -> None:
        if isinstance(event, Called) and event.error is None:
            on_success(event)

    return told
