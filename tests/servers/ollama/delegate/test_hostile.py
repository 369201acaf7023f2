"""Delegating under attack: nonsense in, servers that fail or vanish, kills at the worst moment, two at once."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from servers.ollama.simulator.api import Fault, World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.processes import until
from tests.stdio import Stdio, as_result, start

FIX = "```python\ndef add(a, b):\n    return a + b\n```"
TESTS = "import unittest\nfrom a import add\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(add(1, 2), 3)\n"
EDIT = {
    "task": "fix",
    "files": ["a.py"],
    "write": "a.py",
    "gate": {"command": "python3 -m unittest -q"},
    "wait_s": 30,
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    (folder / "a.txt").write_text("The quick brown fox.\n" * 100, encoding="utf-8")
    (folder / "empty.txt").touch()
    (folder / "bytes.bin").write_bytes(bytes(range(256)))
    (folder / "latin.txt").write_bytes("café\r\n".encode("latin-1") * 30)
    (folder / "long.txt").write_text("All work and no play.\n" * 9000, encoding="utf-8")
    (folder / "huge.txt").write_text("x" * (5 << 20), encoding="utf-8")
    (tmp_path / "policy.toml").write_text('allow = ["python3"]\n', encoding="utf-8")
    return folder


@contextmanager
def serving(tree: Path, *faults: Fault, answers: Any = None, scale: float = 0.0) -> Generator[str]:
    """The URL of a simulated server with one model."""
    model = SimulatedModel(name="small:latest", context_length=16_384)
    world = World(machine=Machine(model, noise=Noise(spread=0.0)), faults=list(faults), answers=answers)
    with simulated_in_thread(world, scale=scale) as url:
        yield url


def ollama(tree: Path, host: str) -> Stdio:
    return start("ollama", str(tree), "--host", host, "--policy", str(tree.parent / "policy.toml"))


def contents(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"task": " "}, "the task is empty"),
    ({"task": "x" * 300_000}, "200,000 characters"),
    ({"task": "\ud800"}, "surrogate"),
    ({"files": ["bytes.bin"]}, "bytes.bin is binary"),
    ({"files": ["huge.txt"]}, "larger than 4,194,304 bytes"),
    ({"files": ["long.txt"]}, "but small:latest holds 16,384 here; give fewer files"),
    ({"files": ["*.txt"]}, "delegate_map takes a glob"),
    ({"files": ["../x"]}, "outside the root"),
    ({"files": ["a\0b"]}, "NUL"),
    ({"files": ["a.py"] * 300}, "at most 200"),
    ({"deadline_s": 0}, "above 0"),
    ({"max_output": 0}, "at least 1"),
    ({"max_output": 10**30}, "lower max_output to at most 16,"),
    ({"model": "nobody"}, "there are small:latest"),
    ({"model": "../x"}, "no model name"),
    ({"ladder": ["nobody"]}, "there are small:latest"),
    ({"gate": {"command": 5}}, "gate 'command' with '5'"),
    ({"gate": {"max_changed_lines": -1}}, "max_changed_lines"),
    ({"schema": {"type": "nope"}}, "not valid JSON Schema"),
    ({"write": "../x"}, "outside the root"),
    ({"write": ".git/config"}, "protected"),
    ({"write": "edits"}, "changes the files given"),
]


def test_nonsense_is_one_sentence_and_the_server_goes_on(tree: Path) -> None:
    before = contents(tree)
    with serving(tree) as url, ollama(tree, url) as server:
        for given, said in NONSENSE:
            result = server.call("delegate", **{"task": "x", **given})
            assert said in result.text, (given, result.text)
            assert result.is_error and len(result.text) < 500, result.text
        for fine in ({"files": ["empty.txt"]}, {"files": ["latin.txt"]}, {"task": "hi\0there"}):
            assert server.call("delegate", **{"task": "x", **fine}).structured["outcome"] == "answered"
        too_large = server.call("rate", run=10**30, verdict="good")
    assert too_large.is_error and "more than 64 bits" in too_large.text
    assert contents(tree) == before


def test_a_deadline_that_is_over_is_refused_without_negative_seconds(tree: Path) -> None:
    with serving(tree) as url, ollama(tree, url) as server:
        server.call("delegate", task="x", files=["a.txt"])
        late = server.call("delegate", task="x", files=["a.txt"], deadline_s=1e-9)
    assert late.is_error and late.structured["outcome"] == "refused"
    assert late.text.startswith("0 s cannot be met here")


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["busy"] * 3, "server busy"),
        (["error"], "simulated failure"),
        (["abort"], "stream ended without its end"),
        (["hang-up"], "connection broke"),
        (["cut"], "the server cut the prompt"),
    ],
)
def test_a_failing_server_never_makes_a_success_and_the_next_call_works(
    tree: Path, faults: list[Fault], said: str
) -> None:
    with serving(tree, *faults) as url, ollama(tree, url) as server:
        failed = server.call("delegate", task="x", files=["a.txt"], write="b.txt").structured
        left = (tree / "b.txt").exists()
        after = server.call("delegate", task="x", files=["a.txt"]).structured
        seen = server.call("profile").structured
    assert failed["outcome"] == "escalate" and said in failed["reason"] and not left
    assert after["outcome"] == "answered" and seen["odds"]["small:latest"][0]["judged"] == 0
    assert [run["profile"]["outcome"] == "done" for run in seen["runs"]] == [True, False]


def test_a_server_that_vanishes_in_the_middle_is_named(tree: Path) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(serving(tree, answers=lambda body: "word " * 2000, scale=0.1))
        with ollama(tree, url) as server:
            id = server.call("delegate", task="x", wait_s=1).structured["delegation"]
            until(lambda: server.call("delegation", id=id).structured["tokens"])
            stack.close()
            ended = server.call("delegation", id=id, action="wait").structured
            after = server.call("delegate", task="x")
    assert ended["outcome"] == "escalate" and "connection broke" in ended["reason"]
    assert after.is_error and f"nothing answers at {url}" in after.text


def test_a_kill_in_the_middle_of_a_gate_leaves_no_process_and_no_trace(tree: Path) -> None:
    (tree / "test_a.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    before = contents(tree)
    with serving(tree, answers=lambda body: FIX) as url:
        server = ollama(tree, url)
        server.send("tools/call", {"name": "delegate", "arguments": EDIT})
        started: list[psutil.Process] = []

        def testing() -> bool:
            started[:] = psutil.Process(server.pid).children(recursive=True)
            return any("unittest" in words(p) for p in started)

        until(testing)
        os.kill(server.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(started, timeout=60)
        assert left == [] and contents(tree) == before
        (tree / "test_a.py").write_text(TESTS, encoding="utf-8")
        with ollama(tree, url) as next_server:
            assert next_server.call("delegate", **EDIT).structured["outcome"] == "accepted"
        server.close()


def words(process: psutil.Process) -> str:
    """Its command line; empty once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_of_two_servers_on_one_file_one_writes_and_the_other_is_told(tree: Path) -> None:
    (tree / "test_a.py").write_text(TESTS, encoding="utf-8")
    with (
        serving(tree, answers=lambda body: FIX) as url,
        ollama(tree, url) as one,
        ollama(tree, url) as two,
    ):
        numbers = [
            server.send("tools/call", {"name": "delegate", "arguments": EDIT}) for server in (one, two)
        ]
        receipts = [as_result(s.answer(n)).structured for s, n in zip((one, two), numbers, strict=True)]
        runs = one.call("profile").structured["runs"]
    outcomes = sorted(receipt["outcome"] for receipt in receipts)
    assert outcomes in (["accepted", "failed"], ["accepted", "escalate"]), receipts
    told = next(receipt["reason"] for receipt in receipts if receipt["outcome"] != "accepted")
    assert "has changed" in told or "leaves the file as it is" in told
    assert (tree / "a.py").read_text(encoding="utf-8") == "def add(a, b):\n    return a + b\n"
    assert len({run["run"] for run in runs}) == 2


def test_an_engine_that_was_killed_is_started_again(tree: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    long = " ".join(f"word{n}x" for n in range(900))
    recitation = tree.parent / "long.json"
    recitation.write_text(json.dumps({"models": [{"name": "r"}], "answers": [{"text": long}]}))
    with ollama(tree, f"embedded:{recitation}") as server:
        for n in range(2):
            result = server.call("delegate", task=f"{n}", max_output=3000)
            assert not result.is_error and result.structured["outcome"] == "answered", result.text
            (engine,) = [
                p for p in psutil.Process(server.pid).children(recursive=True) if "embedded_child" in words(p)
            ]
            engine.kill()
            while words(engine):
                pass
        again = server.call("delegate", task="last", max_output=3000)
        loaded = server.call("profile").structured["runs"][0]["profile"]
    assert not again.is_error, again.text
    assert again.structured["outcome"] == "answered" and loaded["load_s"] > 0
