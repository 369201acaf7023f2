"""Several repositories below one root: clones side by side, linked work trees, submodules; and the tags of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.git.repos import Repo
from tests.stdio import Stdio, start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def repo(root: Path) -> Repo:
    """A repository in the root's folder `front`; `back` beside it is another."""
    Repo(root / "back").commit("of the back", api__py="1\n")
    repo = Repo(root / "front")
    repo.commit("of the front", a__txt="one\n")
    return repo


@pytest.fixture
def server(repo: Repo, root: Path) -> Iterator[Stdio]:
    with start("git", str(root)) as running:
        yield running


def test_each_repository_is_worked_on_by_its_folder(root: Path, repo: Repo, server: Stdio) -> None:
    none = server.call("git_status")
    assert none.is_error and "repo=, one of back, front" in none.text
    for name, subject in (
        ("front", "of the front"),
        ("back", "of the back"),
        (str(root / "back"), "of the back"),
    ):
        assert server.call("git_log", repo=name).structured["commits"][0]["subject"] == subject
    repo.write("a.txt", "two\n")
    done = server.call("git_commit", message="changed", paths=["a.txt"], repo="front")
    assert not done.is_error and repo.git("status", "--porcelain") == ""
    assert "nothing to undo" in server.call("git_undo", repo="back").text
    assert "commit changed" in server.call("git_undo", repo="front").text
    question = server.call("git_remote", repo="back", action="fetch")
    assert question.is_error and "no remote" in question.text


@pytest.mark.parametrize(
    ("repo_argument", "said"),
    [
        ("nope", "repositories are in back, front"),
        ("front/sub", "belongs to the one in front"),
        ("..", "outside the root"),
        ("/etc", "outside the root"),
        ("link", "outside the root"),
        ("front/.git", "belongs to the one in front"),
        ("plain", "is no repository of its own"),
        ("", "is the folder of a repository"),
        ("a\0b", "is the folder of a repository"),
        ("x" * 5000, "is the folder of a repository"),
        ("x" * 300, "repositories are in back, front"),
    ],
)
def test_what_is_no_repository_below_the_root_is_refused_with_those_there_are(
    root: Path, repo: Repo, server: Stdio, repo_argument: str, said: str
) -> None:
    repo.write("sub/x")
    (root / "plain").mkdir()
    Repo(root.parent / "outside").commit("secret")
    (root / "link").symlink_to(root.parent / "outside")
    refused = server.call("git_log", repo=repo_argument)
    assert refused.is_error and said in refused.text and "secret" not in refused.text


def test_a_branch_gets_a_folder_of_its_own_and_gives_it_back(repo: Repo, server: Stdio) -> None:
    made = server.call("git_branch", action="add_worktree", name="feat/x", repo="front")
    tree = "front/.worktrees/feat-x"
    assert not made.is_error and f'repo="{tree}"' in made.text
    assert repo.git("status", "--porcelain") == ""  # no content of the main work tree
    folder = repo.top / ".worktrees/feat-x"
    (folder / "a.txt").write_text("in the tree\n")
    listed = server.call("git_branch", action="worktrees", repo="front").text
    assert f"{tree}  feat/x" in listed and "front  main" in listed
    loses = server.call("git_branch", action="remove_worktree", name="feat/x", repo="front")
    assert loses.is_error and "a.txt" in loses.text and folder.is_dir()
    assert not server.call("git_commit", message="there", paths=["a.txt"], repo=tree).is_error
    assert repo.git("log", "-1", "--format=%s", "feat/x") == "there"
    assert repo.git("log", "-1", "--format=%s", "main") == "of the front"
    notes = server.call("git_status", repo=tree).structured["notes"]
    assert notes == ["a linked work tree of the repository in front"]
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_bytes(b"x")
    (folder / ".env").write_text("SECRET=1\n")
    exclude = repo.top / ".git/info/exclude"
    exclude.write_text(exclude.read_text() + ".env\n__pycache__/\n")
    loses = server.call("git_branch", action="remove_worktree", name="feat/x", repo="front")
    assert loses.is_error and ".env" in loses.text and "pycache" not in loses.text
    (folder / ".env").unlink()
    gone = server.call("git_branch", action="remove_worktree", name="feat/x", repo="front")
    assert not gone.is_error and "branch feat/x stays" in gone.text and not folder.exists()
    again = server.call("git_branch", action="add_worktree", name="feat/x", repo="front")
    assert not again.is_error and (folder / "a.txt").read_text() == "in the tree\n"


def test_what_was_done_in_one_work_tree_is_undone_there_alone(repo: Repo, server: Stdio) -> None:
    server.call("git_branch", action="add_worktree", name="side", repo="front")
    tree = "front/.worktrees/side"
    (repo.top / ".worktrees/side/new.txt").write_text("x\n")
    staged = server.call("git_stage", paths=["new.txt"], repo=tree).text
    op = staged.rpartition("op=")[2].strip()
    before = repo.git("ls-files", "--stage")
    assert server.call("git_undo", op=op, repo="front").is_error
    assert not server.call("git_undo", op=op, repo=tree).is_error
    assert repo.git("ls-files", "--stage") == before
    assert server.call("git_status", repo=tree).structured["untracked"] == ["new.txt"]


