"""Searching: the same answers with ripgrep and without, in pages, in bounded time, secrets left out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.files import listing, ripgrep
from servers.files.searching import search_text
from servers.output import ToolError
from servers.workspace import Workspace, walk
from tests.processes import until
from tests.stdio import Stdio, start

needs_ripgrep = pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    files = {
        "a.py": "def alpha():\n    return 'needle'\n\nNEEDLE = 1\n",
        "src/b.py": "# needle and needle\nx = 'ünïcode needle'\r\nlast needle",
        "src/deep/c.txt": "nothing\nne\nedle\n\n\nneedle\n",
        "src/.gitignore": "*.gen\n/local/\n",
        "src/x.gen": "needle ignored\n",
        "src/local/y.txt": "needle ignored\n",
        "src/deep/local/z.txt": "needle kept\n",
        ".gitignore": "build/\n*.log\n!keep.log\n",
        "build/out.txt": "needle ignored\n",
        "debug.log": "needle ignored\n",
        "keep.log": "needle kept\n",
        ".hidden/h.txt": "needle hidden\n",
        ".git/config": "needle in git\n",
        ".env": "KEY=needle\n",
        "with space/n é.txt": "needle in an odd place\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    (root / "latin.txt").write_bytes(b"caf\xe9 needle\n")
    (root / "utf16.txt").write_bytes("x\nwide needle\n".encode("utf-16"))
    (root / "binary").write_bytes(b"needle\0needle\n")
    (root / "late-binary").write_bytes(b"needle first\n" + b"x" * 9000 + b"\n\0\nneedle after\n")
    (root / "link.txt").symlink_to("a.py")
    (root / "link-folder").symlink_to("src")
    return root


def no_ripgrep(untrusted: tuple[Path, ...] = ()) -> None:
    del untrusted


QUERIES = [
    {"pattern": "needle"},
    {"pattern": "NEEDLE", "ignore_case": True},
    {"pattern": "needle", "glob": "*.py"},
    {"pattern": "needle", "glob": "*.{py,txt}"},
    {"pattern": "needle", "glob": "!*.py"},
    {"pattern": "needle", "glob": "src"},
    {"pattern": "needle", "glob": "src/"},
    {"pattern": "needle", "glob": "src/*.py"},
    {"pattern": "needle", "glob": "**/deep/**"},
    {"pattern": "needle", "glob": "deep/*.txt", "path": "src"},
    {"pattern": "needle", "path": "src"},
    {"pattern": "needle", "path": "src/deep"},
    {"pattern": "needle", "path": "src/b.py"},
    {"pattern": "needle", "path": "build"},
    {"pattern": "needle", "path": "link-folder"},
    {"pattern": "needle", "mode": "files"},
    {"pattern": "needle", "mode": "count"},
    {"pattern": "needle$", "mode": "count"},
    {"pattern": "^needle"},
    {"pattern": "ne\\nedle", "multiline": True},
    {"pattern": "(?s)nothing.*needle", "multiline": True},
    {"pattern": "needle\\s+", "multiline": True},
    {"pattern": "'needle'", "fixed": True},
    {"pattern": "(", "fixed": True},
    {"pattern": "\\w+\\(\\)"},
    {"pattern": "[äüï]"},
    {"pattern": "x*"},
    {"pattern": "[*+?}]+[+]|\\(\\)"},
    {"pattern": "^$"},
    {"pattern": "\\bneedle\\b", "context": 1},
    {"pattern": "needle", "context": 3, "path": "src"},
    {"pattern": "needle", "limit": 3},
    {"pattern": "needle", "limit": 3, "cursor": "3"},
    {"pattern": "needle", "limit": 3, "cursor": "99"},
    {"pattern": "not there at all"},
    {"pattern": "wide"},
]


def answer(root: Path, query: dict[str, object]) -> str:
    """The answer with the fence's random mark taken out."""
    text = search_text(Workspace([root]), **query)  # type: ignore[arg-type]
    mark = text.split("<<data ")[1].split()[0] if "<<data " in text else "-"
    return text.replace(mark, "MARK")


