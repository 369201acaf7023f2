"""Edits of Python that can be told from the code alone: a definition removed, a value changed, and nothing else."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .repair import NAMED
from .settings import is_named, is_spoken, numbers_of, parts_of


@dataclass(frozen=True, slots=True)
class Changed:
    """A constant that became another, and the names around it, the nearest last."""

    old: object
    new: object
    around: tuple[str, ...]


def only_removed(old: str, new: str, task: str) -> list[str]:
    """The definitions that are gone, where the task names them and all else is as it was, imports apart; else none."""
    before, after = ast.parse(old), ast.parse(new)
    lost = [name for name in _named(before) if name not in set(_named(after))]
    tops = [name for name in lost if name.rpartition(".")[0] not in lost]
    if not tops or not all(re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", task) for name in tops):
        return []
    _drop(before, tops)
    kept, left = ([ast.dump(node) for node in tree.body if not _is_import(node)] for tree in (before, after))
    had, has = (Counter(ast.dump(node) for node in tree.body if _is_import(node)) for tree in (before, after))
    return tops if kept == left and not has - had else []


def only_unused_imports(old: str, new: str) -> list[str]:
    """The imports that are gone, where none of them was used, no unused one is left and all else is as it was; else none."""
    before, after = ast.parse(old), ast.parse(new)
    kept, left = ([ast.dump(node) for node in tree.body if not _is_import(node)] for tree in (before, after))
    had, has = (_imported(tree) for tree in (before, after))
    lost = [name for name in had if name not in has]
    used = {node.id for node in ast.walk(before) if isinstance(node, ast.Name)}
    used |= {
        node.value
        for node in ast.walk(before)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return lost if kept == left and not used & set(lost) and set(has) <= used & set(had) else []


def _imported(tree: ast.Module) -> list[str]:
    """The names that imports at the top bind."""
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [(alias.asname or alias.name).partition(".")[0] for node in nodes for alias in node.names]


def only_values(old: str, new: str, task: str) -> list[Changed]:
    """The constants that changed, where nothing else did, and all the task says of values is what became of them; else none."""
    before = ast.parse(old)
    changed = _changed(before, ast.parse(new), ())
    if not changed or len(changed) < parts_of(task):
        return []
    said = {text for one in changed for text in (_text(one.old), _text(one.new))}
    if any(number not in said for number in numbers_of(task)):
        return []
    if all(_placed(one, before, task) and _says(task, one.new) for one in changed):
        return changed
    return []


def _placed(one: Changed, before: ast.Module, task: str) -> bool:
    """Whether the task means this place: it names what it belongs to, or the value it had, or there is no other like it."""
    if isinstance(one.old, str) != isinstance(one.new, str):
        return False
    name = one.around[-1] if one.around else ""
    meant = _spoken_words(name, task)
    if meant:
        names = {name for node in ast.walk(before) for name in _names(node)}
        return meant == max(_spoken_words(other, task) for other in {*names, name})
    if _says(task, one.old):
        return True
    values = [node.value for node in ast.walk(before) if isinstance(node, ast.Constant)]
    return sum(isinstance(value, str) == isinstance(one.old, str) for value in values) == 1


def _spoken_words(name: str, task: str) -> int:
    """How many words of a name a task speaks of: of READ_TIMEOUT and CONNECT_TIMEOUT "read timeout" means the first."""
    words = re.findall(r"[^\W\d_]{2,}", name)
    as_written = bool(name) and re.search(rf"\b{re.escape(name)}\b", task) is not None
    return sum(is_spoken(word, task) for word in words) + as_written


def _says(task: str, value: object) -> bool:
    """Whether the task spells a value out."""
    if isinstance(value, str):
        return bool(value.strip()) and " ".join(value.split()) in " ".join(task.split())
    return is_named(_text(value), task)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _changed(old: ast.AST, new: ast.AST, around: tuple[str, ...]) -> list[Changed] | None:
    """The constants that differ between two trees; None where anything else does."""
    if type(old) is not type(new):
        return None
    if isinstance(old, ast.Constant) and isinstance(new, ast.Constant):
        same = type(old.value) is type(new.value) and old.value == new.value
        return [] if same else [Changed(old.value, new.value, around)]
    if isinstance(old, ast.JoinedStr) and ast.dump(old) != ast.dump(new):
        return None
    found: list[Changed] = []
    names = (*around, *_names(old))
    for field, had in ast.iter_fields(old):
        has = getattr(new, field, None)
        pairs = (
            list(zip(had, has, strict=False))
            if isinstance(had, list) and isinstance(has, list)
            else [(had, has)]
        )
        if isinstance(had, list) and (not isinstance(has, list) or len(had) != len(has)):
            return None
        for number, (one, other) in enumerate(pairs):
            if isinstance(one, ast.AST) and isinstance(other, ast.AST):
                inner = _changed(one, other, (*names, *_place(old, field, number)))
                if inner is None:
                    return None
                found += inner
            elif one != other:
                return None
    return found


def _place(node: ast.AST, field: str, number: int) -> list[str]:
    """The argument a default belongs to, or the key of a value in a dictionary."""
    if isinstance(node, ast.arguments) and field == "defaults":
        args = [*node.posonlyargs, *node.args]
        return [args[number - len(node.defaults)].arg]
    if isinstance(node, ast.arguments) and field == "kw_defaults":
        return [node.kwonlyargs[number].arg]
    if isinstance(node, ast.Dict) and field == "values":
        key = node.keys[number]
        return [str(key.value)] if isinstance(key, ast.Constant) else []
    return []


def _names(node: ast.AST) -> Iterator[str]:
    """What a node calls what is in it."""
    if isinstance(node, NAMED):
        yield node.name
    elif isinstance(node, ast.keyword) and node.arg:
        yield node.arg
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (
                part.id if isinstance(part, ast.Name) else part.attr
                for part in ast.walk(target)
                if isinstance(part, ast.Name | ast.Attribute)
            )


def _named(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, NAMED):
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, NAMED)]
    return found


def _drop(tree: ast.Module, names: list[str]) -> None:
    tree.body = [node for node in tree.body if not (isinstance(node, NAMED) and node.name in names)]
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            gone = {name.rpartition(".")[2] for name in names if name.startswith(f"{node.name}.")}
            node.body = [
                inner for inner in node.body if not (isinstance(inner, NAMED) and inner.name in gone)
            ] or [ast.Pass()]


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)
