"""What deciding on and containing a command costs, as ratios against a bare subprocess measured in the same run.

    python -m benchmarks.shell [--rounds N] [--json]

| figure | against | aim on a quiet machine |
|---|---|---|
| supervised, no sandbox | `bash -c true` by subprocess | at most 8 |
| supervised, Landlock | the same | at most 8 |
| supervised, bubblewrap | the same | at most 16 |
| bubblewrap alone | the same | the floor of the line above |
| through the server (tools/call), as models call: a moment apart | the same | at most 12 |
| a second call at once, whose sandbox is not set up yet | the same | - |
| a decision, short and long | the same | at most 0.2 and 0.5 |

The rows with bubblewrap pay for its mounts before each command; the server sets a sandbox up while nobody waits.
Supervised means all of it: fork server, control groups, spool with masking, the whole tree ended.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import anyio
from mcp import Client

from benchmarks.ratios import ratio, report
from servers.shell.jobs.shell import Shell
from servers.shell.policy.judge import Judge
from servers.shell.policy.rules import BUILT_IN
from servers.shell.sandbox import bubblewrap, landlock
from servers.shell.sandbox.sandbox import Level, Sandbox
from servers.shell.server import build

SHORT = "ls -la"
LONG = (
    "cd src && for f in *.py; do grep -n 'def ' \"$f\" | head -5; done; python3 -m pytest -q 2>&1 | tail -20"
)

THINKING_S = 0.5
"""Less than any model needs between two calls."""

AT_MOST = {
    "supervised, none": 8,
    "supervised, landlock": 8,
    "supervised, bwrap": 16,
    "through the server": 12,
    "a short decision": 0.2,
    "a long decision": 0.5,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=25, help="runs of each, taken in turn (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "project")
        root.mkdir()
        os.environ["UNDERSTUDY_HOME"] = str(Path(folder, "state"))
        medians = anyio.run(measure, root, options.rounds)
    bare = medians["bare subprocess"]
    rows = {f"{name} / bare subprocess": ratio(s, bare) for name, s in medians.items() if s is not bare}
    report(rows, as_json=options.json, at_most=AT_MOST)


async def measure(root: Path, rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turn so that a busy moment hits all alike."""
    shells = {
        level: Shell(root=root, policy=BUILT_IN, sandbox=Sandbox(root=root, level=level, why=""))
        for level in levels(root)
    }
    highest = list(shells)[-1]
    served = Shell(root=root, policy=BUILT_IN, sandbox=shells[highest].sandbox)
    judge = Judge(policy=BUILT_IN, root=root, level="bwrap")
    async with Client(build(served)) as client:
        work: dict[str, Callable[[], Awaitable[object]]] = {"bare subprocess": bare}
        if "bwrap" in shells:
            work["bubblewrap alone"] = lambda: raw_bwrap(root, shells["bwrap"])
        work |= {f"supervised, {level}": (lambda s=shell: supervised(s)) for level, shell in shells.items()}
        work["through the server"] = lambda: client.call_tool("run_command", {"command": "true"})
        work["a second call at once"] = work["through the server"]
        work["a short decision"] = lambda: decided(judge, SHORT)
        work["a long decision"] = lambda: decided(judge, LONG)
        times: dict[str, list[float]] = {name: [] for name in work}
        for turn in range(rounds + 2):
            for name, run in work.items():
                if name == "through the server":
                    await anyio.sleep(THINKING_S)
                begun = perf_counter()
                await run()
                if turn >= 2:  # the first start the fork servers
                    times[name].append(perf_counter() - begun)
    for shell in (*shells.values(), served):
        shell.close()
    return {name: statistics.median(each) for name, each in times.items()}


def levels(root: Path) -> list[Level]:
    """The rungs that work here, the highest last."""
    return [
        "none",
        *(["landlock"] if landlock.abi() else []),
        *(["bwrap"] if not bubblewrap.failure(root) else []),
    ]


async def bare() -> None:
    subprocess.run(["bash", "-c", "true"], stdin=subprocess.DEVNULL, check=True)  # noqa: ASYNC221  (the floor itself)


async def raw_bwrap(root: Path, shell: Shell) -> None:
    argv = bubblewrap.wrapped(
        root, ["bash", "-c", "true"], cwd=root, env=shell.environment({}), network=False
    )
    subprocess.run(argv, stdin=subprocess.DEVNULL, check=True)  # noqa: ASYNC221


async def supervised(shell: Shell) -> None:
    job = await shell.start("true", None, timeout_s=20)
    await job.wait(20)
    assert job.ended and job.ended["exit"] == 0, job.failure


async def decided(judge: Judge, command: str) -> None:
    assert replace(judge).text(command).effect == "allow"


if __name__ == "__main__":
    main()
