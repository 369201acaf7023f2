"""What can be said for certain of changed Python code: unknown names, lost definitions, docstrings."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePath

from .repair import NAMED

RUFF_S = 20.0
_HARMLESS = "F401,F403,F405,F541,F841,F842"
"""Unused imports and variables, star imports: untidy, not wrong."""


def unknown_names(path: str, text: str, before: str | None) -> str | None:
    """The first name that nobody defines, or another fault of ruff's F rules; faults of `before` are not counted."""
    known = Counter(told for _, told in _faults(path, before)) if before is not None else Counter[str]()
    for line, told in _faults(path, text):
        if known[told] > 0:
            known[told] -= 1
        else:
            return f"{path}: line {line}: {told}"
    return None


def wrong_import(path: str, text: str, others: Mapping[str, str], task: str = "") -> str | None:
    """An import of what a given module does not define, or of its names from a module that is not there.

    A module that another file imports or that the task names is taken to be there.
    """
    modules = {PurePath(name).stem: _bound(body) for name, body in others.items() if name.endswith(".py")}
    homes = {name: set(definitions(body) or []) for name, body in others.items() if name.endswith(".py")}
    told = set[str]().union(*(_imported(body) for body in others.values()), re.findall(r"\w+", task))
    tree = ast.parse(text)
    imported = {
        a.asname or a.name: a.name
        for n in ast.walk(tree)
        if isinstance(n, ast.Import)
        for a in n.names
        if a.name in modules
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            bound = modules[imported[node.value.id]]
            if (
                isinstance(node.ctx, ast.Load)
                and node.attr not in bound
                and "__getattr__" not in bound
                and not node.attr.startswith("__")
            ):
                return f"{path}: line {node.lineno}: {imported[node.value.id]} has no {node.attr!r}"
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        module, names = node.module.rpartition(".")[2], {alias.name for alias in node.names} - {"*"}
        bound = modules.get(module)
        if bound is not None and (strange := sorted(names - bound)) and "__getattr__" not in bound:
            return f"{path}: line {node.lineno}: {module} has no {strange[0]!r}"
        home = next((PurePath(name).stem for name, has in homes.items() if names and names <= has), None)
        known = bound is not None or module in told or node.module.partition(".")[0] in told
        if home is not None and not known and _made_up(module):
            return (
                f"{path}: line {node.lineno}: {', '.join(sorted(names))} is in {home}, not in {node.module}"
            )
    return None


def unfinished(path: str, text: str, task: str) -> str | None:
    """A new module with a function that does nothing, or without the one that the task writes as a call."""
    if re.search(
        r"\b(?:stubs?|skeleton|abstract|protocols?|interface|placeholders?|outline|empty)\b",
        task,
        re.IGNORECASE,
    ):
        return None
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.decorator_list
            and all(map(_does_nothing, node.body))
        ):
            return f"{path}: line {node.lineno}: {node.name} does nothing"
    wanted = re.search(
        r"\b(?:functions?|module|file)\b[^.]{0,40}?(?<![\w.])(?P<name>[a-z_]\w*)\([^)]*\)", task
    )
    if wanted and wanted["name"] not in _bound(text):
        return f"{path}: {wanted['name']} is not defined in it"
    return None


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise):
        return "NotImplementedError" in ast.unparse(node)
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def definitions(text: str) -> list[str] | None:
    """Functions and classes at the top, and methods as Class.name; None when it does not parse."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    found: list[str] = []
    for node in body:
        if isinstance(node, NAMED):
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, NAMED)]
    return found


def statements(text: str) -> int:
    """How many a module has at its top; 0 where it does not parse."""
    try:
        return len(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError):
        return 0


def changed_unasked(before: str, after: str, task: str) -> str | None:
    """A function or class that a change touched too, where the task names others of the file; docstrings apart."""
    try:
        old, new = (
            {node.name: ast.dump(node) for node in _bare(ast.parse(text)).body if isinstance(node, NAMED)}
            for text in (before, after)
        )
    except (SyntaxError, ValueError, RecursionError):
        return None
    named = {name for name in old if re.search(rf"\b{re.escape(name)}\b", task)}
    return next(
        (name for name in old if named and name not in named and new.get(name, old[name]) != old[name]), None
    )


def docstrings_fault(before: str, after: str, *, every: bool, classes: bool = False) -> str | None:
    """Why a file is not the same code with docstrings that say something. Raises SyntaxError."""
    old, new = ast.parse(before), ast.parse(after)
    had = Counter(doc for _, doc in _docs(old) if doc)
    named = _docs(new)
    added = [doc for _, doc in named if doc and not had[doc]]
    if ast.dump(_bare(old)) != ast.dump(_bare(new)):
        return f"the code changed too{_where(old, new)}; only docstrings were asked for"
    if not added and ast.get_docstring(new) in (None, ast.get_docstring(old)):
        return "no docstring was added"
    bare = [name for name, doc in named if not doc] if every else []
    bare += [
        node.name
        for node in ast.walk(new)
        if isinstance(node, ast.ClassDef) and classes and not ast.get_docstring(node)
    ]
    if bare:
        return f"{bare[0]} has no docstring"
    if same := next((doc for doc, times in Counter(d.casefold() for d in added).items() if times > 1), None):
        return f"several docstrings are the same: {same[:80]!r}"
    empty = next((doc for doc in added if len(doc.split()) < 2 or _EMPTY_DOC.search(doc)), None)
    return f"a docstring says nothing: {empty[:80]!r}" if empty else None


def names_used(text: str) -> set[str]:
    """Every identifier in a module; empty where it cannot be read."""
    with suppress(tokenize.TokenError, SyntaxError):
        return {token.string for token in tokens(text) if token.type == tokenize.NAME}
    return set()


def _faults(path: str, text: str) -> list[tuple[int, str]]:
    """(line, message) of ruff's F rules, as they stand; none where ruff cannot say."""
    from ...shell.quality.tools import our_ruff

    argv = [our_ruff(), "check", "--isolated", "--no-cache", "--exit-zero", "--quiet"]
    argv += ["--select", "F", "--ignore", _HARMLESS, "--output-format", "json"]
    argv += ["--stdin-filename", PurePath(path).name, "-"]
    try:
        ran = subprocess.run(
            argv,
            input=text.encode("utf-8", "surrogatepass"),
            capture_output=True,
            timeout=RUFF_S,
            check=False,
        )
        found = json.loads(ran.stdout or b"[]")
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return [(item["location"]["row"], item["message"]) for item in found if item.get("code")]


