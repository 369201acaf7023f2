"""R26: a delegation through the real ollama server, as the person sees it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import anyio
import pytest
from rich.console import Console

from orchestrator.config.load import load_config
from orchestrator.config.models import DisplaySettings
from orchestrator.providers.scripted import Scripted
from orchestrator.session.session import open_session
from orchestrator.terminal.display import Display
from orchestrator.types import ToolCall, assistant

pytestmark = pytest.mark.anyio
FINAL = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 3_000_000_000,
    "load_duration": 500_000_000,
    "prompt_eval_count": 40,
    "prompt_eval_duration": 500_000_000,
    "eval_count": 21,
    "eval_duration": 2_000_000_000,
}


async def drawn(
    folder: Path, answer: str = "It reads the price\nof one item.", **arguments: object
) -> list[str]:
    """The screen while a scripted lead delegates to a reciting worker through the real server."""
    recitation = {
        "models": [{"name": "small"}],
        "answers": [{"text": answer, "final": FINAL}],
    }
    (folder / "recited.json").write_text(json.dumps(recitation), encoding="utf-8")
    server = {"command": "understudy-ollama", "args": [".", "--host", "recited:recited.json"]}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": {"ollama": server}}), encoding="utf-8")
    (folder / "price.py").write_text("def price(): return 1\n", encoding="utf-8")
    config = load_config(mcp=folder / "mcp.json", cwd=folder, env={})
    file = io.StringIO()
    display = Display(Console(file=file), DisplaySettings(format="plain"))
    task = {"task": "What does it do?", "model": "small", "files": ["price.py"], **arguments}
    call = ToolCall(id="1", name="ollama__delegate", arguments=task)
    with anyio.fail_after(60):
        async with open_session(config, display) as session:
            session.add_provider("fake", Scripted(assistant(call), "I see.", name="fake"))
            await session.ask(session.agent("fake:lead"), "Find out.")
    return file.getvalue().splitlines()


async def test_the_real_receipt_is_drawn_with_its_worker_marked_as_scripted(tmp_path: Path) -> None:
    lines = await drawn(tmp_path)
    assert lines[0].startswith("lead fake:lead │ ⇒ worker small: What does it do?")
    worker = [line.partition("│ ")[2] for line in lines if line.startswith("  worker scripted small │ ")]
    assert worker[:2] == ["It reads the price", "of one item."]
    assert worker[2].startswith("answered (unchecked: no gate could judge it) · job ")
    (profile,) = [line for line in worker if line.startswith("profile: ")]
    assert (
        profile
        == "profile: 3.0 s (recorded) = load 0.5 + prompt 0.5 (40 tokens, 80/s) + answer 2.0 (21 tokens, 10/s)"
    )
    assert lines[-2] == "lead fake:lead │ I see."


async def test_a_change_is_drawn_as_a_diff_with_its_gate(tmp_path: Path) -> None:
    change = "```python\ndef price(): return 2\n```"
    lines = await drawn(tmp_path, change, write="price.py", gate="syntax")
    worker = [line.partition("│ ")[2] for line in lines if line.startswith("  worker scripted small │ ")]
    assert {"-def price(): return 1", "+def price(): return 2"} <= set(worker)
    assert any(line.startswith("accepted · price.py +1/-1 · gate syntax: passed") for line in worker)
    assert (tmp_path / "price.py").read_text(encoding="utf-8") == "def price(): return 2\n"


async def test_a_change_that_nothing_ran_is_drawn_as_unchecked(tmp_path: Path) -> None:
    lines = await drawn(tmp_path, "```python\ndef price(): return 2\n```", write="price.py")
    (worker,) = [line.partition("│ ")[2] for line in lines if "price.py +1/-1" in line]
    assert worker.startswith(
        "written (unchecked: price.py parses and its names are known; nothing ran the change)"
    )


async def test_a_delegation_that_cannot_begin_says_why_in_one_line(tmp_path: Path) -> None:
    lines = await drawn(tmp_path, files=["missing.py"])
    (failed,) = [line for line in lines if "✗ ollama__delegate" in line]
    assert "missing.py" in failed
