"""What several commands take: configuration, model, output; and how they ask the person."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError
from ..events import Emit, Event, Notice
from ..sanitize import visible
from ..tools import fitting

if TYPE_CHECKING:
    from ..config.load import Config
    from ..session.panels import Person
    from ..store.recorder import Recorder
    from ..tools import Approve


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read this configuration instead of config.yaml"
    )
    parser.add_argument(
        "--mcp", type=Path, metavar="FILE", help="read the servers from this file instead of mcp.json"
    )
    parser.add_argument(
        "--trust", action="store_true", help="trust this folder's config.yaml and mcp.json from now on"
    )


def add_tools(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tools",
        action="append",
        metavar="MODULE[:FUNCTION]",
        help="offer Python functions too; a module, or file.py; repeatable",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def add_stdin(parser: argparse.ArgumentParser, meaning: str) -> None:
    """A dash behind the words, for the rest of them on standard input."""
    parser.add_argument("stdin", nargs="?", type=_dash, metavar="-", help=meaning)


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="answer yes to every confirmation a tool asks for")


def add_budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget-usd", type=float, metavar="USD", help="spend at most this much on models")


def add_label(
    parser: argparse.ArgumentParser,
    meaning: str = "a label of what is spent, for cost --by label",
) -> None:
    parser.add_argument(
        "--label",
        action="append",
        type=label,
        default=[],
        metavar="KEY=VALUE",
        help=meaning,
    )


def _dash(text: str) -> str:
    if text != "-":
        raise argparse.ArgumentTypeError(
            f"found {text!r} behind the text; several words want quotes around them"
        )
    return text


def label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"wanted KEY=VALUE, for example team=red, found {text!r}")
    return key, value


def add_team(parser: argparse.ArgumentParser) -> None:
    """Where a run is kept besides this machine."""
    parser.add_argument(
        "--team",
        action="store_true",
        help="keep it in the team's database too: any machine can go on with it",
    )
    add_db(parser)


def add_db(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--db",
        default=os.environ.get("UNDERSTUDY_DB"),
        metavar="URL",
        help="the team's PostgreSQL, postgresql://... (default: UNDERSTUDY_DB); needs the extra `team`",
    )


def database_of(options: argparse.Namespace) -> str:
    """Raises ConfigError where none is named."""
    if not options.db:
        raise ConfigError("which database? --db postgresql://HOST/NAME, or UNDERSTUDY_DB")
    return str(options.db)


def config_of(options: argparse.Namespace) -> Config:
    """The configuration these options ask for. Raises ConfigError."""
    from ..config.load import load_config

    flags = {
        key: getattr(options, key, None)
        for key in ("max_rounds", "max_tokens", "temperature", "run_timeout_s", "budget_usd", "tools")
    }
    config = load_config(
        options.config,
        mcp=options.mcp,
        approve=(lambda path, asked: True) if options.trust else None,
        default_model=getattr(options, "model", None),
        display__format=getattr(options, "format", None),
        display__quiet=getattr(options, "quiet", False) or None,
        **flags,
        labels=dict(getattr(options, "label", [])) or None,
    )
    for notice in config.notices:
        sys.stderr.write(f"understudy: {notice}\n")
    return config


def only(config: Config, servers: Sequence[str]) -> Config:
    """The configuration with these servers alone, all when none is named. Raises ConfigError."""
    if strange := [name for name in servers if name not in config.servers]:
        known = ", ".join(config.servers) or "none"
        raise ConfigError(f"no server {strange[0]!r} is configured; there are {known}")
    return config.model_copy(
        update={"servers": {name: config.servers[name] for name in servers or config.servers}}
    )


def recorder_of(options: argparse.Namespace, config: Config, show: Emit) -> Recorder:
    """What keeps the conversation. Raises StoreError."""
    from ..store.recorder import open_conversation
    from ..store.store import Store, StoreError

    try:
        store = Store(later=True)
    except StoreError as exc:
        if options.resume:
            raise
        show(Notice(text=f"nothing of this conversation will be kept: {exc}", level="warning"))
        return open_conversation(None)
    recorder = open_conversation(store, which=options.resume, folder=config.folder, emit=show)
    if options.no_keep:
        recorder.close()
        recorder.store = recorder.session = None
    return recorder


def approve_of(options: argparse.Namespace) -> Approve | None:
    """How confirmations are answered: --yes, or a question at the terminal; None where nobody can be asked."""
    if options.yes:
        return _yes
    return _at_the_terminal if sys.stdin.isatty() and sys.stderr.isatty() else None


def person_of(approve: Approve | None) -> Person | None:
    """How a pattern asks whether to go on; None where nobody can be asked, and it has to wait."""
    if approve is None:
        return None

    async def person(question: str) -> str:
        return await approve(question, ["yes", "no"]) or "no"

    return person


def print_json(record: Mapping[str, Any], *, ok: bool = True) -> None:
    """One object on one line, as `results` describes it. `ok`: whether the command did what it was asked for.

    ASCII alone: every stream can carry it, and no terminal finds anything in it to obey.
    """
    sys.stdout.write(json.dumps({"ok": ok, **record}) + "\n")


async def _yes(question: str, choices: Sequence[str]) -> str | None:
    return choices[0] if choices else None


async def _at_the_terminal(question: str, choices: Sequence[str]) -> str | None:
    """None at the end of what there is to read. What is no choice decides nothing."""
    sys.stderr.write(f"{visible(question)}\n")
    while True:
        sys.stderr.write(f"{_between(choices)} ")
        sys.stderr.flush()
        if sys.platform != "win32":  # Ctrl-C ends this wait, but would not end a thread that reads
            await anyio.wait_readable(sys.stdin)
        answer = await anyio.to_thread.run_sync(sys.stdin.readline)
        if not answer:
            return None
        if (fits := fitting(answer.rstrip("\n"), choices)) is not None:
            return fits
        sys.stderr.write(f"one of {', '.join(choices)}; Ctrl-D declines\n")


def _between(choices: Sequence[str]) -> str:
    return f"[{'/'.join(choices)}]" if choices else ">"


def told(event: Event) -> None:
    """What a command without a screen has to say while it works, on standard error."""
    if isinstance(event, Notice):
        sys.stderr.write(f"understudy: {visible(event.text)}\n")
