"""Nothing outside the root is shown, written or believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers.git.repos import Call, Repo, ask
from tests.stdio import start

SECRET = "the secret outside"


@pytest.fixture
def outside(tmp_path: Path) -> Repo:
    """A repository that is none of the server's business."""
    other = Repo(tmp_path / "outside")
    other.commit(SECRET, secret__txt=SECRET + "\n")
    return other


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "root")
    made.commit("inside", a__txt="a\n")
    return made


READING: list[Call] = [
    ("git_status", {}),
    ("git_diff", {}),
    ("git_log", {"patch": True}),
    ("git_show", {}),
    ("git_show", {"path": "secret.txt"}),
    ("git_blame", {"path": "secret.txt"}),
    ("git_stage", {"paths": ["."]}),
    ("git_branch", {}),
    ("git_remote", {}),
]


def everything(root: Path) -> str:
    """What every reading tool says, one after the other."""
    return "\n".join(answer.text for answer in ask(root, READING))


def test_a_work_tree_setting_does_not_move_the_work_tree(repo: Repo, outside: Repo) -> None:
    repo.git("config", "core.worktree", str(outside.top))
    with start("git", str(repo.top)) as server:
        status = server.call("git_status")
    assert "core.worktree" in status.structured["notes"][0] and status.structured["counts"]["unstaged"] == 0
    assert SECRET not in everything(repo.top) and "secret.txt" not in status.text


