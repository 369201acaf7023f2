"""What `--json` prints: one object a command, each described by a schema of docs/schemas."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.cli import COMMANDS, main, parser_of
from orchestrator.commands.results import RESULTS, schema_of
from tests.results import described

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


def takes_json(parser: argparse.ArgumentParser) -> bool:
    deeper = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return any("--json" in action.option_strings for action in parser._actions) or any(
        takes_json(choice) for one in deeper for choice in one.choices.values()
    )


def test_every_command_that_prints_json_has_its_schemas() -> None:
    whole = {name: parser_of(name) for name in COMMANDS}
    parsers = {
        name: next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices[name]
        for name, parser in whole.items()
    }
    printing = {name for name, parser in parsers.items() if takes_json(parser)}
    assert printing == {command.partition(" ")[0] for command in RESULTS}


@pytest.mark.parametrize("command", RESULTS)
def test_a_schema_of_the_tree_is_valid_and_what_the_code_says(command: str) -> None:
    written = json.loads((SCHEMAS / f"{command.replace(' ', '-')}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(written)
    assert written == schema_of(command), "run scripts/reference"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("memory store", ["memory", "store", "The parser is hand-written."]),
        ("memory delete", ["memory", "delete", "nothing"]),
        ("memory clear", ["memory", "clear", "--agent", "lead"]),
        ("memory episodes", ["memory", "episodes"]),
        ("memory", ["memory", "search", "parser"]),
        ("metrics", ["metrics"]),
        ("models", ["models", "--all"]),
        ("patterns", ["patterns"]),
        ("plan", ["plan", "--manager", "scripted:m.jsonl", "--role", "a=scripted:m.jsonl", "go"]),
        ("sessions show", ["sessions", "show"]),
        ("sessions export", ["sessions", "export", "--to", "talk.jsonl"]),
        ("vote", ["vote", "--models", "scripted:m.jsonl,scripted:m.jsonl", "--preview", "x"]),
        ("vote", ["vote", "--models", "scripted:m.jsonl,scripted:m.jsonl", "x"]),
        ("bench", ["bench", "scripted:m.jsonl,scripted:none.jsonl", "x"]),
        ("run", ["run", "--no-tools", "--model", "scripted:none.jsonl", "x"]),
        ("tools", ["tools", "nobody"]),
        ("calibrate", ["calibrate", "none", "--host", "http://127.0.0.1:9"]),
        ("call", ["call", "nobody", "tool"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_command_prints_is_what_its_schema_says(
    command: str,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    (tmp_path / "m.jsonl").write_text('{"text": "ANSWER: yes"}\n', encoding="utf-8")
    main(["run", "--no-tools", "--quiet", "--model", "scripted:m.jsonl", "x"])
    capsys.readouterr()
    code = main([*words, "--json"])
    found = described(command, capsys.readouterr().out)
    assert found["ok"] is (code == 0)


def test_a_simulated_server_says_where_it_is() -> None:
    program = Path(sys.executable).parent / "understudy"
    with subprocess.Popen(
        [program, "simulate", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert described("simulate", process.stdout.readline())["url"].startswith("http://127.0.0.1:")
        process.terminate()


def test_what_no_command_prints_is_refused_by_the_check() -> None:
    metrics: dict[str, Any] = {"ok": True, "models": []}
    assert described("metrics", json.dumps(metrics)) == metrics
    with pytest.raises(AssertionError, match="metrics"):
        described("metrics", json.dumps(metrics | {"extra": 1}))
