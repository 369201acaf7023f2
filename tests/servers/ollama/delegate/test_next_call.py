"""Every piece of advice is the next call: sent as it stands it is no longer refused, and keeps its word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.stdio import Stdio, start

SMALL = SimulatedModel(name="small:latest", params=3e9, context_length=8192)
BIG = SimulatedModel(
    name="big:latest", params=8e9, size_bytes=4.9e9, read_s=1 / 60, write_s=1 / 8, load_s=6.0
)
NOTES = "".join(f"Note {n}: the valve of tank {n} was closed by team {n % 7}.\n" for n in range(200))
CODE = "".join(f"def step_{n}(value):\n    return value + {n}\n\n\n" for n in range(100))


def answer(body: Any) -> str:
    """Every model here knows one answer, and none to a question that begins with Why."""
    return "NONE" if "TASK:\nWhy" in body["messages"][-1]["content"] else "Team 4 closed it, as note 11 says."


@contextmanager
def serving(folder: Path, *models: SimulatedModel) -> Iterator[Stdio]:
    """A server whose ledger knows three runs of each model."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "größe ☃.txt").write_text(NOTES, encoding="utf-8")
    (tree / "steps.py").write_text(CODE, encoding="utf-8")
    for n in range(3):
        (tree / f"part{n}.md").write_text(NOTES[: 900 + n], encoding="utf-8")
    machine = Machine(*models, noise=Noise(spread=0.01), room=len(models))
    with (
        simulated_in_thread(World(machine=machine, answers=answer), scale=0.0) as url,
        start("ollama", str(tree), "--host", url) as server,
    ):
        for model in models:
            for n in range(3):
                server.call("delegate", task=f"Who closed valve {n}?", files=["part0.md"], model=model.name)
        yield server


ASK: dict[str, Any] = {"task": "Which team closed the valve of tank 11?", "files": ["größe ☃.txt"]}
MAP: dict[str, Any] = {"task": "Which teams are there?", "glob": "*.md"}
STEP: dict[str, Any] = {"task": "Explain what step_7 does.", "files": ["steps.py"]}
ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("delegate_map", {**MAP, "task": "Why was it closed?", "model": "small"}),
    ("delegate", {**ASK, "model": "small", "deadline_s": 1}),
    ("delegate", {**ASK, "model": "big", "deadline_s": 8, "gate": {"max_changed_lines": 3}}),
    ("delegate", {**STEP, "model": "big", "deadline_s": 0.5, "context": "Be brief."}),
    ("delegate", {**ASK, "model": "big", "max_output": 1_000_000}),
    ("delegate", {**ASK, "max_output": 1_000_000, "schema": {"type": "object"}}),
    ("delegate", {**ASK, "model": "small", "max_output": 3}),
    ("delegate", {**ASK, "model": "big", "think": True, "max_output": 4000}),
    ("delegate", {**ASK, "task": "Why was it closed?", "model": "small"}),
    ("estimate", {**ASK, "deadline_s": 1, "gate": "quotes"}),
    ("estimate", {**ASK, "model": "big"}),
    ("estimate", {**ASK, "max_output": 1_000_000}),
    ("estimate", {**STEP, "write": "edits", "deadline_s": 1, "model": "small"}),
    ("estimate", {**STEP, "model": "small"}),
    ("delegate_map", {**MAP, "model": "big", "deadline_s": 0.5, "gate": {"schema": {"type": "string"}}}),
    ("estimate", {"task": MAP["task"], "map": MAP["glob"], "deadline_s": 0.5}),
)


