"""What a map's receipt says: exactly what failed, which files gave nothing, and what to send next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.ollama.engines.replay import Recited
from servers.ollama.server import build
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.recited import recited
from tests.stdio import start
from tests.tokens import count

pytestmark = pytest.mark.anyio

PAGES = {
    "delivery.md": "We deliver on Tuesdays within 25 km.\nDelivery is free from 50 euros.\n",
    "hours.md": "The shop opens at 9 and closes at 18.\n",
    "returns.md": "Crates come back within 14 days.\nThe deposit is 8 euros.\n",
    "team.md": "Anna runs the yard, Joan the office.\n",
}
FREE = '"Delivery is free from 50 euros."'
DEPOSIT = '"The deposit is 8 euros."'
ASK: dict[str, Any] = {"task": "Name every amount of money.", "glob": "*.md", "gate": "quotes"}
JOIN = "One list, grouped by page."


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def of(name: str, text: str, **final: Any) -> dict[str, Any]:
    """An answer to the chunk of one page."""
    return {"when": PAGES[name].splitlines()[0], "text": text, **({"final": final} if final else {})}


async def mapped(tree: Path, *answers: str | dict[str, Any], **changed: Any) -> dict[str, Any]:
    return await recited(tree, *answers, tool="delegate_map", **{**ASK, **changed})


async def test_what_failed_is_named_and_so_are_the_files_that_gave_nothing(tree: Path) -> None:
    wrong = [of("returns.md", '"The deposit is 9 euros."')] * 2
    receipt = await mapped(
        tree, of("delivery.md", FREE), of("hours.md", "NONE"), of("team.md", "NONE"), *wrong
    )
    assert receipt["outcome"] == "partial" and receipt["reason"] == (
        "1 of 4 chunks failed (returns.md:1-2); the same call tries only that again"
    )
    assert (receipt["done"], receipt["empty"]) == (3, 2)
    assert receipt["empty_files"] == ["hours.md", "team.md"]
    (tried,) = receipt["tried"]
    assert tried["source"] == "returns.md:1-2" and "not in the material" in tried["why"]


async def test_a_reduce_that_failed_is_no_chunk_that_failed(tree: Path) -> None:
    none = [of(name, "NONE") for name in ("hours.md", "team.md")]
    found = [of("delivery.md", FREE), of("returns.md", DEPOSIT)]
    bad = [{"when": JOIN, "text": '"All is free."'}] * 2
    receipt = await mapped(tree, *none, *found, *bad, reduce=JOIN)
    assert receipt["outcome"] == "partial" and receipt["reason"] == (
        "the reduce failed, so the answers stand unjoined; the same call tries only that again"
    )
    assert FREE in receipt["answer"] and DEPOSIT in receipt["answer"]
    assert [tried["source"] for tried in receipt["tried"]] == ["reduce of 2"]
    assert [advice["say"] for advice in receipt["advice"]] == [
        "join the answers yourself: they stand in this receipt"
    ]


async def test_chunks_and_the_reduce_that_failed_are_told_apart(tree: Path) -> None:
    none = of("team.md", "NONE")
    found = [of("delivery.md", FREE), of("returns.md", DEPOSIT)]
    bad = [*[of("hours.md", '"It opens at 8."')] * 2, *[{"when": JOIN, "text": '"All is free."'}] * 2]
    receipt = await mapped(tree, none, *found, *bad, reduce=JOIN)
    assert receipt["reason"] == (
        "1 of 4 chunks failed (hours.md:1-1), and so did the reduce; the same call tries only those again"
    )
    assert [tried["source"] for tried in receipt["tried"]] == ["hours.md:1-1", "reduce of 2"]
    everything = await mapped(
        tree, *[of(name, '"No."') for name in PAGES for _ in range(2)], task="Name all."
    )
    assert everything["outcome"] == "escalate"
    assert everything["reason"] == (
        "all 4 chunks failed (delivery.md:1-2, hours.md:1-1, returns.md:1-2, ...)"
    )
    assert everything["advice"][0]["say"] == "do it yourself: no other model here is likelier to pass"


async def test_one_answer_alone_is_joined_already_unless_the_reduce_asks_for_more(tree: Path) -> None:
    found = [of("delivery.md", FREE), *[of(name, "NONE") for name in PAGES if name != "delivery.md"]]
    receipt = await mapped(tree, *found, reduce=JOIN)
    assert receipt["outcome"] == "accepted" and "tried" not in receipt
    assert f"## delivery.md:2\n{FREE}" in receipt["answer"]
    for more in (
        "How many are there?",
        "One list, sorted by page.",
        "Write a paragraph for customers.",
    ):
        asked_for = {"when": f"TASK:\n{more}", "text": f"Said: {FREE}"}
        assert f"Said: {FREE}" in (await mapped(tree, asked_for, reduce=more))["answer"]


async def test_a_reduced_answer_that_nothing_judged_is_unchecked(tree: Path) -> None:
    found = [of(name, f"{n} euros.") for n, name in enumerate(PAGES)]
    receipt = await mapped(tree, *found, gate=None, task="What costs it?")
    assert "could judge 4 of 4 answers" in receipt["reason"]
    schema = {"schema": {"type": "object", "properties": {"euros": {"type": "integer"}}}}
    found = [of("delivery.md", '{"euros": 50}'), of("returns.md", '{"euros": 8}')]
    asked = {"gate": schema, "glob": "[dr]*.md", "task": "What costs it?", "reduce": "SUM"}
    receipt = await mapped(tree, *found, {"when": "SUM", "text": "It costs 58 euros."}, **asked)
    assert receipt["outcome"] == "answered" and "58 euros" in receipt["answer"], receipt


async def test_a_failed_chunk_is_advised_to_the_likelier_model_alone(tree: Path) -> None:
    models = [{"name": "small", "size_bytes": 10**8}, {"name": "big", "size_bytes": 10**10}]
    others = [of(name, "NONE") for name in ("hours.md", "team.md")]
    wrong = [of("returns.md", '"The deposit is 9 euros."')] * 2
    said = [of("delivery.md", FREE), *others, *wrong, {"model": "big", **of("returns.md", DEPOSIT)}]
    script = tree.parent / "r.json"
    script.write_text(json.dumps({"models": models, "answers": said}), encoding="utf-8")
    async with Client(build([str(tree)], Recited(str(script)))) as client:
        result = await client.call_tool("delegate_map", {**ASK, "model": "small", "reduce": JOIN})
        receipt: Any = result.structured_content
        (advice,) = receipt["advice"]
        assert advice["action"] == "other_model" and advice["say"].endswith(": what failed alone")
        assert advice["call"] == {
            "task": ASK["task"], "files": ["returns.md"], "model": "big", "gate": [{"quotes": True}],
        }  # fmt: skip
        again: Any = (await client.call_tool("delegate", advice["call"])).structured_content
    assert again["outcome"] == "accepted" and DEPOSIT in again["answer"]


async def test_an_engine_that_failed_under_a_map_is_asked_again(tree: Path) -> None:
    none = [of(name, "NONE") for name in PAGES if name != "delivery.md"]
    receipt = await mapped(tree, *none)
    (advice,) = receipt["advice"]
    assert advice["action"] == "send_again" and advice["call"]["glob"] == "*.md"
    done = await mapped(tree, of("delivery.md", FREE))
    assert done["outcome"] == "accepted" and done["reused"] == 3


async def test_the_receipt_of_a_map_is_short(tree: Path) -> None:
    wrong = [of("returns.md", '"The deposit is 9 euros."')] * 2
    none = [of(name, "NONE") for name in ("hours.md", "team.md")]
    receipt = await mapped(tree, of("delivery.md", FREE), *none, *wrong, reduce=JOIN)
    assert count(json.dumps(receipt)) <= 275, json.dumps(receipt)


def test_a_chunk_that_its_cap_cuts_gets_twice_as_much_and_then_what_its_caller_gives(tree: Path) -> None:
    numbers = " ".join(f"{n} euros for crate {n}," for n in range(1, 150))
    long = {PAGES["returns.md"].splitlines()[0]: numbers}

    def answer(body: Any) -> str:
        prompt = body["messages"][-1]["content"]
        return next(
            (said for when, said in long.items() if when in prompt), "NONE" if "Anna" in prompt else "50."
        )

    small = SimulatedModel(name="small:latest", context_length=8192)
    world = World(machine=Machine(small, noise=Noise(spread=0.01)), answers=answer)
    asked: dict[str, Any] = {"task": "Which amounts are there?", "glob": "*.md"}
    with simulated_in_thread(world) as url, start("ollama", str(tree), "--host", url) as server:
        cut = server.call("delegate_map", **asked).structured
        caps = [body["options"]["num_predict"] for body in world.requests if "options" in body]
        assert sorted(caps) == [400, 400, 400, 400, 800], "an answer that is cut gets more room once"
        assert cut["outcome"] == "partial" and "cap of 800 tokens; raise max_output" in cut["tried"][0]["why"]
        (advice,) = cut["advice"]
        assert advice["action"] == "raise_cap" and advice["call"] == {**asked, "max_output": 1600}
        done = server.call("delegate_map", **advice["call"]).structured
        assert done["reused"] == 3 and "crate 149" in done["answer"]
        before = len(world.requests)
        own = server.call("delegate_map", **{**asked, "task": "Which?", "max_output": 90}).structured
        assert "cap of 90 tokens" in own["tried"][0]["why"] and len(world.requests) == before + 4
        refused = server.call("delegate_map", **asked, max_output=0)
        assert refused.is_error and "at least 1" in refused.text
