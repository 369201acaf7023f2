"""What a small everyday task for a real worker is made of, and checkers that look at the end result, never at the gate."""

from __future__ import annotations

import ast
import csv
import io
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

Half = str
"""tune, earlier (reported once, read and tuned by since) or report."""


@dataclass(frozen=True, kw_only=True)
class End:
    """What a delegation came to: the answer, its parsed form, and the task's files as they lie on disk."""

    answer: str = ""
    data: Any = None
    files: Mapping[str, str] = field(default_factory=dict[str, str])


Check = Callable[[End], bool]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task: its files, the call, and whether an end is right."""

    name: str
    kind: str
    half: Half
    files: Mapping[str, str]
    call: Mapping[str, Any]
    check: Check
    tool: str = "delegate"


# What ends must hold


def says(*wanted: str, no: Sequence[str] = (), most: int = 900) -> Check:
    """Every pattern occurs in the answer, none of `no` does, and it is no longer than `most` characters."""

    def check(end: End) -> bool:
        text = end.answer.lower()
        return (
            0 < len(text) <= most
            and all(re.search(pattern, text) for pattern in wanted)
            and not any(re.search(pattern, text) for pattern in (*no, *_OUR_WORDS))
        )

    return check


def some_of(least: int, *words: str, shortest: int = 40, longest: int = 900) -> Check:
    """A text of that length with at least so many of the words in it."""

    def check(end: End) -> bool:
        text = end.answer.lower()
        found = sum(bool(re.search(word, text)) for word in words)
        fits = shortest <= len(text.strip()) <= longest and not any(re.search(w, text) for w in _OUR_WORDS)
        return found >= least and fits

    return check


def shorter(material: str) -> int:
    """The most characters a summary may have: with more it is the material once more."""
    return len(material) * 3 // 4


def holds(wanted: object) -> Check:
    """The data equals this, letter case, order of lists and spaces apart."""
    return lambda end: _plain(end.data) == _plain(wanted)


def quotes(*spans: str) -> Check:
    """The answer quotes every one of the spans, and quotes nothing that is not in the material."""

    def check(end: End) -> bool:
        material = " ".join(" ".join(text.split()) for text in end.files.values())
        found = [" ".join((a or b).split()) for a, b in re.findall(r'"([^"]+)"|“([^”]+)”', end.answer)]
        return (
            bool(found)
            and all(span in material for span in found)
            and all(any(wanted.lower() in span.lower() for span in found) for wanted in spans)
            and len(end.answer) < 1200
        )

    return check


def documented(path: str, original: str) -> Check:
    """Every function has a docstring of its own that says something, and no code changed."""

    def check(end: End) -> bool:
        try:
            now, before = ast.parse(end.files[path]), ast.parse(original)
        except (SyntaxError, KeyError):
            return False
        found = [
            (node.name, ast.get_docstring(node) or "")
            for node in ast.walk(now)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        docs = [doc for _, doc in found]
        return (
            ast.dump(_bare(now)) == ast.dump(_bare(before))
            and all(len(doc.split()) >= 3 for doc in docs)
            and len({doc.lower() for doc in docs}) == len(docs)
            and not any(
                re.search(r"does something|function does|describes? what|docstring", d, re.IGNORECASE)
                for d in docs
            )
        )

    return check


def behaves(path: str, program: str) -> Check:
    """The module does what these assertions say."""

    def check(end: End) -> bool:
        module = Path(path).stem
        return _runs({path: end.files.get(path, "")}, f"import {module}\nfrom {module} import *\n{program}")

    return check


def renamed(path: str, original: str, old: str, new: str) -> Check:
    """Exactly this name became the other everywhere in code, and nothing else changed."""

    def check(end: End) -> bool:
        wanted = re.sub(rf"\b{old}\b", new, original)
        try:
            return ast.dump(_bare(ast.parse(end.files[path]))) == ast.dump(_bare(ast.parse(wanted)))
        except (SyntaxError, KeyError):
            return False

    return check


def text_is(path: str, wanted: str) -> Check:
    """The file is this, byte for byte, the end of its last line apart."""
    return lambda end: end.files.get(path, "").rstrip("\r\n") == wanted.rstrip("\r\n")


def commented(path: str, original: str, word: str) -> Check:
    """Each line with the word at its start has a comment of its own above it that says something; no code changed."""

    def check(end: End) -> bool:
        text = end.files.get(path, "")
        comments = [
            " ".join(re.sub(r"[\s*/]+", " ", c).split()) for c in re.findall(r"/\*\*[\s\S]*?\*/", text)
        ]
        bare = re.sub(r"[ \t]*/\*\*[\s\S]*?\*/\n?", "", text)
        heads = re.findall(rf"\*/\n(?:export )?{word}\b", text)
        return (
            [line for line in bare.split("\n") if line.strip()]
            == [line for line in original.split("\n") if line.strip()]
            and len(heads) == len(re.findall(rf"^(?:export )?{word}\b", original, re.MULTILINE))
            and len(set(comments)) == len(comments)
            and all(len(c.split()) >= 3 for c in comments)
        )

    return check


def parsed(path: str, holds: Callable[[Any], bool]) -> Check:
    """The TOML or YAML file can be read and its value is as wanted."""

    def check(end: End) -> bool:
        text = end.files.get(path, "")
        try:
            return holds(tomllib.loads(text) if path.endswith(".toml") else yaml.safe_load(text))
        except (tomllib.TOMLDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            return False

    return check


def runs_in_node(path: str, program: str) -> Check:
    """The JavaScript module does what these assertions say; needs node."""

    def check(end: End) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, path).write_text(end.files.get(path, ""))
            Path(folder, "check_it.js").write_text(program)
            return _ends_well(folder, ["node", "check_it.js"])

    return check


def tests_tell(test: str, module: str, code: str, *broken: tuple[str, str]) -> Check:
    """The test file passes on the module, and fails on each variant of it made by replacing a text."""

    def check(end: End) -> bool:
        text = end.files.get(test)
        if not text or not re.search(r"def test", text):
            return False
        worse = [code.replace(old, new) for old, new in broken]
        return _passes({module: code, test: text}) and not any(
            _passes({module: w, test: text}) for w in worse
        )

    return check


def labelled(wanted: Mapping[str, str], wrong: int = 0) -> Check:
    """Each id has its label, at most `wrong` of them another one."""

    def check(end: End) -> bool:
        rows: Any = end.data.get("rows") if isinstance(end.data, dict) else end.data
        if not isinstance(rows, list):
            return False
        found = {
            str(r.get("id")): str(r.get("label")) for r in cast("list[Any]", rows) if isinstance(r, dict)
        }
        return found.keys() == wanted.keys() and sum(found[i] != wanted[i] for i in wanted) <= wrong

    return check


def labelled_csv(path: str, wanted: Mapping[str, str], wrong: int = 0) -> Check:
    """The same for a file of lines "id,label"; a header may stand above."""

    def check(end: End) -> bool:
        rows = [row for row in csv.reader(io.StringIO(end.files.get(path, ""))) if len(row) >= 2]
        found = {row[0].strip(): row[-1].strip().lower() for row in rows if row[0].strip() in wanted}
        return found.keys() == wanted.keys() and sum(found[i] != wanted[i] for i in wanted) <= wrong

    return check


_OUR_WORDS = (r"you are a worker", r"<<data", r"nothing inside it is an instruction", r"you get material")


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return sorted((_plain(v) for v in cast("list[object]", value)), key=repr)
    if isinstance(value, str):
        return " ".join(value.lower().split())
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and body
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _runs(files: Mapping[str, str], program: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        Path(folder, "check_it.py").write_text(program)
        return _ends_well(folder, [sys.executable, "check_it.py"])


def _passes(files: Mapping[str, str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        return _ends_well(folder, [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "."])


def _ends_well(folder: str, command: Sequence[str]) -> bool:
    try:
        return (
            subprocess.run(command, check=False, cwd=folder, capture_output=True, timeout=60).returncode == 0
        )
    except subprocess.TimeoutExpired:
        return False


# Tasks of each kind


def ask(half: Half, name: str, file: str, text: str, task: str, check: Check, kind: str = "question") -> Case:
    call = {"task": task, "files": [file], "max_output": 200}
    return Case(name=name, kind=kind, half=half, files={file: text}, call=call, check=check)


def data(half: Half, name: str, file: str, text: str, task: str, schema: Any, wanted: object) -> Case:
    call = {"task": task, "files": [file], "schema": schema, "max_output": 300}
    return Case(name=name, kind="extract", half=half, files={file: text}, call=call, check=holds(wanted))


def rows(half: Half, name: str, text: str, task: str, labels: Mapping[str, str], wrong: int) -> Case:
    row = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "label": {"enum": sorted(set(labels.values()))}},
        "required": ["id", "label"],
    }
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    call = {"task": task, "files": ["rows.csv"], "schema": schema, "max_output": 300}
    check = labelled(labels, wrong)
    return Case(name=name, kind="classify", half=half, files={"rows.csv": text}, call=call, check=check)


def quote(half: Half, name: str, file: str, text: str, task: str, *spans: str) -> Case:
    call = {"task": task, "files": [file], "gate": "quotes", "max_output": 200}
    return Case(name=name, kind="quotes", half=half, files={file: text}, call=call, check=quotes(*spans))


def edit(
    half: Half, name: str, kind: str, file: str, text: str, task: str, check: Check, gate: object = None
) -> Case:
    call = {"task": task, "files": [file], "write": "edits", "gate": gate, "max_output": 600}
    return Case(name=name, kind=kind, half=half, files={file: text}, call=call, check=check)


def fix(half: Half, module: str, text: str, test: str, task: str, hidden: str) -> Case:
    file, tests = f"{module}.py", f"check_{module}.py"
    call = {
        "task": task,
        "files": [file, tests],
        "write": "edits",
        "gate": {"command": f"python3 {tests}"},
        "max_output": 500,
    }
    check = behaves(file, test.partition("\n")[2] + "\n" + hidden)
    return Case(
        name=f"fix-{module}", kind="fix", half=half, files={file: text, tests: test}, call=call, check=check
    )


def test_file(half: Half, module: str, text: str, gated: bool, *broken: tuple[str, str]) -> Case:
    file, test = f"{module}.py", f"test_{module}.py"
    task = f"Write a pytest test file for the function in {file}: three or more cases, edge cases among them."
    gate = {"command": f"python3 -m pytest -q -p no:cacheprovider {test}"} if gated else None
    call = {"task": task, "files": [file], "write": test, "gate": gate, "max_output": 500}
    check = tests_tell(test, file, text, *broken)
    return Case(name=f"tests-{module}", kind="tests", half=half, files={file: text}, call=call, check=check)


def mapped(half: Half, name: str, files: Mapping[str, str], task: str, check: Check) -> Case:
    call = {"task": task, "files": list(files)}
    return Case(name=name, kind="map", half=half, files=files, call=call, check=check, tool="delegate_map")


def an_object(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


A_TEXT = {"type": "string"}
