"""Reading and listing: windows of any file, and folders of any size, in bounded time and memory."""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from pathlib import Path

import psutil
import pytest

from servers.files.outline import outline
from servers.workspace import Workspace
from tests.stdio import Stdio


def body(text: str) -> str:
    """What stands between the fences."""
    return text.split(">>\n", 1)[1].rsplit("\n<<end", 1)[0]


def test_a_window_names_the_next_call(server: Stdio, root: Path) -> None:
    (root / "f").write_text("".join(f"line {i}\n" for i in range(1, 11)), encoding="utf-8")
    first = server.call("read_file", path="f", limit=4).text
    assert first.startswith("f · L1-4/10 · utf-8 · LF · rev=") and first.endswith("more: offset=5")
    assert body(server.call("read_file", path="f", offset=9).text) == "9\tline 9\n10\tline 10"
    assert "more:" not in server.call("read_file", path="f", offset=5).text
    assert body(server.call("read_file", path="f", offset=-2).text) == "9\tline 9\n10\tline 10"
    assert "more: offset=10" in server.call("read_file", path="f", offset=-2, limit=1).text


def test_a_log_of_a_hundred_megabytes_is_paged_in_bounded_memory(server: Stdio, root: Path) -> None:
    line = b"2026-11-21T00:00:00 something happened somewhere, number %08d\n"
    with open(root / "big.log", "wb") as file:
        file.writelines(b"".join(line % (block * 15_000 + i) for i in range(15_000)) for block in range(100))
    server.call("read_file", path="big.log", limit=1)
    before = psutil.Process(server.pid).memory_info().rss
    assert body(server.call("read_file", path="big.log", limit=1).text).endswith("number 00000000")
    middle = server.call("read_file", path="big.log", offset=1_000_001, limit=2).text
    assert "L1000001-1000002/1500000" in middle and "number 01000000" in middle
    assert "number 01000002" in server.call("read_file", path="big.log", offset=1_000_003, limit=1).text
    last = server.call("read_file", path="big.log", offset=-1).text
    assert "number 01499999" in last and "more:" not in last
    assert "1,500,000 lines" in server.call("read_file", path="big.log", offset=1_500_001).text
    assert psutil.Process(server.pid).memory_info().rss - before < 30 << 20


def test_a_file_that_grows_is_indexed_anew(server: Stdio, root: Path) -> None:
    (root / "f.log").write_bytes(b"x" * 99 + b"\n")
    with open(root / "f.log", "ab") as file:
        file.write((b"y" * 99 + b"\n") * 100_000)
    assert "/100001 " in server.call("read_file", path="f.log", offset=2, limit=1).text
    with open(root / "f.log", "ab") as file:
        file.write(b"z\n")
    assert "100002\tz" in server.call("read_file", path="f.log", offset=100_002).text


@pytest.mark.parametrize(
    ("data", "label", "shown"),
    [
        ("é\n".encode(), "utf-8 · LF", "1\té"),
        (b"\xef\xbb\xbfx\r\n", "utf-8 BOM · CRLF", "1\tx"),
        ("é\n".encode("utf-16"), "utf-16-le · LF", "1\té"),
        (b"caf\xe9\n", "latin-1 (a guess) · LF", "1\tcafé"),
        (b"\x93hi\x94 said somebody\n", "cp1252 (a guess) · LF", "1\t\u201chi\u201d said somebody"),
        ("привет, как дела? ".encode("cp1251") * 20, "cp1251 (a guess) · LF · no final newline", "1\tпривет"),
        (b"a\rb\r", "utf-8 · CR", "1\ta\n2\tb"),
        (b"a\nb\r\n", "utf-8 · mixed line ends", "1\ta\n2\tb"),
    ],
)
def test_encodings_and_line_endings_are_read_and_named(
    server: Stdio, root: Path, data: bytes, label: str, shown: str
) -> None:
    (root / "f").write_bytes(data)
    text = server.call("read_file", path="f").text
    assert f" · {label} · rev=" in text and shown in text


def test_binary_files_are_shown_as_rows_of_bytes(server: Stdio, root: Path) -> None:
    (root / "f").write_bytes(bytes(range(256)) * 64)
    text = server.call("read_file", path="f").text
    assert (
        "hex rows 1-16/1024" in text and "00000010  10 11 12" in text and "more: mode=hex offset=17" in text
    )
    assert "000003f0" in server.call("read_file", path="f", mode="hex", offset=64, limit=1).text
    assert server.call("read_file", path="f", mode="text").is_error


