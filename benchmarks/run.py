"""All benchmarks, one table: figures against their floor or peer, with the machine, its load and the versions.

    python -m benchmarks.run [--full] [--only files,git] [--out FILE.json] [--against EARLIER.json]

Quick, the default, takes some five minutes on two quiet cores and shows orders of magnitude; --full takes an hour and
is what documentation quotes. A ratio is our time over that of the floor or peer that its name says after the stroke,
measured in turn in the same minutes, so that it means the same on every machine; peers that are not there are fetched
into a temporary folder, or the line says what is missing. --against puts the figures of an earlier --out beside.
What real models get done is benchmarks.real's, which needs their files and hours.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from benchmarks.ratios import Row, shown

TREE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    says: str
    quick: Sequence[str]
    full: Sequence[str] = ()
    against: str = ""
    """The floor or peer and how to install it; empty: it needs nothing."""


BENCHMARKS: Mapping[str, Benchmark] = {
    "law": Benchmark(
        says="are forecasts right, and better than a constant rate?",
        quick=["--live", "0", "--worlds", "20"],
        against="a live engine with --full: pip install 'understudy[engine]'",
    ),
    "coach": Benchmark(says="does advice work?", quick=["--worlds", "20"]),
    "lead": Benchmark(says="does a lead that reads receipts meet its deadlines?", quick=["--worlds", "2"]),
    "gates": Benchmark(says="do gates hold?", quick=["--each", "2"], full=["--each", "20"]),
    "answers": Benchmark(
        says="do gates know right answers to everyday tasks from wrong ones?",
        quick=["--kinds", "rename,quotes"],
        full=[],
        against="node",
    ),
    "offload": Benchmark(says="how many of the lead's tokens does delegating save?", quick=[]),
    "panels": Benchmark(says="what do panels gain for their tokens?", quick=["--questions", "60"]),
    "batch": Benchmark(says="how good is the schedule, what does an order cost?", quick=["--worlds", "50"]),
    "team": Benchmark(
        says="is every order done once though worker, coordinator and database die?",
        quick=["--orders", "150"],
        full=["--orders", "2000"],
        against="PostgreSQL: apt install postgresql",
    ),
    "store": Benchmark(
        says="what does the record cost beside bare SQLite?",
        quick=["--sessions", "500", "--messages", "20000"],
    ),
    "files": Benchmark(
        says="how fast is the files server?",
        quick=["--rounds", "2", "--files", "3000", "--log-mb", "30"],
        against="rg: apt install ripgrep; the reference server: node and npm",
    ),
    "shell": Benchmark(
        says="what does containing a command cost?",
        quick=["--rounds", "7"],
        against="bwrap: apt install bubblewrap",
    ),
    "git": Benchmark(
        says="how fast is the git server?",
        quick=["--rounds", "3", "--files", "2000", "--commits", "300"],
        against="mcp-server-git, fetched with pip",
    ),
    "loop": Benchmark(
        says="what does the loop add to a model call and to a tool call?",
        quick=["--turns", "50", "--rounds", "1"],
        full=["--peers"],
        against="pydantic-ai and openai-agents, fetched with pip",
    ),
    "paths": Benchmark(says="how much of our code do an edit, a delegation and a chat turn pass?", quick=[]),
    "startup": Benchmark(
        says="how fast does everything start and answer?",
        quick=["--rounds", "3"],
        full=["--rounds", "9"],
        against="the reference server: node and npm",
    ),
}


def main() -> int:
    """0 also where an aim is missed: aims hold on a quiet machine. 1 when a benchmark ended with an error."""
    given = _arguments()
    earlier = json.loads(given.against.read_text(encoding="utf-8"))["figures"] if given.against else {}
    result: dict[str, Any] = {"machine": machine(), "full": given.full, "figures": {}}
    print("\n".join(f"{name}: {told}" for name, told in result["machine"].items()))
    failed = False
    for name in given.only:
        rows = measured(name, BENCHMARKS[name], full=given.full)
        failed |= isinstance(rows, str)
        result["figures"][name] = rows if isinstance(rows, dict) else {"failed": rows}
        print(section(name, BENCHMARKS[name], result["figures"][name], earlier.get(name, {})), flush=True)
        if given.out:  # after each, so that what was measured outlives what comes
            given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(failed)


def measured(name: str, benchmark: Benchmark, *, full: bool) -> dict[str, Row] | str:
    """Its figures, with the machine's load before and the seconds it took; or why there are none."""
    busy = psutil.cpu_percent(interval=0.5)
    began = perf_counter()
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            "--json",
            *(benchmark.full if full else benchmark.quick),
        ],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        rows: dict[str, Row] = json.loads(ran.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return (
            f"exit code {ran.returncode}: {(ran.stderr.strip().splitlines() or ['it printed nothing'])[-1]}"
        )
    return {**rows, "measured": f"in {perf_counter() - began:.0f} s; processors {busy:.0f} % busy before"}


def section(name: str, benchmark: Benchmark, rows: Mapping[str, Row], earlier: Mapping[str, Row]) -> str:
    lines = [f"\n{name}: {benchmark.says}" + (f" ({benchmark.against})" if benchmark.against else "")]
    width = max(map(len, rows))
    for figure, row in rows.items():
        then = earlier.get(figure)
        line = f"  {figure:<{width}}  {shown(row)}"
        if isinstance(row, dict) and isinstance(then, dict) and then["value"]:
            line += f"   was {shown({'value': then['value'], 'unit': then['unit']})}, {row['value'] / then['value'] - 1:+.0%}"
        lines.append(line)
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """What figures depend on."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": f"{_processor()}, {psutil.cpu_count()} logical cores, {memory:.0f} GB",
        "load": "{:.2f} {:.2f} {:.2f}".format(*psutil.getloadavg()),
        "revision": _first_line("git", "describe", "--always", "--dirty"),
        "python": f"{platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("understudy", "mcp", "anyio", "pydantic")),
        "programs": "; ".join(_first_line(name, "--version") for name in ("git", "rg", "bwrap", "node")),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown processor"
    return next(
        (line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line),
        "unknown processor",
    )


def _first_line(program: str, *words: str) -> str:
    if not shutil.which(program):
        return f"no {program}"
    ran = subprocess.run([program, *words], cwd=TREE, capture_output=True, text=True, check=False)
    line = (ran.stdout.splitlines() or [""])[0]
    return line if program in line or words[0] == "describe" else f"{program} {line}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="the sizes that documentation quotes")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {', '.join(BENCHMARKS)}, by commas")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures there as JSON")
    parser.add_argument("--against", type=Path, metavar="FILE", help="an earlier --out to compare with")
    given = parser.parse_args()
    given.only = given.only.split(",") if given.only else list(BENCHMARKS)
    if unknown := [name for name in given.only if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
