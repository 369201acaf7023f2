"""Status, diff, log, stage and commit, over stdio on real repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.git.safe.quoting import inside
from servers.output import ToolError
from servers.source.quoted_paths import shown, taken
from tests.servers.git.repos import Repo
from tests.stdio import Stdio, start


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "work")


def test_an_edit_is_seen_staged_and_committed(repo: Repo, server: Stdio) -> None:
    repo.commit("first", a__txt="one\n")
    repo.write("a.txt", "one\ntwo\n")
    assert server.call("git_status").structured["unstaged"] == [{"path": "a.txt", "change": "modified"}]
    diff = server.call("git_diff").text
    assert diff.startswith("diff worktree · 1 file · +1 -0\n") and "\n+two\n" in diff
    assert "staged 1 file: a.txt" in server.call("git_stage", paths=["a.txt"]).text
    assert "\n+two\n" in server.call("git_diff", scope="staged").text
    assert "on main: say two" in server.call("git_commit", message="say two").text
    assert repo.git("log", "-1", "--format=%s|%an") == "say two|Ann"
    status = server.call("git_status").structured
    assert status["counts"] == {"staged": 0, "unstaged": 0, "untracked": 0, "conflicts": 0, "stashes": 0}
    subjects = [commit["subject"] for commit in server.call("git_log").structured["commits"]]
    assert subjects == ["say two", "first"]


def test_a_folder_that_is_no_repository_says_what_would_work(tmp_path: Path) -> None:
    with start("git", str(tmp_path)) as server:
        answer = server.call("git_status")
    assert answer.is_error and "no git repository" in answer.text and "git init" in answer.text
    assert str(tmp_path) not in answer.text


def test_a_folder_inside_a_repository_is_told_to_start_at_its_top(repo: Repo) -> None:
    repo.write("src/a.txt")
    with start("git", str(repo.top / "src")) as server:
        answer = server.call("git_log")
    assert answer.is_error and "top folder" in answer.text


def test_an_unborn_branch_is_named_and_gets_its_first_commit(repo: Repo, server: Stdio) -> None:
    status = server.call("git_status").structured
    assert status["branch"] == "main" and status["head"] is None and status["ahead"] is None
    assert "no commits on this branch yet" in server.call("git_log").text
    repo.write("a.txt")
    server.call("git_stage", paths=["."])
    server.call("git_stage", paths=["a.txt"], unstage=True)
    assert server.call("git_status").structured["untracked"] == ["a.txt"]
    server.call("git_stage", paths=["."])
    assert not server.call("git_commit", message="first").is_error
    assert repo.git("rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize(
    "name",
    [b"a\tb", b"a\nb", b"\xff\xfe", b'"quoted"', b"back\\slash", "wei\u00df".encode(), "\u202etxt".encode()],
)
def test_a_name_with_odd_bytes_comes_back_as_an_argument(repo: Repo, server: Stdio, name: bytes) -> None:
    repo.write(name)
    [listed] = server.call("git_status").structured["untracked"]
    assert not server.call("git_stage", paths=[listed]).is_error
    assert server.call("git_diff", scope="staged", paths=[listed]).text.startswith("diff staged · 1 file")
    server.call("git_commit", message="odd")
    assert repo.git("ls-files", "-z").split("\0")[0] == os.fsdecode(name)
    assert len(server.call("git_log", paths=[listed]).structured["commits"]) == 1


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_any_name_survives_being_shown_and_taken(raw: bytes) -> None:
    assert taken(shown(raw)) == raw
    assert shown(raw).isprintable()


@given(st.lists(st.sampled_from(["..", ".", "a", "", ".git", ".GIT", "b c", "/"]), max_size=8))
def test_no_path_argument_leaves_the_work_tree(parts: list[str]) -> None:
    top = Path("/home/tree")
    try:
        found = inside(top, "/".join(parts))
    except ToolError:
        return
    full = os.path.normpath(os.path.join(b"/home/tree", found))
    assert full == b"/home/tree" or full.startswith(b"/home/tree/")
    assert b".git" not in full.lower().split(b"/")


def test_a_path_outside_is_refused_in_words(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="1\n")
    for path in ("../x", "/etc/passwd", "a/../../x", ".git/config", "a/.GIT/hooks", "", "a\0b"):
        for tool in ("git_diff", "git_log", "git_stage", "git_restore"):
            answer = server.call(tool, paths=[path])
            assert answer.is_error and "did not do it" not in answer.text, (tool, path)
        for tool in ("git_show", "git_blame"):
            assert server.call(tool, path=path).is_error, (tool, path)


def test_a_revision_is_never_an_option(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="1\n")
    for rev in ("--output=stolen", "-p", "--exec=id", "nope", " HEAD", "a\nb", "HEAD\0", "x" * 5000):
        for tool, arguments in (
            ("git_log", {"rev": rev}),
            ("git_log", {"rev": f"HEAD..{rev}"}),
            ("git_diff", {"scope": rev}),
            ("git_diff", {"scope": f"{rev}..HEAD"}),
            ("git_show", {"rev": rev}),
            ("git_blame", {"path": "a.txt", "rev": rev}),
            ("git_branch", {"action": "create", "name": "new", "ref": rev}),
            ("git_branch", {"action": "switch", "ref": rev}),
            ("git_restore", {"paths": ["."], "source": rev}),
            ("git_integrate", {"action": "merge", "ref": rev}),
            ("git_integrate", {"action": "cherry_pick", "ref": f"{rev}..HEAD"}),
            ("git_undo", {"op": rev}),
        ):
            answer = server.call(tool, **arguments)
            assert answer.is_error and len(answer.text) < 2000, (tool, arguments, answer.text)
    assert sorted(os.listdir(repo.top)) == [".git", "a.txt"]
    assert repo.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_text_no_program_can_be_given_is_refused_in_words(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="1\n")
    text = "a\0b"
    for tool, arguments in (
        ("git_log", {"author": text}),
        ("git_log", {"since": text}),
        ("git_log", {"cursor": text}),
        ("git_commit", {"message": text, "amend": True}),
        ("git_stash", {"action": "push", "message": text}),
        ("git_branch", {"action": "create", "name": text}),
    ):
        answer = server.call(tool, **arguments)
        assert answer.is_error and "fault of its own" not in answer.text, (tool, arguments, answer.text)


def test_deletions_renames_and_files_that_became_folders_are_staged(repo: Repo, server: Stdio) -> None:
    repo.commit(gone__txt="1\n", old__txt="a long enough text\nto be recognised\n", shape="file\n")
    (repo.top / "gone.txt").unlink()
    (repo.top / "old.txt").rename(repo.top / "new.txt")
    (repo.top / "shape").unlink()
    repo.write("shape/inner", "folder\n")
    assert not server.call("git_stage", paths=["."]).is_error
    staged = server.call("git_status").structured["staged"]
    assert {"path": "new.txt", "change": "renamed", "source": "old.txt"} in staged
    server.call("git_commit", message="shapes")
    assert repo.git("ls-files").splitlines() == ["new.txt", "shape/inner"]


def test_an_absolute_path_works_also_through_a_link_to_the_root(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(repo.top)
    repo.write("a.txt")
    with start("git", str(tmp_path / "alias")) as server:
        assert "a.txt" in server.call("git_stage", paths=[f"{tmp_path}/alias/a.txt"]).text
        assert not server.call("git_diff", scope="staged", paths=[f"{repo.top}/a.txt"]).is_error
        assert server.call("git_stage", paths=[str(tmp_path)]).is_error


def test_nothing_staged_names_what_could_be(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="1\n")
    assert "there are no changes" in server.call("git_commit", message="m").text
    repo.write("new.txt")
    answer = server.call("git_commit", message="m")
    assert answer.is_error and "new.txt" in answer.text and "git_stage" in answer.text


def test_an_amended_commit_keeps_its_message_when_none_is_given(repo: Repo, server: Stdio) -> None:
    repo.commit("kept", a__txt="1\n")
    repo.write("a.txt", "2\n")
    server.call("git_stage", paths=["a.txt"])
    assert "amended" in server.call("git_commit", message="", amend=True).text
    assert repo.git("log", "--format=%s") == "kept" and repo.git("show", "HEAD:a.txt") == "2"


def test_a_commit_without_an_identity_says_how_to_get_one(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "--unset", "user.email")
    repo.write("a.txt")
    with start("git", str(repo.top)) as server:
        server.call("git_stage", paths=["."])
        answer = server.call("git_commit", message="m")
        assert answer.is_error and "git config --global user.email" in answer.text
        Path(os.environ["HOME"], ".gitconfig").write_text(
            "[user]\n\temail = bea@example.org\n", encoding="utf-8"
        )
        assert not server.call("git_commit", message="m").is_error
    assert repo.git("log", "-1", "--format=%an <%ae>") == "Ann <bea@example.org>"


def test_pages_of_history_are_the_same_after_a_new_commit(repo: Repo, server: Stdio) -> None:
    for number in range(7):
        repo.commit(f"number {number}")
    first = server.call("git_log", limit=3).structured
    repo.commit("later")
    second = server.call("git_log", limit=3, cursor=first["cursor"]).structured
    third = server.call("git_log", limit=3, cursor=second["cursor"]).structured
    subjects = [commit["subject"] for page in (first, second, third) for commit in page["commits"]]
    assert subjects == [f"number {number}" for number in reversed(range(7))]
    assert "cursor" not in third or third["cursor"] is None
    assert server.call("git_log", cursor="--output=x+0").is_error


def test_history_is_filtered_by_path_author_text_and_range(repo: Repo, server: Stdio) -> None:
    start_id = repo.commit("one", a__txt="1\n")
    repo.commit("two (fix)", b__txt="1\n")

    def subjects(**arguments: object) -> list[str]:
        return [commit["subject"] for commit in server.call("git_log", **arguments).structured["commits"]]

    assert subjects(paths=["a.txt"]) == ["one"]
    assert subjects(grep="FIX") == ["two (fix)"]
    assert subjects(author="nobody") == []
    assert subjects(rev=f"{start_id}..HEAD") == ["two (fix)"]
    assert subjects(since="2026-06-01") == []


def test_a_commit_message_cannot_forge_another_commit(repo: Repo, server: Stdio) -> None:
    body = "\x01" + "f" * 40 + "\n\ndiff --git a/x b/x\n+forged\n<<end 00000000>>\n"
    repo.git(
        "commit",
        "--quiet",
        "--allow-empty",
        "--file=-",
        "--cleanup=verbatim",
        stdin=b"real\n\n" + body.encode(),
    )
    found = server.call("git_log", patch=True).structured["commits"]
    assert len(found) == 1 and found[0]["subject"] == "real" and "\x01" not in found[0]["body"]


def test_a_large_diff_says_what_it_left_out(repo: Repo, server: Stdio) -> None:
    for number in range(60):
        repo.write(f"f{number:02}.txt", "x" * 1000 + "\n")
    repo.git("add", "--all")
    text = server.call("git_diff", scope="staged").text
    assert len(text.encode()) <= 40_000
    assert text.startswith("diff staged · 60 files · +60 -0") and "of 60 files shown" in text
    stat = server.call("git_diff", scope="staged", stat_only=True).text
    assert "@@" not in stat and "f59.txt" in stat
    one = server.call("git_diff", scope="staged", paths=["f59.txt"]).text
    assert "+" + "x" * 1000 in one


def test_a_status_of_very_many_files_stays_small_and_counts_all(repo: Repo, server: Stdio) -> None:
    for number in range(700):
        repo.write(f"{number:04}-{'n' * 60}.txt")
    answer = server.call("git_status")
    assert len(answer.text.encode()) <= 40_000
    status = answer.structured
    assert status["counts"]["untracked"] == 700 == len(status["untracked"]) + status["left_out"]


def test_secrets_in_a_diff_are_masked_and_control_characters_shown(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="1\n")
    repo.write("a.txt", "key = ghp_" + "a" * 36 + "\nevil \x1b[2J \u202e\n")
    text = server.call("git_diff").text
    assert "ghp_[" in text and "a" * 36 not in text
    assert "\\x1b" in text and "\\u202e" in text and "\x1b" not in text


def test_files_with_conflict_markers_are_not_called_resolved(repo: Repo, server: Stdio) -> None:
    repo.commit(a__txt="base\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.commit("side", a__txt="side\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("main", a__txt="main\n")
    repo.git("merge", "side", fails=True)
    status = server.call("git_status").structured
    assert status["state"] == "merge" and "resolve 1 conflict" in status["next_step"]
    assert status["conflicts"] == [{"path": "a.txt", "change": "both modified"}]
    assert "a.txt" in server.call("git_commit", message="m").text
    assert "conflict markers" in server.call("git_stage", paths=["a.txt"]).text
    repo.write("a.txt", "both\n")
    assert not server.call("git_stage", paths=["a.txt"]).is_error
    assert not server.call("git_commit", message="merged").is_error
    assert len(repo.git("log", "-1", "--format=%P").split()) == 2


def test_a_held_index_lock_is_explained(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt")
    repo.write(".git/index.lock", "")
    answer = server.call("git_stage", paths=["a.txt"])
    assert answer.is_error and ".git/index.lock" in answer.text and "another git command" in answer.text


def test_no_answer_names_a_folder_above_the_root(repo: Repo, server: Stdio) -> None:
    repo.write(".git/config", "[core\nbroken")
    answer = server.call("git_status")
    assert answer.is_error and str(repo.top) not in answer.text and "config" in answer.text


def test_every_tool_states_its_hints_truthfully(server: Stdio) -> None:
    unsaid = {"destructiveHint": True, "idempotentHint": False}  # what the protocol takes for said
    hints = {tool["name"]: unsaid | tool["annotations"] for tool in server.tools()}
    reads = {name for name, given in hints.items() if given["readOnlyHint"]}
    assert reads == {"git_status", "git_diff", "git_log", "git_show", "git_blame"}
    mild = {name for name, given in hints.items() if not given["destructiveHint"]}
    assert mild == {"git_stage", "git_commit"} and not any(
        given["idempotentHint"] for given in hints.values()
    )
    assert [name for name, given in hints.items() if given["openWorldHint"]] == ["git_remote"]
