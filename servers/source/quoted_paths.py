"""A path as plain text, or in the C-style quoting of git where it holds what cannot be seen or is no UTF-8.

Control and invisible characters, quotes and backslashes are quoted too, between double quotes. The same form
is taken back, so every name a tool shows can be handed to the next tool.
"""

from __future__ import annotations

import os
import re

from ..output import ToolError

_SHORT = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_BYTES = {short: byte for byte, short in _SHORT.items()}
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7]{2})')
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\abtnvfr]|\\[0-3][0-7]{2})*)"')


def shown(raw: bytes) -> str:
    """A path as the model reads it; `taken` gives the bytes back."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _quoted(raw, plain_text=False)
    if '"' in text or "\\" in text or not text.isprintable():
        return _quoted(raw, plain_text=text.isprintable())
    return text


def taken(text: str) -> bytes:
    """The bytes of a path the model wrote, plain or quoted."""
    try:
        if len(text) > 1 and (match := _QUOTED.fullmatch(text)):
            return _ESCAPE.sub(_unescape, match.group(1).encode("utf-8", "surrogateescape"))
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise ToolError(f"{text!a} cannot be a path: it holds a lone surrogate") from None


def _quoted(raw: bytes, *, plain_text: bool) -> str:
    """C-style quoting; non-ASCII text stays readable when all of it can be seen."""
    out: list[str] = []
    for piece in raw.decode("utf-8") if plain_text else raw.decode("latin-1"):
        code = ord(piece)
        if code in _SHORT:
            out.append("\\" + _SHORT[code])
        elif code < 32 or code == 127 or (code > 127 and not plain_text):
            out.append(f"\\{code:03o}")
        else:
            out.append(piece)
    return '"' + "".join(out) + '"'


def _unescape(match: re.Match[bytes]) -> bytes:
    found = match.group(1)
    return bytes([int(found, 8) if len(found) == 3 else _BYTES[found.decode()]])
