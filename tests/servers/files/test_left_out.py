"""An empty answer says what was not looked at, and the one call that would; a glob means the same in every tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.files import listing, searching
from servers.files.left_out import nothing_found
from servers.workspace import Workspace
from tests.stdio import Stdio, start

FILES = {
    ".gitignore": "build/\n*.log\n",
    ".eslintrc.json": "{}\n",
    "a.py": "alpha\n",
    "app/[id]/p.ts": "a\n",
    "app/ix/p.ts": "a\n",
    "src/b.py": "beta\n",
    "src/.hidden.py": "gamma\n",
    "build/out.txt": "needle\n",
    "build/deep/more.txt": "needle\n",
    "debug.log": "needle\n",
    ".env": "KEY=needle\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "blob.bin").write_bytes(b"\0needle\n")
    (root / "koi.dat").write_bytes("где щука\n".encode("koi8-r"))
    (root / "caf.el").write_bytes("; -*- coding: latin-1 -*-\n; zoo café\n".encode("latin-1"))
    return root


def rows(text: str) -> set[str]:
    inside = text.split(">>\n", 1)[1].rsplit("<<end", 1)[0] if ">>\n" in text else ""
    return {line.split("  ")[0].split(":")[0] for line in inside.splitlines()}


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        (".eslintrc.json", {".eslintrc.json"}),
        ("*.py", {"a.py", "src/b.py", "src/.hidden.py"}),
        ("src/*.py", {"src/b.py", "src/.hidden.py"}),
        ("build/**", {"build/out.txt", "build/deep/more.txt"}),
        ("build/out.txt", {"build/out.txt"}),
        ("/build/deep/*.txt", {"build/deep/more.txt"}),
        ("*.{json,txt}", {".eslintrc.json"}),
        ("./src/*.py", {"src/b.py", "src/.hidden.py"}),
        (".//a.py", {"a.py"}),
        ("app/[id]/p.ts", {"app/[id]/p.ts"}),
        ("[id]", {"app/[id]/p.ts"}),
        ("app/[ij]x/*", {"app/ix/p.ts"}),
    ],
)
def test_a_glob_means_the_same_to_list_search_and_read_many(
    server: Stdio, glob: str, found: set[str]
) -> None:
    assert rows(server.call("list_files", glob=glob).text) == found
    assert rows(server.call("search_files", pattern="e|a|[{]", glob=glob, mode="files").text) == found
    read = server.call("read_many", glob=glob).text
    assert {line.split(" · ")[0] for line in read.splitlines() if " · L" in line} == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "3 ignored by .gitignore (ignored=true"),
        ({}, "1 binary (looked at up to their first NUL)"),
        ({}, "1 that may hold secrets"),
        ({"glob": "*.rs"}, "there are no files that match *.rs"),
        ({"glob": "*.txt"}, "there are no files that match *.txt but 2 ignored by .gitignore (ignored=true"),
        ({"path": "src"}, "looked at 2 files"),
        ({"pattern": "foo[(]"}, "fixed=true takes the pattern as plain text"),
        ({"path": "blob.bin"}, "the file is binary"),
        ({"glob": "*.py,*.ts"}, "several globs are one with braces"),
        ({"glob": "src\\a.py"}, "folders are separated by /"),
        ({"pattern": "щука"}, "2 for letters beyond ASCII"),
        ({"pattern": "щука", "path": "koi.dat"}, "another encoding than UTF-8"),
    ],
)
def test_no_match_says_where_it_did_not_look(server: Stdio, arguments: dict[str, str], said: str) -> None:
    text = server.call("search_files", **{"pattern": "zebra", **arguments}).text
    assert text.startswith("no match in ") and said in text


def test_a_hit_is_shown_in_the_encoding_its_file_is_read_in(server: Stdio) -> None:
    assert "caf.el:2:; zoo café" in server.call("search_files", pattern="zoo").text


@pytest.mark.parametrize(
    "arguments",
    [
        {"ignored": True},
        {"path": "build"},
        {"path": "build/out.txt"},
        {"glob": "build/*.txt"},
        {"path": "debug.log"},
        {"glob": "*.txt", "ignored": True},
    ],
)
def test_ignored_files_are_searched_on_request_and_where_they_are_named(
    server: Stdio, arguments: dict[str, str]
) -> None:
    text = server.call("search_files", pattern="needle", **arguments).text
    assert "1:needle" in text, text


def test_a_list_by_glob_or_age_without_files_says_what_it_left_out(server: Stdio, root: Path) -> None:
    assert "2 ignored by .gitignore (ignored=true" in server.call("list_files", glob="*.txt").text
    assert "there are no files that match *.rs" in server.call("list_files", glob="*.rs").text
    (root / "only").mkdir()
    (root / "only" / ".x").write_text("")
    assert "1 hidden (hidden=true" in server.call("list_files", path="only", sort="mtime").text
    none = server.call("read_many", glob="*.txt")
    assert none.is_error and "2 ignored" in none.text


def test_a_glob_looks_into_every_root(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text(name)
    with start("files", str(tmp_path / "one"), str(tmp_path / "two")) as server:
        assert rows(server.call("list_files", glob="*.py").text) == {"one/x.py", "two/x.py"}
        assert rows(server.call("list_files", glob="*.py", sort="size").text) == {"one/x.py", "two/x.py"}
        assert "there are no files that match *.rs" in server.call("list_files", glob="*.rs").text


def test_the_same_is_said_without_ripgrep(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace([root])
    places = [(one, "") for one in workspace.all_roots()]
    want = listing.Listing(glob="build/**")

    def answers() -> list[str]:
        return [
            nothing_found(workspace, places, ["*.txt"], ignored=False, content=True),
            searching.search_text(workspace, "zebra"),
            listing.list_folder(workspace, ".", want).split("\n", 1)[0],
            searching.search_text(workspace, "needle", mode="files", ignored=True).split("\n", 1)[0],
        ]

    with_it = answers()
    monkeypatch.setattr("servers.files.ripgrep.ripgrep", lambda _=(): None)
    assert answers() == with_it
