"""One search run: ripgrep where it is installed, our own worker elsewhere; both print the same records.

An engine only says where something was found. What is shown is read again, beneath the root.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ..output import ToolError, bounded, explain, masked, visible
from ..workspace.globs import is_simple
from ..workspace.outside_programs import outside_program
from ..workspace.walk import MAX_DEPTH, ignore_lines_above, is_ignored

DEADLINE_S = 20.0
ONE_THREAD_S = 0.25
Mode = Literal["lines", "files", "count", "names"]

_RECORDS = {
    "lines": re.compile(rb"([^\0]*)\0(\d+):(\d+):(\d+):[^\n]*\n"),
    "files": re.compile(rb"([^\0]*)\0"),
    "count": re.compile(rb"([^\0]*)\0(\d+)\r?\n"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for, below which place of which root."""

    root: int  # descriptor
    start: str  # real root-relative path
    is_file: bool
    pattern: str
    globs: Sequence[str] = ()  # from the root
    mode: Mode = "lines"
    fixed: bool = False
    ignore_case: bool = False
    multiline: bool = False
    depth: int | None = None
    hidden: bool = True
    ignored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A line that matches; with mode files or count only `path`, and `line` as the count."""

    path: bytes
    line: int = 0
    column: int = 0  # in bytes, from 1
    offset: int = 0  # of the line in the file, as UTF-8


_SWAPPED = bytes.maketrans(b"/\0", b"\0/")

_large: set[tuple[int, str]] = set()
"""Places, by root and folder, where one thread took longer than ONE_THREAD_S to list names. In smaller ones further
threads cost more than they save."""

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()


def search(
    query: Query,
    *,
    untrusted: Sequence[Path] = (),
    in_order: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Generator[Hit]:
    """Hits as they are found; by path with `in_order`. `check` is called often and may raise to stop.

    ripgrep is not taken from an `untrusted` folder. ToolError for a bad expression, TimeoutError when the
    deadline passes; hits found before it stay.
    """
    program = ripgrep(tuple(untrusted))
    with _spawned(query, program, in_order) as process:
        yield from _parsed(_chunks(process, check), query.mode)
        _succeeded(process)


def names(query: Query, program: str, check: Callable[[], None] = lambda: None) -> list[bytes]:
    """Paths of the files ripgrep would search, in tree order. TimeoutError when the deadline passes."""
    began = time.monotonic()
    with _spawned(query, program, in_order=False) as process:
        found = b"".join(_chunks(process, check))
        _succeeded(process)
    if time.monotonic() - began > ONE_THREAD_S:
        _large.add((query.root, query.start))
    in_order = sorted(
        found.translate(_SWAPPED).split(b"/")[:-1]
    )  # `/` sorts first: a folder's files stand behind it
    return b"/".join(in_order).translate(_SWAPPED).split(b"\0") if in_order else []


def stop_all() -> None:
    """End every search under way."""
    with _running_lock:
        for process in _running:
            process.kill()


@lru_cache(4)
def ripgrep(untrusted: tuple[Path, ...] = ()) -> str | None:
    """ripgrep's full path: on PATH, or beside this interpreter. None where there is none that may be trusted."""
    return outside_program("rg", *untrusted, beside=[os.path.dirname(sys.executable)])


@contextmanager
def _spawned(query: Query, program: str | None, in_order: bool) -> Generator[subprocess.Popen[bytes]]:
    everything = query.ignored or is_ignored(query.root, query.start)
    with ExitStack() as stack:
        try:
            if program:
                rules = _rules(stack, query, everything)
                argv, stdin = _ripgrep_argv(program, query, rules, everything, in_order), b""
                env, cwd = {"LC_ALL": "C.UTF-8"}, _folder_of(query.root)
            else:
                argv = [sys.executable, "-P", "-c", "from servers.files.python_search import main; main()"]
                env, cwd = {"PYTHONPATH": str(Path(__file__).parents[2])}, None
                stdin = _question(query, everything)
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                pass_fds=[query.root],
                env=env,
            )
        except OSError as exc:
            raise ToolError(f"the search could not be started: {explain(exc)}") from exc
        with _running_lock:
            _running.add(process)
        stack.callback(_end, process)
        if process.stdin:
            with suppress(BrokenPipeError):
                process.stdin.write(stdin)
                process.stdin.close()
        yield process


