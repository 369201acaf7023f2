"""Do gates hold? Seeded bad candidates against every gate: false accepts, bytes on disk at every moment, time added.

    python -m benchmarks.gates [--each 20]

A recited worker answers with candidates that are bad by construction or by trial: a mutant counts as bad only when
the function it defines really differs from the good one. A reader polls the tree all the while and must only ever see
the bytes from before. Aim: no bad candidate accepted, no good one refused, no moment with other bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import anyio
from mcp import Client

from benchmarks.ratios import Row, figure, report
from servers.ollama.engines.replay import Recited
from servers.ollama.server import build
from servers.protocol.lifecycle import configure_logging

GOOD = '''def clamp(value, low, high):
    """`value`, but at least `low` and at most `high`."""
    if value < low:
        return low
    if value > high:
        return high
    return value
'''
BEFORE = '''def clamp(value, low, high):
    """`value`, but at least `low` and at most `high`."""
    return value
'''
TESTS = """import unittest

from clamp import clamp


class Clamps(unittest.TestCase):
    def test_every_side(self):
        for value, wanted in ((-9, -2), (-2, -2), (0, 0), (3, 3), (4, 3), (99, 3)):
            self.assertEqual(clamp(value, -2, 3), wanted)
"""
NOTES = "The gate closes at five.\nIt opens again at nine, but not on Sundays.\nNobody has a key.\n"
COMMAND = {"command": "python3 -m unittest -q"}
SCHEMA = {
    "type": "object",
    "properties": {
        "opens": {"type": "integer", "minimum": 0, "maximum": 23},
        "days": {"type": "array", "maxItems": 7},
    },
    "required": ["opens", "days"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Case:
    """One candidate: what the worker says, what is asked of it, and whether it is good."""

    gate: str
    answer: str
    arguments: dict[str, Any]
    good: bool = False


@dataclass
class Tally:
    bad: int = 0
    accepted: int = 0
    good: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    """Print the table; 1 when a gate failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--each", type=int, default=20, help="bad candidates for each gate (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    configure_logging("error")
    table, moments, strange = anyio.run(_measure, _cases(given.each, random.Random(given.seed)))
    failed = bool(strange) or any(t.accepted or t.refused for t in table.values())
    if given.json:
        report(figures(table, strange), as_json=True, at_most=dict.fromkeys(figures(table, strange), 0))
        return int(failed)
    print(f"{'gate':18} {'bad':>5} {'accepted':>9} {'good':>5} {'refused':>8} {'median s':>9}")
    for gate, t in table.items():
        print(
            f"{gate:18} {t.bad:>5} {t.accepted:>9} {t.good:>5} {t.refused:>8} {median(t.seconds or [0]):>9.3f}"
        )
    print(
        f"the reader looked {moments:,} times at the tree while bad candidates were judged; {strange} times it was not as before"
    )
    return int(failed)


def figures(table: Mapping[str, Tally], strange: int) -> dict[str, Row]:
    tallies = table.values()
    accepted, bad = sum(t.accepted for t in tallies), sum(t.bad for t in tallies)
    refused, good = sum(t.refused for t in tallies), sum(t.good for t in tallies)
    return {
        f"bad candidates accepted, of {bad}": figure(accepted, "candidates"),
        f"good candidates refused, of {good}": figure(refused, "candidates"),
        "moments at which the tree was not as before": figure(strange, "moments"),
    }


async def _measure(cases: list[Case]) -> tuple[dict[str, Tally], int, int]:
    table: dict[str, Tally] = {}
    moments = strange = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_HOME"] = str(Path(folder, "home"))
        for number, case in enumerate(cases):
            tree = Path(folder, "tree")
            _lay_out(tree)
            runtime = _recited(Path(folder, f"r{number}.json"), case)
            with _watched(tree) as seen:
                receipt = await _delegated(tree, runtime, case)
            _count(table.setdefault(case.gate, Tally()), case, receipt)
            if not case.good:
                moments += sum(seen.values())
                strange += sum(count for state, count in seen.items() if state != _STATE)
    return table, moments, strange


def _count(tally: Tally, case: Case, receipt: dict[str, Any]) -> None:
    accepted = receipt["outcome"] == "accepted"
    if case.good:
        tally.good += 1
        tally.refused += not accepted
    else:
        tally.bad += 1
        tally.accepted += accepted
    if checks := receipt.get("gate", {}).get("checks"):  # left out where there is nothing to tell of them
        tally.seconds.append(sum(check.get("took_s", 0.0) for check in checks))


def _recited(script: Path, case: Case) -> Recited:
    words = {"models": [{"name": "w"}], "answers": [{"text": case.answer}]}
    script.write_text(json.dumps(words), encoding="utf-8")
    return Recited(str(script))


async def _delegated(tree: Path, runtime: Recited, case: Case) -> dict[str, Any]:
    async with Client(build([str(tree)], runtime)) as client:
        result = await client.call_tool("delegate", {"task": "do it", **case.arguments})
    found = result.structured_content
    if not isinstance(found, dict):
        raise SystemExit(f"{case.gate}: {result.content}")
    return found


_FILES = {"clamp.py": BEFORE, "test_clamp.py": TESTS, "notes.md": NOTES}
_STATE = repr({path: text.encode() for path, text in sorted(_FILES.items())})


def _lay_out(tree: Path) -> None:
    tree.mkdir(exist_ok=True)
    for path, text in _FILES.items():
        (tree / path).write_text(text, encoding="utf-8")


@contextmanager
def _watched(tree: Path) -> Generator[dict[str, int]]:
    """How often each state of the tree was seen meanwhile."""
    seen: dict[str, int] = {}
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.001):
            try:
                state = repr({p.name: p.read_bytes() for p in sorted(tree.iterdir())})
            except OSError as exc:
                state = repr(exc)
            seen[state] = seen.get(state, 0) + 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield seen
    finally:
        end.set()
        reader.join()


