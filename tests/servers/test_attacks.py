"""Published attacks on tool servers for files, shell and git, each class once: nothing outside is read, made or changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.git.repos import Repo
from tests.stdio import Stdio, start

SECRET = "the-secret-nobody-may-see"


def patch(name: str, was: str = "/dev/null") -> dict[str, str]:
    return {"patch": f"--- {was}\n+++ {name}\n@@ -0,0 +1 @@\n+evil\n"}


FILES: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"path": "TOP/work_sensitive/secret"}),  # a prefix is no folder
    ("read_file", {"path": "../work_sensitive/secret"}),
    ("read_file", {"path": "to-secret"}),
    ("read_file", {"path": "to-top/secret"}),
    ("read_file", {"path": "/proc/self/rootTOP/secret"}),
    ("read_file", {"path": "/proc/self/cwd/../secret"}),
    ("read_file", {"path": "....//secret"}),
    ("read_file", {"path": "..%2fsecret"}),
    ("read_file", {"path": "..\\secret"}),
    ("read_file", {"path": "file://TOP/secret"}),
    ("read_file", {"path": "/dev/zero"}),
    ("read_file", {"path": "pipe"}),
    ("read_file", {"path": "sparse", "limit": 5}),
    ("read_many", {"glob": "../**"}),
    ("list_files", {"path": ".."}),
    ("search_files", {"pattern": "the-secret", "path": "TOP"}),
    ("search_files", {"pattern": "--pre=EVIL"}),
    ("search_files", {"pattern": "x", "glob": "--pre=EVIL"}),
    ("search_files", {"pattern": "^(a+)+$", "path": "a.txt"}),
    ("write_file", {"path": "to-secret", "content": "evil", "if_exists": "overwrite"}),
    ("write_file", {"path": "dangling", "content": "evil"}),
    ("write_file", {"path": ".git/hooks/post-checkout", "content": "evil"}),
    ("write_file", {"path": ".GIT/config", "content": "evil", "if_exists": "overwrite"}),
    ("write_file", {"path": "git~1/config", "content": "evil"}),
    ("write_file", {"path": ".g\u200cit/config", "content": "evil"}),
    ("edit_file", {"path": "to-secret", "edits": [{"old": "secret", "new": "evil"}]}),
    ("apply_patch", patch("../made")),
    ("apply_patch", patch("TOP/made")),
    ("apply_patch", patch("b/../../made")),
    ("apply_patch", patch("to-top/made")),
    ("apply_patch", {"patch": "*** Begin Patch\n*** Add File: ../made\n+evil\n*** End Patch"}),
    ("apply_patch", {"patch": "diff --git a/a.txt b/../made\nrename from a.txt\nrename to ../made\n"}),
    ("apply_patch", {"patch": "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+../secret\n"}),
    ("move_file", {"src": "a.txt", "dst": "../made"}),
    ("move_file", {"src": "TOP/secret", "dst": "mine", "copy": True}),
    ("delete_file", {"path": "to-top/secret"}),
]  # fmt: skip
GIT: list[tuple[str, dict[str, Any]]] = [
    ("git_log", {"repo": "../work_sensitive"}),
    ("git_log", {"repo": "TOP/work_sensitive"}),
    ("git_diff", {"scope": "--output=TOP/secret"}),
    ("git_diff", {"scope": "--no-index", "paths": ["TOP/secret"]}),
    ("git_diff", {"paths": ["--output=TOP/secret"]}),
    ("git_log", {"rev": "--output=TOP/secret"}),
    ("git_log", {"author": "--output=TOP/secret"}),
    ("git_log", {"grep": "--output=TOP/secret"}),
    ("git_log", {"since": "--output=TOP/secret"}),
    ("git_show", {"rev": "HEAD:../secret"}),
    ("git_show", {"rev": "HEAD", "path": ":(top)../secret"}),
    ("git_blame", {"path": "TOP/secret"}),
    ("git_blame", {"path": "--contents=TOP/secret"}),
    ("git_stage", {"paths": ["../secret"]}),
    ("git_stage", {"paths": ["to-top/secret"]}),
    ("git_stage", {"paths": ["--pathspec-from-file=TOP/secret"]}),
    ("git_restore", {"paths": ["../secret"], "source": "HEAD"}),
    ("git_restore", {"paths": ["."], "source": "--pathspec-from-file=TOP/secret"}),
    ("git_commit", {"message": "x", "paths": ["../secret"]}),
    ("git_branch", {"action": "switch", "name": "--orphan=x"}),
    ("git_branch", {"action": "create", "name": "-u/evil"}),
    ("git_branch", {"action": "tag", "name": "-d", "ref": "HEAD"}),
    ("git_integrate", {"action": "rebase", "ref": "--exec=EVIL"}),
    ("git_integrate", {"action": "merge", "ref": "-sEVIL"}),
    ("git_remote", {"action": "fetch", "remote": "ext::EVIL"}),
    ("git_remote", {"action": "fetch", "remote": "--upload-pack=EVIL"}),
    ("git_remote", {"action": "pull", "remote": "origin", "ref": "--upload-pack=EVIL"}),
    ("git_remote", {"action": "push", "remote": "origin", "ref": "--receive-pack=EVIL"}),
    ("git_undo", {"op": "../../secret"}),
]
SHELL: list[tuple[str, dict[str, Any]]] = [
    ("run_command", {"command": "cat /proc/self/rootTOP/secret to-secret to-top/secret"}),
    ("run_command", {"command": "python3 -c 'print(open(\"TOP/secret\").read())'"}),
    ("run_command", {"command": "python3 -c 'open(\"TOP/made\", \"w\")'"}),
    ("run_command", {"command": "ls; EVIL"}),
    ("run_command", {"command": "s''udo EVIL"}),
    ("run_command", {"command": "${X:-sudo} EVIL"}),
    ("run_command", {"command": "/usr/bin/su?o EVIL"}),
    ("run_command", {"command": "rg --pre EVIL x"}),
    ("run_command", {"command": "make --eval='$(shell EVIL)'"}),
    ("run_command", {"command": "git -c core.sshCommand=EVIL -c alias.x='!EVIL' x"}),
    ("run_command", {"command": "git -c diff.external=EVIL diff"}),
    ("run_command", {"command": "find . -exec EVIL ;"}),
    ("run_command", {"command": "tar --checkpoint=1 --checkpoint-action=exec=EVIL -cf x ."}),
    ("run_command", {"argv": ["git", "status; EVIL"]}),
    ("run_command", {"command": "true", "env": {"LD_PRELOAD": "EVIL", "BASH_ENV": "EVIL"}}),
    ("run_command", {"command": "git status", "env": {"GIT_SSH_COMMAND": "EVIL", "GIT_EXTERNAL_DIFF": "EVIL"}}),
    ("run_command", {"command": "ls", "cwd": "to-top"}),
    ("lint", {"paths": ["../secret", "--config=EVIL"]}),
    ("format_code", {"paths": ["TOP/secret"], "check": False}),
    ("run_tests", {"target": "../work_sensitive"}),
    ("run_tests", {"target": "-pEVIL"}),
    ("run_tests", {"keyword": "--rootdir=TOP"}),
]  # fmt: skip
ATTACKS = [
    *(
        (server, *call)
        for server, calls in (("files", FILES), ("git", GIT), ("shell", SHELL))
        for call in calls
    ),
    ("files", "delete_file", {"path": "to-top", "recursive": True}),  # the link goes, so it comes last
]


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("attacked")
    for name in ("work", "work_sensitive"):
        Repo(top / name).commit("first", a__txt="a" * 40 + "!\n")
    (top / "work_sensitive/secret").write_text(SECRET)
    (top / "secret").write_text(SECRET)
    (top / "evil").write_text(f"#!/bin/sh\ntouch '{top}/made'\n")
    (top / "evil").chmod(0o755)
    work = top / "work"
    Repo(work, init=False).git("remote", "add", "origin", str(top / "work_sensitive"))
    (work / "to-secret").symlink_to("../secret")
    (work / "to-top").symlink_to(top)
    (work / "dangling").symlink_to("../made")
    os.mkfifo(work / "pipe")
    with open(work / "sparse", "wb") as file:
        file.truncate(1 << 40)
    return top


@pytest.fixture(scope="module")
def servers(top: Path) -> Iterator[dict[str, Stdio]]:
    root = str(top / "work")
    with start("files", root) as files, start("git", root) as git, start("shell", root) as shell:
        yield {"files": files, "git": git, "shell": shell}


def outside(top: Path) -> dict[str, bytes]:
    """Everything beside the root, and what git runs in it."""
    work = top / "work"
    beside = [path for path in top.rglob("*") if path.is_file() and not path.is_relative_to(work)]
    run = [path for path in (work / ".git/hooks").rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in [*beside, *run, work / ".git/config"]}


@pytest.mark.parametrize(("server", "tool", "arguments"), ATTACKS)
def test_a_published_attack_reads_makes_and_changes_nothing_outside(
    servers: dict[str, Stdio], top: Path, server: str, tool: str, arguments: dict[str, Any]
) -> None:
    before = outside(top)
    text = json.dumps(arguments).replace("TOP", str(top)).replace("EVIL", str(top / "evil"))
    answer = servers[server].call(tool, **json.loads(text))
    assert SECRET not in json.dumps(answer.raw)
    assert outside(top) == before
