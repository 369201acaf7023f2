"""Real MCP hosts do a scripted turn with our servers: read, edit, run, test, delegate, stage, commit.

    python benchmarks/hosts/run.py [claude-code] [codex] [opencode]

npm fetches the hosts into a folder of its own. `understudy init` writes their configuration, a simulated engine behind
`understudy gateway` is their model, and it calls our tools in turn under whatever names the host gives them. A host
passes when the commit is there and no tool failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from platformdirs import user_cache_path

from orchestrator.config.load import Config
from orchestrator.config.models import ProviderSettings
from orchestrator.gateway.serving import listener, serving
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

BIN = Path(sys.executable).parent
PACKAGES = ("@anthropic-ai/claude-code", "@openai/codex", "opencode-ai")
MODEL = "ollama:worker:latest"
PROMPT = "Correct add in sum.py, test it, delegate a summary of it, and commit."
STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("files", "read_file", {"path": "sum.py"}),
    ("files", "edit_file", {"path": "sum.py", "edits": [{"old": "a - b", "new": "a + b"}]}),
    ("shell", "run_command", {"command": "python3 -c 'import sum; print(sum.add(2, 3))'"}),
    ("shell", "run_tests", {}),
    ("ollama", "delegate", {"task": "Say in one sentence what this does.", "files": ["sum.py"]}),
    ("git", "git_stage", {"paths": ["sum.py"]}),
    ("git", "git_commit", {"message": "Add instead of subtracting"}),
)
DONE = "All of it is done."
WAITS = ("WaitForMcpServers", "list_mcp_resources")
"""What Claude Code and Codex offer while servers start, and what waits for them."""
ATTEMPTS = 2
"""Some hosts begin before servers that start for the first time have listed their tools."""


@dataclass(slots=True)
class Turn:
    """The model of one host: the next call after each result."""

    results: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])

    def answer(self, body: Mapping[str, Any]) -> str | Mapping[str, Any]:
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        messages: list[Any] = body.get("messages") or []
        if not any("read_file" in name for name in names):
            waits = next((name for name in WAITS if name in names), None)
            if waits and str(messages).count(waits) < 3:
                return {"content": "", "tool_calls": [{"name": waits, "arguments": {}}]}
            return (
                "This module adds two numbers and gives their sum."  # a delegation, or a host's own question
            )
        said = [
            str(message.get("content"))
            for message in messages
            if message["role"] == "tool" and message.get("tool_name") not in WAITS
        ]
        self.results = max(self.results, said, key=len)
        if len(said) >= len(STEPS):
            return DONE
        server, tool, arguments = STEPS[len(said)]
        found = next((name for name in names if name.endswith(tool) and server in name), None)
        if found is None:
            self.missing.append(f"{server} {tool}")
            return f"There is no {tool}."
        return {"content": "", "tool_calls": [{"name": found, "arguments": arguments}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    prepare: Callable[[Path, str], Mapping[str, str]]  # project and gateway -> further variables
    command: Callable[[Path, Path], list[str]]  # project, and the folder of programs


def _claude(project: Path, url: str) -> Mapping[str, str]:
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none", "ENABLE_TOOL_SEARCH": "false"}


def _opencode(project: Path, url: str) -> Mapping[str, str]:
    file = project / "opencode.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    models = {MODEL: {"name": "worker", "tool_call": True}}
    held["provider"] = {"gw": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}}
    file.write_text(json.dumps(held), encoding="utf-8")
    return {}


def _codex(project: Path, url: str) -> Mapping[str, str]:
    file = project.parent / ".codex" / "config.toml"
    head = f'model = "{MODEL}"\nmodel_provider = "gw"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
    provider = f'\n[model_providers.gw]\nname = "gw"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
    file.write_text(head + file.read_text(encoding="utf-8") + provider, encoding="utf-8")
    return {}


HOSTS = {
    "claude-code": Host(
        prepare=_claude,
        command=lambda project, programs: [
            str(programs / "claude"),
            "-p",
            PROMPT,
            "--model",
            "claude-sonnet-5",
            "--mcp-config",
            str(project / ".mcp.json"),
            "--strict-mcp-config",
            "--allowedTools",
            *(f"mcp__{server}" for server in ("files", "shell", "git", "ollama")),
        ],
    ),
    "codex": Host(
        prepare=_codex,
        command=lambda project, programs: [
            str(programs / "codex"),
            "exec",
            "--skip-git-repo-check",
            PROMPT,
        ],
    ),
    "opencode": Host(
        prepare=_opencode,
        command=lambda project, programs: [str(programs / "opencode"), "run", "-m", f"gw/{MODEL}", PROMPT],
    ),
}


@asynccontextmanager
async def engine(turn: Turn) -> AsyncGenerator[tuple[str, str]]:
    """(the engine's address, the gateway's)."""
    small = SimulatedModel(name="worker:latest", context_length=262_144)
    world = World(machine=Machine(small, noise=Noise(spread=0.01)), answers=turn.answer)
    async with simulated(world, scale=0.0) as url:
        config = Config(providers={"ollama": ProviderSettings(base_url=url)})
        bound = listener("127.0.0.1", 0, None)
        async with serving(config, bound, routes=[("claude-*", MODEL)]) as at:
            yield url, at


async def tried(name: str, programs: Path) -> bool:
    turn = Turn()
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        project = _project(Path(folder))
        async with engine(turn) as (url, gateway):
            env = os.environ | {
                "HOME": folder,
                "XDG_CONFIG_HOME": f"{folder}/config",
                "XDG_DATA_HOME": f"{folder}/data",
                "UNDERSTUDY_HOME": f"{folder}/state",
                "OLLAMA_HOST": url,
                "PWD": str(project),
            }
            init = [str(BIN / "understudy"), "init", "--host", name, "--root", str(project), "--write"]
            await anyio.run_process(init, env=env)
            env |= HOSTS[name].prepare(project, gateway)
            command, output = HOSTS[name].command(project, programs), "no end within 400 s"
            for _ in range(ATTEMPTS):
                with anyio.move_on_after(400):
                    done = await anyio.run_process(command, cwd=project, env=env, check=False, input=b"")
                    output = (done.stdout + done.stderr).decode("utf-8", "replace")
                if turn.results:
                    break
        kept = await anyio.run_process(["git", "log", "--format=%s"], cwd=project)
    log = kept.stdout.decode()
    failed = [text for text in turn.results if '"status":"failed"' in text or text.startswith("Error")]
    good = log.startswith(STEPS[-1][2]["message"]) and len(turn.results) == len(STEPS) and not failed
    print(f"{'ok  ' if good else 'FAIL'} {name}: {len(turn.results)} of {len(STEPS)} calls answered")
    if not good:
        missing = (f"  no tool: {one}" for one in turn.missing)
        print("\n".join([*missing, *(f"  {text[:300]}" for text in turn.results), output[-1500:]]))
    return good


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


def programs() -> Path:
    folder = user_cache_path("understudy-benchmarks") / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "--prefix", str(folder)]
    subprocess.run([*npm, "install", "--no-audit", "--no-fund", *PACKAGES], check=True, capture_output=True)
    scripts = ["install-scripts", "approve", *PACKAGES]  # where npm runs none unasked
    subprocess.run([*npm, *scripts], check=False, capture_output=True, cwd=folder)
    subprocess.run([*npm, "rebuild", *PACKAGES], check=False, capture_output=True, cwd=folder)
    return folder / "node_modules" / ".bin"


async def main(names: list[str]) -> int:
    os.environ["UNDERSTUDY_HOME"] = tempfile.mkdtemp(prefix="hosts-")  # of the gateway
    there = await anyio.to_thread.run_sync(programs)
    good = [await tried(name, there) for name in names or list(HOSTS)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1:]))
