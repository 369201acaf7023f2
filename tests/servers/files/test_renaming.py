"""A Python symbol is renamed wherever it is used, as one change that can be looked at first and undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stdio import Result, Stdio

FILES = {
    "pkg/__init__.py": "from .model import Account\n",
    "pkg/model.py": (
        'class Account:\n    """An Account."""\n\n    def pay(self, amount: int) -> int:\n        return amount\n\n\n'
        "class Savings(Account):\n    def pay(self, amount: int) -> int:\n        return amount - 1\n\n\nlimit = 3\n"
    ),
    "use.py": 'import pkg\nfrom pkg.model import Account as A\n\n\ndef run(a: A) -> int:\n    return a.pay(1) + pkg.Account().pay(2)\n\n\nprint("Account")\n',
    "latin.py": "# coding: latin-1\nfrom pkg.model import Account\n\nname = 'é'\nAccount()\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode("latin-1" if name == "latin.py" else "utf-8"))
    crlf = tmp_path / "pkg/model.py"
    crlf.write_bytes(crlf.read_bytes().replace(b"\n", b"\r\n"))
    return tmp_path


def rename(server: Stdio, old: str, new: str, path: str = "pkg/model.py", **more: Any) -> Result:
    edits = [{"old": old, "new": new, "symbol": True}]
    return server.call("edit_file", path=path, edits=edits, **more)


def picture(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in FILES}


def test_a_class_is_renamed_in_all_files_and_undone_as_one(root: Path, server: Stdio) -> None:
    before = picture(root)
    dry = rename(server, "Account", "Ledger", dry_run=True)
    assert not dry.is_error and "in 4 files · dry run" in dry.text and "+class Ledger:" in dry.text
    assert picture(root) == before
    done = rename(server, "Account", "Ledger").text
    after = picture(root)
    assert (
        b"class Ledger:\r\n" in after["pkg/model.py"]
        and b"class Savings(Ledger):\r\n" in after["pkg/model.py"]
    )
    assert after["pkg/__init__.py"] == b"from .model import Ledger\n"
    assert b"import Ledger as A" in after["use.py"] and b"pkg.Ledger().pay" in after["use.py"]
    assert after["latin.py"] == before["latin.py"].replace(b"Account", b"Ledger")
    left = done.rpartition("may be meant: ")[2]
    assert left.split(", ") == ["pkg/model.py:2", "use.py:9"] and b'"Account"' in after["use.py"]
    assert not server.call("undo", op=done.partition("op=")[2][:8]).is_error
    assert picture(root) == before


def test_a_method_is_renamed_in_subclasses_and_calls(root: Path, server: Stdio) -> None:
    done = rename(server, "Account.pay", "give")
    after = picture(root)
    assert after["pkg/model.py"].count(b"def give") == 2 and b"pkg.Account().give(2)" in after["use.py"]
    assert "may be meant: use.py:6" in done.text  # what rope cannot tell for certain is named, not guessed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Nope", "X", "there is no 'Nope' in pkg/model.py; there are Account, Savings, limit"),
        ("Account.nope", "X", "there is no 'nope'"),
        ("pay", "give", "there is no 'pay' in pkg/model.py; there is Account.pay, Savings.pay"),
        ("Account", "Account", "is called so already"),
        ("Account", "Savings", "there is a 'Savings' already"),
        ("Account", "not a name", "is no name in Python"),
        ("Account", "class", "is no name in Python"),
        ("", "X", "takes one edit alone"),
    ],
)
def test_what_cannot_be_renamed_is_refused_in_a_sentence(
    root: Path, server: Stdio, old: str, new: str, said: str
) -> None:
    before = picture(root)
    refused = rename(server, old, new)
    assert refused.is_error and said in refused.text and "Traceback" not in refused.text
    assert picture(root) == before


def test_nothing_of_the_project_runs_and_nothing_outside_is_read(root: Path, server: Stdio) -> None:
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.py").write_text("from pkg.model import limit\n")
    (root / "link").symlink_to(outside)
    trap = f"open({str(root / 'ran')!r}, 'w')\n"
    for name in ("sitecustomize.py", "conftest.py", "rope.py", "json.py", ".ropeproject/config.py"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(trap)
    done = rename(server, "limit", "most")
    assert not (root / "ran").exists() and "secret" not in done.text
    assert (outside / "secret.py").read_text() == "from pkg.model import limit\n"


def test_a_file_that_does_not_parse_stops_no_renaming_elsewhere(root: Path, server: Stdio) -> None:
    (root / "broken.py").write_text("from pkg.model import limit\ndef (:\n", encoding="utf-8")
    (root / "notes.txt").write_text("a\n", encoding="utf-8")
    refused = rename(server, "limit", "most", path="broken.py")
    assert refused.is_error and "does not parse (invalid syntax, line 2)" in refused.text
    done = rename(server, "limit", "most")
    assert not done.is_error and "may be meant: broken.py:1" in done.text
    assert "symbol=true renames in Python files alone" in rename(server, "a", "b", path="notes.txt").text
