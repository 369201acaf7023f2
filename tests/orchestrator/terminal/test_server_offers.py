"""Resources and prompts of servers at the prompt: listed, sent along, asked, and one sentence where that cannot be."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.config.load import load_config
from orchestrator.terminal.chat.chat import chat
from orchestrator.terminal.chat.input import Lines
from tests.orchestrator.terminal.test_chat import last_history, script

pytestmark = pytest.mark.anyio
SERVER = """
import sys
from mcp.server import MCPServer, runner
if "old" in sys.argv:
    runner._has_modern_envelope = lambda params: False
server = MCPServer("far")

@server.resource("notes://today", title="Today")
def today() -> str:
    return "buy milk"

@server.resource("notes://{day}")
def notes(day: str) -> str:
    return "x" * 300_000 if day == "long" else f"nothing on {day}"

@server.prompt()
def review(path: str, style: str = "short") -> str:
    "Review a file."
    return f"Review {path}, {style}, and never @secret.txt."

server.run()
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def typed(folder: Path, *lines: str, old: bool = False, replies: int = 1) -> list[str]:
    (folder / "far.py").write_text(SERVER)
    (folder / "secret.txt").write_text("s3cret")
    entry = {"command": sys.executable, "args": [str(folder / "far.py"), *(["old"] if old else [])]}
    (folder / "far.json").write_text(json.dumps({"mcpServers": {"far": entry}}))
    model = script(folder, *["ok"] * replies)
    config = load_config(
        cwd=folder, mcp=folder / "far.json", env={}, default_model=model, display__format="plain"
    )
    screen = io.StringIO()
    reader = Lines(io.StringIO("".join(f"{line}\n" for line in lines)))
    await chat(config, console=Console(file=screen, width=200), reader=reader)
    return screen.getvalue().splitlines()


def asked() -> str:
    return "".join(message.text for message in last_history() if message.role == "user")


@pytest.mark.parametrize("old", [False, True])
async def test_what_servers_offer_is_listed_sent_along_and_asked(old: bool, tmp_path: Path) -> None:
    shown = await typed(
        tmp_path,
        "/resources",
        "/prompts far",
        "What is in @far:notes://today?",
        "/far:review a.py style=long",
        old=old,
        replies=2,
    )
    text = "\n".join(shown)
    assert "@far:notes://today  Today" in text and "@far:notes://{day}" in text
    assert "/far:review path [style]  Review a file." in text
    said = asked()
    assert "--- far:notes://today ---\nbuy milk\n" in said
    assert "Review a.py, long, and never @secret.txt." in said and "s3cret" not in said


async def test_what_cannot_be_sent_or_asked_is_one_sentence_and_the_rest_goes_on(tmp_path: Path) -> None:
    shown = await typed(
        tmp_path,
        "/far:revue a.py",
        "/far:review",
        "/far:review a b c",
        "/resources gone",
        "Mail @far:gone://x and @far:notes://long to me@far:it and @nobody:here.",
    )
    text = "\n".join(shown)
    assert "no prompt revue; there are review" in text
    assert "/far:review wants path" in text and "'c' is too much" in text
    assert "no server 'gone'" in text
    assert text.count("does not go along") == 2 and "more than 200,000 bytes" in text
    assert asked() == "Mail @far:gone://x and @far:notes://long to me@far:it and @nobody:here."
