"""File name patterns: those of .gitignore, with {a,b} alternatives. Imports nothing heavy: the search worker uses it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence

MAX_ALTERNATIVES = 64
MAX_CHARS = 4000
_BRACES = re.compile(r"\{([^{}]*)\}")
_BRACKET = re.compile(r"[\[\]]")
_DOTTED = re.compile(r"^(!?)(?:\./+)+")  # ./ at the beginning: from the folder that is searched anyway


def expanded(glob: str) -> list[str]:
    """`*.{py,js}` as `*.py` and `*.js`. ValueError when it would take too long."""
    if "\0" in glob or len(glob) > MAX_CHARS:
        raise ValueError(f"a glob has at most {MAX_CHARS:,} characters, none of them NUL")
    done: list[str] = []
    todo = [_DOTTED.sub(r"\1", glob)]
    while todo:
        if len(done) + len(todo) > MAX_ALTERNATIVES:
            raise ValueError(f"the glob {glob!r} has more than {MAX_ALTERNATIVES} alternatives")
        one = todo.pop()
        match = _BRACES.search(one)
        if match is None:
            if not is_tame(one):
                raise ValueError(
                    f"the glob {glob!r} has too many *; at most three in a name and three ** are tried"
                )
            _readable(one, glob)
            done += [one, *_literal(one)]
        else:
            todo += [one[: match.start()] + part + one[match.end() :] for part in match[1].split(",")]
    return sorted(done)


def _literal(glob: str) -> list[str]:
    """The glob with brackets as themselves: many frameworks name files so, as in `app/[id]/page.tsx`."""
    return [_BRACKET.sub(r"\\\g<0>", glob)] if "[" in glob and "\\" not in glob else []


def is_tame(glob: str) -> bool:
    """Whether matching this glob takes bounded time: pathspec's expressions try all ways to split a name."""
    parts = glob.split("/")
    return parts.count("**") <= 3 and all(part == "**" or part.count("*") <= 3 for part in parts)


def _readable(one: str, glob: str) -> None:
    """ValueError when no name can be held against it, as with a range that ends before it begins."""
    try:
        matcher([one])
    except (ValueError, re.error) as exc:
        raise ValueError(f"the glob {glob!r} cannot be read: {exc}") from None


def is_simple(glob: str) -> bool:
    """Whether a glob speaks of file names alone, as `*.py` does: what most are, and cheapest to match."""
    return "/" not in glob and "\\" not in glob and not glob.startswith("!") and ("*" in glob or "?" in glob)


def matcher(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a root-relative file path is wanted: by some glob, and by none that begins with `!`."""
    if not globs:
        return lambda path: True
    if all(map(is_simple, globs)):
        names = re.compile("|".join(fnmatch.translate(glob) for glob in globs))
        return lambda path: names.match(path.rpartition("/")[2]) is not None
    from pathspec import GitIgnoreSpec  # 20 ms to import

    no = GitIgnoreSpec.from_lines([glob[1:] for glob in globs if glob.startswith("!")])
    yes = [glob for glob in globs if not glob.startswith("!")]
    spec = GitIgnoreSpec.from_lines(yes or ["*"])
    return lambda path: spec.match_file(path) and not no.match_file(path)


def literal_start(glob: str) -> str:
    """The names a glob from the root begins with before its first wildcard; "" when it may match at any depth."""
    plain = glob.lstrip("/")
    if glob.startswith("!") or "/" not in glob.rstrip("/"):
        return ""
    names: list[str] = []
    for name in plain.split("/"):
        if not name or _SPECIAL.search(name):
            break
        names.append(name)
    return "/".join(names)


def below(glob: str, folder: str) -> str:
    """A glob that is meant from `folder`, as seen from the root."""
    bang, plain = ("!", glob[1:]) if glob.startswith("!") else ("", glob)
    plain = plain + "**" if plain.endswith("/") else plain
    if plain.startswith("**/") and "/" not in plain[3:]:
        plain = plain[3:]  # the same: a glob without a slash matches at any depth
    if not folder or "/" not in plain.rstrip("/"):
        return bang + plain
    quoted = _SPECIAL.sub(r"\\\g<0>", folder)
    return f"{bang}/{quoted}/{plain.lstrip('/')}"


_SPECIAL = re.compile(r"[*?\[\]!{}\\]")
