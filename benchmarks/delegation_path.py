"""How long is the way of one delegation? The files and functions of ours it passes, and the HTTP requests it makes.

    python -m benchmarks.delegation_path

One `delegate` with one input file runs in this process against a simulated Ollama, every call traced. It is the
second one, so that what is done once is not counted; neither is the simulator.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import anyio

OURS = f"{Path(__file__).resolve().parent.parent}/servers/"
LEFT_OUT = "ollama/simulator/"


@dataclass(slots=True)
class Trace:
    """What was called while `on`, by (file, function, its first line)."""

    on: bool = False
    functions: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])
    requests: set[FrameType] = field(default_factory=set[FrameType])
    """Kept, as one request's frame is entered again after each wait."""

    def see(self, frame: FrameType, event: str, _: object) -> None:
        if not self.on or event != "call":
            return
        code = frame.f_code
        if code.co_qualname == "AsyncClient.send" and not code.co_filename.startswith(OURS):
            self.requests.add(frame)
        name = code.co_filename.removeprefix(OURS)
        if name != code.co_filename and not name.startswith(LEFT_OUT) and code.co_name[:1] != "<":
            self.functions.add((name, code.co_qualname, code.co_firstlineno))

    def __str__(self) -> str:
        files = Counter(file for file, _, _ in self.functions)
        total = f"{len(files)} files, {len(self.functions)} functions, {len(self.requests)} HTTP requests"
        return "\n".join([total, *(f"{count:5d}  {file}" for file, count in sorted(files.items()))])


async def delegate_twice(url: str, folder: Path, trace: Trace) -> None:
    from servers.ollama.delegate.jobs import Progress
    from servers.ollama.delegate.request import Order
    from servers.ollama.engines.open import open_runtime
    from servers.ollama.hosts.hosts import Hosts
    from servers.ollama.service import Service
    from servers.shell.policy.rules import BUILT_IN
    from servers.workspace import Workspace

    service = Service.open(Workspace([str(folder)]), Hosts.single(open_runtime(url)), BUILT_IN)
    order = Order(task="Say what this file does.", model="sim:latest", files=("a.py",))
    try:
        for again in (False, True):
            trace.on = again
            receipt = await service.delegator.delegate(order, Progress())
            trace.on = False
            assert receipt.outcome == "answered", receipt
        await service.hosts.aclose()
    finally:
        service.close()


def main() -> None:
    from servers.ollama.simulator.api import World
    from servers.ollama.simulator.http import simulated_in_thread
    from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

    trace = Trace()
    world = World(machine=Machine(SimulatedModel(name="sim:latest"), noise=Noise(spread=0.02), seed=1))
    with tempfile.TemporaryDirectory() as place, simulated_in_thread(world) as url:
        os.environ["UNDERSTUDY_HOME"] = f"{place}/state"
        folder = Path(place, "tree")
        folder.mkdir()
        folder.joinpath("a.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
        threading.setprofile(trace.see)
        sys.setprofile(trace.see)
        anyio.run(delegate_twice, url, folder, trace)
        sys.setprofile(None)
    print(trace)


if __name__ == "__main__":
    main()
