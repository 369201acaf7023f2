"""The projects of a workspace that have tests: each found by what marks it, wherever in the tree it lies."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Literal, TypeVar

from . import other_runners
from .npm_script import test_script
from .other_runners import OtherRunner
from .small_files import text_of, toml_of
from .tools import LITTER

Kind = Literal["python", "node", "go", "cargo"]

MAX_FOLDERS = 5000  # looked through
_SHARED = frozenset(("tests", "test", "src", "spec", "lib"))  # folders of a project, not projects
_PYTEST_STYLE = re.compile(
    r"^(?:async )?def test|^(?:import|from) pytest\b|^class Test\w*\s*(?:\(\s*\))?:", re.MULTILINE
)


_PYTEST_FILES = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")
_ODD_TESTS = re.compile(r"^\s*python_files\s*=|--doctest-(?:modules|glob)", re.MULTILINE)
_RUST_TEST = re.compile(
    r"#\[(?:\w+::)*(?:test|rstest|test_case|quickcheck|wasm_bindgen_test)\b|\bproptest!|^\s*//[/!]\s*```(?:\n|rust)",
    re.MULTILINE,
)
_PYTHON_TEST = re.compile(rf"{_PYTEST_STYLE.pattern}|\bTestCase\b", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project with tests. `marked` is whether a file says so; else its tests alone do."""

    kind: Kind
    folder: Path  # absolute
    marked: bool = True
    nested: tuple[str, ...] = ()  # other projects of its kind inside it, relative to it
    files: tuple[str, ...] = ()  # with Python tests in them, relative to it
    pytest_style: bool = False  # some tests are written in a way that only pytest understands


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What the walk found of one kind: folders that say they are projects, and files that look like tests."""

    marked: list[Path] = field(default_factory=list[Path])
    tests: list[Path] = field(default_factory=list[Path])


_Placed = TypeVar("_Placed", bound=Project | OtherRunner)


def projects(root: Path) -> tuple[list[Project], list[OtherRunner], str]:
    """All projects with tests, those nearest the root first; tests that only other runners run; and a note when
    not everything was looked through."""
    seen: dict[Kind, _Seen] = {"python": _Seen(), "node": _Seen(), "go": _Seen(), "cargo": _Seen()}
    note, others = "", list[OtherRunner]()
    for looked, (folder, names) in enumerate(_folders(root)):
        if looked >= MAX_FOLDERS:
            note = f"only the first {MAX_FOLDERS:,} folders were looked through for tests"
            break
        _look(folder, names, seen)
        others += other_runners.seen(folder, names)
    owned: dict[tuple[Kind, Path], list[Path]] = {}
    for kind, found in seen.items():
        for file in found.tests:
            if owner := _owner(root, kind, file, found.marked):
                owned.setdefault((kind, owner), []).append(file)
            elif kind == "node":  # nothing says which runner they are for
                others.append(other_runners.node(_top(root, file)))
        for folder in found.marked:
            if (kind == "node" and test_script(folder)) or (kind == "python" and _says_where(folder)):
                owned.setdefault((kind, folder), [])
    others = other_runners.left_over(root, others, owned)
    if not owned and not others:  # nothing that looks like a test: the runner says itself that it finds none
        owned = {(kind, found.marked[0]): [] for kind, found in seen.items() if found.marked[:1] == [root]}
        owned = dict(list(owned.items())[:1])
    made = [
        Project(
            kind=kind,
            folder=folder,
            marked=folder in seen[kind].marked,
            nested=tuple(
                os.path.relpath(other, folder)
                for other in sorted({*seen[kind].marked, *(own for k, own in owned if k == kind)})
                if other != folder and other.is_relative_to(folder)
            ),
            files=tuple(
                os.path.relpath(file, folder)
                for file in files
                if kind == "python" and _PYTHON_TEST.search(text_of(file))
            ),
            pytest_style=kind == "python" and any(_PYTEST_STYLE.search(text_of(file)) for file in files),
        )
        for (kind, folder), files in owned.items()
    ]
    made.sort(key=lambda one: (len(one.folder.parts), str(one.folder), one.kind))
    return made, others, note


def owning(found: Sequence[_Placed], root: Path, changed: Collection[str]) -> list[_Placed]:
    """The projects whose folders hold the changed files; all where a file belongs to none, or nothing is changed."""
    owners: list[_Placed] = []
    for name in changed:
        place = Path(os.path.normpath(root / name))
        around = [one for one in found if place.is_relative_to(one.folder)]
        if not around:
            return list(found)
        deepest = max(len(one.folder.parts) for one in around)
        owners += [one for one in around if len(one.folder.parts) == deepest]
    return [one for one in found if one in owners] or list(found)


def kind_of(file: PurePath) -> Kind | None:
    """The kind of project a file belongs to, by its ending."""
    return _BY_ENDING.get(file.suffix)


def is_cargo_workspace(folder: Path) -> bool:
    return "workspace" in toml_of(folder / "Cargo.toml")


def defines_rust_test(folder: Path, ident: str) -> bool:
    """Whether a package's sources have the test of this name, or the file of an example in the documentation."""
    if " - " in ident:
        return (folder / ident.partition(" - ")[0]).is_file()
    defined = re.compile(rf"\bfn\s+{re.escape(ident.rpartition('::')[2])}\b")
    return any(
        defined.search(text_of(place / name))
        for place, names in _folders(folder)
        for name in names
        if name.endswith(".rs")
    )


