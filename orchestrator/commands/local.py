"""What the commands about local models share: the ollama server alone, on the engine that is asked for."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from servers.durations import duration
from servers.ollama.engines.protocol import EngineError
from servers.ollama.hosts.settings import HostSettings, are_configured, hosts_named

from ..config.hosts import on_engine
from ..errors import ConfigError, RunError
from ..sanitize import visible
from . import options as common

if TYPE_CHECKING:
    from ..session.session import Session

ENGINES = """\
engines for --host: http://HOST:PORT of Ollama (default: OLLAMA_BASE_URL, OLLAMA_HOST, then 127.0.0.1:11434),
llamacpp:URL of a llama.cpp server, embedded:FILE.gguf or embedded:demo, which need the extra `engine`
"""

FIRST_S, AGAIN_S = 2.0, 10.0
"""After how long something under way is told of where nobody watches a terminal, and how often then."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="ENGINE", help="where the models run")
    common.add_json(parser)
    common.add_config(parser)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The engines the configured ollama server would use."""

    hosts: dict[str, HostSettings]  # those of the server, by name; one with an empty name where there is one
    allow_remote: bool


def engine(options: argparse.Namespace) -> Engine:
    """For a command that does the server's work in this process, which takes over the server's environment."""
    configured = common.only(common.config_of(options), ["ollama"]).servers["ollama"]
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    given.add_argument("--host", action="append", default=[])
    given.add_argument("--allow-remote", action="store_true")
    known, _ = given.parse_known_args(configured.args)
    os.environ.update(configured.env)
    words = [options.host] if options.host else known.host
    try:
        named = hosts_named(words)
    except EngineError as exc:
        raise ConfigError(str(exc)) from exc
    return Engine(hosts=named, allow_remote=known.allow_remote or are_configured(words))


@asynccontextmanager
async def server(options: argparse.Namespace) -> AsyncGenerator[Session]:
    """A session with the ollama server alone."""
    from ..session.session import open_session

    config = common.only(common.config_of(options), ["ollama"])
    if options.host:
        ollama = on_engine(config.servers["ollama"], options.host)
        config = config.model_copy(update={"servers": {"ollama": ollama}})
    async with open_session(config) as session:
        yield session


async def ask(session: Session, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The record one of the server's tools returns. Raises RunError with the server's sentence."""
    given = {key: value for key, value in arguments.items() if value not in (None, [], "")}
    try:
        answer = await session.call_tool("ollama", tool, given, lambda done, total, said: progress(said))
    finally:
        progress("")
    if answer.is_error:
        raise RunError(answer.text)
    return json.loads(answer.text)


def table(rows: list[list[str]]) -> str:
    """Rows in columns as wide as their widest cell; on a terminal too narrow for them, each row as a paragraph."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    if sys.stdout.isatty() and sum(widths) + 2 * len(widths) > shutil.get_terminal_size().columns:
        return _paragraphs(rows)
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def _paragraphs(rows: list[list[str]]) -> str:
    """The first cell of each row, and under it the others behind the heads of their columns; "-" is left out."""
    (_, *heads), *records = rows
    width, found = shutil.get_terminal_size().columns, list[str]()
    for first, *cells in records:
        told = ", ".join(
            f"{head} {cell}" for head, cell in zip(heads, cells, strict=True) if cell not in ("", "-")
        )
        wrapped = textwrap.wrap(told, width - 2, break_on_hyphens=False)
        found += [first, *(f"  {line}" for line in wrapped)]
    return "".join(f"{line}\n" for line in found)


def wrapped(line: str) -> str:
    """On a terminal between words, as wide as that is; elsewhere as it is."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False)


def number(value: float | None, unit: str = "") -> str:
    """Counts in full, measures with three significant digits; "-" for what is not known."""
    if value is None:
        return "-"
    if unit == " s" and value >= 100:
        return duration(value)
    whole = isinstance(value, int) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:.3g}") + unit


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def read_json(words: str, what: str) -> Any:
    """JSON from the command line. Raises ConfigError naming what it was for."""
    try:
        return json.loads(words)
    except ValueError as exc:
        raise ConfigError(f"{what} wants JSON, found {words[:80]!r}: {exc}") from exc


def say(message: str) -> None:
    """A line of its own, in place of what `progress` shows."""
    progress("")
    sys.stderr.write(f"understudy: {message}\n")


def progress(message: str) -> None:
    """One line that replaces itself, where a person watches; an empty one clears it.

    Elsewhere a line of its own, where it takes long: what is piped does not look as if it hung.
    """
    if sys.stderr.isatty():
        from rich.cells import set_cell_size

        room = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{set_cell_size(visible(message), room).rstrip()}")
        sys.stderr.flush()
    elif _seldom.due(message):
        sys.stderr.write(f"understudy: {visible(message)}\n")
        sys.stderr.flush()


class _Seldom:
    """When to say how far it is, where each time is a line."""

    def __init__(self) -> None:
        self._next: float | None = None  # None: nothing is under way

    def due(self, message: str) -> bool:
        now = monotonic()
        if not message:
            self._next = None
            return False
        if self._next is None:
            self._next = now + FIRST_S
        if now < self._next:
            return False
        self._next = now + AGAIN_S
        return True


_seldom = _Seldom()
