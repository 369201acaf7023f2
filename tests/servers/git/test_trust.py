"""A repository the user trusts may run its hooks and filters, as they were when the user looked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.git.repos import Repo
from tests.stdio import start


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "work")
    made.commit("first", a__txt="one\n")
    return made


def understudy_git(*args: str) -> subprocess.CompletedProcess[str]:
    code = "from servers.git.server import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        timeout=60,
    )


def rejecting_hook(repo: Repo, text: str = "the hook says no") -> None:
    repo.write(".git/hooks/pre-commit", f"#!/bin/sh\necho '{text}' >&2\nexit 1\n").chmod(0o755)


def test_trust_lets_hooks_run_until_they_change(repo: Repo) -> None:
    rejecting_hook(repo)
    repo.write("a.txt", "two\n")
    with start("git", str(repo.top)) as server:
        assert "pre-commit" in server.call("git_status").structured["notes"][0]
        answer = understudy_git("--trust", str(repo.top))
        assert answer.returncode == 0 and "hook pre-commit" in answer.stderr and answer.stdout == ""
        assert server.call("git_status").structured["notes"] == []
        server.call("git_stage", paths=["a.txt"])
        refused = server.call("git_commit", message="m")
        assert refused.is_error and "the hook says no" in refused.text
        rejecting_hook(repo, "something else")
        assert "changed since it was trusted" in server.call("git_status").structured["notes"][0]
        assert not server.call("git_commit", message="m").is_error
    assert repo.git("log", "-1", "--format=%s") == "m"


def test_a_start_does_not_renew_trust_that_lapsed(repo: Repo) -> None:
    rejecting_hook(repo)
    understudy_git("--trust", str(repo.top))
    rejecting_hook(repo, "something else")
    with start("git", str(repo.top), "--trust", str(repo.top)) as server:
        assert "changed since it was trusted" in server.call("git_status").structured["notes"][0]
    understudy_git("--untrust", str(repo.top))
    with start("git", str(repo.top)) as server:
        assert "--trust" in server.call("git_status").structured["notes"][0]


def test_filtered_files_are_staged_only_where_the_filter_runs(repo: Repo) -> None:
    repo.git("config", "filter.upper.clean", "tr a-z A-Z")
    repo.git("config", "filter.upper.smudge", "tr A-Z a-z")
    repo.write(".gitattributes", "*.up filter=upper\n*.bin filter=lfs\n")
    repo.write("x.up", "text\n")
    repo.write("x.bin", "large\n")
    with start("git", str(repo.top)) as server:
        refused = server.call("git_stage", paths=["x.up"])
        assert refused.is_error and "filter 'upper'" in refused.text and "--trust" in refused.text
        understudy_git("--trust", str(repo.top))
        assert not server.call("git_stage", paths=["x.up", ".gitattributes"]).is_error
        assert "filter 'lfs'" in server.call("git_stage", paths=["x.bin"]).text
        server.call("git_commit", message="m")
        (repo.top / "x.up").unlink()
        server.call("git_restore", paths=["x.up"])
    assert repo.git("cat-file", "blob", "HEAD:x.up") == "TEXT"
    assert repo.read("x.up") == b"text\n"


def test_an_untrusted_merge_driver_gives_way_to_the_text_merge(repo: Repo) -> None:
    repo.git("config", "merge.mine.driver", "true")
    repo.write(".git/info/attributes", "*.txt merge=mine\n")
    repo.commit("lines", a__txt="1\n2\n3\n4\n5\n6\n7\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.commit("side", a__txt="1\n2\n3\n4\n5\n6\nseven\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("main", a__txt="one\n2\n3\n4\n5\n6\n7\n")
    with start("git", str(repo.top)) as server:
        assert not server.call("git_integrate", action="merge", ref="side").is_error
    assert repo.read("a.txt") == b"one\n2\n3\n4\n5\n6\nseven\n"


def test_the_record_of_trust_is_the_users_alone(repo: Repo, own_state: Path) -> None:
    understudy_git("--trust", str(repo.top))
    file = own_state / "understudy" / "git" / "trusted.json"
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
