"""What does bulk work cost a lead? Its tokens when content passes through it, against paths in and receipts out.

    python -m benchmarks.offload

Every task is done twice with our real servers, in two copies of one project: once by a lead that reads with the files
server and writes what it made itself, once by delegating. The worker is a simulated Ollama that does the task without
fault, so both ends hold the same bytes, which is checked. Counted is what enters or leaves the lead's context once: its
tool calls and their results; a real lead pays for most of it again on every later turn. Aim: at least 10 times fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.ratios import Row, figure, report
from servers.files.server import build as files_server
from servers.ollama.engines.ollama import Ollama
from servers.ollama.server import build as ollama_server
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, SimulatedModel
from servers.protocol.lifecycle import configure_logging

AIM = 10.0
MODEL = SimulatedModel(name="worker:latest", context_length=131072)
_DATA = re.compile(r"<<data (\w+) ([^\n>]*)>>\n([\s\S]*?)\n?<<end \1>>")


@dataclass(frozen=True)
class Bulk:
    """One task: its files, and what it writes, as a function of them."""

    name: str
    say: str
    files: Mapping[str, str]
    write: str
    """A path, or "edits"."""
    done: Callable[[Mapping[str, str]], Mapping[str, str]]


def main() -> int:
    """Print the table; 1 when the aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    configure_logging("error")
    rows = anyio.run(_measure)
    through, delegated = sum(row[1] for row in rows), sum(row[2] for row in rows)
    ratio = through / delegated
    if given.json:
        figures: dict[str, Row] = {"all, tokens of the lead / delegated": figure(ratio)}
        figures |= {f"{name}, tokens of the lead / delegated": figure(a / b) for name, a, b in rows}
        report(figures, as_json=True, at_least={"all": AIM})
        return int(ratio < AIM)
    print(f"{'task':24} {'through the lead':>18} {'delegated':>11} {'ratio':>8}")
    for name, a, b in rows:
        print(f"{name:24} {a:>11,} tokens {b:>11,} {a / b:>8.1f}")
    print(f"{'all':24} {through:>11,} tokens {delegated:>11,} {ratio:>8.1f}   (aim: {AIM:.0f})")
    return int(ratio < AIM)


async def _measure() -> list[tuple[str, int, int]]:
    rows: list[tuple[str, int, int]] = []
    for task in TASKS:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
            os.environ["UNDERSTUDY_HOME"] = home
            own, handed = Path(folder, "own"), Path(folder, "handed")
            for root in (own, handed):
                _lay_out(root, task.files)
            through = await _through_the_lead(own, task)
            delegated = await _delegated(handed, task)
            if _tree(own) != _tree(handed):
                raise SystemExit(f"{task.name}: the two ends differ on disk")
            rows.append((task.name, through, delegated))
    return rows


async def _through_the_lead(root: Path, task: Bulk) -> int:
    """Tokens of reading every file and writing every result."""
    spent = 0
    async with Client(files_server([str(root)])) as client:
        for path in task.files:
            offset = 1
            while offset:
                text, cost = await _call(client, "read_file", path=path, offset=offset)
                spent += cost
                more = re.search(r"more: offset=(\d+)\s*$", text)
                offset = int(more[1]) if more else 0
        for path, content in task.done(task.files).items():
            if path in task.files:
                for edit in _edits(task.files[path], content):
                    spent += (await _call(client, "edit_file", path=path, edits=[edit]))[1]
            else:
                spent += (await _call(client, "write_file", path=path, content=content))[1]
    return spent


async def _delegated(root: Path, task: Bulk) -> int:
    """Tokens of one delegation."""
    world = World(machine=Machine(MODEL), answers=lambda body: _answer(task, body))
    async with simulated(world) as url, Client(ollama_server([str(root)], Ollama(url))) as client:
        arguments = {"task": task.say, "files": list(task.files), "write": task.write, "model": "worker"}
        text, spent = await _call(client, "delegate", **arguments)
        if not text.startswith(('{"outcome": "accepted"', '{"outcome": "written"')):
            raise SystemExit(f"{task.name}: {text[:600]}")
    return spent


