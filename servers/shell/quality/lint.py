"""lint: what the tools of the trade say about files, as one list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import anyio

from ...output import masked, one_line
from ...source import syntax_check
from ...state import audit
from ...workspace import Change, Workspace
from ..jobs.shell import Shell
from .results import MAX_RECORD_BYTES, Finding, LintReport
from .tools import (
    ask_tool,
    files_of,
    may_run,
    our_program,
    our_ruff,
    project_program,
    relative,
    text_of,
    writable,
)

_PYTHON = (".py", ".pyi", ".ipynb")
_SCRIPT = (".sh", ".bash", ".bats")
_ESLINT = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue", ".svelte")
_MAX_MESSAGE = 300


async def lint(shell: Shell, workspace: Workspace, paths: list[str], *, fix: bool) -> LintReport:
    """Look at files and folders; with `fix`, make the safe fixes first, as one undoable operation."""
    files, notes = await files_of(shell, workspace, paths)
    op, fixed = await _fix(shell, workspace, files, notes) if fix else (None, [])
    found = [
        *await _ruff(shell, _ending(files, _PYTHON), notes),
        *await _scripts(shell, files),
        *_told(shell, await _eslint(shell, _ending(files, _ESLINT), notes)),
    ]
    broken = {finding.file for finding in found if finding.code is None}
    rest = [file for file in files if file not in broken]
    found += await anyio.to_thread.run_sync(_data, workspace, rest)
    found.sort(key=lambda f: (f.file, f.line or 0, f.col or 0, f.code or ""))
    shown = _fitting(found)
    return LintReport(findings=shown, total=len(found), files=len(files), fixed=fixed, op=op, notes=notes)


async def _ruff(shell: Shell, files: list[str], notes: list[str]) -> list[Finding]:
    """Python by ruff, with the project's configuration when that can be read."""
    if not files:
        return []
    options = ["--no-cache", "--force-exclude", "--output-format", "json", "--exit-zero"]
    for more in ([], ["--isolated"]):
        answer = await ask_tool(shell, [our_ruff(), "check", *more, *options, "--", *files])
        if answer.exit == 0:
            break
        if not more:
            notes.append(
                f"ruff could not use the project's configuration, so its own defaults hold: {_short(answer.log[-300:])}"
            )
    return [
        _finding(
            shell, row["filename"], row["location"]["row"], row["location"]["column"],
            None if row["code"] == "invalid-syntax" else row["code"], row["message"],
            fixable=(row["fix"] or {}).get("applicability") == "safe",
        )
        for row in _json(answer.out)
    ]  # fmt: skip


async def _fix(
    shell: Shell, workspace: Workspace, files: list[str], notes: list[str]
) -> tuple[str | None, list[str]]:
    """Make ruff's and eslint's safe fixes through the workspace, so that they can be undone."""
    before = await _ruff(shell, _ending(files, _PYTHON), [])
    changes: list[Change] = []
    for file in dict.fromkeys(finding.file for finding in before if finding.fixable):
        text = await anyio.to_thread.run_sync(text_of, workspace, file)
        if text is None or not writable(file, notes):
            continue
        argv = [our_ruff(), "check", "--no-cache", "--fix-only", "--quiet", "--exit-zero"]
        answer = await ask_tool(shell, [*argv, "--stdin-filename", f"./{file}", "-"], stdin=text)
        if answer.exit == 0 and not answer.log and answer.out != text.encode():
            changes.append(Change(path=file, data=_unless_changed(text.encode(), answer.out)))
    for row in await _eslint(shell, _ending(files, _ESLINT), [], "--fix-dry-run"):
        file = relative(shell, row["filePath"])
        text = await anyio.to_thread.run_sync(text_of, workspace, file) if "output" in row else None
        if text is not None and text != row["output"] and writable(file, notes):
            changes.append(Change(path=file, data=_unless_changed(text.encode(), row["output"].encode())))
    if not changes:
        return None, []
    done = await anyio.to_thread.run_sync(lambda: workspace.apply(changes, tool="lint"))
    audit.record("shell", event="change", tool="lint", op=done.id, files=len(changes))
    return done.id, [change.path for change in changes]


