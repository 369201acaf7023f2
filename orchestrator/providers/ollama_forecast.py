"""What a call of a local lead should take, told while it runs: looked up beside the call, which waits for nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial, reduce
from operator import add

import anyio.from_thread
import anyio.lowlevel

from servers.durations import duration
from servers.ollama.engines.shared_queue import Entry, Ticket
from servers.ollama.forecast.forecast import Forecast
from servers.ollama.forecast.quantiles import NO_WAIT, left_of
from servers.ollama.forecast.speed_models import SpeedModels
from servers.ollama.forecast.token_estimates import CHARS_PER_TOKEN
from servers.ollama.ledger.ledger import Ledger, LedgerError, Run
from servers.ollama.ledger.runs import filed, plain, provenance_of

from ..events import Emit, Foreseen, Notice

KNOWN_RUNS = 200
"""Runs of the machine among which one of the model is looked for."""
_MANY_TOKENS, _LONG_S = 1500, 15.0
"""Tools and seconds of reading from which a person is told."""
SPREAD = 0.2
"""Of the number of tokens, which is guessed from the length of the text."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that has just begun."""

    run: str | None  # None: nobody hears of it, other processes alone are told
    host: str
    model: str
    kind: str
    chars: int
    cap: int | None
    think: bool
    cached: float | None  # share of the prompt that the engine's cache should hold
    cold: bool | None  # the model is not loaded; None is not known
    ahead: Sequence[Entry] = ()  # runs of other processes on this engine
    tool_chars: int = 0  # of the prompt, those of the tools; 0 where that was told before


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a call, and from which run of its model."""

    forecast: Forecast
    own: Forecast  # without its wait: what others wait for
    last: Run


def foretell(asked: Asked, ticket: Ticket | None, emit: Emit, under_way: Callable[[], bool]) -> None:
    """Tell what is known of the call, soon, as long as it is under way: on its ticket to others, and to `emit`."""
    token = anyio.lowlevel.current_token()
    holder = asked.ahead[0].who if asked.ahead else None
    if holder is not None and asked.run is not None:
        emit(Foreseen(run=asked.run, waiting_for=holder))

    context = copy_context()  # who hears of this call; a thread begins without

    def told(found: Found) -> None:
        if not under_way():
            return
        if ticket is not None:
            ticket.foreseen(found.own.total_s, found.own.spread, after_s=found.forecast.wait_s)
        if asked.run is not None:
            events = [_event(asked, asked.run, found, holder), *tools_notice(asked, found.forecast)]
            for event in events:
                context.run(emit, event)

    def look() -> None:
        try:
            found = _forecast(asked)
        except (LedgerError, OSError) as exc:
            log.warning("no forecast: %s", exc)
            return
        if found is not None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                anyio.from_thread.run_sync(told, found, token=token)

    threading.Thread(target=look, daemon=True, name="forecast").start()


def _forecast(asked: Asked) -> Found | None:
    """None while this model never ran here."""
    with Ledger.open() as ledger:
        here = (run for run in ledger.runs(last=KNOWN_RUNS) if plain(run.key.host) == asked.host)
        last = next((run for run in here if run.profile.model == asked.model), None)
        if last is None:
            return None
        models = SpeedModels(ledger)
        tokens_in = int(asked.chars / CHARS_PER_TOKEN) + 1
        provenance = provenance_of(simulated=last.profile.simulated, recorded=False)
        lengths = models.lengths(
            filed(asked.model, provenance), asked.kind, tokens_in=tokens_in, cap=asked.cap, think=asked.think
        )
        own = partial(
            models.of(last.key).forecast,
            tokens_in,
            lengths,
            tokens_cached=None if asked.cached is None else int(tokens_in * asked.cached),
            cap=asked.cap,
            cold=asked.cold,
            tokens_spread=SPREAD,
        )
        if (alone := own()) is None:
            return None
        wait = reduce(add, (left_of(one.seconds, one.spread, one.gone_s) for one in asked.ahead), NO_WAIT)
        return Found((own(wait=wait) if asked.ahead else None) or alone, alone, last)


def tools_notice(asked: Asked, found: Forecast) -> list[Notice]:
    """That the tools take most of a long wait for the first word, and what can be done about it."""
    tools = int(asked.tool_chars / CHARS_PER_TOKEN)
    if tools < _MANY_TOKENS or found.prefill_s < _LONG_S or 2 * asked.tool_chars < asked.chars:
        return []
    return [
        Notice(
            text=f"{asked.model} first reads about {found.tokens_in:,} tokens, {tools:,} of them the tools: about "
            f"{duration(found.prefill_s)} here, once. Fewer servers, or `tools` of a server in config.yaml, make it less; "
            "run_timeout_s there, or --timeout, lifts the limit of a run"
        )
    ]


def _event(asked: Asked, run: str, known: Found, holder: str | None) -> Foreseen:
    found = known.forecast
    return Foreseen(
        run=run,
        load_s=found.load_s if found.cold else 0.0,
        prefill_s=found.prefill_s,
        total_s=found.total_s,
        low_s=found.low_s,
        high_s=found.high_s,
        runs=found.runs,
        waiting_for=holder,
        simulated=known.last.profile.simulated,
    )