def _cases(each: int, chance: random.Random) -> list[Case]:
    write = {"files": ["clamp.py"], "write": "clamp.py"}
    edits = {"files": ["clamp.py"], "write": "edits"}
    cases = [
        Case("command", f"```python\n{GOOD}```", {**write, "gate": COMMAND}, good=True),
        Case("tests", f"```python\n{GOOD}```", {**write, "gate": "tests"}, good=True),
        Case("syntax", GOOD, write, good=True),
        Case("edits", _edit("    return value", "    return max(low, min(value, high))"), edits, good=True),
        Case("max_changed_lines", GOOD, {**write, "gate": {"max_changed_lines": 4}}, good=True),
        Case(
            "quotes", 'It says "opens again at nine".', {"files": ["notes.md"], "gate": "quotes"}, good=True
        ),
        Case("schema", '{"opens": 9, "days": ["Mon"]}', {"schema": SCHEMA}, good=True),
    ]
    for _ in range(each):
        mutant = _mutant(chance)
        cases += [
            Case("command", f"```python\n{mutant}```", {**write, "gate": COMMAND}),
            Case("syntax", _broken(chance), write),
            Case("edits", _stray(chance), edits),
            Case(
                "max_changed_lines",
                GOOD + "#\n" * chance.randint(1, 30),
                {**write, "gate": {"max_changed_lines": 4}},
            ),
            Case("quotes", _misquoted(chance), {"files": ["notes.md"], "gate": "quotes"}),
            Case("schema", _misfit(chance), {"schema": SCHEMA}),
        ]
    cases += [Case("tests", _mutant(chance), {**write, "gate": "tests"}) for _ in range(min(each, 5))]
    return cases


def _mutant(chance: random.Random) -> str:
    """The good function with small changes after which it really does something else."""
    while True:
        lines: list[str] = [*GOOD.splitlines()]
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(2, len(lines))
            swaps = [
                ("<", ">"),
                (">", "<"),
                ("low", "high"),
                ("high", "low"),
                ("value", "low"),
                ("<", ">="),
                (">", "!="),
            ]
            old, new = chance.choice(swaps)
            lines[at] = lines[at].replace(old, new, 1)
        mutant = "\n".join(lines) + "\n"
        if mutant != GOOD and _differs(mutant):
            return mutant


def _differs(code: str) -> bool:
    made: dict[str, Any] = {}
    try:
        exec(code, made)  # our own mutant of our own ten lines
    except SyntaxError:
        return False  # another gate's business
    return any(made["clamp"](v, -2, 3) != max(-2, min(v, 3)) for v in range(-12, 120))


def _broken(chance: random.Random) -> str:
    """The good function with a character gone or added where Python minds."""
    while True:
        at = chance.randrange(len(GOOD))
        code = GOOD[:at] + chance.choice(["", "(", ":", "'", "\n    ", "return return "]) + GOOD[at + 1 :]
        try:
            compile(code, "x", "exec")
        except (SyntaxError, ValueError):
            return code


def _stray(chance: random.Random) -> str:
    """An edit that means another file, another text, or several places."""
    return chance.choice(
        [
            _edit("Nobody has a key.", "I have a key.", "notes.md"),
            _edit(
                "    return value",
                "    return low",
                chance.choice(["../clamp.py", "/etc/passwd", ".git/config", "Clamp.py"]),
            ),
            _edit("    return", "    return low"),
            _edit("", "import os"),
            _edit(f"    return {chance.choice(['val', 'values', 'value or low'])}", "    return low"),
            _edit("    return value", "    return low").replace(">>>>>>> REPLACE", ""),
            _edit("    return value", "    return low").replace("=======", "-------"),
            "No change is needed.",
            json.dumps({"edits": [{"path": "clamp.py", "old": "    return values", "new": "x"}]}),
        ]
    )


def _misquoted(chance: random.Random) -> str:
    """A true sentence of the notes with one word of it changed, dropped or doubled, in quotes."""
    words = re.findall(r"\S+", chance.choice(NOTES.splitlines()))
    at = chance.randrange(len(words))
    words[at : at + 1] = chance.choice(
        [[words[at] + "s"], [words[at], words[at]], [words[at].swapcase()], ["perhaps"]]
    )
    quote = " ".join(words)
    marks = chance.choice(
        [('"', '"'), ("“", "”"), ("«", "»"), ('Truly "at five", and "', '"'), ("> ", ""), ('"', "")]
    )
    return f"{marks[0]}{quote}{marks[1]}"


def _misfit(chance: random.Random) -> str:
    value: dict[str, Any] = {"opens": 9, "days": ["Mon"]}
    change = chance.choice(["drop", "type", "range", "extra", "long", "prose", "cut"])
    match change:
        case "drop":
            del value[chance.choice(["opens", "days"])]
        case "type":
            value["opens"] = chance.choice(["9", None, 9.5, [9]])
        case "range":
            value["opens"] = chance.choice([-1, 24, 10**9])
        case "extra":
            value["note"] = "x"
        case "long":
            value["days"] = list(range(8 + chance.randrange(9)))
        case "prose":
            return f"The answer is {json.dumps(value)}."
        case _:
            return json.dumps(value)[: -chance.randint(1, 5)]
    return json.dumps(value)


def _edit(old: str, new: str, path: str = "clamp.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


if __name__ == "__main__":
    sys.exit(main())
