"""Every state a repository can be in is named, with the way out; nothing breaks it."""

from __future__ import annotations

import contextlib
import os
import random
import select
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import until
from tests.servers.git.repos import Call, Repo, ask, running
from tests.stdio import Stdio, start


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """main and side disagree about a.txt and agree about the rest."""
    made = Repo(tmp_path_factory.mktemp("template") / "work")
    made.commit("base", a__txt="base\n", b__txt="base\n")
    made.git("switch", "--quiet", "--create", "side")
    made.commit("side a", a__txt="side\n")
    made.commit("side c", c__txt="side\n")
    made.git("switch", "--quiet", "main")
    made.commit("main a", a__txt="main\n")
    return made


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    return template.copy(tmp_path / "work")


@pytest.mark.parametrize(
    ("action", "ref", "state", "files"),
    [
        ("merge", "side", "merge", {"a.txt", "b.txt", "c.txt"}),
        ("rebase", "side", "rebase", {"a.txt", "b.txt", "c.txt"}),
        ("cherry_pick", "side~1", "cherry_pick", {"a.txt", "b.txt"}),
        ("cherry_pick", "main..side", "cherry_pick", {"a.txt", "b.txt", "c.txt"}),
        ("revert", "HEAD~1", "revert", {"a.txt"}),
    ],
)
def test_a_stopped_integration_names_itself_and_can_be_finished(
    repo: Repo, server: Stdio, action: str, ref: str, state: str, files: set[str]
) -> None:
    stopped = server.call("git_integrate", action=action, ref=ref)
    assert (
        not stopped.is_error and f"stopped in {state}" in stopped.text and "conflicts: a.txt" in stopped.text
    )
    status = server.call("git_status").structured
    assert status["state"] == state and "continue" in status["next_step"] and "abort" in status["next_step"]
    assert "a.txt" in server.call("git_integrate", action="continue").text
    assert state in server.call("git_integrate", action="merge", ref="side").text
    assert state in server.call("git_branch", action="switch", name="side").text
    repo.write("a.txt", "both\n")
    server.call("git_stage", paths=["a.txt"])
    finished = server.call("git_integrate", action="continue")
    assert not finished.is_error and "HEAD " in finished.text
    assert server.call("git_status").structured["state"] == "clean"
    assert repo.read("a.txt") == b"both\n"
    assert set(repo.git("ls-files").splitlines()) == files
    assert repo.sound()


@pytest.mark.parametrize(
    ("action", "ref"),
    [("merge", "side"), ("rebase", "side"), ("cherry_pick", "side~1"), ("revert", "HEAD~1")],
)
def test_a_stopped_integration_can_be_given_up(repo: Repo, server: Stdio, action: str, ref: str) -> None:
    before = repo.picture()
    server.call("git_integrate", action=action, ref=ref)
    assert not server.call("git_integrate", action="abort").is_error
    assert repo.picture() == before
    assert "under way" in server.call("git_integrate", action="abort").text


def test_a_pick_that_is_already_there_is_passed_over(repo: Repo, server: Stdio) -> None:
    server.call("git_integrate", action="cherry_pick", ref="side~1")
    repo.write("a.txt", "main\n")
    server.call("git_stage", paths=["a.txt"])
    tip = repo.git("rev-parse", "HEAD")
    assert not server.call("git_integrate", action="continue").is_error
    assert repo.git("rev-parse", "HEAD") == tip
    assert server.call("git_status").structured["state"] == "clean"


def test_a_merge_commit_is_reverted_against_its_first_parent(repo: Repo, server: Stdio) -> None:
    repo.git("switch", "--quiet", "--create", "topic", "HEAD~1")
    repo.commit("topic", d__txt="d\n")
    repo.git("switch", "--quiet", "main")
    assert "merge topic" in server.call("git_integrate", action="merge", ref="topic").text
    assert not server.call("git_integrate", action="revert", ref="HEAD").is_error
    assert not (repo.top / "d.txt").exists()


