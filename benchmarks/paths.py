"""How long are the three ways everything takes: an edit, a delegation, a chat turn?

    python -m benchmarks.paths [--json] [--functions] [--only edit,delegation,turn]

Each runs in this process with every call traced: `edit_file` and `delegate` through the protocol's own client, the
turn through `understudy chat` with a scripted model. The files and functions of ours that it passes are counted, its
calls, and its HTTP requests. It is the fourth of its kind, so that what is done once is not counted. What one takes is
the median of twenty that are not traced, the simulated engine's part included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from types import FrameType

import anyio
from mcp import Client

from benchmarks.ratios import Row, report
from servers.protocol.lifecycle import configure_logging

TREE = f"{Path(__file__).resolve().parent.parent}/"
OURS = ("servers/", "orchestrator/")
LEFT_OUT = ("servers/ollama/simulator/", "orchestrator/providers/scripted.py")
WARM_UP, TIMED = 3, 20
AT_MOST = {
    "edit, files": 17,
    "edit, functions": 60,
    "delegation, files": 40,
    "delegation, functions": 200,
}
"""What is aimed at."""

Place = tuple[str, str, int]
"""File, function, its first line."""
Once = Callable[[int], Awaitable[None]]
"""One more, the number of those before it given."""


@dataclass(slots=True)
class Trace:
    """What was called while `on`."""

    on: bool = False
    calls: Counter[Place] = field(default_factory=Counter[Place])
    requests: set[FrameType] = field(default_factory=set[FrameType])
    """Kept, as one request's frame is entered again after each wait."""
    seen: set[FrameType] = field(default_factory=set[FrameType])
    """As with requests: of coroutines and generators that wait."""

    def see(self, frame: FrameType, event: str, _: object) -> None:
        if not self.on or event != "call":
            return
        code = frame.f_code
        if code.co_qualname == "AsyncClient.send":
            self.requests.add(frame)
        name = code.co_filename.removeprefix(TREE)
        if name.startswith(OURS) and not name.startswith(LEFT_OUT) and code.co_name[:1] != "<":
            if code.co_flags & _RESUMED:
                if frame in self.seen:
                    return
                self.seen.add(frame)
            self.calls[name, code.co_qualname, code.co_firstlineno] += 1

    @property
    def files(self) -> Counter[str]:
        """The functions passed in each file."""
        return Counter(file for file, _, _ in self.calls)


_RESUMED = 0x20 | 0x80 | 0x200
"""Code whose frame is entered more than once: generators, coroutines, both."""


async def traced(opened: AbstractAsyncContextManager[Once], trace: Trace) -> None:
    async with opened as once:
        for number in range(WARM_UP):
            await once(number)
        trace.on = True
        await once(WARM_UP)
        trace.on = False


async def timed(opened: AbstractAsyncContextManager[Once]) -> float:
    """The median seconds of one."""
    took = list[float]()
    async with opened as once:
        for number in range(WARM_UP + TIMED):
            began = perf_counter()
            await once(number)
            took.append(perf_counter() - began)
    return statistics.median(took[WARM_UP:])


@asynccontextmanager
async def editing(folder: Path) -> AsyncGenerator[Once]:
    from servers.files.server import build

    folder.joinpath("a.py").write_text("value = 0\n", encoding="utf-8")
    async with Client(build([str(folder)])) as client:

        async def once(number: int) -> None:
            edit = {"old": f"value = {number}", "new": f"value = {number + 1}"}
            done = await client.call_tool("edit_file", {"path": "a.py", "edits": [edit]})
            assert not done.is_error, done

        yield once


