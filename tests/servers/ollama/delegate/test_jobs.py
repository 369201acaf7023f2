"""Long work against a simulated Ollama: ids instead of time-outs, progress, cancelling, queueing, overflow, faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.processes import cancelled_once, until
from tests.stdio import Stdio, connect, start

SMALL = SimulatedModel(name="small:latest", context_length=8192)
BIG = SimulatedModel(
    name="big:latest", params=8e9, size_bytes=4.9e9, read_s=1 / 60, write_s=1 / 8, load_s=6.0
)
QUIET = Noise(spread=0.01)
TEXT = "the quick brown fox jumps over the lazy dog " * 60


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT, encoding="utf-8")
    return folder


@contextmanager
def serving(tree: Path, world: World | None = None, *, scale: float = 0.0) -> Iterator[Stdio]:
    world = world or World(machine=Machine(SMALL, noise=QUIET))
    with simulated_in_thread(world, scale=scale) as url, start("ollama", str(tree), "--host", url) as server:
        yield server


def test_a_run_longer_than_its_wait_gives_an_id_to_come_back_with(tree: Path) -> None:
    with serving(tree, scale=0.05) as server:
        first = server.call("delegate", task="x", files=["a.txt"], wait_s=0.05).structured
        assert first["outcome"] == "running" and first["delegation"]
        status = server.call("delegation", id=first["delegation"]).structured
        assert status["state"] == "running" and status["doing"]
        done = server.call("delegation", id=first["delegation"], action="wait").structured
        assert done["outcome"] == "answered" and done["profile"]["simulated"] is True
        again = server.call("delegation", id=first["delegation"], action="result").structured
        assert again == done


def test_a_map_that_cannot_end_in_time_is_refused_with_the_time_that_would_do(tree: Path) -> None:
    for n in range(6):
        (tree / f"{n}.txt").write_text(TEXT, encoding="utf-8")
    asked: dict[str, Any] = {"task": "Name the animals.", "glob": "?.txt"}
    with serving(tree, World(machine=Machine(BIG, noise=QUIET), answers=lambda _: "fox and dog")) as server:
        late = server.call("delegate_map", **asked, deadline_s=0.0001).structured
        assert late["outcome"] == "partial" and late["done"] == 0, late
        assert "0.0001 s were over after 0 of 7 chunks; the same call goes on" in late["reason"]
        server.call("delegate", task="x", files=["a.txt"])
        refused = server.call("delegate_map", **asked, deadline_s=2)
        assert refused.is_error and "7 chunks take about" in refused.text
        enough = int(refused.text.partition("allow ")[2].partition(" s")[0])
        done = server.call("delegate_map", **asked, deadline_s=enough).structured
        assert (
            done["done"] == 7
            and "deadline_s is a number" in server.call("delegate_map", **asked, deadline_s=-1).text
        )


def test_estimate_of_a_map_gate_or_schema_is_what_delegating_it_takes(tree: Path) -> None:
    for n in range(6):
        (tree / f"{n}.txt").write_text(TEXT, encoding="utf-8")
    world = World(machine=Machine(BIG, noise=QUIET), answers=lambda _: "fox and dog")
    with serving(tree, world) as server:
        asked: dict[str, Any] = {"task": "Name the animals.", "glob": "?.txt"}
        unknown = server.call("estimate", task="Name the animals.", map="?.txt").structured
        assert "not yet measured: 7 chunks" in unknown["verdict"], unknown
        server.call("delegate", task="x", files=["a.txt"])
        whole = server.call("estimate", task="Name the animals.", map="?.txt").structured
        (row,) = whole["models"]
        assert whole["verdict"].startswith("fits: ") and "7 chunks" in whole["verdict"], whole
        done = server.call("delegate_map", **asked).structured
        assert row["forecast"]["low_s"] <= done["total_s"] <= row["forecast"]["high_s"]
        named = server.call("estimate", task="Name the animals.", files=["0.txt", "1.txt"], map="files")
        assert "2 chunks" in named.structured["verdict"]
        late = server.call("estimate", task="Name the animals.", map="?.txt", deadline_s=0.01).structured
        assert late["verdict"].startswith("does not fit: ") and "0.01 s given" in late["verdict"], late
        schema = {"type": "object", "required": ["count"]}
        shaped = server.call("estimate", task="Count.", files=["a.txt"], schema=schema).structured["models"]
        plain = server.call("estimate", task="Count.", files=["a.txt"]).structured["models"]
        assert shaped[0]["tokens_in"] > plain[0]["tokens_in"]
        assert server.call("estimate", task="Count.", gate="nonsense").is_error


def test_a_model_that_writes_no_text_is_known_as_such_and_never_offered(tree: Path) -> None:
    embeds = SimulatedModel(name="nomic-embed-text:latest", capabilities=("embedding",), context_length=2048)
    sees = SimulatedModel(name="deepseek-ocr:latest", capabilities=("completion", "vision"))
    tiny = SimulatedModel(name="tiny:latest", context_length=512)
    world = World(machine=Machine(SMALL, embeds, sees, tiny, noise=QUIET))
    with serving(tree, world) as server:
        seen = {m["name"]: m["unfit"] for m in server.call("list_models").structured["models"]}
        assert seen["nomic-embed-text:latest"] == "it makes embeddings and writes no text"
        assert "pictures" in seen["deepseek-ocr:latest"] and "512 tokens" in seen["tiny:latest"]
        assert seen["small:latest"] is None
        ranked = server.call("estimate", task="x", files=["a.txt"]).structured["models"]
        assert {"small:latest", "tiny:latest"} == {row["model"] for row in ranked}
        named = server.call("estimate", task="x", model="nomic-embed-text").structured
        assert "makes embeddings" in named["verdict"] and "best" not in named
        for tool in ("delegate", "delegate_map"):
            refused = server.call(tool, task="x", files=["a.txt"], model="nomic-embed-text")
            assert refused.is_error and "makes embeddings and writes no text; there are" in refused.text
            assert "small:latest" in refused.text and "ocr" not in refused.text
    with serving(tree, World(machine=Machine(embeds, noise=QUIET))) as server:
        refused = server.call("delegate", task="x", files=["a.txt"])
        assert "no model here writes text (nomic-embed-text:latest: it makes embeddings" in refused.text


def test_an_id_nobody_gave_out_is_one_sentence(tree: Path) -> None:
    with serving(tree) as server:
        result = server.call("delegation", id="nope", action="wait")
        assert result.is_error and "no delegation 'nope'" in result.text


def test_cancelling_frees_the_slot_for_the_next(tree: Path) -> None:
    """Neither run would end today; an answer is asked for when its run has the slot."""
    held: list[str] = []

    def answer(body: Any) -> str:
        held.append(body["messages"][-1]["content"])
        return "word " * 3000

    with serving(tree, World(machine=Machine(SMALL, noise=QUIET), answers=answer), scale=1000.0) as server:
        for n, task in enumerate(("first", "second"), 1):
            id = server.call("delegate", task=task, max_output=4000, wait_s=0).structured["delegation"]
            until(lambda n=n: len(held) == n, f"the {task} run to have the slot")
            assert server.call("delegation", id=id, action="cancel").structured["outcome"] == "cancelled"
        until(lambda: len(server.call("profile").structured["runs"]) == 2, "both runs to be on record")
        outcomes = [run["profile"]["outcome"] for run in server.call("profile").structured["runs"]]
    assert "second" in held[1] and outcomes == ["cancelled"] * 2


@pytest.mark.anyio
async def test_a_client_that_cancels_its_call_stops_the_work(tree: Path) -> None:
    world = World(machine=Machine(SMALL, noise=QUIET), answers=lambda body: "word " * 3000)
    with simulated_in_thread(world, scale=1.0) as url, anyio.fail_after(60):
        async with connect("ollama", str(tree), "--host", url) as client:
            long = {"task": "long", "max_output": 4000}
            await cancelled_once(lambda: world.requests, lambda: client.call_tool("delegate", long))
            listed: Any = (await client.call_tool("delegation", {})).structured_content
            id = listed["delegations"][0]["delegation"]
            ended: Any = (
                await client.call_tool("delegation", {"id": id, "action": "wait"})
            ).structured_content
            assert ended["outcome"] == "cancelled"


@pytest.mark.anyio
async def test_progress_tells_tokens_and_what_is_left(tree: Path) -> None:
    told: list[str] = []

    async def hear(done: float, of: float | None, message: str | None) -> None:
        told.append(message or "")

    world = World(machine=Machine(SMALL, noise=QUIET), answers=lambda body: "word " * 100)
    with simulated_in_thread(world, scale=0.3) as url, anyio.fail_after(60):
        async with connect("ollama", str(tree), "--host", url) as client:
            await client.call_tool("delegate", {"task": "x"}, progress_callback=hear)
    assert any("tokens" in line and "s left" in line for line in told)


@pytest.mark.anyio
async def test_what_is_left_is_told_of_the_answer_under_way_and_not_of_what_may_follow(tree: Path) -> None:
    """The first answer is none at all and refused; the second takes long enough to be seen."""
    told: list[str] = []

    async def hear(done: float, of: float | None, message: str | None) -> None:
        told.append(message or "")

    said = ["word " * 60, "NONE", *["It says words. " + "word " * 100] * 9]
    world = World(machine=Machine(SMALL, noise=QUIET), answers=lambda body: said.pop(0))
    with simulated_in_thread(world, scale=0.5) as url, anyio.fail_after(60):
        async with connect("ollama", str(tree), "--host", url) as client:
            await client.call_tool("delegate", {"task": "x", "gate": "none"}, progress_callback=hear)
            first = [line for line in told if " left" in line]
            told.clear()
            await client.call_tool("delegate", {"task": "What does it say?"}, progress_callback=hear)
            second = [line for line in told if "second answer" in line and " left" in line]
            told.clear()
            asked = {"task": "Which?", "files": ["a.txt"]}
            await client.call_tool("delegate_map", asked, progress_callback=hear)
            mapped = [line for line in told if "chunk 1 of 1" in line and " left" in line]
    assert first and all("left if its first answer is right" in line for line in first), first
    assert second and not any("right" in line for line in second), second
    assert mapped and all("left of this answer" in line for line in mapped), told


def test_the_second_run_of_a_model_waits_for_the_first_and_says_so(tree: Path) -> None:
    with serving(tree, scale=0.05) as server:
        numbers = [
            server.send("tools/call", {"name": "delegate", "arguments": {"task": "x", "files": ["a.txt"]}})
            for _ in range(3)
        ]
        receipts = [server.answer(n)["result"]["structuredContent"] for n in numbers]
        waits = sorted(receipt.get("waited_s", 0.0) for receipt in receipts)
    assert waits[0] < waits[1] < waits[2]


def test_what_does_not_fit_is_refused_with_the_numbers_and_no_request(tree: Path) -> None:
    (tree / "big.txt").write_text(TEXT * 30, encoding="utf-8")
    world = World(machine=Machine(SMALL, noise=QUIET))
    with serving(tree, world) as server:
        result = server.call("delegate", task="x", model="small", files=["big.txt"])
    assert result.is_error and "but small:latest holds 8,192 here" in result.text
    assert result.structured["outcome"] == "refused" and "run" not in result.structured
    assert world.requests == []


def test_a_server_that_cuts_in_silence_is_found_out(tree: Path) -> None:
    world = World(machine=Machine(SMALL, noise=QUIET), faults=["cut"])
    with serving(tree, world) as server:
        receipt = server.call("delegate", task="x", model="small", files=["a.txt"]).structured
    assert receipt["outcome"] == "escalate" and "the server cut the prompt" in receipt["reason"]
    assert receipt["profile"]["outcome"] == "overflow" and "answer" not in receipt


@pytest.mark.parametrize("fault", ["abort", "error", "hang-up"])
def test_a_failing_engine_makes_the_ladder_climb(tree: Path, fault: Any) -> None:
    world = World(machine=Machine(SMALL, BIG, noise=QUIET, room=2), faults=[fault])
    with serving(tree, world) as server:
        receipt = server.call("delegate", task="x", model="small", ladder=["big"], files=["a.txt"]).structured
    assert receipt["outcome"] == "answered" and receipt["model"] == "big:latest"
    assert receipt["tried"][0]["outcome"] in ("aborted", "error")


def test_a_deadline_nobody_can_meet_is_refused_with_what_would_do(tree: Path) -> None:
    with serving(tree) as server:
        for _ in range(3):
            server.call("delegate", task="x", files=["a.txt"])
        result = server.call("delegate", task="x", files=["a.txt"], deadline_s=0.2)
    assert result.is_error and "allow" in result.text
    assert result.structured["outcome"] == "refused" and result.structured["forecast"]["runs"] == 3


def test_forecasts_of_a_quiet_machine_come_true(tree: Path) -> None:
    with serving(tree) as server:
        for n in range(8):
            (tree / "a.txt").write_text(f"{n} " + TEXT * (1 + n % 3), encoding="utf-8")
            receipt = server.call("delegate", task="x", files=["a.txt"], max_output=64).structured
        assert abs(receipt["forecast"]["error"]) < 0.5
        assert server.call("profile").structured["forecasts"]["runs"] >= 5


def test_auto_takes_the_fast_model_when_both_pass_and_says_why(tree: Path) -> None:
    world = World(machine=Machine(SMALL, BIG, noise=QUIET, room=2), answers=lambda body: '{"count": 1}')
    schema = {"type": "object", "required": ["count"]}
    with serving(tree, world) as server:
        for model in ("small", "big") * 6:
            server.call("delegate", task="x", model=model, files=["a.txt"], schema=schema)
        ranked = server.call("estimate", task="extract", files=["a.txt"]).structured
        receipt = server.call("delegate", task="x", files=["a.txt"], schema=schema).structured
    assert {row["model"] for row in ranked["models"]} == {"small:latest", "big:latest"}
    assert "odds" in receipt["chosen"] and receipt["outcome"] == "accepted"


def test_a_map_answers_by_place_resumes_and_reduces(tree: Path) -> None:
    for n in range(4):
        (tree / f"part{n}.md").write_text(f"Section {n}\nThe answer is {n}.\n", encoding="utf-8")

    def answer(body: Any) -> str:
        prompt = body["messages"][-1]["content"]
        if "JOIN" in prompt:
            return 'All: "The answer is 1." and "The answer is 3."'
        found = [f'It says "The answer is {n}."' for n in (1, 3) if f"The answer is {n}." in prompt]
        return found[0] if found else "NONE"

    world = World(machine=Machine(SMALL, noise=QUIET), answers=answer)
    with serving(tree, world) as server:
        asked = {"task": "Find odd answers", "glob": "*.md", "gate": "quotes"}
        first = server.call("delegate_map", **asked).structured
        assert first["outcome"] == "accepted", first
        assert (first["chunks"], first["done"], first["empty"], first["reused"]) == (4, 4, 2, 0)
        assert "## part1.md:2\n" in first["answer"] and "## part3.md:2\n" in first["answer"]
        asked_before = len(world.requests)
        second = server.call("delegate_map", **asked, reduce="JOIN").structured
        assert second["reused"] == 4 and len(world.requests) == asked_before + 1
        assert '"The answer is 3."' in second["answer"]


def test_only_the_first_chunk_of_a_map_is_forecast_to_load_its_model(tree: Path) -> None:
    world = World(machine=Machine(BIG, noise=QUIET), answers=lambda _: "fox")
    for n in range(4):
        (tree / f"{n}.txt").write_text(f"{n} {TEXT}", encoding="utf-8")
    with serving(tree, world) as server:
        for task in ("Which animals?", "Which colours?"):
            server.call("delegate", task=task, files=["a.txt"])
        world.machine.unload(BIG)
        server.call("delegate_map", task="Which?", glob="?.txt")
        *others, first, _, _ = [
            run["forecast_s"] for run in server.call("profile", last=9).structured["runs"]
        ]
    assert len(others) == 4 and first > max(others) + BIG.load_s / 2, (first, others)


def test_a_map_says_which_files_it_could_not_read(tree: Path) -> None:
    (tree / "pic.bin").write_bytes(b"\x00\x01")
    with serving(tree) as server:
        receipt = server.call("delegate_map", task="x", files=["a.txt", "pic.bin", "gone.txt"]).structured
    assert receipt["done"] == receipt["chunks"] and len(receipt["left_out"]) == 2


def test_a_map_needs_files_or_a_pattern_that_means_some(tree: Path) -> None:
    with serving(tree) as server:
        assert "give either files or glob" in server.call("delegate_map", task="x").text
        assert "no file matches '*.nope'" in server.call("delegate_map", task="x", glob="*.nope").text


def test_a_rating_reaches_the_odds(tree: Path) -> None:
    with serving(tree) as server:
        run = server.call("delegate", task="x", files=["a.txt"]).structured["run"]
        assert server.call("rate", run=run, verdict="good", note="used as it was").structured == {
            "run": run,
            "verdict": "good",
        }
        odds = server.call("profile").structured["odds"]["small:latest"][0]
        assert odds["rated"] == 1 and odds["good"] == 1.0
        assert server.call("rate", run=99, verdict="good").is_error
        assert "good" in server.call("rate", run=run, verdict="great").text


def test_the_tool_list_costs_a_host_at_most_a_thousand_tokens(tree: Path) -> None:
    bpe = pytest.importorskip("bpe_openai")
    with serving(tree) as server:
        listed = server.request("tools/list", {})["result"]
        names = [tool["name"] for tool in listed["tools"]]
    assert sorted(names) == [
        "delegate",
        "delegate_map",
        "delegation",
        "estimate",
        "list_models",
        "profile",
        "rate",
    ]
    assert len(bpe.get_encoding("o200k_base").encode(json.dumps(listed))) <= 1000


def test_a_briefing_is_short_and_survives_a_damaged_ledger(tree: Path, own_state: Path) -> None:
    (own_state / "understudy").mkdir(exist_ok=True)
    ledger = own_state / "understudy" / "ledger.sqlite"
    ledger.write_bytes(b"not a database" * 100)
    with serving(tree) as server:
        text = server.request("resources/read", {"uri": "understudy://briefing"})["result"]["contents"][0][
            "text"
        ]
        summary = server.request("resources/read", {"uri": "understudy://ledger/summary"})["result"][
            "contents"
        ][0]
        receipt = server.call("delegate", task="x", files=["a.txt"]).structured
        refused = server.call("profile")
    assert "small:latest" in text and "ledger" in text and len(text) < 2400
    assert "error" in json.loads(summary["text"])
    assert receipt["outcome"] == "answered" and "run" not in receipt
    assert refused.is_error and "ledger" in refused.text
    assert ledger.read_bytes() == b"not a database" * 100


def test_without_an_engine_every_tool_says_what_to_do(tree: Path) -> None:
    with start("ollama", str(tree), "--host", "http://127.0.0.1:9") as server:
        for tool, arguments in (
            ("list_models", {}),
            ("delegate", {"task": "x"}),
            ("estimate", {"task": "x"}),
        ):
            result = server.call(tool, **arguments)
            assert result.is_error and "nothing answers at http://127.0.0.1:9; start it" in result.text
