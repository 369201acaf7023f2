"""Which test runner a project has, and how to make it leave a report of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...output import ToolError, one_line
from ..jobs.shell import Shell
from .tools import LITTER, project_program

_MARKERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("python", ("pytest.ini", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "conftest.py")),
    ("node", ("package.json",)),
    ("go", ("go.mod",)),
    ("cargo", ("Cargo.toml",)),
)
ATTESTING = "junit_wrapper.py"
_MAX_FOLDERS = 2000  # looked through for tests where no file says what project it is
_BY_ENDING = {".py": "python", ".go": "go", ".rs": "cargo"} | dict.fromkeys(
    (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue"), "node"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be tested: a language, the project folder, and the runner's own words for the part of it."""

    kind: str
    folder: Path  # absolute, inside the workspace
    target: str  # relative to `folder`, with the runner's suffix such as ::test_one; "" for everything
    keyword: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How to run the tests so that a report is left at a path of ours."""

    name: str
    argv: Callable[[Path], list[str]]  # from the folder where its report is to be left, as "report"
    report: str | None  # the kind of report; None: this runner leaves none
    on_stdout: bool = False  # the report is what it prints on stdout
    attested: bool = (
        False  # the tests are not told where: junit_wrapper.py is in that folder, the path on stdin
    )
    env: tuple[tuple[str, str], ...] = ()
    rule: tuple[str, ...] = ()  # what the policy is asked about


def wanted(shell: Shell, target: str | None, keyword: str | None) -> Wanted:
    """Find the project around `target`. Raises ToolError when there is none or the target is not in the workspace."""
    for name, value in (("target", target), ("keyword", keyword)):
        if value is not None and (value.startswith("-") or "\0" in value):
            raise ToolError(
                f"{name} {one_line(value)!r} begins like an option; name a path, a test or an expression"
            )
    path, colons, rest = (target or "").partition("::")
    place = Path(os.path.realpath(shell.root / path))
    if not place.is_relative_to(shell.root) or not os.path.exists(place):
        raise ToolError(f"there is no test target {one_line(path)[:200]!r} in the workspace")
    start = place if place.is_dir() else place.parent
    by_name = _BY_ENDING.get(place.suffix) if place.is_file() else None
    kind, folder = _marked(shell.root, start, by_name) or (by_name or "", shell.root)
    if not kind and _has_python_tests(start):
        kind = "python"
    if not kind:
        raise ToolError(
            "no tests found: there is no pyproject.toml, test_*.py, package.json, go.mod or Cargo.toml; "
            "run_command runs a runner of your own"
        )
    inside = os.path.relpath(place, folder) if target else ""
    if kind != "python" and rest and not keyword:  # the others choose by name
        colons, rest, keyword = "", "", rest
    return Wanted(
        kind=kind,
        folder=folder,
        target="" if inside == "." else inside + colons + rest,
        keyword=keyword or "",
    )


def runner_for(shell: Shell, want: Wanted, python: str | None = None) -> Runner:
    """The runner of this project. `python` is an interpreter that has pytest, None when none has."""
    match want.kind:
        case "python":
            return _pytest(want, python) if python else _unittest(shell, want)
        case "node":
            return _node(shell, want)
        case "go":
            return _go(want)
        case _:
            return _cargo(want)


def _go(want: Wanted) -> Runner:
    """A file stands for its package: go builds no less."""
    if want.target.endswith(".go"):
        package = f"./{os.path.dirname(want.target)}"
    else:
        package = f"./{want.target}/..." if want.target else "./..."
    chosen = ["-run", want.keyword] if want.keyword else []
    argv = ["go", "test", "-json", *chosen, package]
    return Runner(name="go test", argv=lambda _: argv, report="go", on_stdout=True, rule=("go", "test"))


def _cargo(want: Wanted) -> Runner:
    """A file of tests/ is a target of its own; one of src/ is a module, whose path its tests' names begin with."""
    path = PurePath(want.target)
    where, names = list[str](), [want.keyword] if want.keyword else []
    if path.parts[:1] == ("tests",) and len(path.parts) > 1:
        where = ["--test", path.parts[1].removesuffix(".rs")]
    elif path.parts[:1] == ("src",) and path.suffix == ".rs" and not names:
        module = [part for part in path.with_suffix("").parts[1:] if part not in ("lib", "main", "mod")]
        names = ["::".join([*module, ""])] if module else []
    options = ["--", "-Z", "unstable-options", "--format", "json"]
    argv = ["cargo", "test", "--no-fail-fast", "--quiet", *where, *names, *options]
    return Runner(
        name="cargo test", argv=lambda _: argv, report="libtest", on_stdout=True, rule=("cargo", "test"),
        env=(("RUSTC_BOOTSTRAP", "1"),),  # libtest's own report is behind this switch on stable
    )  # fmt: skip


