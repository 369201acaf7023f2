"""Real repositories for the git server's tests, made with the plain git command."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client

from servers.git.server import build
from tests.stdio import Result

Call = tuple[str, dict[str, Any]]

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_ALLOW_PROTOCOL": "file",
}


class Repo:
    """A repository with an identity of its own. Paths are relative to its top."""

    def __init__(self, top: Path, *, init: bool = True) -> None:
        self.top = top
        if init:
            top.mkdir(parents=True, exist_ok=True)
            self.git("init", "--quiet", "--initial-branch=main")
            self.git("config", "user.name", "Ann")
            self.git("config", "user.email", "ann@example.org")

    def git(self, *args: str | bytes, stdin: bytes = b"", fails: bool = False) -> str:
        """What plain git prints; it must succeed unless it `fails`."""
        done = subprocess.run(
            ["git", *args], cwd=self.top, env=ENVIRONMENT, input=stdin, capture_output=True, check=False
        )
        assert fails == (done.returncode != 0), (args, done.returncode, done.stderr)
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def write(self, path: str | bytes, content: str | bytes = "x\n") -> Path:
        file = self.top / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, path: str) -> bytes:
        return (self.top / path).read_bytes()

    def commit(self, message: str = "a commit", **files: str) -> str:
        """Write files (`a__txt` is a.txt), commit everything, give the id."""
        for name, content in files.items():
            self.write(name.replace("__", "."), content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def sound(self) -> bool:
        """Whether fsck finds nothing wrong."""
        self.git("fsck", "--full", "--strict")
        return True

    def copy(self, top: Path) -> Repo:
        """The same repository elsewhere, its index fresh."""
        shutil.copytree(self.top, top, symlinks=True)
        made = Repo(top, init=False)
        made.git("update-index", "-q", "--refresh")
        return made

    def picture(self) -> dict[str, object]:
        """Everything undo promises to bring back: files with bytes and modes, index, branches, stash, HEAD."""
        files: dict[str, object] = {}
        for folder, names, leaves in os.walk(self.top):
            if ".git" in names:
                names.remove(".git")
            for leaf in (*leaves, *(name for name in names if (Path(folder) / name).is_symlink())):
                path = Path(folder) / leaf
                link = path.is_symlink()
                mode = 0 if link else path.stat().st_mode
                files[str(path.relative_to(self.top))] = (
                    os.readlink(path) if link else path.read_bytes(),
                    mode,
                )
        return {
            "files": files,
            "index": self.git("ls-files", "--stage"),
            "refs": self.git("for-each-ref", "refs/heads", "refs/stash"),
            "stash": self.git("stash", "list", "--format=%H %gs"),
            "head": self.read(".git/HEAD"),
            "status": self.git("status", "--porcelain", "--ignored", "-z"),
        }


def ask(
    root: Path, calls: Sequence[Call], *, repo: str = ".", allow_remote: Collection[str] = ()
) -> list[Result]:
    """The calls, one after the other, through a client to a server in this process: quicker than one of its own."""

    async def work() -> list[Result]:
        async with Client(build(root, repo, allow_remote=allow_remote)) as client:
            answers = [await client.call_tool(tool, arguments) for tool, arguments in calls]
        return [
            Result(answer.content[0].text, answer.structured_content, bool(answer.is_error), {})  # type: ignore[union-attr]
            for answer in answers
        ]

    return anyio.run(work)


def running(process: psutil.Process, name: str) -> bool:
    """Whether a descendant's command line holds `name`; one that ends while being looked at does not."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(name in " ".join(child.cmdline()) for child in process.children(recursive=True))
    return False
