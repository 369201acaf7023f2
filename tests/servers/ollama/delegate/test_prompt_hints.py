"""What a worker is told beyond its task: which lines a renaming is about, and what a check said of its first answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp import Client

from servers.ollama.server import build
from tests.servers.ollama.delegate.test_file_parts import Listening

pytestmark = pytest.mark.anyio

CODE = "def half(n):\n    return n // 2\n\n\nprint(half(4))\n"
CHECK = "from a import half\n\nassert half(3) == 1.5, half(3)\n"


async def asked(folder: Path, *answers: str, **call: object) -> tuple[str, list[str]]:
    """(how it ended, the prompts)."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "a.py").write_text(CODE)
    (tree / "check.py").write_text(CHECK)
    runtime = Listening(folder, *answers)
    async with Client(build([str(tree)], runtime)) as client:
        result = await client.call_tool("delegate", {"write": "edits", "files": ["a.py"], **call})
    assert result.structured_content is not None, result.content
    return result.structured_content["outcome"], runtime.asked


async def test_the_second_turn_reads_what_the_check_said_of_the_first_answer(tmp_path: Path) -> None:
    wrong, right = (f"```python\n{CODE.replace('// 2', new)}```" for new in ("// 3", "/ 2"))
    gate = {"command": "python3 check.py"}
    outcome, (_, second) = await asked(tmp_path, wrong, right, task="half is wrong", gate=gate)
    assert outcome == "accepted"
    assert "assert half(3) == 1.5, half(3) / AssertionError: 1" in second


async def test_a_worker_that_renames_is_shown_the_lines_it_is_about(tmp_path: Path) -> None:
    renamed = f"```python\n{CODE.replace('half', 'halved')}```"
    outcome, (first,) = await asked(tmp_path, renamed, task="Rename the function half to halved.")
    assert outcome == "accepted"
    assert "`half` becomes `halved`" in first
    assert "stay as they are:\ndef half(n):\nprint(half(4))" in first