@needs_ripgrep
@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_answers_are_the_same_without_ripgrep(
    root: Path, query: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_ripgrep = answer(root, query)
    monkeypatch.setattr(ripgrep, "ripgrep", no_ripgrep)
    assert answer(root, query) == with_ripgrep


@needs_ripgrep
@pytest.mark.parametrize(
    "query",
    [
        {"glob": "**/*"},
        {"glob": "**/*", "hidden": True},
        {"glob": "**/*", "ignored": True},
        {"glob": "**/*", "ignored": True, "hidden": True},
        {"glob": "*.txt"},
        {"glob": "*.{py,txt}", "depth": 3},
        {"glob": "!*.txt", "depth": 3},
        {"glob": "src/**"},
        {"glob": "deep/*", "path": "src"},
        {"glob": "*", "path": "build"},
        {"glob": "*", "path": ".hidden"},
        {"sort": "size"},
        {"sort": "size", "depth": 5},
        {"glob": "**/*.nothing"},
    ],
    ids=str,
)
def test_names_are_the_same_without_ripgrep(
    root: Path, query: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(query.get("path", "."))
    wanted = listing.Listing(**{key: value for key, value in query.items() if key != "path"})  # type: ignore[arg-type]
    with_ripgrep = listing.list_folder(Workspace([root]), path, wanted)
    monkeypatch.setattr(ripgrep, "ripgrep", no_ripgrep)
    without = listing.list_folder(Workspace([root]), path, wanted)
    assert without.split("\n")[2:-1] == with_ripgrep.split("\n")[2:-1]
    assert without.split("\n")[0] == with_ripgrep.split("\n")[0]


@pytest.mark.parametrize("ignore", ["*a*a*a*a*a*a*b", "**/a/**/a/**/a/**/a/**/b", "*a*a*a*b\n" * 5000])
def test_rules_made_to_take_for_ever_do_not(root: Path, ignore: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ripgrep, "ripgrep", no_ripgrep)
    monkeypatch.setattr(walk, "MAX_WALK_S", 1.0)
    (root / ".gitignore").write_text(ignore, encoding="utf-8")
    for i in range(40):
        (root / ("a" * 200 + str(i))).touch()
    assert "files" in listing.list_folder(Workspace([root]), ".", listing.Listing())
    with pytest.raises(ToolError, match=r"too many \*"):
        listing.list_folder(Workspace([root]), ".", listing.Listing(glob="*a*a*a*a*b"))


words = st.text("ab \u00e9.", max_size=12)


@needs_ripgrep
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    files=st.lists(
        st.lists(words, max_size=5).flatmap(
            lambda rows: st.sampled_from(["\n", "\r\n"]).map(lambda end: end.join(rows))
        ),
        min_size=1,
        max_size=4,
    ),
    pattern=st.sampled_from(["a", "a+b", "^a", "b$", "^$", "[^a]", "a.b", "\\s", "(a|b)c?", "é", "a\\b"]),
    mode=st.sampled_from(["lines", "files", "count"]),
)
def test_any_text_is_found_the_same_without_ripgrep(
    tmp_path_factory: pytest.TempPathFactory, files: list[str], pattern: str, mode: str
) -> None:
    root = tmp_path_factory.mktemp("texts")
    for i, text in enumerate(files):
        (root / f"{i}.txt").write_bytes(text.encode())
    query: dict[str, object] = {"pattern": pattern, "mode": mode, "limit": 1000}
    with pytest.MonkeyPatch.context() as patch:
        with_ripgrep = answer(root, query)
        patch.setattr(ripgrep, "ripgrep", no_ripgrep)
        assert answer(root, query) == with_ripgrep


def test_ignored_hidden_git_and_secret_files(server: Stdio) -> None:
    text = server.call("search_files", pattern="needle").text
    for name in (
        "a.py",
        "src/b.py",
        "keep.log",
        ".hidden/h.txt",
        "src/deep/local/z.txt",
        "latin.txt",
        "utf16.txt",
    ):
        assert f"{name}:" in text
    for name in ("build/", "debug.log", "x.gen", "src/local", ".git/", ".env", "binary:", "link"):
        assert name not in text
    assert (
        "build/out.txt:1:needle ignored" in server.call("search_files", pattern="needle", path="build").text
    )


def test_pages_join_to_the_whole(server: Stdio) -> None:
    whole = server.call("search_files", pattern="needle").text
    rows = [row for row in whole.split("\n") if ":" in row and not row.startswith("<<")]
    joined: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        text = server.call("search_files", pattern="needle", limit=4, **cursor).text
        joined += [row for row in text.split("\n") if ":" in row and not row.startswith(("<<", "more:"))]
        if "more: cursor=" not in text:
            break
        cursor = {"cursor": text.split("more: cursor=")[1]}
    assert joined == rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"pattern": "("}, "parse error"),
        ({"pattern": ""}, "pattern is empty"),
        ({"pattern": "a\0b"}, "NUL"),
        ({"pattern": "x" * 5000}, "at most 4,000 characters"),
        ({"pattern": "x", "path": "nope"}, "there is no 'nope'"),
        ({"pattern": "x", "path": "../.."}, "outside"),
        ({"pattern": "x", "path": ".env"}, "--allow"),
        ({"pattern": "x", "limit": 0}, "at least 1"),
        ({"pattern": "x", "context": 99}, "0 to 20"),
        ({"pattern": "x", "glob": "{" + ",".join("ab" for _ in range(99)) + "}"}, "alternatives"),
        ({"pattern": "(?=look)"}, "not supported"),
        ({"pattern": "x", "mode": "lines; id"}, "mode"),
    ],
)
@pytest.mark.parametrize("without", [False, True])
def test_a_query_that_cannot_work_says_why(
    root: Path, arguments: dict[str, str], said: str, without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "mode" in arguments:
        with start("files", str(root)) as server:
            assert said in server.call("search_files", **arguments).text
        return
    if without:
        monkeypatch.setattr(ripgrep, "ripgrep", no_ripgrep)
    with pytest.raises(ToolError, match=said):
        search_text(Workspace([root]), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", ["--pre=id", "-e", "--files", "-f/etc/passwd", "--hostname-bin=id"])
def test_a_pattern_is_never_an_option(server: Stdio, pattern: str) -> None:
    assert server.call("search_files", pattern=pattern).text.startswith("no match")


def test_no_configuration_of_ripgrep_is_obeyed(root: Path) -> None:
    (root / "rc").write_text("--pre=/bin/false\n--no-ignore\n", encoding="utf-8")
    (root / ".ignore").write_text("*\n", encoding="utf-8")
    with start("files", str(root), env={"RIPGREP_CONFIG_PATH": str(root / "rc")}) as server:
        text = server.call("search_files", pattern="needle").text
    assert "a.py:2:" in text and "build/" not in text


def test_an_expression_that_runs_away_is_stopped_without_ripgrep(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "bomb.txt").write_text("a" * 40 + "b", encoding="utf-8")
    monkeypatch.setattr(ripgrep, "ripgrep", no_ripgrep)
    monkeypatch.setattr(ripgrep, "DEADLINE_S", 0.5)
    with pytest.raises(ToolError, match=r"longer than .* s and was stopped"):
        search_text(Workspace([root]), "^(a+)+$", path="bomb.txt")


def test_more_hits_than_are_collected_come_in_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        (root / f"many{i:02}.txt").write_text("hit\n" * 20, encoding="utf-8")
    from servers.files import searching

    monkeypatch.setattr(searching, "MAX_HITS", 50)
    first = search_text(Workspace([root]), "^hit$", limit=30)
    assert "at least 50" in first and "many00.txt:1:hit" in first and "many01.txt:10:hit" in first
    second = search_text(Workspace([root]), "^hit$", limit=30, cursor="30")
    assert "many01.txt:11:hit" in second and "many02.txt:20:hit" in second


def test_a_match_far_into_a_long_line_is_shown(server: Stdio, root: Path) -> None:
    (root / "min.js").write_text("x" * 50_000 + "the_needle_here" + "y" * 50_000, encoding="utf-8")
    text = server.call("search_files", pattern="the_needle", path="min.js").text
    assert "the_needle_here" in text and len(text) < 1500


def test_a_search_that_is_cancelled_ends_its_process(server: Stdio, root: Path) -> None:
    with open(root / "big.txt", "wb") as file:
        file.writelines(b"abcdefghij" * 100_000 + b"\n" for _ in range(30))
    number = server.send(
        "tools/call", {"name": "search_files", "arguments": {"pattern": "(a.*){12}z", "path": "big.txt"}}
    )
    running = psutil.Process(server.pid)
    until(running.children, "the search", pause_s=0)
    server.notify("notifications/cancelled", {"requestId": number})
    until(lambda: not running.children(), "the end of the search")
    assert "needle" in server.call("search_files", pattern="needle", path="a.py").text


@needs_ripgrep
def test_ripgrep_in_the_workspace_is_not_the_one_that_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that a project brings along must not run because the client's PATH names its folder."""
    fake = root / "bin/rg"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntouch {root}/it-ran\n", encoding="utf-8")
    fake.chmod(0o755)
    with start("files", str(root), env={"PATH": f"{fake.parent}:{os.environ['PATH']}"}) as server:
        assert "a.py:2:" in server.call("search_files", pattern="needle").text
    assert not (root / "it-ran").exists()
