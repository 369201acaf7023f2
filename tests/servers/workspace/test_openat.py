"""No path, link or race leads out of a root; what is secret or protected stays so by every spelling."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.output import ToolError
from servers.workspace import Change, Workspace, openat

SECRET = b"outside and secret"


@pytest.fixture(params=["kernel", "portable"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here runs with openat2 and with the component walk other systems get."""
    if request.param == "portable":
        monkeypatch.setattr(openat, "_libc", None)
    return request.param


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "allowed"
    (root / "dir/deep").mkdir(parents=True)
    (root / "file").write_bytes(b"inside")
    (root / "dir/file").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "allowed_sensitive").mkdir()
    (tmp_path / "allowed_sensitive/secret").write_bytes(SECRET)
    for name, target in {
        "out": "..",
        "out-file": "../secret",
        "absolute": str(tmp_path),
        "inward": "dir",
        "dangling": "../made-by-link",
        "loop": "loop",
        "proc": "/proc/self/root",
        "dir/up": "../../",
    }.items():
        (root / name).symlink_to(target)
    return root


PARTS = [
    "..",
    ".",
    "out",
    "out-file",
    "absolute",
    "inward",
    "dangling",
    "loop",
    "proc",
    "dir",
    "up",
    "deep",
    "file",
    "secret",
    "allowed_sensitive",
    "~",
    "...",
] + ["", "new\nline"]


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(st.sampled_from(PARTS), max_size=7),
    start=st.sampled_from(["", "/", "ROOT/", "ROOT_sensitive/"]),
)
def test_no_path_argument_escapes(root: Path, parts: list[str], start: str) -> None:
    path = start.replace("ROOT", str(root)) + "/".join(parts)
    workspace = Workspace([root])
    try:
        seen = workspace.read(path)
    except ToolError as exc:
        seen = str(exc).encode()
    assert SECRET not in seen
    try:
        done = workspace.apply([Change(path=path, data=b"written")], tool="test")
    except ToolError:
        done = None
    outside = sorted(p.name for p in root.parent.iterdir())
    assert outside == ["allowed", "allowed_sensitive", "secret"]
    assert (root.parent / "secret").read_bytes() == SECRET
    if done:
        workspace.undo(done.id)


@pytest.fixture
def swapping(root: Path) -> Iterator[None]:
    """`race` and `racing-folder` flip between something inside and a link to the outside."""
    stop = threading.Event()
    (root / "real-folder").mkdir()
    (root / "real-folder/secret").write_bytes(b"inside")
    (root / "racing-folder").symlink_to(
        "real-folder"
    )  # or a change made before the first flip makes a folder of it

    def swap() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            new = root / f"new-{n}"
            if n % 2:
                new.symlink_to("../secret")
            else:
                new.write_bytes(b"inside")
            os.rename(new, root / "race")
            link = root / f"link-{n}"
            link.symlink_to(".." if n % 2 else "real-folder")
            os.rename(link, root / "racing-folder")

    thread = threading.Thread(target=swap)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("swapping")
def test_a_race_of_links_reads_and_writes_nothing_outside(root: Path) -> None:
    workspace = Workspace([root])
    seen = {b"inside": 0}
    for i in range(2000):
        for path in ("race", "racing-folder/secret"):
            try:
                data = workspace.read(path)
            except ToolError:
                continue
            seen[data] = seen.get(data, 0) + 1
        if i % 50 == 0:
            try:
                workspace.apply([Change(path="racing-folder/made", data=b"x")], tool="test")
            except ToolError:
                continue
    assert set(seen) == {b"inside"}
    assert not (root.parent / "made").exists() and (root.parent / "secret").read_bytes() == SECRET


