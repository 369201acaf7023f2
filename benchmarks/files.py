"""How fast the files server is, as ratios against ripgrep itself, a plain Python read and the reference server.

    python -m benchmarks.files [--rounds N] [--files N] [--log-mb N] [--json]

Every call of ours goes through an MCP client to a real server process; so do the reference server's. A ratio below 1
means ours took less time. Aims on a quiet machine: content search at most 1.3 of ripgrep, the next page of a huge log
at most 0.05 of a plain Python read, calls no slower than the reference's. The reference server needs node and npm (the
package @modelcontextprotocol/server-filesystem, fetched into a temporary folder) or its folder in REFERENCE_FILES;
without them its lines say so.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import psutil
from mcp import Client

from benchmarks.ratios import Row, Work, calling, connected, pair, ratio, report

BIN = Path(sys.executable).parent
PAGE = 2000
AT_MOST = {
    "search, ": 1.3,
    "names by glob / rg": 1.2,
    "log, next page there": 0.05,
    "edit 1 KB": 1.2,
    "read 1 KB": 1.0,
    "log, first 300": 1.0,
    "log, last 300": 1.0,
    "list 100 files": 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="runs of each side, in turn (default: %(default)s)"
    )
    parser.add_argument("--files", type=int, default=20_000, help="files in the tree (default: %(default)s)")
    parser.add_argument("--log-mb", type=int, default=200, help="size of the log (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_HOME"] = str(Path(folder) / "home")
        root = Path(folder) / "root"
        lines = make(root, options.files, options.log_mb << 20)
        rows = anyio.run(measure, root, Path(folder), lines, options.rounds)
    report(rows, as_json=options.json, at_most=AT_MOST)


def make(root: Path, files: int, log_bytes: int) -> int:
    """A tree of source-like files, and one log; the number of its lines."""
    draw = random.Random(1)
    words = [f"word{i}" for i in range(3000)] + ["import", "return", "KeyError", "class"] * 20
    for i in range(files):
        path = root / f"pkg{i // 2000}/mod{i // 100}/f{i % 100}.{draw.choice(['py', 'py', 'js', 'md'])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(" ".join(draw.choices(words, k=7)) + "\n" for _ in range(draw.randint(20, 150)))
        path.write_text(text + ("the_rare_needle\n" if i % 997 == 0 else ""), encoding="utf-8")
    line = b"2026-11-21T00:00:00Z INFO request %09d served in 12 ms by worker 7\n"
    size = len(line % 0)
    with open(root / "big.log", "wb") as log:
        log.writelines(
            b"".join(line % n for n in range(at, at + 10_000)) for at in range(0, log_bytes // size, 10_000)
        )
    (root / "small.txt").write_text("x" * 1000 + "\n", encoding="utf-8")
    return os.path.getsize(root / "big.log") // size


async def measure(root: Path, folder: Path, lines: int, rounds: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    async with AsyncExitStack() as stack:
        ours, our_process = await started(stack, [str(BIN / "understudy-files"), str(root)])
        call = calling(ours)
        await against_ripgrep(rows, call, root, rounds)
        await against_python(rows, call, root, lines, rounds)
        found = reference(folder)
        if found is None:
            rows["against the reference server"] = "not measured: node, npm or the package is missing"
        else:
            theirs, their_process = await started(stack, ["node", found, str(root)])
            await against_reference(rows, call, calling(theirs), root, rounds)
            rows["peak memory / reference"] = memory(our_process, their_process)
    return rows


async def against_ripgrep(rows: dict[str, Row], call: Callable[..., Work], root: Path, rounds: int) -> None:
    rg = shutil.which("rg")
    if rg is None:
        rows["against ripgrep"] = "not measured: rg is not on PATH"
        return
    for name, pattern in (
        ("rare word", "the_rare_needle"),
        ("two words", "word12 word1"),
        ("regex", r"\w+Error\s+word\d5"),
    ):
        rows[f"search, {name} / rg -n"] = await pair(
            call("search_files", pattern=pattern), running([rg, "-n", pattern, "."], root), rounds
        )
    rows["search, files only / rg -l"] = await pair(
        call("search_files", pattern="word12 word1", mode="files"),
        running([rg, "-l", "word12 word1", "."], root),
        rounds,
    )
    rows["names by glob / rg --files"] = await pair(
        call("list_files", glob="**/*.py"), running([rg, "--files", "-g", "*.py"], root), rounds
    )


async def against_python(
    rows: dict[str, Row], call: Callable[..., Work], root: Path, lines: int, rounds: int
) -> None:
    first = lines * 2 // 3

    def read_on() -> None:
        with open(root / "big.log", encoding="utf-8") as log:
            list(islice(log, first, first + PAGE))

    def read_all() -> None:
        with open(root / "big.log", encoding="utf-8") as log:
            log.readlines()[-PAGE:]

    async def plain() -> None:
        read_on()

    async def plain_tail() -> None:
        read_all()

    started = perf_counter()
    await call("read_file", path="big.log", offset=first)()
    rows["log, first jump to two thirds / Python islice"] = ratio(
        perf_counter() - started, await timed(plain)
    )
    rows["log, next page there / Python islice"] = await pair(
        call("read_file", path="big.log", offset=first + 700), plain, rounds
    )
    rows["log, last lines / Python readlines"] = await pair(
        call("read_file", path="big.log", offset=-PAGE), plain_tail, rounds
    )


async def against_reference(
    rows: dict[str, Row], ours: Callable[..., Work], theirs: Callable[..., Work], root: Path, rounds: int
) -> None:
    many = rounds * 20
    small, log = str(root / "small.txt"), str(root / "big.log")
    module = str(root / "pkg0/mod0")
    rows["read 1 KB / reference"] = await pair(
        ours("read_file", path="small.txt"), theirs("read_text_file", path=small), many
    )
    rows["log, first 300 lines / reference"] = await pair(
        ours("read_file", path="big.log", limit=300), theirs("read_text_file", path=log, head=300), many
    )
    rows["log, last 300 lines / reference"] = await pair(
        ours("read_file", path="big.log", offset=-300), theirs("read_text_file", path=log, tail=300), many
    )
    rows["list 100 files with sizes / reference"] = await pair(
        ours("list_files", path="pkg0/mod0"), theirs("list_directory_with_sizes", path=module), many
    )
    rows["names by glob / reference"] = await pair(
        ours("list_files", glob="**/*.py"), theirs("search_files", path=str(root), pattern="**/*.py"), rounds
    )
    rows["edit 1 KB / reference"] = await edits(ours, theirs, root, many)
    for name, tool, key_old, key_new, call in (
        ("ours", "edit_file", "old", "new", ours),
        ("reference", "edit_file", "oldText", "newText", theirs),
    ):
        rows[f"20 edits of one file at once, applied: {name}"] = await at_once(
            call, tool, key_old, key_new, root
        )


async def edits(
    ours: Callable[..., Work], theirs: Callable[..., Work], root: Path, rounds: int
) -> dict[str, Any]:
    """Seconds of one edit there and back."""
    (root / "e1.txt").write_text("a\n" + "x" * 1000, encoding="utf-8")
    (root / "e2.txt").write_text("a\n" + "x" * 1000, encoding="utf-8")

    async def mine() -> None:
        for old, new in (("a\n", "b\n"), ("b\n", "a\n")):
            await ours("edit_file", path="e1.txt", edits=[{"old": old, "new": new}])()

    async def other() -> None:
        for old, new in (("a\n", "b\n"), ("b\n", "a\n")):
            await theirs("edit_file", path=str(root / "e2.txt"), edits=[{"oldText": old, "newText": new}])()

    return await pair(mine, other, rounds)


async def at_once(call: Callable[..., Work], tool: str, old: str, new: str, root: Path) -> str:
    path = root / "many.txt"
    path.write_text("".join(f"<{i}>\n" for i in range(20)), encoding="utf-8")
    async with anyio.create_task_group() as group:
        for i in range(20):
            group.start_soon(call(tool, path=str(path), edits=[{old: f"<{i}>", new: f"<done {i}>"}]))
    return f"{path.read_text(encoding='utf-8').count('done')} of 20"


async def started(stack: AsyncExitStack, command: list[str]) -> tuple[Client, psutil.Process]:
    """The client, and the server's process."""
    before = set(psutil.Process().children())
    client = await connected(stack, command)
    return client, next(iter(set(psutil.Process().children()) - before))


def running(command: list[str], folder: Path) -> Work:
    async def work() -> object:
        return await anyio.run_process(command, cwd=folder, check=False)

    return work


async def timed(work: Work) -> float:
    started = perf_counter()
    await work()
    return perf_counter() - started


def memory(ours: psutil.Process, theirs: psutil.Process) -> str:
    peaks = [peak_mb(process) for process in (ours, theirs)]
    if None in peaks:
        return "not measured: this system does not say"
    return f"{peaks[0]:.0f} MB against {peaks[1]:.0f} MB"


def peak_mb(process: psutil.Process) -> float | None:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def reference(folder: Path) -> str | None:
    """The reference server's program, fetched when it can be."""
    place = Path(os.environ.get("REFERENCE_FILES", folder / "reference"))
    program = place / "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
    if not program.exists() and shutil.which("node") and shutil.which("npm"):
        command = [
            "npm",
            "install",
            "--silent",
            "--prefix",
            str(place),
            "@modelcontextprotocol/server-filesystem",
        ]
        subprocess.run(command, check=False, capture_output=True, timeout=180)
    return str(program) if program.exists() and shutil.which("node") else None


if __name__ == "__main__":
    main()
