"""`understudy doctor`: every finding names what was found and, where something helps, the next step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated
from servers.ollama.simulator.machine import Machine, SimulatedModel
from tests.results import described


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:9")


def found(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, dict[str, Any]]:
    assert main(["doctor", "--json"]) == code
    said = described("doctor", capsys.readouterr().out)
    assert said["ok"] is (code == 0)
    return {one["subject"]: one for one in said["findings"]}


def test_a_machine_without_keys_and_models_is_told_how_to_get_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    findings = found(capsys)
    assert findings["keys"]["state"] == findings["ollama"]["state"] == "missing"
    assert (
        "http://127.0.0.1:9" in findings["ollama"]["found"]
        and "ollama serve" in findings["ollama"]["next_step"]
    )
    assert all(one["next_step"] for one in findings.values() if one["state"] != "good")


def test_it_reads_on_a_screen_as_lines_of_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok       python: ") for line in lines)
    assert any(line.startswith("missing  ollama: ") for line in lines)


def test_a_mistake_in_the_configuration_is_wrong_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("max_rounds: many\n", encoding="utf-8")
    wrong = found(capsys, code=1)["configuration"]
    assert wrong["state"] == "wrong" and "config.yaml, line 1" in wrong["found"] and wrong["next_step"]


def test_a_wrong_address_is_one_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://[oops")
    assert found(capsys, code=1)["ollama"]["state"] == "wrong"


@pytest.mark.anyio
async def test_a_server_that_answers_is_named_with_its_version_and_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import anyio

    async with simulated(World(machine=Machine(SimulatedModel(name="small:latest")))) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        ollama = (await anyio.to_thread.run_sync(found, capsys))["ollama"]
    assert ollama["state"] == "good" and url in ollama["found"] and "1 model;" in ollama["found"]

    embeds = World(machine=Machine(SimulatedModel(name="e:latest", capabilities=("embedding",))))
    async with simulated(embeds) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        ollama = (await anyio.to_thread.run_sync(found, capsys))["ollama"]
    assert ollama["state"] == "missing" and ollama["found"].endswith("no model that writes text")


def test_a_clock_before_the_installation_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(capsys)["clock"]["state"] == "good"
    monkeypatch.setattr("orchestrator.commands.doctor.CLOCK_SLACK_S", -1e12)
    clock = found(capsys, 1)["clock"]
    assert clock["state"] == "wrong" and "set the clock" in clock["next_step"]
