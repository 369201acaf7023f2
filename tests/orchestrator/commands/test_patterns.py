"""Patterns on the command line: what is printed, kept, refused, and gone on with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.config.pattern_meanings import MEANINGS
from orchestrator.store.store import Store
from tests.results import described

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")

    def command(*words: str) -> tuple[int, str, str]:
        try:
            code = main(words)
        except SystemExit as exc:
            code = int(exc.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


def script(folder: Path, name: str, *replies: Any) -> str:
    lines = [json.dumps({"text": reply} if isinstance(reply, str) else reply) for reply in replies]
    (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return f"scripted:{name}.jsonl"


def panel(folder: Path, **answers: str) -> str:
    return ",".join(script(folder, name, text) for name, text in answers.items())


def test_a_name_that_means_nothing_and_a_provider_that_fails_cost_the_others_nothing(
    run: Run, tmp_path: Path
) -> None:
    down = script(tmp_path, "down", {"error": {"kind": "AuthFailed", "message": "a bad key"}})
    models = f"{panel(tmp_path, a='yes')},nonsense,{down},nope:x"
    code, out, _ = run("consult", "--models", models, "--json", "well?")
    found = described("consult", out)
    assert code == 0 and found["ok"] and found["text"] == "yes"
    errors = {one["model"]: one["error"] for one in found["responses"]}
    assert errors["scripted:a.jsonl"] is None and "a bad key" in errors[down]
    assert "no provider is known for the model 'nonsense'" in errors["nonsense"]
    assert "no provider 'nope'" in errors["nope:x"]
    code, out, _ = run("consult", "--models", "nonsense,nope:x", "--json", "well?")
    assert code == 1 and described("consult", out)["error"].startswith(
        "nobody answered: nonsense: no provider"
    )


@pytest.mark.parametrize(
    ("words", "lines", "text"),
    [
        (["consult", "--models", "A,B", "--judge", "J"], {"A": ["x"], "B": ["y"], "J": ["x [1]"]}, "x [1]"),
        (["vote", "--models", "A,B", "--samples", "1"], {"A": ["ANSWER: x"], "B": ["ANSWER: X"]}, "x"),
        (["refine", "--author", "A", "--critic", "B"], {"A": ["draft"], "B": ["<OK>"]}, "draft"),
        (["debate", "--models", "A,B"], {"A": ["ANSWER: x"], "B": ["ANSWER: y", "ANSWER: x"]}, "x"),
        (["escalate", "--models", "A,B,J"], {"A": ["ANSWER: x"], "B": ["ANSWER: X"], "J": []}, "x"),
        (["route", "--to", "sql=A=databases", "--to", "prose=B=letters"], {"B": ["Dear"]}, "Dear"),
        (["handoff", "--first", "A", "--second", "B"], {"A": ["begun", "better", "end"], "B": ["on"]}, "end"),
        (
            ["pipeline", "--stage", "x=A", "--stage", "y=B={x} of {question}"],
            {"A": ["rhymes"], "B": [{"expect": ["rhymes of a letter"], "text": "verse"}]},
            "verse",
        ),
        (
            ["parallel", "--job", "x=A=first {input}", "--job", "y=B"],
            {"A": [{"expect": ["first a letter"], "text": "one"}], "B": ["two"]},
            "## x\n\none\n\n## y\n\ntwo",
        ),
    ],
)
def test_each_pattern_is_a_command(
    run: Run, tmp_path: Path, words: list[str], lines: dict[str, list[Any]], text: str
) -> None:
    for name, replies in lines.items():
        script(tmp_path, name, *replies, *(["ANSWER: x"] if words[0] == "debate" else []))
    given = [re.sub(r"\b([ABJ])\b", r"scripted:\1.jsonl", word) for word in words]
    code, out, _ = run(*given, "--json", "a letter, please")
    found = described(given[0], out)
    assert code == 0 and found["pattern"] in (words[0], "synthesise") and found["text"] == text
    with closing(Store()) as store:
        history = store.history(found["session"])
    assert history[0].text == "a letter, please" and text in history[-1].text
    code, _, _ = run("sessions", "search", "letter")
    assert code == 0


def test_a_tie_and_a_panel_without_members_are_told_apart_by_their_exit_code(
    run: Run, tmp_path: Path
) -> None:
    models = panel(tmp_path, a="ANSWER: x", b="ANSWER: y")
    code, out, _ = run("vote", "--models", models, "well?")
    assert code == 1 and "no result: a tie between x and y, 1 of 2 votes each" in out
    code, _, err = run("vote", "well?")
    assert code == 2 and "no models are named: give --models a,b" in err
    code, _, err = run("vote", "--models", "scripted:a.jsonl", "--samples", "99", "well?")
    assert code == 2 and err == "understudy: --samples: wanted at most 50, found 99\n"
    code, _, err = run("vote", "--models", ",", "well?")
    assert code == 2 and err == "understudy: --models: wanted at least one entry, found []\n"
    code, _, err = run("plan", "--manager", "scripted:a.jsonl", "--task-timeout", "-1", "well?")
    assert code == 2 and err == "understudy: --task-timeout: wanted more than 0, found -1\n"
    code, _, err = run("route", "--to", "sql=a:1", "--to", "sql=b:1", "well?")
    assert code == 2 and "'sql' is named twice" in err
    code, _, err = run("vote", "--models", "scripted:a.jsonl", " ")
    assert code == 2 and err == "understudy: the question is empty; say what to ask\n"
    code, _, err = run("vote", "--models", "a\udcff:1", "well?")
    assert code == 2 and "found half of a character" in err
    code, _, err = run("pipeline", "--stage", "question=a:1", "well?")
    assert code == 2 and "pipeline: a stage may not be called 'question'" in err
    code, _, err = run("route", "--to", "\n=a:1", "well?")
    assert (
        code == 2
        and err == "understudy: --to.\\n: wanted a name of at most 80 characters on one line, found '\\n'\n"
    )
    code, _, err = run("parallel", "--job", "x=a:1", "--max-concurrent", "0", "well?")
    assert code == 2 and err == "understudy: --max-concurrent: wanted at least 1, found 0\n"
    code, _, err = run("route", "--to", "sql", "well?")
    assert code == 2 and "wanted NAME=MODEL, for example coder=ollama:qwen3:8b, found 'sql'" in err


@pytest.mark.parametrize("command", [*(use for use in MEANINGS if use != "ask"), "patterns"])
def test_help_tells_the_exit_codes(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0 and "3 it waits for a decision" in " ".join(out.split())


def test_a_member_goes_on_with_a_panel_where_no_model_is_named(run: Run, tmp_path: Path) -> None:
    run("consult", "--models", script(tmp_path, "a", "use a queue", "still a queue"), "how?")
    code, out, _ = run("run", "--resume", "last", "--json", "why?")
    assert code == 0 and described("run", out)["model"] == "scripted:a.jsonl"


def test_what_a_panel_said_is_what_the_lead_is_asked_about_next(run: Run, tmp_path: Path) -> None:
    run("consult", "--models", panel(tmp_path, a="use a queue", b="use a lock"), "how?")
    expects = {"expect": [], "text": "the lock"}
    lead = script(tmp_path, "lead", expects)
    code, out, _ = run("run", "--model", lead, "--resume", "last", "--json", "which was better?")
    assert code == 0
    with closing(Store()) as store:
        texts = [m.text for m in store.history(described("run", out)["session"])]
    assert texts[:3] == [
        "how?",
        "[consult, answer of scripted:a.jsonl] use a queue",
        "[consult, answer of scripted:b.jsonl] use a lock",
    ]
    code, out, _ = run("sessions", "show", "last")
    assert "scripted:a.jsonl │ [consult, answer of scripted:a.jsonl] use a queue" in out
    assert out.strip().endswith("6 messages, 3 models, 0 tool calls")


PLAN = json.dumps({"tasks": [{"id": "one", "role": "w", "task": "write it", "depends_on": []}]})


def test_a_plan_that_waits_for_a_person_is_approved_by_another_process(run: Run, tmp_path: Path) -> None:
    manager, worker = script(tmp_path, "m", PLAN, "summed up"), script(tmp_path, "w", "written")
    words = ["plan", "--manager", manager, "--role", f"w={worker}", "--approve", "go"]
    code, _, err = run(*words)
    assert code == 3 and "waits for a decision: Carry out this plan?\n- one (w): write it" in err
    _, out, _ = run("patterns", "--json")
    (waiting,) = described("patterns", out)["unfinished"]
    assert waiting["waits_for"] == "Carry out this plan?\n- one (w): write it"
    script(tmp_path, "m", "summed up")  # a manager that were asked to plan again would answer this
    code, out, _ = run("patterns", "approve", waiting["session"], "--json")
    found = described("patterns", out)
    assert code == 0 and found["text"] == "summed up" and found["session"] == waiting["session"]
    assert [one["step"] for one in found["responses"]] == ["plan", "one", "synthesis"]
    code, _, err = run("patterns", "approve")
    assert code == 1 and "no pattern is unfinished" in err


def test_a_refused_plan_is_not_begun(run: Run, tmp_path: Path) -> None:
    manager = script(tmp_path, "m", PLAN)
    words = ["--manager", manager, "--role", "w=scripted:none.jsonl", "--approve", "--json"]
    code, out, _ = run("plan", *words, "go")
    assert code == 3 and json.loads(out)["question"] == "Carry out this plan?\n- one (w): write it"
    code, out, _ = run("patterns", "approve", "last", "--answer", "no", "--json")
    assert code == 1 and described("patterns", out)["error"] == "the plan was not approved; nothing was done"


CONFIG = """\
patterns:
  careful:
    use: pipeline
    description: ask two, then refine
    parameters: {tone: plain}
    stages:
      first: {use: consult, models: ["scripted:a.jsonl", "scripted:b.jsonl"], judge: "scripted:j.jsonl"}
      facts: {model: "scripted:f.jsonl", when: FACTS}
      second:
        use: refine
        author: scripted:au.jsonl
        critic: scripted:c.jsonl
        prompt: "Make this {tone}, for {question}: {input}"
