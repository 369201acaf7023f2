"""One task over many files: cut into chunks sized by the speed model, each chunk one gated run, one combined receipt.

What a chunk came to is kept, so the same call after an interruption goes on where it stopped. Nothing a model
writes is executed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import anyio

from ...durations import duration
from ...output import ToolError, bounded, fenced, masked, visible
from ...source.encoding import Text as Decoded
from ...workspace import Workspace
from ..engines.protocol import EngineError, Model
from ..forecast.forecaster import RunPlan
from ..forecast.token_estimates import CHARS_PER_TOKEN
from ..gates.documents import Document
from ..gates.no_answer import is_nothing
from ..ledger.receipt import Mapped, Tried
from .chunks import (
    DEFAULT_SIZE,
    Chunk,
    best_size,
    chunk_forecast,
    cut,
    evened,
    matched,
    mean_tokens,
    readable_texts,
)
from .delegate import RAISE_CAP, Delegator, spent_tokens
from .jobs import Progress
from .map_advice import MapAdvice
from .map_answers import chunk_order, grouped, only_joins, overlooked, place
from .map_cache import Begun, CachedAnswer, MapCache
from .map_order import MapOrder
from .map_total import SHOWN, Total
from .ran import Ran, RunRejected, TooLate
from .request import Order, Prepared
from .shown import first_line

MAX_CHUNKS = 5000
MAX_PARALLEL = 16
MAX_SHOWN_BYTES = 24_000
REDUCED_CHARS = 14_000
"""Of the answers one reducing run reads."""


@dataclass(slots=True, kw_only=True)
class _Work:
    """One map under way."""

    asked: MapOrder
    model: Model
    kept: MapCache
    begun: Begun
    progress: Progress
    total: Total = field(default_factory=Total)
    began: float = field(default_factory=time.monotonic)
    moves: int = 0
    moved: str | None = None
    """Why it went on on another host."""

    @property
    def left_s(self) -> float | None:
        """What is left of the deadline, at least 0; None without one."""
        given = self.asked.order.deadline_s
        return None if given is None else max(given - (time.monotonic() - self.began), 0.0)

    def keep(self, chunk: str, answer: CachedAnswer) -> None:
        if self.kept.is_empty:
            self.begun.keep(_call(self.asked.order))
        self.kept.put(chunk, answer)


@dataclass(slots=True, kw_only=True)
class Mapper:
    """Carries out maps with a delegator's runs and gates."""

    workspace: Workspace
    delegator: Delegator

    async def map(self, asked: MapOrder, progress: Progress) -> Mapped:
        """The combined receipt. ToolError when it cannot work at all."""
        began = time.monotonic()
        texts, left_out = await anyio.to_thread.run_sync(self.texts, asked)
        sample = first_chunk(asked.order, texts)
        before = await anyio.to_thread.run_sync(Begun.of, _call(asked.order))
        model, chosen = await self._model(asked.order, sample, before)
        plan = await self._plan(sample, model)
        same = before if before is not None and before.model == model.name else None
        begun = same or Begun(model.name, await self.chunk_chars(plan, texts))
        chunks = self.chunks(texts, begun.max_chars)
        progress.steps = len(chunks)
        kept = await anyio.to_thread.run_sync(MapCache.open, _name(asked.order, model))
        work = _Work(asked=asked, model=model, kept=kept, begun=begun, progress=progress, began=began)
        if plan is not None and (refused := await anyio.to_thread.run_sync(_refused, work, plan, chunks)):
            return refused
        self.delegator.runners.of(model).slots.allow(model.name, asked.max_parallel)
        limit = anyio.Semaphore(asked.max_parallel)
        async with anyio.create_task_group() as group:
            for number, chunk in enumerate(chunks):
                await limit.acquire()
                group.start_soon(self._chunk, work, number, chunk, limit)
        reduced = (
            await self._reduced(work, asked.reduce) if asked.reduce and self._is_to_reduce(work) else None
        )
        receipt = self._receipt(work, work.moved or chosen, chunks, left_out, reduced)
        advice = MapAdvice(
            estimator=self.delegator.estimator,
            asked=asked,
            sample=sample,
            chunks=chunks,
            model=work.model,
            total=work.total,
        )
        receipt.advice = await advice.next()
        return await self._settled(work, chunks, receipt)

    @staticmethod
    def _is_to_reduce(work: _Work) -> bool:
        """Whether there is something to reduce: not after a deadline, and one answer alone is joined already."""
        found = len(work.total.answers)
        return found > 0 and not work.total.late and (found > 1 or not only_joins(work.asked.reduce or ""))

    async def _settled(self, work: _Work, chunks: Sequence[Chunk], receipt: Mapped) -> Mapped:
        """The receipt with what it saves its caller, which goes to the ledger with the map's last run."""
        found = receipt.done > receipt.empty and receipt.outcome != "escalate"
        whole = sum(len(chunk.text.text) for chunk in chunks) * receipt.done // max(len(chunks), 1)
        without = int((whole + len(receipt.answer or "")) / CHARS_PER_TOKEN) if found else 0
        spent = spent_tokens(work.asked.order, receipt)
        if work.total.last is not None:
            await self.delegator.runners.of(work.model).complete(
                work.total.last, tokens_without=without, tokens_spent=spent
            )
        return receipt.model_copy(update={"tokens_saved": without - spent if found else 0})

    def texts(self, asked: MapOrder) -> tuple[list[Document], list[str]]:
        """The files with text in them, and a line for each that was left out."""
        if not asked.order.task.strip():
            raise ToolError("the task is empty; say what to do with each piece")
        if not 1 <= asked.max_parallel <= MAX_PARALLEL:
            raise ToolError(f"max_parallel must be 1 to {MAX_PARALLEL}, found {asked.max_parallel}")
        deadline_s = asked.order.deadline_s
        if deadline_s is not None and not 0 < deadline_s < math.inf:
            raise ToolError(f"deadline_s is a number of seconds above 0; found {deadline_s}")
        if asked.order.max_output is not None and asked.order.max_output < 1:
            raise ToolError(f"max_output is a number of tokens, at least 1; found {asked.order.max_output}")
        if bool(asked.order.files) == bool(asked.glob):
            raise ToolError("give either files or glob")
        paths = matched(self.workspace, asked.glob) if asked.glob else list(asked.order.files)
        texts, left_out = readable_texts(self.workspace, dict.fromkeys(paths))
        if not texts:
            raise ToolError("; ".join(left_out[:3]) or "these files are all empty")
        return texts, left_out

    async def _model(self, order: Order, sample: Prepared, begun: Begun | None) -> tuple[Model, str | None]:
        """The one that has begun it, where the choice is ours."""
        if begun is not None and order.model == "auto":
            with suppress(ToolError):  # it is no longer here
                model, _ = await self.delegator.estimator.pick(sample, begun.model)
                return model, f"{model.label}: it has begun this map"
        return await self.delegator.estimator.pick(sample, order.model)

    async def _plan(self, sample: Prepared, model: Model) -> RunPlan | None:
        try:
            return await self.delegator.runners.of(model).plan(sample, model)
        except (RunRejected, EngineError) as exc:
            raise ToolError(str(exc)) from exc

    async def chunk_chars(self, plan: RunPlan | None, texts: Sequence[Document]) -> int:
        """The size of chunks that takes least time in all."""
        whole = sum(len(text.text) for text in texts)
        tokens = await anyio.to_thread.run_sync(best_size, plan, whole) if plan else DEFAULT_SIZE
        return evened([len(text.text) for text in texts], int(tokens * CHARS_PER_TOKEN))

    def chunks(self, texts: Sequence[Document], max_chars: int) -> list[Chunk]:
        chunks = [chunk for text in texts for chunk in cut(text, max_chars)]
        if len(chunks) > MAX_CHUNKS:
            raise ToolError(f"that makes {len(chunks):,} chunks, more than {MAX_CHUNKS:,}; narrow the files")
        return chunks

    async def _chunk(self, work: _Work, number: int, chunk: Chunk, limit: anyio.Semaphore) -> None:
        try:
            mark = _mark(chunk)
            answer = work.kept.get(mark)
            if answer is not None:
                work.total.reused += 1
            else:
                answer = await self._answer(work, chunk_order(work.asked.order, chunk.text), chunk.label)
                if isinstance(answer, CachedAnswer):
                    await anyio.to_thread.run_sync(work.keep, mark, answer)
            if answer is None:
                work.total.late += 1
            elif isinstance(answer, Tried):
                work.total.failed.append((chunk, answer))
            elif is_nothing(answer.text):
                work.total.empty.append(chunk)
            else:
                work.total.answers[number] = (chunk, answer.text)
                work.total.unchecked += not answer.checked
            work.progress.step += 1
        finally:
            limit.release()

    async def _answer(self, work: _Work, prepared: Prepared, label: str) -> CachedAnswer | Tried | None:
        """A checked answer, at the second try at most; the run that failed; None when no time was left."""
        why: str | None = None
        tried = Tried(
            model=work.model.name, source=label, outcome="refused", why=None, run=None, total_s=None
        )
        tries = 0
        while tries < 2:
            tries, model = tries + 1, work.model
            try:
                if work.left_s == 0:
                    raise TooLate("no time is left")
                ran = await self.delegator.runners.of(model).run(
                    prepared, model, work.progress, failure=why, again=why is not None, left_s=work.left_s
                )
            except TooLate:
                if why is None:
                    return None
                break
            except RunRejected as exc:
                tried.why = why or str(exc)
                break
            except EngineError as exc:
                tried.why, tried.outcome = str(exc), "error"
                if await self._moved(work, prepared, model):
                    tries = 0
                    continue
                break
            gated, candidate, why = await self.delegator.judge(prepared, ran, why)
            if candidate is not None and is_nothing(candidate.answer):
                why = overlooked(work.asked.order.task, prepared.material) or why
            ran = await self.delegator.runners.of(model).record(ran, gated)
            work.total.add(ran)
            if work.model.label == ran.model.label:
                work.model = ran.model  # it is loaded now
            if ran.answer.profile.outcome == "cancelled" and work.left_s == 0:
                return None
            if candidate is not None and why is None:
                return CachedAnswer(candidate.answer, gated is not None and gated.unchecked is None)
            tried = self.delegator.tried(ran, why).model_copy(update={"source": label})
            if ran.answer.error is not None and await self._moved(work, prepared, model):
                tries, why = 0, None
                continue
            if ran.answer.error is not None or await self.delegator.estimator.hopeless(prepared, model):
                break
            if ran.answer.profile.outcome == "length":
                if prepared.order.max_output == (work.asked.order.max_output or 0):
                    break  # the caller's own cap cut it
                prepared = _roomier(prepared, ran, why)
        return tried

    async def _moved(self, work: _Work, prepared: Prepared, model: Model) -> bool:
        """Whether the map goes on with the same model elsewhere, as the host of this one has died."""
        hosts = self.delegator.hosts
        if work.model.host != model.host:
            return True  # another chunk has found out before
        if work.moves >= len(hosts.all) or (why := await hosts.has_died(model)) is None:
            return False
        work.moves += 1
        try:
            other, _ = await self.delegator.estimator.pick(prepared, model.name)
        except ToolError:
            return False
        if other.host == model.host or other.name != model.name:
            return False
        work.model, work.moved = other, f"{other.label}: {model.host} does not answer ({why})"
        self.delegator.runners.of(other).slots.allow(other.name, work.asked.max_parallel)
        return True

    async def _reduced(self, work: _Work, task: str) -> str | None:
        """One answer made of all: in groups, then groups of groups. None when a run of it failed."""
        work.progress.joins, work.total.joined = True, True
        parts = [(place(chunk, answer), answer) for chunk, answer in work.total.found]
        while True:
            groups = grouped(parts, REDUCED_CHARS)
            made: list[tuple[str, str]] = []
            for group in groups:
                inputs = {name: _text(name, answer) for name, answer in group}
                order = replace(work.asked.order, task=task, files=(), max_output=None)
                order = replace(order, gates=order.gates.without("schema"))
                prepared = Prepared(order=order, inputs=inputs, target=None, before=None)
                label = f"reduce of {len(group)}"
                answer = await self._answer(work, prepared, label)
                if not isinstance(answer, CachedAnswer):
                    late = Tried(
                        model=work.model.name, source=label, outcome="refused", why="no time was left"
                    )
                    work.total.not_joined, work.total.joined = answer or late, None
                    return None
                work.total.joined = work.total.joined and answer.checked
                made.append((f"part {len(made) + 1}", answer.text))
            if len(made) == 1:
                return made[0][1]
            if len(made) >= len(parts):  # answers that do not get fewer never will
                return "\n\n".join(answer for _, answer in made)
            parts = made

    def _receipt(
        self,
        work: _Work,
        chosen: str | None,
        chunks: Sequence[Chunk],
        left_out: Sequence[str],
        reduced: str | None,
    ) -> Mapped:
        total, model = work.total, work.model
        text = reduced or total.text
        shown = bounded(masked(visible(text)), MAX_SHOWN_BYTES)
        return Mapped(
            outcome=total.outcome,
            reason=total.reason(chunks, work.asked.order.deadline_s),
            model=model.name,
            host=model.host or None,
            chosen=chosen,
            answer=fenced(shown, f"answers of {model.name}") if text else None,
            chunks=len(chunks),
            done=len(total.empty) + len(total.answers),
            empty=len(total.empty),
            empty_files=total.empty_files(chunks),
            reused=total.reused,
            left_out=[first_line(line) or "" for line in left_out[:SHOWN]],
            tried=total.tried,
            tokens_in=total.tokens_in,
            tokens_out=total.tokens_out,
            total_s=total.seconds,
            note=self.delegator.hosts.note,
        )


