"""`understudy config show`: every setting, its value, where it came from, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.config.masking import masked
from orchestrator.config.models import Config
from orchestrator.config.trust import trust
from tests.results import described

SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DEFAULT_MODEL", "OLLAMA_HOST", "OLLAMA_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def shown(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, dict[str, Any]]:
    assert main(["config", "show", *options, "--json"]) == 0
    said = described("config show", capsys.readouterr().out)
    assert said["ok"] is True
    return {one["key"]: one for one in said["settings"]}


def test_each_setting_says_which_of_all_the_places_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(
        "default_model: ollama:yaml\nmax_rounds: 4\n\ndisplay:\n  theme: light\n  quiet: true\n"
    )
    (tmp_path / ".env").write_text("# mine\n\nexport UNDERSTUDY_MAX_TOKENS=70\nUNDERSTUDY_MAX_ROUNDS=5\n")
    monkeypatch.setenv("UNDERSTUDY_TEMPERATURE", "0.5")
    found = shown(capsys, "--model", "ollama:flag")
    assert {key: (found[key]["value"], found[key]["source"]) for key in found if key in WANTED} == {
        key: (value, source.replace("HERE", str(tmp_path))) for key, (value, source) in WANTED.items()
    }


WANTED = {
    "default_model": ("ollama:flag", "--model"),
    "temperature": (0.5, "the environment variable UNDERSTUDY_TEMPERATURE"),
    "max_tokens": (70, "HERE/.env, line 3: UNDERSTUDY_MAX_TOKENS"),
    "max_rounds": (5, "HERE/.env, line 4: UNDERSTUDY_MAX_ROUNDS"),
    "display.theme": ("light", "HERE/config.yaml, line 5"),
    "display.quiet": (True, "HERE/config.yaml, line 6"),
    "display.format": ("rich", "default"),
    "budget_usd": (None, "default"),
}


def test_every_setting_there_is_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    sections = {key.partition(".")[0] for key in shown(capsys)}
    assert set(Config.model_fields) - {"folder", "with_keys", "notices", "written"} <= sections


def test_no_secret_is_shown_in_either_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("THEIRS", SECRET)
    (tmp_path / "config.yaml").write_text(
        "providers:\n"
        f"  box: {{kind: openai, base_url: 'http://me:{SECRET}@127.0.0.1:8000/v1', api_key_env: BOX_KEY,\n"
        f"        cache: 'redis://:{SECRET}@127.0.0.1:6379/0', options: {{api_key: {SECRET}}}}}\n"
    )
    (tmp_path / "mcp.json").write_text(
        json.dumps(
            {
                "mcpServers": {
                    "a": {
                        "command": "a",
                        "args": [
                            "--api-key",
                            "${THEIRS}",
                            f"--token={SECRET}",
                            "keep",
                            "http://h/?key=${THEIRS}",
                        ],
                        "env": {"DB": "${THEIRS}"},
                    },
                    "b": {"url": "http://127.0.0.1:9/mcp", "headers": {"X-Any": f"Bearer {SECRET}"}},
                }
            }
        )
    )
    for name in ("config.yaml", "mcp.json"):
        trust(tmp_path / name)
    found = shown(capsys)
    assert main(["config", "show"]) == 0
    assert SECRET not in json.dumps(found) + capsys.readouterr().out
    assert found["servers.a.args"]["value"] == [
        "--api-key",
        "***",
        "--token=***",
        "keep",
        "http://h/?key=***",
    ]
    assert found["servers.a.env.DB"] == {
        "key": "servers.a.env.DB",
        "value": "***",
        "source": f"{tmp_path}/mcp.json, line 1, mcpServers.a",
    }
    assert found["providers.box.api_key_env"]["value"] == "BOX_KEY"
    assert found["ANTHROPIC_API_KEY"]["source"] == "the environment variable ANTHROPIC_API_KEY"


@pytest.mark.parametrize(
    "text",
    [
        "ollama:qwen3:8b",
        "http://127.0.0.1:11434",
        "Answer in three sentences.",
        "author: who wrote it",
        "--max-tokens=400",
        "/home/me/keys/notes.md",
    ],
)
def test_what_is_no_secret_is_shown_as_it_is(text: str) -> None:
    assert masked(("agents", "lead", "system"), text) == text


def test_a_label_given_as_an_option_is_not_said_to_come_from_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("labels: {team: red, site: bonn}\n")
    trust(tmp_path / "config.yaml")
    found = shown(capsys, "labels", "--label", "team=blue")
    assert {key: (one["value"], one["source"]) for key, one in found.items()} == {
        "labels.team": ("blue", "--label"),
        "labels.site": ("bonn", f"{tmp_path}/config.yaml, line 1"),
    }


def test_what_is_not_trusted_yet_is_not_shown_as_if_it_held(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("budget_usd: 900\nmax_rounds: 3\n")
    found = shown(capsys)
    assert (found["budget_usd"]["value"], found["budget_usd"]["source"]) == (None, "default")
    assert found["max_rounds"]["source"].endswith("config.yaml, line 2")


def test_a_key_there_is_not_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "modle"]) == 2
    said = capsys.readouterr().err
    assert "no setting 'modle'" in said and "default_model" in said and said.count("\n") == 1
