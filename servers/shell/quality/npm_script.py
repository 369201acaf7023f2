"""What a package.json's test script runs beside the one runner that stands for it: what no report speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .small_files import json_of

_MAX_PARTS = 50
_RUNS_SCRIPT = re.compile(r"(?:npm|pnpm|yarn|bun)\s+(?:run(?:-script)?\s+)?([\w:.-]+)")
_RUNS_SCRIPTS = re.compile(r"(?:npm-run-all2?|run-s|run-p)\s+(.*)")
_BEFORE_PROGRAM = re.compile(r"^(?:\w+=\S*\s+|(?:npx|cross-env|dotenv|c8|nyc|env)\s+(?:--\s+)?|-\S+\s+)*")
_NO_TESTS = re.compile(
    r"(?:true|exit|echo|cd|rm|mkdir|cp|rimraf|tsc|vue-tsc|eslint|prettier|biome|stylelint|standard|xo|tsup|webpack|rollup"
    r"|esbuild|babel|vite build|(?:lint|build|format|typecheck|type-check|types|clean|compile|check-types)\b.*)(?:\s|$)"
)


def test_script(folder: Path) -> str:
    """The test script of a package.json; "" when it has none, or npm's placeholder."""
    script = _scripts(folder).get("test", "")
    return "" if "no test specified" in script else script


def beyond(folder: Path, runner: str) -> list[str]:
    """The commands of the test script that may test something and do not start `runner`."""
    scripts = _scripts(folder)
    todo, seen, left = [test_script(folder)], set[str](), list[str]()
    while todo and len(seen) < _MAX_PARTS:
        for part in re.split(r"&&|\|\||[;&|\n]", todo.pop(0)):
            command = _BEFORE_PROGRAM.sub("", part.strip())
            if not command or command in seen:
                continue
            seen.add(command)
            if inner := _named(command, scripts):
                todo += inner
            elif not _NO_TESTS.match(command) and not command.startswith(runner):
                left.append(command)
    return left


def _named(command: str, scripts: Mapping[str, str]) -> list[str]:
    """The scripts of the same file that a command starts."""
    if many := _RUNS_SCRIPTS.match(command):
        return [scripts[name] for name in many[1].split() if name in scripts and not _NO_TESTS.match(name)]
    one = _RUNS_SCRIPT.match(command)
    return [scripts[one[1]]] if one and one[1] in scripts and not _NO_TESTS.match(one[1]) else []


def _scripts(folder: Path) -> dict[str, str]:
    found = json_of(folder / "package.json").get("scripts")
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
