"""What to send after a map of which something failed: more room, another model for that alone, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ...output import ToolError
from ..engines.protocol import Model
from ..forecast.model_choice import Option
from ..ledger.receipt import Advised
from .chunks import OUT_TOKENS, Chunk
from .delegate import RAISE_CAP
from .map_order import MapOrder
from .map_total import Total
from .next_call import MOST, likelier, more_room
from .options import Estimator
from .request import Prepared

_JOIN = "join the answers yourself: they stand in this receipt"
_YOURSELF = "do {} yourself: no other model here is likelier to pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAdvice:
    """The next calls of one map that has ended."""

    estimator: Estimator
    asked: MapOrder
    sample: Prepared
    """A chunk like the others."""
    chunks: Sequence[Chunk]
    model: Model
    total: Total

    async def next(self) -> list[Advised]:
        """Nothing where nothing failed, or time alone did."""
        total, said = self.total, list[Advised]()
        if total.failed or total.outcome == "escalate":
            try:
                options = await self.estimator.options(self.sample, "auto")
            except ToolError:
                options = []
            said.append(await self._for_chunks(options))
        if total.not_joined is not None:
            said.append(Advised(action="do_it_yourself", say=_JOIN))
        return said[:MOST]

    async def _for_chunks(self, options: Sequence[Option]) -> Advised:
        failed, whole = [tried for _, tried in self.total.failed], self.total.outcome == "escalate"
        mine = next((option for option in options if option.model.label == self.model.label), None)
        if any(tried.outcome in ("error", "aborted") for tried in failed):
            say = "the engine failed, not the answers: send it again"
            return self._advised("send_again", say, self.asked.arguments(), mine, len(failed))
        if mine is not None and any(RAISE_CAP in (tried.why or "") for tried in failed):
            cut_at = max(
                self.asked.order.max_output or OUT_TOKENS, *(tried.tokens_out or 0 for tried in failed)
            )
            if (more := await anyio.to_thread.run_sync(more_room, mine, cut_at)) is not None:
                call = self.asked.arguments(max_output=more)
                say = f"max_output={more}: the same map tries only what failed again"
                return self._advised("raise_cap", say, call, mine, len(failed))
        if (found := likelier(self.asked.order, mine, options)) is None:
            return Advised(action="do_it_yourself", say=_YOURSELF.format("it" if whole else "what failed"))
        other = next(option for option in options if option.model.name == found.call["model"])
        asked = self.asked if whole else self.asked.on(self._places())
        say = found.say if whole else f"{found.say}: what failed alone"
        call, chunks = asked.arguments(model=other.model.name), len(self.chunks if whole else failed)
        return self._advised("other_model", say, call, other, chunks)

    @staticmethod
    def _advised(action: str, say: str, call: dict[str, object], by: Option | None, chunks: int) -> Advised:
        then_s = by.forecast.total_s * chunks if by and by.forecast else None
        return Advised(action=action, say=say, call=call, then_s=then_s, odds=by.odds if by else None)

    def _places(self) -> list[str]:
        """The failed chunks as files, or as parts of those of which others did not fail."""
        pieces, failed = (
            Counter(chunk.path for chunk in some)
            for some in (self.chunks, [chunk for chunk, _ in self.total.failed])
        )
        return list(
            dict.fromkeys(
                chunk.path
                if pieces[chunk.path] == failed[chunk.path]
                else f"{chunk.path}#L{chunk.start}-{chunk.end}"
                for chunk, _ in self.total.failed
            )
        )
