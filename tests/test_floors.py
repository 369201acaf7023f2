"""The shape of the house: who may import whom, what the wheel holds, what stays out of start-up."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FLOORS = {
    "servers": [
        {"characters", "durations"},
        {"output"},
        {"state"},
        {"protocol", "source"},
        {"workspace", "source.patch"},
        {"files", "git.safe", "shell.sandbox"},
        {"git.undo", "shell.policy"},
        {"git.tools", "shell.jobs"},
        {"git", "shell.quality"},
        {"shell"},
        {"ollama.ledger"},
        {"ollama.engines", "ollama.simulator"},
        {"ollama.forecast"},
        {"ollama.gates", "ollama.hosts"},
        {"ollama.reports"},
        {"ollama.delegate"},
        {"ollama"},
    ],
    "orchestrator": [
        {"types", "errors", "sanitize", "depth", "in_thread"},
        {"events", "tools", "history", "reply", "hooks"},
        {"providers"},
        {"providers.wrap", "mcp_client", "function_tools"},
        {"agent"},
        {"patterns"},
        {"config", "store"},
        {"memory", "telemetry", "run_log"},
        {"session"},
        {"terminal.screen"},
        {"terminal"},
        {"terminal.chat"},
        {"delegated"},
        {"demo", "coding_agent", "gateway", "hosts", "serve", "batch", "report"},
        {"commands", "chat_completion", "plain_agent"},
        {"cli"},
    ],
}
"""Rooms by floor, the lowest first. A room is a folder, or a module that stands alone at the top."""

LIBRARY = {
    "servers.durations",
    "servers.output",
    "servers.characters",
    "servers.state",
    "servers.protocol",
    "servers.ollama",
}
"""What the orchestrator uses of the servers, as a library."""
SINK_KNOWS = {"types", "errors", "events", "config", "sanitize", "terminal"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """(module imported, line) of every import of ours in the file, also inside functions and TYPE_CHECKING."""
    package = list(file.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: -node.level] if node.level else []
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in FLOORS:
                yield name, node.lineno


def room_of(name: str) -> tuple[str, str]:
    """(package, room) of a module or of a name in it. The package's own face is the room ""."""
    package, *parts = name.split(".")
    folders = 0
    while folders < len(parts) and ROOT.joinpath(package, *parts[: folders + 1]).is_dir():
        folders += 1
    return package, ".".join(parts[: max(folders, 1)])


def floor_of(package: str, room: str) -> int:
    found = [number for number, rooms in enumerate(FLOORS[package]) if room in rooms]
    assert found, f"{package}/{room} stands on no floor: add it to FLOORS"
    return found[0]


def test_rooms_import_only_from_floors_below() -> None:
    wrong = list[str]()
    for package in FLOORS:
        for file in modules(package):
            here = room_of(dotted(file))
            if not here[1]:
                continue  # the package's face offers what it likes
            for name, line in imports(file):
                there = room_of(name)
                if there[0] != package or there == here:
                    continue
                if floor_of(*there) >= floor_of(*here):
                    wrong.append(f"{file.relative_to(ROOT)}:{line}: {here[1]} imports {there[1]}")
    assert not wrong, "\n".join(wrong)


def test_servers_never_import_the_orchestrator_nor_one_another() -> None:
    kinds = {"files", "shell", "git", "ollama"}
    wrong = list[str]()
    for file in modules("servers"):
        own = dotted(file).split(".")[1] if "." in dotted(file) else ""
        for name, line in imports(file):
            other = name.split(".")[1]
            gate = own == "ollama" and other == "shell"  # a gate's command goes through the shell's policy
            if name.startswith("orchestrator") or (own in kinds and other in kinds - {own} and not gate):
                wrong.append(f"{file.relative_to(ROOT)}:{line}: {name}")
    assert not wrong, "\n".join(wrong)


def test_the_orchestrator_uses_the_servers_as_a_library_only() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in modules("orchestrator")
        for name, line in imports(file)
        if name.startswith("servers.") and not any(name.startswith(f"{known}.") for known in LIBRARY)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_display_knows_events_and_types_only() -> None:
    wrong = [
        f"{file.name}:{line}: {name}"
        for file in (ROOT / "orchestrator/terminal/display.py", *modules("orchestrator/terminal/screen"))
        for name, line in imports(file)
        if name.startswith("orchestrator.") and name.split(".")[1] not in SINK_KNOWS
    ]
    assert not wrong, "\n".join(wrong)


def test_the_map_names_every_room_and_no_other() -> None:
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8").partition("```")[2].partition("```")[0]
    for package, floors in FLOORS.items():
        part = text.partition(f"{package}/ ")[2].partition("\norchestrator/")[0].partition("\ntests/")[0]
        names = set(re.findall(r"[a-z_]+", part))
        missing = {room for rooms in floors for room in rooms if not {*room.split(".")} <= names}
        assert not missing, f"AGENTS.md does not name {missing} of {package}"
    for line in text.splitlines():
        if match := re.match(r"  ((?:[a-z_]+/? )+) ", line):
            for name in match[1].split():
                here = [ROOT / package / name.rstrip("/") for package in FLOORS]
                assert any(p.exists() or p.with_suffix(".py").exists() for p in here), f"there is no {name}"


def test_importing_the_library_or_the_chat_imports_no_sdk() -> None:
    """They take a second each, for which nobody should wait before the first prompt."""
    sdks = ["mcp", "anthropic", "openai", "google.genai", "boto3", "botocore", "httpx2", "ollama"]
    screens = ["rich", "prompt_toolkit"]
    for modules, heavy in (
        ("orchestrator, orchestrator.cli", [*sdks, *screens]),
        ("orchestrator.commands.run, orchestrator.session.session, orchestrator.terminal.chat.chat", sdks),
        ("orchestrator.commands.batch, orchestrator.batch.open, orchestrator.batch.run", ["mcp", *screens]),
    ):
        code = f"import sys, {modules}; print([m for m in {heavy!r} if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert done.stdout.strip() == "[]", modules


def test_the_wheel_holds_the_two_packages_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"orchestrator", "servers"}
    assert "orchestrator/cli.py" in names and "servers/files/server.py" in names
    assert {"orchestrator/py.typed", "servers/py.typed"} <= set(names)
    on_disk = {str(p.relative_to(ROOT)) for folder in tops for p in modules(folder)}
    assert on_disk <= set(names)
