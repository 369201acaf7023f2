"""The other end of renaming.py: find every use of a Python symbol, in a process of its own. Runs rope, runs no code of the project.

A JSON object on stdin says what is wanted; one on stdout gives the changed texts, or `refused` in a sentence.
"""

from __future__ import annotations

import ast
import json
import keyword
import os
import re
import sys
from collections.abc import Collection
from typing import Any, cast

MAX_LEFT = 10


def main() -> None:
    """Answer the one question that stands on stdin."""
    json.dump(_answer(json.load(sys.stdin)), sys.stdout)


def _answer(wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        from rope.base import exceptions, libutils, project
        from rope.refactor.rename import Rename
    except ImportError:
        return {"refused": "renaming needs rope: the user can install understudy[refactor]"}
    new = wanted["new"]
    if not new.isidentifier() or keyword.iskeyword(new):
        return {"refused": f"{new!r} is no name in Python"}
    if new == wanted["old"].rpartition(".")[2]:
        return {"refused": f"{wanted['old']!r} is called so already"}
    if not wanted["path"].endswith((".py", ".pyi")):
        return {"refused": "symbol=true renames in Python files alone; edits rename in others"}
    found = project.Project(
        wanted["root"],
        ropefolder=cast(str, None),  # it leaves no folder of its own
        ignore_syntax_errors=True,  # of other files: their places are among those left as they are
    )
    try:
        file: Any = libutils.path_to_resource(found, wanted["path"])
        ast.parse(file.read())
        place = _definition(found, file, wanted["old"], new)
        if isinstance(place, str):
            return {"refused": place}
        resource, offset = place
        changes = Rename(found, resource, offset).get_changes(new, docs=False, in_hierarchy=True)
        texts = {
            one.resource.path: [one.resource.read(), one.new_contents]
            for one in changes.changes
            if hasattr(one, "new_contents")
        }
        if not texts or any(not hasattr(one, "new_contents") for one in changes.changes):
            return {"refused": f"{wanted['old']!r} is a module; move_file renames it"}
        return {"texts": texts, "left": _left(found, texts, wanted["old"].rpartition(".")[2])}
    except SyntaxError as exc:
        return {
            "refused": f"the file does not parse ({exc.msg}, line {exc.lineno}), so nothing in it is renamed"
        }
    except (exceptions.RopeError, RecursionError, UnicodeError) as exc:
        return {"refused": f"it cannot be renamed here: {exc}"}
    finally:
        found.close()


def _definition(project: Any, resource: Any, dotted: str, new: str) -> tuple[Any, int] | str:
    """Where the symbol is defined, file and offset; else why it is not to be found."""
    scope = project.get_pymodule(resource)
    names: dict[str, Any] = {}
    name: Any = None
    for part in dotted.split("."):
        names = scope.get_attributes()
        if part not in names:
            near = ", ".join(sorted(name for name in names if not name.startswith("__"))[:15])
            inside = [f"{owner}.{part}" for owner, one in names.items() if part in _members(one)]
            hint = f"; there is {', '.join(inside[:5])}" if inside else f"; there are {near}" if near else ""
            return f"there is no {part!r} in {resource.path}{hint}"
        name = names[part]
        scope = name.get_object()
    if new in names:
        return f"there is a {new!r} already beside {dotted!r}; choose another name"
    module, line = name.get_definition_location()
    if module is None or line is None or module.get_resource() is None:
        return f"{dotted!r} is not defined in this project"
    text = module.get_resource().read()
    start = sum(len(row) + 1 for row in text.split("\n")[: line - 1])
    word = dotted.rpartition(".")[2]
    match = re.compile(rf"(?:\b(?:def|class)\s+)?\b({re.escape(word)})\b").search(text, start)
    if match is None:
        return f"{dotted!r} is bound in a way that is not read here; rename it by edits"
    return module.get_resource(), match.start(1)


def _members(name: Any) -> Collection[str]:
    """What a class has; nothing of anything else."""
    owner = name.get_object()
    return owner.get_attributes() if hasattr(owner, "get_superclasses") else ()


def _left(project: Any, texts: dict[str, list[str]], word: str) -> list[str]:
    """Places that still hold the word: strings, comments, other things of that name, what nobody can tell."""
    found: list[str] = []
    top = os.path.realpath(project.address)
    for resource in sorted(project.get_python_files(), key=lambda one: one.path):
        if not os.path.realpath(resource.real_path).startswith(f"{top}/"):
            continue  # through a link that leads out
        text = texts[resource.path][1] if resource.path in texts else resource.read()
        for match in re.finditer(rf"\b{re.escape(word)}\b", text):
            found.append(f"{resource.path}:{text.count(chr(10), 0, match.start()) + 1}")
    return [*found[:MAX_LEFT], *([f"{len(found) - MAX_LEFT} more"] if len(found) > MAX_LEFT else [])]


if __name__ == "__main__":
    main()