def test_special_files_are_refused_and_never_waited_for(root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "sock"))
        workspace = Workspace([root])
        for name in ("fifo", "sock"):
            with pytest.raises(ToolError):
                workspace.read(name)
            with pytest.raises(ToolError, match="no regular file"):
                workspace.apply([Change(path=name, data=b"")], tool="test")


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".git",
        ".GIT/hooks/pre-commit",
        "dir/../.git/config",
        "dir/.git/config",
        "git-link/config",
        ".git./config",
        ".g\u200cit/config",
        ".gitmodules",
        ".mcp.json",
        ".claude/settings.json",
        ".vscode/tasks.json",
        ".envrc",
        ".bashrc",
        ".ssh/authorized_keys",
        ".aws/credentials",
        "bare.git/hooks/post-receive",
        "worktree/store/config",
    ],
)
def test_places_that_run_code_cannot_be_changed_even_when_absent(root: Path, path: str) -> None:
    (root / "git-link").symlink_to(".git")
    for store in ("bare.git", "worktree/store"):
        for part in ("objects", "refs"):
            (root / store / part).mkdir(parents=True)
        (root / store / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    before = sorted(root.rglob("*"))
    with pytest.raises(ToolError, match=r"protected|git directory"):
        Workspace([root], allow=["*"] if ".git" in path.casefold().split("/") else []).apply(
            [Change(path=path, data=b"")], tool="test"
        )
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "name", [".env", ".env.local", "server.pem", "id_rsa", "id_ed25519", ".netrc", "a/.ssh/config"]
)
def test_secret_files_are_not_opened_unless_the_user_allows_it(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("KEY=1", encoding="utf-8")
    (root / "innocent").symlink_to(name)
    for path in (name, "innocent"):
        with pytest.raises(ToolError, match="--allow"):
            Workspace([root]).read(path)
    assert Workspace([root], allow=[name]).read("innocent") == b"KEY=1"


@pytest.mark.parametrize("name", [".env.example", "id_rsa.pub", "id_list.py", "environment.py", "key.py"])
def test_names_that_only_look_alike_are_no_secret(root: Path, name: str) -> None:
    (root / name).write_text("fine", encoding="utf-8")
    assert Workspace([root]).read(name) == b"fine"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a file away")
def test_a_hard_link_to_another_users_file_is_refused(root: Path, tmp_path: Path) -> None:
    os.chown(tmp_path / "secret", 4242, 4242)
    os.link(tmp_path / "secret", root / "hard")
    workspace = Workspace([root])
    for attempt in (
        lambda: workspace.read("hard"),
        lambda: workspace.copy("hard", "mine"),
        lambda: workspace.move("hard", "mine"),
        lambda: workspace.apply([Change(path="hard", data=b"x")], tool="test"),
    ):
        with pytest.raises(ToolError, match="hard link"):
            attempt()
    assert not (root / "mine").exists() and (tmp_path / "secret").read_bytes() == SECRET


def test_a_folder_put_in_the_roots_place_is_not_served(root: Path, tmp_path: Path) -> None:
    workspace = Workspace([root])
    root.rename(tmp_path / "elsewhere")
    root.mkdir()
    (root / "file").write_bytes(SECRET)
    assert workspace.read("file") == b"inside"


def test_roots_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "src").mkdir(parents=True)
        (tmp_path / parent / "src/x").write_text(parent, encoding="utf-8")
    workspace = Workspace([tmp_path / "a/src", tmp_path / "b/src"])
    assert workspace.read("src-2/x") == b"b" and workspace.shown("src/x") == "src/x"
    with pytest.raises(ToolError, match="begin a path with one of: src, src-2"):
        workspace.read("x")


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("C:\\work\\allowed\\dir\\new.txt", "dir/new.txt"),
        ("c:/Users/me/dir/file", "dir/file"),
        ("D:\\file", "file"),
        ("\\\\server\\share\\dir\\file", "dir/file"),
        ("\\\\?\\C:\\allowed\\x", "x"),
        ("\\\\wsl$\\Ubuntu\\home\\me\\allowed\\a\\b.py", "a/b.py"),
        ("dir\\new.txt", "dir/new.txt"),
        ("file:///home/me/dir/new%20name.txt", "dir/new name.txt"),
        ("~/allowed/notes.txt", "notes.txt"),
        ("$HOME/dir/x", "dir/x"),
        ("%USERPROFILE%\\dir\\x", "dir/x"),
    ],
)
def test_a_path_of_another_system_is_refused_with_the_one_that_was_meant(
    root: Path, path: str, meant: str
) -> None:
    workspace = Workspace([root])
    before = sorted(root.rglob("*"))
    for attempt in (
        lambda: workspace.apply([Change(path=path, data=b"x")], tool="t"),
        lambda: workspace.read(path),
    ):
        with pytest.raises(ToolError) as caught:
            attempt()
        assert str(caught.value).endswith(f"probably meant: {meant!r}")
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "path", ["C:\\x", "odd\\name", "~", "~draft.txt", "a:b", "notes~", "price $5", "50%", "file:x"]
)
def test_a_name_that_only_looks_foreign_is_used_where_it_is_there_or_means_nothing_else(
    root: Path, path: str
) -> None:
    workspace = Workspace([root])
    if path == "C:\\x":
        (root / path).write_bytes(b"old")
    workspace.apply([Change(path=path, data=b"new")], tool="t")
    assert (root / path).read_bytes() == b"new"


def test_an_absolute_link_that_leads_back_inside_is_followed_and_none_that_leaves(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(root)
    links = {
        "to-file": f"{root}/dir/file",
        "to-dir": f"{root}/dir",
        "to-root": str(root),
        "by-alias": f"{tmp_path}/alias/dir",
        "climbs": f"{root}/../secret",
        "sibling": f"{root}_sensitive/secret",
        "dir/deep/back": f"{root}/file",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    workspace = Workspace([tmp_path / "alias"])
    for path in ("to-file", "to-dir/file", "to-root/dir/file", "by-alias/file", "dir/deep/back"):
        assert workspace.read(path) == b"inside"
    workspace.apply([Change(path="to-dir/made/new", data=b"x")], tool="t")
    assert (root / "dir/made/new").read_bytes() == b"x"
    for path in ("climbs", "sibling"):
        with pytest.raises(ToolError, match="leads outside"):
            workspace.read(path)
        with pytest.raises(ToolError, match="leads outside"):
            workspace.apply([Change(path=path, data=b"x")], tool="t")
