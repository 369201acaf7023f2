"""What git has nothing to show of: the other side of the index, what it does not track, paths that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.git.repos import Repo
from tests.stdio import Stdio


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "work")
    repo.commit("first", a__txt="one\n", b__txt="two\n")
    return repo


def test_no_changes_says_what_is_staged_untracked_and_ignored(repo: Repo, server: Stdio) -> None:
    assert server.call("git_diff").text == "diff worktree · no changes"
    repo.write("a.txt", "changed\n")
    repo.write("b.txt", "changed\n")
    repo.git("add", ".")
    staged = server.call("git_diff").text
    assert 'no changes; not looked at: 2 staged (scope="staged" shows them)' in staged
    repo.write("new.txt")
    text = server.call("git_diff").text
    assert "2 staged" in text and "1 untracked" in text
    repo.git("reset", "--quiet")
    assert '2 changed but not staged (scope="worktree"' in server.call("git_diff", scope="staged").text
    assert "1 untracked" in server.call("git_diff", paths=["new.txt"]).text


def test_ignored_files_are_counted(repo: Repo, server: Stdio) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.git("add", ".")
    repo.git("commit", "--quiet", "-m", "ignore")
    repo.write("x.log")
    assert "not looked at: 1 ignored" in server.call("git_diff").text


def test_a_path_that_is_not_staged_says_why_also_beside_others(repo: Repo, server: Stdio) -> None:
    repo.write(".gitignore", "*.log\n")
    repo.write(".git/info/exclude", "mine.txt\n")
    for name in ("x.log", "mine.txt", "*.log"):
        repo.write(name)
    for tool, more in (("git_stage", {}), ("git_commit", {"message": "x"})):
        for path, by in (
            ("x.log", ".gitignore, line 1"),
            ("*.log", ".gitignore"),
            ("mine.txt", "info/exclude"),
        ):
            refused = server.call(tool, paths=[path], **more)
            assert refused.is_error and f"{path} is ignored by {by}" in refused.text
    some = server.call("git_stage", paths=[".gitignore", "x.log", "a.txt"]).text
    assert "staged 1 file: .gitignore" in some and "not staged: x.log is ignored by .gitignore" in some
    again = server.call("git_stage", paths=[".gitignore", "nope"])
    assert again.is_error and "nope does not exist" in again.text


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_files_that_git_was_told_not_to_look_at_are_counted(repo: Repo, server: Stdio, flag: str) -> None:
    repo.git("update-index", f"--{flag}", "a.txt")
    repo.write("a.txt", "changed\n")
    assert "not looked at: 1 marked assume-unchanged or skip-worktree" in server.call("git_diff").text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("git_diff", {}),
        ("git_diff", {"scope": "staged"}),
        ("git_diff", {"scope": "HEAD"}),
        ("git_log", {}),
    ],
)
def test_a_path_nobody_knows_is_said_not_to_be_there(
    server: Stdio, tool: str, arguments: dict[str, str]
) -> None:
    answer = server.call(tool, paths=["nope.txt"], **arguments)
    assert answer.is_error and "there is no nope.txt" in answer.text
    glob = server.call(tool, paths=["*.txt"], **arguments)
    assert glob.is_error and "taken as they are" in glob.text
    twin = server.call(tool, paths=["A.txt"], **arguments)
    assert twin.is_error and "'a.txt' looks the same" in twin.text


def test_a_path_that_is_there_hides_none_that_is_not(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "changed\n")
    text = server.call("git_diff", paths=["a.txt", "nope.txt"])
    assert "\n+changed\n" in text.text and "there is no nope.txt" in text.text


def test_a_deleted_path_has_a_past(repo: Repo, server: Stdio) -> None:
    repo.git("rm", "--quiet", "a.txt")
    assert "\n-one\n" in server.call("git_diff", scope="staged", paths=["a.txt"]).text
    repo.git("commit", "--quiet", "-m", "gone")
    assert len(server.call("git_log", paths=["a.txt"]).structured["commits"]) == 2
    assert "\n-one\n" in server.call("git_diff", scope="HEAD~1..HEAD", paths=["a.txt"]).text


def test_a_log_without_commits_says_what_ruled_them_out(server: Stdio) -> None:
    for filters in ({"author": "Nobody"}, {"grep": "zebra"}, {"since": "2030-01-01"}):
        notes = server.call("git_log", **filters).structured["notes"]
        assert notes[0].startswith(f"no commit fits {next(iter(filters))}")
        assert notes[0].endswith("; without it HEAD has 1")
    assert "holds no commit" in server.call("git_log", rev="HEAD..HEAD").structured["notes"][0]
