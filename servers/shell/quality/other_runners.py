"""Test runners that run_tests does not run: found by their files, so that no pass leaves them out in silence."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from .small_files import json_of, text_of

_MAKE = ("Makefile", "makefile", "GNUmakefile")
_JUST = ("justfile", "Justfile", ".justfile")
_MAKES_TEST = re.compile(r"^(?:test|tests|check)\s*:(?!=)", re.MULTILINE)
_WHOLE_BUILD = frozenset(("gradle", "maven", "dotnet", "cmake"))  # one command at the top tests all below
_SAMPLES = frozenset(("fixtures", "__fixtures__", "testdata", "test_data"))  # what tests read, not tests
_CALLS = {
    "python": r"pytest|unittest|tox|nox",
    "node": r"\b(?:npm|yarn|pnpm|npx|node|jest|vitest)\b",
    "go": r"\bgo\b.*\btest\b|gotestsum",
    "cargo": r"\bcargo\b",
}
"""What a Makefile says that starts the tests of a project which run_tests runs itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRunner:
    """Tests in a folder, and the command that would run them there."""

    name: str
    command: str
    folder: Path  # absolute

    def told(self, root: Path) -> str:
        """`lib (tox): run_command("tox", cwd="lib") runs it`."""
        place = os.path.relpath(self.folder, root)
        where = "" if place == "." else f', cwd="{place}"'
        return f'{place} ({self.name}): run_command("{self.command}"{where}) runs it'


def seen(folder: Path, names: Collection[str]) -> Iterable[OtherRunner]:
    """The runners that the files of one folder speak of."""
    for name, command in _commands(folder, frozenset(names)):
        yield OtherRunner(name=name, command=command, folder=folder)


def _commands(folder: Path, names: frozenset[str]) -> Iterable[tuple[str, str]]:
    if (
        "tox.ini" in names
        or _says(folder / "setup.cfg", r"^\[tox:tox\]")
        or _says(folder / "pyproject.toml", r"^\[tool\.tox\]")
    ):
        yield "tox", "tox"
    if "noxfile.py" in names:
        yield "nox", "nox"
    if {"build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"} & names:
        yield "gradle", "./gradlew test" if "gradlew" in names else "gradle test"
    if "pom.xml" in names:
        yield "maven", "./mvnw test" if "mvnw" in names else "mvn test"
    for make in _MAKE:
        if make in names and (found := _MAKES_TEST.search(text_of(folder / make))):
            yield "make", f"make {found[0].partition(':')[0].strip()}"
            break
    if any("test" in json_of(folder / name).get("tasks", ()) for name in ("deno.json", "deno.jsonc")):
        yield "deno", "deno task test"
    elif {"deno.json", "deno.jsonc"} & names:
        yield "deno", "deno test"
    if "mix.exs" in names:
        yield "mix", "mix test"
    if {"phpunit.xml", "phpunit.xml.dist"} & names:
        yield "phpunit", "vendor/bin/phpunit"
    elif "test" in json_of(folder / "composer.json").get("scripts", ()):
        yield "composer", "composer test"
    if ".rspec" in names or (folder / "spec/spec_helper.rb").exists():
        yield "rspec", "bundle exec rspec"
    elif _says(folder / "Rakefile", r"TestTask|^\s*task\s+:?[\"']?test\b"):
        yield "rake", "rake test"
    if "Package.swift" in names:
        yield "swift", "swift test"
    if "build.sbt" in names:
        yield "sbt", "sbt test"
    if any(name.endswith((".sln", ".slnx")) for name in names) or any(
        "Microsoft.NET.Test.Sdk" in text_of(folder / name) for name in names if name.endswith("proj")
    ):
        yield "dotnet", "dotnet test"
    if _says(folder / "CMakeLists.txt", r"^\s*enable_testing\s*\("):
        yield "cmake", "cmake -B build && cmake --build build && ctest --test-dir build"
    if _says(folder / "meson.build", r"^\s*test\s*\("):
        yield "meson", "meson setup build && meson test -C build"
    if "pubspec.yaml" in names and (folder / "test").is_dir():
        yield "dart", "dart test"
    if "rebar.config" in names:
        yield "rebar3", "rebar3 eunit"
    if any(name.endswith(".bats") for name in names):
        yield "bats", "bats ."
    for just in _JUST:
        if just in names and _says(folder / just, r"^tests?\b[^:=\n]*:(?!=)"):
            yield "just", "just test"
            break


def node(folder: Path) -> OtherRunner:
    """JavaScript tests that no package.json is around of."""
    return OtherRunner(name="node", command="node --test", folder=folder)


def left_over(
    root: Path, found: Iterable[OtherRunner], run: Collection[tuple[str, Path]]
) -> list[OtherRunner]:
    """Those whose tests are not run by the projects (kind and folder) that run_tests runs itself."""
    kept: list[OtherRunner] = []
    for one in sorted(set(found), key=lambda one: (len(one.folder.parts), str(one.folder), one.name)):
        whole = one.name in _WHOLE_BUILD and any(
            one.name == other.name and one.folder.is_relative_to(other.folder) for other in kept
        )
        sample = not _SAMPLES.isdisjoint(one.folder.relative_to(root).parts)
        if not (sample or whole or _without_tests(one) or _stands_for(one, run)):
            kept.append(one)
    return kept


def _without_tests(one: OtherRunner) -> bool:
    """A Gradle or Maven build in the usual layout that holds a program and no tests, as in a mobile app's folder."""
    if one.name not in ("gradle", "maven"):
        return False
    layouts = [src for depth in ("src", "*/src") for src in one.folder.glob(depth)]
    return any((src / "main").is_dir() for src in layouts) and not any(
        child.name.lower().endswith("test") for src in layouts for child in src.iterdir()
    )


def _stands_for(one: OtherRunner, run: Collection[tuple[str, Path]]) -> bool:
    """Whether it is another way to start the tests of projects in its folder or below."""
    kinds = {kind for kind, folder in run if folder.is_relative_to(one.folder)}
    if one.name in ("tox", "nox"):
        return "python" in kinds
    if one.name in ("make", "just", "rake"):
        text = "".join(text_of(one.folder / name) for name in (*_MAKE, *_JUST, "Rakefile"))
        return any(re.search(_CALLS[kind], text) for kind in kinds)
    return False


def _says(path: Path, pattern: str) -> bool:
    return bool(re.search(pattern, text_of(path), re.MULTILINE | re.IGNORECASE))