def _answer(task: Bulk, body: Mapping[str, Any]) -> str:
    """The faultless worker: it works on what stands between the fences of its prompt, and on nothing else."""
    given = {name: f"{text}\n" for _, name, text in _DATA.findall(body["messages"][-1]["content"])}
    made = task.done(given)
    if task.write != "edits":
        return f"```\n{made[task.write]}```"
    blocks = [
        f"{path}\n<<<<<<< SEARCH\n{edit['old'].rstrip(chr(10))}\n=======\n{edit['new'].rstrip(chr(10))}\n>>>>>>> REPLACE"
        for path, new in made.items()
        for edit in _edits(given[path], new)
    ]
    return "\n".join(blocks)


def _edits(old: str, new: str) -> list[dict[str, str]]:
    """Line edits from one text to another that has as many lines."""
    pairs = zip(old.splitlines(keepends=True), new.splitlines(keepends=True), strict=True)
    return [{"old": a, "new": b} for a, b in pairs if a != b]


async def _call(client: Client, tool: str, **arguments: Any) -> tuple[str, int]:
    """(the result's text, tokens of the call and the result)."""
    result = await client.call_tool(tool, arguments)
    text = "\n".join(part.text for part in result.content if part.type == "text")
    if result.is_error:
        raise SystemExit(f"{tool}: {text}")
    return text, _tokens(json.dumps({"name": tool, "arguments": arguments})) + _tokens(text)


def _tokens(text: str) -> int:
    try:
        import bpe_openai
    except ImportError:
        return len(text) // 4
    return len(bpe_openai.get_encoding("o200k_base").encode(text))


def _lay_out(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


def _tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


WORDS = [
    "the",
    "server",
    "keeps",
    "every",
    "change",
    "small",
    "and",
    "says",
    "what",
    "it",
    "did",
    "so",
    "that",
    "a",
    "reader",
    "can",
    "follow",
    "it",
    "later",
]


def _prose(seed: int, sentences: int) -> str:
    lines = [f"# Note {seed}", ""]
    for n in range(sentences):
        turned = WORDS[(seed + n) % len(WORDS) :] + WORDS[: (seed + n) % len(WORDS)]
        lines.append(" ".join([*turned, str(seed * 1000 + n)]) + ".")
    return "\n".join(lines) + "\n"


def _module(seed: int, functions: int) -> str:
    parts = [f'"""Module {seed}."""\n\nfrom shared import old_name\n']
    parts += [
        f"\n\ndef step_{seed}_{n}(value):\n    return old_name(value + {n})\n" for n in range(functions)
    ]
    return "".join(parts)


def _index(files: Mapping[str, str]) -> Mapping[str, str]:
    return {
        "index.md": "".join(
            f"- {path}: {text.splitlines()[2][:60]}\n" for path, text in sorted(files.items())
        )
    }


def _numbers(files: Mapping[str, str]) -> Mapping[str, str]:
    found = {path: sum(map(int, re.findall(r"\d{4,}", text))) for path, text in sorted(files.items())}
    return {"sums.json": json.dumps(found, indent=1) + "\n"}


def _renamed(files: Mapping[str, str]) -> Mapping[str, str]:
    return {
        path: text.replace("from shared import old_name", "from shared import new_name, old_name").replace(
            "return old_name(value + 0)", "return new_name(value + 0)"
        )
        for path, text in files.items()
    }


def _merged(files: Mapping[str, str]) -> Mapping[str, str]:
    body = "".join(text.split("\n\n\n", 1)[1].rstrip("\n") + "\n\n\n" for _, text in sorted(files.items()))
    return {"all_steps.py": f'"""Every step."""\n\nfrom shared import old_name\n\n\n{body.rstrip()}\n'}


_NOTES = {f"notes/n{n:02}.md": _prose(n, 60) for n in range(20)}
_MODULES = {f"app/m{n:02}.py": _module(n, 40) for n in range(12)}

TASKS: Sequence[Bulk] = (
    Bulk(
        "index 20 notes", "List every note with the start of its first sentence.", _NOTES, "index.md", _index
    ),
    Bulk(
        "sum numbers of 20 notes", "Add up the numbers of each note, as JSON.", _NOTES, "sums.json", _numbers
    ),
    Bulk(
        "edit 12 modules",
        "Import new_name, and use it in the first step of each.",
        _MODULES,
        "edits",
        _renamed,
    ),
    Bulk("merge 12 modules", "Put all steps into one module.", _MODULES, "all_steps.py", _merged),
)

if __name__ == "__main__":
    sys.exit(main())
