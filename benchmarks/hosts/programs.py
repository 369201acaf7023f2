"""The hosts: what npm or pip fetches for each, what it is told beside its servers, and how it is started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from benchmarks.hosts.model import DONE, PROMPT, STEPS

HERE = Path(__file__).resolve().parent
MODEL = "ollama:worker:latest"
ALIAS = "claude-worker"
"""The same, for hosts that read colons in a name their own way."""
Line = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the model answers."""

    ollama: str
    gateway: str
    gemini: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    npm: tuple[str, ...] = ()
    pip: str = ""
    python: tuple[int, int] = (3, 11)  # the least the pip package runs on
    host: str = ""  # as `understudy init` calls it; "": by this program's own name
    prepare: Callable[[Path, Addresses], Mapping[str, str]] = lambda project, at: {}
    """Further variables, after writing what it is configured by."""
    commands: Callable[[Path, Path, Addresses], list[Line]]
    """Run one after the other, in the project; the second argument is the folder of what was fetched."""
    chooses: bool = (
        True  # a model chooses the calls; else the program is told them, and prints what came back
    )


def fetched(program: Program) -> Path | None:
    """The folder with the program, fetched or brought up to date; None where it cannot run on this machine."""
    folder = user_cache_path("understudy-benchmarks") / "hosts"
    folder.mkdir(parents=True, exist_ok=True)
    if program.npm:
        npm = ["npm", "--prefix", str(folder)]
        subprocess.run(
            [*npm, "install", "--no-audit", "--no-fund", *program.npm], check=True, capture_output=True
        )
        scripts = ["install-scripts", "approve", *program.npm]  # where npm runs none unasked
        subprocess.run([*npm, *scripts], check=False, capture_output=True, cwd=folder)
        subprocess.run([*npm, "rebuild", *program.npm], check=False, capture_output=True, cwd=folder)
    if program.pip:
        python = _python(program.python)
        if python is None:
            return None
        own = folder / program.pip
        subprocess.run([python, "-m", "venv", str(own)], check=True, capture_output=True)
        install = [str(own / "bin/python"), "-m", "pip", "install", "-q", "-U", program.pip]
        subprocess.run(install, check=True, capture_output=True)
    return folder


def _python(least: tuple[int, int]) -> str | None:
    if sys.version_info >= least:
        return sys.executable
    found = (shutil.which(f"python3.{minor}") for minor in range(least[1], least[1] + 4))
    return next(
        (one for one in found if one and subprocess.run([one, "-V"], check=False).returncode == 0), None
    )


def _bin(folder: Path, name: str) -> str:
    return str(folder / "node_modules/.bin" / name)


def _claude(project: Path, at: Addresses) -> Mapping[str, str]:
    return {"ANTHROPIC_BASE_URL": at.gateway, "ANTHROPIC_API_KEY": "none", "ENABLE_TOOL_SEARCH": "false"}


def _claude_line(project: Path, folder: Path, at: Addresses) -> list[Line]:
    allowed = [f"mcp__{server}" for server in ("files", "shell", "git", "ollama")]
    configured = [
        "--mcp-config",
        str(project / ".mcp.json"),
        "--strict-mcp-config",
        "--allowedTools",
        *allowed,
    ]
    return [[_bin(folder, "claude"), "-p", PROMPT, "--model", "claude-sonnet-5", *configured]]


def _codex(project: Path, at: Addresses) -> Mapping[str, str]:
    file = project.parent / ".codex" / "config.toml"
    head = f'model = "{MODEL}"\nmodel_provider = "gw"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
    provider = f'\n[model_providers.gw]\nname = "gw"\nbase_url = "{at.gateway}/v1"\nwire_api = "responses"\n'
    file.write_text(head + file.read_text(encoding="utf-8") + provider, encoding="utf-8")
    return {}


def _opencode(project: Path, at: Addresses) -> Mapping[str, str]:
    file = project / "opencode.json"
    held = json.loads(file.read_text(encoding="utf-8"))
    options = {"baseURL": f"{at.gateway}/v1", "apiKey": "none"}
    models = {MODEL: {"name": "worker", "tool_call": True}}
    held["provider"] = {"gw": {"npm": "@ai-sdk/openai-compatible", "options": options, "models": models}}
    file.write_text(json.dumps(held), encoding="utf-8")
    return {}


