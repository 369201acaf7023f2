"""What local models used in delegations by the ollama server, as its receipts tell: no model call of ours says it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

from ..events import ToolFinished
from ..providers.catalog import cost_usd
from ..types import Usage

Receipt = Mapping[str, Any]


class LocalRuns:
    """Counts each delegation of a conversation once, however often its receipt is shown."""

    def __init__(self) -> None:
        self._seen = set[str]()

    def of(self, event: ToolFinished) -> Iterator[tuple[str, Usage]]:
        """(model, what it used) of each run that this tool's answer tells for the first time."""
        if "__delegat" not in event.result.name or (receipt := receipt_in(event.result.text)) is None:
            return
        id = receipt.get("delegation")
        if id in self._seen:
            return
        if id is not None:
            self._seen.add(str(id))
        yield from runs_of(receipt)


def receipt_in(text: str) -> Receipt | None:
    """The receipt of a delegation that has ended; None where `text` is none."""
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    ended = (
        isinstance(found, dict) and isinstance(outcome := found.get("outcome"), str) and outcome != "running"
    )
    return found if ended else None


def runs_of(receipt: Receipt) -> list[tuple[str, Usage]]:
    """(model, what it used) of the local runs of a delegation, failed rungs included; runs of vendors' models tell of
    themselves.
    """
    model = str(receipt.get("model"))
    if "chunks" in receipt:  # a map sums up all of its runs
        return [(f"ollama:{model}", _usage(model, receipt))] if receipt.get("tokens_in") else []
    rungs = [one for one in receipt.get("tried") or () if "tokens_in" in one or "tokens_out" in one]
    profile = receipt.get("profile")
    if profile and "cost_usd" not in receipt and receipt.get("run") not in {one.get("run") for one in rungs}:
        rungs.append({"model": model, **profile})
    return [
        (f"ollama:{name}", _usage(name, one)) for one in rungs if (name := one["model"].partition("@")[0])
    ]


def used_by(receipt: Receipt) -> Usage:
    """All of them together."""
    return reduce(add, (usage for _, usage in runs_of(receipt)), Usage())


def _usage(model: str, counted: Mapping[str, Any]) -> Usage:
    """Seconds stay in the receipt, which says how they came to be."""
    used = Usage(
        input_tokens=counted.get("tokens_in"),
        cached_tokens=counted.get("tokens_cached"),
        output_tokens=counted.get("tokens_out"),
    )
    return replace(used, cost_usd=cost_usd(f"ollama:{model}", used))