def test_a_git_file_that_points_outside_is_refused(repo: Repo, outside: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "pointer"
    folder.mkdir()
    (folder / ".git").write_text(f"gitdir: {outside.top}/.git\n", encoding="utf-8")
    text = everything(folder)
    assert SECRET not in text and "outside the root" in text and str(outside.top) not in text


def test_a_git_link_that_points_outside_is_refused(outside: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / ".git").symlink_to(outside.top / ".git")
    text = everything(folder)
    assert SECRET not in text and "outside the root" in text


def test_a_common_dir_outside_is_refused(repo: Repo, outside: Repo) -> None:
    repo.write(".git/commondir", f"{outside.top}/.git\n")
    text = everything(repo.top)
    assert SECRET not in text and "outside the root" in text


def test_a_git_file_that_is_no_pointer_shows_nothing_of_itself(outside: Repo, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / ".git").symlink_to(outside.top / "secret.txt")
    assert SECRET not in everything(folder)


def test_borrowed_objects_outside_are_refused(repo: Repo, outside: Repo) -> None:
    repo.write(".git/objects/info/alternates", f"{outside.top}/.git/objects\n")
    repo.git("update-ref", "refs/heads/main", outside.git("rev-parse", "HEAD"))
    text = everything(repo.top)
    assert SECRET not in text and "alternates" in text


@pytest.mark.parametrize(
    "place",
    [
        "objects/pack",
        "refs/heads",
        "logs/HEAD",
        "index",
        "HEAD",
        "config",
        "info",
        "COMMIT_EDITMSG",
        "hooks/x",
    ],
)
def test_a_link_in_the_git_dir_that_leads_outside_is_refused(repo: Repo, outside: Repo, place: str) -> None:
    target = outside.top / ".git" / place
    if not target.exists():
        target = outside.top / "secret.txt"
    before = {path: path.read_bytes() for path in outside.top.rglob("*") if path.is_file()}
    spot = repo.top / ".git" / place
    if spot.is_dir():
        spot.rename(spot.with_name("was"))
    else:
        spot.unlink(missing_ok=True)
    spot.parent.mkdir(parents=True, exist_ok=True)
    spot.symlink_to(target)
    text = everything(repo.top)
    assert SECRET not in text and f"{place} is a link that leads outside" in text
    assert {path: path.read_bytes() for path in outside.top.rglob("*") if path.is_file()} == before


def test_a_link_made_while_the_server_runs_is_noticed(repo: Repo, outside: Repo) -> None:
    with start("git", str(repo.top)) as server:
        assert not server.call("git_status").is_error
        (repo.top / ".git" / "COMMIT_EDITMSG").unlink(missing_ok=True)
        (repo.top / ".git" / "COMMIT_EDITMSG").symlink_to(outside.top / "secret.txt")
        repo.write("b.txt")
        assert server.call("git_stage", paths=["b.txt"]).is_error
        assert server.call("git_commit", message="overwritten").is_error
    assert outside.read("secret.txt") == SECRET.encode() + b"\n"


@pytest.mark.parametrize("include", ["{outside}/secret.cfg", "../../outside/secret.cfg", "~/secret.cfg"])
@pytest.mark.parametrize("key", ["include.path", "includeIf.onbranch:never.path"])
def test_an_included_file_outside_is_refused(repo: Repo, outside: Repo, include: str, key: str) -> None:
    outside.write("secret.cfg", f'[remote "{SECRET}"]\n\turl = {SECRET}\n')
    Path(os.environ["HOME"], "secret.cfg").write_bytes(outside.read("secret.cfg"))
    repo.git("config", key, include.format(outside=outside.top))
    text = everything(repo.top)
    assert SECRET not in text and "outside the root" in text


@pytest.mark.parametrize(
    "setting",
    ["blame.ignoreRevsFile", "mailmap.file", "diff.orderFile", "core.excludesFile", "core.attributesFile", "commit.template"],
)  # fmt: skip
def test_a_setting_that_names_a_file_outside_reads_nothing(repo: Repo, outside: Repo, setting: str) -> None:
    (outside.top / "names").write_text(f"{SECRET} <ann@example.org>\n", encoding="utf-8")
    repo.git("config", setting, str(outside.top / ("names" if setting == "mailmap.file" else "secret.txt")))
    with start("git", str(repo.top)) as server:
        texts = [
            server.call("git_blame", path="a.txt").text,
            server.call("git_log", patch=True).text,
            server.call("git_diff", scope="HEAD").text,
        ]
        repo.write("b.txt")
        texts += [server.call("git_stage", paths=["."]).text, server.call("git_commit", message="m").text]
    assert SECRET not in "\n".join(texts)
    assert repo.git("show", "--name-only", "--format=%s", "HEAD").split() == ["m", "b.txt"]


def test_a_folder_that_became_a_link_outside_is_not_followed(repo: Repo, outside: Repo) -> None:
    repo.commit("a folder", **{"folder/secret__txt": "tracked\n"})
    (repo.top / "folder" / "secret.txt").unlink()
    (repo.top / "folder").rmdir()
    (repo.top / "folder").symlink_to(outside.top)
    before = outside.picture()
    with start("git", str(repo.top)) as server:
        texts = [server.call("git_diff").text, server.call("git_blame", path="folder/secret.txt").text]
        texts.append(server.call("git_stage", paths=["folder/secret.txt"]).text)
        texts.append(server.call("git_stash", action="push").text)
        op = server.call(
            "git_restore", paths=["."], source="HEAD", staged=True, worktree=True
        ).text.rpartition("op=")[2]
        texts.append(server.call("git_undo", op=op.split()[0]).text)
    assert SECRET not in "\n".join(texts) and outside.picture() == before


@pytest.mark.parametrize("broken", [".git/HEAD", ".git/config"])
def test_a_git_dir_git_does_not_take_for_one_compares_no_files(
    repo: Repo, outside: Repo, broken: str
) -> None:
    (repo.top / "folder").symlink_to(outside.top)
    repo.write(broken, "nothing\n" if broken.endswith("HEAD") else "[core]\n\trepositoryFormatVersion = 99\n")
    [answer] = ask(repo.top, [("git_diff", {"paths": ["folder/secret.txt", "a.txt"]})])
    assert answer.is_error and SECRET not in answer.text


def test_a_link_to_the_outside_shows_its_target_name_alone(repo: Repo, outside: Repo) -> None:
    (repo.top / "link").symlink_to(outside.top / "secret.txt")
    text = everything(repo.top)
    assert SECRET not in text
    assert repo.git("ls-files", "--stage", "link").startswith("120000")


def test_refs_stored_elsewhere_are_refused(repo: Repo, outside: Repo) -> None:
    repo.git("config", "extensions.refStorage", f"files://{outside.top}/.git")
    repo.git("config", "core.repositoryFormatVersion", "1")
    assert "refStorage" in everything(repo.top)


@pytest.mark.parametrize("place", [".git/HEAD", ".git/config", ".git/index", ".git/refs/heads/main"])
def test_a_pipe_in_the_git_dir_is_refused_instead_of_read_for_ever(repo: Repo, place: str) -> None:
    (repo.top / place).unlink()
    os.mkfifo(repo.top / place)
    [answer] = ask(repo.top, [("git_status", {})])
    assert answer.is_error and "no regular file" in answer.text


def test_the_environment_of_the_server_does_not_steer_git(repo: Repo, outside: Repo, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/marker\n", encoding="utf-8")
    evil.chmod(0o755)
    repo.write("git", evil.read_text(encoding="utf-8")).chmod(0o755)
    repo.write("a.txt", "changed\n")
    hostile = {
        "GIT_DIR": f"{outside.top}/.git",
        "GIT_WORK_TREE": str(outside.top),
        "GIT_INDEX_FILE": f"{outside.top}/.git/index",
        "GIT_EXTERNAL_DIFF": str(evil),
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor'='{evil}'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(evil),
        "GIT_EXEC_PATH": str(repo.top),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{outside.top}/.git/objects",
        "GIT_TRACE": f"{tmp_path}/trace",
        "PATH": f".:{repo.top}:{os.environ['PATH']}",
    }
    with start("git", str(repo.top), cwd=str(repo.top), env=hostile) as server:
        assert "+changed" in server.call("git_diff").text
        assert [file["path"] for file in server.call("git_status").structured["unstaged"]] == ["a.txt"]
    assert not (tmp_path / "marker").exists() and not (tmp_path / "trace").exists()


def test_a_linked_work_tree_works_when_the_root_holds_both(tmp_path: Path) -> None:
    main = Repo(tmp_path / "root" / "main")
    main.commit("first", a__txt="a\n")
    main.git("worktree", "add", "--quiet", "../side", "-b", "side")
    side = Repo(tmp_path / "root" / "side", init=False)
    side.write("a.txt", "changed\n")
    with start("git", str(tmp_path / "root"), "--repo", "side") as server:
        assert server.call("git_status").structured["branch"] == "side"
        server.call("git_stage", paths=["a.txt"])
        assert "on side" in server.call("git_commit", message="on the side").text
        assert "already" in server.call("git_branch", action="switch", name="main").text
    with start("git", str(tmp_path / "root" / "side")) as server:
        assert "--repo" in server.call("git_status").text
    assert side.git("log", "-1", "--format=%s") == "on the side"


def test_a_root_that_only_holds_repositories_names_them(tmp_path: Path) -> None:
    Repo(tmp_path / "one")
    Repo(tmp_path / "two")
    with start("git", str(tmp_path)) as server:
        assert "one, two" in server.call("git_status").text
    with start("git", str(tmp_path), "--repo", "one") as server:
        assert not server.call("git_status").is_error
