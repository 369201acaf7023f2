"""The encoding a text says it is in: by its language's own declaration, an editor's mode line, or editorconfig."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from functools import lru_cache

_HEAD_BYTES = 1024  # HTML's own limit; the other declarations stand in the first two lines
_PEP263 = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")
_EMACS = re.compile(rb"-\*-.*?\bcoding:[ \t]*([-_.a-zA-Z0-9]+).*?-\*-")
_XML = re.compile(rb"""^\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([-_.:a-zA-Z0-9]+)["']""")
_HTML = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([-_.:a-zA-Z0-9]+)""", re.IGNORECASE)
_IS_HTML = re.compile(
    rb"^\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|meta)\b", re.IGNORECASE | re.DOTALL
)
_CSS = re.compile(rb'^@charset "([-_.:a-zA-Z0-9]+)";')
_PERL = re.compile(
    rb"""^\s*use\s+encoding\s+["']([-_.a-zA-Z0-9]+)["']|^=encoding\s+([-_.a-zA-Z0-9]+)""", re.MULTILINE
)
_PHP = re.compile(rb"""^\s*declare\s*\(\s*encoding\s*=\s*["']([-_.a-zA-Z0-9]+)["']""", re.MULTILINE)
_GETTEXT = re.compile(rb'^"Content-Type:.*?\bcharset=([-_.a-zA-Z0-9]+)', re.MULTILINE)
_VIM = re.compile(rb"(?:^|\s)(?:vim?|ex)[\d<=>]*:.*?\b(?:fileencoding|fenc)=([-_.a-zA-Z0-9]+)")
_VIM_LINES = 5  # at the beginning and at the end, as the editor has it
_BY_SUFFIX = {
    "pl": _PERL,
    "pm": _PERL,
    "t": _PERL,
    "pod": _PERL,
    "php": _PHP,
    "po": _GETTEXT,
    "pot": _GETTEXT,
}
_RUBY = (".rb", ".rake", ".gemspec", ".ru", "rakefile", "gemfile")
_PYTHON = (".py", ".pyw", ".pyi", ".pyx")
_ASCII = bytes(range(128)).decode("ascii")


def declared_in(data: bytes, path: str = "") -> str | None:
    """The codec that a text names for itself; None when it names none, or one that Python does not know."""
    name = named_in(data, path)
    return usable(name) if name else None


def named_in(data: bytes, path: str = "") -> str | None:
    """The name that a text gives its own encoding, whether Python knows it or not."""
    head = data[:_HEAD_BYTES]
    lines = head.split(b"\n", _VIM_LINES)[:_VIM_LINES]
    low = path.casefold()
    if low.endswith(_PYTHON):
        return _in_comments(lines[:2])
    if low.endswith(_RUBY):  # the first line alone counts, or the one after the interpreter's
        return _in_comments(lines[1:2] if lines[0].startswith(b"#!") else lines[:1])
    match = _XML.match(head) or _CSS.match(head) or (_HTML.search(head) if _IS_HTML.match(head) else None)
    own = _BY_SUFFIX.get(low.rpartition(".")[2])
    match = match or (own.search(head) if own else None)
    match = match or next((found for line in lines[:2] if (found := _EMACS.search(line))), None)
    if not match and (b"fileencoding=" in data or b"fenc=" in data):
        lines += data[-_HEAD_BYTES:].rstrip(b"\n").split(b"\n")[-_VIM_LINES:]
        match = next((found for line in lines if (found := _VIM.search(line))), None)
    return next(filter(None, match.groups())).decode() if match else None


def _in_comments(lines: Sequence[bytes]) -> str | None:
    """What PEP 263 calls a declaration, in these lines; a comment behind code is none."""
    for line in lines:
        if match := _PEP263.match(line):
            return match[1].decode()
        if line.strip() and not line.lstrip().startswith(b"#"):
            return None
    return None


@lru_cache(256)
def usable(name: str) -> str | None:
    """Python's name of a codec that a file can be kept in, as the field calls it; None for any other."""
    low = name.casefold().replace("_", "-")
    if low in ("latin-1", "latin1", "iso-8859-1", "iso8859-1", "l1"):
        return "latin-1"
    if low in ("utf8", "utf-8") or low.startswith("utf-8-"):  # -unix, -dos, -sig
        return "utf-8"
    low = re.sub(r"^windows-", "cp", re.sub(r"-(?:unix|dos|mac)$", "", low))
    try:
        info = codecs.lookup(low)
        if getattr(info, "_is_text_encoding", True) and _ASCII.encode(low) == _ASCII.encode("ascii"):
            return {"iso8859-1": "latin-1"}.get(info.name, info.name)
    except (LookupError, UnicodeError):
        pass
    return None


def as_utf16(name: str) -> str | None:
    """Python's name of the UTF-16 that is meant; None for any other. Without more it is the little-endian one."""
    low = re.sub(r"[-_]", "", name.casefold())
    return {"utf16": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be"}.get(low)


def charset_for(texts: Sequence[tuple[str, str]], path: str) -> str | None:
    """What .editorconfig files say of a path: their folders and texts from the nearest to the root's, the path from the root.

    `latin1`, `utf-8`, `utf-8-bom` or another name as it stands there; None when none says anything.
    """
    for folder, text in texts:
        inside = path[len(folder) :].lstrip("/")
        found, is_root = _charset(text, inside)
        if found:
            return None if found == "unset" else found
        if is_root:
            return None
    return None


def _charset(text: str, path: str) -> tuple[str | None, bool]:
    """The last matching section's charset of one file, and whether it is the topmost."""
    found: str | None = None
    is_root, applies = False, True
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            applies = _matches(line[1:-1], path)
            continue
        key, _, value = (part.strip().casefold() for part in line.partition("="))
        if key == "root":
            is_root = value == "true"
        elif key == "charset" and applies:
            found = value
    return found, is_root


@lru_cache(256)
def _expression(glob: str) -> re.Pattern[str]:
    out, at, depth = "", 0, 0
    while at < len(glob):
        char = glob[at]
        if glob.startswith("/**/", at):
            out, at = out + "/(?:.*/)?", at + 3
        elif glob.startswith("**", at):
            out, at = out + ".*", at + 1
        elif char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "{" and "}" in glob[at:]:
            out, depth = out + "(?:", depth + 1
        elif char == "}" and depth:
            out, depth = out + ")", depth - 1
        elif char == "," and depth:
            out += "|"
        elif char == "[" and "]" in glob[at + 1 :]:
            end = glob.index("]", at + 1)
            inner = glob[at + 1 : end].replace("\\", "")
            out, at = out + "[" + ("^" + inner[1:] if inner.startswith("!") else inner) + "]", end
        else:
            out += re.escape(char)
        at += 1
    return re.compile(out + ")" * depth)


def _matches(glob: str, path: str) -> bool:
    """editorconfig's own rule: without a slash at any depth, else from the file's folder."""
    if glob.count("*") > 6 or len(glob) > 400:  # an expression that could take for ever
        return False
    try:
        expression = _expression(glob.lstrip("/"))
    except re.error:
        return False
    return expression.fullmatch(path if "/" in glob else path.rpartition("/")[2]) is not None
