"""The folders a server may touch: finding a place in them, naming it, permitting it, and reading beneath them."""

from __future__ import annotations

import difflib
import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

from ..characters import difference, folded
from ..output import ToolError, explain, one_line, readable
from ..source.declared_encoding import charset_for
from ..state.home import usable_home
from .file_io import is_foreign, read_all
from .foreign_paths import meant_by
from .protected_paths import LITTER, allowed, asks, protected, secret
from .root import Root, is_there, opened, twin_of
from .stand_ins import stand_ins

Confirmed = Callable[[str], bool]
"""Whether the user has said yes to changing the place shown so."""

MAX_READ_BYTES = 64 << 20
MAX_PATH_CHARS = 4096
MAX_NAME_BYTES = 255  # of one name, on nearly every file system
_SMALL_BYTES = 64 << 10
_NAMES_LOOKED_AT = 2000  # when a file is missing and near names are wanted,
_COMPARED = 80  # and their characters: comparing takes the square of them


def nobody(shown: str) -> bool:
    """Nobody was asked."""
    del shown
    return False


class Roots:
    """The folders a server may touch, opened beneath-only. Everything here raises ToolError for the model.

    `allow` holds the user's own globs of secret, protected or confirmed places that may be touched;
    nothing allows `.git`.
    """

    def __init__(
        self, roots: Sequence[str | os.PathLike[str]], *, read_only: bool = False, allow: Sequence[str] = ()
    ) -> None:
        """Open the roots. ValueError when a root is no folder, or without state."""
        if os.open not in os.supports_dir_fd:
            raise ValueError(
                "this system cannot open files beneath a folder by descriptor; on Windows use WSL"
            )
        self.read_only = read_only
        self.allow = tuple(allow)
        self._roots = opened([os.fspath(root) for root in roots])
        self.roots = tuple(root.path for root in self._roots)
        self.state = usable_home()

    def shown(self, path: str) -> str:
        """`path` relative to its root; with several roots, behind the root's name."""
        root, rel = self.locate(path)
        return self.display(root, os.path.normpath(rel) if rel else "")

    def display(self, root: Root, real: str) -> str:
        """How a place is named to the model."""
        real = "" if real == "." else real
        if len(self._roots) == 1:
            return real or "."
        return f"{root.name}/{real}" if real else root.name

    def locate(self, path: str) -> tuple[Root, str]:
        """The root a path belongs to and the rest of it. Lexical: opening decides what is really there."""
        if not path:
            raise ToolError('the path is empty; the root itself is "."')
        if len(path) > MAX_PATH_CHARS:
            raise ToolError(f"a path has at most {MAX_PATH_CHARS:,} characters; this one has {len(path):,}")
        if "\0" in path:
            raise ToolError("a path cannot contain a NUL character")
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise ToolError(f"{path!r} cannot be a path: it holds a lone surrogate") from None
        root, rel = self._rooted(path)
        if not os.fstat(root.fd).st_nlink:
            raise ToolError(
                f"the folder {root.path} was removed after this server started; start the server again"
            )
        return root, rel

    def all_roots(self) -> tuple[Root, ...]:
        return self._roots

    def open(self, path: str) -> int:
        """A descriptor of a regular file or folder. Contents of secret files are refused."""
        return self.open_real(path)[0]

    def open_real(self, path: str) -> tuple[int, Root, str]:
        """As `open`, with the root and the real root-relative path, links resolved.

        A name that is not there stands for the one that looks the same; `twin_note` says so.
        """
        root, rel = self.locate(path)
        try:
            fd, real = root.open(rel)
        except OSError as exc:
            twin = twin_of(root, rel) if exc.errno == errno.ENOENT else None
            if twin is None or not is_there(root, twin):
                raise self.refusal(path, exc) from exc
            with readable(OSError):
                fd, real = root.open(twin)
        try:
            info = os.fstat(fd)
            if stat.S_ISREG(info.st_mode):
                self.may_read(root, real, info)
            elif not stat.S_ISDIR(info.st_mode):
                raise ToolError(f"{path} is {_kind(info.st_mode)}; only regular files and folders are opened")
        except BaseException:
            os.close(fd)
            raise
        return fd, root, real

    def read(self, path: str, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """The bytes of a regular file. ToolError when it is larger than `max_bytes`."""
        fd, _, _ = self.open_real(path)
        try:
            info = os.fstat(fd)
            if stat.S_ISDIR(info.st_mode):
                raise ToolError(f"{path} is a folder; list_files shows what is in it")
            return read_all(fd, path, max_bytes)
        finally:
            os.close(fd)

    def mode(self, path: str) -> int:
        """The permissions of a file or folder."""
        fd, _, _ = self.open_real(path)
        try:
            return stat.S_IMODE(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def exists(self, path: str) -> bool:
        """Whether something is there; a place outside the roots, or a link that leads out, is not."""
        try:
            root, rel = self.locate(path)
            os.close(root.open(rel, getattr(os, "O_PATH", os.O_RDONLY))[0])
        except (ToolError, OSError):
            return False
        return True

    def twin(self, path: str, *, but: str = "", there: bool = False) -> str | None:
        """The place that looks the same as a path that is not there, and where they differ; None: no such.

        `but` is a place that does not count, because it is about to go. `there`: a folder on the way is not enough.
        """
        with suppress(ToolError, OSError):
            root, rel = self.locate(path)
            if not is_there(root, rel) and (twin := twin_of(root, rel)):
                shown = self.display(root, twin)
                if (not but or shown != self.shown(but)) and (not there or is_there(root, twin)):
                    return f"{shown!a} looks the same, but has at {difference(os.path.normpath(rel), twin)}"
        return None

    def refuse_twin(self, path: str, way: str, *, but: str = "") -> None:
        """Raise ToolError before a second name is made that a reader cannot tell from the first."""
        if twin := self.twin(path, but=but):
            raise ToolError(
                f"{path!r} would be a second name of its kind: {twin}. Nothing was changed; {way}"
            )

    def twin_note(self, path: str, root: Root, real: str) -> str:
        """What to say when `path` was read as another name that looks the same; "" when it was not."""
        if os.path.normpath(path) == real:
            return ""
        with suppress(ToolError):
            asked = os.path.normpath(self.locate(path)[1])
            if asked != real and folded(asked) == folded(real):
                return f" · not quite the name asked for: it is {self.display(root, real)!a}, with at {difference(asked, real)}"
        return ""

    def charset(self, path: str) -> str | None:
        """What the .editorconfig files above a place, there or not, say of its encoding; None: nothing."""
        texts: list[tuple[str, str]] = []
        with suppress(ToolError, OSError):
            root, rel = self.locate(path)
            with root.find(rel) as spot:
                real = spot.real
            for folder in reversed(_folders_above(real)):
                name = f"{folder}/.editorconfig" if folder else ".editorconfig"
                if (data := _small_file(root, name)) is not None:
                    texts.append((folder, data.decode("utf-8", "replace")))
            return charset_for(texts, real)
        return None

    def may_read(self, root: Root, real: str, info: os.stat_result) -> None:
        """Raise ToolError unless a place's content may be shown."""
        shown = self.display(root, real)
        self._not_state(root, real)
        if (rule := secret(real)) and not allowed(real, self.allow):
            raise ToolError(_secret_refusal(shown, rule, real))
        if is_foreign(info, root.owner):
            raise ToolError(f"{shown} is a hard link to another user's file, which may belong elsewhere")

    def may_change(self, root: Root, real: str, *, confirmed: Confirmed = nobody) -> None:
        """Raise ToolError unless a place, there or not, may be changed. `confirmed` can ask the user."""
        shown = self.display(root, real)
        if self.read_only:
            raise ToolError("this server was started with --read-only; it changes nothing")
        if not real:
            raise ToolError("the root itself cannot be changed")
        self._not_state(root, real, nor_around=True)
        if real.rpartition("/")[2].startswith(LITTER):
            raise ToolError(f"{shown}: names that begin with {LITTER} are the server's own")
        if allowed(real, self.allow):
            return
        if rule := protected(real):
            way = "" if rule == ".git" else f"; the server's option --allow '{real}' would permit it"
            raise ToolError(f"{shown} is protected ({rule}): it can run code or hold credentials{way}")
        if any(_is_git_folder(root.fd, above, real) for above in _folders_above(real)):
            raise ToolError(
                f"{shown} lies in a git directory, or would make one: what is in there can run code"
            )
        if rule := secret(real):
            raise ToolError(_secret_refusal(shown, rule, real))
        if (rule := _runs_later(root, real)) and not confirmed(shown):
            raise ToolError(
                f"{shown} runs code later ({rule}), so a change needs the user's yes, and this client cannot be "
                f"asked; the server's option --allow '{real}' would permit it"
            )

    def wants_yes(self, paths: Sequence[str]) -> list[str]:
        """Which of these places, as shown, change only with the user's yes. Unreachable paths are left out."""
        names: list[str] = []
        for path in paths:
            with suppress(ToolError, OSError):
                root, rel = self.locate(path)
                with root.find(rel) as spot:
                    if _runs_later(root, spot.real) and not allowed(spot.real, self.allow):
                        names.append(self.display(root, spot.real))
        return names

    def refusal(self, path: str, exc: OSError) -> ToolError:
        """What to tell the model about a failed open: the reason, and near names when nothing is there."""
        if exc.errno == errno.EXDEV:
            return ToolError(f"{path!r} leads outside the root")
        if exc.errno == errno.ENOTDIR:
            return ToolError(f"{path!r} goes through something that is no folder")
        if exc.errno == errno.ENOENT:
            if twin := self.twin(path, there=True):
                return ToolError(f"there is no {path!r}; {twin}")
            if target := self._target(path):
                return ToolError(f"{path!r} is a link to {target!r}, and nothing is there")
            near = self._near(path)
            hint = f"; near it: {', '.join(near)}" if near else ""
            return ToolError(f"there is no {path!r}{hint}")
        if exc.errno == errno.ENAMETOOLONG:
            return self.too_long(path)
        return ToolError(f"{path}: {explain(exc)}")

    def too_long(self, path: str, most: int = MAX_NAME_BYTES) -> ToolError:
        """What to tell the model about a path whose file system takes no name of such a length."""
        name = max(path.split("/"), key=lambda part: len(os.fsencode(part)))
        return ToolError(
            f"the name {one_line(name[:40])!r}... in the path has {len(os.fsencode(name)):,} bytes as UTF-8, and the file "
            f"system takes at most {most}; choose a shorter one. Nothing was changed"
        )

    def _rooted(self, path: str) -> tuple[Root, str]:
        if (
            (meant := meant_by(path))
            and not any(is_there(root, path) for root in self._roots)
            and (meant.certain or self.exists(meant.parts[0]))
        ):
            raise ToolError(f"{path!r} {meant.why}{self._which_is(meant.parts)}")
        if os.path.isabs(path):
            return self._absolute(path)
        if len(self._roots) == 1:
            return self._roots[0], path
        first, _, rest = path.removeprefix("./").partition("/")
        for root in self._roots:
            if root.name == first:
                return root, rest
        names = ", ".join(root.name for root in self._roots)
        raise ToolError(f"{path!r} names no root; begin a path with one of: {names}")

    def _which_is(self, parts: Sequence[str]) -> str:
        """The place in a root that the end of a foreign path fits, as advice; failing that, how paths are written."""
        for root in self._roots:
            for skipped in range(len(parts)):
                rest = "/".join(parts[skipped:])
                if is_there(root, rest) or (
                    skipped < len(parts) - 1 and is_there(root, rest.rpartition("/")[0])
                ):
                    return f"; probably meant: {self.display(root, rest)!r}"
            if root.name in parts:
                rest = "/".join(parts[parts.index(root.name) + 1 :])
                return f"; probably meant: {self.display(root, rest)!r}"
        return "; paths here are relative to the root, their names separated by slashes"

    def _absolute(self, path: str) -> tuple[Root, str]:
        fits = [
            (len(spelling), root, path[len(spelling) :].lstrip("/"))
            for root in self._roots
            for spelling in root.spellings
            if path == spelling or path.startswith(spelling.rstrip("/") + "/")
        ]
        if not fits:
            roots = ", ".join(map(str, self.roots))
            raise ToolError(f"{path!r} is outside the root{'s' if len(self.roots) > 1 else ''}: {roots}")
        _, root, rest = max(fits, key=lambda fit: fit[0])
        return root, rest

    def _not_state(self, root: Root, real: str, *, nor_around: bool = False) -> None:
        place, state = os.path.join(root.path, real, ""), os.path.join(self.state, "")
        if place.startswith(state) or (nor_around and state.startswith(place)):
            raise ToolError(f"{self.display(root, real)} is Understudy's own state")

    def _target(self, path: str) -> str | None:
        """What the link at a place says; None when there is none."""
        with suppress(ToolError, OSError):
            root, rel = self.locate(path)
            with root.find(rel, follow=False) as spot:
                return os.readlink(spot.name, dir_fd=spot.folder)
        return None

    def _near(self, path: str) -> list[str]:
        """Names that are there and look like the one that is not."""
        parent, _, name = path.rstrip("/").rpartition("/")
        try:
            root, rel = self.locate(parent or ("/" if path.startswith("/") else "."))
            fd, real = root.open(rel, os.O_RDONLY | os.O_DIRECTORY)
        except (ToolError, OSError):
            return []
        try:
            with os.scandir(fd) as entries:
                names = {entry.name[:_COMPARED]: entry.name for entry in islice(entries, _NAMES_LOOKED_AT)}
        except OSError:
            return []
        finally:
            os.close(fd)
        near = [names[found] for found in difflib.get_close_matches(name[:_COMPARED], names, 3, 0.6)]
        return [one_line(self.display(root, f"{real}/{found}" if real else found)) for found in near]


def _small_file(root: Root, path: str) -> bytes | None:
    try:
        fd, _ = root.open(path)
    except OSError:
        return None
    try:
        return os.read(fd, _SMALL_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def _folders_above(real: str) -> list[str]:
    parts = real.split("/")
    return ["/".join(parts[:i]) for i in range(len(parts))]


def _is_git_folder(root: int, path: str, coming: str) -> bool:
    """Whether a folder of any name is a repository's own, a bare one or a linked one's, once `coming` is there."""
    for part in ("HEAD", "objects", "refs"):
        inside = f"{path}/{part}" if path else part
        try:
            os.stat(inside, dir_fd=root, follow_symlinks=False)
        except OSError:
            if not f"{coming}/".casefold().startswith(f"{inside}/".casefold()):
                return False
    return True


def _runs_later(root: Root, real: str) -> str | None:
    """The rule that wants the user's yes before a place is changed, by its name or by what leads to it; or None."""
    if rule := asks(real):
        return rule
    top = str(root.path)
    found = next((one for one in stand_ins(top, top) if real == one or real.startswith(f"{one}/")), None)
    return f"a link or core.hooksPath leads to {found}" if found else None


def _secret_refusal(shown: str, rule: str, real: str) -> str:
    return f"{shown} may hold secrets ({rule}) and is not opened; the server's option --allow '{real}' would permit it"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
