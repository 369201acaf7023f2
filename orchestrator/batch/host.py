"""One place where models run: its engine, its slots, and what its speed model says of orders still to come."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import anyio

from servers.ollama.delegate.delegate import BeforeWrite
from servers.ollama.delegate.jobs import Progress
from servers.ollama.delegate.request import Order
from servers.ollama.engines.protocol import EngineError, Model
from servers.ollama.forecast.plans import Task
from servers.ollama.forecast.token_estimates import CHARS_PER_TOKEN
from servers.ollama.gates.gates import Gates, parse_gates
from servers.ollama.hosts.host import Host as EngineHost
from servers.ollama.hosts.hosts import is_called
from servers.ollama.ledger.receipt import Receipt
from servers.ollama.service import Service

from .orders import BatchOrder
from .queue import Kept
from .schedule import AtWork, Kind, bucket_of

SCAFFOLD_TOKENS = 150
"""Of our own words around a task."""
FRESH_S = 30.0
"""How long a forecast for later orders is taken as it is."""
LAST = 200
"""Ended orders whose forecasts are held against what they took."""
MODELS_S = 30.0
"""How long the list of an engine's models is."""


@dataclass(slots=True, kw_only=True)
class Host:
    """One host of a batch. `service` has its engine."""

    name: str
    service: Service
    slots: int = 1
    tags: frozenset[str] = frozenset()
    usd_per_hour: float | None = None
    """None: it costs nothing that is counted."""
    running: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """By key: when it began, and how long it should take; the monotonic clock."""
    spent_s: float = 0.0
    ratios: deque[float] = field(default_factory=lambda: deque[float](maxlen=LAST))
    """Measured over forecast seconds of the last orders."""
    spread: float = 0.0
    """Of a forecast's error: the standard deviation of its logarithm, as the last forecast says."""
    _models: list[Model] = field(default_factory=list[Model])
    _models_at: float = -math.inf
    _chosen: dict[str, str] = field(default_factory=dict[str, str])
    """The model that `auto` came to, by kind of task."""
    _seconds: dict[Kind, tuple[float, float | None]] = field(
        default_factory=dict[Kind, tuple[float, float | None]]
    )
    """When it was asked, and what the forecast said."""

    def at_work(self) -> AtWork:
        now = time.monotonic()
        left = sum(max(began + takes - now, 0.0) for began, takes in self.running.values())
        return AtWork(slots=self.slots, left_s=left / self.slots)

    @property
    def place(self) -> EngineHost:
        return self.service.hosts.first

    @property
    def is_up(self) -> bool:
        return self.place.availability.is_up

    @property
    def down_why(self) -> str | None:
        """Why it did not answer when it was last asked."""
        return self.place.availability.why

    def seconds(self, kind: Kind) -> float | None:
        """What is known of orders of this kind here; infinity where it cannot take them."""
        model, tags, _, _ = kind.group
        if not frozenset(tags) <= self.tags:
            return math.inf
        if model != "auto" and self._models and not any(is_called(model, one.name) for one in self._models):
            return math.inf
        return self._seconds.get(kind, (0.0, None))[1]

    async def look(self, kinds: list[Kind]) -> None:
        """Ask engine and speed model again where what they said is old. A host that does not answer is down."""
        now = time.monotonic()
        if now - self._models_at > MODELS_S:
            try:
                self._models = await self.place.models()
                self._models_at = now
            except EngineError:
                self._models_at = -math.inf
                return
        for kind in kinds:
            asked, _ = self._seconds.get(kind, (-math.inf, None))
            if now - asked > FRESH_S and self.seconds(kind) != math.inf:
                self._seconds[kind] = (now, await self._forecast(kind))

    async def carry_out(self, kept: Kept, before_write: BeforeWrite) -> Receipt:
        """The receipt of an order. Raises ToolError when it cannot work."""
        delegator = self.service.delegator
        receipt = await delegator.delegate(_asked(kept), Progress(delegation=kept.key), before_write)
        if receipt.model is not None:
            self._chosen[_asked(kept).kind] = receipt.model
        return receipt

    async def check(self) -> None:
        """Raises EngineError when the engine does not answer; it is asked again then before it gets an order."""
        self._models_at = -math.inf
        await self.place.models()

    def made(self, key: str) -> str | None:
        """The id of the change that this order has made on this machine; None when it has made none."""
        record = self.service.delegator.workspace.store.named(f" {key}")
        return record.id if record else None

    def holds(self, revs: Mapping[str, str]) -> bool:
        """Whether all these files are what an order was about to make of them, whoever did."""
        return bool(revs) and self.service.delegator.holds(revs)

    def began(self, key: str, kind: Kind) -> None:
        self.running[key] = (time.monotonic(), self.seconds(kind) or 0.0)

    def ended(self, key: str, *, whole: bool) -> float:
        """Seconds it took. `whole`: it was carried out to its end, so it tells how good the forecast was."""
        began, expected = self.running.pop(key)
        took = time.monotonic() - began
        if whole and expected > 0:
            self.ratios.append(took / expected)
        self.spent_s += took
        return took

    def learned(self) -> None:
        """A run has taught the speed model something: what it said before is old."""
        self._seconds = {kind: (asked - FRESH_S / 4, said) for kind, (asked, said) in self._seconds.items()}

    @property
    def usd(self) -> float:
        """What it has cost, by the hour; 0 where no price is given."""
        return (self.usd_per_hour or 0.0) * self.spent_s / 3600

    async def _forecast(self, kind: Kind) -> float | None:
        """Seconds for an order of this kind with the model loaded; None while nothing is known."""
        name, _, task, format = kind.group
        wanted = self._chosen.get(task) if name == "auto" else name
        model = next((one for one in self._models if wanted and is_called(wanted, one.name)), None)
        if model is None and len(self._models) == 1:
            model = self._models[0]
        if model is None:
            return None
        num_ctx = model.loaded_ctx or 4096
        asked = Task(
            tokens_in=int(kind.size / CHARS_PER_TOKEN) + SCAFFOLD_TOKENS,
            tokens_spread=0.2,
            kind=task,
            format=format,
        )
        warm = replace(model, loaded=True, loaded_ctx=num_ctx)
        plan = await self.place.forecaster.plan(asked, warm, num_ctx)
        forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
        if forecast is None:
            return None
        if forecast.low_s > 0:
            self.spread = math.log(forecast.high_s / forecast.low_s) / (2 * 1.645)
        return forecast.total_s

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await self.service.hosts.aclose()
        self.service.close()


def kind_of(order: BatchOrder, size: int) -> Kind:
    """What decides how long an order takes and who can take it."""
    gates = Gates() if order.data_schema is None else Gates(asked={"schema": order.data_schema})
    asked = Order(task=order.task, write=order.write, gates=gates)
    return Kind((order.model, order.tags, asked.kind, asked.format), bucket_of(size))


def _asked(kept: Kept) -> Order:
    """The order as the delegator takes it; what failed before is told the worker."""
    order = kept.order
    context = order.context
    if kept.reason:
        context = f"{context}\nAn earlier answer was not accepted: {kept.reason[:500]}".strip()
    return Order(
        task=order.task,
        model=order.model,
        files=order.files,
        write=order.write,
        gates=parse_gates(order.gate, order.data_schema),
        ladder=order.ladder,
        deadline_s=order.deadline_s,
        max_output=order.max_output,
        think=order.think,
        context=context,
        asked_by="understudy batch",
    )
