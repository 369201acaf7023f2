"""Batches as a person runs them: the real command against simulated engines, killed, stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.command import Running, begun, understudy
from tests.processes import until
from tests.results import described

SMALL = SimulatedModel(name="small", context_length=8192)


@contextmanager
def engine(scale: float = 0.0, **world: Any) -> Iterator[tuple[str, World]]:
    made = World(machine=Machine(SMALL, noise=Noise(spread=0.01)), **world)
    with simulated_in_thread(made, scale=scale) as url:
        yield url, made


def orders(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def receipts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def ended_or_wrote(process: Running, path: Path, lines: int) -> bool:
    return process.poll() is not None or lines_in(path) >= lines


def batch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return understudy("batch", *words, cwd=folder)


def test_each_order_gets_one_receipt_and_the_same_command_again_does_nothing(tmp_path: Path) -> None:
    path = orders(
        tmp_path,
        {"task": "one", "id": "a", "label": "x"},
        {"task": "two", "write": "out/two.txt"},
        {"task": "two", "write": "out/two-too.txt", "priority": 1},
        {"task": "one"},
        {"task": "one"},
    )
    with engine() as (url, world):
        words = [str(path), "--out", "r.jsonl", "--host", url]
        done = batch(tmp_path, *words, "--json")
        assert done.returncode == 0, done.stderr
        assert described("batch", done.stdout)["counts"] == {"done": 5}
        told = receipts(tmp_path / "r.jsonl")
        assert len({one["key"] for one in told}) == 5 and all(one["ok"] for one in told)
        first = next(one for one in told if one.get("id") == "a")
        assert first["label"] == "x" and first["line"] == 1 and "<<data" not in first["answer"]
        assert told[0]["line"] == 3, "the larger priority goes first"
        assert {one["op"] for one in told if one["outcome"] == "written"}
        ran = len(world.requests)
        again = batch(tmp_path, *words)
        assert again.returncode == 0 and len(receipts(tmp_path / "r.jsonl")) == 5
        assert len(world.requests) == ran


def test_lines_that_are_no_orders_are_all_named_and_nothing_is_run(tmp_path: Path) -> None:
    wrong = {
        "not json": "it is not JSON",
        '{"files": []}': "an order needs 'task'",
        '{"task": "x", "fles": []}': "an order has no 'fles'",
        "[1]": "wanted an object",
        '{"task": "x", "task": "y"}': "'task' stands 2 times",
        '{"task": " "}': "task: is empty",
        '{"task": "x", "label": "\\uD800"}': "surrogate",
        '{"task": "x", "priority": 99999999999999999999}': "priority: ",
        '{"task": "x", "model": ""}': "model: is empty",
        '{"task": "x", "files": "a.md"}': "files: wanted a list",
        '{"task": "x", "schema": {"type": 5}}': "the schema",
        '{"task": "x", "gate": "taste"}': "taste",
        "[" * 100_000: "recursion",
    }
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(['{"task": "x"}', *wrong]), encoding="utf-8")
    done = batch(tmp_path, str(path), "--out", "r.jsonl")
    assert done.returncode == 2 and not (tmp_path / "r.jsonl").exists() and "Traceback" not in done.stderr
    said = done.stderr.splitlines()[1:]
    assert len(said) == len(wrong)
    for number, (line, words) in enumerate(zip(said, wrong.values(), strict=True), 2):
        assert line.startswith(f"line {number}: ") and words in line


def test_orders_come_from_standard_input_and_names_that_no_file_can_have_fail_alone(tmp_path: Path) -> None:
    lines = [{"task": "x", "files": ["a" * 5000]}, {"task": "x", "files": ["a\0b"]}, {"task": "x\0\u202e"}]
    with engine() as (url, _):
        done = understudy(
            "batch", "-", "--out", "r.jsonl", "--host", url, "--json",
            cwd=tmp_path, stdin="".join(json.dumps(line) + "\n" for line in lines),
        )  # fmt: skip
    assert described("batch", done.stdout)["counts"] == {"done": 1, "failed": 2}, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["in.jsonl"], "--out is missing"),
        (["--out", "r.jsonl"], "there are no orders"),
        (["gone.jsonl", "--out", "r.jsonl"], "cannot read gone.jsonl"),
        (["--task", "x", "--out", "r.jsonl"], "--task needs --glob"),
        (
            ["in.jsonl", "--model", "m", "--out", "r.jsonl"],
            "--model goes with --task; each order of in.jsonl",
        ),
        (["--task", "x", "--glob", "*.nope", "--out", "r.jsonl"], "finds no file"),
        (["--task", "x", "--glob", "*", "--gate", "taste", "--out", "r.jsonl"], "taste"),
        (["--task", "x", "--glob", "*", "--out", "r.jsonl"], "is not UTF-8"),
        (["latin.jsonl", "--out", "r.jsonl"], "not UTF-8: line 2 holds the byte 0xe9"),
        (["one.jsonl", "--out", "one.jsonl"], "is the input"),
        (["one.jsonl", "--out", "r.txt"], "write is 'r.txt', where --out has the receipts"),
        (
            ["one.jsonl", "--out", "r.jsonl", "--db", "x", "--retries", "3"],
            "each worker decides of --retries",
        ),
        (["retry"], "which batch?"),
        (["status", "abcd"], "there is no batch 'abcd'; there are none"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    orders(tmp_path, {"task": "x", "write": "r.txt"}).rename(tmp_path / "one.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"task": "x"}\n{"task": "\xe9"}\n')
    if "*" in words and "--gate" not in words:
        (tmp_path / os.fsdecode(b"\xff.md")).touch()
    done = batch(tmp_path, *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "r.jsonl").exists()


def test_a_template_makes_one_order_for_each_file(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.txt"):
        (tmp_path / name).write_text(f"text of {name}", encoding="utf-8")
    with engine() as (url, world):
        words = [
            "--task",
            "Summarise {path}.",
            "--glob",
            "*.md",
            "--write",
            "out/{path}.txt",
            "--out",
            "r.jsonl",
        ]
        done = batch(tmp_path, *words, "--host", url)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.md.txt", "b.md.txt"]
    assert any("Summarise a.md." in str(body) and "text of a.md" in str(body) for body in world.requests)


def test_a_failing_order_is_tried_again_told_why_and_can_be_retried(tmp_path: Path) -> None:
    path = orders(tmp_path, {"task": "x", "schema": {"type": "object", "required": ["n"]}}, {"task": "y"})
    answer = ['{"m": 1}']
    with engine(answers=lambda body: answer[0] if "format" in body else "fine") as (url, world):
        words = [str(path), "--out", "r.jsonl", "--host", url]
        done = batch(tmp_path, *words, "--json")
        assert done.returncode == 1
        id = described("batch", done.stdout)["batch"]
        failed = next(one for one in receipts(tmp_path / "r.jsonl") if not one["ok"])
        assert failed["tries"] == 2 and "n" in failed["reason"]
        assert any("An earlier answer was not accepted" in str(body) for body in world.requests)
        assert "1 failed" in batch(tmp_path, "status", id).stdout
        assert "1 orders changed" in batch(tmp_path, "retry", id).stdout
        answer[0] = '{"n": 1}'
        assert batch(tmp_path, *words).returncode == 0
    told = receipts(tmp_path / "r.jsonl")
    assert len(told) == 3 and told[-1]["ok"] and told[-1]["again"] == 1


def test_a_batch_killed_ten_times_loses_nothing_and_finishes_nothing_twice(tmp_path: Path) -> None:
    many = [{"task": f"t{number}", "write": f"out/{number}.txt"} for number in range(60)]
    path = orders(tmp_path, *many)
    out = tmp_path / "r.jsonl"
    with engine() as (url, _):
        words = ["batch", str(path), "--out", str(out), "--host", url]
        for kill in range(10):
            process = begun(*words, cwd=tmp_path)
            until(partial(ended_or_wrote, process, out, (kill + 1) * 5), f"receipt {(kill + 1) * 5}")
            process.kill()
            process.communicate(timeout=60)
        done = understudy(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = receipts(out)
    assert Counter(one["key"] for one in told).most_common(1)[0][1] == 1 and len(told) == 60
    ops = [one["op"] for one in told]
    assert len(set(ops)) == 60
    from servers.workspace import Workspace

    changes = [record for record in Workspace([tmp_path]).recent(1000) if "out/" in record.steps[0].path]
    assert Counter(record.steps[0].path for record in changes).most_common(1)[0][1] == 1


def test_ctrl_c_finishes_what_runs_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path = orders(tmp_path, *({"task": f"t{number}"} for number in range(400)))
    out = tmp_path / "r.jsonl"
    with engine(scale=0.002) as (url, _):
        process = begun("batch", str(path), "--out", str(out), "--host", url, cwd=tmp_path)
        until(lambda: lines_in(out), "the first receipt", by=process)
        os.kill(process.pid, signal.SIGINT)
        ended, said = process.communicate(timeout=60)
        assert process.returncode == 130 and "what runs is finished" in said and "Traceback" not in said
        assert "the same command goes on with those that wait" in ended
        status = described("batch", batch(tmp_path, "status", "--json").stdout)["batches"][0]["counts"]
        assert status["waiting"] + status["done"] == 400 and len(receipts(out)) == status["done"]


def test_two_processes_do_not_run_one_batch(tmp_path: Path) -> None:
    path = orders(tmp_path, *({"task": f"t{number}"} for number in range(400)))
    out = tmp_path / "r.jsonl"
    with engine(scale=0.01) as (url, _):
        words = ["batch", str(path), "--out", str(out), "--host", url]
        process = begun(*words, cwd=tmp_path)
        until(out.exists, "the receipts' file", by=process)
        second = batch(tmp_path, *words[1:])
        assert second.returncode == 1 and f"process {process.pid} is running this batch" in second.stderr
        process.kill()
        process.communicate(timeout=60)


def test_receipts_go_to_regular_files_only(tmp_path: Path) -> None:
    done = batch(tmp_path, str(orders(tmp_path, {"task": "x"})), "--out", "/dev/full")
    assert done.returncode == 1 and "/dev/full is no regular file" in done.stderr


def test_a_torn_line_is_cut_off_and_other_peoples_lines_stay(tmp_path: Path) -> None:
    path = orders(tmp_path, {"task": "one"})
    out = tmp_path / "r.jsonl"
    with engine() as (url, _):
        out.write_bytes(b'somebody\'s own line\n{"key": "torn')
        assert batch(tmp_path, str(path), "--out", str(out), "--host", url).returncode == 0
        lines = out.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "somebody's own line" and len(lines) == 2 and json.loads(lines[1])["ok"]


def test_a_host_that_dies_loses_no_order_to_the_others(tmp_path: Path) -> None:
    path = orders(tmp_path, *({"task": f"t{number}"} for number in range(30)))
    out = tmp_path / "r.jsonl"
    with engine(scale=0.002) as (url, _):
        with engine(scale=0.002) as (dying, _):
            words = ["batch", str(path), "--out", str(out), "--host", url, "--host", dying]
            process = begun(*words, cwd=tmp_path)
            until(lambda: out.exists() and dying in out.read_text(encoding="utf-8"), dying, by=process)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and f"{dying} does not answer" in said
    told = receipts(out)
    assert len({one["key"] for one in told}) == 30 == len(told)
    assert Counter(one["host"] for one in told)[url] > 0


def test_a_host_that_comes_back_takes_orders_again_and_nothing_is_done_twice(tmp_path: Path) -> None:
    path = orders(tmp_path, *({"task": f"t{number}", "write": f"{number}.txt"} for number in range(12)))
    out = tmp_path / "r.jsonl"
    with engine(scale=0.002) as (url, _):
        process = begun("batch", str(path), "--out", str(out), "--host", url, cwd=tmp_path)
        until(lambda: lines_in(out) > 1, "some receipts", by=process)
    waits = f"{url} does not answer ("
    until(lambda: waits in process.stderr_so_far(), "word of the host's death", by=process)
    port = int(url.rpartition(":")[2])
    with simulated_in_thread(World(machine=Machine(SMALL)), port=port):
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said.count(waits) == 1 == said.count("the batch waits until it does")
    assert f"{url} answers again" in said
    told = receipts(out)
    assert len({one["key"] for one in told}) == 12 == len(told) == len({one["op"] for one in told})
    assert {one["tries"] for one in told} == {1}, "a host's death is no try of an order"


def test_a_batch_is_looked_at_retried_and_cancelled_while_it_runs(tmp_path: Path) -> None:
    first = {"task": "x", "files": ["gone.txt"], "priority": 1}
    path = orders(tmp_path, first, *({"task": f"t{number}"} for number in range(400)))
    out = tmp_path / "r.jsonl"
    with engine(scale=0.02) as (url, _):
        words = [str(path), "--out", str(out), "--host", url, "--retries", "0"]
        process = begun("batch", *words, cwd=tmp_path)
        until(lambda: lines_in(out) >= 6, "some receipts", by=process)
        (standing,) = described("batch", batch(tmp_path, "status", "--json").stdout)["batches"]
        assert standing["process"] == str(process.pid) and standing["counts"]["failed"] == 1
        assert 0 < standing["left_s"]["low"] < standing["left_s"]["about"] < standing["left_s"]["high"]
        (tmp_path / "gone.txt").write_text("here again", encoding="utf-8")
        said = batch(tmp_path, "retry", standing["id"]).stdout
        assert f"process {process.pid} runs it, about " in said and " left (90 %: " in said
        assert "1 orders changed; the process that runs it goes on with that" in said
        until(lambda: b'"again": 1' in out.read_bytes(), "the order again", by=process)
        batch(tmp_path, "cancel", standing["id"])
        shown, complained = process.communicate(timeout=60)
    assert process.returncode == 1 and "lets the cancelled ones wait again" in shown
    assert "1 orders were let wait again from elsewhere" in complained
    told = receipts(out)
    assert [one["ok"] for one in told if one["line"] == 1] == [False, True]
    (standing,) = described("batch", batch(tmp_path, "status", "--json").stdout)["batches"]
    assert standing["process"] is None and standing["left_s"] is None
    assert standing["counts"] == {"done": len(told) - 1, "cancelled": 402 - len(told)}


def test_an_order_that_no_host_can_take_fails_with_the_reason(tmp_path: Path) -> None:
    path = orders(tmp_path, {"task": "x", "model": "huge"}, {"task": "y", "tags": ["gpu"]}, {"task": "z"})
    with engine() as (url, _):
        done = batch(tmp_path, str(path), "--out", "r.jsonl", "--host", url)
    assert done.returncode == 1
    reasons = {one["line"]: one.get("reason") for one in receipts(tmp_path / "r.jsonl")}
    assert "huge" in reasons[1] and "the tags gpu" in reasons[2] and "no host" not in str(reasons[3])


def test_it_stops_after_so_many_failures(tmp_path: Path) -> None:
    path = orders(tmp_path, *({"task": f"{n}", "files": ["gone.txt"]} for n in range(20)))
    with engine() as (url, _):
        words = ["--out", "r.jsonl", "--host", url, "--retries", "0", "--stop-after-failures", "3", "--json"]
        done = batch(tmp_path, str(path), *words)
    counts = described("batch", done.stdout)["counts"]
    assert done.returncode == 1 and counts["failed"] == 3 and counts["waiting"] == 17
