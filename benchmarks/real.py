"""How much small everyday work do real small models get done, and is what is called success success?

    python -m benchmarks.real MODEL.gguf... [--half tune|earlier|report] [--kinds fix,quotes] [--follow] [--out ROWS.jsonl] [--json]

Every task of real_tasks.py (tune), real_earlier.py and real_languages.py (earlier) and real_report.py (report) goes once through the MCP server to the embedded engine, with the prompts as they are. A
checker that is not the gate looks at the end. With --out, rows lie in a file and what is there is not run again.

    right      handed over as a success, and right       false     its gate passed, and it is wrong
    unchecked  no gate looked at it, and it is wrong     rejected  not handed over, and rightly so
    lost       not handed over, although the worker's own answer was right

With --follow a caller that reads nothing but the text of a receipt sends, once, the call that a failure advises:
    second     right by then        yourself   a failure that said beforehand or afterwards to do it oneself
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.real_checks import Case, End
from benchmarks.real_earlier import EARLIER
from benchmarks.real_languages import LANGUAGES
from benchmarks.real_report import REPORTING
from benchmarks.real_tasks import TUNING
from servers.ollama.engines.embedded import Embedded
from servers.ollama.server import build
from servers.protocol.lifecycle import configure_logging
from servers.shell.policy.rules import Policy, load

SUCCESS = ("accepted", "answered", "written")
FOLLOWED = ("second", "yourself")
VERDICTS = ("right", "false", "unchecked", "rejected", "lost")
MAX_S = 900.0
_TOLD = ("answer", "data", "gate", "advice", "tried")
"""What of a receipt lies in a row, for whoever reads the answers."""


class Listening(Embedded):
    """The embedded engine, whose answers are kept for the checker; it stays loaded from one task to the next."""

    heard: list[str]

    async def aclose(self) -> None:
        """A server closes its engine when it ends; the next one here goes on with it."""

    async def _started(self, num_ctx: int) -> Any:
        self.close()
        return await super()._started(num_ctx)

    async def chat(self, query: Any, said: Any) -> Any:
        answer = await super().chat(query, said)
        self.heard.append(answer.text)
        return answer


def main() -> int:
    """Print the tables; 1 when more than 2 % of what gates accepted is wrong."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("models", nargs="+", type=Path, metavar="MODEL.gguf")
    args.add_argument("--half", choices=("tune", "earlier", "report"))
    args.add_argument("--kinds", type=lambda text: text.split(","), default=None)
    args.add_argument("--names", type=lambda text: text.split(","), default=None)
    args.add_argument("--follow", action="store_true", help="send the call that a failure advises")
    args.add_argument("--out", type=Path, help="a file of rows: read first, then added to")
    args.add_argument("--json", action="store_true", help="print the rows instead of tables")
    given = args.parse_args()
    configure_logging("error")
    cases = [
        case
        for case in (*TUNING, *EARLIER, *LANGUAGES, *REPORTING)
        if given.half in (None, case.half)
        and (given.kinds is None or case.kind in given.kinds)
        and (given.names is None or case.name in given.names)
    ]
    known = (
        [json.loads(line) for line in given.out.read_text().splitlines()]
        if given.out and given.out.exists()
        else []
    )
    rows: list[dict[str, Any]] = []
    for path in given.models:
        done = {row["task"]: row for row in known if row["model"] == path.stem}
        rows += [done[case.name] for case in cases if case.name in done]
        if left := [case for case in cases if case.name not in done]:
            rows += anyio.run(_run, path.absolute(), left, given.out, given.follow)
    print(json.dumps(rows) if given.json else "\n\n".join(_tables(rows)))
    counted = Counter(row["verdict"] for row in rows if row["outcome"] == "accepted")
    return 1 if counted["false"] > 0.02 * counted.total() else 0


