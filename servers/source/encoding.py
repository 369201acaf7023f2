"""Bytes as text and back: encoding, byte-order mark and line endings, kept exactly."""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..output import ToolError
from .declared_encoding import as_utf16, declared_in, usable

SNIFF_BYTES = 8192
_MOSTLY_ASCII = 0.3  # share of non-ASCII bytes up to which a western encoding is the best guess

_ENOUGH_BYTES = 64  # below, a guess at an encoding is worth nothing
_MATCHED_LINES = (
    2000  # old and new ones of a change whose line ends are mixed: matching them takes the square
)
_BLOCKS = 4  # of 256 characters, out of which a text in an alphabet is written
_HIGH = bytes(range(128, 256))
_ESCAPE = b"\x1b"  # begins other letters in the encodings of seven bits, such as iso-2022-jp
_ASCII = bytes(range(128)).decode("ascii")
_WORD = re.compile(r"[\w\x80-\U0010ffff]+")

_MARKS = (  # UTF-32 first: its little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


Charset = Callable[[], str | None]
"""What an .editorconfig says, looked up only where it matters."""

Said = Literal["", "declared", "guess", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    r"""A file's text with every line ending as "\n"; `ends` holds the real one of each line, in order."""

    body: str
    encoding: str = "utf-8"
    mark: bytes = b""
    ends: tuple[str, ...] | str = "\n"  # a single ending stands for all lines
    newline: str = field(default="\n")  # what a new line gets
    said: Said = ""  # why it is taken to be in this encoding; "" where its bytes leave no doubt

    @property
    def lines(self) -> list[str]:
        """The lines without their endings; a final newline begins no further line."""
        lines = self.body.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    @property
    def label(self) -> str:
        """`utf-8 · LF`, as headers say it."""
        name = f"{self.encoding} BOM" if self.mark and self.encoding == "utf-8" else self.encoding
        name += {"declared": " (declared)", "guess": " (a guess)"}.get(self.said, "")
        ends = "mixed line ends" if isinstance(self.ends, tuple) else _END_NAMES[self.ends]
        return f"{name} · {ends}" + (
            "" if self.body.endswith("\n") or not self.body else " · no final newline"
        )

    def encode(self) -> bytes:
        """The bytes of the file. ToolError when its encoding lacks a character."""
        if isinstance(self.ends, tuple):
            lines = self.body.split("\n")
            whole = "".join(line + end for line, end in zip(lines, (*self.ends, ""), strict=True))
        else:
            whole = self.body if self.ends == "\n" else self.body.replace("\n", self.ends)
        try:
            return self.mark + whole.encode(self.encoding)
        except UnicodeEncodeError as exc:
            lacking = whole[exc.start : exc.start + 1]
            raise ToolError(
                f"the new text has {lacking!a}, which the file's encoding {self.encoding} cannot hold"
            ) from None

    def doubt(self, wanted: str) -> str:
        """What to add where text was not found that may only be missing because the encoding was guessed wrong."""
        if self.said != "guess" or wanted.isascii():
            return ""
        return (
            f"; the file's encoding is only guessed to be {self.encoding}, so if that shows other letters than are meant, "
            "say which it is by encoding=..., such as cp1251 or latin-1"
        )

    def replaced(self, start: int, end: int, new: str) -> Text:
        """This text with body[start:end] replaced; new lines end as the file's lines do there."""
        return self.replaced_all([(start, end)], new)

    def replaced_all(self, places: Sequence[tuple[int, int]], new: str) -> Text:
        """As `replaced`, for several places in order that do not overlap."""
        new = new.replace("\r\n", "\n")
        if self.said == "guess":
            self._refuse_guess(new, "".join(self.body[start:end] for start, end in places))
        parts: list[str] = []
        ends: list[str] = []
        at = line = 0
        for start, end in places:
            parts += [self.body[at:start], new]
            if isinstance(self.ends, tuple):
                first = line + self.body.count("\n", at, start)
                past = first + self.body.count("\n", start, end)
                joins_above = start == end and start > 0 and self.body[start - 1] == "\n"
                beside = self.ends[min(first - joins_above, len(self.ends) - 1)]
                kept = _ends_of(self.body[start:end], new, self.ends[first:past], beside)
                ends += [*self.ends[line:first], *kept]
                line = past
            at = end
        body = "".join([*parts, self.body[at:]])
        all_ends = (*ends, *self.ends[line:]) if isinstance(self.ends, tuple) else self.ends
        return replace(self, body=body, ends=all_ends)

    def _refuse_guess(self, new: str, old: str) -> None:
        """ToolError when new text needs to know what the file's bytes above 127 mean, which nobody has said.

        Words that stood in the replaced text may stay: whatever their bytes mean, they go on to mean it.
        """
        known = set(_WORD.findall(old))
        words = (word for word in _WORD.findall(new) if not word.isascii() and word not in known)
        unknown = next((char for word in words for char in word if not char.isascii()), None)
        if unknown is not None:
            raise ToolError(
                f"the new text has {unknown!r} (U+{ord(unknown):04X}), and the file's encoding is only guessed to be "
                f"{self.encoding}: say which it is by encoding=..., such as cp1251 or latin-1; nothing was changed"
            )


def decode(
    data: bytes, path: str = "", *, charset: Charset = lambda: None, encoding: str | None = None
) -> Text | None:
    """The text of these bytes; None when they are no text, or would not come back the same.

    Their mark decides, then what they declare, `charset` (of an .editorconfig), UTF-8, a guess. `path` tells which
    declarations count; `encoding` is what the caller knows. Valid UTF-8 stays so where latin-1 is configured, which
    would take any bytes.
    """
    mark, of_mark = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", ""))
    if not mark and b"\0" in data[:SNIFF_BYTES]:
        return _wide(data, charset, encoding)
    raw = data[len(mark) :]
    if encoding and not mark:
        return _as(raw, encoding, "named")
    if not mark and (not raw.isascii() or _ESCAPE in raw):
        known = declared_in(raw, path) or _configured(raw, charset)
        if known and known != "utf-8" and (text := _as(raw, known, "declared")):
            return text
    return _by_bytes(data, raw, mark, of_mark)


def _configured(raw: bytes, charset: Charset) -> str | None:
    if (known := usable(charset() or "")) != "latin-1":
        return known
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return known
    return None


def _wide(data: bytes, charset: Charset, encoding: str | None) -> Text | None:
    """UTF-16 without a mark; None when the bytes are none."""
    if found := as_utf16(encoding or ""):
        return _as(data, found, "named")
    if found := as_utf16(charset() or ""):
        return _as(data, found, "declared")
    return _as(data, guessed, "guess") if (guessed := unmarked_utf16(data[:SNIFF_BYTES])) else None


def _as(raw: bytes, encoding: str, said: Said) -> Text | None:
    """The bytes in this encoding; None when they are not, or would not come back the same."""
    try:
        text = _with_ends(raw.decode(encoding), encoding, b"")
        return replace(text, said=said) if text.encode() == raw else None
    except (UnicodeError, ToolError):
        return None


def _by_bytes(data: bytes, raw: bytes, mark: bytes, encoding: str) -> Text | None:
    said: Said = ""
    try:
        whole = raw.decode(encoding or "utf-8")
        encoding = encoding or "utf-8"
    except UnicodeDecodeError:
        if mark:
            return None
        encoding, whole = _guess(raw)
        said = "guess"
    text = replace(_with_ends(whole, encoding, mark), said=said)
    return text if encoding == "utf-8" or text.encode() == data else None


def is_binary(head: bytes) -> bool:
    """Whether a file that begins so is no text: a NUL and no UTF-16 or UTF-32 mark."""
    return b"\0" in head and not any(head.startswith(mark) for mark, _ in _MARKS)


def unmarked_utf16(head: bytes) -> str | None:
    """The codec of a file that begins so where it is UTF-16 without a mark, as its NULs tell; None for any other."""
    for name, high in (("utf-16-le", 1), ("utf-16-be", 0)):
        even = head[: len(head) // 2 * 2]
        highs = set(even[high::2])
        text = even.decode(name, "replace")
        plain = all(char.isprintable() or char in "\t\r\n\f" for char in text) and "\ufffd" not in text
        if plain and 0 in highs and len(highs) <= _BLOCKS and len(text) > 1:
            return name
    return None


def in_private_key(before: bytes) -> bool:
    """Whether what follows these bytes is the inside of a PEM private key."""
    begin = before.rfind(b"-----BEGIN ")
    return begin > before.rfind(b"-----END ") and b"PRIVATE KEY-----" in before[begin : begin + 60]


def _guess(raw: bytes) -> tuple[str, str]:
    """Encoding and text of bytes that are not UTF-8."""
    if len(raw) >= _ENOUGH_BYTES and _high(raw[:65536]) > _MOSTLY_ASCII * len(raw[:65536]):
        from charset_normalizer import from_bytes  # 30 ms to import, seldom needed

        best = from_bytes(raw[:1_000_000]).best()
        if best is not None and _holds_ascii(best.encoding):
            try:
                return best.encoding.replace("_", "-"), raw.decode(best.encoding)
            except UnicodeDecodeError:
                pass  # the sample was not the whole
    if any(0x80 <= byte < 0xA0 for byte in raw):
        try:
            return "cp1252", raw.decode("cp1252")
        except UnicodeDecodeError:
            pass
    return "latin-1", raw.decode("latin-1")


def _high(raw: bytes) -> int:
    return len(raw) - len(raw.translate(None, _HIGH))


def _holds_ascii(encoding: str) -> bool:
    """Not so in EBCDIC and UTF-7, which nobody's source files are in, but which a guess may name."""
    return _ASCII.encode("ascii") == _ASCII.encode(encoding, "replace")


def _ends_of(old: str, new: str, ends: Sequence[str], beside: str) -> list[str]:
    """How the new lines end: as the old line they keep or replace, and an added one as its neighbour, at first `beside`."""
    was, now = old.split("\n")[:-1], new.split("\n")[:-1]
    made: list[str] = []
    steps = [("replace", 0, len(was), 0, len(now))]
    if len(was) + len(now) <= _MATCHED_LINES:
        steps = difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    for _, start, end, first, past in steps:
        mine = list(ends[start:end])
        last = [*(ends[:1] or [beside]), *made, *mine][-1]
        made += (mine + [last] * (past - first))[: past - first]
    return made


def _with_ends(whole: str, encoding: str, mark: bytes) -> Text:
    """Take the line endings out of a text. A lone CR ends lines only where no LF does."""
    crlf, lf = whole.count("\r\n"), whole.count("\n")
    if not crlf:
        if not lf and "\r" in whole:
            return Text(body=whole.replace("\r", "\n"), encoding=encoding, mark=mark, ends="\r", newline="\r")
        return Text(body=whole, encoding=encoding, mark=mark)
    newline = "\r\n" if crlf * 2 >= lf else "\n"
    ends = "\r\n" if crlf == lf else tuple(_END.findall(whole))
    return Text(body=whole.replace("\r\n", "\n"), encoding=encoding, mark=mark, ends=ends, newline=newline)


_END = re.compile(r"\r\n|\n")
_END_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}
