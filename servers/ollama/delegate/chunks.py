"""Cutting files into chunks for a map: which files a pattern means, and pieces of whole lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...output import ToolError, readable
from ...workspace import Workspace
from ...workspace.globs import expanded
from ...workspace.walk import walk
from ..gates.documents import Document, read_text

MAX_MAPPED_FILES = 2000
MAX_MAPPED_BYTES = 64 << 20


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
