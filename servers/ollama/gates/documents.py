"""Files as text for a worker, and back as the same kind of bytes: encoding, mark and line ends survive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...output import ToolError
from ...source.common import common_end, common_start
from ...source.encoding import Text as Decoded
from ...source.encoding import decode
from ...workspace import Workspace, rev_of

MAX_FILE_BYTES = 4 << 20
MAX_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file or some lines of it, as a worker sees it, the lines ended by newlines alone."""

    path: str
    rev: str
    decoded: Decoded
    whole: Document | None = None
    """The file this is a part of."""
    first: int = 1
    """The number its first line has in the file."""

    @property
    def text(self) -> str:
        return self.decoded.body

    @property
    def file(self) -> Document:
        return self.whole or self

    @property
    def last(self) -> int:
        return self.first + len(self.decoded.lines) - 1

    def put_back(self, text: str) -> str:
        """The file's whole text with `text` in place of this part."""
        if self.whole is None:
            return text
        lines = _lines(self.whole.text)
        rest = "".join(lines[self.last :])
        if rest and text and not text.endswith("\n"):
            text += "\n"
        return "".join(lines[: self.first - 1]) + text + rest

    def data(self, text: str) -> bytes:
        """The bytes of this file with `text` in it; lines that stay keep their ends. ToolError as Decoded.encode."""
        old, new = self.text, text.replace("\r\n", "\n")
        start = common_start(old, new)
        end = common_end(old[start:], new[start:])
        return self.decoded.replaced(start, len(old) - end, new[start : len(new) - end]).encode()


def read_texts(workspace: Workspace, paths: Sequence[str]) -> Mapping[str, Document]:
    """The files by the name the caller sees, in the order given. ToolError for what is missing, binary or too large."""
    if len(paths) > MAX_FILES:
        raise ToolError(f"{len(paths)} files are too many for one run; at most {MAX_FILES}")
    found = [read_text(workspace, path) for path in paths]
    return {text.path: text for text in found}


def read_text(workspace: Workspace, path: str) -> Document:
    """A file, or the lines of it that `path#L10-40` names. ToolError as `read_texts`."""
    name, sign, lines = path.rpartition("#")
    if sign and not workspace.exists(path) and (_PART.match(lines) or workspace.exists(name)):
        return _part(_read(workspace, name), lines)
    return _read(workspace, path)


def file_of(path: str) -> str:
    """The file that a path with or without lines means."""
    name, _, lines = path.rpartition("#")
    return name if name and _PART.fullmatch(lines) else path


def _part(whole: Document, asked: str) -> Document:
    """These lines of a file. ToolError when it does not have them."""
    match, size = _PART.fullmatch(asked), len(whole.decoded.lines)
    if match is None:
        raise ToolError(
            f"{whole.path}#{asked}: a part of a file is written {whole.path}#L10-40, #L10 or #L10- (to its end)"
        )
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size if match["to"] else first
    fault = (
        "the file has no lines"
        if not size
        else "lines count from 1"
        if first < 1
        else f"it ends at line {last}, before it begins"
        if last < first <= size
        else f"the file has only {size:,} line{'s' if size > 1 else ''}"
        if max(first, last) > size
        else None
    )
    if fault is not None:
        start, end = sorted((min(max(first, 1), size), min(max(last, 1), size)))
        fits = f"; {whole.path}#L{start}-{end} would work" if size and first <= size else ""
        raise ToolError(f"{whole.path}#{asked}: {fault}{fits}")
    body = "".join(_lines(whole.text)[first - 1 : last])
    decoded = replace(whole.decoded, body=body, ends="\n")
    return Document(
        path=f"{whole.path}#L{first}-{last}", rev=whole.rev, decoded=decoded, whole=whole, first=first
    )


def _lines(text: str) -> list[str]:
    """The lines with their newlines; other characters that end lines elsewhere do not here."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]


_PART = re.compile(r"L(?P<first>\d{1,9})(?:(?P<to>-)(?:L?(?P<last>\d{1,9}))?)?", re.IGNORECASE)


def names_part(workspace: Workspace, path: str) -> bool:
    """Whether a path means lines of a file, and no file of such a name."""
    name, mark, part = path.rpartition("#")
    return bool(mark and name and _PART.fullmatch(part)) and not workspace.exists(path)


def _read(workspace: Workspace, path: str) -> Document:
    if any(c in path for c in "*?[") and not workspace.exists(path):
        raise ToolError(f"{path!r} is a pattern, and files are paths; delegate_map takes a glob")
    data = workspace.read(path, MAX_FILE_BYTES)
    shown = workspace.shown(path)
    decoded = decode(data, shown, charset=lambda: workspace.charset(path))
    if decoded is None:
        raise ToolError(f"{shown} is binary; a worker reads text")
    return Document(path=shown, rev=rev_of(data), decoded=decoded)
