"""Files as text for a worker, and back as the same kind of bytes: encoding, mark and line ends survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...output import ToolError
from ...source.encoding import Text as Decoded
from ...source.encoding import decode
from ...workspace import Workspace, rev_of
from ..forecast.prompt_cache import common

MAX_FILE_BYTES = 4 << 20
MAX_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file as a worker sees it, its lines ended by newlines alone."""

    path: str
    rev: str
    decoded: Decoded

    @property
    def text(self) -> str:
        return self.decoded.body

    def data(self, text: str) -> bytes:
        """The bytes of this file with `text` in it; lines that stay keep their ends. ToolError as Decoded.encode."""
        old, new = self.text, text.replace("\r\n", "\n")
        start = common(old, new)
        end = common(old[start:][::-1], new[start:][::-1])
        return self.decoded.replaced(start, len(old) - end, new[start : len(new) - end]).encode()


def read_texts(workspace: Workspace, paths: Sequence[str]) -> Mapping[str, Document]:
    """The files by the name the caller sees, in the order given. ToolError for what is missing, binary or too large."""
    if len(paths) > MAX_FILES:
        raise ToolError(f"{len(paths)} files are too many for one run; at most {MAX_FILES}")
    found = [read_text(workspace, path) for path in paths]
    return {text.path: text for text in found}


def read_text(workspace: Workspace, path: str) -> Document:
    if any(c in path for c in "*?[") and not workspace.exists(path):
        raise ToolError(f"{path!r} is a pattern, and files are paths; delegate_map takes a glob")
    data = workspace.read(path, MAX_FILE_BYTES)
    shown = workspace.shown(path)
    decoded = decode(data, shown, charset=lambda: workspace.charset(path))
    if decoded is None:
        raise ToolError(f"{shown} is binary; a worker reads text")
    return Document(path=shown, rev=rev_of(data), decoded=decoded)
