"""R27, R38, R97, R123, R124: the examples and the documentation run as they stand."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import orchestrator
from examples import (
    basic_usage,
    consultation,
    function_calling,
    multi_model_refactor,
    persistent_agent,
    provider_chain,
    react_agent,
    reflection,
    router_with_fallbacks,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def script(name: str, *lines: Any) -> str:
    """A recorded model that says these lines; a dict is a whole line, a tuple a call."""
    written = [
        {"tool_calls": [{"name": one[0], "arguments": one[1]}]}
        if isinstance(one, tuple)
        else one
        if isinstance(one, dict)
        else {"text": one}
        for one in lines
    ]
    Path(f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written), encoding="utf-8")
    return f"scripted:{name}.jsonl"


def test_a_persistent_agent_calls_a_function_and_remembers(capsys: pytest.CaptureFixture[str]) -> None:
    # Each agent opens the script anew: the first is done with its call, the second goes on to the second line.
    call = {"tool_calls": [{"name": "say_hello", "arguments": {"name": "Ann"}}]}
    persistent_agent.main(script("a", call, {"expect": ["Hello Ann!"], "text": "I greeted Ann."}))
    said = capsys.readouterr().out
    assert said == "Hello Ann!\nI greeted Ann.\n"


def test_function_calling_in_the_words_of_openai(capsys: pytest.CaptureFixture[str]) -> None:
    from orchestrator.providers.scripted import Scripted
    from orchestrator.types import ToolCall, assistant

    call = assistant(ToolCall(id="1", name="weather", arguments={"city": "Oslo"}))
    model = Scripted(call, lambda request: request.messages[-1].parts[0].text, name="fake")  # type: ignore[union-attr]
    function_calling.main("fake:m", providers={"fake": model})
    assert "rain in Oslo" in capsys.readouterr().out


def test_a_reflection_loop_stops_when_the_reviewer_is_content() -> None:
    author = script("author", "first", {"expect": ["too short"], "text": "second"})
    assert (
        reflection.main(author, script("critic", "too short", {"expect": ["second"], "text": "<OK>"}))
        == "second"
    )


def test_a_router_asks_the_next_model(capsys: pytest.CaptureFixture[str]) -> None:
    down = script("down", {"error": {"kind": "Overloaded", "message": "busy"}})
    router_with_fallbacks.main(down, script("up", "hello"))
    assert capsys.readouterr().out == "scripted:up.jsonl: hello\n"


def test_a_consultation_keeps_the_answers_that_came(capsys: pytest.CaptureFixture[str]) -> None:
    lead = script("lead", {"expect": ["tabs", "spaces"], "text": "Spaces."})
    consultation.main(lead, script("x", "tabs"), script("y", "spaces"), "no-such-model-at-all")
    said = capsys.readouterr().out
    assert said.endswith("Spaces.\n") and "no provider is known" in said


def test_a_react_agent_shows_its_actions_and_what_came_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    model = script(
        "m",
        ("distance_km", {"start": "Oslo", "end": "Rome"}),
        ("calculate", {"expression": "2009 / 2"}),
        {"expect": ["1004.5"], "text": "1004.5"},
    )
    react_agent.main(model, "Half the way from Oslo to Rome?")
    assert capsys.readouterr().out.splitlines() == [
        "Action: distance_km {'start': 'Oslo', 'end': 'Rome'}",
        "Observation: 2009",
        "Action: calculate {'expression': '2009 / 2'}",
        "Observation: 1004.5",
        "Answer after 3 steps: 1004.5",
    ]


@pytest.mark.parametrize(("code", "stages"), [("yes", "plan, work, code"), ("no", "plan, work")])
def test_a_chain_of_vendors_writes_code_only_where_it_is_wanted(
    code: str, stages: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = script("p", f"1. split\nCODE: {code}")
    work = script("w", {"expect": ["1. split"], "text": "worked out"})
    coder = script("c", {"expect": ["worked out"], "text": "def f(): ..."})
    anyio.run(provider_chain.main, plan, work, coder, "1h30m")
    said = capsys.readouterr().out
    assert said == f"{'def f(): ...' if code == 'yes' else 'worked out'}\nstages: {stages}\n"


def test_basic_usage_shows_every_exchange(capsys: pytest.CaptureFixture[str]) -> None:
    lead, local = (
        script("lead", "A receipt says what was done.", "Yes."),
        script("local", "Proof.", "Un reçu.", "Oui."),
    )
    basic_usage.main(lead, local)
    said = capsys.readouterr().out
    for line in (
        "A receipt says",
        "model switched",
        "Proof.",
        "Un reçu.",
        "Yes.",
        "Oui.",
        "2 answers",
        "2 models",
    ):
        assert line in said


def test_a_refactoring_is_written_once_it_parses_and_is_approved() -> None:
    before, after = "x = 1 + 1 + 0\n", "x = 2\n"
    Path("m.py").write_text(before, encoding="utf-8")
    no, yes = (json.dumps({"approved": verdict, "reason": "x"}) for verdict in (False, True))
    lead = script("lead", "1. add up")
    assert not multi_model_refactor.refactor(lead, script("w", "x = (", after), script("r", no), "m.py")
    assert Path("m.py").read_text(encoding="utf-8") == before
    assert multi_model_refactor.refactor(lead, script("w", after), script("r", yes), "m.py")
    assert Path("m.py").read_text(encoding="utf-8") == after


def test_the_page_on_the_library_runs(capsys: pytest.CaptureFixture[str]) -> None:
    model = script("doc", ("double", {"x": 4}), {"expect": ["8"], "text": "Eight."})
    typed = script("typed", '{"value": 8}')
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(snippets) == 8
    whole = (
        snippets[0],
        snippets[0] + snippets[1],
        snippets[0] + snippets[2],
        snippets[0] + snippets[3],
        snippets[4],
        snippets[6],
        snippets[7],
    )
    for snippet in whole:
        source = f"model = {(typed if snippet is snippets[4] else model)!r}\n{snippet}"
        exec(compile(source, "library.md", "exec"), {"__name__": "__main__"})
        assert capsys.readouterr().out.strip(), snippet


USER_PROGRAM = """
from pydantic import BaseModel
from orchestrator import Agent, Reply, tool

class City(BaseModel):
    name: str

@tool
def double(x: int) -> int:
    return 2 * x

n: int = double(2)
with Agent(model="ollama:x", tools=[double, "files"]) as agent:
    text: str = agent.chat("hi")
    city: City = agent.chat("which?", output_type=City)
    reply: Reply = agent.reply("hi")
    for item in agent.stream("hi"):
        print(item)
"""


def test_a_program_of_a_user_and_the_examples_pass_strict_types(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(USER_PROGRAM, encoding="utf-8")
    for example in (ROOT / "examples").glob("*.py"):
        shutil.copy(example, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}', encoding="utf-8")
    command = [str(Path(sys.executable).parent / "basedpyright"), "--pythonpath", sys.executable, "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert " 0 errors" in f" {done.stdout}", done.stdout


def test_every_public_name_says_what_it_is() -> None:
    silent: list[str] = []
    for name in orchestrator.__all__:
        found = getattr(orchestrator, name)
        written = found.__doc__ or ""
        if not written or written.startswith(f"{name}("):  # what dataclasses write themselves
            silent.append(name)
        for key, one in vars(found).items() if inspect.isclass(found) else ():
            one = getattr(one, "fget", None) or getattr(one, "__func__", one)
            if inspect.isfunction(one) and not key.startswith("_") and not one.__doc__:
                silent.append(f"{name}.{key}")
    assert not silent, silent
