"""Git as people have it: renames followed, pointers and detached heads named, merges without leftovers, one call to commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.git.repos import Call, Repo, ask
from tests.stdio import Stdio, start

needs_ssh = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "work")
    repo.commit("first", a__txt="one\ntwo\nthree\n")
    return repo


def test_the_log_of_one_file_goes_through_its_renames(repo: Repo, server: Stdio) -> None:
    repo.git("mv", "a.txt", "b.txt")
    repo.git("commit", "--quiet", "-m", "rename")
    repo.write("b.txt", "one\ntwo\nfour\n")
    repo.git("commit", "--quiet", "-am", "edit")
    subjects = [c["subject"] for c in server.call("git_log", paths=["b.txt"]).structured["commits"]]
    assert subjects == ["edit", "rename", "first"]
    page = server.call("git_log", paths=["b.txt"], limit=2).structured
    rest = server.call("git_log", paths=["b.txt"], limit=2, cursor=page["cursor"]).structured
    assert [c["subject"] for c in rest["commits"]] == ["first"]


def test_a_pointer_of_git_lfs_is_called_one(repo: Repo, server: Stdio) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 1234567\n"
    repo.commit("pointer", big__bin=pointer)
    assert "a Git LFS pointer to 1,234,567 bytes" in server.call("git_show", path="big.bin").text


def test_a_detached_head_is_named(repo: Repo, server: Stdio) -> None:
    assert not server.call("git_status").structured.get("notes")
    repo.git("checkout", "--quiet", "--detach")
    head = repo.git("rev-parse", "HEAD")
    assert f"HEAD is detached at {head[:12]}" in server.call("git_status").structured["notes"][0]


@pytest.mark.parametrize("action", ["merge", "cherry_pick", "rebase"])
def test_what_git_notes_of_conflicts_does_not_stay_in_messages(
    repo: Repo, server: Stdio, action: str
) -> None:
    repo.git("switch", "--quiet", "-c", "side")
    repo.commit("theirs", a__txt="1\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("ours", a__txt="2\n")
    assert "conflicts: a.txt" in server.call("git_integrate", action=action, ref="side").text
    repo.write("a.txt", "3\n")
    server.call("git_stage", paths=["a.txt"])
    assert not server.call("git_integrate", action="continue").is_error
    message = repo.git("log", "-1", "--format=%B")
    assert message and "#" not in message and "onflict" not in message


def test_files_are_staged_and_committed_in_one_call(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "changed\n")
    repo.write("new.txt")
    repo.write("other.txt")
    done = server.call("git_commit", message="two files", paths=["a.txt", "new.txt"])
    assert not done.is_error and "two files" in done.text
    assert repo.git("show", "--name-only", "--format=", "HEAD").split() == ["a.txt", "new.txt"]
    assert repo.git("status", "--porcelain") == "?? other.txt"
    none = server.call("git_commit", message="nothing", paths=["nope.txt"])
    assert none.is_error and "nope.txt does not exist" in none.text
    repo.git("add", "other.txt")
    assert not server.call("git_commit", message="staged already", paths=["other.txt"]).is_error


@pytest.mark.parametrize(("value", "said"), [("true", True), ("false", False)])
def test_a_commit_that_should_have_been_signed_says_that_it_is_not(
    repo: Repo, tmp_path: Path, value: str, said: bool
) -> None:
    (tmp_path / "gitconfig").write_text(f"[commit]\n\tgpgsign = {value}\n")
    repo.write("a.txt", "changed\n")
    with start("git", str(repo.top), env={"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}) as server:
        done = server.call("git_commit", message="plain", paths=["a.txt"])
    assert not done.is_error and ("unsigned" in done.text) is said


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The user's configuration that signs everything with an ssh key; the key lies beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    (tmp_path / "signers").write_text("ann@example.org " + (tmp_path / "key.pub").read_text())
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[user]\n\tsigningkey = {tmp_path}/key.pub\n[gpg]\n\tformat = ssh\n"
        "[commit]\n\tgpgsign = true\n[tag]\n\tgpgsign = true\n"
    )
    return config


def signed(repo: Repo, tmp_path: Path, *what: str) -> bool:
    settings = ["-c", f"gpg.ssh.allowedSignersFile={tmp_path}/signers", "-c", "gpg.ssh.program=ssh-keygen"]
    done = subprocess.run(["git", *settings, *what], cwd=repo.top, check=False, capture_output=True)
    return done.returncode == 0


@needs_ssh
def test_commits_merges_and_tags_are_signed_as_the_user_signs(repo: Repo, tmp_path: Path, key: Path) -> None:
    repo.git("switch", "--quiet", "-c", "side")
    repo.commit("on the side", b__txt="b\n")
    repo.git("switch", "--quiet", "main")
    repo.git("config", "gpg.ssh.program", f"touch {tmp_path}/ran; false")  # the repository's own never runs
    repo.write("a.txt", "changed\n")
    with start("git", str(repo.top), env={"GIT_CONFIG_GLOBAL": str(key)}) as server:
        assert "\nsigned (ssh)" in server.call("git_commit", message="one", paths=["a.txt"]).text
        assert signed(repo, tmp_path, "verify-commit", "HEAD")
        assert "\nsigned (ssh)" in server.call("git_integrate", action="merge", ref="side").text
        assert signed(repo, tmp_path, "verify-commit", "HEAD")
        assert "\nsigned (ssh)" in server.call("git_branch", action="tag", name="v1", message="one").text
        assert signed(repo, tmp_path, "verify-tag", "v1")
        assert not (tmp_path / "ran").exists() and repo.sound()


@needs_ssh
@pytest.mark.parametrize("broken", ["passphrase", "no key", "a key the repository names"])
def test_what_cannot_be_signed_without_a_prompt_is_made_unsigned_and_says_so(
    repo: Repo, tmp_path: Path, key: Path, broken: str
) -> None:
    if broken == "passphrase":
        change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", str(tmp_path / "key")]
        subprocess.run(change, check=True, capture_output=True)
    elif broken == "no key":
        (tmp_path / "key").unlink()
    else:
        key.write_text("[gpg]\n\tformat = ssh\n[commit]\n\tgpgsign = true\n")
        repo.git("config", "user.signingkey", str(tmp_path / "key"))
    repo.write("a.txt", "changed\n")
    with start("git", str(repo.top), env={"GIT_CONFIG_GLOBAL": str(key)}) as server:
        done = server.call("git_commit", message="one", paths=["a.txt"])
    assert not done.is_error and "\nunsigned: " in done.text and str(tmp_path) not in done.text
    assert (
        not signed(repo, tmp_path, "verify-commit", "HEAD") and repo.git("log", "-1", "--format=%s") == "one"
    )


@pytest.mark.parametrize(
    ("new", "twin", "point"),
    [
        ("Main", "main", "U+004D"),
        ("\uff2d\uff21\uff29\uff2e", "main", "U+FF2D"),
        ("m\u0430in", "main", "U+0430"),
        ("dev\u2010x", "dev-x", "U+2010"),
    ],
)
def test_a_branch_or_tag_that_looks_like_another_is_made_with_a_warning(
    repo: Repo, new: str, twin: str, point: str
) -> None:
    repo.git("branch", "dev-x")
    repo.git("branch", "other")
    repo.git("tag", twin)
    calls: list[Call] = [
        ("git_branch", {"action": "create", "name": new}),
        ("git_branch", {"action": "delete", "name": new}),
        ("git_branch", {"action": "rename", "name": "other", "ref": new}),
        ("git_branch", {"action": "delete", "name": new}),
        ("git_branch", {"action": "add_worktree", "name": new}),
        ("git_branch", {"action": "tag", "name": new}),
    ]
    answers = ask(repo.top, calls)
    assert not any(answer.is_error for answer in answers)
    for warned in answers[::2] + answers[5:]:
        assert f"looks like {twin!r}" in warned.text and point in warned.text
    assert "looks like" not in ask(repo.top, [("git_branch", {"action": "create", "name": "unlike"})])[0].text


def test_what_an_annotated_tag_says_is_shown(repo: Repo) -> None:
    repo.git("tag", "--annotate", "--message", "The first.\n\nWith a body.", "v1")
    repo.git("tag", "--annotate", "--message", "About the tag.", "outer", "v1")
    repo.git("tag", "plain")
    shown, outer, plain = ask(repo.top, [("git_show", {"rev": rev}) for rev in ("v1", "outer", "plain")])
    assert "tag v1" in shown.text and "Tagger: Ann" in shown.text and "With a body." in shown.text
    assert "About the tag." in outer.text and "With a body." in outer.text
    assert "Tagger" not in plain.text and all("commit " in answer.text for answer in (shown, outer, plain))


@pytest.mark.parametrize(
    "since",
    ["gibberish", "v1.0", "a week ago", "next week", "5 min ago", "2026-99-99", "Feb 30, 2026-02-30", "32/13/2026", "---", "HEAD~3"],
)  # fmt: skip
def test_a_since_that_git_would_misread_is_refused(repo: Repo, since: str) -> None:
    answer = ask(repo.top, [("git_log", {"since": since})])[0]
    assert answer.is_error and f"since {since!r}" in answer.text and "'2 weeks ago'" in answer.text


@pytest.mark.parametrize(
    "since",
    [
        *("2001-02-03", "2001-02-03T04:05:06Z", "2001-02-03 04:05:06 +0200", "3 Feb 2001", "Sat Feb 3 04:05:06 2001"),
        *("30 years ago", "30.years", "02/03/2001", "31.1.2001", "Feb 3rd, 2001 at noon", "never", "981173106 +0000"),
    ],
)  # fmt: skip
def test_dates_that_git_reads_are_taken(repo: Repo, since: str) -> None:
    answer = ask(repo.top, [("git_log", {"since": since})])[0]
    assert not answer.is_error and answer.structured["commits"], answer.text


def test_a_since_without_commits_says_how_it_was_read(repo: Repo) -> None:
    calls: list[Call] = [
        ("git_log", {"since": text}) for text in ("2099-01-02 03:04 +0000", "now", "last monday")
    ]
    first, *others = ask(repo.top, calls)
    assert "no commit fits since 2099-01-02 03:04 UTC" in first.structured["notes"][-1]
    assert not any(answer.is_error for answer in others)
