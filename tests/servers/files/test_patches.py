"""Patches land where they say or not at all; the forms models write are understood; long lines have a next call."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stdio import Stdio

TWO = "def f():\n    a = 1\n\ndef g():\n    b = 2\n    c = 3\n"
CLASSES = "class A:\n    def run(self):\n        x = 1\n        return x\n\nclass B:\n    def run(self):\n        x = 1\n        return x\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def diff(body: str, name: str = "a.py") -> str:
    return f"--- a/{name}\n+++ b/{name}\n{body}"


@pytest.mark.parametrize(
    ("text", "hunk", "said"),
    [
        (TWO, "@@ -4,0 +5 @@ def f():\n+    new = 1\n", "line 4 is not in 'def f():'"),
        (TWO, "@@ -5,0 +6,1 @@ def f():\n+    new = 1\n", "line 5 is not in 'def f():'"),
        (TWO, "@@ -1,0 +2 @@ def g():\n+    new = 1\n", "is not in 'def g():'"),
        (TWO, "@@ -2,0 +3 @@ def missing():\n+    new = 1\n", "is not in 'def missing():'"),
        (CLASSES, "@@ -8,0 +9 @@ class A:\n+        y = 2\n", "is not in 'class A:'"),
        (
            "int f(int a) {\n  a;\n}\nint g(int b) {\n  b;\n}\n",
            "@@ -5,0 +6 @@ int f(int a) {\n+  c;\n",
            "is not in",
        ),
        ("1\n2\n", "@@ -90,0 +91 @@\n+x\n", "line 90 is past the end of 2 lines"),
        ("1\n2\n", "@@ -3,0 +4 @@\n+x\n", "line 3 is past the end of 2 lines"),
        ("", "", "has no @@ hunk"),
        ("1\n2\n", "@@ -1,2 +1,2 @@\n 1\n 2\n", "changes nothing"),
        ("def f2():\n    a\n", "@@ -2,0 +3 @@ def f\n+    b\n", "line 2 is not in 'def f'"),
        ("## One\na\n## Two\nb\n", "@@ -4,0 +5 @@ ## One\n+c\n", "not in '## One'"),
        ("one:\n  a: 1\ntwo:\n  b: 1\n", "@@ -4,0 +5 @@ one:\n+  c: 1\n", "not in 'one:'"),
        ("[one]\na=1\n[two]\nb=1\n", "@@ -4,0 +5 @@ [one]\n+c=1\n", "not in '[one]'"),
        (".a {\n}\n#b {\n}\n", "@@ -3,0 +4 @@ .a {\n+  c: d;\n", "not in '.a {'"),
        ("const a = () => {\n};\nconst b = () => {\n};\n", "@@ -3,0 +4 @@ const a = () => {\n+  x;\n", "not in 'const a"),
        ("a\nb\nz\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n", "but 1 more follow"),
        ("a\nbc\n", "@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+c\n", "not in the file"),
        (
            "1\n2\n3\n4\n",
            "@@ -3 +3 @@\n-3\n+x\n@@ -1 +1 @@\n-1\n+y\n",
            "hunk 2 is out of order: its old lines stand at line 1",
        ),
    ],
)  # fmt: skip
def test_a_hunk_that_could_land_wrongly_is_refused(
    server: Stdio, tmp_path: Path, text: str, hunk: str, said: str
) -> None:
    (tmp_path / "a.py").write_text(text)
    answer = server.call("apply_patch", patch=diff(hunk))
    assert answer.is_error and said in answer.text, answer.text
    assert (tmp_path / "a.py").read_text() == text


@pytest.mark.parametrize("patch", ["", "\n", "nothing of the kind", "*** Begin Patch\n*** End Patch"])
def test_an_empty_patch_is_refused(server: Stdio, patch: str) -> None:
    answer = server.call("apply_patch", patch=patch)
    assert answer.is_error and "names no file" in answer.text


@pytest.mark.parametrize(
    ("text", "hunk", "after"),
    [
        (TWO, "@@ -2,0 +3 @@ def f():\n+    new = 1\n", TWO.replace("a = 1\n", "a = 1\n    new = 1\n")),
        (TWO, "@@ -6,0 +7 @@ def g():\n+    new = 1\n", TWO + "    new = 1\n"),
        (TWO, "@@ -0,0 +1 @@\n+import x\n", "import x\n" + TWO),
        ("1\n2\n", "@@ -2,0 +3 @@\n+x\n", "1\n2\nx\n"),
        (CLASSES, "@@ -8,0 +9 @@ class B:\n+        y = 2\n", CLASSES[:70] + CLASSES[70:].replace("x = 1\n", "x = 1\n        y = 2\n")),
        (CLASSES, "@@ class B:\n-        x = 1\n+        x = 2\n", CLASSES[:70] + CLASSES[70:].replace("x = 1", "x = 2")),
    ],
)  # fmt: skip
def test_a_hunk_whose_header_agrees_lands_there(
    server: Stdio, tmp_path: Path, text: str, hunk: str, after: str
) -> None:
    (tmp_path / "a.py").write_text(text)
    answer = server.call("apply_patch", patch=diff(hunk))
    assert not answer.is_error, answer.text
    assert (tmp_path / "a.py").read_text() == after


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        ("a\nb", "-b\n\\ No newline at end of file\n+b", "a\nb\n"),
        ("a\nb\n", "-b\n+b\n\\ No newline at end of file", "a\nb"),
        ("a\nb", "-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file", "a\nc"),
        ("a\nb", "-b\n+c", "a\nc"),
        ("a\nb", " b\n+c", "a\nb\nc"),
        ("a\nb", "-b\n\\ No newline at end of file\n+b\n+c", "a\nb\nc\n"),
    ],
)
def test_the_last_newline_is_as_the_hunk_says_and_else_as_it_was(
    server: Stdio, tmp_path: Path, before: str, lines: str, after: str
) -> None:
    (tmp_path / "a.py").write_text(before)
    answer = server.call("apply_patch", patch=diff(f"@@ -2 +2 @@\n{lines}\n"))
    assert not answer.is_error and (tmp_path / "a.py").read_text() == after, answer.text


def test_what_a_patch_only_renames_removes_or_makes_executable_may_be_of_any_kind(
    server: Stdio, tmp_path: Path
) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        (tmp_path / name).write_bytes(b"\0\1")
    patch = (
        "diff --git a/a.bin b/new.bin\nsimilarity index 100%\nrename from a.bin\nrename to new.bin\n"
        "diff --git a/b.bin b/b.bin\nold mode 100644\nnew mode 100755\n"
    )
    assert not server.call("apply_patch", patch=patch).is_error
    gone = "*** Begin Patch\n*** Delete File: c.bin\n*** End Patch"
    assert not server.call("apply_patch", patch=gone).is_error
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"new.bin", "b.bin"}
    assert (tmp_path / "new.bin").read_bytes() == b"\0\1" and (tmp_path / "b.bin").stat().st_mode & 0o111


def test_line_ends_of_a_new_file_are_the_ones_in_the_patch_not_those_of_its_transport(
    server: Stdio, tmp_path: Path
) -> None:
    unified = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1,2 @@\n+a{e}\n+b{e}\n"
    begin = "*** Begin Patch\n*** Add File: {}\n+a{e}\n+b{e}\n*** End Patch\n"
    for number, form in enumerate((unified, begin)):
        assert not server.call("apply_patch", patch=form.format(f"c{number}", e="\r")).is_error
        assert (tmp_path / f"c{number}").read_bytes() == b"a\r\nb\r\n"
        sent = form.format(f"l{number}", e="").replace("\n", "\r\n")
        assert not server.call("apply_patch", patch=sent).is_error
        assert (tmp_path / f"l{number}").read_bytes() == b"a\nb\n"


def test_a_begin_patch_text_is_understood(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CLASSES)
    (tmp_path / "old.txt").write_text("gone\n")
    (tmp_path / "move.txt").write_text("one\ntwo\n")
    patch = (
        "*** Begin Patch\n*** Update File: a.py\n@@ class B:\n@@     def run(self):\n-        x = 1\n+        x = 2\n"
        "         return x\n*** End of File\n*** Add File: new/n.txt\n+first\n+second\n*** Delete File: old.txt\n"
        "*** Update File: move.txt\n*** Move to: moved.txt\n one\n-two\n+zwei\n*** End Patch\n"
    )
    dry = server.call("apply_patch", patch=patch, dry_run=True)
    assert not dry.is_error and (tmp_path / "old.txt").exists()
    done = server.call("apply_patch", patch=patch)
    assert not done.is_error, done.text
    assert (tmp_path / "a.py").read_text() == CLASSES[:70] + CLASSES[70:].replace("x = 1", "x = 2")
    assert (tmp_path / "new/n.txt").read_text() == "first\nsecond\n" and not (tmp_path / "old.txt").exists()
    assert (tmp_path / "moved.txt").read_text() == "one\nzwei\n" and not (tmp_path / "move.txt").exists()


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("*** Begin Patch\n*** Update File: a.py\n-nowhere at all\n+x\n*** End Patch", "not in the file"),
        ("*** Begin Patch\n*** Update File: nope.py\n-a\n+x\n*** End Patch", "there is no"),
        ("*** Begin Patch\n+x\n*** End Patch", "belongs to no file"),
        ("*** Begin Patch\n*** Add File: n\nx\n*** End Patch", "begins with 'x'"),
        ("*** Begin Patch\n*** Add File: a.py\n+x\n*** End Patch", "already exists"),
        ("*** Begin Patch\n*** Rename File: a.py\n*** End Patch", "is none of"),
        ("*** Begin Patch\n*** Update File: a.py\n-        x = 1\n+y\n*** End Patch", "fits in 2 places"),
    ],
)
def test_a_begin_patch_text_that_does_not_fit_says_why(
    server: Stdio, tmp_path: Path, patch: str, said: str
) -> None:
    (tmp_path / "a.py").write_text(CLASSES)
    answer = server.call("apply_patch", patch=patch)
    assert answer.is_error and said in answer.text, answer.text
    assert (tmp_path / "a.py").read_text() == CLASSES


def test_a_protected_place_is_none_in_any_form_of_patch(server: Stdio, tmp_path: Path) -> None:
    for name in (".git/hooks/pre-commit", ".mcp.json", "../out.txt"):
        patch = f"*** Begin Patch\n*** Add File: {name}\n+x\n*** End Patch"
        assert server.call("apply_patch", patch=patch).is_error
    assert not (tmp_path / ".mcp.json").exists()


@pytest.mark.parametrize(
    "line", ["x" * 137_000, "é" * 50_000, "\u202e" * 20_000, "a" * 2001, "日本" * 2_000_000]
)
def test_a_long_line_is_read_to_its_end(server: Stdio, tmp_path: Path, line: str) -> None:
    (tmp_path / "long").write_text(f"first\n{line}\nlast\n", encoding="utf-8")
    text = server.call("read_file", path="long", offset=2).text
    assert "\nmore of line 2: offset=2 column=2001" in text and len(text.encode()) <= 40_000
    column, steps = 2001, 0
    while steps < 6:
        text = server.call("read_file", path="long", offset=2, column=column).text
        assert len(text.encode()) <= 40_000
        more = text.rpartition("\nmore: offset=2 column=")[2]
        if not more.isdigit():
            break
        assert int(more) > column
        column, steps = int(more), steps + 1
    if len(line) < 200_000:
        assert f"-{len(line)}/{len(line)} · " in text
        assert "is past its end" in server.call("read_file", path="long", offset=2, column=len(line) + 1).text


MIXED = b"1\r\n2\n3\r\n4\n5\r\n"


@pytest.mark.parametrize(
    ("hunk", "after"),
    [
        ("@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n", b"1\r\ntwo\n3\r\n4\n5\r\n"),
        ("@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n", b"1\r\n2\nthree\r\n4\n5\r\n"),
        ("@@ -1,4 +1,4 @@\n 1\n-2\n-3\n+two\n+three\n 4\n", b"1\r\ntwo\nthree\r\n4\n5\r\n"),
        ("@@ -1,3 +1,4 @@\n 1\n 2\n+and\n 3\n", b"1\r\n2\nand\n3\r\n4\n5\r\n"),
        ("@@ -3,0 +4,2 @@\n+x\n+y\n", b"1\r\n2\n3\r\nx\r\ny\r\n4\n5\r\n"),
        ("@@ -1,3 +1,2 @@\n 1\n-2\n 3\n", b"1\r\n3\r\n4\n5\r\n"),
        ("@@ -0,0 +1 @@\n+zero\n", b"zero\r\n1\r\n2\n3\r\n4\n5\r\n"),
        ("@@ -4,2 +4,3 @@\n 4\n 5\n+6\n", b"1\r\n2\n3\r\n4\n5\r\n6\r\n"),
    ],
)
def test_with_mixed_line_ends_each_line_keeps_its_own_and_a_new_one_takes_its_neighbours(
    server: Stdio, tmp_path: Path, hunk: str, after: bytes
) -> None:
    (tmp_path / "a.py").write_bytes(MIXED)
    done = server.call("apply_patch", patch=diff(hunk))
    assert not done.is_error, done.text
    assert (tmp_path / "a.py").read_bytes() == after


def test_an_edit_keeps_mixed_line_ends_as_well(server: Stdio, tmp_path: Path) -> None:
    edits = {
        ("2", "a\nb"): b"1\r\na\nb\n3\r\n4\n5\r\n",
        ("2\n3\n", "a\nb\nc\n"): b"1\r\na\nb\r\nc\r\n4\n5\r\n",
    }
    for (old, new), after in edits.items():
        (tmp_path / "a.py").write_bytes(MIXED)
        assert not server.call("edit_file", path="a.py", edits=[{"old": old, "new": new}]).is_error
        assert (tmp_path / "a.py").read_bytes() == after


FENCED = diff("@@ -1,2 +1,2 @@\n-1\n+one\n 2\n")


@pytest.mark.parametrize(
    "patch",
    [
        f"```diff\n{FENCED}```\n",
        f"```\n{FENCED}```",
        f"Here it is:\n\n```patch\n{FENCED}```\nIt says one now.\n",
        f"~~~~diff\n{FENCED}~~~~",
        f"```diff\n{FENCED}",
        f"```diff\n{FENCED}```\n".replace("\n", "\r\n"),
        "```\n*** Begin Patch\n*** Update File: a.py\n@@\n-1\n+one\n*** End Patch\n```",
        "```diff\n"
        + diff("@@\n-1\n+one\n")
        + "```\nand\n```diff\n--- /dev/null\n+++ b/b.md\n@@ -0,0 +1 @@\n+```\n```\n",
    ],
)
def test_a_patch_between_markdown_fences_is_read(server: Stdio, tmp_path: Path, patch: str) -> None:
    (tmp_path / "a.py").write_text("1\n2\n")
    done = server.call("apply_patch", patch=patch)
    assert not done.is_error, done.text
    assert (tmp_path / "a.py").read_text() == "one\n2\n"
    assert not (tmp_path / "b.md").exists() or (tmp_path / "b.md").read_text() == "```\n"


def test_a_patch_of_a_file_that_holds_fences_keeps_them(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\nx\n```\n")
    done = server.call("apply_patch", patch=diff("@@ -1,3 +1,3 @@\n ```\n-x\n+y\n ```\n", "a.md"))
    assert not done.is_error, done.text
    assert (tmp_path / "a.md").read_text() == "```\ny\n```\n"


@pytest.mark.parametrize(
    ("patch", "line"),
    [
        ("diff --cc a.py\nindex 1,2..3\n--- a/a.py\n+++ b/a.py\n@@@ -1,1 -1,1 +1,2 @@@\n+ 1\n +2\n", 1),
        ("diff --combined a.py\n--- a/a.py\n+++ b/a.py\n", 1),
        ("--- a/a.py\n+++ b/a.py\n@@@ -1,1 -1,1 +1,2 @@@\n+ 1\n +2\n", 3),
        ("--- a/a.py\n+++ b/a.py\n@@@@ -1 -1 -1 +1,2 @@@@\n++ 1\n", 3),
    ],
)
def test_a_combined_diff_is_called_one_and_what_would_work_is_said(
    server: Stdio, tmp_path: Path, patch: str, line: int
) -> None:
    (tmp_path / "a.py").write_text("1\n2\n")
    said = server.call("apply_patch", patch=patch)
    assert said.is_error and f"line {line} of the patch belongs to a combined diff" in said.text
    assert "git diff COMMIT^1 COMMIT" in said.text and (tmp_path / "a.py").read_text() == "1\n2\n"


BODY = "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"


@pytest.mark.parametrize(
    "patch",
    [
        "diff --git i/a.txt w/a.txt\n--- i/a.txt\n+++ w/a.txt\n" + BODY,
        "--- c/a.txt\n+++ i/a.txt\n" + BODY,
        "--- w/a.txt\n+++ c/a.txt\n" + BODY,
        "\x1b[1m--- a/a.txt\x1b[m\n\x1b[1m+++ b/a.txt\x1b[m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[m\n one\n\x1b[31m-two\x1b[m\n\x1b[32m+2\x1b[m\n",
        "".join(f"> {line}\n" for line in ("--- a/a.txt\n+++ b/a.txt\n" + BODY).splitlines()),
        "".join(f"    {line}\n" for line in ("--- a/a.txt\n+++ b/a.txt\n" + BODY).splitlines()),
    ],
)  # fmt: skip
def test_a_patch_is_read_in_every_form_git_and_people_print_it(
    server: Stdio, tmp_path: Path, patch: str
) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    answer = server.call("apply_patch", patch=patch)
    assert not answer.is_error, answer.text
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one\n2\n"


def test_a_folder_called_like_a_prefix_of_git_is_a_folder(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    (tmp_path / "i/a.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert not server.call("apply_patch", patch="--- i/a.txt\n+++ i/a.txt\n" + BODY).is_error
    assert (tmp_path / "i/a.txt").read_text(encoding="utf-8") == "one\n2\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("*** a.txt\n--- a.txt\n***************\n*** 1,2 ****\n  one\n! two\n--- 1,2 ----\n  one\n! 2\n", "a context diff"),
        ("2c2\n< two\n---\n> 2\n", "its oldest form"),
        ("a.txt\n<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n", "edit_file takes those"),
    ],
)  # fmt: skip
def test_another_form_of_a_change_is_called_by_its_name(
    server: Stdio, tmp_path: Path, text: str, name: str
) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    answer = server.call("apply_patch", patch=text)
    assert answer.is_error and name in answer.text
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one\ntwo\n"


def test_old_lines_that_miss_by_white_space_are_told_so(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n    two\n", encoding="utf-8")
    answer = server.call("apply_patch", patch="--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-\ttwo\n+2\n")
    assert answer.is_error and "white space alone" in answer.text


def test_a_link_to_nothing_is_called_one(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("gone.txt")
    for tool in ("read_file", "list_files", "outline"):
        answer = server.call(tool, path="l")
        assert answer.is_error and "'l' is a link to 'gone.txt', and nothing is there" in answer.text
