"""Issue 20: all benchmarks by one command, with what was measured on which machine, beside an earlier run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.run import BENCHMARKS

TREE = Path(__file__).resolve().parent.parent.parent
BY_THEMSELVES = {"run", "real", "soak"}
"""Not in the table: itself and what needs models of gigabytes or an hour."""


def test_every_benchmark_is_in_the_table() -> None:
    programs = {
        path.stem for path in TREE.glob("benchmarks/*.py") if "__main__" in path.read_text(encoding="utf-8")
    }
    assert programs - BY_THEMSELVES == set(BENCHMARKS)


def test_figures_are_printed_kept_and_compared_with_an_earlier_run(tmp_path: Path) -> None:
    earlier = {
        "offload": {"all, tokens of the lead / delegated": {"value": 10.0, "unit": "x"}, "gone": "a sentence"}
    }
    (tmp_path / "earlier.json").write_text(json.dumps({"figures": earlier}), encoding="utf-8")
    words = [
        "--only",
        "gates,offload",
        "--out",
        str(tmp_path / "now.json"),
        "--against",
        str(tmp_path / "earlier.json"),
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *words],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    kept = json.loads((tmp_path / "now.json").read_text(encoding="utf-8"))
    saved = kept["figures"]["offload"]["all, tokens of the lead / delegated"]
    assert saved["value"] >= 10 and saved["met"] and saved["aim"] == "at least x10.00"
    assert f"x{saved['value']:.2f}" in ran.stdout and "was x10.00" in ran.stdout
    assert all(row["met"] for row in kept["figures"]["gates"].values() if isinstance(row, dict))
    assert {"system", "processor", "load", "python", "programs", "revision"} <= kept["machine"].keys()


def test_a_benchmark_that_is_not_there_is_named_with_those_that_are() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--only", "speed"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2 and "no benchmark 'speed'" in ran.stderr and "offload" in ran.stderr