@pytest.mark.parametrize(
    ("name", "ref", "said"),
    [
        ("main", None, "main"),  # is checked out here already
        ("main", "HEAD", "leave ref out"),
        ("../../out", None, "cannot name a branch"),
        ("--force", None, "begins with a dash"),
        ("taken", None, "is there already"),
        ("linked", None, "leads through a link"),
        ("x", "nope", "names no commit"),
    ],
)
def test_a_work_tree_is_not_made_over_something_or_somewhere_else(
    root: Path, repo: Repo, server: Stdio, name: str, ref: str | None, said: str
) -> None:
    (repo.top / ".worktrees/taken").mkdir(parents=True)
    (repo.top / ".worktrees/linked").symlink_to(root.parent)
    refused = server.call("git_branch", action="add_worktree", name=name, ref=ref, repo="front")
    assert refused.is_error and said in refused.text
    assert repo.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_nothing_of_an_untrusted_repository_runs_when_a_work_tree_is_made_or_removed(
    root: Path, repo: Repo, server: Stdio
) -> None:
    trap = root.parent / "ran"
    repo.write(".gitattributes", "*.txt filter=evil\n")
    repo.commit("attributes")
    hook = repo.top / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    for key in ("filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "core.fsmonitor"):
        repo.git("config", key, f"touch {trap}; cat")
    assert not server.call("git_branch", action="add_worktree", name="x", repo="front").is_error
    assert not server.call("git_branch", action="remove_worktree", name="x", repo="front").is_error
    assert not trap.exists()
    repo.git("config", "include.path", "../.worktrees/y/evil")
    refused = server.call("git_branch", action="add_worktree", name="y", repo="front")
    assert refused.is_error and "includes" in refused.text


def test_a_work_tree_without_a_branch_is_not_removed_with_commits_nobody_else_has(
    repo: Repo, server: Stdio
) -> None:
    repo.git("worktree", "add", "--quiet", "--detach", ".worktrees/loose")
    Repo(repo.top / ".worktrees/loose", init=False).commit("nobody else has it")
    refused = server.call("git_branch", action="remove_worktree", name="loose", repo="front")
    assert refused.is_error and "on no branch" in refused.text
    repo.git("branch", "kept", repo.git("-C", ".worktrees/loose", "rev-parse", "HEAD"))
    assert not server.call("git_branch", action="remove_worktree", name="loose", repo="front").is_error


def test_tags_are_made_listed_deleted_and_made_again(repo: Repo, server: Stdio) -> None:
    def act(action: str, **arguments: str) -> str:
        return server.call("git_branch", action=action, repo="front", **arguments).text

    assert "no tags" in act("tags")
    first = repo.git("rev-parse", "HEAD")
    repo.commit("second")
    assert act("tag", name="v1", ref=first).startswith(f"tagged {first[:12]} as v1")
    assert "annotated" in act("tag", name="v2", message="The second.\n\nWith a body.")
    assert repo.git("tag", "--list", "--format=%(contents:subject)", "v2") == "The second."
    assert "annotated: The second." in act("tags") and "v1" in act("tags")
    assert "a tag 'v1' already" in act("tag", name="v1")
    assert "cannot name a tag" in act("tag", name="a..b")
    assert "there is no tag 'v9'; tags are " in act("delete_tag", name="v9")
    kept = repo.git("rev-parse", "v2")
    assert f'ref="{kept}"' in act("delete_tag", name="v2") and "v2" not in repo.git("tag")
    act("tag", name="v2", ref=kept)
    assert repo.git("rev-parse", "v2") == kept and repo.sound()
    assert "takes no message" in act("create", name="b", message="x")


def test_paths_in_a_submodule_are_answered_with_the_call_that_works_there(
    root: Path, repo: Repo, server: Stdio
) -> None:
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(root / "back"), "lib")
    repo.commit("with a submodule")
    call = 'repo="front/lib"'
    for key, value in (("user.name", "Ann"), ("user.email", "ann@example.org")):
        repo.git("-C", "lib", "config", key, value)
    inside = {"paths": ["lib/api.py"], "repo": "front"}
    (repo.top / "lib/api.py").write_text("2\n")
    for tool in ("git_diff", "git_log", "git_stage", "git_restore"):
        assert call in server.call(tool, **inside).text.replace('\\"', '"'), tool
    for tool in ("git_show", "git_blame"):
        assert call in server.call(tool, path="lib/api.py", repo="front").text, tool
    notes = server.call("git_status", repo="front").structured["notes"]
    assert notes == [f"changes inside submodules are not looked at: git_status({call})"]
    assert server.call("git_status", repo="front/lib").structured["unstaged"][0]["path"] == "api.py"
    assert not server.call("git_commit", message="inside", paths=["api.py"], repo="front/lib").is_error
    moved = server.call("git_status", repo="front").structured["unstaged"]
    assert [(one["path"], one["change"]) for one in moved] == [("lib", "submodule at another commit")]
    repo.git("submodule", "--quiet", "deinit", "--force", "lib")
    notes = server.call("git_status", repo="front").structured["notes"]
    assert notes == ["submodules not checked out: lib (`git submodule update --init` brings them)"]