def interpreters(shell: Shell) -> list[str]:
    """Pythons that may have the project's pytest: its own, since only those have what it needs; else ours."""
    places = [shell.root / place / "bin/python" for place in (".venv", "venv", "env")]
    own = [str(path) for path in places if path.exists()]
    return own or ["python3", "python", sys.executable]


def _pytest(want: Wanted, python: str) -> Runner:
    chosen = ["-k", want.keyword] if want.keyword else []
    where = [want.target] if want.target else []
    options = ["-v", "--color=no", "-o", "junit_family=xunit1", "-o", "junit_logging=all"]
    return Runner(
        name="pytest",
        argv=lambda folder: [python, f"{folder}/{ATTESTING}", "pytest", *options, *chosen, *where],
        report="junit",
        attested=True,
        rule=("pytest",),
    )


def _unittest(shell: Shell, want: Wanted) -> Runner:
    python = interpreters(shell)[0]
    chosen = ["-k", want.keyword] if want.keyword else []
    path, _, rest = want.target.partition("::")
    if path.endswith(".py"):
        where = [".".join([path[:-3].replace("/", "."), *rest.split("::")]).rstrip(".")]
    else:
        where = ["discover", "-s", path or _tests_folder(want.folder), "-t", "."]
    return Runner(
        name="unittest",
        argv=lambda folder: [python, f"{folder}/{ATTESTING}", "unittest", *where, *chosen],
        report="junit",
        attested=True,
        rule=("python3",),
    )


def _tests_folder(folder: Path) -> str:
    """Where discovery can begin: unittest enters only packages."""
    return next((name for name in ("tests", "test") if (folder / name / "__init__.py").exists()), ".")


def _node(shell: Shell, want: Wanted) -> Runner:
    where = [want.target] if want.target else []
    names = ["-t", want.keyword] if want.keyword else []
    if program := project_program(shell, "vitest"):
        return Runner(
            name="vitest",
            argv=lambda report: [
                program,
                "run",
                "--reporter=json",
                f"--outputFile={report}/report",
                *names,
                *where,
            ],
            report="jest",
            rule=("vitest",),
        )
    if program := project_program(shell, "jest"):
        return Runner(
            name="jest",
            argv=lambda report: [program, "--ci", "--json", f"--outputFile={report}/report", *names, *where],
            report="jest",
            rule=("jest",),
        )
    script = _test_script(want.folder)
    if script.startswith("node --test") or (not script and where):
        pattern = [f"--test-name-pattern={want.keyword}"] if want.keyword else []
        reporting = ["--test-reporter=junit"]
        return Runner(
            name="node --test",
            argv=lambda r: [
                "node",
                "--test",
                *reporting,
                f"--test-reporter-destination={r}/report",
                *pattern,
                *where,
            ],
            report="junit",
            rule=("node",),
        )
    if not script:
        raise ToolError(
            "package.json has no test script, and neither vitest nor jest is installed in node_modules"
        )
    return Runner(name="npm test", argv=lambda _: ["npm", "test"], report=None, rule=("npm", "test"))


def _test_script(folder: Path) -> str:
    try:
        return str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["scripts"]["test"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _marked(root: Path, start: Path, kind: str | None) -> tuple[str, Path] | None:
    """The nearest folder from `start` up to the root that says what project it is."""
    for folder in (start, *start.parents):
        if not folder.is_relative_to(root):
            return None
        for name, markers in _MARKERS:
            if kind in (None, name) and any((folder / marker).exists() for marker in markers):
                return name, folder
    return None


def _has_python_tests(folder: Path) -> bool:
    for looked, (_, folders, names) in enumerate(os.walk(folder)):
        if any(
            name.endswith(".py") and (name.startswith("test_") or name[:-3].endswith("_test"))
            for name in names
        ):
            return True
        if looked > _MAX_FOLDERS:
            break
        folders[:] = [name for name in folders if name not in LITTER and not name.startswith(".")]
    return False
