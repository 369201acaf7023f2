"""Parsing source text in a process of its own, since text made to be wrong can take any time and memory or crash it.

The process is started when it is first needed, and again after each text it did not survive. It reads a JSON
line that says what is wanted and how many bytes of source follow, and answers with a JSON line.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from . import grammars
from .symbols import Symbol, symbols_in

MAX_PARSE_S = 2.0
"""Of a processor: others that keep the machine busy make no text a bad one."""
MAX_MEMORY_BYTES = 1 << 30

_lock = threading.Lock()
_running: list[subprocess.Popen[bytes]] = []


def symbols(path: str, source: bytes) -> list[Symbol] | None:
    """The definitions in `source`; None for a language without a grammar. TimeoutError when it is given up."""
    if not grammars.has_grammar(path):
        return None
    fields = ("first", "last", "level", "signature", "name")
    return [Symbol(**dict(zip(fields, values, strict=True))) for values in _asked("symbols", path, source)]


def first_wrong(path: str, source: bytes) -> tuple[int, int, str] | None:
    """Line and column, from 1, of the first place that does not parse, and why. TimeoutError when it is given up."""
    found = _asked("first_wrong", path, source)
    return (found[0], found[1], found[2]) if found else None


def stop() -> None:
    """End the process, also in the middle of a text."""
    for process in _running:
        process.kill()


def main() -> None:
    """Answer until stdin closes."""
    _limit_memory()
    for line in sys.stdin.buffer:
        what, path, size = json.loads(line)
        source = sys.stdin.buffer.read(size)
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, MAX_PARSE_S)  # nobody catches it: it ends the process
        answer = _ANSWERS[what](path, source)
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _asked(what: str, path: str, source: bytes) -> Any:
    with _lock:
        process = _process()
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps([what, path, len(source)]).encode() + b"\n" + source)
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            _end()
            raise TimeoutError(
                f"parsing it takes more than {MAX_PARSE_S:.0f} s or {MAX_MEMORY_BYTES >> 30} GB"
            )
    return json.loads(answer)


def _process() -> subprocess.Popen[bytes]:
    if _running and _running[0].poll() is not None:
        _end()
    if not _running:
        command = [sys.executable, "-P", "-c", "from servers.source.parser_process import main; main()"]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, env=environment)
        except OSError as exc:
            raise TimeoutError(f"the parser could not be started: {exc.strerror}") from exc
        _running.append(process)
    return _running[0]


def _end() -> None:
    while _running:
        process = _running.pop()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close() if pipe else None


def _symbols(path: str, source: bytes) -> list[tuple[Any, ...]]:
    tree = grammars.parsed(path, source)
    return [astuple(symbol) for symbol in symbols_in(tree.root_node, source)] if tree else []


def _first_wrong(path: str, source: bytes) -> tuple[int, int, str] | None:
    tree = grammars.parsed(path, source)
    wrong = grammars.first_wrong(tree) if tree else None
    if wrong is None:
        return None
    what = f"{wrong.type!r} is missing" if wrong.is_missing else "does not parse"
    return wrong.start_point[0] + 1, wrong.start_point[1] + 1, what


_ANSWERS = {"symbols": _symbols, "first_wrong": _first_wrong}


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


atexit.register(_end)
