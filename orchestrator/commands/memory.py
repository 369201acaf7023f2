"""What agents remember beyond their conversations, and what earlier runs teach: list, search, add and delete."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError
from . import options as common

if TYPE_CHECKING:
    from ..memory.memory import Memory, Remembered

EXAMPLES = """\
Agents store and search by themselves where config.yaml says  memory: {enabled: true}  ; with
embeddings: ollama:nomic-embed-text  memories are found by meaning too, else by their words.

examples:
  understudy memory                                    the newest, of all agents
  understudy memory search "which parser"  --filter kind=decision
  understudy memory store "The parser is hand-written." --filter kind=decision
  understudy memory delete 3f9a
  understudy memory clear --agent lead
  understudy memory episodes "fix the tests" --success-only     earlier tasks like this one
  understudy memory rates "fix the tests" --by pattern          how often it went well, by model or by the tools used
  understudy memory episodes --export > episodes.jsonl
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=["list", "search", "store", "delete", "clear", "episodes", "rates"],
        metavar="ACTION",
        help="list (default), search, store, delete, clear, episodes, rates",
    )
    parser.add_argument("words", nargs="*", metavar="WORDS", help="what to look for, the text, or an id")
    parser.add_argument("--agent", metavar="NAME", help="of this agent alone (store: default lead)")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most N lines (default: 20)")
    parser.add_argument(
        "--filter",
        action="append",
        type=common.label,
        default=[],
        metavar="KEY=VALUE",
        help="only memories with this metadata; store: the metadata to keep with it",
    )
    parser.add_argument(
        "--importance", type=float, default=1.0, metavar="X", help="store: 0 to 1; below 0.7 is not kept"
    )
    parser.add_argument("--success-only", action="store_true", help="episodes, rates: only what went well")
    parser.add_argument(
        "--by", choices=["model", "agent", "pattern"], default="model", help="rates: of what (default: model)"
    )
    parser.add_argument("--export", action="store_true", help="episodes: as JSON lines, everything in them")
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    if options.limit < 1:
        raise ConfigError(f"--limit: wanted 1 or more, found {options.limit}")
    if options.action in ("episodes", "rates"):
        return _episodes(options)
    return anyio.run(_memories, options)


async def _memories(options: argparse.Namespace) -> int:
    from ..session.remembering import Remembering

    remembering = Remembering(common.config_of(options), common.told)
    agent = options.agent or ("lead" if options.action == "store" else None)
    try:
        return await _ACTIONS[options.action](remembering.of(agent), options, " ".join(options.words))
    finally:
        await remembering.aclose()


async def _list(memory: Memory, options: argparse.Namespace, words: str) -> int:
    return _shown(options, memory.all(options.limit, _filter(options)))


async def _search(memory: Memory, options: argparse.Namespace, words: str) -> int:
    if not words.strip():
        raise ConfigError("say what to look for, for example: understudy memory search parser")
    return _shown(options, await memory.retrieve(words, options.limit, _filter(options)))


async def _store(memory: Memory, options: argparse.Namespace, words: str) -> int:
    key = await memory.store(words, importance=options.importance, metadata=_filter(options))
    if options.json:
        common.print_json({"id": key, "kept": key is not None})
    elif key is None:
        sys.stdout.write(f"not kept: {options.importance:g} is below {memory.min_importance:g}\n")
    else:
        sys.stdout.write(f"remembered as {key}\n")
    return 0


async def _delete(memory: Memory, options: argparse.Namespace, words: str) -> int:
    if not options.words:
        raise ConfigError("say which to delete: an id, or several")
    gone = [memory.find(which) for which in options.words]  # all of them exist, or none is deleted
    for one in gone:
        memory.delete(one.id)
    if options.json:
        common.print_json({"deleted": [one.id for one in gone]})
    else:
        sys.stdout.write("".join(f"{one.id} is forgotten\n" for one in gone))
    return 0


async def _clear(memory: Memory, options: argparse.Namespace, words: str) -> int:
    if options.agent is None:
        raise ConfigError("say whose memories to delete: --agent NAME")
    count = memory.clear()
    if options.json:
        common.print_json({"deleted": count})
    else:
        sys.stdout.write(f"{count} memories of {options.agent} are forgotten\n")
    return 0


_ACTIONS = {"list": _list, "search": _search, "store": _store, "delete": _delete, "clear": _clear}


def _shown(options: argparse.Namespace, found: list[Remembered]) -> int:
    from ..sanitize import one_line
    from ..store.transcript import moment

    if options.json:
        common.print_json({"memories": [asdict(one) for one in found]})
    else:
        lines = [
            f"{one.id[:8]}  {moment(one.at)}  {one_line(one.agent, 20)}: {one_line(one.text, 200)}\n"
            for one in found
        ]
        sys.stdout.write("".join(lines) or "nothing is remembered that fits\n")
    return 0


def _filter(options: argparse.Namespace) -> Mapping[str, Any]:
    return dict(options.filter)


def _episodes(options: argparse.Namespace) -> int:
    from ..memory import episodes
    from ..store.database import Database

    task, only = " ".join(options.words), options.success_only
    many = 1000 if options.action == "rates" else options.limit
    database = Database()
    try:
        if task:
            found = episodes.similar(database, task, many, success_only=only)
        else:
            found = episodes.episodes(database, limit=many, success_only=only)
    finally:
        database.close()
    if options.action == "rates":
        return _rates(options, episodes.rates(found, options.by))
    if options.export:
        sys.stdout.writelines(f"{line}\n" for line in episodes.as_jsonl(found))
    elif options.json:
        common.print_json({"episodes": [asdict(one) | {"pattern": one.pattern} for one in found]})
    else:
        sys.stdout.write("".join(f"{episodes.line(one)}\n" for one in found) or "no run fits\n")
    return 0


def _rates(options: argparse.Namespace, found: list[Any]) -> int:
    from ..sanitize import one_line

    if options.json:
        common.print_json({"rates": [asdict(one) | {"share": round(one.share, 4)} for one in found]})
    else:
        lines = [f"{one.successes:5} of {one.runs:<5} {one_line(one.key, 120)}\n" for one in found]
        sys.stdout.write("".join(lines) or "no run fits\n")
    return 0
