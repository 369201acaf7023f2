"""No byte changes unasked: encodings that are declared, guessed or named; marks, line ends, modes and hard links."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stdio import Stdio

RUSSIAN = "# coding: cp1251\nprint('привет')\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def ran(path: Path) -> str:
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, path], capture_output=True, check=True, env=env).stdout.decode()


DECLARED = [
    ("a.py", "# coding: cp1251\nx = 'привет'\n", "cp1251"),
    ("b.py", "#!/usr/bin/env python\n# -*- coding: koi8-r -*-\nx = 'привет'\n", "koi8-r"),
    ("c.xml", '<?xml version="1.0" encoding="windows-1251"?>\n<a>привет</a>\n', "cp1251"),
    ("d.html", '<!DOCTYPE html>\n<html><head><meta charset="shift_jis"></head>日本</html>\n', "shift_jis"),
    (
        "e.html",
        "<html><meta http-equiv='Content-Type' content='text/html; charset=iso-8859-2'>\nžluť\n",
        "iso8859-2",
    ),
    ("f.css", '@charset "iso-8859-15";\na::after { content: "€"; }\n', "iso8859-15"),
    ("h.rb", "# encoding: koi8-r\nputs 'привет'\n", "koi8-r"),
    ("i.rb", "#!/usr/bin/env ruby\n# -*- coding: cp1251 -*-\nputs 'привет'\n", "cp1251"),
    ("Rakefile", "# Encoding: shift_jis\nputs '日本'\n", "shift_jis"),
    ("j.pl", "use strict;\nuse encoding 'koi8-r';\nprint 'привет';\n", "koi8-r"),
    ("k.pod", "=encoding iso-8859-2\n\nžluť kůň\n", "iso8859-2"),
    ("l.php", "<?php\ndeclare(encoding='iso-8859-15');\necho '€';\n", "iso8859-15"),
    ("m.po", 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=KOI8-R\\n"\n\nmsgstr "да"\n', "koi8-r"),
    ("n.txt", "привет\nvim: set fileencoding=cp1251 :\nконец\n", "cp1251"),
    ("o.c", "/* вот */\n" + "int a;\n" * 400 + "/* vim:ts=4:fenc=koi8-r\n да */\n", "koi8-r"),
    ("g.el", ";; -*- coding: latin-1 -*-\n;; café\n", "latin-1"),
]


@pytest.mark.parametrize(("name", "text", "encoding"), DECLARED)
def test_a_declared_encoding_is_read_kept_and_written(
    server: Stdio, tmp_path: Path, name: str, text: str, encoding: str
) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    shown = server.call("read_file", path=name).text
    assert f"{encoding} (declared)" in shown and text.splitlines()[-1] in shown
    last = text.splitlines()[-1]
    other = last[:-1] + last[-2] + last[-1]
    assert not server.call("edit_file", path=name, edits=[{"old": last, "new": other}]).is_error
    assert (tmp_path / name).read_bytes() == text.replace(last, other).encode(encoding)
    done = server.call("write_file", path=name, content=text, if_exists="overwrite")
    assert not done.is_error, done.text
    assert (tmp_path / name).read_bytes() == text.encode(encoding)
    (tmp_path / name).unlink()
    assert not server.call("write_file", path=name, content=text).is_error
    assert (tmp_path / name).read_bytes() == text.encode(encoding)
    patch = f"--- /dev/null\n+++ b/new-{name}\n@@ -0,0 +1,{text.count(chr(10))} @@\n"
    patch += "".join(f"+{line}\n" for line in text.splitlines())
    assert not server.call("apply_patch", patch=patch).is_error
    assert (tmp_path / f"new-{name}").read_bytes() == text.encode(encoding)


PLAIN = "# coding: cp1251\nx = 1\n"
NEW = "y = 'привет'\n"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("edit_file", {"path": "a.py", "edits": [{"old": "x = 1\n", "new": "x = 1\n" + NEW}]}),
        ("write_file", {"path": "a.py", "content": NEW, "if_exists": "append"}),
        ("write_file", {"path": "a.py", "content": PLAIN + NEW, "if_exists": "overwrite"}),
        ("apply_patch", {"patch": f"--- a/a.py\n+++ b/a.py\n@@ -2 +2,2 @@\n x = 1\n+{NEW}"}),
        ("edit_file", {"path": "b.txt", "edits": [{"old": "x = 1\n", "new": "x = 1\n" + NEW}]}),
        ("write_file", {"path": "b.txt", "content": PLAIN + NEW, "if_exists": "overwrite"}),
        (
            "edit_file",
            {
                "path": "c",
                "edits": [{"old": "x = 1\n", "new": "x = 1\n" + NEW}],
                "encoding": "windows-1251",
            },
        ),
        ("edit_file", {"path": "d.py", "edits": [{"old": "x = 1\n", "new": PLAIN + NEW}]}),
    ],
)
def test_first_letters_in_a_plain_file_are_in_the_encoding_it_declares(
    server: Stdio, tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    (tmp_path / ".editorconfig").write_text("[*.txt]\ncharset = cp1251\n")
    (tmp_path / "d.py").write_text("x = 1\n")
    for name in ("a.py", "b.txt", "c"):
        (tmp_path / name).write_text(PLAIN)
    done = server.call(tool, **arguments)
    assert not done.is_error, done.text
    path = tmp_path / arguments.get("path", "a.py")
    assert path.read_bytes() == (PLAIN + NEW).encode("cp1251"), done.text


def test_what_is_valid_utf8_stays_so_where_latin1_is_configured(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / ".editorconfig").write_text("[*]\ncharset = latin1\n")
    (tmp_path / "a.txt").write_text("naïve\n")
    assert "utf-8 · LF" in server.call("read_file", path="a.txt").text
    assert not server.call("edit_file", path="a.txt", edits=[{"old": "na", "new": "né"}]).is_error
    assert (tmp_path / "a.txt").read_text("utf-8") == "néïve\n"


def test_an_encoding_of_seven_bits_is_honoured_when_declared(server: Stdio, tmp_path: Path) -> None:
    text = "# coding: iso-2022-jp\nx = '日本'\n"
    (tmp_path / "a.py").write_bytes(text.encode("iso-2022-jp"))
    assert "x = '日本'" in server.call("read_file", path="a.py").text
    assert not server.call("edit_file", path="a.py", edits=[{"old": "日本", "new": "日本語"}]).is_error
    assert (tmp_path / "a.py").read_bytes().decode("iso-2022-jp") == text.replace("日本", "日本語")


def test_an_overwritten_program_still_says_the_same(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(RUSSIAN.encode("cp1251"))
    assert ran(tmp_path / "a.py") == "привет\n"
    server.call("write_file", path="a.py", content=RUSSIAN + "print('ещё')\n", if_exists="overwrite")
    assert ran(tmp_path / "a.py") == "привет\nещё\n"
    server.call("write_file", path="a.py", content="print('конец')\n", if_exists="append")
    assert ran(tmp_path / "a.py") == "привет\nещё\nконец\n"


def test_a_declaration_is_neither_dropped_nor_changed_in_passing(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(RUSSIAN.encode("cp1251"))
    bare = "print('привет')\n"
    dropped = server.call("write_file", path="a.py", content=bare, if_exists="overwrite")
    assert dropped.is_error and "declares to be in cp1251" in dropped.text
    other = server.call("edit_file", path="a.py", edits=[{"old": "cp1251", "new": "utf-8"}])
    assert other.is_error and "from cp1251 to utf-8" in other.text
    assert (tmp_path / "a.py").read_bytes() == RUSSIAN.encode("cp1251")
    said = server.call("write_file", path="a.py", content=bare, if_exists="overwrite", encoding="utf-8")
    assert "encoding cp1251 -> utf-8" in said.text and ran(tmp_path / "a.py") == "привет\n"


GUESSED = "Имя: Йван\nx\n".encode("cp1251")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("edit_file", {"edits": [{"old": "x", "new": "André"}]}),
        ("edit_file", {"edits": [{"start": 2, "end": 2, "new": "й"}]}),
        (
            "edit_file",
            {"edits": [{"old": "Éâàí", "new": "Ésope"}]},
        ),  # a letter that stood there, in another word
        ("write_file", {"content": "é", "if_exists": "append"}),
        ("write_file", {"content": "André\n", "if_exists": "overwrite"}),
    ],
)
def test_new_letters_in_a_guessed_encoding_need_it_named(
    server: Stdio, tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    (tmp_path / "a.txt").write_bytes(GUESSED)
    read = server.call("read_file", path="a.txt").text
    assert "(a guess)" in read
    rev = read.partition("rev=")[2][:12]
    refused = server.call(tool, path="a.txt", expect_rev=rev, **arguments)
    assert refused.is_error and "encoding=" in refused.text
    assert (tmp_path / "a.txt").read_bytes() == GUESSED


def test_what_is_plain_or_stays_can_be_edited_in_a_guessed_encoding(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(GUESSED)
    assert not server.call("edit_file", path="a.txt", edits=[{"old": "x", "new": "plain"}]).is_error
    assert (tmp_path / "a.txt").read_bytes() == GUESSED.replace(b"x", b"plain")
    patch = "--- a/a.txt\n+++ b/a.txt\n@@ -2 +2,2 @@\n-plain\n+x\n+y\n"
    assert not server.call("apply_patch", patch=patch).is_error
    bad = server.call("apply_patch", patch=patch.replace("-plain", "-x").replace("+x", "+é"))
    assert bad.is_error and "U+00E9" in bad.text


def test_a_named_encoding_is_used_and_must_fit(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(GUESSED)
    edits = [{"old": "Йван", "new": "Юрий"}]
    assert not server.call("edit_file", path="a.txt", edits=edits, encoding="windows-1251").is_error
    assert (tmp_path / "a.txt").read_bytes() == "Имя: Юрий\nx\n".encode("cp1251")
    assert server.call(
        "edit_file", path="a.txt", edits=[{"old": "x", "new": "日"}], encoding="cp1251"
    ).is_error
    patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,3 @@\n Имя: Юрий\n+Город: Уфа\n x\n--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+да\n"
    for wrong, said in (
        ("shift_jis", "not in shift_jis"),
        ("rot13", "none a file can be kept in"),
        ("utf-8", "not in utf-8"),
    ):
        refused = server.call("apply_patch", patch=patch, encoding=wrong)
        assert refused.is_error and said in refused.text, wrong
    done = server.call("apply_patch", patch=patch, encoding="cp1251")
    assert not done.is_error and "+1 -0" in done.text
    assert (tmp_path / "a.txt").read_bytes() == "Имя: Юрий\nГород: Уфа\nx\n".encode("cp1251")
    assert (tmp_path / "b.txt").read_bytes() == "да\n".encode("cp1251")
    assert server.call("edit_file", path="a.txt", edits=[{"old": "x", "new": "y"}], encoding="utf-8").is_error
    none = server.call("edit_file", path="a.txt", edits=[{"old": "x", "new": "y"}], encoding="nonsense")
    assert none.is_error and "cp1251" in none.text
    assert not server.call("write_file", path="new.txt", content="жук\n", encoding="koi8-r").is_error
    assert (tmp_path / "new.txt").read_bytes() == "жук\n".encode("koi8-r")


@pytest.mark.parametrize(
    ("config", "path", "encoding"),
    [
        ("root = true\n[*.txt]\ncharset = latin1\n", "a.txt", "latin-1"),
        ("[{*.txt,*.csv}]\ncharset = latin1\n", "deep/a.csv", "latin-1"),
        ("[deep/**.txt]\ncharset = latin1\n", "deep/er/a.txt", "latin-1"),
        ("[*]\ncharset = cp1252\n[a.*]\ncharset = latin1\n", "a.txt", "latin-1"),
        ("[deep/**/a.txt]\ncharset = latin1\n", "deep/a.txt", "latin-1"),
    ],
)
def test_editorconfig_is_a_declaration(
    server: Stdio, tmp_path: Path, config: str, path: str, encoding: str
) -> None:
    (tmp_path / ".editorconfig").write_text(config)
    assert not server.call("write_file", path=path, content="café\n").is_error
    assert (tmp_path / path).read_bytes() == "café\n".encode(encoding)
    assert f"{encoding} (declared)" in server.call("read_file", path=path).text
    assert not server.call("edit_file", path=path, edits=[{"old": "café", "new": "thé"}]).is_error
    assert (tmp_path / path).read_bytes() == "thé\n".encode(encoding)


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (b"a\r\nb\r\n", "x\ny\n", b"x\r\ny\r\n"),
        (b"a\nb\n", "x\r\ny\r\n", b"x\ny\n"),
        (b"\xef\xbb\xbfa\n", "b\n", b"\xef\xbb\xbfb\n"),
        (b"\xef\xbb\xbfa\n", "\ufeffb\n", b"\xef\xbb\xbfb\n"),
        ("é\n".encode("utf-16"), "ü\n", "ü\n".encode("utf-16")),
        (b"a\rb\r", "x\ny\n", b"x\ry\r"),
        (b"a\n", "é\n", "é\n".encode()),
        (b"a\r\nb\nc\r\nd", "a\nB\nc\nd", b"a\r\nB\nc\r\nd"),
    ],
)
def test_an_overwrite_keeps_mark_line_ends_and_mode(
    server: Stdio, tmp_path: Path, before: bytes, content: str, after: bytes
) -> None:
    file = tmp_path / "f.txt"
    file.write_bytes(before)
    file.chmod(0o640)
    done = server.call("write_file", path="f.txt", content=content, if_exists="overwrite")
    assert not done.is_error and file.read_bytes() == after and file.stat().st_mode & 0o777 == 0o640


def test_an_overwrite_that_must_change_the_encoding_says_so(server: Stdio, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(RUSSIAN.encode("cp1251"))
    lacking = RUSSIAN + "x = '日'\n"
    refused = server.call("write_file", path="a.py", content=lacking, if_exists="overwrite")
    assert refused.is_error and "cannot hold" in refused.text and "encoding='utf-8'" in refused.text
    said = server.call(
        "write_file", path="a.py", content=lacking.replace("cp1251", "utf-8"), if_exists="overwrite"
    )
    assert "encoding cp1251 -> utf-8" in said.text and (tmp_path / "a.py").read_text("utf-8").endswith(
        "'日'\n"
    )
    (tmp_path / "b").write_bytes(b"\0\1")
    assert (
        "replaced a binary file"
        in server.call("write_file", path="b", content="x\n", if_exists="overwrite").text
    )


@pytest.mark.parametrize("how", ["edit", "write", "patch"])
def test_a_hard_link_that_keeps_the_old_text_is_named(server: Stdio, tmp_path: Path, how: str) -> None:
    (tmp_path / "a.txt").write_text("old\n")
    os.link(tmp_path / "a.txt", tmp_path / "b.txt")
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "edit": ("edit_file", {"path": "a.txt", "edits": [{"old": "old", "new": "new"}]}),
        "write": ("write_file", {"path": "a.txt", "content": "new\n", "if_exists": "overwrite"}),
        "patch": ("apply_patch", {"patch": "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-old\n+new\n"}),
    }
    tool, arguments = calls[how]
    assert "1 other name (hard links) keep the old text" in server.call(tool, **arguments).text
    assert (tmp_path / "b.txt").read_text() == "old\n"


def test_a_comment_that_ruby_does_not_take_for_a_declaration_is_none(server: Stdio, tmp_path: Path) -> None:
    for text in ("x = 1\n# encoding: koi8-r\n# é\n", "# a\n# encoding: koi8-r\n# é\n"):
        (tmp_path / "a.rb").write_bytes(text.encode("latin-1"))
        assert "latin-1 (a guess)" in server.call("read_file", path="a.rb").text


@pytest.mark.parametrize("name", ["nosuch", "utf-16", "rot13", "koi8-r-unix"])
def test_an_encoding_that_python_does_not_know_is_no_syntax_ok(
    server: Stdio, tmp_path: Path, name: str
) -> None:
    done = server.call("write_file", path="a.py", content=f"#!/usr/bin/python\n# coding: {name}\nx = 1\n")
    assert f"syntax: line 2: Python knows no source encoding '{name}'" in done.text
    assert "syntax ok" not in done.text
    assert subprocess.run([sys.executable, tmp_path / "a.py"], capture_output=True, check=False).returncode


@pytest.mark.parametrize("name", ["utf-8-sig", "UTF8", "cp1251", "latin-1-unix"])
def test_an_encoding_that_python_knows_is_in_order(server: Stdio, tmp_path: Path, name: str) -> None:
    done = server.call("write_file", path="a.py", content=f"# coding: {name}\nx = 1\n")
    assert "syntax ok" in done.text
    assert not subprocess.run(
        [sys.executable, tmp_path / "a.py"], capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["hello there\r\nand more\r\n", "привет, мир\n", "a;b\n"])
def test_utf16_without_a_mark_is_read_as_a_guess_and_keeps_every_other_byte(
    server: Stdio, tmp_path: Path, encoding: str, text: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    seen = server.call("read_file", path="a.txt").text
    assert f"{encoding} (a guess)" in seen and f"1\t{text.splitlines()[0]}" in seen
    assert not server.call("edit_file", path="a.txt", edits=[{"start": 1, "end": 0, "new": "new"}],
                           expect_rev=seen.split("rev=")[1].split()[0]).is_error  # fmt: skip
    end = "\r\n" if "\r\n" in text else "\n"
    assert path.read_bytes() == f"new{end}{text}".encode(encoding)
    refused = server.call("edit_file", path="a.txt", edits=[{"old": "new", "new": "né"}])
    assert refused.is_error and f"only guessed to be {encoding}" in refused.text
    patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-new\n+né\n"
    assert not server.call("apply_patch", patch=patch, encoding=encoding).is_error
    assert path.read_bytes() == f"né{end}{text}".encode(encoding)


def test_a_declared_utf16_is_no_guess_and_a_new_file_in_it_has_its_mark(
    server: Stdio, tmp_path: Path
) -> None:
    (tmp_path / ".editorconfig").write_text("[*.rc]\ncharset = utf-16le\n", encoding="utf-8")
    (tmp_path / "a.rc").write_bytes("漢字 and x\n".encode("utf-16-le"))
    assert "utf-16-le (declared)" in server.call("read_file", path="a.rc").text
    assert not server.call("write_file", path="new.rc", content="x\n").is_error
    assert (tmp_path / "new.rc").read_bytes() == b"\xff\xfex\0\n\0"
    assert not server.call("write_file", path="b.txt", content="é\n", encoding="UTF-16").is_error
    assert (tmp_path / "b.txt").read_bytes() == b"\xff\xfe\xe9\x00\n\x00"
    (tmp_path / "c.bin").write_bytes(bytes(range(256)) * 4)
    assert "utf-16" not in server.call("read_file", path="c.bin").text


def test_an_edit_that_does_not_fit_a_guessed_encoding_suggests_to_name_it(
    server: Stdio, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes("год\n".encode("cp1251"))
    edits = [{"old": "год", "new": "век"}]
    patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-год\n+век\n"
    for refused in (
        server.call("edit_file", path="a.txt", edits=edits),
        server.call("apply_patch", patch=patch),
    ):
        assert refused.is_error and "only guessed to be latin-1" in refused.text
        assert "say which it is by encoding=" in refused.text
    assert not server.call("edit_file", path="a.txt", edits=edits, encoding="cp1251").is_error
    assert (tmp_path / "a.txt").read_bytes() == "век\n".encode("cp1251")