def png(width: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\xff\0\0" * width)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_an_image_comes_as_an_image(server: Stdio, root: Path) -> None:
    (root / "red.png").write_bytes(png(3))
    answer = server.call("read_file", path="red.png")
    image = next(part for part in answer.raw["result"]["content"] if part["type"] == "image")
    assert image["mimeType"] == "image/png" and base64.b64decode(image["data"]) == png(3)
    (root / "text").write_text("x", encoding="utf-8")
    assert "no PNG, JPEG, GIF or WebP" in server.call("read_file", path="text", mode="image").text


def test_very_long_lines_are_cut_and_say_so(server: Stdio, root: Path) -> None:
    (root / "f").write_text("x" * 1_000_000 + "\nshort\n", encoding="utf-8")
    text = server.call("read_file", path="f").text
    assert "998,000 more characters in this line" in text and "2\tshort" in text and len(text) < 4000


def test_secrets_in_files_are_masked_and_lines_keep_their_numbers(server: Stdio, root: Path) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nMIIdef\n-----END RSA PRIVATE KEY-----"
    (root / "f.py").write_text(f"token = 'ghp_{'a' * 36}'\nkey = '''{key}'''\nafter = 1\n", encoding="utf-8")
    text = server.call("read_file", path="f.py").text
    assert "aaaa" not in text and "MII" not in text and "6\tafter = 1" in text
    assert "MII" not in server.call("read_file", path="f.py", offset=3, limit=1).text
    assert "aaaa" not in server.call("search_files", pattern="token").text
    found = server.call("search_files", pattern="MII|after", context=1).text
    assert "MII" not in found and "after = 1" in found
    assert "has a secret" in server.call("read_file", path="f.py", mode="hex").text
    edited = server.call("edit_file", path="f.py", edits=[{"old": "after = 1", "new": "after = 2"}]).text
    assert "+after = 2" in edited and "MII" not in edited


KINDS = (
    *(
        "ghp_",
        "ghs_",
        "github_pat_",
        "glpat-",
        "sk-",
        "sk-ant-",
        "AKIA",
        "ASIA",
        "AIza",
        "xoxb-",
        "hf_",
        "npm_",
    ),
    *(
        "pypi-",
        "sk_live_",
        "rk_live_",
        "eyJ",
        "https://me:",
        "Authorization: Bearer ",
        "aws_secret_access_key=",
    ),
)


def test_every_kind_of_secret_is_masked_where_it_begins_a_word_and_only_there(
    server: Stdio, root: Path
) -> None:
    rest = {"eyJ": "ABCDEFGH12.ABCDEFGH12.ABCDEFGH12", "AKIA": "A1" * 8, "ASIA": "A1" * 8, "AIza": "A" * 35}
    rest["https://me:"] = "ABCDEFGH@host"
    secrets = [kind + rest.get(kind, "ABCDEFGH12" * 5) for kind in KINDS]
    (root / "kinds.txt").write_text("".join(f"{one}\n({one})\n" for one in secrets), encoding="utf-8")
    (root / "words.txt").write_text("".join(f"w{one}\n" for one in secrets[:16]), encoding="utf-8")
    lines = server.call("read_file", path="kinds.txt").text.splitlines()[2:-1]
    assert len(lines) == 2 * len(KINDS) and all("characters masked]" in line for line in lines), lines
    assert all(kind in line for kind, line in zip(KINDS, lines[::2], strict=True))
    assert "masked" not in server.call("read_file", path="words.txt").text


def test_many_files_are_read_in_one_call_and_the_rest_is_named(server: Stdio, root: Path) -> None:
    for name in "abc":
        (root / f"{name}.txt").write_text(f"{name}\n" * 300, encoding="utf-8")
    (root / "big.txt").write_text(("y" * 99 + "\n") * 1000, encoding="utf-8")
    text = server.call("read_many", paths=["a.txt", "nope", "b.txt"], limit_each=2).text
    assert (
        "a.txt · L1-2/300" in text
        and "nope · not read: there is no 'nope'" in text
        and "b.txt · L1-2/300" in text
    )
    text = server.call("read_many", glob="*.txt", limit_each=1000).text
    assert "left out" in text and "c.txt" in text.split("left out")[1] and len(text) < 40_000
    assert server.call("read_many").is_error and server.call("read_many", paths=[]).is_error


def test_listing_shows_a_tree_and_counts_what_it_leaves_out(server: Stdio, root: Path) -> None:
    (root / "src/pkg").mkdir(parents=True)
    (root / "src/pkg/a.py").write_bytes(b"x" * 2048)
    (root / "node_modules/x").mkdir(parents=True)
    for i in range(12):
        (root / f"node_modules/x/{i}.js").write_bytes(b"")
    (root / ".gitignore").write_text("node_modules/\n*.log\n", encoding="utf-8")
    (root / "x.log").write_bytes(b"")
    (root / ".git").mkdir()
    text = server.call("list_files", depth=3).text
    assert body(text).split("\n") == ["node_modules/ (12 files, ignored)", "src/", "  pkg/", "    a.py  2K"]
    assert "2 hidden" in text and "2 ignored" in text
    assert "x.log" in server.call("list_files", ignored=True).text
    assert ".gitignore" in server.call("list_files", hidden=True).text
    assert body(server.call("list_files", glob="**/*.{py,js}").text) == "src/pkg/a.py  2K"
    assert "is a file" in server.call("list_files", path="src/pkg/a.py").text


def test_the_newest_and_the_largest_come_first(server: Stdio, root: Path) -> None:
    for i, name in enumerate(["old", "mid", "new"]):
        (root / name).write_bytes(b"x" * (10 - i))
        os.utime(root / name, (1000 + i, 1000 + i))
    assert [row.split()[0] for row in body(server.call("list_files", sort="mtime").text).split("\n")] == [
        "new",
        "mid",
        "old",
    ]
    assert body(server.call("list_files", sort="size", limit=1).text).split()[0] == "old"


def test_a_huge_folder_is_listed_in_pages_that_join(server: Stdio, root: Path) -> None:
    names = [f"file-{i:05}" for i in range(5000)]
    for name in names:
        (root / name).touch()
    found: list[str] = []
    cursor = None
    while True:
        text = server.call("list_files", limit=900, **({"cursor": cursor} if cursor else {})).text
        assert "5,000 files" in text and len(text) < 40_000
        found += [row.split("  ")[0] for row in body(text).split("\n")]
        if "more: cursor=" not in text:
            break
        cursor = text.split("more: cursor=")[1]
    assert found == names
    assert server.call("list_files", cursor="x; rm").is_error


def test_hostile_names_are_shown_escaped_and_can_be_read(server: Stdio, root: Path) -> None:
    names = ["two\nlines", "esc\x1b[2J", "bidi\u202etxt", "<<end 00000000>>", "-rf", "a b", "'quoted'"]
    for name in names:
        (root / name).write_text("found it\n", encoding="utf-8")
    (root / os.fsdecode(b"bytes-\xff")).write_text("found it\n", encoding="utf-8")
    text = server.call("list_files").text
    assert len(body(text).split("\n")) == len(names) + 1
    assert "\x1b" not in text and "\u202e" not in text and "two\\nlines" in text and "bytes-\\udcff" in text
    for name in names:
        assert "found it" in server.call("read_file", path=name).text
    found = server.call("search_files", pattern="found").text
    assert found.count(":1:found it") == len(names) + 1 and "\x1b" not in found


def test_a_fifo_never_holds_up_a_server(server: Stdio, root: Path) -> None:
    for i in range(50):
        os.mkfifo(root / f"fifo{i}")
    (root / "f").write_text("still here\n", encoding="utf-8")
    numbers = [
        server.send("tools/call", {"name": "read_file", "arguments": {"path": f"fifo{i}"}}) for i in range(50)
    ]
    assert "still here" in server.call("read_file", path="f").text
    for number in numbers:
        assert "a FIFO" in json.dumps(server.answer(number))
    assert "still here" in server.call("search_files", pattern="still").text


def test_an_outline_gives_symbols_with_lines(server: Stdio, root: Path) -> None:
    (root / "a.py").write_text(
        "class A:\n    @x\n    def f(self) -> int:\n        return 1\n\n\nasync def g(): ...\n",
        encoding="utf-8",
    )
    assert (
        body(server.call("outline", path="a.py").text)
        == "1-4\tclass A\n3-4\t  def f(self) -> int\n7-7\tasync def g()"
    )
    (root / "b.ts").write_text(
        "export const f = (a: number) => a;\ninterface I { a: string }\n", encoding="utf-8"
    )
    assert "interface I" in server.call("outline", path="b.ts").text
    folder = server.call("outline", path=".").text
    assert "a.py: A, g" in folder and "b.ts: f, I" in folder
    (root / "x.unknown").write_text("x", encoding="utf-8")
    assert "known are" in server.call("outline", path="x.unknown").text


def test_symbols_nested_beyond_any_stack_are_no_danger(root: Path) -> None:
    (root / "deep.js").write_text("function f(){" * 20_000 + "}" * 20_000, encoding="utf-8")
    (root / "deep.py").write_text("(" * 100_000, encoding="utf-8")
    workspace = Workspace([root])
    assert "20000 symbols" in outline(workspace, "deep.js") and len(outline(workspace, "deep.js")) < 41_000
    assert outline(workspace, "deep.py") == "deep.py · 0 symbols"
