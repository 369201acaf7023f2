"""`@path` in what a person types: the named files of the folder go along with the question."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from ...types import Image, Message, Part, Text, user

MAX_FILE_BYTES = 200_000
MAX_ALL_BYTES = 500_000
MAX_IMAGE_BYTES = 4_000_000
_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_MENTION = re.compile(r'(?<![\w@.])@(?:"([^"\n]+)"|([^\s"@]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentioned:
    message: Message
    notes: tuple[str, ...]  # for the person: what went along, what did not and why

    @classmethod
    def only(cls, text: str) -> Mentioned:
        """A text in which nothing is looked for: it is not the person's."""
        return cls(message=user(Text(text=text)), notes=())


def with_files(text: str, folder: Path) -> Mentioned:
    """The question with the files it names. An @word that names no file stays a word."""
    root = folder.resolve()
    parts: list[Part] = [Text(text=text)]
    notes: list[str] = []
    room, seen = MAX_ALL_BYTES, set[Path]()
    for quoted, bare in _MENTION.findall(text):
        path = _file(root, quoted or bare)
        if path is None or path in seen:
            continue
        seen.add(path)
        name = path.name if not path.is_relative_to(root) else path.relative_to(root).as_posix()
        if why := _refused(path, root):
            notes.append(f"{name} does not go along: {why}")
            continue
        try:
            part, size = _part(path, name, room)
        except OSError as exc:
            notes.append(f"{name} does not go along: {exc.strerror or exc}")
            continue
        except ValueError as exc:
            notes.append(f"{name} does not go along: {exc}")
            continue
        parts.append(part)
        room -= size if isinstance(part, Text) else 0
        notes.append(f"{name} goes along, {size:,} bytes")
    return Mentioned(message=user(*parts), notes=tuple(notes))


def named_files(text: str, folder: Path) -> tuple[list[str], list[str]]:
    """The files of the folder that a text names, as paths in it, for who reads them by themselves; and a note on each that
    does not go along.
    """
    root = folder.resolve()
    files: list[str] = []
    notes: list[str] = []
    for path in dict.fromkeys(_file(root, quoted or bare) for quoted, bare in _MENTION.findall(text)):
        if path is None:
            continue
        if why := _refused(path, root):
            notes.append(f"{path.name} does not go along: {why}")
        else:
            files.append(path.relative_to(root).as_posix())
    return files, notes


def _file(root: Path, written: str) -> Path | None:
    """The file meant, also where a full stop or bracket of the sentence follows its name."""
    for name in (written, written.rstrip(".,;:!?)]}'")):
        try:
            path = (root / name).resolve()
            if path.is_file():
                return path
        except (OSError, ValueError):
            return None
    return None


def _refused(path: Path, root: Path) -> str | None:
    if not path.is_relative_to(root):
        return f"it lies outside {root}"
    if path.name == ".env" or path.name.startswith(".env."):
        return "it holds secrets"
    return None


def _part(path: Path, name: str, room: int) -> tuple[Part, int]:
    """Raises ValueError with the reason when the file is too large or not text."""
    mime = _IMAGES.get(path.suffix.lower())
    limit = MAX_IMAGE_BYTES if mime else min(MAX_FILE_BYTES, room)
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than {limit:,} bytes; name a smaller one or let the tools read it")
    if mime:
        return Image(data=base64.b64encode(data).decode(), mime=mime), len(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    return Text(text=f"\n\n--- {name} ---\n{text}\n--- end of {name} ---"), len(data)
