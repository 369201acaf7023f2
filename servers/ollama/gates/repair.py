"""Repairing an answer's form where its meaning is certain: places that differ in spaces or line numbers, parts of files.

What could mean two things is left alone; the gates judge what comes out as they judge any other answer.
"""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from .splice import SETTINGS, spliced_definitions, spliced_settings
from .whole_file import indented

WHOLE_SHARE = 0.6
"""An answer with at least so much of a file's length is the file, one with less a part of it."""


def without_fences(answer: str) -> str:
    """An answer without the lines that stood around the material and were copied along; of several files, each by its name."""
    files = _FENCED_FILE.findall(answer)
    if len({name for name, _ in files}) > 1:
        answer = "\n\n".join(f"{name}\n```\n{body.strip()}\n```" for name, body in files)
    return _FENCE_LINE.sub("", answer)


def place_of(
    lines: Sequence[str], wanted: Sequence[str], new: Sequence[str]
) -> tuple[int, int, list[str]] | None:
    """(start, end, replacement) of the one place where these lines stand, in the mildest reading that has one.

    Read as they are; without spaces at their ends; without line numbers copied along; with another indentation.
    """
    readings = [(list(wanted), list(new))]
    if (plain := _unnumbered(wanted)) is not None:
        readings.append((plain, _unnumbered(new) or list(new)))
    for old, put in readings:
        for same in (_as_is, _trimmed):
            places = _places(lines, old, same)
            if len(places) > 1:
                return None
            if places:
                return places[0], places[0] + len(old), put
    for old, put in readings:
        bare = _without_blank_ends(old)
        places = _places(lines, bare, _inner) if bare else []
        if len(places) == 1:
            at, file = places[0], "\n".join(lines)
            said, put = (
                indented(file, "\n".join(part)).split("\n") for part in (bare, _without_blank_ends(put))
            )
            return at, at + len(bare), _shifted(put, said, lines[at : at + len(bare)])
    return None


def spliced(path: str, before: str, part: str) -> str | None:
    """The file with the definitions or settings of `part` in place of its own of that name; None when it is not certain."""
    if path.lower().endswith(SETTINGS):
        return spliced_settings(before, part)
    if not path.endswith((".py", ".pyi")):
        return spliced_definitions(path, before, part)
    part = textwrap.dedent(part).strip("\n")
    try:
        old, new = ast.parse(before), ast.parse(part)
    except (SyntaxError, ValueError, RecursionError):
        return None
    defined = [node for node in new.body if isinstance(node, NAMED)]
    extra = [node for node in new.body if not isinstance(node, NAMED | ast.Import | ast.ImportFrom)]
    if not defined or extra:
        return None
    lines = before.split("\n")
    changes: list[tuple[int, int, list[str]]] = []
    for node in defined:
        known = [other for other in _definitions(old) if other.name == node.name]
        if len(known) != 1:
            return None
        indent = " " * known[0].col_offset
        code = part.split("\n")[_start(node) - 1 : node.end_lineno]
        changes.append(
            (
                _start(known[0]) - 1,
                known[0].end_lineno or 0,
                [indent + line if line.strip() else line for line in code],
            )
        )
    changes.sort(reverse=True)
    if any(later[0] < earlier[1] for later, earlier in pairwise(changes)):
        return None
    for start, end, code in changes:
        lines[start:end] = code
    imports = [ast.unparse(node) for node in new.body if isinstance(node, ast.Import | ast.ImportFrom)]
    missing = [line for line in imports if line not in {ast.unparse(node) for node in old.body}]
    if missing:
        at = _after_docstring(old)
        lines[at:at] = [*missing, "", ""] if at == 0 else ["", *missing]
    return "\n".join(lines)


def only_definitions(text: str) -> bool:
    """Whether Python code is functions and classes and nothing else, as a part of a file is."""
    try:
        return all(isinstance(node, NAMED) for node in ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError):
        return False


