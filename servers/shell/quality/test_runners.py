"""Which test runner a project has, and how to make it leave a report of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...output import ToolError, one_line
from ..jobs.shell import Shell
from .npm_script import test_script
from .projects import (
    Kind,
    Project,
    defines_rust_test,
    go_module,
    is_cargo_workspace,
    kind_of,
    owning,
    projects,
)
from .tools import project_program

ATTESTING = "junit_wrapper.py"
_OTHERS = "no tests that run_tests runs; not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be tested: a language, the project folder, and the runner's own words for the part of it."""

    project: Project
    target: str = ""  # relative to the project's folder; "" for everything
    name: str = ""  # of one test, or of a group of them, as reports have it
    keyword: str = ""

    @property
    def kind(self) -> Kind:
        return self.project.kind

    @property
    def folder(self) -> Path:
        return self.project.folder


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


def wanted(
    shell: Shell, target: str | None, keyword: str | None, changed: Collection[str] = ()
) -> tuple[list[Wanted], list[str]]:
    """What is to be tested, project by project, and what is not: other runners' tests, folders not looked through.

    Without a target these are all projects of the workspace, or those that own the `changed` files.
    Raises ToolError when there is none, or the target is not in the workspace.
    """
    for name, value in (("target", target), ("keyword", keyword)):
        if value is not None and (value.startswith("-") or "\0" in value):
            raise ToolError(
                f"{name} {one_line(value)!r} begins like an option; name a path, a test or an expression"
            )
    found, others, note = projects(shell.root)
    notes = [note] if note else []
    if target and (path := target.partition("::")[0]) != ".":
        place = Path(os.path.realpath(shell.root / path))
        if (
            place.is_relative_to(shell.root)
            and os.path.exists(place)
            and not _is_rust_name(found, place, target)
        ):
            below = [one.told(shell.root) for one in others if one.folder.is_relative_to(place)]
            if below and not any(one.folder.is_relative_to(place) for one in found):
                raise ToolError(f"{_OTHERS}: {'; '.join(below)}")
            return _at(shell.root, place, target, keyword or "", found), below + notes
        return _by_id(found, target, keyword or ""), notes
    if not found and others:
        raise ToolError(f"{_OTHERS}: {'; '.join(one.told(shell.root) for one in others)}")
    if not found:
        raise ToolError(
            "no tests found: there is no pyproject.toml, test_*.py, package.json, go.mod or Cargo.toml; "
            "run_command runs a runner of your own"
        )
    owners = owning([*found, *others], shell.root, changed)
    want = [Wanted(project=one, keyword=keyword or "") for one in owners if isinstance(one, Project)]
    left = [one.told(shell.root) for one in owners if not isinstance(one, Project)]
    if not want:
        raise ToolError(f"{_OTHERS}: {'; '.join(left)}")
    return want, left + notes


def _at(root: Path, place: Path, target: str, keyword: str, found: Sequence[Project]) -> list[Wanted]:
    """The projects below a folder; else the part of the project around a place."""
    name = target.partition("::")[2]
    below = [one for one in found if one.folder.is_relative_to(place)]
    if place.is_dir() and below and not name:
        return [Wanted(project=one, keyword=keyword) for one in below]
    kind = kind_of(place) if place.is_file() else None
    around = [one for one in found if place.is_relative_to(one.folder) and kind in (None, one.kind)]
    if not around:
        if kind is None:
            raise ToolError(f"no project with tests is around {one_line(target)[:200]!r}")
        around = [Project(kind=kind, folder=root, marked=False)]
    project = max(around, key=lambda one: len(one.folder.parts))
    inside = os.path.relpath(place, project.folder)
    return [Wanted(project=project, target="" if inside == "." else inside, name=name, keyword=keyword)]


def _by_id(found: Sequence[Project], target: str, keyword: str) -> list[Wanted]:
    """The test of a report's id that begins with no path: go's package and name, Rust's module and name, node's name.

    Rust's says nothing of its package: where there are several, it is looked for in those whose sources have it.
    """
    for one in (one for one in found if one.kind == "go"):
        module = go_module(one.folder)
        if module and (target == module or target.startswith(f"{module}/")):
            parts = target[len(module) :].strip("/").split("/")
            at = next((i for i, part in enumerate(parts) if _GO_TEST.match(part)), len(parts))
            return [
                Wanted(project=one, target="/".join(parts[:at]), name="/".join(parts[at:]), keyword=keyword)
            ]
    for kind in ("cargo", "node"):
        marked = [one for one in found if one.kind == kind and one.marked]
        if kind == "cargo" and len(marked) > 1:
            marked = [one for one in marked if defines_rust_test(one.folder, target)] or marked
        if marked and (kind == "node" or _RUST_NAME.fullmatch(target)):
            chosen = marked if kind == "cargo" else marked[:1]
            name = target.removeprefix("test::")
            return [Wanted(project=one, name=name, keyword=keyword) for one in chosen]
    raise ToolError(f"there is no test target {one_line(target)[:200]!r} in the workspace")


def _is_rust_name(found: Sequence[Project], place: Path, target: str) -> bool:
    """`tests::adds` names a test, although there may be a folder of tests as well."""
    rust = any(one.kind == "cargo" and place.parent == one.folder for one in found)
    return rust and place.is_dir() and bool(re.fullmatch(r"\w+(::\w+)+", target))


_RUST_NAME = re.compile(
    r"\w+(::\w+)*|\S.*\.rs - .*\(line \d+\)"
)  # of a test, or of an example in the documentation
_GO_TEST = re.compile(r"(?:Test|Example|Fuzz|Benchmark)")