def test_a_stash_that_conflicts_is_kept_and_named(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "stashed\n")
    server.call("git_stash", action="push", message="mine")
    assert "mine" in server.call("git_stash", action="list").text
    assert "+stashed" in server.call("git_stash", action="show").text
    repo.commit("moved on", a__txt="other\n")
    answer = server.call("git_stash", action="pop")
    assert "conflicts in a.txt" in answer.text and "kept" in answer.text
    status = server.call("git_status").structured
    assert status["state"] == "conflict" and status["counts"]["stashes"] == 1


def test_a_detached_head_is_told_and_can_go_back(repo: Repo, server: Stdio) -> None:
    assert "detached" in server.call("git_branch", action="switch", ref="side~1").text
    status = server.call("git_status").structured
    assert status["branch"] is None and status["head"] == repo.git("rev-parse", "side~1")
    repo.write("z.txt")
    server.call("git_stage", paths=["z.txt"])
    assert "detached HEAD" in server.call("git_commit", message="loose").text
    server.call("git_branch", action="create", name="kept", ref="HEAD")
    server.call("git_branch", action="switch", name="main")
    listing = server.call("git_branch").text
    assert "HEAD is on main" in listing and "kept" in listing and "loose" in listing


def test_commits_that_no_branch_holds_are_named_when_they_are_left(repo: Repo, server: Stdio) -> None:
    server.call("git_branch", action="switch", ref="main")
    repo.write("z.txt")
    server.call("git_stage", paths=["z.txt"])
    server.call("git_commit", message="loose")
    loose = repo.git("rev-parse", "HEAD")[:12]
    left = server.call("git_branch", action="switch", name="main").text
    assert f"1 commit up to {loose} is on no branch" in left
    server.call("git_branch", action="create", name="kept", ref=loose)
    server.call("git_branch", action="switch", ref=loose)
    assert "no branch;" not in server.call("git_branch", action="switch", name="main").text


def test_a_tag_or_commit_given_as_a_branch_is_called_one(repo: Repo, server: Stdio) -> None:
    repo.git("tag", "v1")
    for name in ("v1", repo.git("rev-parse", "HEAD")[:10]):
        answer = server.call("git_branch", action="switch", name=name)
        assert answer.is_error and "ref instead of name" in answer.text
    assert "detached" in server.call("git_branch", action="switch", ref="v1").text


def test_a_bisect_is_named_and_left_alone(repo: Repo, server: Stdio) -> None:
    repo.git("bisect", "start")
    assert "bisect reset" in server.call("git_status").structured["next_step"]


@pytest.mark.parametrize(
    ("place", "content", "way_out"),
    [
        ("index", b"garbage", "delete .git/index"),
        ("HEAD", b"garbage\n", "git symbolic-ref HEAD"),
        ("HEAD", b"ref: refs/heads/\x1b[31m\n", "git symbolic-ref HEAD"),
        ("refs/heads/main", b"garbage\n", "git fsck"),
        ("packed-refs", b"# pack-refs with: peeled\nzzzz refs/heads/x\n", "packed-refs"),
        ("config", b"[core\nx", "config line"),
        ("index.lock", b"", "delete that file"),
        ("HEAD.lock", b"", "delete that file"),
    ],
)
def test_a_damaged_repository_is_refused_with_the_way_out(
    repo: Repo, server: Stdio, place: str, content: bytes, way_out: str
) -> None:
    repo.write("a.txt", "changed\n")
    repo.write(f".git/{place}", content)
    answers = [
        server.call("git_stage", paths=["a.txt"]),
        server.call("git_stash", action="push"),
        server.call("git_branch", action="switch", ref="HEAD~1"),
    ]
    assert any(answer.is_error and way_out in answer.text for answer in answers), answers
    assert all("fault of its own" not in answer.text for answer in answers)
    assert repo.read("a.txt") == b"changed\n" or place == "HEAD.lock"


