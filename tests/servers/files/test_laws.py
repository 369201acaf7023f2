"""Laws of the files server: round trips, windows, bounds, all or nothing."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from servers.files import listing, patching, reading, searching
from servers.files.editing import Edit, edit, text_diff, write
from servers.output import ToolError
from servers.source.encoding import Text, decode
from servers.source.patch.apply import patched
from servers.source.patch.unified_diff import parse
from servers.workspace import Change, Workspace, nobody
from tests.stdio import op_of

lawful = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

lines = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30), max_size=40)
endings = st.sampled_from(["\n", "\r\n"])


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Files as they are found: any mix of line endings, with and without a final one, several encodings."""
    body = "".join(line + draw(endings) for line in draw(lines))
    body += draw(st.sampled_from(["", "last"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return body.encode(encoding, "replace")


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace([root])


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (
            stat.S_IMODE(path.stat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), texts()))
def test_what_is_decoded_encodes_to_the_same_bytes(data: bytes) -> None:
    text = decode(data)
    assert text is None or text.encode() == data


@lawful
@given(texts(), st.text("ab\n\r é", max_size=8), st.data())
def test_an_edit_changes_its_place_alone_and_undo_is_the_identity(
    workspace: Workspace, root: Path, data: bytes, new: str, draw: st.DataObject
) -> None:
    (root / "f").write_bytes(data)
    text = decode(data)
    assume(text is not None and text.body)
    assert text is not None
    start = draw.draw(st.integers(0, len(text.body) - 1))
    end = draw.draw(st.integers(start + 1, len(text.body)))
    old = text.body[start:end]
    assume(text.body.count(old) == 1 and new.replace("\r\n", "\n") != old and "\r" not in old)
    try:
        said = edit(workspace, "f", [Edit(old=old, new=new)], None, dry_run=False)
    except ToolError:  # an encoding that lacks a new character, or text that occurs twice after all
        said = ""
    if not said:
        assert (root / "f").read_bytes() == data
        return
    changed = (root / "f").read_bytes()
    head, tail = text.body[:start], text.body[end:]
    assert changed.startswith(
        Text(body=head, encoding=text.encoding, mark=text.mark, ends=_first(text, head)).encode()
    )
    assert changed.endswith(Text(body=tail, encoding=text.encoding, ends=_last(text, tail)).encode())
    workspace.undo(op_of(said))
    assert (root / "f").read_bytes() == data


def _first(text: Text, head: str) -> tuple[str, ...] | str:
    return text.ends if isinstance(text.ends, str) else text.ends[: head.count("\n")]


def _last(text: Text, tail: str) -> tuple[str, ...] | str:
    return text.ends if isinstance(text.ends, str) else text.ends[len(text.ends) - tail.count("\n") :]


names = st.sampled_from(["a", "b", "d/a", "d/e/c"])
steps = st.one_of(
    st.tuples(st.just("write"), names, st.binary(max_size=20)),
    st.tuples(st.just("delete"), st.one_of(names, st.sampled_from(["d", "d/e"])), st.just(b"")),
    st.tuples(st.just("move"), st.one_of(names, st.just("d")), st.sampled_from([b"a", b"new/x", b"d/z"])),
    st.tuples(st.just("copy"), st.one_of(names, st.just("d")), st.sampled_from([b"b", b"new/y", b"g"])),
)


@lawful
@given(st.lists(steps, max_size=8))
def test_undoing_everything_in_reverse_gives_back_the_tree(
    tmp_path_factory: pytest.TempPathFactory, todo: list[tuple[str, str, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    (root / "a").write_bytes(b"first")
    (root / "a").chmod(0o640)
    (root / "d").mkdir()
    (root / "d/a").write_bytes(b"second")
    workspace = Workspace([root])
    before = tree(root)
    done: list[str] = []
    for what, path, more in todo:
        try:
            match what:
                case "write":
                    op = workspace.apply([Change(path=path, data=more)], tool="test")
                case "delete":
                    op = workspace.delete(path)
                case "move":
                    op = workspace.move(path, more.decode(), overwrite=True)
                case _:
                    op = workspace.copy(path, more.decode(), overwrite=True)
        except ToolError:
            continue
        done.append(op.id)
    for op_id in reversed(done):
        workspace.undo(op_id)
    assert tree(root) == before


plain = st.lists(st.sampled_from(["a", "b", "", "  c", "-x", "+y", "@@", "--- z"]), min_size=1, max_size=25)


@lawful
@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=4), st.booleans())
def test_a_patch_makes_exactly_the_new_files_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[str], list[str]]], spoiled: bool
) -> None:
    root = tmp_path_factory.mktemp("patch")
    workspace = Workspace([root])
    patch = ""
    wanted: dict[str, bytes] = {}
    for i, (old, new) in enumerate(files):
        before, after = "\n".join([*old, ""]), "\n".join([*new, ""])
        (root / f"f{i}").write_text(before, encoding="utf-8")
        wanted[f"f{i}"] = after.encode()
        rows = list(
            difflib.unified_diff(
                before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/f{i}", f"b/f{i}"
            )
        )
        patch += "".join(rows)
    assume(patch)
    if spoiled:
        patch += "--- a/f0x\n+++ b/f0x\n@@ -1 +1 @@\n-not there\n+at all\n"
    before_all = tree(root)
    try:
        said = patching.apply_patch(workspace, patch, False, nobody)
    except ToolError as exc:
        said = str(exc)
    if "op=" not in said:
        assert tree(root) == before_all
        assert spoiled or "places" in said
        return
    assert not spoiled
    assert {path: data for path, (_, data) in tree(root).items()} == wanted
    workspace.undo(op_of(said.replace("\n", " ")))
    assert tree(root) == before_all