def _bound(text: str) -> set[str]:
    """Names a module has at its top, whichever way they came there."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {"__getattr__"}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, NAMED):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            if any(alias.name == "*" for alias in node.names):
                found.add("__getattr__")
    return found


def _imported(text: str) -> set[str]:
    """The modules a file imports from, by the first and the last part of their names."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return {part for name in names for part in (name.partition(".")[0], name.rpartition(".")[2])}


def _made_up(module: str) -> bool:
    import importlib.util
    import sys

    if module in sys.stdlib_module_names:
        return False
    try:
        return importlib.util.find_spec(module) is None
    except (ImportError, ValueError):
        return True


def _docs(tree: ast.Module) -> list[tuple[str, str]]:
    return [
        (node.name, ast.get_docstring(node) or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ] + [(n.name, d) for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and (d := ast.get_docstring(n))]


def _bare(tree: ast.Module) -> ast.Module:
    """A copy without docstrings."""
    copy = ast.parse(ast.unparse(tree))
    for node in ast.walk(copy):
        if isinstance(node, ast.Module | NAMED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return copy


def _where(old: ast.Module, new: ast.Module) -> str:
    """The first definition whose code differs, in words."""
    olds = {node.name: ast.dump(node) for node in _bare(old).body if isinstance(node, NAMED)}
    news = {node.name: ast.dump(node) for node in _bare(new).body if isinstance(node, NAMED)}
    changed = next((name for name in olds if news.get(name) != olds[name]), None)
    return f" in {changed}" if changed else ""


def tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Those that mean something: comments and white space are none."""
    skipped = (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return (
        token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped
    )


_EMPTY_DOC = re.compile(
    r"\b(?:does something|do something|(?:this|the) (?:function|method)\.?$|says what|describes? what|docstring|what it does|"
    r"TODO|your description|description here|brief description|summary of)\b|^\W*$|\.\.\.$",
    re.IGNORECASE,
)