def go_module(folder: Path) -> str:
    """The module path that go.mod names."""
    found = re.search(r"^module\s+(\S+)", text_of(folder / "go.mod"), re.MULTILINE)
    return found[1].strip('"') if found else ""


def _folders(root: Path) -> Generator[tuple[Path, frozenset[str]]]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in LITTER and not f.startswith("."))
        yield Path(folder), frozenset(names)


def _look(folder: Path, names: Collection[str], seen: Mapping[Kind, _Seen]) -> None:
    above = seen["python"].marked
    if _is_python_project(folder, names) or (
        "conftest.py" in names and not any(folder.is_relative_to(one) for one in above)
    ):
        above.append(folder)
    for kind, marker in _MARKERS.items():
        if marker in names:
            seen[kind].marked.append(folder)
    for name in sorted(names):
        kind = kind_of(PurePath(name))
        if kind and _is_test(kind, folder, name):
            seen[kind].tests.append(folder / name)


def _is_test(kind: Kind, folder: Path, name: str) -> bool:
    stem = name.partition(".")[0]
    match kind:
        case "python":
            return stem.startswith("test_") or stem.endswith("_test") or stem in ("tests", "test")
        case "node":
            return bool(re.search(r"[.-](?:test|spec)\.[cm]?[jt]sx?$", name)) or folder.name == "__tests__"
        case "go":
            return name.endswith("_test.go")
        case "cargo":
            return bool(_RUST_TEST.search(text_of(folder / name)))


def _is_python_project(folder: Path, names: Collection[str]) -> bool:
    if {*_PYTEST_FILES, "setup.py", "noxfile.py"} & set(names):
        return True
    if "pyproject.toml" in names:
        given = toml_of(folder / "pyproject.toml")
        tools = given.get("tool")
        if {"project", "build-system"} & given.keys() or (
            isinstance(tools, dict) and {"pytest", "poetry", "pdm", "hatch", "tox"} & tools.keys()
        ):
            return True
    return any(name in names for name in ("setup.cfg", "tox.ini")) and bool(
        re.search(r"^\[(?:metadata|options|tool:pytest|pytest|tox|testenv)\]", "\n".join(
            text_of(folder / name) for name in ("setup.cfg", "tox.ini") if name in names
        ), re.MULTILINE)
    )  # fmt: skip


def _says_where(folder: Path) -> bool:
    """Whether pytest's configuration makes tests of files that do not look like any."""
    names = (*_PYTEST_FILES, "pyproject.toml", "setup.cfg", "tox.ini")
    return any(_ODD_TESTS.search(text_of(folder / name)) for name in names)


def _owner(root: Path, kind: Kind, file: Path, marked: Sequence[Path]) -> Path | None:
    """The project a test file belongs to. Python's tests need no file that marks one."""
    around = [folder for folder in marked if file.is_relative_to(folder)]
    if around:
        nearest = max(around, key=lambda folder: len(folder.parts))
        return _workspace_of(nearest, around) if kind == "cargo" else nearest
    if kind != "python":
        return None
    return _top(root, file)


def _top(root: Path, file: Path) -> Path:
    """The folder at the top of the workspace that a test belongs to, where nothing marks a project."""
    name = file.relative_to(root).parts[0]
    folder = root / name
    alone = folder.is_dir() and name not in _SHARED and not (folder / "__init__.py").exists()
    return folder if alone else root


def _workspace_of(member: Path, around: Sequence[Path]) -> Path:
    """The Cargo workspace that counts this package among its members; itself when none does."""
    for folder in around:
        table = toml_of(folder / "Cargo.toml").get("workspace")
        if not isinstance(table, dict) or folder == member:
            continue
        name = member.relative_to(folder).as_posix()
        members, left_out = (
            [str(glob).rstrip("/") for glob in table.get(key) or ()] for key in ("members", "exclude")
        )
        if any(fnmatchcase(name, glob) for glob in members) and name not in left_out:
            return folder
    return member


_MARKERS: dict[Kind, str] = {"node": "package.json", "go": "go.mod", "cargo": "Cargo.toml"}
_BY_ENDING: dict[str, Kind] = {
    ".py": "python", ".go": "go", ".rs": "cargo",
    ".js": "node", ".jsx": "node", ".mjs": "node", ".cjs": "node", ".vue": "node",
    ".ts": "node", ".tsx": "node", ".mts": "node", ".cts": "node",
}  # fmt: skip
