"""What the commands about local models share: the ollama server alone, on the engine that is asked for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RunError
from . import options as common

if TYPE_CHECKING:
    from ..session import Session

ENGINES = """\
engines for --host: http://HOST:PORT of Ollama (default: OLLAMA_BASE_URL, OLLAMA_HOST, then 127.0.0.1:11434),
llamacpp:URL of a llama.cpp server, embedded:FILE.gguf or embedded:demo, which need the extra `engine`
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="ENGINE", help="where the models run")
    common.add_json(parser)
    common.add_config(parser)


@asynccontextmanager
async def server(options: argparse.Namespace) -> AsyncGenerator[Session]:
    """A session with the ollama server alone."""
    from ..session import open_session

    config = common.only(common.config_of(options), ["ollama"])
    if options.host:
        ollama = config.servers["ollama"]
        ollama = ollama.model_copy(update={"args": (*ollama.args, "--host", options.host)})
        config = config.model_copy(update={"servers": {"ollama": ollama}})
    async with open_session(config) as session:
        yield session


async def ask(session: Session, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The record one of the server's tools returns. Raises RunError with the server's sentence."""
    given = {key: value for key, value in arguments.items() if value not in (None, [], "")}
    answer = await session.call_tool("ollama", tool, given, _progress)
    _progress(0, None, "")
    if answer.is_error:
        raise RunError(answer.text)
    return json.loads(answer.text)


def table(rows: list[list[str]]) -> str:
    """Rows in columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits; "-" for what is not known."""
    return "-" if value is None else f"{value:.3g}{unit}"


def read_json(words: str, what: str) -> Any:
    """JSON from the command line. Raises ConfigError naming what it was for."""
    try:
        return json.loads(words)
    except ValueError as exc:
        raise ConfigError(f"{what} wants JSON, found {words[:80]!r}: {exc}") from exc


def _progress(done: float, total: float | None, message: str) -> None:
    """One line that replaces itself, where a person watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{message[:100]}")
        sys.stderr.flush()
