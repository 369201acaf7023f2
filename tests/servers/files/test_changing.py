"""Writing, editing, patching, moving and deleting, as a model does it over stdio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import ElicitResult

from servers.state.audit import first_break
from tests.stdio import Stdio, as_result, connect, op_of, start


def rev_of(text: str) -> str:
    return text.split("rev=")[1].split(maxsplit=1)[0]


def edits_at_once(servers: list[Stdio], path: str, count: int) -> int:
    """Send `count` edits of different lines without waiting, spread over the servers; how many failed."""
    sent = [
        (servers[i % len(servers)], {"path": path, "edits": [{"old": f"<{i}>\n", "new": f"<done {i}>\n"}]})
        for i in range(count)
    ]
    numbers = [
        (server, server.send("tools/call", {"name": "edit_file", "arguments": arguments}))
        for server, arguments in sent
    ]
    return sum(as_result(server.answer(number)).is_error for server, number in numbers)


def test_fifty_edits_at_once_are_all_applied(server: Stdio, root: Path) -> None:
    (root / "f").write_text("".join(f"<{i}>\n" for i in range(50)), encoding="utf-8")
    assert edits_at_once([server], "f", 50) == 0
    assert (root / "f").read_text(encoding="utf-8") == "".join(f"<done {i}>\n" for i in range(50))


def test_two_servers_editing_one_file_lose_nothing(server: Stdio, root: Path) -> None:
    (root / "f").write_text("".join(f"<{i}>\n" for i in range(50)), encoding="utf-8")
    with start("files", str(root)) as other:
        assert edits_at_once([server, other], "f", 50) == 0
    assert (root / "f").read_text(encoding="utf-8") == "".join(f"<done {i}>\n" for i in range(50))


def test_of_two_edits_that_expect_the_same_revision_one_is_told_of_the_other(
    server: Stdio, root: Path
) -> None:
    (root / "f").write_text("a\nb\n", encoding="utf-8")
    rev = rev_of(server.call("read_file", path="f").text)
    first = server.call("edit_file", path="f", edits=[{"start": 1, "end": 1, "new": "x"}], expect_rev=rev)
    second = server.call("edit_file", path="f", edits=[{"start": 2, "end": 2, "new": "y"}], expect_rev=rev)
    assert not first.is_error
    assert second.is_error and rev_of(first.text) in second.text and "read it again" in second.text
    assert (root / "f").read_bytes() == b"x\nb\n"


@pytest.mark.parametrize(
    ("data", "edit", "after"),
    [
        (b"one\r\ntwo\r\n", {"old": "one\ntwo", "new": "1\n2\n3"}, b"1\r\n2\r\n3\r\n"),
        (b"\xef\xbb\xbfa\nb", {"old": "b", "new": "c"}, b"\xef\xbb\xbfa\nc"),
        (b"caf\xe9\nx\n", {"old": "caf\u00e9", "new": "un caf\u00e9"}, b"un caf\xe9\nx\n"),
        ("é\n".encode("utf-16"), {"old": "é", "new": "è"}, "è\n".encode("utf-16")),
        (b"a\rb\rc\r", {"old": "b\n", "new": "x\ny\n"}, b"a\rx\ry\rc\r"),
        (b"a\nb\r\nc\n", {"old": "b\nc", "new": "x\ny\nz"}, b"a\nx\r\ny\r\nz\n"),
        (b"a\nb\n", {"start": 2, "end": 1, "new": "between"}, b"a\nbetween\nb\n"),
        (b"a\nb\n", {"start": 2, "end": 2, "new": ""}, b"a\n"),
        (b"a\nb", {"start": 3, "end": 2, "new": "c"}, b"a\nb\nc"),
        (b"a\nb", {"start": 2, "end": 2, "new": "c"}, b"a\nc"),
        (b"x x\n", {"old": "x", "new": "y", "count": 2}, b"y y\n"),
    ],
)
def test_an_edit_keeps_encoding_mark_and_line_endings(
    server: Stdio, root: Path, data: bytes, edit: dict[str, object], after: bytes
) -> None:
    (root / "f").write_bytes(data)
    (root / "f").chmod(0o750)
    rev = rev_of(server.call("read_file", path="f").text)
    result = server.call("edit_file", path="f", edits=[edit], expect_rev=rev)
    assert not result.is_error, result.text
    assert (root / "f").read_bytes() == after
    assert (root / "f").stat().st_mode & 0o777 == 0o750
    server.call("undo", op=op_of(result.text))
    assert (root / "f").read_bytes() == data


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([{"old": "x", "new": "y"}], "occurs 3 times, not 1: lines 1, 3, 5"),
        ([{"old": "retrun 1", "new": ""}], "2\t    return 1"),
        ([{"old": "return  1", "new": "2"}], "The nearest is here"),
        ([{"old": "\treturn 1", "new": "2"}], "white space alone"),
        ([{"old": "", "new": "y"}], "old is empty"),
        ([{"new": "y"}], "either {old, new, count} or {start, end, new}"),
        ([{"old": "x", "start": 1, "new": "y"}], "either"),
        ([{"start": 1, "end": 1, "new": "y"}], "expect_rev"),
        ([], "edits is empty"),
        ([{"old": "return 1", "new": "return 1"}], "changes nothing"),
        ([{"old": "return 1", "new": "z", "count": 0}], "at least 1"),
        ([{"old": "return 1", "new": "z"}, {"old": "nowhere at all", "new": "z"}], "does not occur"),
        ([{"old": "a", "neu": "z"}], "edits.0"),
    ],
)
def test_an_edit_that_does_not_fit_says_what_would_and_changes_nothing(
    server: Stdio, root: Path, edits: list[dict[str, object]], said: str
) -> None:
    body = "x\n    return 1\nx\n\nx\n"
    (root / "f.py").write_text(body, encoding="utf-8")
    result = server.call("edit_file", path="f.py", edits=edits)
    assert result.is_error and said in result.text
    assert (root / "f.py").read_text(encoding="utf-8") == body


def test_a_dry_run_shows_the_change_and_makes_none(server: Stdio, root: Path) -> None:
    (root / "f").write_text("a\n", encoding="utf-8")
    result = server.call("edit_file", path="f", edits=[{"old": "a", "new": "b"}], dry_run=True)
    assert "+b" in result.text and "dry run" in result.text
    assert (root / "f").read_bytes() == b"a\n"
    assert server.call("undo").text == "no change to undo"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.py", "def f(:\n", "syntax: line 1"),
        ("a.py", "x = 1\n", "syntax ok"),
        ("a.json", '{"a": }', "syntax: line 1"),
        ("a.yaml", "a: [1,\n", "syntax: line"),
        ("a.toml", "a = \n", "syntax:"),
        ("a.ts", "function f( {", "syntax: line 1"),
        ("a.go", "package m\n", "syntax ok"),
        ("a.sh", "if true; then\n", "syntax: line"),
        ("a.sh", "x {\U0010ffff\n", "syntax ok"),  # once the end of the process
        ("a.py", "(" * 5000, "syntax"),
        ("a.json", "[" * 200_000, "nested too deeply"),
    ],
)
def test_a_change_says_whether_the_text_still_parses(
    server: Stdio, name: str, content: str, said: str
) -> None:
    result = server.call("write_file", path=name, content=content)
    assert not result.is_error and said in result.text


def test_writing_never_replaces_unasked(server: Stdio, root: Path) -> None:
    assert not server.call("write_file", path="new/deep/f.txt", content="1\n").is_error
    again = server.call("write_file", path="new/deep/f.txt", content="2\n")
    assert again.is_error and "if_exists=overwrite" in again.text
    server.call("write_file", path="new/deep/f.txt", content="2\n", if_exists="append")
    assert (root / "new/deep/f.txt").read_bytes() == b"1\n2\n"
    stale = server.call(
        "write_file", path="new/deep/f.txt", content="3", if_exists="overwrite", expect_rev="0" * 12
    )
    assert stale.is_error and "read it again" in stale.text


def test_undo_refuses_with_a_diff_when_the_file_has_changed_since(server: Stdio, root: Path) -> None:
    (root / "f").write_text("one\n", encoding="utf-8")
    op = op_of(server.call("edit_file", path="f", edits=[{"old": "one", "new": "two"}]).text)
    (root / "f").write_text("three\n", encoding="utf-8")
    result = server.call("undo", op=op)
    assert result.is_error and "-three" in result.text and "+one" in result.text
    assert (root / "f").read_bytes() == b"three\n"


def test_undo_itself_can_be_undone(server: Stdio, root: Path) -> None:
    (root / "f").write_text("one\n", encoding="utf-8")
    op = op_of(server.call("edit_file", path="f", edits=[{"old": "one", "new": "two"}]).text)
    back = op_of(server.call("undo", op=op).text)
    server.call("undo", op=back)
    assert (root / "f").read_bytes() == b"two\n"


GIT_PATCH = """\
diff --git a/a.txt b/a.txt
index 1..2 100644
--- a/a.txt
+++ b/a.txt
@@ -1,3 +1,3 @@ heading
 one
