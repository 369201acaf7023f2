"""Whether a change is the renaming a task asks for, and nothing else: in Python by its tokens, elsewhere by its words."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Mapping
from itertools import zip_longest

from .python_code import tokens


def renames_in(task: str) -> dict[str, str]:
    """The names a task wants changed, where renaming is all it wants; empty where it is not sure."""
    found: dict[str, str] = {}
    rest = task
    for form in _RENAME:
        found |= {match["old"]: match["new"] for match in form.finditer(task)}
        rest = form.sub(" ", rest)
    return (
        {}
        if re.search(r"\b(?:add|fix|implement|extract|split|remove|delete|convert)\b", rest, re.IGNORECASE)
        else found
    )


def lines_to_rename(text: str, names: Mapping[str, str]) -> list[str]:
    """The lines in which one of the old names stands as a word of its own, each once."""
    old = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, names))})(?![\w-])")
    return list(dict.fromkeys(line.strip() for line in text.split("\n") if old.search(line)))


def rename_fault(before: str, after: str, names: Mapping[str, str], *, everywhere: bool) -> str | None:
    """Why a file is not the same with these names changed. Raises tokenize.TokenError and SyntaxError."""
    done: set[str] = set()
    for old, new in zip_longest(tokens(before), tokens(after)):
        if old is None or new is None or old.type != new.type:
            return f"more than the name changed, at line {(new or old).start[0]}"  # type: ignore[union-attr]
        wanted = names.get(old.string) if old.type == tokenize.NAME else None
        if wanted is not None and new.string == wanted:
            done.add(old.string)
        elif wanted is not None and everywhere:
            return f"line {new.start[0]} still says {old.string!r}"
        elif old.string != new.string and (
            old.type == tokenize.NAME or _renamed(old.string, names) != _renamed(new.string, names)
        ):
            return f"more than the name changed, at line {new.start[0]}: {new.line.strip()[:80]!r}"
    left = None if everywhere else _parameter_left(before, after, names)
    if left is not None:
        return left
    lost = next((name for name in names if name not in done), None)
    return f"{lost!r} was not renamed" if lost else None


def in_texts(before: str, after: str, names: Mapping[str, str], task: str) -> str | None:
    """What is doubtful of the old names in texts and comments: they stay where the task speaks of those, or a text that was one changed."""
    for old, new in zip(_texts(before), _texts(after), strict=False):
        held = next((name for name in names if re.search(rf"\b{re.escape(name)}\b", old)), None)
        if held is None:
            continue
        if old == new and _TEXTS.search(task):
            return f"whether {old.strip()[:60]!r} is to say {held} still"
        if old != new and old.strip("\"'") == held:
            return f"whether the text {old} is to change as well"
    return None


def _texts(text: str) -> list[str]:
    """The texts and comments of a module, in order."""
    every = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in every if token.type in (tokenize.STRING, tokenize.COMMENT)]


def _parameter_left(before: str, after: str, names: Mapping[str, str]) -> str | None:
    """A function that still has the old parameter beside one that has it no more, or a call that still names it."""
    for old in names:
        had, has = _with_parameter(before, old), _with_parameter(after, old)
        changed = had - has
        if changed and has:
            return f"{min(has)} still has the parameter {old!r}"
        for node in ast.walk(ast.parse(after)):
            called = node.func if isinstance(node, ast.Call) else None
            name = (
                called.id
                if isinstance(called, ast.Name)
                else called.attr
                if isinstance(called, ast.Attribute)
                else None
            )
            if isinstance(node, ast.Call) and name in changed and any(k.arg == old for k in node.keywords):
                return f"line {node.lineno} still calls {name} with {old!r}"
    return None


def _with_parameter(text: str, name: str) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(arg.arg == name for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
    }


def words_fault(
    path: str, before: str, after: str, names: Mapping[str, str], task: str
) -> tuple[str | None, str | None]:
    """(fault, doubt) of a text in another language: every word is the old one, or the new name in its place.

    A name that stays is a fault in code, and where the task says everywhere; elsewhere it may mean another thing.
    """
    done: set[str] = set()
    left: str | None = None
    for (old, line), (new, _) in zip_longest(_words(path, before), _words(path, after), fillvalue=("", 0)):
        wanted = names.get(old)
        if wanted is not None and new == wanted:
            done.add(old)
        elif old != new:
            return f"more than the name changed, at line {line}: {new or old!r}", None
        elif wanted is not None and left is None:
            left = f"line {line} still says {old!r}"
    lost = next((name for name in names if name not in done), None)
    if lost is not None:
        return f"{lost!r} was not renamed", None
    if left is not None and _EVERYWHERE.search(task):
        return left, None
    return None, left and f"{left}, which may mean another thing"


def _words(path: str, text: str) -> list[tuple[str, int]]:
    """The words and signs with their lines; white space is none. Where names have hyphens, `btn-icon` is one word."""
    word = _HYPHENED if path.lower().endswith(_WITH_HYPHENS) else _PLAIN
    return [
        (match[0], number) for number, line in enumerate(text.split("\n"), 1) for match in word.finditer(line)
    ]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return text


_PLAIN, _HYPHENED = re.compile(r"\w+|[^\w\s]"), re.compile(r"\w[\w-]*|[^\w\s]")
_WITH_HYPHENS = (".css", ".scss", ".less", ".html", ".htm", ".vue", ".svelte", ".yml", ".yaml")
_KIND = (
    r"(?:function|method|variable|class|constant|parameter|argument|field|attribute|type|interface|struct|service|key|table|"
    r"column|property|setting|option|section|Funktion|Methode|Variable|Klasse|Konstante|Attribut|Feld|Dienst|Schlüssel|Spalte)"
)
_QUOTE = r"[`'\"]?"
_KIND_OF_NAME = rf"(?:(?:the|its|every|all|die|den|das|der)\s+)?(?:(?:{_KIND}|name|module)s?\s+)?"
_OLD, _NEW = (
    rf"{_QUOTE}(?P<old>[A-Za-z_]\w*){_QUOTE}(?:\(\))?",
    rf"{_QUOTE}(?P<new>[A-Za-z_]\w*){_QUOTE}(?:\(\))?",
)
_RENAME_TO = rf"\brename\s+{_KIND_OF_NAME}{_OLD}\s+(?:{_KIND}\s+)?(?:to|into|as|->|→)\s+{_NEW}"
_NAME_TO = rf"\b(?:change|replace)\s+(?:the\s+)?name\s+(?:of\s+)?{_KIND_OF_NAME}{_OLD}\s+(?:to|into|by|with)\s+{_NEW}"
_BE_CALLED = (
    rf"\b(?:the|its)\s+{_KIND}\s+{_OLD}\s+(?:should|must|shall|has\s+to|is\s+to|needs\s+to)\s+be\s+"
    rf"(?:called|named|renamed\s+(?:to|into|as))\s+(?!\w+ly\b){_NEW}"
)
_USE = rf"\buse\s+the\s+name\s+{_NEW}\s+instead\s+of\s+(?:the\s+name\s+)?{_OLD}"
_UMBENENNEN = (
    rf"\b(?:be)?nenne\s+{_KIND_OF_NAME}{_OLD}\s+(?:überall\s+)?(?:in|zu)\s+{_KIND_OF_NAME}{_NEW}\s+um\b"
)
_HEISSEN = rf"\b{_KIND}\s+{_OLD}\s+soll\s+(?:künftig\s+|jetzt\s+|überall\s+)?{_NEW}\s+heißen\b"
_ARROW = rf"\b{_KIND}\s+{_OLD}\s*(?:->|→|=>)\s*{_NEW}(?![\w(.])"
_CALL_INSTEAD = rf"\bcall\s+(?:the\s+)?{_KIND}\s+{_OLD}\s+{_NEW}\s+instead\b"
_PLAIN_CALLED = (
    r"(?<![\w.])(?P<old>(?-i:[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|\w+_\w+))(?:\(\))?\s+(?:should|must|shall|has\s+to)\s+be\s+"
    rf"(?:called|named)\s+(?!\w+ly\b){_NEW}"
)
_RENAME = [
    re.compile(form, re.IGNORECASE)
    for form in (
        _RENAME_TO,
        _NAME_TO,
        _BE_CALLED,
        _USE,
        _UMBENENNEN,
        _HEISSEN,
        _ARROW,
        _CALL_INSTEAD,
        _PLAIN_CALLED,
    )
]
_TEXTS = re.compile(
    r"\b(?:texts?|strings?|comments?|docstrings?|messages?|kommentar\w*|meldung\w*)\b", re.IGNORECASE
)
_EVERYWHERE = re.compile(
    r"\b(?:everywhere|everything|wherever|throughout|all|every|each|uses?|references?|refers?|überall|alle[sn]?)\b",
    re.IGNORECASE,
)
