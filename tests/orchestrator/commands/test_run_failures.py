"""A run that fails: what was done for it is told to scripts, and the screen shows one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.agent import EMPTY, Agent, run
from orchestrator.cli import main
from orchestrator.errors import OutOfTime
from orchestrator.providers.scripted import Scripted
from orchestrator.tools import NoTools
from orchestrator.types import Request, Thinking, ToolCall, ToolSpec, assistant


def script(folder: Path, *lines: dict[str, Any]) -> str:
    path = folder / "lead.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return f"scripted:{path}"


CALL = {
    "text": "I look.",
    "tool_calls": [{"name": "no_such_tool", "arguments": {}}],
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


def test_a_failed_run_tells_scripts_what_was_said_done_and_spent_and_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = script(tmp_path, CALL, {"error": {"kind": "AuthFailed", "message": "a bad key"}})
    assert main(["run", "--json", "--no-tools", "--model", model, "Look."]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["kind"]) == (False, "AuthFailed") and "a bad key" in told["error"]
    assert told["usage"]["output_tokens"] == 5 and told["rounds"] == 1
    assert [message["role"] for message in told["messages"]][:3] == ["user", "assistant", "tool"]
    assert told["tool_calls"][0]["name"] == "no_such_tool"
    assert main(["sessions", "show", told["session"]]) == 0
    assert "I look." in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--model", "groq:x"], ["--model", "ollama:x"], ["--model", "nonsense:x"]]
)
def test_a_quick_failure_leaves_no_traceback_of_any_process(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "mcp.json").write_text(
        '{"mcpServers": {"files": {"command": "understudy-files", "args": ["."]}}}', encoding="utf-8"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OLLAMA_HOST": "127.0.0.1:9"}
    code = "from orchestrator.cli import main; raise SystemExit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--quiet", *arguments, "Hi"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


LEAD = Agent(name="lead", model="scripted:x")


class Look(NoTools):
    specs = (ToolSpec(name="look", description="", parameters={}),)


@pytest.mark.anyio
@pytest.mark.parametrize("nothing", [assistant(), assistant(Thinking(text="Hm."))])
async def test_a_model_that_says_nothing_after_its_tools_is_told_so_once(nothing: Any) -> None:
    call = assistant(ToolCall(id="1", name="look", arguments={}))
    model = Scripted(call, nothing, "It is blue.")
    assert (await run(LEAD, "Which colour?", provider=model, tools=Look())).text == "It is blue."
    assert model.requests[2].messages[-1].text == EMPTY
    model = Scripted(call, nothing, nothing)
    assert (await run(LEAD, "Which colour?", provider=model, tools=Look())).text == ""


@pytest.mark.anyio
async def test_who_runs_out_of_time_is_told_what_allows_more() -> None:
    async def never(request: Request) -> Any:
        import anyio

        await anyio.sleep_forever()

    class Silent:
        name = "scripted"

        async def stream(self, request: Request) -> Any:
            await never(request)
            yield  # never reached

    with pytest.raises(OutOfTime, match="run_timeout_s, or --timeout"):
        await run(Agent(name="lead", model="scripted:x", timeout_s=0.05), "Hi", provider=Silent())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["vote", "--models", "scripted:x", "--choices", "yes", "q"],
            "--choices: wanted two choices or more",
        ),
        (["gateway", "--port", "-5"], "wants a port from 0 to 65535, found '-5'"),
        (["gateway", "--port", "70000"], "wants a port from 0 to 65535, found '70000'"),
        (["run", "fix", "the", "bug"], "found 'the' behind the text; several words want quotes around them"),
        (["vote", "is", "it", "so"], "found 'it' behind the text; several words want quotes around them"),
        (["delegate", " "], "the task is empty; say what to do"),
        (["sessions", "import", "bytes"], "bytes is not UTF-8, so it is no conversation that was exported"),
        (["sessions", "import", "."], ". cannot be read: Is a directory"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_that_names_it(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    try:
        code = main(words)
    except SystemExit as exc:
        code = int(exc.code or 0)
    shown = capsys.readouterr().err
    assert code in (1, 2) and said in shown and "Traceback" not in shown
