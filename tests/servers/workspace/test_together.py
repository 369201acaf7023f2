"""Several servers at random work in one folder, killed now and then: no fault, no litter, no torn file."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.stdio import Result, Stdio, start

NAMES = [f"{folder}/f{i}.txt" for folder in "abc" for i in range(5)]
starting = threading.Lock()  # the warm process takes one order at a time


def begin(root: Path) -> Stdio:
    with starting:
        return start("files", str(root))


def works(draw: random.Random, stamp: str) -> list[Callable[[Stdio], Result]]:
    """One call of each kind, with names drawn at random."""
    one, two, folder = draw.choice(NAMES), draw.choice(NAMES), draw.choice("abc")
    patch = "".join(
        f"--- /dev/null\n+++ b/{name}.{stamp}\n@@ -0,0 +1 @@\n+whole {stamp}\n" for name in (one, two)
    )
    return [
        lambda server: server.call(
            "write_file", path=one, content=f"whole {stamp}\n" * 50, if_exists="overwrite"
        ),
        lambda server: server.call(
            "edit_file", path=one, edits=[{"old": "whole", "new": "whole", "count": 50}]
        ),
        lambda server: server.call("move_file", src=one, dst=two, overwrite=True),
        lambda server: server.call("move_file", src=folder, dst=draw.choice("abcd")),
        lambda server: server.call("delete_file", path=one),
        lambda server: server.call("delete_file", path=folder, recursive=True),
        lambda server: server.call("apply_patch", patch=patch if one != two else ""),
        lambda server: server.call("undo", op=server.call("undo").text.split()[0]),
    ]


def test_random_work_with_kills_leaves_whole_files_and_no_litter(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("whole\n" * 50, encoding="utf-8")
    faults: list[str] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        server = begin(root)
        for step in range(40):
            if draw.random() < 0.1:
                arguments = {"src": draw.choice("abc"), "dst": "d"}
                server.send("tools/call", {"name": "move_file", "arguments": arguments})
                os.kill(server.pid, signal.SIGKILL)
                server.close()
                server = begin(root)
            result = draw.choice(works(draw, f"{seed}-{step}"))(server)
            if result.is_error and "fault of its own" in result.text:
                faults.append(server.said())
        server.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begin(root).close()  # whoever starts next tidies up
    assert faults == []
    assert [path for path in root.rglob("*") if path.name.startswith(".understudy-")] == []
    for path in root.rglob("*.txt*"):
        assert {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines()} == {"whole"}