def _roomier(prepared: Prepared, ran: Ran, why: str | None) -> Prepared:
    """The same with twice the room for its answer, where it was cut at a cap of ours and not for going in circles."""
    if RAISE_CAP not in (why or ""):
        return prepared
    return replace(prepared, order=replace(prepared.order, max_output=2 * ran.size.num_predict))


def _mark(chunk: Chunk) -> str:
    """What a chunk's answer is kept under."""
    return f"{chunk.label}\0{chunk.text.text}"


def _refused(work: _Work, plan: RunPlan, chunks: Sequence[Chunk]) -> Mapped | None:
    """The refusal of a map that even at its quickest ends after its deadline; None when it may be in time."""
    left = [chunk for chunk in chunks if work.kept.get(_mark(chunk)) is None]
    given = work.asked.order.deadline_s
    if given is None or not left:
        return None
    each = chunk_forecast(plan, mean_tokens(left))
    if each is None or each.low_s * len(left) / work.asked.max_parallel <= given:
        return None
    advice = work.asked.in_time(len(left), each)
    reason = (
        f"{len(left)} chunk{'s take' if len(left) > 1 else ' takes'} about {duration(advice.then_s or 0)}, and "
        f"deadline_s is {given:g}: allow {advice.call['deadline_s']} s, or narrow the files"
    )
    return Mapped(
        outcome="refused",
        reason=reason,
        model=work.model.name,
        advice=[advice],
        chunks=len(chunks),
        done=0,
        empty=0,
        reused=0,
        left_out=[],
        tokens_in=0,
        tokens_out=0,
        total_s=0.0,
    )


def first_chunk(order: Order, texts: Sequence[Document]) -> Prepared:
    """A chunk like those of the map, before it is known how large they are."""
    text = texts[0]
    return chunk_order(order, _text(text.path, text.text[: int(DEFAULT_SIZE * CHARS_PER_TOKEN)]))


def _text(name: str, body: str) -> Document:
    return Document(path=name, rev="", decoded=Decoded(body=body))


def _call(order: Order) -> str:
    """What the same call is known by. A choice of a model depends on the deadline, so another one is chosen anew."""
    deadline_s = order.deadline_s if order.model == "auto" else None
    return repr((order.task, order.gates, order.think, order.context, order.model, deadline_s))


def _name(order: Order, model: Model) -> str:
    """What answers are kept under: whatever could have made them different. A cap that did not cut one has not."""
    return repr((order.task, order.gates, order.think, order.context, model.digest or model.name))
