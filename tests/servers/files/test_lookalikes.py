"""Names and texts that look the same and are not: named by code point and column, read all the same, never made unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.characters import alike, difference, folded
from tests.stdio import Stdio

NAMES = [  # as asked, as it is on disk, what tells them apart
    (
        "Shot 9.52 AM.txt",
        "Shot 9.52\u202fAM.txt",
        "column 10: U+202F NARROW NO-BREAK SPACE, not U+0020 SPACE",
    ),
    ("a b.txt", "a\u00a0b.txt", "column 2: U+00A0 NO-BREAK SPACE, not U+0020 SPACE"),
    ("caf\u00e9.txt", "cafe\u0301.txt", "U+0065 LATIN SMALL LETTER E"),
    ("cafe\u0301.txt", "caf\u00e9.txt", "U+00E9 LATIN SMALL LETTER E WITH ACUTE"),
    ("it's.txt", "it\u2019s.txt", "column 3: U+2019 RIGHT SINGLE QUOTATION MARK, not U+0027 APOSTROPHE"),
    ("a-b.txt", "a\u2013b.txt", "column 2: U+2013 EN DASH, not U+002D HYPHEN-MINUS"),
    ("ab.txt", "a\u200bb.txt", "column 2: U+200B ZERO WIDTH SPACE, not U+0062"),
    ("README.MD", "readme.md", "column 1: U+0072 LATIN SMALL LETTER R, not U+0052"),
    ("limit.txt", "l\u0131mit.txt", "column 2: U+0131 LATIN SMALL LETTER DOTLESS I, not U+0069"),
    ("D\u0130.txt", "DI\u0307.txt", "column 2: U+0049 LATIN CAPITAL LETTER I, not U+0130"),
    ("DI.txt", "D\u0130.txt", "column 2: U+0130 LATIN CAPITAL LETTER I WITH DOT ABOVE, not U+0049"),
    ("scope.txt", "s\u0441ope.txt", "column 2: U+0441 CYRILLIC SMALL LETTER ES, not U+0063"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize(("asked", "real", "said"), NAMES)
def test_the_one_name_that_looks_the_same_is_read_and_told_apart(
    server: Stdio, tmp_path: Path, asked: str, real: str, said: str
) -> None:
    (tmp_path / real).write_text("found\n", encoding="utf-8")
    found = server.call("read_file", path=asked)
    assert "found" in found.text and said in found.text and not found.is_error


@pytest.mark.parametrize(("asked", "real", "said"), NAMES)
def test_a_change_names_the_look_alike_and_does_not_touch_it(
    server: Stdio, tmp_path: Path, asked: str, real: str, said: str
) -> None:
    (tmp_path / real).write_text("x\n", encoding="utf-8")
    edited = server.call("edit_file", path=asked, edits=[{"old": "x", "new": "y"}])
    assert edited.is_error and said in edited.text
    made = server.call("write_file", path=asked, content="second\n")
    assert made.is_error and said in made.text
    (tmp_path / "other.txt").write_text("o\n")
    moved = server.call("move_file", src="other.txt", dst=asked)
    assert moved.is_error and said in moved.text
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([real, "other.txt"])
    assert not server.call("write_file", path=asked, content="second\n", if_exists="overwrite").is_error
    assert (tmp_path / asked).read_text() == "second\n" and (tmp_path / real).read_text() == "x\n"


def test_a_folder_on_the_way_is_found_by_its_looks_too(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "My\u00a0Docs").mkdir()
    (tmp_path / "My\u00a0Docs" / "a.txt").write_text("inside\n")
    assert "inside" in server.call("read_file", path="My Docs/a.txt").text
    assert "U+00A0" in server.call("list_files", path="My Docs").text
    assert server.call("write_file", path="My Docs/b.txt", content="").is_error


def test_of_two_look_alikes_none_is_taken_for_the_other(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a\u00a0b").write_text("1")
    (tmp_path / "a\u202fb").write_text("2")
    assert server.call("read_file", path="a b").is_error


def test_a_name_may_change_its_case(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("r\n")
    assert not server.call("move_file", src="readme.md", dst="README.md").is_error
    assert (tmp_path / "README.md").exists() and not (tmp_path / "readme.md").exists()


def test_a_patch_that_makes_a_twin_says_so_beforehand(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n")
    patch = "--- /dev/null\n+++ b/A.txt\n@@ -0,0 +1 @@\n+y\n"
    assert "looks the same" in server.call("apply_patch", patch=patch, dry_run=True).text
    assert "looks the same" in server.call("apply_patch", patch=patch).text


TEXTS = [
    ("x = 1\nprint('a b')\n", "print('a\u00a0b')", "line 2, column 9: U+0020 SPACE, not U+00A0"),
    (
        "x = 1\nprint(\u201ca\u201d)\n",
        'print("a")',
        "line 2, column 7: U+201C LEFT DOUBLE QUOTATION MARK, not U+0022",
    ),
    ("one \u2014 two\n", "one - two", "line 1, column 5: U+2014 EM DASH, not U+002D HYPHEN-MINUS"),
    ("na\u00efve\n", "nai\u0308ve", "line 1, column 3: U+00EF LATIN SMALL LETTER I WITH DIAERESIS"),
    ("a\u200bb = 1\n", "ab = 1", "line 1, column 2: U+200B ZERO WIDTH SPACE, not U+0062"),
    ("first\nlast\u202f!\n", "first\nlast !", "line 2, column 5: U+202F NARROW NO-BREAK SPACE, not U+0020"),
]


@pytest.mark.parametrize(("body", "old", "said"), TEXTS)
def test_a_text_that_looks_like_old_is_told_by_code_point_and_column(
    server: Stdio, tmp_path: Path, body: str, old: str, said: str
) -> None:
    (tmp_path / "t.txt").write_text(body, encoding="utf-8")
    edited = server.call("edit_file", path="t.txt", edits=[{"old": old, "new": "z"}])
    assert edited.is_error and said in edited.text
    lines = "".join(f"-{line}\n" for line in old.split("\n"))
    if body.split("\n", maxsplit=1)[0] == body.rstrip("\n") or old.startswith("first"):
        patch = f"--- a/t.txt\n+++ b/t.txt\n@@ -1,{lines.count('-')} +0,0 @@\n{lines}"
        refused = server.call("apply_patch", patch=patch)
        assert refused.is_error and said in refused.text
    assert (tmp_path / "t.txt").read_text(encoding="utf-8") == body


@given(st.text(), st.text(min_size=1), st.text())
def test_a_text_looks_like_itself_wherever_it_stands(before: str, text: str, after: str) -> None:
    assert folded(text) == "" or alike(before + text + after, text)


@given(st.text(alphabet="aA\u0430\u00e9e\u0301 \u00a0\u200b'\u2019-\u2014"), st.text())
def test_texts_that_differ_are_told_apart(one: str, other: str) -> None:
    if one != other:
        assert "column" in difference(one, other)


GLOBS = [  # the glob, the name on disk, what is said
    (
        "Shot * AM.*",
        "Shot 9.52\u202fAM.txt",
        "has U+202F NARROW NO-BREAK SPACE at column 10, where a ? would",
    ),
    ("a b.md", "sub/a\u00a0b.md", "has U+00A0 NO-BREAK SPACE at column 6, where a ? would match"),
    ("sub/a b*", "sub/a\u2007b.md", "has U+2007 FIGURE SPACE at column 6, where a ? would match"),
    ("{q,limit}.py", "lim\u0131t.py", "has U+0131 LATIN SMALL LETTER DOTLESS I at column 4"),
    ("caf\u00e9.*", "cafe\u0301.log", "the glob has U+00E9 LATIN SMALL LETTER E WITH ACUTE at column 4"),
    ("x\u2013y.c", "x-y.c", "the glob has U+2013 EN DASH at column 2"),
    ("*.me", "READ.ME", "its letter case is another"),
]


@pytest.mark.parametrize(("glob", "real", "said"), GLOBS)
def test_a_glob_that_misses_a_name_which_looks_the_same_says_so_in_every_tool(
    server: Stdio, tmp_path: Path, glob: str, real: str, said: str
) -> None:
    (tmp_path / real).parent.mkdir(exist_ok=True)
    (tmp_path / real).write_text("needle\n", encoding="utf-8")
    for found in (
        server.call("list_files", glob=glob),
        server.call("search_files", pattern="needle", glob=glob),
        server.call("read_many", glob=glob),
    ):
        assert f"{real!a} looks the same, but {said}" in found.text


@pytest.mark.parametrize("glob", ["[z-a].q", "src/[9-0]*", "!!", "\\"])
def test_a_glob_that_cannot_be_read_is_refused_in_one_sentence(server: Stdio, glob: str) -> None:
    for found in (
        server.call("list_files", glob=glob),
        server.call("search_files", pattern="x", glob=glob),
        server.call("read_many", glob=glob),
    ):
        assert found.is_error and f"the glob {glob!r} cannot be read" in found.text