@pytest.mark.parametrize("kind", ["blob", "tree"])
def test_a_missing_object_is_named_with_the_way_out(repo: Repo, server: Stdio, kind: str) -> None:
    oid = repo.git("rev-parse", "HEAD:a.txt" if kind == "blob" else "HEAD^{tree}")
    (repo.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    repo.write("a.txt", "changed\n")
    answer = server.call("git_diff", scope="HEAD")
    assert answer.is_error and "git fsck" in answer.text
    assert server.call("git_restore", paths=["a.txt"], source="HEAD").is_error
    assert repo.read("a.txt") == b"changed\n"


@pytest.mark.parametrize(
    "people",
    [
        "author A <a@b> 999999999999999 +0000\ncommitter A <a@b> 99999999999999999999 +9999\n",
        "author\ncommitter\n",
        "",
        "author A\x1b[31m <a@b> -5 +0000\ncommitter\n",
    ],
)
def test_a_commit_nobody_could_have_made_is_read_all_the_same(repo: Repo, server: Stdio, people: str) -> None:
    tree = repo.git("rev-parse", "HEAD^{tree}")
    commit = f"tree {tree}\n{people}\nodd\n".encode()
    oid = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=commit)
    repo.git("update-ref", "HEAD", oid)
    assert "main" in server.call("git_blame", path="a.txt").text
    assert server.call("git_log").structured["commits"][0]["commit"] == oid
    assert oid in server.call("git_show").text and "main" in server.call("git_branch").text
    assert not server.call("git_status").is_error


def test_show_and_blame_tell_who_and_what(repo: Repo, server: Stdio) -> None:
    shown = server.call("git_show", rev="side").text
    assert "side c" in shown and "+side" in shown and "1 file" in shown
    assert "@@" not in server.call("git_show", rev="side", stat_only=True).text
    assert "base" in server.call("git_show", rev="side~2", path="a.txt").text
    assert "b.txt" in server.call("git_show", rev="side", path=".").text
    assert server.call("git_show", rev="side", path="nope").is_error
    blame = server.call("git_blame", path="a.txt", rev="side").text
    assert repo.git("rev-parse", "side~1")[:10] in blame and "Ann" in blame
    assert "1 lines" in server.call("git_blame", path="a.txt", start=2).text
    repo.commit("binary", x="\0" * 100)
    assert "binary" in server.call("git_show", path="x").text


def test_long_files_are_blamed_page_by_page(repo: Repo, server: Stdio) -> None:
    repo.commit("long", long="".join(f"line {number}\n" for number in range(1, 501)))
    first = server.call("git_blame", path="long").text
    assert "L1-200/500" in first and "more: start=201" in first
    assert "line 500" in server.call("git_blame", path="long", start=401).text


BAD_NAMES = ["a b", "-x", "x..y", "HEAD", "a.lock", "", "\u00fc\u202e", "x" * 500, "@", "a\nb"]


def test_a_branch_name_git_would_not_take_is_refused_in_words(repo: Repo, server: Stdio) -> None:
    before = repo.git("for-each-ref")
    for name in BAD_NAMES:
        for action in ("create", "delete", "switch"):
            answer = server.call("git_branch", action=action, name=name)
            assert answer.is_error and "did not do it" not in answer.text, (name, action)
    assert repo.git("for-each-ref") == before


