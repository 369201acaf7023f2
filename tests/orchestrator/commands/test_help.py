"""What --help says: a page a person can read at once, with an example, for every command."""

from __future__ import annotations

import pytest

from orchestrator.cli import COMMANDS, main
from orchestrator.commands.help import filled

ROWS = 50
"""One screen of 80 columns; the list of all commands takes a little more."""


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main([*words, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_help_of_every_command_fits_one_screen_and_has_an_example_and_its_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong: list[str] = []
    for command in COMMANDS:
        said = shown(capsys, command)
        rows = said.splitlines()
        if len(rows) > ROWS or max(map(len, rows)) > 80:
            wrong.append(f"{command}: {len(rows)} rows, {max(map(len, rows))} columns")
        if f"understudy {command}" not in said.partition("examples:")[2]:
            wrong.append(f"{command}: no example")
        if "exit codes: 0 " not in said:
            wrong.append(f"{command}: says no exit code")
        if "--verbose" not in said or "--log-level" not in said:
            wrong.append(f"{command}: says nothing of the options all have")
    assert not wrong


def test_the_list_of_commands_names_each_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys).splitlines()
    assert len(rows) < 66 and max(map(len, rows)) <= 80
    for command in COMMANDS:
        assert any(row.startswith(f"  {command} ") for row in rows), command
    assert "exit codes: 0 done, 1 it failed" in "\n".join(rows) and "--log-level" in "\n".join(rows)


def test_a_long_example_goes_on_behind_a_backslash_and_never_within_quotes() -> None:
    line = f'  understudy run --model ollama:a "{"word " * 9}" --resume last --budget-usd 0.50'
    assert filled(line, 60).split("\n") == [
        "  understudy run --model ollama:a \\",
        f'      "{"word " * 9}" \\',
        "      --resume last --budget-usd 0.50",
    ]
    told = f"  understudy memory {'x' * 30}    what comes of it, told in so many words"
    assert filled(told, 60).split("\n") == [
        f"  understudy memory {'x' * 30}",
        "      what comes of it, told in so many words",
    ]