def _gemini(project: Path, at: Addresses) -> Mapping[str, str]:
    file = project.parent / ".gemini/settings.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}}), encoding="utf-8")
    trusted = json.dumps({str(project): "TRUST_FOLDER"})  # else it reads no settings there
    file.with_name("trustedFolders.json").write_text(trusted, encoding="utf-8")
    return {"GOOGLE_GEMINI_BASE_URL": at.gemini, "GEMINI_API_KEY": "none"}


def _fast_agent(project: Path, at: Addresses) -> Mapping[str, str]:
    return {"GENERIC_API_KEY": "none", "GENERIC_BASE_URL": f"{at.gateway}/v1"}


def _ollmcp(project: Path, at: Addresses) -> Mapping[str, str]:
    file = project.parent / ".config/ollmcp/config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "hilSettings": {"enabled": False},
        "modelConfig": {"num_ctx": 65536},
    }  # Ollama's own 4,096 lose the tools
    file.write_text(json.dumps(settings), encoding="utf-8")
    return {"TERM": "xterm"}


def _ollmcp_line(project: Path, folder: Path, at: Addresses) -> list[Line]:
    program = [
        str(folder / "ollmcp/bin/ollmcp"),
        "-j",
        ".ollmcp.json",
        "-m",
        "worker:latest",
        "-H",
        at.ollama,
    ]
    return [[sys.executable, str(HERE / "typed.py"), "\u276f", PROMPT, DONE, "/quit", "--", *program]]


def _sdk(file: str) -> Callable[[Path, Path, Addresses], list[Line]]:
    def line(project: Path, folder: Path, at: Addresses) -> list[Line]:
        for script in (file, "turn.mjs"):  # Node looks for packages from where a script lies
            shutil.copy(HERE / script, folder / script)
        return [["node", str(folder / file), str(project / ".mcp.json"), json.dumps(STEPS)]]

    return line


def _inspector(project: Path, folder: Path, at: Addresses) -> list[Line]:
    program = [
        _bin(folder, "node"),
        str(folder / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"),
    ]
    lines: list[Line] = []
    for server, tool, arguments in STEPS:
        given = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in arguments.items()
        ]
        call = [
            "--method",
            "tools/call",
            "--tool-name",
            tool,
            *(word for one in given for word in ("--tool-arg", one)),
        ]
        lines.append([*program, "--cli", "--config", str(project / ".mcp.json"), "--server", server, *call])
    return lines


PROGRAMS = {
    "claude-code": Program(npm=("@anthropic-ai/claude-code",), prepare=_claude, commands=_claude_line),
    "codex": Program(
        npm=("@openai/codex",),
        prepare=_codex,
        commands=lambda project, folder, at: [
            [_bin(folder, "codex"), "exec", "--skip-git-repo-check", PROMPT]
        ],
    ),
    "gemini": Program(
        npm=("@google/gemini-cli",),
        prepare=_gemini,
        commands=lambda project, folder, at: [
            [_bin(folder, "gemini"), "--yolo", "-m", "gemini-2.5-flash", "-p", PROMPT]
        ],
    ),
    "opencode": Program(
        npm=("opencode-ai",),
        prepare=_opencode,
        commands=lambda project, folder, at: [[_bin(folder, "opencode"), "run", "-m", f"gw/{MODEL}", PROMPT]],
    ),
    "fast-agent": Program(
        pip="fast-agent-mcp",
        python=(3, 13),
        prepare=_fast_agent,
        commands=lambda project, folder, at: [
            [
                *(
                    str(folder / "fast-agent-mcp/bin/fast-agent"),
                    "go",
                    "--config-path",
                    "fastagent.config.yaml",
                ),
                *("--servers", "files,shell,git,ollama", "--model", f"generic.{ALIAS}", "--message", PROMPT),
            ]
        ],
    ),
    "ollmcp": Program(pip="ollmcp", prepare=_ollmcp, commands=_ollmcp_line),
    "typescript-sdk-1": Program(
        npm=("@modelcontextprotocol/sdk@1",), host="claude-code", commands=_sdk("sdk1.mjs"), chooses=False
    ),
    "typescript-sdk-2": Program(
        npm=("@modelcontextprotocol/client@2",), host="claude-code", commands=_sdk("sdk2.mjs"), chooses=False
    ),
    "inspector": Program(
        npm=("@modelcontextprotocol/inspector@2", "node@22"),
        host="claude-code",
        commands=_inspector,
        chooses=False,
    ),
}
