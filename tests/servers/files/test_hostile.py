"""Texts and names made to hang, crash or fool the server: it answers within the wait of `call`, and truthfully."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.processes import until
from tests.stdio import Stdio, op_of


@pytest.mark.parametrize(
    "text",
    [
        "-eyJ" * 400_000,
        "aws_secret_access_key" + " " * 400_000 + "!",
        ("authorization:" + " " * 500 + "bearer" + " " * 500) * 500,
        "-----BEGIN " * 100_000,
        "://a:" + "b" * 1_000_000,
    ],
)
def test_text_that_almost_looks_like_a_secret_is_shown_in_time(server: Stdio, root: Path, text: str) -> None:
    (root / "f.txt").write_text(text + "\nend\n", encoding="utf-8")
    assert "2\tend" in server.call("read_file", path="f.txt").text


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.go", "=:<-" * 10_000, "syntax"),
        ("a.java", "A<" * 50_000, "syntax not checked"),
        ("a.tsx", "a:} {" * 20_000, "syntax"),
        ("a.sh", ";))" * 30_000, "syntax"),
        ("a.yaml", "[" * 300_000, "syntax not checked"),
        ("a.toml", "a" + ".a" * 100_000 + " = 1\n", "syntax not checked"),
        ("a.py", "x" + ".a" * 100_000, "syntax"),
        ("a.md", "# a\n" * 100_000, "100000 symbols"),
    ],
)
def test_text_that_is_hard_to_parse_is_given_up_in_time(
    server: Stdio, root: Path, name: str, text: str, said: str
) -> None:
    written = server.call("write_file", path=name, content=text).text
    shown = server.call("outline", path=name).text
    assert said in written + shown
    assert (root / name).read_text(encoding="utf-8") == text
    assert "fault" not in shown


def test_an_old_text_that_nearly_occurs_everywhere_is_answered_in_time(server: Stdio, root: Path) -> None:
    (root / "f").write_text("aaaa aaaa bbb\n" * 20_000, encoding="utf-8")
    old = "aaaa aaaa bbb\n" * 3000 + "x\n"
    result = server.call("edit_file", path="f", edits=[{"old": old, "new": ""}])
    assert result.is_error and "The nearest is here" in result.text


def test_very_many_places_are_replaced_in_one_edit(server: Stdio, root: Path) -> None:
    (root / "f").write_bytes(b"ab\r\n" * 200_000 + b"ab\n")
    result = server.call("edit_file", path="f", edits=[{"old": "ab\n", "new": "x\ny\n", "count": 200_001}])
    assert not result.is_error, result.text
    assert (root / "f").read_bytes() == b"x\r\ny\r\n" * 200_000 + b"x\ny\n"


@pytest.mark.parametrize(("body", "old"), [("}\n}\n}\n", "}\n}\n"), ("aaa", "aa")])
def test_an_old_text_that_overlaps_with_itself_is_not_guessed(
    server: Stdio, root: Path, body: str, old: str
) -> None:
    (root / "f").write_text(body, encoding="utf-8")
    result = server.call("edit_file", path="f", edits=[{"old": old, "new": "X"}])
    assert result.is_error and "overlap" in result.text
    assert (root / "f").read_text(encoding="utf-8") == body


def test_a_refused_undo_of_a_huge_change_is_answered_in_time(server: Stdio, root: Path) -> None:
    before, after, since = (
        "".join(f"line {i * step % 151}\n" for i in range(200_000)) for step in (1, 7, 11)
    )
    (root / "f").write_text(before, encoding="utf-8")
    op = op_of(server.call("write_file", path="f", content=after, if_exists="overwrite").text)
    (root / "f").write_text(since, encoding="utf-8")
    result = server.call("undo", op=op)
    assert result.is_error and "has changed since" in result.text


def test_folders_nested_beyond_any_stack_are_listed(server: Stdio, root: Path) -> None:
    fd = os.open(root, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    for arguments in ({"depth": 10**9}, {"depth": 10**30, "glob": "*"}, {"glob": "**/*.x"}):
        result = server.call("list_files", **arguments)
        assert not result.is_error and "0 files" in result.text, result.text
    assert not server.call("outline", path=".").is_error
    assert "nests deeper" in server.call("delete_file", path="d", recursive=True).text
    subprocess.run(["rm", "-r", str(root / "d")], check=True)  # rmtree would not get to the end of it


@pytest.mark.parametrize("letter", ["é", "字", "\U0001f600"])
def test_a_line_of_many_megabytes_is_cut_between_characters(server: Stdio, root: Path, letter: str) -> None:
    for shift in range(len(letter.encode())):
        (root / "f").write_bytes(b"x" * shift + letter.encode() * (9_000_000 // len(letter.encode())))
        shown = server.call("read_file", path="f").text
        assert "utf-8" in shown and letter * 100 in shown and "more characters in this line" in shown


def test_a_last_line_too_long_to_read_backwards_says_what_shows_its_end(server: Stdio, root: Path) -> None:
    (root / "f").write_bytes(b"x" * (40 << 20))
    assert "mode=hex shows its end" in server.call("read_file", path="f", offset=-1).text


def test_more_hits_than_anybody_reads_are_found_in_bounded_memory(server: Stdio, root: Path) -> None:
    (root / "log").write_bytes(b"a\n" * 1_500_000)
    result = server.call("search_files", pattern="a", limit=10**9)
    assert not result.is_error and "of at least" in result.text
    assert psutil.Process(server.pid).memory_info().rss < 300 << 20
    assert "narrow path" in server.call("search_files", pattern="a", cursor="999999999").text
    assert not server.call("search_files", pattern="a", limit=10**30, path="log").is_error


def test_globs_that_are_none_are_refused_by_every_tool(server: Stdio, root: Path) -> None:
    (root / ".gitignore").write_text("x\n", encoding="utf-8")
    for tool, more in (("read_many", {}), ("list_files", {}), ("search_files", {"pattern": "x"})):
        for glob in ("a\0b", "/\0", "x/" * 3000, "\0"):
            refused = server.call(tool, glob=glob, **more)
            assert refused.is_error and "at most 4,000 characters, none of them NUL" in refused.text, (
                tool,
                refused,
            )


def test_names_shown_in_errors_are_escaped(server: Stdio, root: Path) -> None:
    name = "x\x1b[2J\u202e\u200b.txt"
    (root / name).write_text("a\n", encoding="utf-8")
    (root / "t").mkdir()
    os.mkfifo(root / "t" / "f\nforged line")
    for call in (
        server.call("write_file", path=name, content="x"),
        server.call("edit_file", path=name, edits=[{"old": "zzz", "new": "b"}]),
        server.call("read_file", path=name, offset=99),
        server.call("delete_file", path=name + "/"),
        server.call("delete_file", path="t", recursive=True),
    ):
        assert call.is_error and not {"\x1b", "\u202e", "\u200b"} & set(call.text)
        assert "\nforged" not in call.text


def test_characters_that_nobody_sees_are_shown_as_escapes(server: Stdio, root: Path) -> None:
    unseen = "\u034f\u115f\u17b4\u200b\u202e\u2066\u3164\ufe00\uffa0\U000e0049\U000e01ef\x1b\x9b"
    (root / "a.txt").write_text(f"x{unseen}y\n", encoding="utf-8")
    for answer in (
        server.call("read_file", path="a.txt"),
        server.call("search_files", pattern="x"),
        server.call("edit_file", path="a.txt", edits=[{"old": "nothing like it", "new": unseen}]),
        server.call("read_file", path=f"no{unseen}"),
    ):
        assert not set(unseen) & set(answer.text), answer.text
    assert "\\u3164" in server.call("read_file", path="a.txt").text


def test_headings_and_names_made_to_be_slow_are_not(server: Stdio, root: Path) -> None:
    (root / "a.md").write_text("# a" + " " * 300_000 + "b\n## c ##\n", encoding="utf-8")
    assert "2-2\t  ## c\n" in server.call("outline", path="a.md").text
    (root / "many").mkdir()
    for i in range(2000):
        (root / f"many/{'a' * 190}{i}").touch()
    missing = "a" * 150 + "b" * 40
    assert "there is no" in server.call("read_file", path=f"many/{missing}").text


def test_the_parser_is_started_again_after_it_was_killed(server: Stdio, root: Path) -> None:
    (root / "a.js").write_text("function f() {}\n", encoding="utf-8")
    for _ in range(2):
        assert "function f()" in server.call("outline", path="a.js").text
        for child in psutil.Process(server.pid).children():
            child.kill()
            until(lambda: child.status() == psutil.STATUS_ZOMBIE)  # noqa: B023


def test_a_patch_of_very_many_hunks_is_applied_in_time(server: Stdio, root: Path) -> None:
    (root / "f").write_text("".join(f"line {i}\n" for i in range(60_000)), encoding="utf-8")
    hunks = "".join(f"@@ -{i + 1} +{i + 1} @@\n-line {i}\n+LINE {i}\n" for i in range(0, 60_000, 20))
    result = server.call("apply_patch", patch=f"--- a/f\n+++ b/f\n{hunks}")
    assert not result.is_error, result.text
    lines = (root / "f").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{'LINE' if i % 20 == 0 else 'line'} {i}" for i in range(60_000)]
