"""What each call of a local lead leaves in the ledger: the record a delegated run leaves, so both teach one speed model."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from httpx2 import HTTPError

from servers.ollama.engines.ollama_api import Entry as Listed
from servers.ollama.engines.ollama_api import OllamaApi, measured
from servers.ollama.engines.shared_queue import Entry, SharedQueue, Ticket
from servers.ollama.engines.stream import Arriving
from servers.ollama.forecast.prompt_cache import Prompts
from servers.ollama.ledger.keys import engine_of, full_name, host_of, is_simulated, key_of
from servers.ollama.ledger.ledger import Ledger, LedgerError, Run
from servers.ollama.ledger.profile import Outcome

from ..errors import ContextTooLong, ProviderError
from ..events import Emit, current_run, ignore
from ..types import Request
from .ollama_forecast import Asked, foretell

KIND = "lead"
"""The kind of task: a turn of a conversation, not a delegation."""
ASK_S = 2.0
"""How long keeping a call may take."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Heard:
    """One call, as it is heard."""

    body: Mapping[str, Any]  # as sent
    model: str
    cached: float | None  # share of the prompt that the engine's cache should hold
    overlapped: bool = False
    arriving: Arriving = field(default_factory=Arriving)

    def failed(self, exc: BaseException) -> None:
        """It ended by an exception."""
        stopped = isinstance(exc, GeneratorExit | anyio.get_cancelled_exc_class())
        known: Outcome = (
            "cancelled" if stopped else "overflow" if isinstance(exc, ContextTooLong) else "error"
        )
        self.arriving.outcome = self.arriving.outcome or known

    def run(self, url: str, version: str, entry: Mapping[str, Any]) -> Run:
        """The record. `entry`: the model's in /api/ps, empty when it is not known."""
        simulated = is_simulated(version)
        options = {**self.body["options"], "shift": self.body.get("shift")}
        num_ctx, cap = options.get("num_ctx"), options.get("num_predict")
        model = str(entry.get("name") or self.model)
        profile = measured(
            self.arriving,
            model=model,
            num_ctx=num_ctx if isinstance(num_ctx, int) else None,
            entry=entry,
            two_passes=bool(self.body.get("think")) and "format" in self.body,
            simulated=simulated,
        )
        return Run(
            key=key_of(
                host=host_of(url),
                engine=engine_of(version),
                model=model,
                digest=str(entry["digest"]) if entry.get("digest") else None,
                gpu_share=profile.gpu_share,
                options=options,
                simulated=simulated,
            ),
            profile=profile,
            kind=KIND,
            think=bool(self.body.get("think")),
            format="schema" if "format" in self.body else None,
            cap=cap if isinstance(cap, int) else None,
            chars_in=None
            if "tools" in self.body
            else _chars(self.body),  # how tools are spelled out, nobody tells
            expected_cached=None if self.cached is None else int((profile.tokens_in or 0) * self.cached),
            overlapped=self.overlapped,
            asked_by="understudy",
            raw=self.arriving.final or None,
        )


class Calls:
    """The calls of one server, each kept in the ledger. One that cannot be kept is logged, and the answer stands."""

    def __init__(self, url: str, api: OllamaApi, emit: Emit = ignore) -> None:
        """`api` may raise ProviderError. `emit` is told what calls should take."""
        self._emit = emit
        self.url = url
        self._api = api
        self._queue = SharedQueue(url)
        self._running: list[Heard] = []
        self._prompts = Prompts()
        self._read_tools: set[str] = set()  # models whose tools were told of
        self._ledger: Ledger | None = None
        self._version: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether the engine only pretends; known after a call."""
        return self._version is not None and is_simulated(self._version)

    @asynccontextmanager
    async def heard(
        self, request: Request, body: Mapping[str, Any], *, cold: bool | None = None
    ) -> AsyncGenerator[Heard]:
        """A call under way, however it ends; of calls at the same time none tells how fast the model is.

        It is announced to other processes that use the engine, but does not wait for them: a person does.
        """
        prompt, model = json.dumps([body.get("tools"), body["messages"]]), request.model_name
        heard = Heard(body=body, model=model, cached=self._prompts.share(model, prompt))
        for other in self._running:
            other.overlapped = heard.overlapped = True
        self._running.append(heard)
        ahead = [entry for entry in self._queue.entries(full_name(model)) if entry.began is not None]
        try:
            with self._queue.ticket(full_name(model), 0.0) as ticket:
                if ticket is not None:
                    ticket.started(0.0)
                self._foretell(heard, len(prompt), ahead, cold, ticket)
                yield heard
        except BaseException as exc:
            heard.failed(exc)
            raise
        finally:
            heard.arriving.ended_s = heard.arriving.wall_s
            self._running.remove(heard)
            self._prompts.sent(model, prompt)
            with anyio.CancelScope(shield=True), anyio.move_on_after(ASK_S):
                await self._keep(heard)

    def _foretell(
        self, heard: Heard, chars: int, ahead: Sequence[Entry], cold: bool | None, ticket: Ticket | None
    ) -> None:
        run = None if self._emit is ignore else current_run.get()
        if run is None and ticket is None:
            return
        cap = heard.body["options"].get("num_predict")
        tool_chars = 0 if heard.model in self._read_tools else len(json.dumps(heard.body.get("tools") or []))
        self._read_tools.add(heard.model)
        asked = Asked(
            run=run.run if run else None,
            host=host_of(self.url),
            model=full_name(heard.model),
            kind=KIND,
            chars=chars,
            cap=cap if isinstance(cap, int) and cap > 0 else None,
            think=bool(heard.body.get("think")),
            cached=heard.cached,
            cold=cold,
            ahead=ahead,
            tool_chars=tool_chars,
        )
        foretell(asked, ticket, self._emit, lambda: heard.arriving.ended_s is None)

    async def _keep(self, heard: Heard) -> None:
        entry: Listed | None = None
        with suppress(ProviderError, HTTPError, ValueError, RecursionError):  # the answer is there already
            self._version = self._version or await self._api.version()
            entry = await self._api.loaded_entry(heard.model)
        run = heard.run(self.url, self._version or "unknown", entry or {})
        try:
            await anyio.to_thread.run_sync(self._record, run)
        except (LedgerError, OSError) as exc:
            log.warning("calls are not recorded: %s", exc)

    def _record(self, run: Run) -> None:
        self._ledger = self._ledger or Ledger.open()
        self._ledger.record(run)

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None


def _chars(body: Mapping[str, Any]) -> int:
    return sum(len(message.get("content") or "") for message in body["messages"])
