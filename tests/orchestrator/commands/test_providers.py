"""`run`, `bench` and `models --all` as a person or a script uses them: money, retries, groups, kept conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import main
from orchestrator.store.store import Store
from tests.results import described
from tests.wire.stub import Stub

Lines = dict[str, Any]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mcp.json").write_text(
        '{"mcpServers": {"none": {"command": "x", "disabled": true}}}', encoding="utf-8"
    )


def script(*lines: Lines, name: str = "s.jsonl") -> str:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return f"scripted:{name}"


def config(**settings: Any) -> list[str]:
    Path("own.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return ["--config", "own.yaml", "--mcp", "mcp.json"]


def box(stub: Stub, kind: str = "openai", **more: Any) -> dict[str, Any]:
    place = {"openai": "openai/v1", "ollama": "ollama"}[kind]
    return {"kind": kind, "base_url": stub.url(place), "retry_first_s": 0.001, **more}


def understudy(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_run_is_kept_and_gone_on_with_by_the_same_model(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    words = config(providers={"box": box(stub)})
    code, out, _ = understudy(capsys, "run", *words, "--model", "box:stub-text", "--json", "I am Ann")
    first = described("run", out)["session"]
    assert code == 0 and first
    code, out, _ = understudy(capsys, "run", *words, "--resume", "last", "--json", "Who am I?")
    again = described("run", out)
    assert (again["session"], again["model"]) == (first, "box:stub-text")
    assert [m["content"] for m in stub.sent["messages"]] == [
        "I am Ann",
        "Hello from the stub.",
        "Who am I?",
    ]
    (kept,) = Store().sessions()
    assert kept.messages == 4 and kept.title == "I am Ann"
    assert "Who am I?" in understudy(capsys, "sessions", "show", "last")[1]


def test_a_run_that_is_not_to_be_kept_leaves_nothing_and_may_still_go_on_from_something(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "box:stub-text", *config(providers={"box": box(stub)})]
    assert understudy(capsys, "run", *model, "--no-keep", "x")[0] == 0 and Store().sessions() == []
    understudy(capsys, "run", *model, "x")
    code, out, _ = understudy(capsys, "run", *model, "--resume", "last", "--no-keep", "--json", "y")
    assert code == 0 and described("run", out)["session"] is None and Store().sessions()[0].messages == 2
    assert len(stub.sent["messages"]) == 3
    code, _, err = understudy(capsys, "run", *model, "--resume", "zz", "y")
    assert code in (1, 2) and "no conversation 'zz'" in err


def test_the_last_line_of_a_run_says_what_it_cost(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    price = {"input_usd": 10.0, "output_usd": 100.0, "cached_usd": 1.0}
    words = config(providers={"box": box(stub)}, models={"box:*": {"price": price}})
    code, out, _ = understudy(capsys, "run", *words, "--model", "box:stub-text", "hi")
    last = out.strip().splitlines()[-1]
    assert code == 0 and "100 tokens in (60 cached), 20 tokens out" in last and last.endswith("$0.0025")
    words = config(providers={"box": box(stub)})
    _, out, _ = understudy(capsys, "run", *words, "--model", "box:stub-text", "--json", "hi")
    report = described("run", out)
    _, plain, _ = understudy(capsys, "run", *words, "--model", "box:stub-text", "hi")
    assert plain.strip().endswith("cost unknown")
    assert report["cost_usd"] is None and report["spent_usd"] is None  # nobody knows


def test_retries_and_switches_are_on_the_screen(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    providers = {"near": box(stub, "ollama", retries=1), "far": box(stub)}
    providers["safe"] = {"fallback": ["near:stub-e503", "far:stub-text"]}
    words = config(providers=providers)
    code, out, _ = understudy(capsys, "run", *words, "--model", "safe", "hi")
    assert code == 0 and "asking again in 0.0 s" in out and "Hello from the stub." in out
    assert "model switched: near:stub-e503 → far:stub-text (near: " in out
    _, out, _ = understudy(capsys, "run", *words, "--model", "safe", "--json", "hi")
    report = described("run", out)
    assert report["answered_by"] == "far:stub-text" and any(
        "asking again" in note for note in report["notices"]
    )


def test_a_budget_on_the_command_line_holds(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    price = {"input_usd": 10.0, "output_usd": 100.0}
    words = config(providers={"box": box(stub)}, models={"box:*": {"price": price}}, max_tokens=100)
    words = [*words, "--model", "box:stub-text"]
    assert understudy(capsys, "run", *words, "--budget-usd", "0.5", "hi")[0] == 0
    code, _, err = understudy(capsys, "run", *words, "--budget-usd", "0.01", "hi")
    assert code == 1 and "may cost up to $0.01" in err and "$0.0100 of $0.0100 are left" in err
    code, _, err = understudy(capsys, "run", *words, "--budget-usd", "-1", "hi")
    assert code == 2 and "--budget-usd: budget_usd" in err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"text": "half", "stop": "length"}, "was cut at its limit of tokens"),
        ({"thinking": "hm", "stop": "length"}, "all tokens went into thinking"),
        ({"text": "no", "stop": "refusal"}, "safety rules"),
        ({"thinking": "hm"}, "the answer of lead is empty\n"),
    ],
)
def test_an_answer_that_is_none_is_not_passed_off_as_one(
    line: Lines, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = understudy(capsys, "run", "--model", script(line), "--mcp", "mcp.json", "go")
    assert says in out


def test_bench_compares_speed_cost_memory_and_failures(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    price = {"input_usd": 10.0, "output_usd": 100.0}
    words = config(
        providers={"box": box(stub, cache="memory"), "near": box(stub, "ollama")},
        models={"box:*": {"price": price}},
        aliases={"small": "near:stub-loaded"},
    )
    played = script({"text": "a", "usage": {"total_s": 9.0}}, {"text": "b"}, {"text": "c"})
    models = f"box:stub-text,small,box:stub-e429,{played}"
    code, out, _ = understudy(capsys, "bench", models, "Hi", "--repeat", "2", "--warm", "--json", *words)
    report = described("bench", out)
    assert code == 0 and report["ok"]
    dear, local, limited, scripted = report["models"]
    assert (dear["attempts"], dear["failed"], dear["errors"]) == (2, 0, [])
    assert dear["fastest_s"] <= dear["seconds"] <= dear["slowest_s"] and dear["first_token_s"] > 0
    assert dear["cost_usd"] == pytest.approx(2 * 0.003) and dear["memory_bytes"] is None
    assert local["model"] == "near:stub-loaded" and local["cost_usd"] == 0 and local["memory_bytes"] == 42
    assert local["load_s"] == 1.0 and local["tokens_per_s"] == pytest.approx(19 / 3)
    assert limited["failed"] == 2 and limited["seconds"] is None and limited["cost_usd"] is None
    assert scripted["provenance"] == "recorded" and dear["provenance"] == "measured"
    assert scripted["recorded"] and [t["text"] for t in report["trials"][-2:]] == ["b", "c"]
    asked = [entry["model"] for entry in stub.log if entry["model"]]
    assert asked.count("stub-text") == 3 and asked.count("stub-e429") == 3  # no cache, no retries
    script({"text": "a"})
    code, out, _ = understudy(capsys, "bench", f"{played},box:stub-e401", "Hi", "--answers", *words)
    assert (
        code == 0
        and "are recorded, not measured" in out
        and "box:stub-e401 failed: " in out
        and "\na\n" in out
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["box:stub-e401", "Hi"], 1, "failed: box: "),
        ([",", "Hi"], 2, "no model is named"),
        (["nobody:x", "Hi"], 2, "no provider 'nobody'"),
        (["box:m", " "], 2, "the prompt is empty"),
        (["box:m", "Hi", "--repeat", "0"], 2, "--repeat: wanted 1 to 1000"),
        (["box:stub-text", "Hi", "--budget-usd", "1"], 1, "no known price"),
    ],
)
def test_bench_says_what_is_wrong(
    words: list[str], code: int, says: str, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = understudy(capsys, "bench", *words, *config(providers={"box": box(stub)}))
    assert found == code and says in out + err


def test_every_providers_models_are_listed_with_limits_and_prices(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    price = {"input_usd": 1.5, "output_usd": 6.0}
    providers: dict[str, Any] = {"box": box(stub), "ollama": {"base_url": stub.url("ollama")}}
    providers |= {"gone": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "retries": 0}}
    providers |= {"safe": {"fallback": ["box:stub-text"]}}
    words = config(providers=providers, models={"box:stub-text": {"price": price}})
    code, out, _ = understudy(capsys, "models", "--all", "--json", *words)
    report = described("models", out)
    listed = {info["id"]: info for infos in report["providers"].values() for info in infos}
    assert code == 0 and (listed["box:stub-text"]["input_usd"], listed["box:stub-text"]["output_usd"]) == (
        1.5,
        6.0,
    )
    assert listed["box:stub-vllm"]["input_usd"] is None and listed["safe:auto"]["context_tokens"] is None
    assert listed["ollama:stub-text:latest"]["output_usd"] == 0 and "gone" in report["silent"][0]
    _, out, _ = understudy(capsys, "models", "--all", *words)
    (row,) = [line.split() for line in out.splitlines() if line.startswith("ollama:stub-text")]
    assert row == ["ollama:stub-text:latest", "131,072", "-", "0", "0"]
