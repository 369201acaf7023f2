"""Programs that look at code, run in the sandbox with their answer in a file of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from ...output import ToolError, one_line
from ...state.home import home
from ...workspace import Workspace
from ...workspace.outside_programs import outside_program
from ...workspace.protected_paths import asks, protected, secret
from ..jobs.job_report import recorded
from ..jobs.shell import Shell

MAX_FILES = 2000
MAX_FILE_BYTES = 4 << 20
MAX_ANSWER_BYTES = 32 << 20
TOOL_S = 60.0
LITTER = frozenset(
    (
        "node_modules",
        "__pycache__",
        "venv",
        "env",
        "build",
        "dist",
        "target",
        "vendor",
        "site-packages",
        "htmlcov",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool said on stdout; `log` is the end of its stderr."""

    exit: int
    out: bytes
    log: str


async def ask_tool(shell: Shell, argv: Sequence[str], *, stdin: str = "") -> Answer:
    """Run a tool of ours or the project's on what the policy has let through. Raises ToolError when it cannot run.

    stdout goes to a file the command cannot name beforehand, not through the job's log: the log is masked.
    """
    with private_folder() as folder:
        out = folder / "out"
        job = await shell.start(
            None,
            ["bash", "-c", 'exec "$@" >"$0"', str(out), *argv],
            timeout_s=TOOL_S,
            stdin=stdin,
            extra=folder,
        )
        try:
            await job.wait(TOOL_S + 5)
        finally:
            if job.running:
                job.send({"kill": 0})
        if job.ended is None or job.ended["ended"] != "exit":
            raise ToolError(
                f"{Path(argv[0]).name} did not finish: {job.failure or 'it took more than a minute'}"
            )
        data = await anyio.to_thread.run_sync(read_private, out)
        return Answer(exit=job.ended["exit"], out=data or b"", log=recorded(job, 0, 2000).text.strip())


@contextmanager
def private_folder() -> Generator[Path]:
    """A folder outside the workspace with a name nobody can guess, gone afterwards."""
    folder = home() / "shell" / "reports" / secrets.token_hex(16)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_private(path: Path) -> bytes | None:
    """What a command left there; None when there is nothing, too much, or something it put in the file's place.

    A link would otherwise be followed out here, where nothing holds us back.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        fits = stat.S_ISREG(info.st_mode) and info.st_nlink == 1 and info.st_size <= MAX_ANSWER_BYTES
        return file.read(MAX_ANSWER_BYTES) if fits else None


def our_program(shell: Shell, name: str) -> str | None:
    """A program installed beside us, else on PATH outside the workspace."""
    beside = Path(sys.prefix) / "bin" / name
    return str(beside) if beside.exists() else outside_program(name, shell.root)


def our_ruff() -> str:
    """ruff, which is always installed beside us."""
    return str(Path(sys.prefix) / "bin" / "ruff")


def project_program(shell: Shell, name: str, folder: Path | None = None) -> str | None:
    """A program the project has installed for itself: in this folder, in one around it, or at the top."""
    around = folder or shell.root
    within = [one for one in (around, *around.parents) if one.is_relative_to(shell.root)]
    for one in dict.fromkeys([*within, shell.root]):
        for place in ("node_modules/.bin", ".venv/bin", "venv/bin", "vendor/bin"):
            if (path := one / place / name).exists():
                return str(path)
    return None


def may_run(shell: Shell, *argv: str) -> bool:
    """Whether the policy lets a project's own tool run unasked."""
    return shell.judge(None, list(argv)).effect == "allow"


async def files_of(shell: Shell, workspace: Workspace, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files that `paths` name, root-relative, folders walked; and notes on what was left out.

    Raises ToolError for a path that is outside or not there.
    """
    if not paths:
        raise ToolError("paths is empty; name files or folders, '.' is the whole project")
    return await anyio.to_thread.run_sync(_walk, shell, workspace, list(paths))


def _walk(shell: Shell, workspace: Workspace, paths: list[str]) -> tuple[list[str], list[str]]:
    found: dict[str, None] = {}
    for path in paths:
        fd, _, real = workspace.open_real(path)
        os.close(fd)
        place = shell.root / real
        if place.is_file():
            found[real] = None
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(f for f in folders if f not in LITTER and not f.startswith("."))
            for name in sorted(names):
                one = Path(folder, name)
                rel = one.relative_to(shell.root).as_posix()
                if one.is_symlink() or not one.is_file() or secret(rel):
                    continue
                found[rel] = None
                if len(found) > MAX_FILES:
                    return list(found)[:MAX_FILES], [
                        f"more than {MAX_FILES:,} files; only the first were looked at"
                    ]
    return list(found), []


def writable(file: str, notes: list[str]) -> bool:
    """Whether a tool may change this file without anybody's yes; why not goes to `notes`."""
    if rule := protected(file) or asks(file):
        notes.append(f"{one_line(file)} was left as it is: such a file runs code later ({rule})")
    return not rule


def text_of(workspace: Workspace, file: str) -> str | None:
    """The text of a file, None when it is too large or not UTF-8."""
    with suppress(ToolError, UnicodeDecodeError):
        return workspace.read(file, MAX_FILE_BYTES).decode("utf-8")
    return None


def relative(shell: Shell, name: str) -> str:
    """A file as a tool names it, root-relative."""
    with suppress(ValueError):
        return one_line(Path(os.path.normpath(shell.root / name)).relative_to(shell.root).as_posix())
    return one_line(Path(name).name)
