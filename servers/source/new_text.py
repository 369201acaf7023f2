"""Whole new texts as bytes: in the encoding they declare or the file had, with the file's mark and line ends."""

from __future__ import annotations

import codecs
from dataclasses import replace

from ..output import ToolError
from .declared_encoding import as_utf16, declared_in, usable
from .encoding import Charset, Text

_MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
"""What a new file in these begins with: without it few programs know them."""


def codec(name: str | None) -> str | None:
    """The codec a caller names. ToolError when there is none of that name that a file can be in."""
    if name is None:
        return None
    if (found := usable(name) or as_utf16(name)) is None:
        raise ToolError(
            f"encoding {name!r} is none a file can be kept in here; utf-8, latin-1, cp1251 or shift_jis are"
        )
    return found


def new_file(content: str, path: str, charset: Charset, named: str | None) -> bytes:
    """A file that was not there: in the encoding that is named, declared or configured, else UTF-8."""
    declared = declared_in(content.encode("utf-8", "replace"), path)
    configured = charset() or ""
    encoding = named or declared or usable(configured) or as_utf16(configured) or "utf-8"
    mark = _MARKS.get(encoding, b"")
    if configured == "utf-8-bom" and encoding == "utf-8":
        mark = codecs.BOM_UTF8
    return Text(
        body=content.removeprefix("\ufeff") if mark else content, encoding=encoding, mark=mark
    ).encode()


def overwritten(was: Text, content: str, path: str, charset: Charset, named: str | None) -> bytes:
    """New content in place of a file's text: with its mark and line ends, in the encoding that is named, declared or was.

    ToolError where that would change what the bytes mean without anybody having said so.
    """
    declared = declared_in(content.encode("utf-8", "replace"), path)
    body = content.replace("\r\n", "\n")  # each line keeps its own end where they are mixed
    if was.mark:
        body = body.removeprefix("\ufeff")
    encoding = named or (was.encoding if was.mark else declared or _unsettled(was, charset) or was.encoding)
    if not named and not body.isascii():
        if was.said == "guess" and not declared:
            raise ToolError(
                f"{path} is in an encoding that is only guessed to be {was.encoding}, and the new text is not plain ASCII: "
                f"say by encoding=... which it shall be, such as {was.encoding} or utf-8; nothing was changed"
            )
        if was.said == "declared" and not declared and declared_in(was.body.encode("utf-8", "replace"), path):
            raise ToolError(
                f"{path} declares to be in {was.encoding}, and the new text declares nothing: keep the declaration, "
                "or name the encoding it shall have, such as encoding='utf-8'; nothing was changed"
            )
    mark = was.mark if encoding == was.encoding else _MARKS.get(encoding, b"")
    text = replace(was, encoding=encoding, mark=mark, said="").replaced(0, len(was.body), body)
    try:
        return text.encode()
    except ToolError as exc:
        raise ToolError(f"{path}: {exc}; encoding='utf-8' changes the file's; nothing was changed") from exc


def edited(before: Text, after: Text, path: str, charset: Charset) -> bytes:
    """The bytes of a text after an edit. ToolError when it changes what the file says of its own encoding."""
    if not after.body.isascii() and before.body.isascii():
        declared = declared_in(after.body.encode("utf-8", "replace"), path)
        if settled := (_unsettled(before, lambda: declared) or _unsettled(before, charset)):
            return replace(after, encoding=settled).encode()
    else:
        _refuse_redeclared(before, after, path)
    return after.encode()


def _unsettled(was: Text, charset: Charset) -> str | None:
    """The encoding that `charset` tells for a text whose bytes say nothing of it, since they are plain ASCII."""
    return None if was.mark or was.said or not was.body.isascii() else usable(charset() or "")


def _refuse_redeclared(before: Text, after: Text, path: str) -> None:
    """ToolError when an edit changes what a file says of its own encoding: every other byte would mean something else."""
    was, now = (
        declared_in(text.body.encode("utf-8", "replace"), path) or "utf-8" for text in (before, after)
    )
    if was != now and before.body and not after.body.isascii() and not before.mark:
        raise ToolError(
            f"{path}: the edit changes the declared encoding from {was} to {now}, and with it what the other bytes mean; "
            "write_file with if_exists=overwrite writes the whole text in its new encoding; nothing was changed"
        )


def manner_changed(before: Text, after: Text) -> str:
    """What a change did to the manner of a file: encoding, mark, line ends; "" when nothing."""
    ascii_alone = before.body.isascii() and after.body.isascii()
    parts = [
        f"encoding {before.encoding} -> {after.encoding}"
        if before.encoding != after.encoding
        and not ascii_alone
        and not (before.body.isascii() and before.encoding == "utf-8" and not before.mark)
        else "",
        "mark removed"
        if before.mark and not after.mark
        else "mark added"
        if after.mark and not before.mark
        else "",
        f"line ends {_ends(before)} -> {_ends(after)}"
        if before.ends != after.ends
        and "\n" in before.body
        and "\n" in after.body
        and _ends(before) != _ends(after)
        else "",
    ]
    return ", ".join(part for part in parts if part)


def _ends(text: Text) -> str:
    return "mixed" if isinstance(text.ends, tuple) else {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[text.ends]
