"""How fast the git server is, as ratios against the plain git command and the reference Python git server.

    python -m benchmarks.git [--rounds N] [--files N] [--commits N] [--json]

Every call of ours goes through the SDK's client to a real server process over stdio; so do the reference
server's. A ratio below 1 means ours took less time. Before each call ours looks through the git dir and its
configuration, so in a small repository a call costs a few milliseconds more than the bare command. Aims on a
quiet machine, 20,000 files: status and diff at most 1.3 of plain git and 1.1 of the reference, log at most 0.8
of the reference.

The reference is PyPI's mcp-server-git in a virtual environment of its own (made under the temporary folder,
kept for the next run); where it cannot be installed its lines say so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from benchmarks.ratios import Row, Work, calling, connected, pair, report

BIN = Path(sys.executable).parent
REFERENCE = Path(tempfile.gettempdir()) / "understudy-mcp-server-git"
ENVIRONMENT = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat"}


AT_MOST = {
    "large (20,000 files): status / git": 1.3,
    "large (20,000 files): diff / git": 1.3,
    "large (20,000 files): log of 20 / git": 1.5,
    "large (20,000 files): log of 20 / reference": 0.8,
    "large (20,000 files): status / reference": 1.1,
    "large (20,000 files): diff / reference": 1.1,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=15, help="runs of each side, in turn (default: %(default)s)"
    )
    parser.add_argument(
        "--files", type=int, default=20_000, help="files in the large tree (default: %(default)s)"
    )
    parser.add_argument(
        "--commits", type=int, default=5_000, help="commits in its history (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_HOME"] = str(Path(folder) / "home")
        for size, files, commits in (("small", 200, 100), ("large", options.files, options.commits)):
            top = Path(folder) / size
            make(top, files, commits)
            rows |= anyio.run(measure, top, f"{size} ({files:,} files)", options.rounds)
    report(rows, as_json=options.json, at_most=AT_MOST)


def make(top: Path, files: int, commits: int) -> None:
    """A history whose first commit holds every file, and 50 edited files on top."""
    top.mkdir()
    git(top, "init", "--quiet", "--initial-branch=main")
    body = b"line of text\n" * 40
    stream = [b"blob\nmark :1\ndata %d\n%b\n" % (len(body), body)]
    for number in range(commits):
        stream.append(
            b"commit refs/heads/main\ncommitter Ann <a@b> %d +0000\ndata 6\nchange\n" % (number + 1)
        )
        if number == 0:
            stream += [b"M 100644 :1 d%02d/f%05d.txt\n" % (n % 100, n) for n in range(files)]
        stream.append(b"M 100644 inline d00/f00000.txt\ndata <<E\n%d\nE\n" % number)
    git(top, "fast-import", "--quiet", stdin=b"".join(stream))
    git(top, "reset", "--quiet", "--hard")
    for number in range(1, 51):
        path = top / f"d{number % 100:02}/f{number:05}.txt"
        path.write_bytes(body.replace(b"line", b"word", 1))
    git(top, "status")


def git(top: Path, *args: str, stdin: bytes = b"") -> None:
    subprocess.run(["git", *args], cwd=top, env=ENVIRONMENT, input=stdin, check=True, capture_output=True)


async def measure(top: Path, label: str, rounds: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    path = "d50/f00050.txt"
    async with AsyncExitStack() as stack:
        ours = calling(await connected(stack, [str(BIN / "understudy-git"), str(top)], ENVIRONMENT))
        for name, mine, plain in (
            ("status", ours("git_status"), ["status", "--porcelain=v2", "--branch"]),
            ("diff", ours("git_diff"), ["diff"]),
            ("log of 20", ours("git_log"), ["log", "-20"]),
            ("log of a path", ours("git_log", paths=[path]), ["log", "-20", "--", path]),
        ):
            rows[f"{label}: {name} / git"] = await pair(mine, running(top, plain), rounds)
        command = reference()
        if command is None:
            rows[f"{label}: against the reference server"] = (
                "not measured: mcp-server-git could not be installed"
            )
            return rows
        theirs = calling(
            await connected(stack, [command, "--repository", str(top)], ENVIRONMENT), repo_path=str(top)
        )
        for name, mine, other in (
            ("status", ours("git_status"), theirs("git_status")),
            ("diff", ours("git_diff"), theirs("git_diff_unstaged")),
            ("log of 20", ours("git_log"), theirs("git_log", max_count=20)),
        ):
            rows[f"{label}: {name} / reference"] = await pair(mine, other, rounds)
    return rows


def reference() -> str | None:
    """The reference server's command, installed once; None where that fails."""
    command = REFERENCE / "bin" / "mcp-server-git"
    if not command.exists():
        steps = (
            [sys.executable, "-m", "venv", str(REFERENCE)],
            [str(REFERENCE / "bin" / "pip"), "--quiet", "install", "mcp-server-git"],
        )
        for step in steps:
            if subprocess.run(step, capture_output=True, check=False).returncode:
                return None
    return str(command) if command.exists() else None


def running(top: Path, args: list[str]) -> Work:
    async def work() -> object:
        return await anyio.run_process(["git", *args], cwd=top, env=ENVIRONMENT)

    return work


if __name__ == "__main__":
    main()