def defined_names(text: str) -> list[str]:
    """The public functions and classes a Python module defines at its top; none when it does not parse."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [node.name for node in body if isinstance(node, NAMED) and not node.name.startswith("_")]


def is_whole(before: str, text: str) -> bool:
    """Whether a text is a file's new content and not a part of it, by its length and by what it shares."""
    if len(text) < WHOLE_SHARE * len(before.strip()):
        return False
    old, new = before.strip().split("\n"), text.strip().split("\n")
    if len(old) < 4 or difflib.SequenceMatcher(None, old, new, autojunk=False).ratio() > 0.25:
        return True
    had, has = Counter(re.findall(r"\w+", before)), Counter(re.findall(r"\w+", text))
    return (had & has).total() > WHOLE_SHARE * had.total()  # a name changed in most of the lines


def closer(text: str, one: str, *, than: str) -> bool:
    """Whether a text is nearer to `one` than to another, by its length and by the lines they share."""
    if abs(len(text) - len(one)) >= abs(len(text) - len(than)):
        return False
    new = text.strip().split("\n")
    ratios = [
        difflib.SequenceMatcher(None, old.strip().split("\n"), new, autojunk=False).ratio()
        for old in (one, than)
    ]
    return ratios[0] > ratios[1]


_FENCED_FILE = re.compile(
    r"^[ \t]*<<data [0-9a-f]{8} ([^\n]*)>>[ \t]*\n([\s\S]*?)(?:\n[ \t]*<<end|\n```|\Z)", re.MULTILINE
)
_FENCE_LINE = re.compile(
    r"^[ \t]*<<(?:data [0-9a-f]{8} [^\n]*|end [0-9a-f]{8})>>[ \t]*(?:\n|\Z)", re.MULTILINE
)
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NUMBERED = re.compile(r"\s*(\d+)\s?[|:\t]\s?(.*)")


def _definitions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in ast.walk(tree):
        if isinstance(node, NAMED):
            yield node


def _start(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _after_docstring(tree: ast.Module) -> int:
    """The line number behind which imports may stand."""
    if ast.get_docstring(tree) is not None:
        return tree.body[0].end_lineno or 0
    return 0


def _unnumbered(lines: Sequence[str]) -> list[str] | None:
    """The lines without the numbers before them; None unless all have one and they count up."""
    found = [_NUMBERED.fullmatch(line) for line in lines if line.strip()]
    matches = [match for match in found if match is not None]
    numbers = [int(match[1]) for match in matches]
    if not numbers or len(matches) < len(found) or any(b <= a for a, b in pairwise(numbers)):
        return None
    rest = iter(matches)
    return [next(rest)[2] if line.strip() else line for line in lines]


def _as_is(line: str) -> str:
    return line


def _trimmed(line: str) -> str:
    return line.rstrip()


def _inner(line: str) -> str:
    return " ".join(line.split())


def _places(lines: Sequence[str], wanted: Sequence[str], same: object) -> list[int]:
    read = same if callable(same) else _as_is
    have, want = [read(line) for line in lines], [read(line) for line in wanted]
    return [at for at in range(len(have) - len(want) + 1) if have[at : at + len(want)] == want]


def _without_blank_ends(lines: Sequence[str]) -> list[str]:
    kept = list(lines)
    while kept and not kept[0].strip():
        kept.pop(0)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept


def _shifted(new: Sequence[str], said: Sequence[str], real: Sequence[str]) -> list[str]:
    """`new` moved by as much as what was said to stand there is off from what does."""
    first = next((at for at, line in enumerate(said) if line.strip()), 0)
    off = _indent(real[first]) - _indent(said[first]) if said else 0
    if off >= 0:
        sign = "\t" if real[first : first + 1] and real[first].startswith("\t") else " "
        return [sign * off + line if line.strip() else line for line in new]
    return [line[min(-off, _indent(line)) :] for line in new]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