def test_switching_finds_a_branch_that_only_the_remote_has(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", ".", "../clone")
    with start("git", str(tmp_path / "clone")) as server:
        assert "tracking origin/side" in server.call("git_branch", action="switch", name="side").text
        assert server.call("git_status").structured["upstream"] == "origin/side"


def test_a_shallow_clone_says_why_history_ends(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.top}", "../shallow")
    with start("git", str(tmp_path / "shallow")) as server:
        assert "shallow" in server.call("git_status").text
        assert len(server.call("git_log").structured["commits"]) == 1
        assert not server.call("git_show").is_error


def test_a_sparse_checkout_keeps_what_is_not_on_disk(repo: Repo, server: Stdio) -> None:
    repo.write("in/x.txt", "x\n")
    repo.write("out/y.txt", "y\n")
    repo.commit("folders")
    repo.git("sparse-checkout", "set", "in")
    status = server.call("git_status").structured
    assert "sparse" in status["notes"][0] and status["counts"]["unstaged"] == 0
    repo.write("in/x.txt", "changed\n")
    server.call("git_stage", paths=["."])
    op = server.call("git_commit", message="inside").text.split("op=")[1].split()[0]
    assert repo.git("show", "HEAD:out/y.txt") == "y"
    restored = server.call("git_restore", paths=["in"], source="HEAD~1", staged=True, worktree=True)
    server.call("git_undo", op=restored.text.rpartition("op=")[2])
    server.call("git_undo", op=op)
    assert repo.read("in/x.txt") == b"changed\n" and not (repo.top / "out").exists()


def test_a_submodule_is_shown_and_left_alone(repo: Repo, server: Stdio, tmp_path: Path) -> None:
    Repo(tmp_path / "lib").commit("lib", f__txt="f\n")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../lib", "sub")
    repo.commit("add sub")
    Repo(repo.top / "sub", init=False).git(
        "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"
    )
    assert server.call("git_status").structured["unstaged"] == [
        {"path": "sub", "change": "submodule at another commit"}
    ]
    assert "submodule" in server.call("git_show", path="sub").text
    assert not server.call("git_stage", paths=["sub"]).is_error
    assert not server.call("git_commit", message="newer lib").is_error
    before = repo.picture()
    op = server.call("git_branch", action="switch", name="side").text.rpartition("op=")[2]
    server.call("git_undo", op=op)
    assert repo.picture() == before


def test_twenty_thousand_files_and_a_long_history_get_right_answers(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "large")
    stream = [b"blob\nmark :1\ndata 2\nx\n\n"]
    for number in range(2000):
        stream.append(
            b"commit refs/heads/main\ncommitter Ann <a@b> %d +0000\ndata 4\nn%03d\n" % (number, number % 1000)
        )
        if number == 0:
            stream += [b"M 100644 :1 d%02d/f%05d.txt\n" % (n % 100, n) for n in range(20_000)]
        stream.append(b"M 100644 inline n\ndata <<E\n%d\nE\n" % number)
    repo.git("fast-import", "--quiet", stdin=b"".join(stream))
    repo.git("reset", "--quiet", "--hard")
    with start("git", str(repo.top)) as server:
        repo.write("d00/f00000.txt", "changed\n")
        assert [f["path"] for f in server.call("git_status").structured["unstaged"]] == ["d00/f00000.txt"]
        assert "· 1 file ·" in server.call("git_diff").text
        page = server.call("git_log", limit=200).structured
        assert page["commits"][0]["subject"].strip() == "n999" and page["cursor"]
        assert len(server.call("git_log", paths=["d50/f00050.txt"]).structured["commits"]) == 1
        away = server.call("git_branch", action="switch", ref="HEAD~1999").text
        assert repo.read("n") == b"0\n"
        assert not server.call("git_undo", op=away.rpartition("op=")[2]).is_error, away
    assert repo.read("n") == b"1999\n" and repo.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert repo.git("status", "--porcelain") == " M d00/f00000.txt"


def test_two_servers_that_stage_and_commit_at_once_lose_nothing(repo: Repo) -> None:
    for number in range(8):
        repo.write(f"n{number}.txt", f"{number}\n")

    def work(numbers: range) -> list[str]:
        with start("git", str(repo.top)) as own:
            staged = [own.call("git_stage", paths=[f"n{number}.txt"]) for number in numbers]
            made = own.call("git_commit", message=f"{numbers}")
            return [
                answer.text
                for answer in (*staged, made)
                if answer.is_error and "nothing is staged" not in answer.text
            ]

    with ThreadPoolExecutor(2) as pool:
        errors = [error for found in pool.map(work, (range(4), range(4, 8))) for error in found]
    assert errors == []
    assert {f"n{number}.txt" for number in range(8)} <= set(
        repo.git("ls-tree", "--name-only", "HEAD").splitlines()
    )
    assert repo.sound()


@pytest.mark.parametrize("children", [1, 4, 8, 12])
def test_a_server_killed_in_the_middle_leaves_a_sound_repository(repo: Repo, children: int) -> None:
    for number in range(300):
        repo.write(f"many/{number}.txt", f"{number}\n" * 50)
    server = start("git", str(repo.top))
    for tool, arguments in (
        ("git_stage", {"paths": ["."]}),
        ("git_stash", {"action": "push", "untracked": True}),
        ("git_integrate", {"action": "merge", "ref": "side"}),
    ):
        last = server.send("tools/call", {"name": tool, "arguments": arguments})
    process, seen = psutil.Process(server.pid), set[int]()
    while len(seen) < children and not select.select([server.stdout], [], [], 0)[0]:
        seen |= {child.pid for child in process.children()}
    family = [*process.children(recursive=True), process]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    server.close()
    (repo.top / ".git" / "index.lock").unlink(missing_ok=True)
    assert last and repo.sound()
    with start("git", str(repo.top)) as again:
        assert not again.call("git_status").is_error
        assert not again.call("git_undo").is_error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], check=False, capture_output=True
    ).returncode:
        pytest.skip("no disk of its own can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("left", [0, 8192, 100_000])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("git_branch", {"action": "switch", "name": "other"}),
        ("git_integrate", {"action": "merge", "ref": "other"}),
        ("git_restore", {"paths": ["."], "source": "other"}),
    ],
)
def test_a_full_disk_changes_nothing(
    small_disk: Path, tool: str, arguments: dict[str, str], left: int
) -> None:
    repo = Repo(small_disk / "work")
    repo.commit("base", a__txt="a\n")
    repo.git("switch", "--quiet", "--create", "other")
    repo.write("big", random.Random(7).randbytes(400_000))
    repo.commit("big")
    repo.git("switch", "--quiet", "main")
    before = repo.picture()
    with start("git", str(repo.top)) as server:
        server.call("git_status")
        filler = (small_disk / "filler").open("wb", buffering=0)
        with filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        os.truncate(small_disk / "filler", max((small_disk / "filler").stat().st_size - left, 0))
        answer = server.call(tool, **arguments)
        (small_disk / "filler").unlink()
        assert answer.is_error and "fault of its own" not in answer.text
        assert repo.picture() == before and repo.sound()
        assert not list((repo.top / ".git").glob("fast_import_crash_*"))
        assert "nothing to undo" in server.call("git_undo").text
        assert not server.call(tool, **arguments).is_error


