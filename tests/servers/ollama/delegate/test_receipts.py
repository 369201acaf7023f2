"""What a receipt says and costs: the rejected answer, the next call, nothing that its reader pays for in vain."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from servers.ollama.engines.replay import Recited
from servers.ollama.server import build
from tests.tokens import count

pytestmark = pytest.mark.anyio

CODE = "def area(w, h):\n    return w + h\n"
SECONDS = {"total_duration": 2_000_000_000, "load_duration": 1_000, "prompt_eval_count": 300}
SECONDS |= {"prompt_eval_duration": 500_000_000, "eval_count": 40, "eval_duration": 1_400_000_000}


async def called(
    folder: Path, answers: list[dict[str, Any]], *calls: tuple[str, dict[str, Any]]
) -> list[Any]:
    """The results of these calls, in turn; a delegation's result is (receipt, text)."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "calc.py").write_text(CODE, encoding="utf-8")
    said = [{"final": SECONDS, **answer} for answer in answers]
    models = [{"name": "small", "size_bytes": 10**8}, {"name": "big", "size_bytes": 10**10}]
    (folder / "r.json").write_text(json.dumps({"models": models, "answers": said}), encoding="utf-8")
    async with Client(build([str(tree)], Recited(str(folder / "r.json")))) as client:
        return [await client.call_tool(tool, arguments) for tool, arguments in calls]


EDIT = {"task": "Multiply", "files": ["calc.py"], "write": "edits", "model": "small", "gate": "syntax"}


async def test_a_failure_shows_the_rejected_answer_and_the_call_that_may_succeed(tmp_path: Path) -> None:
    answer = "calc.py\n<<<<<<< SEARCH\n    return w / h\n=======\n    return w * h\n>>>>>>> REPLACE\n"
    (result,) = await called(tmp_path, [{"text": answer}], ("delegate", EDIT))
    receipt = json.loads(result.content[0].text)
    assert receipt == result.structured_content
    assert "return w / h" in receipt["rejected"] and "SEARCH lines do not occur" in receipt["reason"]
    assert receipt["advice"][0]["call"] == {**EDIT, "write": "calc.py", "gate": {"syntax": True}}

    wrong = f"```python\n{CODE.replace('w + h', 'w *')}```"
    (result,) = await called(tmp_path, [{"text": wrong}], ("delegate", EDIT))
    receipt = result.structured_content
    assert "+    return w *" in receipt["rejected"]
    assert (
        receipt["advice"][0]["call"] == {**EDIT, "model": "big", "gate": {"syntax": True}}
        and receipt["advice"][0]["odds"] > 0.3
    )

    (again,) = await called(
        tmp_path,
        [{"text": f"```python\n{CODE.replace('+', '*')}```"}],
        ("delegate", receipt["advice"][0]["call"]),
    )
    assert again.structured_content["outcome"] == "accepted"


async def test_who_cannot_be_bettered_is_told_to_do_it_himself(tmp_path: Path) -> None:
    ask, climb = {"task": "Why?", "model": "big"}, {"task": "Why so?", "model": "big", "ladder": ["small"]}
    results = await called(tmp_path, [{"text": "NONE"}] * 6, ("delegate", ask), ("delegate", climb))
    for result in results:
        assert result.structured_content["advice"] == [
            {"action": "do_it_yourself", "say": "do it yourself: no other model here is likelier to pass"}
        ]


async def test_a_run_that_failed_cannot_be_rated_good(tmp_path: Path) -> None:
    good, rejected = {"run": 1, "verdict": "good"}, {"run": 1, "verdict": "rejected"}
    ask = {"task": "Why?", "model": "big"}
    _, no, yes = await called(
        tmp_path, [{"text": "NONE"}], ("delegate", ask), ("rate", good), ("rate", rejected)
    )
    assert no.is_error and "its gate failed" in no.content[0].text and not yes.is_error


def _steady(text: str) -> str:
    """Without what has more digits on one machine, or in one run, than in another: random ids, durations, shares."""
    text = re.sub(r'"(delegation|op)": "\w+"', r'"\1": "0c0ffee0"', text)
    text = re.sub(r"\b(?=[0-9a-f]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{6,}\b", "0c0ffee0", text)
    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", "0.125", text)


async def test_receipts_are_short_for_hosts_that_show_either_part(tmp_path: Path) -> None:
    ask = {"task": "What does it return?", "files": ["calc.py"], "model": "big"}
    answered, accepted = await called(
        tmp_path,
        [{"text": "The sum of both."}, {"text": f"```python\n{CODE.replace('+', '*')}```"}],
        ("delegate", ask),
        ("delegate", {**EDIT, "model": "big"}),
    )
    for result, most in ((answered, 230), (accepted, 305)):
        for check in result.structured_content.get("gate", {}).get("checks", []):
            check.pop("took_s", None)  # there only where the machine is slow
        text = re.sub(r', "took_s": [0-9.]+', "", result.content[0].text)
        text, structured = map(_steady, (text, json.dumps(result.structured_content)))
        assert count(text) <= most and count(structured) <= most, (count(text), text)
        assert "null" not in structured


EXAMPLE = "calc.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n"


async def test_our_own_example_said_back_is_told_as_that_and_the_whole_file_is_advised(
    tmp_path: Path,
) -> None:
    (result,) = await called(tmp_path, [{"text": EXAMPLE}] * 2, ("delegate", EDIT))
    receipt = result.structured_content
    assert "repeats the example of our instructions" in receipt["reason"]
    assert receipt["advice"][0]["call"]["write"] == "calc.py"


@pytest.mark.parametrize(
    ("text", "circles"),
    [
        (f"Sure.\n{EXAMPLE * 9}", True),
        ("It returns the sum of both. " * 12, True),
        (
            f"```python\n{CODE}"
            + "".join(f"\n\ndef f{n}(w, h):\n    return w * {n} + h\n" for n in range(40)),
            False,
        ),
        ("| w | h |\n" + "| --- | --- |\n" * 2 + "".join(f"| {n} | {n * n} |\n" for n in range(8)), False),
        ("a" + "-" * 900, False),
    ],
)
async def test_an_answer_that_never_ends_is_not_given_more_room(
    tmp_path: Path, text: str, circles: bool
) -> None:
    cut = {"text": text, "final": {**SECONDS, "done_reason": "length"}}
    ask = {"task": "Explain it.", "files": ["calc.py"], "model": "small"}
    (result,) = await called(tmp_path, [cut] * 2, ("delegate", ask))
    receipt = result.structured_content
    assert ("it went round in circles" in receipt["reason"]) is circles
    assert len(receipt["tried"]) == (1 if circles else 2)
    assert ("raise_cap" in [one["action"] for one in receipt["advice"]]) is not circles
