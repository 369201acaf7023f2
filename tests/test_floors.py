"""The shape of the house: who may import whom, what the wheel holds, what stays out of start-up."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = [
    {"types", "errors", "visible"},
    {"events", "tools"},
    {"providers", "mcp_tools", "warm", "tool_cache", "data"},
    {"hosted"},
    {"agent"},
    {"patterns"},
    {"config_files", "settings", "trust", "lines", "receipts", "screen", "store_schema"},
    {"store", "transcript", "display", "config"},
    {"memory", "session", "wired"},
    {"demo_project"},
    {"background", "forced", "coding_agent", "demo"},
    {"mentions", "repl_input", "repl_commands", "repl", "commands"},
    {"cli"},
]
SINKS_KNOW = {"types", "errors", "events", "settings", "visible", "lines", "receipts", "screen"}
LIBRARY = {
    "servers.home",
    "servers.quick",
    "servers.ollama.profile",
    "servers.ollama.ledger",
    "servers.ollama.law",
    "servers.ollama.keys",
    "servers.ollama.prompts",
    "servers.ollama.calibration",
    "servers.ollama.simulating",
}


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """(absolute module name, line) of every import in the file, also those inside functions."""
    package = list(file.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: -node.level] if node.level else []
            stem = ".".join([*base, *((node.module or "").split(".") if node.module else [])])
            for alias in node.names:
                yield f"{stem}.{alias.name}", node.lineno


def floor_of(name: str) -> int:
    found = [number for number, names in enumerate(FLOORS) if name in names]
    assert found, f"orchestrator/{name} stands on no floor: add it to FLOORS"
    return found[0]


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", modules("orchestrator"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_orchestrator_imports_only_from_floors_below(file: Path) -> None:
    own = file.relative_to(ROOT / "orchestrator").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    for name, line in imports(file):
        parts = name.split(".")
        if parts[0] == "servers":
            assert any(f"{name}.".startswith(f"{known}.") for known in LIBRARY), f"{file}:{line}: {name}"
        if parts[0] == "orchestrator" and len(parts) > 1 and parts[1] != own:
            assert floor_of(parts[1]) <= floor_of(own), f"{file}:{line}: {own} imports {parts[1]} above it"
        if parts[0] == "orchestrator" and len(parts) > 1 and own == "display":
            assert parts[1] in SINKS_KNOW | {own}, f"{file}:{line}: a sink imports {parts[1]}"


@pytest.mark.parametrize("file", modules("servers"), ids=lambda f: str(f.relative_to(ROOT)))
def test_servers_never_import_the_orchestrator_nor_one_another(file: Path) -> None:
    own = file.relative_to(ROOT / "servers").parts[0]
    for name, line in imports(file):
        assert not name.startswith("orchestrator"), f"{file}:{line}"
        parts = name.split(".")
        if parts[0] == "servers" and len(parts) > 1 and parts[1] in {"files", "shell", "git", "ollama"}:
            gate = own == "ollama" and parts[1] == "shell"  # a gate's command goes through the shell's policy
            assert parts[1] == own or gate, f"{file}:{line}: {name}"


def test_importing_the_library_imports_no_sdk() -> None:
    heavy = [
        "mcp",
        "anthropic",
        "openai",
        "google.genai",
        "boto3",
        "botocore",
        "httpx2",
        "rich",
        "prompt_toolkit",
    ]
    code = f"import sys, orchestrator, orchestrator.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_wheel_holds_the_two_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"orchestrator", "servers"}
    assert "orchestrator/cli.py" in names and "servers/files/server.py" in names
    on_disk = {str(p.relative_to(ROOT)) for folder in tops for p in modules(folder)}
    assert on_disk <= set(names)
