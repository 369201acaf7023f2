"""What gates check of changed files by reading them: nothing lost, names known, and only what the task asks for."""

from __future__ import annotations

import re
from tokenize import TokenError
from typing import cast

from ...source.syntax_check import note as syntax_note
from . import comments, docstrings, python_code, python_edits, settings
from .changes import changed_lines, lost_comment, lost_definitions, removal_asked, shrunk
from .judged import Judged, Result
from .renames import in_texts, rename_fault, renames_in, words_fault
from .tests_beside import TEST_FILE


def keeps_the_rest(judged: Judged) -> Result:
    """A rewrite that deletes definitions the task says nothing of, or that changes nothing but blank lines."""
    for path, text in judged.candidate.files.items():
        old = judged.old(path)
        if old is not None and _inked(old) == _inked(text) and not _LAYOUT.search(judged.asked.task):
            return False, f"{path}: nothing but blank lines and spaces at line ends would change"
        lost = [] if old is None else lost_definitions(path, old, text)
        gone = [name for name in lost if not removal_asked(judged.asked.task, name, lost)]
        renamed = _asked_names(judged)
        gone = [
            name
            for name in gone
            if name.rpartition(".")[2] not in renamed and name.partition(".")[0] not in renamed
        ]
        if gone:
            return False, f"{path}: {', '.join(gone[:5])} is gone, and the task does not say to remove it"
        if old is not None and (
            fault := shrunk(path, old, text, judged.asked.task)
            or lost_comment(path, old, text, judged.asked.task)
        ):
            return False, f"{path}: {fault}"
    for path, text in judged.python.items():
        other = python_code.changed_unasked(judged.old(path) or "", text, judged.asked.task)
        if other is not None and not _asked_names(judged):
            return True, "", f"{other} changed too, and the task does not name it"
    return None, ""


def parses(judged: Judged) -> Result:
    """It parses, and in Python its names are known: those of a changed file that were before, apart."""
    known: list[str] = []
    for path, text in judged.candidate.files.items():
        note = syntax_note(path, text)
        if note is not None and note.startswith("syntax: "):
            return False, f"{path}: {note.removeprefix('syntax: ')}"
        if note == "syntax ok":
            known.append(path)
    for path, text in judged.python.items():
        if path in known and (fault := python_code.unknown_names(path, text, judged.old(path))):
            return False, fault
        others = {p: d.text for p, d in judged.given.items() if p not in judged.candidate.files}
        others |= {p: new for p, new in judged.candidate.files.items() if p != path}
        if (
            path in known
            and judged.old(path) is None
            and (fault := python_code.wrong_import(path, text, others, judged.asked.task))
        ):
            return False, fault
        if (
            path in known
            and judged.old(path) is None
            and (fault := python_code.unfinished(path, text, judged.asked.task))
        ):
            return False, fault
    names = ", names known" if judged.python else ""
    return (True, f"{', '.join(known)}: syntax ok{names}") if known else (None, "no parser for these files")


def unlooked_at(judged: Judged) -> str:
    """What a text that parses leaves open, where nothing else is known of it."""
    if _new_tests(judged):
        return "the tests parse, and nothing ran them"
    others = judged.candidate.files.keys() - judged.python.keys()
    if others:
        return f"{min(others)} parses, and nothing checked what it says"
    new = [path for path in judged.python if judged.old(path) is None]
    if new:
        return f"{new[0]} parses, and nothing ran it"
    return (
        f"{min(judged.python)} parses and its names are known; nothing ran the change"
        if judged.python
        else ""
    )


def _new_tests(judged: Judged) -> bool:
    return any(TEST_FILE.search(path) and judged.old(path) is None for path in judged.candidate.files)


def wants_comments(judged: Judged) -> object | None:
    files = judged.candidate.files
    return (
        True
        if files
        and not judged.python
        and all(judged.old(p) for p in files)
        and comments.wanted(judged.asked.task)
        else None
    )


def only_comments(judged: Judged) -> Result:
    every = (
        re.search(
            r"\b(?:every|each|all|both|the (?:two|three|four|five|six)|alle|jede[nrs]?|beide)\b",
            judged.asked.task,
            re.IGNORECASE,
        )
        is not None
    )
    doubts: list[str] = []
    for path, text in judged.candidate.files.items():
        try:
            fault, doubt = comments.judge(path, judged.old(path) or "", text, every=every)
        except LookupError:
            return None, "its language is not known here"
        if fault is not None:
            return False, f"{path}: {fault}"
        doubts += [f"{path}: {doubt}"] if doubt else []
    told = "only comments changed"
    return (True, told, doubts[0]) if doubts else (True, told)


def wants_docstrings(judged: Judged) -> object | None:
    task = judged.asked.task
    wanted = re.search(r"\bdocstrings?\b", task, re.IGNORECASE) and not re.search(
        r"\b(?:fix|rename|call it|bad name|new name|refactor|type hints?|annotat|tests?|implement|rewrite|remove)\b",
        task,
        re.IGNORECASE,
    )
    old = bool(judged.python) and all(judged.old(path) is not None for path in judged.python)
    return (
        True
        if wanted and old and not _asked_names(judged) and len(judged.python) == len(judged.candidate.files)
        else None
    )


