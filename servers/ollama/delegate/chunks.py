"""Cutting files into chunks for a map: which files a pattern means, how large a piece is best, and pieces of whole lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...output import ToolError, readable
from ...workspace import Workspace
from ...workspace.globs import expanded
from ...workspace.walk import walk
from ..forecast.forecast import Forecast
from ..forecast.forecaster import RunPlan
from ..forecast.quantiles import NO_WAIT
from ..forecast.token_estimates import CHARS_PER_TOKEN
from ..gates.documents import Document, read_text

MAX_MAPPED_FILES = 2000
MAX_MAPPED_BYTES = 64 << 20
SIZES = (1000, 2000, 4000, 8000, 16000)
"""Tokens of a chunk that are weighed against each other."""
DEFAULT_SIZE = 3000
"""While nothing is known of the model's speed."""
OUT_TOKENS = 400
"""Cap of a chunk's answer."""
FIXED_TOKENS = 300
"""Prompt tokens that every chunk needs besides its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some whole lines of one file; `start` is the number of the first."""

    path: str
    start: int
    end: int
    text: Document
    """The piece, named after its place."""

    @property
    def label(self) -> str:
        return f"{self.path}:{self.start}-{self.end}"


def matched(workspace: Workspace, glob: str) -> list[str]:
    """The files a pattern means, in order; ignored ones and version control left out. ToolError when there are none."""
    from pathspec import GitIgnoreSpec

    with readable(ValueError):
        spec = GitIgnoreSpec.from_lines(expanded(glob))
    found: list[str] = []
    for root in workspace.all_roots():
        for entry in walk(root.fd, "", into_hidden=False):
            if entry.is_folder or entry.is_link or entry.ignored or not spec.match_file(entry.path):
                continue
            found.append(workspace.display(root, entry.path))
            if len(found) > MAX_MAPPED_FILES:
                raise ToolError(f"{glob!r} means more than {MAX_MAPPED_FILES:,} files; narrow it")
    if not found:
        raise ToolError(
            f"no file matches {glob!r}; a pattern is as in .gitignore, such as *.py or docs/**/*.md"
        )
    return found


def readable_texts(workspace: Workspace, paths: Iterable[str]) -> tuple[list[Document], list[str]]:
    """(the texts, a line for each file that cannot be read as text). ToolError when they are too much together."""
    texts: list[Document] = []
    left_out: list[str] = []
    size = 0
    for path in paths:
        try:
            text = read_text(workspace, path)
        except ToolError as exc:
            left_out.append(str(exc))
            continue
        size += len(text.text)
        if size > MAX_MAPPED_BYTES:
            raise ToolError(f"the files hold more than {MAX_MAPPED_BYTES >> 20} MB; narrow them")
        if text.text.strip():
            texts.append(text)
    return texts, left_out


def cut(text: Document, max_chars: int) -> list[Chunk]:
    """A file in pieces of at most `max_chars`, cut between lines; a longer line is a piece of its own, cut within."""
    pieces: list[tuple[int, int, str]] = []
    lines: list[str] = []
    size, start = 0, 1
    for number, line in enumerate(text.text.splitlines(keepends=True), 1):
        if lines and size + len(line) > max_chars:
            pieces.append((start, number - 1, "".join(lines)))
            lines, size, start = [], 0, number
        while len(line) > max_chars:
            pieces.append((number, number, line[:max_chars]))
            line = line[max_chars:]
        lines.append(line)
        size += len(line)
    if lines:
        pieces.append((start, start + len(lines) - 1, "".join(lines)))
    before = text.first - 1
    return [
        _chunk(text.file.path, start + before, end + before, body, text)
        for start, end, body in pieces
        if body.strip()
    ]


def evened(sizes: Sequence[int], max_chars: int) -> int:
    """The piece size that cuts the largest file evenly instead of leaving a short end."""
    largest = max(sizes, default=max_chars)
    pieces = -(-largest // max_chars)
    return min(max_chars, -(-largest // pieces) + 200)


def _chunk(path: str, start: int, end: int, body: str, text: Document) -> Chunk:
    decoded = replace(text.decoded, body=body, ends="\n")
    piece = Document(path=f"{path}:{start}-{end}", rev=text.rev, decoded=decoded)
    return Chunk(path=path, start=start, end=end, text=piece)


def best_size(plan: RunPlan, whole_chars: int) -> int:
    """Tokens of a chunk that make the whole take least, by the speed model: depth costs, and so does every prompt's start."""
    best: tuple[float, int] | None = None
    for size in SIZES:
        room = plan.worker.room
        if (
            room is not None
            and size + FIXED_TOKENS + (plan.task.cap or OUT_TOKENS) > room
            and best is not None
        ):
            break
        each = chunk_forecast(plan, size)
        if each is None:
            return DEFAULT_SIZE
        count = max(whole_chars / CHARS_PER_TOKEN / size, 1.0)
        if best is None or each.total_s * count < best[0]:
            best = (each.total_s * count, size)
    return best[1] if best else DEFAULT_SIZE


def chunk_forecast(plan: RunPlan, size: int) -> Forecast | None:
    """One chunk of so many tokens, among others like it."""
    task = replace(plan.task, tokens_in=size + FIXED_TOKENS, tokens_cached=FIXED_TOKENS // 2, deadline_s=None)
    return replace(plan.worker, cold=False, wait=NO_WAIT).forecast(task)


def mean_tokens(chunks: Sequence[Chunk]) -> int:
    return int(max(sum(len(chunk.text.text) for chunk in chunks) / len(chunks) / CHARS_PER_TOKEN, 1))