-two
+zwei
 three
diff --git a/run.sh b/run.sh
new file mode 100755
--- /dev/null
+++ b/run.sh
@@ -0,0 +1 @@
+echo hi
\\ No newline at end of file
diff --git a/old.txt b/new.txt
similarity index 50%
rename from old.txt
rename to new.txt
--- a/old.txt
+++ b/new.txt
@@ -1 +1 @@
-x
+y
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
-- 
2.39.5
"""


@pytest.fixture
def patchable(root: Path) -> Path:
    for name, text in {"a.txt": "one\ntwo\nthree\n", "old.txt": "x\n", "gone.txt": "bye\n"}.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_git_patch_changes_makes_renames_and_deletes(server: Stdio, patchable: Path) -> None:
    result = server.call("apply_patch", patch=GIT_PATCH)
    assert not result.is_error, result.text
    assert {p.name: p.read_text(encoding="utf-8") for p in patchable.iterdir()} == {
        "a.txt": "one\nzwei\nthree\n",
        "run.sh": "echo hi",
        "new.txt": "y\n",
    }
    assert (patchable / "run.sh").stat().st_mode & 0o111
    server.call("undo", op=op_of(result.text))
    assert sorted(p.name for p in patchable.iterdir()) == ["a.txt", "gone.txt", "old.txt"]


def test_a_patch_keeps_or_changes_what_may_be_executed(server: Stdio, root: Path) -> None:
    (root / "run.sh").write_text("echo\n", encoding="utf-8")
    (root / "run.sh").chmod(0o750)
    renamed = (
        "diff --git a/run.sh b/bin/go.sh\nsimilarity index 100%\nrename from run.sh\nrename to bin/go.sh\n"
    )
    assert not server.call("apply_patch", patch=renamed).is_error
    path = root / "bin/go.sh"
    assert path.stat().st_mode & 0o777 == 0o750
    plain = "diff --git a/bin/go.sh b/bin/go.sh\nold mode 100755\nnew mode 100644\n"
    result = server.call("apply_patch", patch=plain)
    assert "not executable" in result.text and path.stat().st_mode & 0o777 == 0o640
    assert not server.call("undo", op=op_of(result.text)).is_error
    assert path.stat().st_mode & 0o777 == 0o750


def test_a_patch_whose_hunks_are_counted_wrong_still_finds_its_files(server: Stdio, patchable: Path) -> None:
    patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1,9 +1,9 @@\n one\n-two\n+zwei\n--- a/old.txt\n+++ b/old.txt\n@@ -1,5 +1 @@\n-x\n+y\n"
    result = server.call("apply_patch", patch=patch)
    assert not result.is_error, result.text
    assert (patchable / "a.txt").read_bytes() == b"one\nzwei\nthree\n"
    assert (patchable / "old.txt").read_bytes() == b"y\n"


def test_a_line_that_looks_like_a_file_header_is_removed_as_a_line(server: Stdio, root: Path) -> None:
    (root / "q.sql").write_text("-- a\n++ b\nx\n", encoding="utf-8")
    patch = "--- q.sql\n+++ q.sql\n@@ -1,2 +1,2 @@\n--- a\n+++ c\n ++ b\n@@ -3 +3 @@\n-x\n+y\n"
    result = server.call("apply_patch", patch=patch)
    assert not result.is_error, result.text
    assert (root / "q.sql").read_bytes() == b"++ c\n++ b\ny\n"


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("nonsense", "names no file"),
        ("--- a/a.txt\n+++ b/a.txt\n@@ -" + "9" * 5000 + " +1 @@\n-q\n+r\n", "not in the file"),
        ("@@ -1 +1 @@\n-a\n+b\n", "--- OLD"),
        ("--- a/a.txt\n+++ b/a.txt\n@@ -9 +9 @@\n-thre\n+drei\n", "nearest place"),
        ("--- a/a.txt\n+++ b/a.txt\n@@ @@\n-q\n+r\n", "not in the file"),
        ("--- a/nope.txt\n+++ b/nope.txt\n@@ -1 +1 @@\n-q\n+r\n", "nope.txt"),
        ("--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+r\n", "already exists"),
        ("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-q\n+r\n", "outside the root"),
        ("--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-q\n+r\n", "protected"),
        ("--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+eins\n?what\n", "line 11 of the patch"),
        ("--- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-by\n", "not in the file"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(
    server: Stdio, patchable: Path, patch: str, said: str
) -> None:
    good = "--- a/old.txt\n+++ b/old.txt\n@@ -1 +1 @@\n-x\n+changed\n"
    result = server.call("apply_patch", patch=patch if "names no" in said or "OLD" in said else good + patch)
    assert result.is_error and said in result.text
    assert (patchable / "old.txt").read_bytes() == b"x\n"
    assert (patchable / "a.txt").read_bytes() == b"one\ntwo\nthree\n"


def test_a_hunk_that_has_moved_is_found_but_never_guessed(server: Stdio, root: Path) -> None:
    (root / "f").write_text("new\n" * 5 + "a\nb\n", encoding="utf-8")
    moved = "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert not server.call("apply_patch", patch=moved, dry_run=True).is_error
    (root / "f").write_text("new\n" * 5 + "a\nb\n" * 2, encoding="utf-8")
    assert "fits in 2 places (lines 6, 8)" in server.call("apply_patch", patch=moved).text


def test_moving_copying_and_deleting_folders_is_undone(server: Stdio, root: Path) -> None:
    (root / "src/inner").mkdir(parents=True)
    (root / "src/inner/x.py").write_text("1\n", encoding="utf-8")
    ops = [
        op_of(server.call("move_file", src="src", dst="lib/code").text),
        op_of(server.call("move_file", src="lib/code", dst="copy", copy=True).text),
    ]
    assert "recursive=true" in server.call("delete_file", path="lib").text
    ops.append(op_of(server.call("delete_file", path="lib", recursive=True).text))
    assert [str(p.relative_to(root)) for p in sorted(root.rglob("*.py"))] == ["copy/inner/x.py"]
    for op in reversed(ops):
        assert not server.call("undo", op=op).is_error
    assert [str(p.relative_to(root)) for p in sorted(root.rglob("*"))] == [
        "src",
        "src/inner",
        "src/inner/x.py",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"src": "a", "dst": "b"}, "overwrite=true"),
        ({"src": "a", "dst": "d"}, "such as d/NAME"),
        ({"src": "d", "dst": "d/in/d"}, "into itself"),
        ({"src": "d", "dst": "b", "overwrite": True}, "only a file replaces a file"),
        ({"src": "nope", "dst": "x"}, "there is no 'nope'"),
        ({"src": "a", "dst": "../a"}, "outside"),
        ({"src": "a", "dst": ".git/hooks/pre-commit"}, "protected"),
        ({"src": "repo", "dst": "elsewhere"}, "protected"),
        ({"src": ".", "dst": "x"}, "root itself"),
        ({"src": "a", "dst": "a"}, "twice"),
    ],
)
def test_a_move_that_would_lose_or_leave_something_is_refused(
    server: Stdio, root: Path, arguments: dict[str, object], said: str
) -> None:
    for name in ("a", "b"):
        (root / name).write_text(name, encoding="utf-8")
    (root / "d/in").mkdir(parents=True)
    (root / "repo/.git").mkdir(parents=True)
    before = sorted(root.rglob("*"))
    result = server.call("move_file", **arguments)
    assert result.is_error and said in result.text
    assert sorted(root.rglob("*")) == before


def test_a_copy_is_judged_by_where_it_goes(server: Stdio, root: Path) -> None:
    for name in ("package.json", ".vscode/settings.json", ".env", "vendor/.git/config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}", encoding="utf-8")
    assert not server.call("move_file", src="package.json", dst="a.json", copy=True).is_error
    assert not server.call("move_file", src=".vscode/settings.json", dst="b.json", copy=True).is_error
    assert "secrets" in server.call("move_file", src=".env", dst="c", copy=True).text
    assert "protected" in server.call("move_file", src="vendor", dst="d", copy=True).text
    assert "user's yes" in server.call("move_file", src="a.json", dst="x/package.json", copy=True).text
    assert sorted(path.name for path in root.iterdir()) == [
        ".env",
        ".vscode",
        "a.json",
        "b.json",
        "package.json",
        "vendor",
    ]


def test_what_runs_code_is_not_put_together_from_harmless_parts(server: Stdio, root: Path) -> None:
    for name in ("w/workflows/ci.yml", "v/ci.yml", "bare/config", "bare/objects/x", "refs/x", "bare/hooks/y"):
        assert not server.call("write_file", path=name, content="x").is_error
    before = sorted(root.rglob("*"))
    assert "user's yes" in server.call("move_file", src="w", dst=".github").text
    assert "user's yes" in server.call("move_file", src="v", dst="sub/.github/workflows").text
    assert not server.call("move_file", src="refs", dst="bare/refs").is_error
    assert "git directory" in server.call("write_file", path="bare/HEAD", content="ref: x").text
    assert not server.call("move_file", src="bare/refs", dst="refs").is_error
    assert sorted(root.rglob("*")) == before


def test_undoing_a_copy_never_loses_what_was_done_to_it_since(server: Stdio, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d/a").write_text("1\n", encoding="utf-8")
    op = op_of(server.call("move_file", src="d", dst="e", copy=True).text)
    server.call("edit_file", path="e/a", edits=[{"old": "1", "new": "my work"}])
    result = server.call("undo", op=op)
    assert result.is_error and "has changed since" in result.text
    assert (root / "e/a").read_bytes() == b"my work\n"
    (root / "e/a").write_text("1\n", encoding="utf-8")
    (root / "e/new").write_text("", encoding="utf-8")
    assert "has changed since" in server.call("undo", op=op).text
    (root / "e/new").unlink()
    assert not server.call("undo", op=op).is_error
    assert not (root / "e").exists()


def test_deleting_a_link_deletes_the_link_alone(server: Stdio, root: Path) -> None:
    (root / "real").write_text("x", encoding="utf-8")
    (root / "link").symlink_to("real")
    assert not server.call("delete_file", path="link").is_error
    assert [p.name for p in root.iterdir()] == ["real"]


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("answer", "changed"), [("yes", True), ("no", False), ("decline", False), ("cancel", False)]
)
async def test_files_that_run_code_change_only_with_the_users_yes(
    root: Path, mode: str, answer: str, changed: bool
) -> None:
    asked: list[str] = []

    async def reply(_: object, params: object) -> ElicitResult:
        asked.append(str(getattr(params, "message", "")))
        if answer in ("yes", "no"):
            return ElicitResult(action="accept", content={"change": answer == "yes"})
        return ElicitResult(action="decline" if answer == "decline" else "cancel")

    with anyio.fail_after(60):
        async with connect("files", str(root), mode=mode, elicitation_callback=reply) as client:
            result = await client.call_tool("write_file", {"path": "Makefile", "content": "all:\n"})
            patch = "--- /dev/null\n+++ b/package.json\n@@ -0,0 +1 @@\n+{}\n"
            await client.call_tool("apply_patch", {"patch": patch})
            await client.call_tool("write_file", {"path": "plain.txt", "content": "x"})
    assert len(asked) == 2 and "Makefile" in asked[0] and "package.json" in asked[1]
    assert (root / "Makefile").exists() is changed and (root / "package.json").exists() is changed
    assert (root / "plain.txt").exists()
    assert changed or "declined" in str(result.content)
    assert result.is_error is (
        answer in ("decline", "cancel")
    )  # by a person or by the host itself: nobody can tell
    assert not result.is_error or (
        "by itself" in str(result.content) and "--allow Makefile" in str(result.content)
    )


def test_what_a_link_or_a_setting_of_git_leads_to_runs_code_too(server: Stdio, root: Path) -> None:
    for folder in (".git", "hooks", "conf"):
        (root / folder).mkdir()
    (root / ".vscode").symlink_to("conf")
    (root / ".git/config").write_text("[core]\n\thooksPath = hooks\n")
    for path in (".vscode/tasks.json", "conf/tasks.json", "hooks/pre-commit"):
        refused = server.call("write_file", path=path, content="evil")
        assert refused.is_error and "a link or core.hooksPath leads to" in refused.text
    assert not server.call("write_file", path="hooks2", content="x").is_error


def test_a_client_that_cannot_be_asked_learns_the_option(server: Stdio, root: Path) -> None:
    result = server.call("write_file", path=".github/workflows/ci.yml", content="on: push\n")
    assert result.is_error and "--allow '.github/workflows/ci.yml'" in result.text
    with start("files", "--allow", ".github/workflows/*", str(root)) as allowed:
        assert not allowed.call("write_file", path=".github/workflows/ci.yml", content="on: push\n").is_error


def test_a_masked_secret_is_never_written_over_the_real_one(server: Stdio, root: Path) -> None:
    body = f"token = 'ghp_{'a' * 36}'\nx = 1\n"
    (root / "f.py").write_text(body, encoding="utf-8")
    shown = server.call("read_file", path="f.py").text.split("\t", 1)[1].split("\n")[0]
    assert "masked" in shown
    for call in (
        server.call("write_file", path="f.py", content=shown + "\nx = 2\n", if_exists="overwrite"),
        server.call("edit_file", path="f.py", edits=[{"old": shown, "new": "x"}]),
        server.call("edit_file", path="f.py", edits=[{"old": "x = 1", "new": shown}]),
    ):
        assert call.is_error and "masked" in call.text
    assert (root / "f.py").read_text(encoding="utf-8") == body
    assert not server.call("edit_file", path="f.py", edits=[{"old": "x = 1", "new": "x = 2"}]).is_error


def test_copied_line_numbers_are_recognised(server: Stdio, root: Path) -> None:
    (root / "f").write_text("a\nb\n", encoding="utf-8")
    assert "line number" in server.call("edit_file", path="f", edits=[{"old": "1\ta", "new": "x"}]).text


def test_every_change_is_in_the_audit_and_its_chain_holds(server: Stdio, root: Path, own_state: Path) -> None:
    op = op_of(server.call("write_file", path="a", content="1").text)
    server.call("move_file", src="a", dst="b")
    server.call("undo", op=op)
    path = own_state / "understudy/audit/files.jsonl"
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [entry["tool"] for entry in entries] == ["write_file", "move_file"]
    assert entries[0]["op"] == op and entries[1]["paths"] == "a -> b"
    assert first_break(path) is None


def test_the_servers_own_state_is_out_of_reach_even_inside_a_root(tmp_path: Path) -> None:
    with start("files", str(tmp_path), env={"UNDERSTUDY_HOME": str(tmp_path / "state")}) as server:
        server.call("write_file", path="a", content="1")
        for call in (
            server.call("read_file", path="state/undo/undo.sqlite"),
            server.call("write_file", path="state/x", content=""),
            server.call("delete_file", path="state", recursive=True),
        ):
            assert call.is_error and "own state" in call.text


@pytest.mark.parametrize("path", ["new/", "f/", "f/x"])
def test_a_file_is_not_made_where_a_folder_was_meant(server: Stdio, root: Path, path: str) -> None:
    (root / "f").write_text("x", encoding="utf-8")
    assert server.call("write_file", path=path, content="y").is_error
    assert [p.name for p in root.iterdir()] == ["f"]


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "sub/" + "x" * 300, "x" * 256 + "/in.txt"])
def test_a_name_longer_than_the_file_system_takes_is_refused_in_one_sentence_by_every_tool(
    server: Stdio, root: Path, name: str
) -> None:
    (root / "sub").mkdir()
    (root / "a.txt").write_text("one\n")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("move_file", {"src": "a.txt", "dst": name}),
        ("move_file", {"src": "sub", "dst": name}),
        ("move_file", {"src": "a.txt", "dst": name, "copy": True}),
        ("move_file", {"src": "a.txt", "dst": name, "copy": True, "overwrite": True}),
        ("write_file", {"path": name, "content": "x"}),
        ("apply_patch", {"patch": f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+x\n"}),
        ("delete_file", {"path": name}),
        ("read_file", {"path": name}),
    ]
    for tool, arguments in calls:
        said = server.call(tool, **arguments)
        assert said.is_error and "bytes as UTF-8, and the file system takes at most 255" in said.text, tool
        assert len(said.text) < 300
    assert sorted(path.name for path in root.rglob("*")) == ["a.txt", "sub"]
