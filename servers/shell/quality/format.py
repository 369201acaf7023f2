"""format_code: what the languages' own formatters would change, or the change itself."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import anyio

from ...output import ToolError, bounded, fenced, masked, one_line, visible
from ...state import audit
from ...workspace import Change, Workspace
from ..jobs.shell import Shell
from .tools import ask_tool, files_of, may_run, our_program, our_ruff, project_program, text_of, writable

_PRETTIER = (
    ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".css", ".scss", ".less", ".html", ".vue", ".svelte", ".md", ".mdx",
    ".json", ".yaml", ".yml", ".graphql",
)  # fmt: skip
_BIOME = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".css", ".json", ".jsonc", ".graphql")
_PROJECTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("prettier", _PRETTIER, ("--stdin-filepath", "{}")),
    ("biome", _BIOME, ("format", "--stdin-file-path={}")),
)
"""Formatters that a project installs for itself, with their own settings: program, endings, arguments."""
_ADVICE = (
    ((*_PRETTIER, *_BIOME), "prettier or biome, installed in the project"),
    ((".go",), "gofmt, which comes with go"),
    ((".rs",), "rustfmt, which comes with rustup"),
    ((".sh", ".bash"), "shfmt"),
    ((".toml",), "taplo"),
)
_EDITION = re.compile(r'^edition\s*=\s*"(20\d\d)"', re.MULTILINE)
_MAX_DIFF_BYTES = 32_000


async def format_code(shell: Shell, workspace: Workspace, paths: list[str], *, check: bool) -> str:
    """A diff with `check`; else change the files, as one undoable operation, and name them."""
    files, notes = await files_of(shell, workspace, paths)
    named = {path.removeprefix("./") for path in paths}
    changed: dict[str, tuple[str, str]] = {}
    candidates = await _worth_it(shell, files)
    looked = len(files) - len(candidates)  # those are in order
    for file in candidates:
        argv = _formatter(shell, file)
        text = await anyio.to_thread.run_sync(text_of, workspace, file) if argv else None
        if not argv or text is None:
            if file in named:
                wanted = next((what for ends, what in _ADVICE if file.casefold().endswith(ends)), "")
                with_it = f"; {wanted}, would be used" if wanted and not argv else ""
                notes.append(f"{one_line(file)}: no formatter for it here{with_it}")
            continue
        answer = await ask_tool(shell, argv, stdin=text)
        if answer.exit:
            failed = masked(one_line(answer.log.strip()[:300])) or "the formatter failed"
            notes.append(f"{one_line(file)}: not formatted: {failed}")
            continue
        looked += 1
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        new = mark + answer.out.decode("utf-8", "replace").removeprefix(mark)
        if new != text:
            changed[file] = (text, new)
    total = f"{looked} file{'s' * (looked != 1)}"
    tail = "".join(f"\n{note}" for note in notes[:20])
    if not changed:
        return f"nothing to change in {total}{tail}"
    if check:
        diff = "".join(_diff(file, *texts) for file, texts in changed.items())
        shown = bounded(masked(visible(diff)), _MAX_DIFF_BYTES)
        return f"{len(changed)} of {total} would change; format_code(check=false) writes them\n{fenced(shown, 'diff')}{tail}"
    changed = {file: texts for file, texts in changed.items() if writable(file, notes)}
    tail = "".join(f"\n{note}" for note in notes[:20])
    if not changed:
        return f"nothing was changed{tail}"
    changes = [
        Change(path=file, data=new.encode("utf-8", "surrogatepass")) for file, (_, new) in changed.items()
    ]
    for change, (old, _) in zip(changes, changed.values(), strict=True):
        if (await anyio.to_thread.run_sync(text_of, workspace, change.path)) != old:
            raise ToolError(f"{one_line(change.path)} has changed meanwhile; nothing was written, call again")
    done = await anyio.to_thread.run_sync(lambda: workspace.apply(changes, tool="format_code"))
    audit.record("shell", event="change", tool="format_code", op=done.id, files=len(changes))
    names = ", ".join(one_line(file) for file in changed)
    return bounded(f"{len(changed)} of {total} changed · op={done.id}\n{names}{tail}", _MAX_DIFF_BYTES)


async def _worth_it(shell: Shell, files: Sequence[str]) -> list[str]:
    """The files without those Python ones that one look at all of them finds in order."""
    python = [file for file in files if file.endswith((".py", ".pyi"))]
    if len(python) < 3:
        return list(files)
    argv = [
        our_ruff(),
        "format",
        "--diff",
        "--no-cache",
        "--force-exclude",
        "--",
        *python,
    ]
    answer = await ask_tool(shell, argv)
    wanting = {
        line[4:].split("\t")[0]
        for line in answer.out.decode("utf-8", "replace").splitlines()
        if line[:4] == "--- "
    }
    broken = {file for file in python if f"{file}:" in answer.log}
    return [file for file in files if file not in python or file in wanting or file in broken]


def _formatter(shell: Shell, file: str) -> list[str] | None:
    """The command that reads a text of this kind and writes it formatted, or None."""
    name = file.casefold()
    if name.endswith((".py", ".pyi")):
        return [
            our_ruff(),
            "format",
            "--no-cache",
            "--stdin-filename",
            f"./{file}",
            "-",
        ]
    folder = (shell.root / file).parent
    installed = [
        (found, args)
        for program, endings, args in _PROJECTS
        if name.endswith(endings)
        and (found := project_program(shell, program, folder))
        and may_run(shell, program)
    ]
    if installed:  # the one in the nearest package
        found, args = max(installed, key=lambda one: one[0].count("/"))
        return [found, *(arg.format(f"./{file}") for arg in args)]
    if name.endswith(".go") and (program := our_program(shell, "gofmt")):
        return [program]
    if name.endswith(".rs") and (program := our_program(shell, "rustfmt")):
        return [program, "--emit", "stdout", "--quiet", "--edition", _edition(shell, file)]
    if name.endswith((".sh", ".bash")) and (program := our_program(shell, "shfmt")):
        return [program, "--filename", file, "-"]
    if name.endswith(".toml") and (program := our_program(shell, "taplo")):
        return [program, "format", "--no-auto-config", "-"]
    return None


def _edition(shell: Shell, file: str) -> str:
    """The Rust edition that the nearest Cargo.toml names."""
    for folder in (shell.root / file).parents:
        manifest = folder / "Cargo.toml"
        if manifest.is_file() and (found := _EDITION.search(manifest.read_text("utf-8", "replace"))):
            return found[1]
        if folder == shell.root:
            break
    return "2021"


def _diff(file: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