def test_a_state_folder_that_cannot_be_written_stops_changes_in_words(repo: Repo) -> None:
    repo.write("a.txt", "changed\n")
    with start("git", str(repo.top), env={"UNDERSTUDY_HOME": "/proc/none"}) as server:
        assert not server.call("git_status").is_error
        answer = server.call("git_restore", paths=["a.txt"])
    assert answer.is_error and "nothing was done" in answer.text and "UNDERSTUDY_HOME" in answer.text
    assert repo.read("a.txt") == b"changed\n"


def test_a_cancelled_call_stops_git_and_changes_nothing(repo: Repo) -> None:
    slow = repo.write("../slow", "#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    repo.write(".git/hooks/pre-commit", f"#!/bin/sh\nexec '{slow.resolve()}'\n").chmod(0o755)
    repo.write("a.txt", "changed\n")
    subprocess.run(
        [sys.executable, "-c", "from servers.git.server import main; main()", "--trust", str(repo.top)],
        check=True,
        capture_output=True,
    )
    with start("git", str(repo.top)) as server:
        server.call("git_stage", paths=["a.txt"])
        before = repo.picture()
        number = server.send("tools/call", {"name": "git_commit", "arguments": {"message": "m"}})
        process = psutil.Process(server.pid)
        until(lambda: running(process, "slow"))
        server.notify("notifications/cancelled", {"requestId": number})
        until(lambda: not running(process, "slow"))
        assert not server.call("git_status").is_error
        assert repo.picture() == before
        assert not list((repo.top / ".git").glob("*.lock"))


def test_an_abort_says_what_it_aborted(repo: Repo) -> None:
    before = repo.picture()
    for action, ref in (
        ("merge", "side"),
        ("rebase", "side"),
        ("cherry_pick", "side~1"),
        ("revert", "HEAD~1"),
    ):
        stopped, aborted = ask(
            repo.top,
            [("git_integrate", {"action": action, "ref": ref}), ("git_integrate", {"action": "abort"})],
        )
        assert "stopped" in stopped.text and repo.picture() == before
        assert aborted.text.startswith(
            f"aborted the {action}: HEAD is at {repo.git('rev-parse', 'HEAD')[:12]}"
        )
        assert "as before" in aborted.text and "up to date" not in aborted.text


def test_an_abort_after_somebody_committed_says_that_head_stays(repo: Repo) -> None:
    repo.git("cherry-pick", "main..side", fails=True)
    repo.commit("resolved by hand", a__txt="both\n")
    text = ask(repo.top, [("git_integrate", {"action": "abort"})])[0].text
    assert "HEAD stays at" in text and "as before" not in text


@pytest.mark.parametrize(
    "arguments", [{}, {"stat_only": True}, {"scope": "staged"}, {"scope": "HEAD"}, {"paths": ["a.txt"]}]
)
def test_a_diff_during_a_conflict_names_the_files_in_it(repo: Repo, arguments: dict[str, Any]) -> None:
    repo.git("merge", "--quiet", "side", fails=True)
    if arguments.get("scope"):
        repo.git("rm", "--quiet", "--cached", "c.txt")
    head = ask(repo.top, [("git_diff", arguments)])[0].text.splitlines()[0]
    assert " · 1 file · " in head and head.endswith("a.txt") and "in conflict" in head
    repo.git("checkout", "--ours", "a.txt")  # as HEAD has it, and still in conflict
    same, *other = ask(
        repo.top,
        [("git_diff", arguments), ("git_diff", {"scope": "side..main"}), ("git_diff", {"paths": ["b.txt"]})],
    )
    assert ("in conflict" in same.text) is (arguments.get("scope") != "HEAD")
    assert not any("in conflict" in answer.text for answer in other)


def test_a_bare_repository_is_called_one(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--bare", ".", "../x.git")
    answers = [
        ask(tmp_path / "x.git", [("git_status", {})])[0],
        ask(tmp_path, [("git_log", {"repo": "x.git"})])[0],
    ]
    for answer in answers:
        assert answer.is_error and "bare repository, which has no work tree" in answer.text
        assert "git clone" in answer.text and "git init" not in answer.text


def test_a_bare_repository_behind_a_pointer_is_not_shown_as_all_deleted(repo: Repo, tmp_path: Path) -> None:
    """git itself works in the linked work trees of such a layout only."""
    repo.git("clone", "--quiet", "--bare", ".", "../top/.bare")
    top = Repo(tmp_path / "top", init=False)
    assert ".bare is a bare repository" in ask(top.top, [("git_status", {})])[0].text
    top.write(".git", "gitdir: ./.bare\n")
    top.git("worktree", "add", "--quiet", "main")
    here, linked = ask(top.top, [("git_status", {}), ("git_status", {"repo": "main"})])
    assert here.is_error and "bare repository" in here.text and "say repo=" in here.text
    assert not linked.is_error and linked.structured["counts"]["staged"] == 0


def test_what_a_shallow_clone_lacks_is_explained(repo: Repo, tmp_path: Path) -> None:
    repo.git("clone", "--quiet", "--depth=2", "--no-single-branch", f"file://{repo.top}", "../shallow")
    calls: list[Call] = [
        ("git_log", {}),
        ("git_log", {"limit": 1}),
        ("git_log", {"rev": "HEAD~1..HEAD"}),
        ("git_show", {"rev": "HEAD~5"}),
        ("git_diff", {"scope": "main...origin/side"}),
        ("git_integrate", {"action": "merge", "ref": "origin/side~1"}),
    ]
    log, page, part, missing, *_ = answers = ask(tmp_path / "shallow", calls)
    assert "history ends here: this is a shallow clone" in log.structured["notes"][-1]
    assert not page.structured["notes"] and not part.structured["notes"]
    assert missing.is_error and "shallow clone" in missing.text
    assert not any("shallow" in answer.text for answer in ask(repo.top, calls[:4])), answers


def test_restoring_outside_a_sparse_checkout_is_one_clear_sentence(repo: Repo) -> None:
    repo.write("in/x.txt")
    repo.write("out/y.txt")
    repo.commit("folders")
    repo.git("sparse-checkout", "set", "in")
    for paths in (["out/y.txt"], ["out"], ["in", "out"]):
        answer = ask(repo.top, [("git_restore", {"paths": paths, "source": "HEAD"})])[0]
        assert answer.is_error and "lies outside the sparse checkout" in answer.text
        assert "sparse-checkout add" in answer.text and "pathspec" not in answer.text
    repo.git("sparse-checkout", "disable")
    repo.git("update-index", "--skip-worktree", "b.txt")
    answer = ask(repo.top, [("git_restore", {"paths": ["b.txt"]})])[0]
    assert answer.is_error and "--no-skip-worktree b.txt" in answer.text
