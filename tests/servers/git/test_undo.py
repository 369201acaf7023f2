"""Whatever the git server changes comes back byte for byte."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from servers.git.safe.repository import Place
from servers.git.safe.trust import Trust
from servers.state.audit import first_break
from tests.processes import until
from tests.servers.git.repos import Repo, running
from tests.stdio import Result, Stdio, start

OP = re.compile(r"op=(u[0-9a-f]+)")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    return made(tmp_path_factory.mktemp("template") / "work")


@pytest.fixture
def repo(template: Repo, tmp_path: Path) -> Repo:
    return template.copy(tmp_path / "work")


def made(top: Path) -> Repo:
    """Two branches that merge, a file that only one tracks and both ignore, a link, an executable."""
    repo = Repo(top)
    repo.write(".gitignore", "*.log\n")
    repo.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    os.symlink("a.txt", repo.top / "link")
    repo.commit("first", a__txt="one\n", b__txt="one\n", c__txt="one\n")
    repo.git("branch", "other")
    repo.git("switch", "--quiet", "other")
    repo.write("trace.log", "tracked on other\n")
    repo.git("add", "--force", "trace.log")
    repo.commit("on other", d__txt="other\n", a__txt="one\nother\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("second", e__txt="main\n")
    return repo


def op_of(answer: Result) -> str:
    assert not answer.is_error, answer.text
    match = OP.search(answer.text)
    assert match, answer.text
    return match[1]


def soil(repo: Repo) -> None:
    """Changes of every kind that are nowhere in the history."""
    repo.write("b.txt", "staged\n")
    repo.git("add", "b.txt")
    repo.write("b.txt", "staged, then more\n")
    repo.write("c.txt", b"\xff\x00 not text\r\n").chmod(0o600)
    repo.write("new file", "untracked\n")
    repo.write("trace.log", "ignored and precious\n")


def conflict(repo: Repo) -> None:
    repo.git("switch", "--quiet", "--create", "clash", "main~1")
    repo.commit("clash", e__txt="clash\n")
    repo.git("switch", "--quiet", "main")


Change = tuple[str, Callable[[Repo], Any], str, dict[str, Any]]

CHANGES: list[Change] = [
    ("restore one file", soil, "git_restore", {"paths": ["c.txt"]}),
    ("restore everything", soil, "git_restore", {"paths": ["."]}),
    ("reset everything", soil, "git_restore", {"paths": ["."], "staged": True, "worktree": True}),
    ("unstage by restore", soil, "git_restore", {"paths": ["b.txt"], "staged": True}),
    ("restore over an ignored file", soil, "git_restore", {"paths": ["trace.log"], "source": "other"}),
    ("restore a file only another branch has", soil, "git_restore", {"paths": ["."], "source": "other"}),
    ("restore an old tree", soil, "git_restore", {"paths": ["."], "source": "HEAD~1", "staged": True, "worktree": True}),
    ("stage", soil, "git_stage", {"paths": ["."]}),
    ("unstage", soil, "git_stage", {"paths": ["b.txt"], "unstage": True}),
    ("commit", soil, "git_commit", {"message": "m"}),
    ("amend", soil, "git_commit", {"message": "m", "amend": True}),
    ("stash push", soil, "git_stash", {"action": "push"}),
    ("stash push with new files", soil, "git_stash", {"action": "push", "untracked": True}),
    ("switch over an ignored file", lambda r: r.write("trace.log", "precious\n"), "git_branch", {"action": "switch", "name": "other"}),
    ("detach", soil, "git_branch", {"action": "switch", "ref": "HEAD~1"}),
    ("delete a branch", soil, "git_branch", {"action": "delete", "name": "other"}),
    ("rename a branch", soil, "git_branch", {"action": "rename", "name": "other", "ref": "elsewhere"}),
    ("rename the current branch", soil, "git_branch", {"action": "rename", "name": "main", "ref": "trunk"}),
    ("merge over an ignored file", lambda r: r.write("trace.log", "precious\n"), "git_integrate", {"action": "merge", "ref": "other"}),
    ("rebase", lambda r: r.write("trace.log", "precious\n"), "git_integrate", {"action": "rebase", "ref": "other"}),
    ("cherry-pick", soil, "git_integrate", {"action": "cherry_pick", "ref": "other"}),
    ("revert", soil, "git_integrate", {"action": "revert", "ref": "HEAD"}),
    ("a merge that conflicts", conflict, "git_integrate", {"action": "merge", "ref": "clash"}),
    ("a rebase that conflicts", conflict, "git_integrate", {"action": "rebase", "ref": "clash"}),
    ("a cherry-pick that conflicts", conflict, "git_integrate", {"action": "cherry_pick", "ref": "clash"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("prepare", "tool", "arguments"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_a_change_comes_back_byte_for_byte(
    repo: Repo, server: Stdio, prepare: Callable[[Repo], Any], tool: str, arguments: dict[str, Any]
) -> None:
    prepare(repo)
    if arguments.get("action") in ("cherry_pick", "revert"):
        repo.git("reset", "--quiet", "b.txt")
    before = repo.picture()
    op = op_of(server.call(tool, **arguments))
    changed = repo.picture()
    assert changed != before
    again = op_of(server.call("git_undo", op=op))
    assert repo.picture() == before
    assert repo.sound()
    op_of(server.call("git_undo", op=again))
    assert repo.picture() == changed


def test_dropped_and_popped_stashes_come_back_in_their_order(repo: Repo, server: Stdio) -> None:
    for text in ("oldest", "middle", "newest"):
        repo.write("a.txt", text + "\n")
        repo.write(f"{text}.new", text)
        repo.git("stash", "push", "--quiet", "--include-untracked", "--message", text)
    before = repo.picture()
    for arguments in ({"action": "drop", "index": 1}, {"action": "pop", "index": 2}, {"action": "apply"}):
        op = op_of(server.call("git_stash", **arguments))
        assert repo.picture() != before
        repo.git("gc", "--quiet", "--prune=now")
        op_of(server.call("git_undo", op=op))
        assert repo.picture() == before


def hide(*flags: str) -> Callable[[Repo], None]:
    def prepare(repo: Repo) -> None:
        repo.git("update-index", *flags, "a.txt")
        repo.write("a.txt", "only on disk\n")

    return prepare


def folder_for_file(repo: Repo) -> None:
    (repo.top / "a.txt").unlink()
    repo.write("a.txt/deep/x", "only on disk\n")


def file_for_folder(repo: Repo) -> None:
    repo.commit("a folder", **{"folder/f": "f\n"})
    (repo.top / "folder" / "f").unlink()
    (repo.top / "folder").rmdir()
    repo.write("folder", "only on disk\n")


def odd_names(repo: Repo) -> None:
    for name in (
        b"\xff\xfe",
        b"new\nline",
        b"tab\t",
        b'"q"',
        b"back\\slash",
        b"-dash",
        b" lead",
        b":(glob)*",
        b"\xe2\x80\xa8",
    ):
        repo.write(name, name)


@pytest.mark.parametrize(
    "prepare",
    [hide("--assume-unchanged"), hide("--skip-worktree"), folder_for_file, file_for_folder, odd_names],
    ids=["assumed unchanged", "not looked at", "folder for file", "file for folder", "odd names"],
)
@pytest.mark.parametrize("staged", [False, True])
def test_what_git_does_not_look_at_is_kept_too(
    repo: Repo, server: Stdio, prepare: Callable[[Repo], None], staged: bool
) -> None:
    prepare(repo)
    before = repo.picture()
    op = op_of(server.call("git_restore", paths=["."], staged=staged, worktree=True))
    op_of(server.call("git_undo", op=op))
    assert repo.picture() == before and repo.sound()


def test_untracked_files_go_into_the_stash_and_come_out_again(repo: Repo, server: Stdio) -> None:
    odd_names(repo)
    soil(repo)
    (repo.top / "c.txt").chmod(0o644)  # git keeps no other mode
    repo.git("reset", "--quiet")
    before = repo.picture()
    op_of(server.call("git_stash", action="push", untracked=True))
    assert repo.git("status", "--porcelain") == "" and not (repo.top / "new file").exists()
    op_of(server.call("git_stash", action="pop"))
    assert repo.picture() == before


def test_an_announced_file_is_not_stashed_and_the_next_step_is_named(repo: Repo, server: Stdio) -> None:
    repo.write("n.txt")
    repo.git("add", "--intent-to-add", "n.txt")
    answer = server.call("git_stash", action="push")
    assert answer.is_error and "n.txt" in answer.text and "git_stage" in answer.text


def test_a_submodule_is_left_where_it_is_by_stash_and_undo(repo: Repo, server: Stdio, tmp_path: Path) -> None:
    Repo(tmp_path / "lib").commit("lib", f__txt="f\n")
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../lib", "sub")
    before = repo.picture()
    ops = [
        op_of(server.call("git_stash", action="push", untracked=True)),
        op_of(server.call("git_stash", action="pop")),
    ]
    for op in reversed(ops):
        op_of(server.call("git_undo", op=op))
    assert repo.picture() == before and repo.sound()


@pytest.mark.parametrize("source", [None, "other"])
def test_a_repository_in_the_way_of_a_file_is_not_removed(
    repo: Repo, server: Stdio, source: str | None
) -> None:
    path = "d.txt" if source else "a.txt"
    (repo.top / path).unlink(missing_ok=True)
    Repo(repo.top / path / "inner").commit("precious", f="f\n")
    before = repo.picture()
    answer = server.call("git_restore", paths=[path], source=source)
    assert answer.is_error and f"{path}/inner is a repository of its own" in answer.text
    assert repo.picture() == before and (repo.top / path / "inner" / ".git").is_dir()


def test_undo_loses_nothing_written_where_a_file_was(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "changed\n")
    op = op_of(server.call("git_restore", paths=["a.txt"]))
    (repo.top / "a.txt").unlink()
    repo.write("a.txt/since", "written since\n")
    answer = server.call("git_undo", op=op)
    assert answer.is_error and "a.txt/since changed since" in answer.text
    assert repo.read("a.txt/since") == b"written since\n"


def test_what_was_kept_survives_garbage_collection(repo: Repo, server: Stdio) -> None:
    soil(repo)
    tip = repo.git("rev-parse", "other")
    before = repo.picture()
    reset = op_of(server.call("git_restore", paths=["."], staged=True, worktree=True))
    delete = op_of(server.call("git_branch", action="delete", name="other"))
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "--quiet", "--prune=now")
    assert repo.git("cat-file", "-t", tip) == "commit"
    server.call("git_undo", op=delete)
    server.call("git_undo", op=reset)
    assert repo.picture() == before and repo.sound()


def test_a_deleted_branch_comes_back_with_its_upstream(repo: Repo, server: Stdio) -> None:
    repo.git("config", "branch.other.remote", "origin")
    repo.git("config", "branch.other.merge", "refs/heads/other")
    op = op_of(server.call("git_branch", action="delete", name="other"))
    assert repo.git("config", "--get-regexp", r"branch\.other", fails=True) == ""
    server.call("git_undo", op=op)
    assert repo.git("config", "branch.other.merge") == "refs/heads/other"


def test_undo_refuses_to_take_back_later_work(repo: Repo, server: Stdio) -> None:
    soil(repo)
    op = op_of(server.call("git_restore", paths=["c.txt"]))
    repo.write("c.txt", "written since\n")
    answer = server.call("git_undo", op=op)
    assert answer.is_error and "c.txt changed since" in answer.text
    assert repo.read("c.txt") == b"written since\n"


def test_undo_of_an_older_commit_names_what_came_later(repo: Repo, server: Stdio) -> None:
    ops: list[str] = []
    for number in range(2):
        repo.write("a.txt", f"{number}\n")
        server.call("git_stage", paths=["a.txt"])
        ops.append(op_of(server.call("git_commit", message=f"number {number}")))
    answer = server.call("git_undo", op=ops[0])
    assert answer.is_error and "main has moved" in answer.text and ops[1] in answer.text
    listed = server.call("git_undo").text
    assert listed.index(ops[1]) < listed.index(ops[0]) and "commit number 1" in listed


def test_an_aborted_merge_comes_back_with_its_half_done_resolution(repo: Repo, server: Stdio) -> None:
    conflict(repo)
    server.call("git_integrate", action="merge", ref="clash")
    repo.write("e.txt", "half resolved\n")
    before = repo.picture()
    op = op_of(server.call("git_integrate", action="abort"))
    assert server.call("git_status").structured["state"] == "clean"
    server.call("git_undo", op=op)
    assert repo.picture() == before
    assert server.call("git_status").structured["state"] == "merge"
    server.call("git_stage", paths=["e.txt"])
    assert not server.call("git_integrate", action="continue").is_error
    assert len(repo.git("log", "-1", "--format=%P").split()) == 2


def test_a_change_that_failed_leaves_no_operation_behind(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "in the way\n")
    assert server.call("git_branch", action="switch", name="other").is_error
    assert "nothing to undo" in server.call("git_undo").text
    assert server.call("git_undo", op="u0").is_error
    assert server.call("git_undo", op="../../../etc").is_error


def test_every_change_is_written_down_outside_the_work_tree(
    repo: Repo, server: Stdio, own_state: Path
) -> None:
    repo.write("a.txt", "changed\n")
    ops = [
        op_of(server.call("git_stage", paths=["a.txt"])),
        op_of(server.call("git_commit", message="say why")),
    ]
    file = own_state / "understudy" / "audit" / "git.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["op"] for line in lines] == ops and lines[1]["did"] == "commit say why"
    assert first_break(file) is None
    assert ".understudy" not in repo.git("status", "--porcelain", "--ignored")


def test_a_switch_killed_halfway_is_taken_back(repo: Repo) -> None:
    repo.git("config", "filter.slow.smudge", "sleep 60")
    repo.git("switch", "--quiet", "other")
    repo.write(".gitattributes", "zz filter=slow\n")
    repo.commit("slow", zz="z\n", b__txt="changed on other\n")
    repo.git("switch", "--quiet", "main")
    soil(repo)
    repo.git("checkout", "--quiet", "HEAD", "--", "b.txt")
    before = repo.picture()
    found = Place(repo.top).repository()
    Trust().grant(found.settings, found.top, found.common_dir)
    with start("git", str(repo.top)) as server:
        server.send("tools/call", {"name": "git_branch", "arguments": {"action": "switch", "name": "other"}})
        process = psutil.Process(server.pid)
        until(lambda: running(process, "sleep 60"), pause_s=0)
        for member in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    assert repo.read("b.txt") == b"changed on other\n"
    (repo.top / ".git" / "index.lock").unlink()
    with start("git", str(repo.top)) as server:
        [op] = re.findall(r"^(u\w+)  .*switch to other", server.call("git_undo").text, re.MULTILINE)
        assert not server.call("git_undo", op=op).is_error
    assert repo.picture() == before


def test_an_operation_somebody_else_wrote_is_not_believed(repo: Repo, server: Stdio) -> None:
    repo.write("a.txt", "changed\n")
    op = op_of(server.call("git_restore", paths=["a.txt"]))
    kept = repo.git("rev-parse", f"refs/understudy/undo/{op}")
    forged = repo.git("commit-tree", "-m", "forged", f"{kept}^{{tree}}")
    repo.git("update-ref", "refs/understudy/undo/uffffffffffffffff", forged)
    repo.git("update-ref", f"refs/understudy/undo/{op}", forged)
    assert "nothing to undo" in server.call("git_undo").text
    assert server.call("git_undo", op="uffffffffffffffff").is_error


@pytest.mark.parametrize("name", ["line\u2028separator", "next\x85line", 'a-"quoted"-one', b"no-\xff-text"])
def test_a_branch_of_any_name_is_worked_on_and_taken_back(
    repo: Repo, server: Stdio, name: str | bytes
) -> None:
    repo.git("switch", "--quiet", "--create", name)
    before = repo.picture()
    repo.write("a.txt", "changed\n")
    ops = [op_of(server.call("git_stage", paths=["a.txt"]))]
    ops.append(op_of(server.call("git_commit", message="one\u2028line \x0b and more\n\nbody")))
    ops.append(op_of(server.call("git_branch", action="switch", ref="other")))
    listed = server.call("git_branch").text
    assert "\u2028" not in listed and "3 branches" in listed
    assert ops[1] in server.call("git_undo").text
    for op in reversed(ops):
        op_of(server.call("git_undo", op=op))
    repo.git("restore", "a.txt")
    assert repo.picture() == before


def test_an_ignored_folder_in_the_way_is_kept(repo: Repo, server: Stdio) -> None:
    repo.git("switch", "--quiet", "other")
    repo.commit("a file called build", build="file\n")
    repo.git("switch", "--quiet", "main")
    repo.write(".gitignore", "build/\n*.log\n")
    repo.commit("ignore builds")
    repo.write("build/deep/x.bin", b"\x00\x01")
    before = repo.picture()
    op = op_of(server.call("git_integrate", action="merge", ref="other"))
    assert repo.read("build") == b"file\n"
    server.call("git_undo", op=op)
    assert repo.picture() == before


class Session(RuleBasedStateMachine):
    """Any run of operations, taken back one by one, ends where it began."""

    top: Path
    template: Repo

    def __init__(self) -> None:
        super().__init__()
        Session.count += 1
        self.repo = Session.template.copy(Session.top / f"work{Session.count}")
        soil(self.repo)
        (self.repo.top / "c.txt").chmod(0o644)  # once committed, git itself forgets any other mode
        self.server = start("git", str(self.repo.top))
        self.stack: list[tuple[str, dict[str, object]]] = []

    count = 0

    def _do(self, tool: str, **arguments: Any) -> None:
        before = self.repo.picture()
        answer = self.server.call(tool, **arguments)
        if answer.is_error or "op=" not in answer.text:
            assert self.repo.picture() == before, (tool, arguments, answer.text)
        else:
            self.stack.append((op_of(answer), before))

    @rule(content=st.sampled_from(["one\n", "two\n"]), path=st.sampled_from(["a.txt", "c.txt", "new file"]))
    def stage(self, path: str, content: str) -> None:
        self._do("git_stage", paths=[path])

    @rule()
    def commit(self) -> None:
        self._do("git_commit", message="m")

    @rule(name=st.sampled_from(["main", "other"]))
    def switch(self, name: str) -> None:
        self._do("git_branch", action="switch", name=name)

    @rule(path=st.sampled_from([".", "c.txt"]), staged=st.booleans(), worktree=st.booleans())
    def restore(self, path: str, staged: bool, worktree: bool) -> None:
        self._do("git_restore", paths=[path], staged=staged, worktree=worktree)

    @rule(action=st.sampled_from(["push", "pop", "apply", "drop"]), untracked=st.booleans())
    def stash(self, action: str, untracked: bool) -> None:
        self._do("git_stash", action=action, untracked=untracked)

    @rule(
        action=st.sampled_from(["merge", "rebase", "cherry_pick", "abort"]),
        ref=st.sampled_from(["main", "other"]),
    )
    def integrate(self, action: str, ref: str) -> None:
        self._do("git_integrate", action=action, ref=ref)

    @invariant()
    def sound(self) -> None:
        assert (self.repo.top / ".git").is_dir()

    def teardown(self) -> None:
        for op, before in reversed(self.stack):
            answer = self.server.call("git_undo", op=op)
            assert not answer.is_error, answer.text
            assert self.repo.picture() == before
        assert self.repo.sound()
        self.server.close()


def test_any_run_of_operations_can_be_taken_back(template: Repo, tmp_path: Path) -> None:
    Session.top, Session.template = tmp_path, template
    run_state_machine_as_test(
        Session,
        settings=settings(
            max_examples=6,
            stateful_step_count=8,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
            database=None,
        ),
    )
