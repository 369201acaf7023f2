"""Traps that only spring halfway through a call: settings a checkout brings, work somebody else left undone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp.types import ElicitRequestParams, ElicitResult

from tests.servers.git.repos import ENVIRONMENT, Call, Repo, ask
from tests.stdio import connect


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """ROOT/work; the program evil beside ROOT leaves a marker."""
    made = Repo(tmp_path / "root" / "work")
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch '{tmp_path}/marker'\ncat\n", encoding="utf-8")
    evil.chmod(0o755)
    return made


def marker(repo: Repo) -> Path:
    return repo.top.parent.parent / "marker"


def evil(repo: Repo) -> str:
    return str(repo.top.parent.parent / "evil")


def filters(repo: Repo) -> str:
    return f'[filter "x"]\n\tclean = {evil(repo)}\n\tsmudge = {evil(repo)}\n'


def side_brings(repo: Repo, path: str, harmless: str = "\n") -> None:
    """Branch side holds filter settings at `path`, main harmless text; every file goes through the filter."""
    repo.write(path, harmless)
    repo.commit("base", a__txt="a\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.write(path, harmless + filters(repo))
    repo.commit("side", a__txt="side\n", b__txt="side\n")
    repo.git("switch", "--quiet", "main")
    repo.write("u.txt")
    repo.write(path, harmless + filters(repo))
    repo.git("stash", "push", "--quiet", "--include-untracked")
    repo.commit("main", c__txt="main\n")
    repo.write(".git/info/attributes", "* filter=x\n")


def included(repo: Repo) -> None:
    side_brings(repo, "shared.cfg")
    repo.git("config", "include.path", "../shared.cfg")


def included_later(repo: Repo) -> None:
    side_brings(repo, "shared.cfg")
    repo.git("config", "includeIf.onbranch:side.path", "../shared.cfg")


def linked(repo: Repo) -> None:
    side_brings(repo, "shared.cfg", repo.read(".git/config").decode())
    (repo.top / ".git" / "config").unlink()
    (repo.top / ".git" / "config").symlink_to("../shared.cfg")


def hard_linked(repo: Repo) -> None:
    side_brings(repo, "shared.cfg")
    repo.write(".git/COMMIT_EDITMSG").unlink()
    os.link(repo.top / ".git" / "config", repo.top / ".git" / "COMMIT_EDITMSG")


def git_dir_in_the_tree(repo: Repo) -> None:
    side_brings(repo, "meta/config", repo.read(".git/config").decode())
    shutil.copytree(repo.top / ".git", repo.top / "meta", dirs_exist_ok=True)
    shutil.rmtree(repo.top / ".git")
    repo.write(".git", "gitdir: meta\n")


WRITING: list[Call] = [
    ("git_branch", {"action": "switch", "name": "side"}),
    ("git_restore", {"paths": ["."], "source": "side"}),
    ("git_integrate", {"action": "merge", "ref": "side"}),
    ("git_integrate", {"action": "rebase", "ref": "side"}),
    ("git_integrate", {"action": "cherry_pick", "ref": "side"}),
    ("git_stash", {"action": "pop"}),
]


@pytest.mark.parametrize("call", WRITING, ids=lambda call: f"{call[0]}-{call[1].get('action', '')}")
@pytest.mark.parametrize("plant", [included, included_later, linked, hard_linked, git_dir_in_the_tree])
def test_settings_that_a_checkout_could_swap_stop_it(
    repo: Repo, plant: Callable[[Repo], None], call: Call
) -> None:
    plant(repo)
    marker(repo).unlink(missing_ok=True)
    status, answer = ask(repo.top, [("git_status", {}), call])
    assert not marker(repo).exists()
    assert not status.is_error and answer.is_error and "while git runs" in answer.text


def test_a_repository_that_includes_settings_can_still_be_read_and_committed_to(repo: Repo) -> None:
    repo.commit("first", a__txt="a\n", shared__cfg="[user]\n\tname = Included\n")
    repo.git("config", "include.path", "../shared.cfg")
    repo.git("config", "--unset", "user.name")
    repo.write("a.txt", "changed\n")
    answers = ask(
        repo.top,
        [("git_diff", {}), ("git_stage", {"paths": ["a.txt"]}), ("git_commit", {"message": "m"})],
    )
    assert not any(answer.is_error for answer in answers), answers
    assert repo.git("log", "-1", "--format=%an") == "Included"


def test_an_include_from_gits_own_folders_is_refused(repo: Repo) -> None:
    repo.commit("first")
    repo.git("config", "includeIf.onbranch:never.path", "%(prefix)/etc/passwd")
    [answer] = ask(repo.top, [("git_status", {})])
    assert answer.is_error and "outside the root" in answer.text


def test_a_trusted_hook_in_the_work_tree_is_not_swapped_by_a_checkout(repo: Repo) -> None:
    repo.write(".husky/pre-commit", "#!/bin/sh\necho ran >> ran\n").chmod(0o755)
    repo.commit("hooks", a__txt="a\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.write(".husky/post-checkout", f"#!/bin/sh\n{evil(repo)}\n").chmod(0o755)
    repo.commit("side")
    repo.git("switch", "--quiet", "main")
    repo.git("config", "core.hooksPath", ".husky")
    command = [sys.executable, "-c", "from servers.git.server import main; main()", "--trust", str(repo.top)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    repo.write("a.txt", "changed\n")
    calls: list[Call] = [
        ("git_stage", {"paths": ["a.txt"]}),
        ("git_commit", {"message": "with the hook"}),
        ("git_branch", {"action": "switch", "name": "side"}),
    ]
    answers = ask(repo.top, calls)
    assert not any(answer.is_error for answer in answers), answers
    assert repo.read("ran") == b"ran\n" and (repo.top / ".husky" / "post-checkout").exists()
    assert not marker(repo).exists()


def test_hooks_outside_the_root_are_not_listed(repo: Repo, tmp_path: Path) -> None:
    repo.commit("first")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret-name").symlink_to(evil(repo))
    repo.git("config", "core.hooksPath", str(tmp_path / "private"))
    [answer] = ask(repo.top, [("git_status", {})])
    assert "core.hookspath" in answer.text and "secret-name" not in answer.text


def stopped(repo: Repo, command: str) -> None:
    """main and side disagree; `command` stopped at it and the conflict is resolved."""
    repo.write(".gitignore", "git-merge-*\n")
    repo.commit("base", a__txt="a\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.commit("one", a__txt="side\n")
    repo.commit("two", b__txt="b\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("main", a__txt="main\n")
    repo.git("switch", "--quiet", "side" if command == "rebase" else "main")
    if command == "am":
        repo.git("format-patch", "--quiet", "-2", "side", "--output-directory", "../patches")
    repo.git(
        *{
            "am": ("am", "--quiet", "../patches/0001-one.patch", "../patches/0002-two.patch"),
            "rebase": ("rebase", "--quiet", "main"),
            "cherry-pick": ("cherry-pick", "main..side"),
        }[command],
        fails=True,
    )
    repo.write("a.txt", "both\n")
    repo.git("add", "a.txt")


def foreign_step(word: str) -> Callable[[Repo], None]:
    def plant(repo: Repo) -> None:
        stopped(repo, "rebase")
        repo.write(".git/rebase-merge/git-rebase-todo", f"{word} {evil(repo)}\n")

    return plant


def foreign_strategy(command: str, place: str, text: str) -> Callable[[Repo], None]:
    def plant(repo: Repo) -> None:
        stopped(repo, command)
        repo.write("git-merge-../evil", Path(evil(repo)).read_bytes()).chmod(0o755)
        repo.write(place, text)

    return plant


def foreign_option(repo: Repo) -> None:
    stopped(repo, "am")
    repo.write(".git/rebase-apply/apply-opt", f"'--build-fake-ancestor={marker(repo)}'\n")


UNFINISHED = {
    "a program in a rebase": foreign_step("exec"),
    "a program in a rebase, short": foreign_step("\t x"),
    "a strategy of a rebase": foreign_strategy("rebase", ".git/rebase-merge/strategy", "../evil\n"),
    "a strategy of a pick": foreign_strategy(
        "cherry-pick", ".git/sequencer/opts", "[options]\n\tstrategy = ../evil\n"
    ),
    "a file an am writes": foreign_option,
}
PLAIN = {
    "a program in a rebase": "rebase",
    "a program in a rebase, short": "rebase",
    "a strategy of a rebase": "rebase",
    "a strategy of a pick": "cherry-pick",
    "a file an am writes": "am",
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_somebody_left_undone_is_not_gone_on_with_blindly(repo: Repo, name: str) -> None:
    UNFINISHED[name](repo)
    calls: list[Call] = [("git_integrate", {"action": "continue"}), ("git_integrate", {"action": "abort"})]
    refused, aborted = ask(repo.top, calls)
    assert not marker(repo).exists()
    assert (
        refused.is_error and "abort" in refused.text and str(marker(repo).parent.parent) not in refused.text
    )
    assert not aborted.is_error


@pytest.mark.parametrize("name", UNFINISHED)
def test_plain_git_would_have_gone_on(repo: Repo, name: str) -> None:
    UNFINISHED[name](repo)
    subprocess.run(
        ["git", "-c", "core.editor=true", PLAIN[name], "--continue"],
        cwd=repo.top,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert marker(repo).exists()


def pointed_at(repo: Repo, outside: Repo) -> None:
    (repo.top.parent / "near").mkdir()
    (repo.top.parent / "near" / ".git").write_text(f"gitdir: {outside.top}/.git\n", encoding="utf-8")


def suffixed(repo: Repo, outside: Repo) -> None:
    (repo.top.parent / "near.git").symlink_to(outside.top)


def shared(repo: Repo, outside: Repo) -> None:
    (repo.top.parent / "near").mkdir()
    (repo.top.parent / "near" / "commondir").write_text(f"{outside.top}/.git\n", encoding="utf-8")
    (repo.top.parent / "near" / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")


def at_home(repo: Repo, outside: Repo) -> None:
    Path(os.environ["HOME"], "near").symlink_to(outside.top)
    repo.git("config", "remote.origin.url", "~/near")


@pytest.mark.parametrize("plant", [pointed_at, suffixed, shared, at_home])
def test_a_remote_that_leads_out_of_the_root_needs_a_yes(
    repo: Repo, tmp_path: Path, plant: Callable[[Repo, Repo], None]
) -> None:
    outside = Repo(tmp_path / "outside")
    outside.commit("the secret outside")
    repo.commit("first")
    repo.git("remote", "add", "origin", "../near")
    plant(repo, outside)
    calls: list[Call] = [("git_remote", {"action": "fetch"}), ("git_log", {"rev": "origin/main"})]
    fetched, log = ask(repo.top.parent, calls, repo="work", allow_remote=("fetch",))
    assert fetched.is_error and "outside the root" in fetched.text
    assert "secret" not in log.text


@pytest.mark.anyio
async def test_an_address_swapped_while_the_user_thinks_is_not_used(repo: Repo, tmp_path: Path) -> None:
    repo.commit("first")
    for name in ("good", "bad"):
        repo.git("init", "--quiet", "--bare", f"../{name}.git")
    repo.git("remote", "add", "origin", "../good.git")

    async def swap(context: object, params: ElicitRequestParams) -> ElicitResult:
        assert "good.git" in params.message
        repo.git("config", "remote.../good.git.url", "../bad.git")
        return ElicitResult(action="accept", content={"go": "yes"})

    with anyio.fail_after(60):
        async with connect(
            "git", str(repo.top.parent), "--repo", "work", mode="legacy", elicitation_callback=swap
        ) as client:
            answer = await client.call_tool("git_remote", {"action": "push"})
    assert answer.is_error and "changed since" in answer.content[0].text  # type: ignore[union-attr]
    assert not list((tmp_path / "root" / "bad.git" / "refs").rglob("main"))