def _succeeded(process: subprocess.Popen[bytes]) -> None:
    said = process.stderr.read(4000).decode("utf-8", "replace").strip() if process.stderr else ""
    if process.wait() == 2 and said:
        raise ToolError(f"the search failed: {visible(bounded(masked(said), 600))}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with suppress(BrokenPipeError):
            pipe.close() if pipe else None
    with _running_lock:
        _running.discard(process)


def _rules(stack: ExitStack, query: Query, everything: bool) -> list[str]:
    """The option that names a file with ignore lines ripgrep would not find itself; none where there are none."""
    above = [] if everything else ignore_lines_above(query.root, query.start)
    lines = [*_all_but(query.globs), *above]
    if not lines:
        return []
    file = stack.enter_context(tempfile.NamedTemporaryFile("w", encoding="utf-8"))  # noqa: SIM115
    file.write("\n".join(lines))
    file.flush()
    return [f"--ignore-file={file.name}"]


def _question(query: Query, everything: bool) -> bytes:
    fields = ("root", "start", "is_file", "pattern", "mode", "fixed", "ignore_case", "multiline")
    question = {name: getattr(query, name) for name in fields}
    return json.dumps(question | {"globs": list(query.globs), "ignored": everything}).encode()


def _ripgrep_argv(
    program: str, query: Query, rules: Sequence[str], everything: bool, in_order: bool
) -> list[str]:
    argv = [program, "--no-config", "--no-messages", "--color=never", "--null", "--with-filename"]
    argv += {
        "lines": ["--no-heading", "--line-number", "--column", "--byte-offset", "--max-columns=1"],
        "files": ["--files-with-matches"],
        "count": ["--count"],
        "names": ["--files"],
    }[query.mode]
    argv += ["--hidden", "--no-ignore-dot", "--no-ignore-exclude", "--no-ignore-global", "--no-ignore-parent"]
    argv += ["--no-require-git", *rules, *(["--no-ignore"] if everything else [])]
    argv += ["--sort=path"] if in_order else []
    argv += ["--fixed-strings"] if query.fixed else []
    argv += ["--ignore-case"] if query.ignore_case else ["--case-sensitive"]
    argv += ["--multiline"] if query.multiline else ["--crlf"]
    argv += [] if query.depth is None else [f"--max-depth={min(query.depth, MAX_DEPTH)}"]
    argv += [] if query.hidden else ["--glob=!.*"]
    for glob in query.globs:
        if glob.startswith("!"):  # other globs would search ignored files too
            argv += [f"--glob={glob}", f"--glob=!{_inside(glob[1:])}"]
    if _by_name(query.globs):
        argv += [*(f"--type-add=wanted:{glob}" for glob in query.globs), "--type=wanted"]
    argv.append("--glob=!.git")
    if query.mode == "names":
        argv += [] if (query.root, query.start) in _large else ["--threads=1"]
        return [*argv, "--", *([query.start] if query.start else [])]
    return [*argv, "-e", query.pattern, "--", f"./{query.start}" if query.start else "."]


def _all_but(globs: Sequence[str]) -> list[str]:
    """Ignore lines that leave the files these globs want, and all folders."""
    if _by_name(globs):
        return []
    wanted = [glob for glob in globs if not glob.startswith("!")]
    lines = [line for glob in wanted for line in (f"!{glob}", f"!{_inside(glob)}")]
    return ["*", "!*/", *lines] if wanted else []


def _by_name(globs: Sequence[str]) -> bool:
    """Whether the globs can be a file type, which ripgrep matches by name without touching what is ignored."""
    return bool(globs) and all(map(is_simple, globs))


def _inside(glob: str) -> str:
    """What lies below a folder that matches, as .gitignore has it."""
    return f"{'' if '/' in glob else '**/'}{glob.removesuffix('/')}/**"


def _folder_of(root: int) -> str:
    """The root by its descriptor, so that nobody can put another folder in its place."""
    if sys.platform == "linux":
        return f"/proc/self/fd/{root}"
    import fcntl

    return os.fsdecode(fcntl.fcntl(root, 50, b"\0" * 1024).split(b"\0", 1)[0])  # F_GETPATH of macOS


def _chunks(process: subprocess.Popen[bytes], check: Callable[[], None]) -> Generator[bytes]:
    assert process.stdout
    fd = process.stdout.fileno()
    deadline = time.monotonic() + DEADLINE_S
    while True:
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"the search took longer than {DEADLINE_S:.0f} s and was stopped")
        if select.select([fd], [], [], 0.05)[0]:
            data = os.read(fd, 1 << 16)
            if not data:
                return
            yield data


def _parsed(chunks: Generator[bytes], mode: Mode) -> Generator[Hit]:
    record = _RECORDS[mode]
    rest = b""
    for data in chunks:
        rest += data
        end = 0
        for match in record.finditer(rest):
            path, *numbers = match.groups()
            line, column, offset = (*map(int, numbers), 0, 0, 0)[:3]
            yield Hit(path=path.removeprefix(b"./"), line=line, column=column, offset=offset)
            end = match.end()
        rest = rest[end:]