async def _run(model: Path, cases: Sequence[Case], out: Path | None, follow: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        os.environ["UNDERSTUDY_HOME"] = home
        policy = _laid_out(Path(folder), Path(home), cases)
        engine = Listening(model)
        try:
            for case in cases:
                server = build([str(Path(folder, case.name))], engine, policy=policy)
                async with Client(server) as client:
                    rows.append(await _once(client, case, engine, Path(folder, case.name), follow))
                if out:
                    with out.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
        finally:
            engine.close()
    return rows


async def _once(client: Client, case: Case, engine: Listening, root: Path, follow: bool) -> dict[str, Any]:
    engine.heard = []
    began = time.perf_counter()
    receipt = await _delegated(client, case, engine.model_name)
    took_s = time.perf_counter() - began
    row = await anyio.to_thread.run_sync(_row, case, engine.model_name, receipt, engine.heard, root, took_s)
    if follow and row["outcome"] not in SUCCESS:
        row |= await _followed(client, case, receipt, root)
    print(
        f"{row['model']:10} {row['task']:16} {row['verdict']:9} {took_s:5.0f} s", file=sys.stderr, flush=True
    )
    return row


def _laid_out(folder: Path, home: Path, cases: Sequence[Case]) -> Policy:
    """Write the files of every task into a folder of its own."""
    (home / "policy.toml").write_text('allow = ["python3", "python", "node"]\n')
    for case in cases:
        (folder / case.name).mkdir()
        for name, text in case.files.items():
            (folder / case.name / name).write_bytes(text.encode())
    return load(home / "policy.toml")


async def _delegated(client: Client, case: Case, model: str) -> dict[str, Any]:
    receipt = await _call(client, case.tool, **case.call, model=model)
    with anyio.move_on_after(MAX_S):
        while receipt.get("outcome") == "running":
            receipt = await _call(client, "delegation", id=receipt["delegation"], action="wait")
    return receipt


async def _followed(client: Client, case: Case, receipt: dict[str, Any], root: Path) -> dict[str, Any]:
    """What came of the call that the receipt's text advises; whether it said to do it oneself."""
    try:
        advice = json.loads(receipt["text"]).get("advice") or []
    except ValueError:
        advice = []
    told = any(one["action"] == "do_it_yourself" for one in advice)
    call = next((one["call"] for one in advice if one.get("call")), None)
    if call is None:
        return {"advised": None, "yourself": told, "second": False}
    again = await _call(client, case.tool, **call)
    with anyio.move_on_after(MAX_S):
        while again.get("outcome") == "running":
            again = await _call(client, "delegation", id=again["delegation"], action="wait")
    files = await anyio.to_thread.run_sync(_files, root)
    end = End(answer=_plain(again.get("answer") or ""), data=again.get("data"), files=files)
    right = again.get("outcome") in SUCCESS and case.check(end)
    return {"advised": call, "yourself": told, "second": right}


async def _call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    given = {name: value for name, value in arguments.items() if value is not None}
    result = await client.call_tool(tool, given)
    said = "\n".join(block.text for block in result.content if block.type == "text")
    receipt = dict(result.structured_content or {"outcome": "failed", "reason": said})
    return {**receipt, "text_chars": len(said), "text": said}


def _row(
    case: Case, model: str, receipt: dict[str, Any], heard: Sequence[str], root: Path, took_s: float
) -> dict[str, Any]:
    outcome = receipt.get("outcome")
    files = _files(root)
    raw = heard[-1] if heard else ""
    if outcome in SUCCESS:
        answer = _plain(receipt.get("answer") or "")
        data = receipt.get("data")
        right = case.check(End(answer=answer, data=data, files=files))
        verdict = "right" if right else "false" if outcome == "accepted" else "unchecked"
    else:
        verdict = "lost" if any(case.check(end) for end in _ends(case, raw)) else "rejected"
    return {
        "model": model,
        "task": case.name,
        "kind": case.kind,
        "half": case.half,
        "form": receipt.get("form") or _asked_form(case),
        "outcome": outcome,
        "verdict": verdict,
        "reason": receipt.get("reason"),
        "runs": len(heard),
        "seconds": round(took_s, 1),
        "receipt_chars": receipt["text_chars"],
        "answer": raw[:1500],
        "told": {key: receipt[key] for key in _TOLD if receipt.get(key)},
        "changed": {name: text for name, text in files.items() if case.files.get(name) != text},
    }


def _files(root: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in root.iterdir() if path.is_file()}


def _asked_form(case: Case) -> str:
    write = case.call.get("write")
    return (
        "data"
        if case.call.get("schema")
        else "answer"
        if not write
        else write
        if write == "edits"
        else "file"
    )


def _plain(answer: str) -> str:
    """An answer without the fence around it in a receipt."""
    return re.sub(r"^<<data [^\n]*>>\n|\n?<<end [^\n]*>>\s*$", "", answer.strip())


def _ends(case: Case, raw: str) -> list[End]:
    """What a rejected answer might have been, read with good will."""
    if not case.call.get("write"):
        try:
            return [End(answer=raw, data=json.loads(raw), files=case.files)]
        except ValueError:
            return [End(answer=raw, files=case.files)]
    target = case.call["write"] if case.call["write"] != "edits" else next(iter(case.files))
    blocks = [raw, *re.findall(r"^```[^\n]*\n([\s\S]*?)^```", raw, re.MULTILINE)]
    return [End(files={**case.files, target: block}) for block in blocks]


def _tables(rows: Sequence[dict[str, Any]]) -> list[str]:
    tables: list[str] = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        more = "".join(f"{name:>8}" for name in FOLLOWED) if any("second" in row for row in mine) else ""
        lines = [
            f"{model:24}{'tasks':>6}"
            + "".join(f"{v:>10}" for v in VERDICTS)
            + f"{'median s':>10}{'runs':>6}{more}"
        ]
        for by in ("half", "kind", "form"):
            lines += [
                _line(value, [r for r in mine if r[by] == value])
                for value in dict.fromkeys(r[by] for r in mine)
            ]
        tables.append("\n".join([*lines, _line("all", mine)]))
    return tables


def _line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    found = Counter(row["verdict"] for row in rows)
    seconds = sorted(row["seconds"] for row in rows)[len(rows) // 2]
    runs = sum(row["runs"] for row in rows) / len(rows)
    return (
        f"  {name:22}{len(rows):>6}"
        + "".join(f"{found[v]:>10}" for v in VERDICTS)
        + f"{seconds:>10.0f}{runs:>6.1f}"
        + "".join(
            f"{sum(bool(row.get(name)) for row in rows):>8}"
            for name in FOLLOWED
            if any("second" in row for row in rows)
        )
    )


if __name__ == "__main__":
    sys.exit(main())
