"""Does a lead that reads nothing but the text of receipts meet its deadlines, with results that are right?

    python -m benchmarks.lead [--worlds 20] [--seed 0]

Twelve kinds of tasks go through the MCP server to a simulated Ollama with two models of unknown speed. As the lead sends
it, a task is too slow: it lets a thinking model think, names the slow model, and sends a whole file where the task names
a function of it. Its deadline is one that some other call meets (1.2 to 2 times the
quickest). One lead follows the first call that each receipt's text advises; the other sends its call again.
Durations are the simulation's; forecasts, gates, receipts and advice are the product's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.ratios import figure, report
from benchmarks.real import SUCCESS
from servers.ollama.engines.open import open_runtime
from servers.ollama.server import build
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from servers.protocol.lifecycle import configure_logging

CALLS = 3
EARLIER = 4
"""Runs of each model that the ledger holds before."""
LINES = 400
_CODE = "".join(f"def step_{n}(value):\n    return value + {n}\n\n\n" for n in range(LINES // 4))
_PROSE = "".join(
    f"Note {n}: the valve of tank {n} was closed at {n % 24}:00 by team {n % 7}.\n" for n in range(LINES)
)
_SHORT = "def add(a, b):\n    return a - b\n" + "".join(
    f"\n\ndef scaled_{n}(values):\n    return [value * {n} for value in values]\n" for n in range(2, 12)
)
_LETTER = "The boat leaves at nine. Please bring warm clothes and something to eat.\n" * 6
_BRIEF = "Das Boot legt um neun ab. Bitte bringt warme Kleider und etwas zu essen mit.\n" * 6
_OBJECT = {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]}


@dataclass(frozen=True)
class Kind:
    """One kind of task: the call without its faults, and the answer that every model here gives."""

    name: str
    call: Mapping[str, Any]
    answer: str
    text: str = _PROSE
    file: str = "notes.txt"


def _changed(old: str, new: str) -> str:
    return f"```python\n{_SHORT.replace(old, new)}```"


KINDS = (
    Kind("question", {"task": "Which team closed the valve of tank 11?"}, "Team 4 closed it."),
    Kind("count", {"task": "How many of these lines name team 3? Answer in words."}, "Nearly a seventh of them do."),
    Kind("extract", {"task": "Extract the team of the valve of tank 8.", "schema": _OBJECT}, '{"team": "1"}'),
    Kind("summary", {"task": "Summarize the notes."}, "Valves of all tanks were closed, one an hour, by seven teams."),
    Kind("quotes", {"task": "Quote what the notes say of tank 9.", "gate": "quotes"}, '"Note 9: the valve of tank 9 was closed at 9:00 by team 2."'),
    Kind("classify", {"task": "Is the tone of these notes neutral or angry? One word."}, "neutral"),
    Kind("translate", {"task": "Translate this letter into German."}, _BRIEF, _LETTER, "letter.txt"),
    Kind("explain", {"task": "Explain what step_7 does."}, "It adds seven to the value and returns the sum.", _CODE, "steps.py"),
    Kind("docstrings", {"task": "Give the function add a docstring.", "write": "edits"}, _changed("b):\n", 'b):\n    """The sum of both numbers."""\n'), _SHORT, "add.py"),
    Kind("fix", {"task": "add subtracts. Fix it.", "write": "edits"}, _changed("a - b", "a + b"), _SHORT, "add.py"),
    Kind("rename", {"task": "Rename the function add to plus.", "write": "edits"}, _changed("add(", "plus("), _SHORT, "add.py"),
    Kind("new file", {"task": "Write a function that doubles a number.", "write": "twice.py", "max_output": 60}, "```python\ndef twice(n):\n    return 2 * n\n```", _SHORT, "add.py"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=20, help="of each kind of task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    configure_logging("error")
    hits: dict[str, Counter[tuple[str, int]]] = {"following": Counter(), "ignoring": Counter()}
    for seed in range(given.seed, given.seed + given.worlds):
        for kind in KINDS:
            for lead, counted in hits.items():
                at = anyio.run(_hit_at, kind, random.Random(f"{seed} {kind.name}"), lead == "following")
                counted.update((kind.name, n) for n in range(at or CALLS + 1, CALLS + 1))
    tasks = given.worlds * len(KINDS)
    if given.json:
        rows = {
            f"deadlines met by call {CALLS} with right results, {lead}": figure(
                sum(counted[kind.name, CALLS] for kind in KINDS) / tasks, "%"
            )
            for lead, counted in hits.items()
        }
        report(rows, as_json=True, at_least={"following": 0.8})
        return
    print(f"{tasks} tasks of {len(KINDS)} kinds (simulated), met by call 1, 2, 3")
    for lead, counted in hits.items():
        shares = [sum(counted[kind.name, n] for kind in KINDS) / tasks for n in range(1, CALLS + 1)]
        worst = min(KINDS, key=lambda kind: counted[kind.name, CALLS])
        print(
            f"{lead:10}",
            *(f"{share:6.0%}" for share in shares),
            f"  least: {worst.name} {counted[worst.name, CALLS]}",
        )


async def _hit_at(kind: Kind, rng: random.Random, follows: bool) -> int | None:
    """The call at which the deadline was met with a right result; None when none did."""
    pace = 10 ** rng.uniform(0.5, 1.5)
    small = _model("small:latest", 1.5e9, pace)
    big = _model("big:latest", 7e9, pace * rng.uniform(3, 6))
    world = World(machine=Machine(small, big, noise=Noise(spread=0.08), seed=rng.getrandbits(32), room=2))
    world.answers = lambda _: kind.answer
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        os.environ["UNDERSTUDY_HOME"] = home
        path = Path(folder, kind.file)
        await anyio.Path(path).write_text(kind.text)
        async with simulated(world) as url, Client(build([folder], open_runtime(url))) as client:
            for n in range(EARLIER):  # what was done here before
                for model in ("small", "big"):
                    await _called(
                        client,
                        {"task": f"Say {n}.", "context": "word " * 60 * n, "model": model, "think": n == 3},
                    )
            call = {**kind.call, "files": [kind.file], "model": "big", "think": True}
            call["deadline_s"] = _deadline(kind, small, rng)
            return await _led(client, call, path, follows)


async def _led(client: Client, call: dict[str, Any], path: Path, follows: bool) -> int | None:
    before, asked = await anyio.Path(path).read_text(), call
    for n in range(1, CALLS + 1):
        receipt, text = await _called(client, asked)
        took_s = (receipt.get("profile") or {}).get("total_s") or 0.0
        if receipt.get("outcome") in SUCCESS and took_s <= call["deadline_s"]:
            return n
        if receipt.get("outcome") in SUCCESS:  # too late: what it wrote is undone for the next try
            await anyio.Path(path).write_text(before)
        if follows:
            asked = next((one["call"] for one in _advice(text) if one.get("call")), asked)
    return None


def _advice(text: str) -> Sequence[Mapping[str, Any]]:
    """What a receipt's text advises, be it a receipt or a refusal."""
    try:
        return json.loads(text).get("advice") or []
    except ValueError:
        return json.loads(text.partition("\nadvice: ")[2] or "[]")


async def _called(client: Client, call: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    result = await client.call_tool("delegate", dict(call))
    text = "".join(block.text for block in result.content if block.type == "text")
    return dict(result.structured_content or {}), text


def _model(name: str, params: float, pace: float) -> SimulatedModel:
    return SimulatedModel(
        name=name,
        params=params,
        size_bytes=params * 0.6,
        read_s=pace / 300,
        write_s=pace / 30,
        load_s=2.0 * pace,
    )


def _deadline(kind: Kind, small: SimulatedModel, rng: random.Random) -> float:
    """1.2 to 2 times what the quick model takes without thinking: on the function alone where the task names one."""
    named = kind.text is _CODE  # the task names one function of many
    read = 150 + (0 if named else len(kind.text) / small.chars_per_token)
    wrote = kind.call.get("max_output") or len(kind.answer) / small.chars_per_token
    return (small.reading_s(int(read), 0) + small.writing_s(int(wrote), int(read))) * rng.uniform(1.2, 2.0)


if __name__ == "__main__":
    main()