def runner_for(shell: Shell, want: Wanted, python: str | None = None) -> Runner:
    """The runner of this project. `python` is an interpreter that has pytest, None when none has."""
    match want.kind:
        case "python":
            return _pytest(shell, want, python) if python else _unittest(shell, want)
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
    exact = "/".join(f"^{re.escape(part)}$" for part in want.name.split("/")) if want.name else ""
    chosen = ["-run", exact or want.keyword] if exact or want.keyword else []
    argv = ["go", "test", "-json", *chosen, package]
    return Runner(name="go test", argv=lambda _: argv, report="go", on_stdout=True, rule=("go", "test"))


def _cargo(want: Wanted) -> Runner:
    """A file of tests/ is a target of its own; one of src/ is a module, whose path its tests' names begin with."""
    path = PurePath(want.target)
    where, names = list[str](), [word for word in (want.name or want.keyword,) if word]
    if path.parts[:1] == ("tests",) and len(path.parts) > 1:
        where = ["--test", path.parts[1].removesuffix(".rs")]
    elif path.parts[:1] == ("src",) and path.suffix == ".rs" and not names:
        module = [part for part in path.with_suffix("").parts[1:] if part not in ("lib", "main", "mod")]
        names = ["::".join([*module, ""])] if module else []
    exact = ["--exact"] if want.name else []
    if (
        " - " in want.name
    ):  # an example in the documentation: rustdoc takes no name with blanks, so all of its file
        where, names, exact = ["--doc"], [want.name.partition(" - ")[0]], []
    whole = ["--workspace"] if where in ([], ["--doc"]) and is_cargo_workspace(want.folder) else []
    options = ["--", *exact, "-Z", "unstable-options", "--format", "json"]
    argv = ["cargo", "test", "--no-fail-fast", "--quiet", *whole, *where, *names, *options]
    return Runner(
        name="cargo test", argv=lambda _: argv, report="libtest", on_stdout=True, rule=("cargo", "test"),
        env=(("RUSTC_BOOTSTRAP", "1"),),  # libtest's own report is behind this switch on stable
    )  # fmt: skip


def interpreters(shell: Shell, folder: Path) -> list[str]:
    """Pythons that may have the project's pytest: its own, those of tox and nox too, since only they have what it needs."""
    own: list[str] = []
    for around in dict.fromkeys((folder, shell.root)):
        places = [around / place / "bin/python" for place in (".venv", "venv", "env")]
        places += [*sorted(around.glob(".tox/*/bin/python")), *sorted(around.glob(".nox/*/bin/python"))]
        own += [str(path) for path in places if path.exists()]
    return own or ["python3", "python", sys.executable]


def _pytest(shell: Shell, want: Wanted, python: str) -> Runner:
    chosen = ["-k", want.keyword] if want.keyword else []
    where = [want.target + (f"::{want.name}" if want.name else "")] if want.target or want.name else []
    options = ["-v", "--color=no", "-o", "junit_family=xunit1", "-o", "junit_logging=all"]
    options += [f"--ignore={folder}" for folder in want.project.nested] if not where else []
    return Runner(
        name="pytest",
        argv=lambda folder: [python, f"{folder}/{ATTESTING}", "pytest", *options, *chosen, *where],
        report="junit",
        attested=True,
        rule=("pytest",),
        env=_path_of(shell, want),
    )


def _path_of(shell: Shell, want: Wanted) -> tuple[tuple[str, str], ...]:
    """Tests in a folder that nothing marks as a project may import from the root or from where they are: both work."""
    return () if want.project.marked or want.folder == shell.root else (("PYTHONPATH", str(shell.root)),)


def _unittest(shell: Shell, want: Wanted) -> Runner:
    if want.project.pytest_style:
        raise ToolError(
            "these tests are written for pytest, which no Python here has: install pytest in the project's "
            "environment (python3 -m venv .venv && .venv/bin/pip install pytest)"
        )
    python = interpreters(shell, want.folder)[0]
    chosen = ["-k", want.keyword] if want.keyword else []
    if want.target.endswith(".py"):
        name = want.name.partition(" ")[0]  # a subtest's parameters follow its test's name
        where = [".".join([want.target[:-3].replace("/", "."), *name.split("::")]).rstrip(".")]
    else:
        where = ["discover", "-s", want.target or _tests_folder(want.folder), "-t", "."]
    return Runner(
        name="unittest",
        argv=lambda folder: [python, f"{folder}/{ATTESTING}", "unittest", *where, *chosen],
        report="junit",
        attested=True,
        rule=("python3",),
        env=_path_of(shell, want),
    )


def _tests_folder(folder: Path) -> str:
    """Where discovery can begin: unittest enters only packages."""
    return next((name for name in ("tests", "test") if (folder / name / "__init__.py").exists()), ".")


def _node(shell: Shell, want: Wanted) -> Runner:
    where = [want.target] if want.target else []
    pattern = f"{re.escape(want.name)}$" if want.name else want.keyword
    names = ["-t", pattern] if pattern else []
    if program := project_program(shell, "vitest", want.folder):
        return Runner(
            name="vitest",
            argv=lambda r: [program, "run", "--reporter=json", f"--outputFile={r}/report", *names, *where],
            report="jest",
            rule=("vitest",),
        )
    if program := project_program(shell, "jest", want.folder):
        return Runner(
            name="jest",
            argv=lambda r: [program, "--ci", "--json", f"--outputFile={r}/report", *names, *where],
            report="jest",
            rule=("jest",),
        )
    script = test_script(want.folder)
    if script.startswith("node --test") or (not script and where):
        reporting = ["--test-reporter=junit"]
        chosen = [f"--test-name-pattern={pattern}"] if pattern else []
        return Runner(
            name="node --test",
            argv=lambda r: [
                "node",
                "--test",
                *reporting,
                f"--test-reporter-destination={r}/report",
                *chosen,
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