rows = st.lists(st.sampled_from(["a", "b", "", "  c", "d"]), max_size=14)


@settings(max_examples=100, deadline=None)
@given(rows, rows, rows, rows, st.booleans(), st.booleans())
def test_the_diff_that_is_shown_makes_the_new_text_of_the_old(
    first: list[str], gone: list[str], come: list[str], last: list[str], open_before: bool, open_after: bool
) -> None:
    before = "\n".join([*first, *gone, *last]) + "\n" * (not open_before)
    after = "\n".join([*first, *come, *last]) + "\n" * (not open_after)
    assume(before != after)
    diff, _ = text_diff(before, after)
    (one,) = parse(f"--- a/f\n+++ b/f\n{diff}\n")
    assert patched(Text(body=before), one.hunks, "f").body == after


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files of a few bytes are treated as files of many megabytes."""
    monkeypatch.setattr(reading, "WHOLE_BYTES", 0)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 16)
    yield
    reading.forget()


def _window(path: Path, offset: int, limit: int) -> Sequence[str]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return reading.window(fd, "f", os.fstat(fd), offset, limit).lines
    finally:
        os.close(fd)


def _windows(path: Path, limit: int) -> list[str]:
    """All windows of `limit` lines, one after the other."""
    found: list[str] = []
    with suppress(ToolError):  # an offset past the end
        while part := _window(path, len(found) + 1, limit):
            found += part
    return found


@lawful
@given(lines, st.booleans(), st.integers(1, 9))
@pytest.mark.usefixtures("small_pieces")
def test_windows_of_a_huge_file_join_to_the_file(
    root: Path, rows: list[str], final: bool, limit: int
) -> None:
    assume(not any("\0" in row for row in rows))
    body = "\n".join(rows) + ("\n" if final and rows else "")
    (root / "f").write_text(body, encoding="utf-8", newline="")
    assert _windows(root / "f", limit) == Text(body=body).lines


@lawful
@given(lines, st.integers(1, 9))
def test_windows_of_a_small_file_join_to_the_file(root: Path, rows: list[str], limit: int) -> None:
    assume(not any("\0" in row for row in rows))
    body = "".join(row + "\n" for row in rows)
    (root / "f").write_text(body, encoding="utf-8", newline="")
    assert _windows(root / "f", limit) == rows


@lawful
@given(lines, st.integers(1, 50))
@pytest.mark.usefixtures("small_pieces")
def test_the_last_lines_are_the_last_lines(root: Path, rows: list[str], count: int) -> None:
    assume(rows and not any("\0" in row for row in rows) and not rows[0].startswith("\ufeff"))
    (root / "f").write_text("".join(row + "\n" for row in rows), encoding="utf-8", newline="")
    assert _window(root / "f", -count, 10_000) == rows[-count:]


@given(st.integers(1, 40), st.integers(1, 9))
@pytest.mark.usefixtures("small_pieces")
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_window_of_a_huge_file_shows_the_inside_of_a_private_key(
    root: Path, offset: int, limit: int
) -> None:
    key = ["-----BEGIN PRIVATE KEY-----", *["MIIEsecret"] * 20, "-----END PRIVATE KEY-----"]
    (root / "f").write_text("\n".join(["x"] * 8 + key + ["y"] * 10) + "\n", encoding="utf-8")
    assert not any("MIIE" in line for line in _window(root / "f", offset, limit))
    assert not any("MIIE" in line for line in _window(root / "f", -offset, limit))


@lawful
@given(st.lists(st.text(max_size=3000), max_size=30), st.integers(1500, 6000))
def test_a_result_is_never_longer_than_its_cap(root: Path, rows: list[str], cap: int) -> None:
    workspace = Workspace([root])
    (root / "f").write_bytes("\n".join(rows).encode("utf-8", "replace"))
    for i in range(60):
        (root / f"{i:02} some longer name é").write_bytes(b"x")
    answers = [
        reading.read(workspace, "f", mode="text", max_bytes=cap)
        if b"\0" not in (root / "f").read_bytes()
        else "",
        reading.read(workspace, "f", mode="hex", max_bytes=cap),
        reading.read_many(workspace, ["f", "missing", "f"], max_bytes=cap),
        listing.list_folder(workspace, ".", listing.Listing(), max_bytes=cap),
        searching.search_text(workspace, ".", path="f", limit=1000, max_bytes=cap),
    ]
    for answer in answers:
        assert isinstance(answer, str) and len(answer.encode()) <= cap


@lawful
@given(texts(), st.text("abc é\n", min_size=1, max_size=40))
def test_overwriting_keeps_mark_and_line_ending(
    workspace: Workspace, root: Path, data: bytes, new: str
) -> None:
    was = decode(data)
    assume(was is not None and isinstance(was.ends, str) and was.body and "\r" not in was.body)
    assert was is not None
    (root / "f").write_bytes(data)
    if was.said == "guess" and not new.isascii():
        with pytest.raises(ToolError, match="only guessed"):
            write(workspace, "f", new, "overwrite", None)
        assert (root / "f").read_bytes() == data
        return
    # One character is too little for UTF-16 without a mark to be told from bytes.
    assume(not (was.said == "guess" and was.encoding.startswith("utf-16") and len(new) == 1))
    write(workspace, "f", new, "overwrite", None)
    now = decode((root / "f").read_bytes())
    assert now is not None and now.body == new and now.mark == was.mark
    assert now.ends == was.ends or "\n" not in new