def only_docstrings(judged: Judged) -> Result:
    task = judged.asked.task
    every = re.search(r"\b(?:every|each|all|alle|jede[nrs]?)\b", task, re.IGNORECASE) is not None
    classes = re.search(r"\b(?:class|classes|klassen?)\b", task, re.IGNORECASE) is not None
    doubts: list[str] = []
    for path, text in judged.python.items():
        try:
            old = judged.old(path) or ""
            fault = python_code.docstrings_fault(old, text, every=every, classes=classes)
            other, doubt = (None, None) if every else docstrings.misplaced(old, text, task)
            other = other or docstrings.other_language(old, text, task)
            doubt = doubt or docstrings.doubtful(old, text, task)
        except (SyntaxError, ValueError, RecursionError):
            return None, "it does not parse"
        if fault is not None or other is not None:
            return False, f"{path}: {fault or other}"
        doubts += [f"{path}: {doubt}"] if doubt else []
    told = "only docstrings changed, no two alike"
    return (True, told, doubts[0]) if doubts else (True, told)


def _asked_names(judged: Judged) -> dict[str, str]:
    """The names to be changed: as the task says it, or one definition that became another, both named in the task."""
    task = judged.asked.task
    if names := renames_in(task):
        return names
    pairs: dict[str, str] = {}
    for path, text in judged.candidate.files.items():
        old = judged.old(path)
        lost = [] if old is None else lost_definitions(path, old, text)
        new = [] if old is None else lost_definitions(path, text, old)
        ends = [name.rpartition(".")[2] for name in (*lost, *new)]
        if len(lost) == len(new) == 1 and all(re.search(rf"\b{re.escape(n)}\b", task) for n in ends):
            pairs[ends[0]] = ends[1]
    return pairs


def wants_rename(judged: Judged) -> object | None:
    old = all(judged.old(path) is not None for path in judged.candidate.files)
    return True if judged.candidate.files and old and _asked_names(judged) else None


def only_renamed(judged: Judged) -> Result:
    names, task = _asked_names(judged), judged.asked.task
    everywhere = not re.search(r"\b(?:argument|parameter|local|variable)\b", task, re.IGNORECASE)
    doubts: list[str] = []
    for path, text in judged.candidate.files.items():
        old = judged.old(path) or ""
        try:
            fault, doubt = (
                (rename_fault(old, text, names, everywhere=everywhere), None)
                if path in judged.python
                else words_fault(path, old, text, names, task)
            )
        except (SyntaxError, TokenError, ValueError):
            return None, "it cannot be read"
        if fault is not None:
            return False, f"{path}: {fault}"
        doubt = doubt or (in_texts(old, text, names, task) if path in judged.python else None)
        doubts += [f"{path}: {doubt}"] if doubt else []
    for path, text in judged.given.items():
        left = python_code.names_used(text.text) & names.keys() if path.endswith(".py") else set[str]()
        if left and everywhere and path not in judged.candidate.files:
            return False, f"{path} still says {min(left)!r}"
    told = "only that name changed"
    return (True, told, doubts[0]) if doubts else (True, told)


def wants_edits(judged: Judged) -> object | None:
    """Python alone, none of it new."""
    files = judged.candidate.files
    old = all(judged.old(path) is not None for path in files)
    return True if files and len(files) == len(judged.python) and old and not _asked_names(judged) else None


def only_removed(judged: Judged) -> Result:
    told: list[str] = []
    imports = re.search(r"\bimport", judged.asked.task, re.IGNORECASE) is not None
    for path, text in judged.python.items():
        old = judged.old(path) or ""
        try:
            told += python_edits.only_unused_imports(old, text) if imports else []
            told += python_edits.only_removed(old, text, judged.asked.task)
        except (SyntaxError, ValueError, RecursionError):
            return None, "it does not parse"
    one = len(told) >= settings.parts_of(judged.asked.task)
    return (True, f"only {', '.join(told)} is gone") if told and one else (None, "")


def only_values(judged: Judged) -> Result:
    """A constant became another that the task spells out, and nothing else changed."""
    (path, text), *others = judged.python.items()
    try:
        changed = python_edits.only_values(judged.old(path) or "", text, judged.asked.task)
    except (SyntaxError, ValueError, RecursionError):
        return None, "it does not parse"
    if not changed or others:
        return None, ""
    told = ", ".join(f"{one.old!r} became {one.new!r}" for one in changed)
    return True, f"only {told[:200]}, as the task says"


async def few_lines(judged: Judged, most: object) -> Result:
    files = judged.candidate.files.items()
    counted = sum(sum(changed_lines(judged.old(path) or "", new)) for path, new in files)
    told = f"{counted} lines added and removed, at most {most} allowed"
    return counted <= cast("int", most), told


def only_settings(judged: Judged) -> Result:
    """Changed settings are the ones the task names, with its values."""
    told: list[tuple[bool | None, str]] = []
    for path, text in judged.candidate.files.items():
        passed, note = settings.judge(path, judged.old(path) or "", text, judged.asked.task)
        if passed is False:
            return False, f"{path}: {note}"
        told.append((passed, note))
    return (True, told[0][1]) if told and all(passed for passed, _ in told) else (None, "")


def wants_settings(judged: Judged) -> object | None:
    files = judged.candidate.files
    return True if files and all(judged.old(path) for path in files) and not _asked_names(judged) else None


def _inked(text: str) -> list[str]:
    """The lines with something on them."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


_LAYOUT = re.compile(
    r"blank|empty|white ?space|spac(?:e|ing)|format|newline|line (?:break|end)|trailing|pep ?8|style|tidy|layout|clean",
    re.IGNORECASE,
)
