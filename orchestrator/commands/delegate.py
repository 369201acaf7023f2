"""Hand one task to a local model: files in by path, a gate that decides, a receipt with the run's profile out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import anyio

from servers.ollama.ledger.runs import DELIVERED

from ..errors import ConfigError, RunError
from . import local
from . import options as common

EXAMPLES = f"""\
gates: syntax (code is always parsed), quotes, tests, tests=PATH, command=WORDS, max_changed_lines=N

{local.ENGINES}
examples:
  understudy delegate "Say in two sentences what this does." --file setup.py
  understudy delegate "Add docstrings." --file src/a.py --write edits --gate tests --ladder qwen3:8b,anthropic:claude-opus-5-5
  understudy delegate "List every person and year." --file letter.txt --schema people.json --gate quotes --json

exit codes: 0 accepted, or answered or written with nothing to check it, 1 not accepted (nothing was written)
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task")
    parser.add_argument("--model", default="auto", help="default: auto, the best by odds and seconds")
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        dest="files",
        metavar="PATH",
        help="material: a file, or lines of one as a.py#L10-40; repeatable",
    )
    parser.add_argument(
        "--write", metavar="PATH|edits|patch", help="put the result on disk instead of printing it"
    )
    parser.add_argument(
        "--gate", action="append", default=[], metavar="GATE", help="what must pass; repeatable"
    )
    parser.add_argument(
        "--ladder",
        default="",
        metavar="MODELS",
        help="models to try next, separated by commas; last those of vendors, within the budget",
    )
    parser.add_argument(
        "--deadline", type=float, dest="deadline_s", metavar="S", help="must be done within S seconds"
    )
    parser.add_argument("--max-output", type=int, metavar="TOKENS", help="cap of the answer")
    parser.add_argument("--schema", type=Path, metavar="FILE", help="JSON Schema the answer must follow")
    parser.add_argument(
        "--context", default="", metavar="TEXT", help="what the worker must know besides the files"
    )
    parser.add_argument("--think", action="store_true", help="let a thinking model think")
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    if not options.task.strip():
        raise ConfigError(
            'the task is empty; say what to do, for example: understudy delegate "Add docstrings." ...'
        )
    names = ("task", "model", "files", "write", "deadline_s", "max_output", "context")
    order = {name: getattr(options, name) for name in names}
    order |= {"gate": [a_gate(words) for words in options.gate], "schema": a_schema(options.schema)}
    order |= {"ladder": [name for name in options.ladder.split(",") if name], "think": options.think or None}
    from ..session.delegation import hand_over

    async with local.server(options) as session:
        try:
            receipt = (
                await hand_over(session, order, lambda done, total, said: local.progress(said))
            ).receipt
        except RunError as exc:
            raise RunError(_for_people(str(exc))) from exc
        finally:
            local.progress("")
    good = receipt["outcome"] in DELIVERED
    if options.json:
        common.print_json(receipt, ok=good)
    else:
        sys.stdout.write(_shown(receipt))
    return 0 if good else 1


def _for_people(said: str) -> str:
    """A refusal with the calls that would do, each in its sentence: their arguments are for programs."""
    sentence, _, advice = said.partition("\nadvice: ")
    try:
        return "\n".join([sentence, *(f"advice: {one['say']}" for one in json.loads(advice or "[]"))])
    except (ValueError, TypeError, KeyError):
        return said


def a_gate(words: str) -> Any:
    """A gate as a command line writes it: its name, or name=value."""
    name, sign, value = words.partition("=")
    if not sign:
        return name
    return {name: int(value) if name == "max_changed_lines" and value.isdigit() else value}


def a_schema(path: Path | None) -> Any:
    """The JSON Schema in a file. Raises ConfigError."""
    if path is None:
        return None
    try:
        return local.read_json(path.read_text(encoding="utf-8"), f"--schema {path}")
    except OSError as exc:
        raise ConfigError(f"cannot read --schema {path}: {exc.strerror or exc}") from exc


def _shown(record: dict[str, Any]) -> str:
    from servers.ollama.ledger.receipt import Receipt

    from ..sanitize import visible
    from ..terminal.screen.receipt_view import answer_in, receipt_lines

    receipt = Receipt.model_validate(record)
    answer = f"{visible(answer_in(receipt)).rstrip()}\n\n" if receipt.answer and not receipt.files else ""
    diff = f"\n{visible(receipt.diff).rstrip()}\n" if receipt.diff else ""
    return answer + "".join(f"{local.wrapped(text)}\n" for text, _ in receipt_lines(receipt)) + diff
