"""The change path and the opening rules every server stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.output import ToolError
from servers.workspace import Change, Workspace, rev_of


def test_a_change_of_several_files_is_undone_as_one(tmp_path: Path) -> None:
    workspace = Workspace([tmp_path])
    (tmp_path / "a").write_bytes(b"old")
    done = workspace.apply(
        [Change(path="a", data=b"new"), Change(path="deep/er/b", data=b"made")], tool="test"
    )
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [(f.path, f.old_rev, f.new_rev) for f in done.files] == [
        ("a", rev_of(b"old"), rev_of(b"new")),
        ("deep/er/b", None, rev_of(b"made")),
    ]
    workspace.undo(done.id)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert not (tmp_path / "deep/er/b").exists()


def test_one_refused_file_leaves_all_of_them_alone(tmp_path: Path) -> None:
    workspace = Workspace([tmp_path])
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ToolError, match="it is"):
        workspace.apply(
            [Change(path="new", data=b"x"), Change(path="a", data=b"new", expect_rev="000000000000")],
            tool="test",
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "in/../../x", "out/x", ".git/hooks/pre-commit", ".env"]
)
def test_places_outside_or_protected_are_refused_for_reading_and_changing(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / ".env").write_text("A=1", encoding="utf-8")
    (tmp_path / "x").write_text("secret", encoding="utf-8")
    workspace = Workspace([root])
    with pytest.raises(ToolError):
        workspace.read(path)
    with pytest.raises(ToolError):
        workspace.apply([Change(path=path, data=b"")], tool="test")
    assert not (root / ".git").exists()
    assert (tmp_path / "x").read_text(encoding="utf-8") == "secret"
