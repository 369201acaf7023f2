"""Real MCP hosts do a scripted turn with our servers: read, edit, run, test, delegate, stage, commit.

    python benchmarks/hosts/run.py [NAME ...]      of those in programs.py; without names all of them

npm and pip fetch the hosts into a folder of their own. `understudy init` writes their configuration, and a simulated
engine is their model, behind `understudy gateway` where they speak another API than Ollama's. It calls our tools in
turn under whatever names the host gives them. A host passes when the commit is there and no tool failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from benchmarks.hosts.gemini import gemini
from benchmarks.hosts.model import STEPS, Turn
from benchmarks.hosts.programs import MODEL, PROGRAMS, Addresses, fetched
from orchestrator.config.load import Config
from orchestrator.config.models import ProviderSettings
from orchestrator.gateway.serving import listener, serving
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

BIN = Path(sys.executable).parent
ATTEMPTS = 2
"""Some hosts begin before servers that start for the first time have listed their tools."""
LONGEST_S = 400


@asynccontextmanager
async def engine(turn: Turn) -> AsyncGenerator[Addresses]:
    small = SimulatedModel(name="worker:latest", context_length=262_144)
    world = World(machine=Machine(small, noise=Noise(spread=0.01)), answers=turn.answer)
    async with simulated(world, scale=0.0) as url:
        config = Config(providers={"ollama": ProviderSettings(base_url=url)})
        bound = listener("127.0.0.1", 0, None)
        async with serving(config, bound, routes=[("claude-*", MODEL)]) as at:
            with gemini(turn.answer) as google:
                yield Addresses(ollama=url, gateway=at, gemini=google)


async def tried(name: str) -> bool:
    program, turn, output = PROGRAMS[name], Turn(), ""
    folder = await anyio.to_thread.run_sync(fetched, program)
    if folder is None:
        print(f"SKIP {name}: it needs Python {'.'.join(map(str, program.python))}")
        return True
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as home:
        project = _project(Path(home))
        async with engine(turn) as at:
            env = os.environ | {
                "HOME": home,
                "XDG_CONFIG_HOME": f"{home}/.config",
                "XDG_DATA_HOME": f"{home}/data",
                "UNDERSTUDY_HOME": f"{home}/state",
                "OLLAMA_HOST": at.ollama,
                "PWD": str(project),
            }
            told = ["init", "--host", program.host or name, "--root", str(project), "--write"]
            await anyio.run_process([str(BIN / "understudy"), *told], env=env)
            env |= program.prepare(project, at)
            for _ in range(ATTEMPTS):
                output = ""
                for line in program.commands(project, folder, at):
                    text = await _ended(line, project, env)
                    turn.results += [] if program.chooses else _answers(text)
                    output += text
                if turn.results:
                    break
        kept = await anyio.run_process(["git", "log", "--format=%s"], cwd=project)
    log = kept.stdout.decode()
    failed = [text for text in turn.results if '"status":"failed"' in text or text.startswith("Error")]
    good = log.startswith(STEPS[-1][2]["message"]) and len(turn.results) == len(STEPS) and not failed
    print(
        f"{'ok  ' if good else 'FAIL'} {name}: {len(turn.results)} of {len(STEPS)} calls answered", flush=True
    )
    if not good:
        missing = (f"  no tool: {one}" for one in turn.missing)
        print(
            "\n".join([*missing, *(f"  {text[:300]}" for text in turn.results), output[-1500:]]), flush=True
        )
    return good


async def _ended(line: list[str], project: Path, env: dict[str, str]) -> str:
    """What the command printed."""
    with anyio.move_on_after(LONGEST_S):
        done = await anyio.run_process(line, cwd=project, env=env, check=False, input=b"")
        return (done.stdout + done.stderr).decode("utf-8", "replace")
    return f"no end within {LONGEST_S} s"


def _answers(printed: str) -> list[str]:
    """Of a program that was told its calls: one JSON value a line, or the one result it printed."""
    if printed.startswith("{"):
        try:
            held, _ = json.JSONDecoder().raw_decode(printed)
        except ValueError:
            return []
        text = "\n".join(part.get("text", "") for part in held.get("content") or ())
        return [f"Error: {text}" if held.get("isError") else text]
    return [json.loads(line) for line in printed.splitlines() if line.startswith('"')]


def _project(folder: Path) -> Path:
    project = folder / "shop"
    project.mkdir()
    (project / "sum.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    test = "import sum\n\n\ndef test_add():\n    assert sum.add(2, 3) == 5\n"
    (project / "test_sum.py").write_text(test, encoding="utf-8")
    (folder / ".gitconfig").write_text("[user]\nname = t\nemail = t@example.com\n", encoding="utf-8")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    return project


async def main(names: list[str]) -> int:
    os.environ["UNDERSTUDY_HOME"] = tempfile.mkdtemp(prefix="hosts-")  # of the gateway
    good = [await tried(name) for name in names or list(PROGRAMS)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1:]))
