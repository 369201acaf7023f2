"""Files as text for a worker and back: encoding, byte order mark and line ends survive the round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..outcome import ToolError
from ..workspace import Workspace, rev_of

MAX_FILE_BYTES = 4 << 20
MAX_FILES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file as a worker sees it: its lines ended by newlines, without byte order mark."""

    path: str
    text: str
    rev: str
    encoding: str = "utf-8"
    crlf: bool = False

    def data(self, text: str) -> bytes:
        """`text` as bytes, in the manner of this file. ToolError when its encoding cannot say it."""
        text = text.replace("\r\n", "\n")
        try:
            return (text.replace("\n", "\r\n") if self.crlf else text).encode(self.encoding)
        except UnicodeEncodeError as exc:
            raise ToolError(
                f"{self.path} is {self.encoding}, which cannot hold {exc.object[exc.start]!r}"
            ) from exc


def read_texts(workspace: Workspace, paths: Sequence[str]) -> Mapping[str, Text]:
    """The files by the name the caller sees, in the order given. ToolError for what is missing, binary or too large."""
    if len(paths) > MAX_FILES:
        raise ToolError(f"{len(paths)} files are too many for one run; at most {MAX_FILES}")
    found = [read_text(workspace, path) for path in paths]
    return {text.path: text for text in found}


def read_text(workspace: Workspace, path: str) -> Text:
    data = workspace.read(path, MAX_FILE_BYTES)
    shown = workspace.shown(path)
    encoding = _encoding(data, shown)
    text = data.decode(encoding)
    crlf = text.count("\r\n") > text.count("\n") / 2
    return Text(path=shown, text=text.replace("\r\n", "\n"), rev=rev_of(data), encoding=encoding, crlf=crlf)


def _encoding(data: bytes, shown: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in data:
        raise ToolError(f"{shown} is binary; a worker reads text")
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    try:
        data.decode(encoding)
    except UnicodeDecodeError as exc:
        raise ToolError(f"{shown} is not UTF-8 text (byte {exc.start}); convert it first") from exc
    return encoding
