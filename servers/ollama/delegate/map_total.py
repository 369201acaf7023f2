"""What the runs of a map came to, and how its receipt says so: what failed, and which files gave nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...durations import duration
from ..ledger.receipt import Ended, Tried
from .chunks import Chunk
from .map_answers import NOTHING, all_alike, place
from .ran import Ran
from .shown import first_line

SHOWN = 20
"""Failures, and files that gave nothing, that a receipt names."""
_NAMED = 3
"""Failed chunks its reason names."""


@dataclass(slots=True)
class Total:
    """What the runs so far came to."""

    answers: dict[int, tuple[Chunk, str]] = field(default_factory=dict[int, tuple[Chunk, str]])
    failed: list[tuple[Chunk, Tried]] = field(default_factory=list[tuple[Chunk, Tried]])
    not_joined: Tried | None = None
    """The reducing run that failed."""
    joined: bool | None = None
    """Whether a gate has seen the reduced answer; None where there is none."""
    empty: list[Chunk] = field(default_factory=list[Chunk])
    reused: int = 0
    late: int = 0
    """Chunks for which no time was left."""
    unchecked: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    last: Ran | None = None

    def add(self, ran: Ran) -> None:
        self.last = ran
        profile = ran.answer.profile
        self.tokens_in += profile.tokens_in or 0
        self.tokens_out += profile.tokens_out or 0
        self.seconds += profile.total_s or profile.wall_s or 0.0

    @property
    def found(self) -> list[tuple[Chunk, str]]:
        """The answers that say something, in the order of the files."""
        return [self.answers[number] for number in sorted(self.answers)]

    @property
    def text(self) -> str:
        """Every answer under its place."""
        return "\n".join(f"## {place(chunk, answer)}\n{answer.strip()}" for chunk, answer in self.found)

    @property
    def tried(self) -> list[Tried]:
        """The runs that failed, as the receipt shows them."""
        every = [*(tried for _, tried in self.failed[:SHOWN]), *filter(None, [self.not_joined])]
        return [tried.model_copy(update={"why": first_line(tried.why)}) for tried in every]

    @property
    def is_worthless(self) -> bool:
        """Whether nothing came of it, or the same words from everywhere."""
        return (not self.answers and not self.late) or all_alike([answer for _, answer in self.found])

    @property
    def outcome(self) -> Ended:
        if self.is_worthless:
            return "escalate"
        if self.failed or self.not_joined or self.late:
            return "partial"
        return "answered" if self.unchecked or self.joined is False else "accepted"

    def empty_files(self, chunks: Sequence[Chunk]) -> list[str]:
        """The files all of whose chunks were answered with nothing; none where every one was, as the reason says that."""
        if len(self.empty) == len(chunks):
            return []
        pieces, nothing = (Counter(chunk.path for chunk in some) for some in (chunks, self.empty))
        files = [path for path in pieces if pieces[path] == nothing[path]]
        more = [f"and {len(files) - SHOWN} more"] if len(files) > SHOWN else []
        return [*files[:SHOWN], *more]

    def reason(self, chunks: Sequence[Chunk], deadline_s: float | None) -> str | None:
        """What keeps it from being accepted; None when nothing does."""
        ended = self._late(len(chunks), deadline_s or 0)
        failed = self._failed(len(chunks))
        if len(self.failed) == len(chunks):
            return failed
        if failed:
            again = "those" if len(self.tried) > 1 else "that"
            return "; ".join(filter(None, (failed, f"the same call tries only {again} again", ended)))
        if ended:
            return f"{ended}; the same call goes on with the others"
        if not self.answers:
            return f"every chunk was answered {NOTHING}, and nothing checked that; ask another model, or look yourself"
        if self.is_worthless:
            return "all chunks were answered with the same words"
        if self.unchecked:
            return f"unchecked: no gate could judge {self.unchecked} of {len(self.answers)} answers"
        return "unchecked: no gate could judge the reduced answer" if self.joined is False else None

    def _failed(self, chunks: int) -> str:
        named = [chunk.label for chunk, _ in self.failed[:_NAMED]]
        named += ["..."] if len(self.failed) > _NAMED else []
        number = "all" if len(self.failed) == chunks else f"{len(self.failed)} of"
        told = f"{number} {chunks} chunks failed ({', '.join(named)})" if named else ""
        told = f"{named[0]} failed" if chunks == len(named) == 1 else told
        if self.not_joined is None:
            return told
        return (
            f"{told}, and so did the reduce" if told else "the reduce failed, so the answers stand unjoined"
        )

    def _late(self, chunks: int, deadline_s: float) -> str:
        if not self.late:
            return ""
        return f"{duration(deadline_s)} were over after {chunks - self.late} of {chunks} chunks"