"""


def test_a_pattern_of_config_is_composed_of_others_and_waits_for_trust(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    panel(tmp_path, a="x", b="y", j="both [1][2]", c="<OK>")
    expected = "Make this formal, for the boss: both [1][2]"
    script(tmp_path, "au", {"expect": [expected], "text": "formal text"})
    code, _, err = run("run", "--pattern", "careful", "the boss")
    assert code == 2 and "have models work together as 'careful'" in err and "no pattern 'careful'" in err
    run("trust", "config.yaml")
    code, out, err = run("run", "--pattern", "careful", "--set", "tone=formal", "--json", "the boss")
    found = described("run", out)
    assert (code, found["text"]) == (0, "formal text"), (out, err)
    assert found["pattern"] == "pipeline" and found["details"]["passed_over"] == ["facts"]
    assert [one["step"] for one in found["responses"]][:3] == [
        "first: answer",
        "first: answer",
        "first: synthesis",
    ]
    _, out, _ = run("patterns")
    assert "careful     ask two, then refine (tone=plain)" in out
    code, _, err = run("run", "--pattern", "careful", "--set", "ton=x", "go")
    assert code == 2 and "no parameter 'ton'; there are tone" in err
    code, _, err = run("run", "--pattern", "carefull", "go")
    assert code == 2 and "did you mean 'careful'?" in err


@pytest.mark.parametrize(
    ("written", "line", "says"),
    [
        ("  p: {use: votee}", 2, "patterns.p.use: wanted one of ask, consult, vote"),
        ("  p: {use: vote, modles: [a]}", 2, "patterns.p.modles: unknown key; did you mean 'models'?"),
        ("  p:\n    use: vote\n    samples: many", 4, "patterns.p.samples: wanted a whole number, found 'many'"),
        ("  p:\n    use: pipeline\n    stages:\n      a:\n        use: refine\n        itertions: 3", 7,
         "patterns.p.stages.a.itertions: unknown key; did you mean 'iterations'?"),
        ("  p:\n    use: route\n    specialists:\n      x: {modle: y, model: z}", 5, "specialists.x.modle: unknown key; did you mean 'model'?"),
        ("  p: {use: handoff, first: a}", 2, "patterns.p.second: is missing"),
        ("  p: {use: pipeline, stages: {}}", 2, "patterns.p.stages"),
        ("  p: {model: a, when: '('}", 2, "patterns.p.when: wanted a regular expression, found '('"),
        ("  p: just words", 2, "patterns.p"),
        ("  p:\n    use: pipeline\n    stages: {a: {use: votee}}", 4, "patterns.p.stages.a.use: wanted one of ask, consult"),
        ("  p:\n    use: parallel\n    jobs: {a: {modle: y, model: z}}", 4, "patterns.p.jobs.a.modle: unknown key; did you mean 'model'?"),
        ("  p:\n    use: parallel\n    jobs: [a]", 4, "patterns.p.jobs: wanted keys with values, found ['a']"),
        ("  p: {model: a, parameters: {question: x}}", 2, "a parameter may not be called 'question'"),
        ("  p: &p\n    use: pipeline\n    stages: {a: *p}", 0, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_pattern_is_named_with_file_line_and_key(
    run: Run, tmp_path: Path, written: str, line: int, says: str
) -> None:
    (tmp_path / "config.yaml").write_text(f"patterns:\n{written}\n", encoding="utf-8")
    run("trust", "config.yaml")
    code, _, err = run("patterns")
    assert code == 2 and says in err and (not line or f"config.yaml, line {line}: " in err)
    assert "is missing" not in err or "is missing" in says
