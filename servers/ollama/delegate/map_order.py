"""A map as its caller asked for it, and the calls that ask for it again or otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..forecast.forecast import Forecast
from ..ledger.receipt import Advised
from .next_call import arguments_of
from .request import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOrder:
    """A map as it was asked for. `order` holds task, model and gates, and the files unless there is a glob."""

    order: Order
    glob: str | None = None
    reduce: str | None = None
    max_parallel: int = 1

    def arguments(self, **changed: object) -> dict[str, object]:
        """The arguments of `delegate_map` that ask for this, with some changed."""
        every = arguments_of(self.order, **changed)
        schema = every.pop("schema", None)
        gates = [every.pop("gate", None), schema and {"schema": schema}]
        every |= {"gate": [gate for gate in gates if gate], "glob": self.glob, "reduce": self.reduce}
        every["max_parallel"] = self.max_parallel if self.max_parallel > 1 else None
        return {name: value for name, value in every.items() if value}

    def on(self, files: Sequence[str]) -> MapOrder:
        """The same of these files or parts alone, their answers left as they are."""
        return replace(self, order=replace(self.order, files=tuple(files)), glob=None, reduce=None)

    def in_time(self, chunks: int, each: Forecast, model: str | None = None) -> Advised:
        """The call with a deadline that so many chunks are likely to meet. `model`: another than was asked for."""
        deadline_s = math.ceil(each.high_s * chunks)
        changed: dict[str, object] = {"model": model} if model else {}
        call = self.arguments(deadline_s=deadline_s, **changed)
        say = f"deadline_s={deadline_s}" + (f", model={model}" if model else "")
        return Advised(action="meet_deadline", say=say, call=call, then_s=each.total_s * chunks)