def _unless_changed(seen: bytes, new: bytes) -> Callable[[bytes | None], bytes | None]:
    """New content for a file that still is what the tool was given."""

    def choose(old: bytes | None) -> bytes | None:
        return new if old == seen else old

    return choose


async def _scripts(shell: Shell, files: list[str]) -> list[Finding]:
    """Shell scripts by shellcheck where there is one, else by what their own shell says without running them."""
    found: list[Finding] = []
    scripts = _ending(files, _SCRIPT)
    if not scripts:
        return []
    if checker := our_program(shell, "shellcheck"):
        answer = await ask_tool(shell, [checker, "--norc", "-f", "json", "--", *scripts])
        for row in _json(answer.out):
            message, fixable = row["message"], row.get("fix") is not None
            found.append(
                _finding(
                    shell,
                    row["file"],
                    row["line"],
                    row["column"],
                    f"SC{row['code']}",
                    message,
                    fixable=fixable,
                )
            )
        return found
    for file in scripts:
        answer = await ask_tool(shell, ["bash", "-n", "--", file])
        for line in answer.log.splitlines() if answer.exit else []:
            _, _, rest = line.partition(": line ")
            number, _, message = rest.partition(": ")
            if number.isdigit() and not message.startswith("`"):  # the line quoted below its message
                found.append(_finding(shell, file, int(number), None, None, message))
    return found


async def _eslint(shell: Shell, files: list[str], notes: list[str], *options: str) -> list[dict[str, Any]]:
    """What the project's own eslint says of each file: its configuration is code, so the policy decides."""
    program = project_program(shell, "eslint") if files else None
    if program is None:
        return []
    if not may_run(shell, "eslint"):
        notes.append("eslint did not run: the policy asks before it, and lint does not ask")
        return []
    argv = [program, "--format", "json", "--no-error-on-unmatched-pattern", *options, "--", *files]
    answer = await ask_tool(shell, argv)
    rows = _json(answer.out)
    if answer.exit > 1 or not isinstance(rows, list):
        notes.append(f"eslint failed: {one_line(answer.log[-300:])}")
        return []
    return rows


def _told(shell: Shell, rows: list[dict[str, Any]]) -> list[Finding]:
    """eslint's messages, but for those on files that are none of its business."""
    return [
        _finding(
            shell, row["filePath"], m.get("line"), m.get("column"), m.get("ruleId"), m["message"],
            fixable="fix" in m,
        )
        for row in rows
        for m in row["messages"]
        if m.get("line") is not None or m.get("ruleId") or m.get("fatal")
    ]  # fmt: skip


def _data(workspace: Workspace, files: list[str]) -> list[Finding]:
    """What does not parse: data files, and the languages no linter here has looked at."""
    found: list[Finding] = []
    for file in files:
        name = file.casefold()
        if name.endswith((*_PYTHON, *_SCRIPT)) or (text := text_of(workspace, file)) is None:
            continue
        check = syntax_check.checker(name)
        try:
            problem = check(text.removeprefix("\ufeff")) if check else None
        except syntax_check.TOO_HARD as exc:
            problem = syntax_check.Problem(None, None, f"not checked: {syntax_check.why(exc)}")
        if problem:
            one = Finding(
                file=one_line(file),
                line=problem.line,
                col=problem.col,
                code=None,
                message=_short(problem.message),
                fixable=False,
            )
            found.append(one)
    return found


def _finding(
    shell: Shell,
    file: str,
    line: int | None,
    col: int | None,
    code: str | None,
    message: str,
    *,
    fixable: bool = False,
) -> Finding:
    return Finding(
        file=relative(shell, file), line=line, col=col, code=code, message=_short(message), fixable=fixable
    )


def _short(message: str) -> str:
    return masked(one_line(message))[:_MAX_MESSAGE]


def _fitting(found: list[Finding]) -> list[Finding]:
    room, shown = MAX_RECORD_BYTES // 2, list[Finding]()  # a record travels as text and as structure
    for finding in found:
        room -= len(finding.model_dump_json()) + 1
        if room < 0:
            break
        shown.append(finding)
    return shown


def _ending(files: list[str], endings: Iterable[str]) -> list[str]:
    return [file for file in files if file.casefold().endswith(tuple(endings))]


def _json(data: bytes) -> Any:
    try:
        return json.loads(data or b"[]")
    except ValueError:
        return []