def test_the_call_of_every_advice_can_be_sent_as_it_stands(tmp_path: Path) -> None:
    seen = set[tuple[str, str]]()
    with serving(tmp_path, SMALL, BIG) as server:
        for tool, given in ORDERS:
            told = server.call(tool, **given).structured
            for advice in told.get("advice", []):
                if not (call := advice.get("call")):
                    continue
                to = "delegate_map" if "glob" in call else "delegate"
                seen.add((to, advice["action"]))
                kept = {name: value for name, value in given.items() if name in ("task", "schema", "context")}
                assert kept.items() <= call.items(), (given, call)
                then = server.call(to, **call)
                assert not then.is_error and then.structured["outcome"] != "refused", (advice, then.text)
                assert advice["then_s"] > 0 and ("glob" in call or advice["odds"] > 0), advice
    actions = "meet_deadline", "lower_cap", "raise_cap", "no_thinking", "other_model", "send_part"
    assert seen >= {("delegate", action) for action in actions}
    assert seen >= {("delegate_map", action) for action in ("meet_deadline", "other_model")}


def test_an_engine_that_failed_is_no_reason_to_do_it_oneself(tmp_path: Path) -> None:
    machine = Machine(SMALL, noise=Noise(spread=0.01))
    (tmp_path / "a.txt").write_text(NOTES, encoding="utf-8")
    world = World(machine=machine, answers=answer, faults=["hang-up"])
    with simulated_in_thread(world) as url, start("ollama", str(tmp_path), "--host", url) as server:
        asked = {"task": "Which team closed it?", "files": ["a.txt"], "model": "small"}
        failed = server.call("delegate", **asked).structured
        (advice,) = failed["advice"]
        assert failed["outcome"] == "escalate" and advice["action"] == "send_again"
        assert advice["call"] == asked
        assert server.call("delegate", **advice["call"]).structured["outcome"] == "answered"


def test_a_refused_deadline_is_answered_with_the_shortest_that_would_do_for_the_whole_of_it(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, SMALL, BIG) as server:
        asked = {**ASK, "model": "small", "deadline_s": 1}
        refused = server.call("delegate", **asked).structured
        (advice,) = refused["advice"]
        estimate = server.call("estimate", **asked).structured
        assert advice["call"]["deadline_s"] >= advice["then_s"] and advice["call"]["files"] == ASK["files"]
        assert f"deadline_s={advice['call']['deadline_s']}" in advice["say"] and advice["odds"] > 0.3
        assert estimate["verdict"].startswith("does not fit: small:latest: ")
        assert estimate["verdict"].endswith(estimate["advice"][0]["say"])
        tight = server.call("estimate", **ASK, deadline_s=advice["then_s"], model="small").structured
        assert "in time): small:latest" in tight["verdict"]
        better = [a for a in tight["advice"] if a["action"] == "meet_deadline"]
        assert all(a["call"].get("deadline_s", 0) > advice["then_s"] for a in better), (
            "no better than as it is"
        )


def test_what_another_model_takes_is_told_without_the_first_one_s_cache(tmp_path: Path) -> None:
    """The slow model holds the file in its cache: to ask the quick one means to read it."""
    quick = SimulatedModel(name="quick:latest", params=8e9, size_bytes=5e9, read_s=1 / 100, write_s=1 / 500)
    with serving(tmp_path, BIG, quick) as server:
        server.call("delegate", **ASK, model="big")
        estimate = server.call("estimate", **ASK).structured
        rows = {row["model"]: row["forecast"]["total_s"] for row in estimate["models"]}
        assert all(
            a["then_s"] == rows["quick:latest"] for a in estimate["advice"] if a["action"] == "other_model"
        )
        assert rows["quick:latest"] > 20


def test_a_map_is_not_forecast_with_what_it_does_not_take(tmp_path: Path) -> None:
    with serving(tmp_path, SMALL) as server:
        result = server.call("estimate", task="x", map="*.md", write="x.txt")
        assert result.is_error and "delegate_map takes no write" in result.text
        capped = server.call("estimate", task="x", map="*.md", max_output=9).structured
        assert capped["models"][0]["answer_cap"] == 9
        for given in ({"map": "files"}, {"map": "*.md", "files": ["part0.md"]}):
            result = server.call("estimate", task="x", **given)
            assert result.is_error and 'map="files"' in result.text
        seen = server.call("profile", kind="poem").structured
        assert "no run of kind poem is on record; there are models small:latest; kinds answer" in seen["note"]
