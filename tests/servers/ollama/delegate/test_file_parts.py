"""Parts of files, `path#L10-40`: what the worker sees of them, where its work lands, and what a wrong range is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.ollama.engines.protocol import Answer, Query, Said
from servers.ollama.engines.replay import Recited
from servers.ollama.server import build

pytestmark = pytest.mark.anyio

LINES = [f"def f{n}():\n    return {n}\n" for n in range(1, 101)]
BIG = "".join(LINES)  # line 2n - 1 defines fn


class Listening(Recited):
    """It keeps what it was asked."""

    def __init__(self, folder: Path, *answers: str) -> None:
        script = {
            "models": [{"name": "w", "context_length": 32768}],
            "answers": [{"text": a} for a in answers],
        }
        (folder / "r.json").write_text(json.dumps(script), encoding="utf-8")
        super().__init__(str(folder / "r.json"))
        self.asked: list[str] = []

    async def chat(self, query: Query, said: Said) -> Answer:
        self.asked.append("\n".join(message["content"] for message in query.messages))
        return await super().chat(query, said)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "big.py").write_bytes(BIG.replace("\n", "\r\n").encode())
    (folder / "two#L1-2.txt").write_text("its own name\n", encoding="utf-8")
    (folder / "none.txt").write_text("", encoding="utf-8")
    (folder / "end.txt").write_text("one\ntwo\nthree", encoding="utf-8")
    return folder


async def call(tree: Path, tool: str, *answers: str, **arguments: Any) -> tuple[Any, list[str]]:
    """(the structured result, or what an error said; the prompts the worker got)."""
    runtime = Listening(tree.parent, *answers)
    async with Client(build([str(tree)], runtime)) as client:
        result = await client.call_tool(tool, {"task": "Do it.", **arguments})
    return result.content[0].text if result.is_error else result.structured_content, runtime.asked  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("big.py#L3-4", "def f2", "return 2"),
        ("big.py#L3-L4", "def f2", "return 2"),
        ("big.py#l4", "return 2", "return 2"),
        ("big.py#L199-", "def f100", "return 100"),
        ("end.txt#L2-3", "two", "three"),
        ("two#L1-2.txt", "its own", "name"),
    ],
)
async def test_the_worker_reads_these_lines_and_no_others(
    tree: Path, part: str, first: str, last: str
) -> None:
    receipt, (asked,) = await call(tree, "delegate", "It returns a number.", files=[part])
    assert receipt["outcome"] == "answered", receipt
    material = asked.split("<<data ")[-1].split(">>", 1)[1].split("<<end")[0].strip("\n")
    assert material.lstrip().startswith(first) and material.endswith(last)
    assert len(material.split("\n")) <= 2


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("big.py#L0-3", "lines count from 1; big.py#L1-3 would work"),
        ("big.py#L40-10", "it ends at line 10, before it begins; big.py#L10-40 would work"),
        ("big.py#L190-240", "the file has only 200 lines; big.py#L190-200 would work"),
        ("big.py#L201", "the file has only 200 lines"),
        ("none.txt#L1-2", "the file has no lines"),
        ("big.py#10-40", "is written big.py#L10-40"),
        ("big.py#L1-2-3", "is written big.py#L10-40"),
        ("big.py#Lx", "is written big.py#L10-40"),
        ("big.py#L" + "9" * 5000, "is written big.py#L10-40"),
        ("gone.py#L1-2", "gone.py"),
    ],
)
@pytest.mark.parametrize("tool", ["delegate", "estimate", "delegate_map"])
async def test_a_range_that_is_not_there_is_told_in_one_sentence_before_anything_runs(
    tree: Path, tool: str, part: str, told: str
) -> None:
    said, asked = await call(tree, tool, files=[part])
    assert told in said and "\n" not in said.strip() and not asked


BLOCK = "<<<<<<< SEARCH\n    return 2\n=======\n    return 22\n>>>>>>> REPLACE"
PART = "def f2():\n    return 22\n"


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"files": ["big.py#L3-4"], "write": "edits"}, f"big.py\n{BLOCK}"),
        ({"files": ["big.py#L3-4"], "write": "edits"}, f"big.py#L3-4\n{BLOCK}"),
        ({"files": ["big.py#L3-4"], "write": "edits"}, f"```python\n{PART}```"),
        ({"files": ["big.py#L3-4", "big.py#L9-10"], "write": "edits"}, f"big.py\n{BLOCK}"),
        ({"files": ["big.py#L3-4", "big.py"], "write": "edits"}, f"big.py\n{BLOCK}"),
        (
            {"files": ["big.py#L3-4"], "write": "patch"},
            "```\n--- a/big.py\n+++ b/big.py\n@@ -3,2 +3,2 @@\n def f2():\n-    return 2\n+    return 22\n```",
        ),
        ({"files": ["big.py#L3-4"], "write": "big.py"}, f"```python\n{PART}```"),
        ({"files": ["big.py#L3-4"], "write": "big.py"}, BIG.replace("    return 2\n", "    return 22\n")),
    ],
)
async def test_what_a_worker_makes_of_a_part_stands_in_the_file_and_the_rest_of_it_stays(
    tree: Path, arguments: dict[str, Any], answer: str
) -> None:
    receipt, _ = await call(tree, "delegate", answer, **arguments, gate="syntax")
    assert receipt["outcome"] == "accepted", receipt
    assert receipt["files"] == [{"path": "big.py", "added": 1, "removed": 1}]
    wanted = BIG.replace("    return 2\n", "    return 22\n").replace("\n", "\r\n")
    assert (tree / "big.py").read_bytes() == wanted.encode()


async def test_a_part_without_a_definition_that_the_task_says_nothing_of_is_rejected(tree: Path) -> None:
    before = (tree / "big.py").read_bytes()
    answer = "```python\nimport os\n\n\ndef f2():\n    return 22\n```"
    receipt, _ = await call(tree, "delegate", answer, files=["big.py#L3-6"], write="big.py")
    assert receipt["outcome"] == "escalate" and "f3 is gone" in receipt["reason"]
    assert (tree / "big.py").read_bytes() == before


async def test_a_part_is_no_file_to_write(tree: Path) -> None:
    said, asked = await call(tree, "delegate", "x", files=["big.py"], write="big.py#L1-5")
    assert "write='big.py' with that part in files" in said and not asked
    assert not (tree / "big.py#L1-5").exists()


async def test_several_parts_of_the_file_to_write_are_refused(tree: Path) -> None:
    said, _ = await call(tree, "delegate", files=["big.py#L1-2", "big.py#L5-6"], write="big.py")
    assert 'give one, or write="edits"' in said


async def test_a_map_reads_parts_and_tells_places_by_the_file_s_own_lines(tree: Path) -> None:
    mapped, (asked,) = await call(
        tree, "delegate_map", 'It says "return 31".', files=["big.py#L61-64"], gate="quotes"
    )
    assert "def f31" in asked and "def f30" not in asked and "def f33" not in asked
    assert mapped["outcome"] == "accepted" and "big.py:62" in mapped["answer"]


async def test_the_one_function_a_worker_changed_stands_in_for_the_whole_file_it_was_to_write(
    tree: Path,
) -> None:
    (tree / "small.py").write_text("".join(LINES[:5]), encoding="utf-8")
    answer = "```python\ndef f2():\n    return 22\n```"
    for write in ("edits", "small.py"):
        (tree / "small.py").write_text("".join(LINES[:5]), encoding="utf-8")
        receipt, _ = await call(tree, "delegate", answer, files=["small.py"], write=write)
        assert receipt["outcome"] == "written", receipt
        wanted = "".join(LINES[:5]).replace("    return 2\n", "    return 22\n")
        assert (tree / "small.py").read_text(encoding="utf-8") == wanted
    receipt, _ = await call(
        tree, "delegate", answer, files=["small.py"], write="small.py", task="Keep only f2, remove the rest."
    )
    assert (tree / "small.py").read_text(encoding="utf-8") == "def f2():\n    return 22\n"