@asynccontextmanager
async def delegating(folder: Path) -> AsyncGenerator[Once]:
    from servers.ollama.engines.open import open_runtime
    from servers.ollama.server import build
    from servers.ollama.simulator.api import World
    from servers.ollama.simulator.http import simulated_in_thread
    from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

    folder.joinpath("a.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    world = World(machine=Machine(SimulatedModel(name="sim:latest"), noise=Noise(spread=0.02), seed=1))
    asked = {"task": "Say what this file does.", "model": "sim:latest", "files": ["a.py"]}
    with simulated_in_thread(world) as url:
        async with Client(build([str(folder)], open_runtime(url))) as client:

            async def once(_number: int) -> None:
                done = await client.call_tool("delegate", asked)
                assert not done.is_error, done

            yield once


@asynccontextmanager
async def talking(folder: Path) -> AsyncGenerator[Once]:
    """A chat without servers: theirs are processes of their own."""
    from rich.console import Console

    from orchestrator.config.load import Config
    from orchestrator.terminal.chat.chat import chat

    script = folder / "script.jsonl"
    line = json.dumps({"text": "It adds two numbers."}) + "\n"
    script.write_text(line * (WARM_UP + TIMED), encoding="utf-8")
    reader = _Asking()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:  # noqa: ASYNC230
        config = Config(default_model=f"scripted:{script}", folder=str(folder))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(chat, config, console=Console(file=nowhere), reader=reader))
            await reader.ready.wait()
            yield reader.turn
            await reader.leave()


class _Asking:
    """A reader whose lines are the benchmark's."""

    interactive = False
    echoed = False

    def __init__(self) -> None:
        self._line: str | None = None
        self._given, self.ready = anyio.Event(), anyio.Event()

    def attended(self, talk: object) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def read(self) -> str | None:
        self.ready.set()
        await self._given.wait()
        self._given = anyio.Event()
        return self._line

    async def turn(self, _number: int) -> None:
        self._line, self.ready = "What does this file do?", anyio.Event()
        self._given.set()
        await self.ready.wait()

    async def leave(self) -> None:
        self._line = None
        self._given.set()

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        return None

    async def page(self, text: str) -> None:
        pass


PATHS: dict[str, Callable[[Path], AbstractAsyncContextManager[Once]]] = {
    "edit": editing,
    "delegation": delegating,
    "turn": talking,
}


def followed(path: str) -> tuple[Trace, float]:
    """The trace of a path, and the seconds it takes."""
    trace = Trace()
    with _folder() as folder:
        seconds = anyio.run(timed, PATHS[path](folder))
    with _folder() as folder:
        threading.setprofile(trace.see)  # of threads that begin from now on
        sys.setprofile(trace.see)
        try:
            anyio.run(traced, PATHS[path](folder), trace)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # pyright: ignore[reportArgumentType]
    return trace, seconds


@contextmanager
def _folder() -> Generator[Path]:
    """An empty one, with a state of its own."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["UNDERSTUDY_HOME"] = f"{place}/state"
        folder = Path(place, "tree")
        folder.mkdir()
        yield folder


def main() -> None:
    given = _arguments()
    configure_logging("error")
    rows = dict[str, Row]()
    traces = dict[str, Trace]()
    for path in given.only.split(",") if given.only else PATHS:
        traces[path], seconds = followed(path)
        trace = traces[path]
        rows[f"{path}, files"] = {"value": len(trace.files), "unit": "files"}
        rows[f"{path}, functions"] = {"value": len(trace.calls), "unit": "functions"}
        rows[f"{path}, calls"] = {"value": trace.calls.total(), "unit": "calls"}
        rows[f"{path}, HTTP requests"] = {"value": len(trace.requests), "unit": "requests"}
        rows[f"{path}, time"] = {"value": round(seconds * 1000, 2), "unit": "ms"}
    report(rows, as_json=given.json, at_most=AT_MOST)
    for path, trace in traces.items() if given.functions else ():
        print(f"\n{path}")
        for (file, function, line), calls in sorted(trace.calls.items()):
            print(f"{calls:7d}  {file}:{line} {function}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paths", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--only", metavar="NAMES", help=f"some of {', '.join(PATHS)}, by commas")
    parser.add_argument("--functions", action="store_true", help="name every function passed, with its calls")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
