"""`understudy audit verify` on audits that real calls have written."""

from __future__ import annotations

import os
from pathlib import Path

from tests.command import understudy
from tests.results import described


def test_an_altered_line_of_the_audit_is_found_and_named(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for name in ("a", "b", "c"):
        done = understudy("call", "files", "write_file", f"path={name}.txt", "content=x", cwd=work)
        assert done.returncode == 0, done.stderr
    whole = understudy("audit", "verify", cwd=work)
    assert (whole.returncode, "files.jsonl: whole" in whole.stdout) == (0, True), whole.stderr
    file = Path(os.environ["UNDERSTUDY_HOME"]) / "audit" / "files.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([lines[0], lines[1].replace("b.txt", "z.txt"), lines[2]]), encoding="utf-8")
    altered = understudy("audit", "verify", "--json", "files", cwd=work)
    assert altered.returncode == 1
    assert described("audit verify", altered.stdout) == {
        "ok": False,
        "files": [{"file": str(file), "ok": False, "first_break": 2}],
    }
    assert understudy("audit", "verify", "git", cwd=work).stdout == "nothing was recorded yet\n"


def test_a_server_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = understudy("audit", "verify", "mail", cwd=tmp_path)
    assert done.returncode == 2 and "no server 'mail'; there are files, shell, git, ollama" in done.stderr
