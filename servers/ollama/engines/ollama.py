"""An Ollama server through its native HTTP API, whose last object holds the durations.

What it says of its models is read in ollama_api.py, for the lead's provider as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import anyio

from ..ledger.keys import engine_of, is_simulated
from .connection import Connection, Served
from .http import json_object
from .ollama_api import Entry, OllamaApi, entry_of, measured, model_of, take
from .protocol import Answer, EngineError, Model, Query, Said, valid_name
from .stream import Arriving, error_text
from .threads import threads_for

BUSY_TRIES = 3
"""How often a "server busy" answer is tried again."""


class Ollama(Served):
    """A Runtime on one base URL."""

    def __init__(
        self, url: str, *, allow_remote: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(Connection(url, kind="Ollama", start="ollama serve", headers=headers))
        self._api = OllamaApi(self._connection.ask)
        self.allow_remote = allow_remote
        self._version: str | None = None
        self._shown: dict[str, tuple[str | None, Entry]] = {}

    async def version(self) -> str:
        return self._version or await self._asked_version()

    async def _asked_version(self) -> str:
        """The version now: a server may be replaced while we run."""
        version = await self._api.version() or "unknown"
        self.simulated = is_simulated(version)
        self.note = "simulated: no model runs, the durations are made up" if self.simulated else None
        self._version = version
        return version

    async def engine(self) -> str:
        return engine_of(await self.version())

    async def models(self) -> list[Model]:
        await self._asked_version()
        loaded = await self._loaded()
        found: list[Model] = []
        for entry in await self._api.installed():
            try:
                shown = await self._show(entry)
            except EngineError:  # one broken model must not hide the others
                shown = {}
            found.append(model_of(entry, loaded.get(str(entry.get("digest"))), shown))
        return found

    async def model(self, name: str) -> Model:
        """Raises EngineError when it is not there, naming those that are."""
        await self._asked_version()
        entries = await self._api.installed()
        entry = entry_of(valid_name(name), entries)
        if entry is None:
            raise EngineError(_unknown(name, [str(e.get("name")) for e in entries]))
        loaded = (await self._loaded()).get(str(entry.get("digest")))
        found = model_of(entry, loaded, await self._show(entry))
        if found.remote and not self.allow_remote:
            raise EngineError(
                f"{name} runs on another machine; start with --allow-remote, or take a local model"
            )
        return found

    async def _show(self, entry: Entry) -> Entry:
        """`/api/show` of a listed model, asked once for each version of it."""
        name, digest = str(entry.get("name")), cast("str | None", entry.get("digest"))
        if name not in self._shown or self._shown[name][0] != digest:
            self._shown[name] = (digest, await self._api.show(name))
        return self._shown[name][1]

    async def count(self, query: Query) -> int | None:
        return None  # Ollama has no tokenizer endpoint

    async def chat(self, query: Query, said: Said) -> Answer:
        run = Arriving(said)
        body = await anyio.to_thread.run_sync(self._body, query)
        with anyio.move_on_after(query.timeout_s):
            for attempt in range(BUSY_TRIES):
                await self._connection.run("/api/chat", body, run, _take)
                if not run.busy or attempt == BUSY_TRIES - 1:
                    break
                await anyio.sleep(1.0 + attempt)
                run = Arriving(said, run.started)
            return self._answer(query, run, await self._entry_of(query.model))
        run.stopped(query.timeout_s)
        return self._answer(query, run, None)

    def _body(self, query: Query) -> dict[str, object]:
        """Blocking: the threads that were found best are kept in a file."""
        if query.num_thread is None and self.url is not None:
            query = replace(query, num_thread=threads_for(self.url, query.model))
        return body_of(query)

    async def _loaded(self) -> dict[str, Entry]:
        return {str(entry.get("digest")): entry for entry in await self._api.loaded()}

    def _answer(self, query: Query, run: Arriving, entry: Entry | None) -> Answer:
        profile = measured(
            run,
            model=query.model,
            num_ctx=query.num_ctx,
            entry=entry,
            two_passes=query.think and query.schema is not None,
            expected_prefill_s=query.expected_prefill_s,
            simulated=self.simulated,
        )
        if profile.outcome == "aborted" and run.error is None:
            run.error = "the stream ended without its end: the server gave the run up (it repeats itself?)"
        return Answer(text="".join(run.text), profile=profile, error=run.error, raw=run.final)

    async def _entry_of(self, name: str) -> Entry | None:
        try:
            return await self._api.loaded_entry(name)
        except EngineError:
            return None


def body_of(query: Query) -> dict[str, object]:
    """The request: with every cap, cut and shift said, because the defaults cut prompts in silence."""
    options: dict[str, object] = {
        "num_ctx": query.num_ctx,
        "num_predict": max(query.num_predict, 1),
        "temperature": query.temperature,
        "seed": query.seed,
    }
    body: dict[str, object] = {
        "model": query.model,
        "messages": list(query.messages),
        "stream": True,
        "think": query.think,
        "truncate": False,
        "shift": False,
        "options": options,
    }
    if query.num_thread is not None:
        options["num_thread"] = query.num_thread
    if query.keep_alive_s is not None:
        body["keep_alive"] = f"{query.keep_alive_s:.0f}s"
    if query.schema is not None:
        body["format"] = query.schema
    return body


def _take(run: Arriving, line: bytes) -> bool:
    """Take one line of the stream; true when it was the last."""
    item = json_object(line)
    if item is None:
        return run.failed("the server sent a line that is not a JSON object")
    if "error" in item:  # a stream that began well ends so; its text may be an older run's last log line
        run.final = item
        return run.failed(f"the engine stopped during the run: {error_text(json.dumps(item))}")
    return take(run, item) or run.endless


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"there is no model here yet; `ollama pull {name}` gets one"
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    return f"no model {name!r} here; there are {shown}"
