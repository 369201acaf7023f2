"""What a worker says that is no answer, and what it writes that nobody asked for, through the server."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from servers.ollama.delegate.prompt import RULES
from tests.recited import recited

pytestmark = pytest.mark.anyio

NOTES = """The library opens at nine and closes at five, on Thursdays at eight in the evening.
Books may be kept for four weeks; a book that nobody waits for may be kept for two more.
Dogs wait outside. Food stays outside too, but water in a closed bottle is allowed.
The reading room on the second floor is for quiet work; telephones are switched off there.
Whoever loses a book pays its price and five euros for the work of ordering another one."""
CALC = "import math\n\n\ndef area(r):\n    return math.pi * r * r\n\n\ndef twice(a):\n    return a * 2\n"
LIST = {
    "type": "object",
    "properties": {"names": {"type": "array", "items": {"type": "string"}}},
    "required": ["names"],
}


async def receipt_of(
    folder: Path,
    *answers: str | dict[str, Any],
    tool: str = "delegate",
    files: Sequence[str] = ("notes.txt",),
    **call: Any,
) -> dict[str, Any]:
    """The receipt when the worker says these answers in turn."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "notes.txt").write_text(NOTES, encoding="utf-8")
    (tree / "calc.py").write_text(CALC, encoding="utf-8")
    return await recited(tree, *answers, tool=tool, files=list(files), **call)


async def test_an_answer_that_only_says_what_was_wrong_with_the_last_is_none(tmp_path: Path) -> None:
    words = len(re.findall(r"\w+", NOTES))
    again = f"The summary has {words} words for {words} of the material."
    receipt = await receipt_of(tmp_path, NOTES, again, task="Summarize this text.")
    assert receipt["outcome"] == "escalate", receipt
    assert len(receipt["tried"]) == 2 and "repeats our instructions" in receipt["reason"]


async def test_what_the_material_says_again_and_again_may_be_translated_so(tmp_path: Path) -> None:
    letter, brief = "The boat leaves at nine sharp. " * 6, "Das Boot legt um Punkt neun Uhr ab. " * 6
    receipt = await receipt_of(
        tmp_path, brief, files=(), context=letter, task="Translate this letter into German."
    )
    assert receipt["outcome"] == "answered", receipt


async def test_a_fault_that_quotes_an_answer_does_not_make_its_words_ours(tmp_path: Path) -> None:
    looped = "The library is a very quiet place to read. " * 6
    receipt = await receipt_of(tmp_path, looped, looped, task="How is the library?")
    assert "says the same 6 times" in receipt["reason"], receipt


SAYS = "The text lists when the library opens and closes and who has to wait outside."
ASK = "When does it close on Thursdays, and who waits outside?"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (RULES, "repeats our instructions"),
        ("Sure. " + RULES.partition(". ")[0] + ".", "repeats our instructions"),
        ("The material stands between <<data 0a1b2c3d notes.txt>> marks", "repeats marks of the prompt"),
        ("<|im_start|>assistant", "repeats marks of the prompt"),
        (ASK, "repeats the task"),
        ("NONE", "only 'NONE'"),
        ("n/a.", "only 'n/a'"),
        ("**None**", "only 'None'"),
        ("...", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I do not read files.", "refusal"),
        ("Sure! Please provide the file you want me to read.", "refusal"),
        ("I don't have access to your files.", "refusal"),
        ("It closes at [insert time here].", "placeholder"),
        ("It closes at eight in the evening. " * 6, "the same 6 times"),
        (NOTES, "only repeats the material"),
        ("图书馆星期四晚上八点关门，狗在外面等候。", "another script"),
        ("Answer: NONE", "only 'Answer: NONE'"),
        ("N/A - not applicable", "only 'N/A - not applicable'"),
        ("No answer found.", "only 'No answer found'"),
        ("I don't know.", "only"),
        ("Keine Angabe", "only 'Keine Angabe'"),
        ("NICHTS", "only 'NICHTS'"),
        (f"Task: {ASK}", "repeats the task"),
        ("Okay, I understand. I will do the task.", "only announces"),
        ("Sure, here is the answer:", "only announces"),
        ("Verstanden!", "only announces"),
        ("Leider kann ich Ihnen dabei nicht helfen.", "refusal"),
        ("Als KI-Modell kann ich keine Dateien öffnen.", "refusal"),
        ("Bitte geben Sie mir den Text.", "refusal"),
    ],
)
async def test_what_is_no_answer_is_a_failure(tmp_path: Path, answer: str, why: str) -> None:
    receipt = await receipt_of(tmp_path, answer, task=ASK)
    assert receipt["outcome"] == "escalate" and why in receipt["reason"], receipt.get("reason")
    chunks = await receipt_of(tmp_path, answer, answer, tool="delegate_map", task=ASK)
    assert chunks["outcome"] == "escalate", chunks


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (ASK, "At eight. Dogs wait outside."),
        ("Does it open on Sundays? Answer yes, no or unknown.", "unknown"),
        ("Who owns it? Answer NONE when the text does not say.", "NONE"),
        ("How many weeks?", "4"),
        ("What do the rules say about cats?", "The text does not mention cats."),
        ("Show the whole file.", NOTES),
        ("Explain the rules in Chinese.", "狗在外面等候。"),
        ("Wer wartet draußen?", "Bitte die Hunde draußen lassen."),
        ("May dogs come in?", "No."),
        ("May dogs wait outside?", "Yes, they may."),
        ("Is water allowed?", "Sure."),
        ("Is water allowed?", "Yes, in a closed bottle."),
        ("Is there a rule for cats? Say unknown if not.", "Unknown."),
        ("How does one ask for help politely?", '"Could you please help me?" is a polite way.'),
        ("Say a word about the dogs.", "They wait outside, and nobody minds them."),
        ("Is there a mistake in these rules?", "I cannot see any mistake in them."),
        ("Auf Englisch bitte.", "The library opens at eight, and the dogs wait outside for their people."),
        ("Wann öffnet die Bücherei?", "Sie öffnet um acht, und die Hunde warten auf der Straße."),
    ],
)
async def test_what_a_task_itself_allows_is_an_answer(tmp_path: Path, task: str, answer: str) -> None:
    receipt = await receipt_of(tmp_path, answer, task=task)
    assert receipt["outcome"] == "answered", receipt.get("reason")


@pytest.mark.parametrize(
    ("task", "answer", "why"),
    [
        (
            "Summarize in one sentence.",
            "It opens. It closes. It waits.",
            "3 sentences; the task asks for at most 1",
        ),
        ("Say in at most five words when it opens.", "It opens each day at nine in the morning", "9 words"),
        ("Summarize this text.", NOTES, "words for"),
        ("Fasse den Text zusammen.", NOTES, "words for"),
        ("What is it? Two sentences, please.", "It opens. It closes. Dogs wait. Boots too.", "4 sentences"),
        ("Sag in zwei Sätzen, worum es geht.", "Es öffnet. Es schließt. Hunde. Und Stiefel.", "4 sentences"),
        ("Höchstens fünf Wörter: wann öffnet es?", "Es öffnet jeden Tag um neun Uhr.", "7 words"),
        ("Boil it down to two bullet points.", "- opens\n- closes\n- dogs\n- water", "4 bullets"),
        (
            "What are the rules about?",
            f"{SAYS} In other words:\n{SAYS}",
            "says the same twice",
        ),
    ],
)
async def test_a_length_the_task_names_is_kept(tmp_path: Path, task: str, answer: str, why: str) -> None:
    receipt = await receipt_of(tmp_path, answer, task=task)
    assert receipt["outcome"] == "escalate" and why in receipt["reason"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"names": []}, "holds nothing"),
        ({"names": ["", ""]}, "holds nothing"),
        ({"names": ["string"]}, "names of types"),
        ({"names": ["Dogs", "Cats"]}, "not in the material: 'Cats'"),
        ({"names": ["Dog"]}, "not in the material: 'Dog'"),
        ({"names": ["Dogs", "Dogs", "Dogs"]}, "the same"),
        (LIST, ""),
    ],
)
async def test_data_that_says_nothing_or_invents_is_a_failure(tmp_path: Path, data: Any, why: str) -> None:
    receipt = await receipt_of(tmp_path, json.dumps(data), task="Extract the animals.", schema=LIST)
    assert receipt["outcome"] == "escalate" and why in receipt["reason"], receipt.get("reason")
    allowed = await receipt_of(
        tmp_path, '{"names": []}', task="Extract the cats, an empty list if there are none.", schema=LIST
    )
    assert allowed["outcome"] == "accepted"


@pytest.mark.parametrize(
    ("write", "task", "answer", "why"),
    [
        ("test_calc.py", "Write tests", "def test_it():\n    assert area(1) > 3\n", "Undefined name `area`"),
        ("test_calc.py", "Write tests", "from calc import volume\n", "calc has no 'volume'"),
        (
            "test_calc.py",
            "Write tests",
            "from calculator import area\n",
            "area is in calc, not in calculator",
        ),
        (
            "calc.py",
            "Make twice three times",
            "import math\n\n\ndef twice(a):\n    return a * 3\n",
            "area is gone",
        ),
        ("calc.py", "Rename twice to double", CALC.partition("\n\n\ndef twice")[0] + "\n", "more than"),
        (
            "calc.py",
            "Rename twice to double",
            CALC.replace("twice", "double").replace("* 2", "* 3"),
            "more than",
        ),
        ("calc.py", "Speed it up", CALC.replace("import math\n", ""), "Undefined name `math`"),
        ("calc.py", "Speed it up", CALC.replace("\n\n\n", "\n\n"), "nothing but blank lines"),
        (
            "calc.py",
            "Speed it up",
            CALC.replace("    return a * 2", "    # ... existing code"),
            "placeholder",
        ),
        (
            "calc.py",
            "Add a docstring to every function",
            CALC.replace("):\n", '):\n    """The function does something."""\n'),
            "docstring",
        ),
        (
            "calc.py",
            "Add a docstring to every function",
            CALC.replace("(a):\n    return a * 2", '(a):\n    """Twice as much."""\n    return a + a'),
            "the code changed too in twice",
        ),
    ],
)
async def test_what_a_file_may_not_become(
    tmp_path: Path, write: str, task: str, answer: str, why: str
) -> None:
    receipt = await receipt_of(tmp_path, answer, task=task, files=["calc.py"], write=write)
    assert receipt["outcome"] == "escalate" and why in receipt["reason"], receipt.get("reason")
    assert (tmp_path / "tree" / "calc.py").read_text(encoding="utf-8") == CALC
    assert not (tmp_path / "tree" / "test_calc.py").exists()


@pytest.mark.parametrize(
    ("task", "answer", "gate"),
    [
        ("Rename twice to double", CALC.replace("twice", "double"), "rename"),
        ("Remove the function twice", CALC.partition("\n\n\ndef twice")[0] + "\n", "removed"),
        (
            "Add a docstring to every function",
            CALC.replace("(r):\n", '(r):\n    """The area of a circle."""\n').replace(
                "(a):\n", '(a):\n    """Twice as much."""\n'
            ),
            "docstrings",
        ),
    ],
)
async def test_the_strongest_gate_a_task_allows_is_chosen_and_named(
    tmp_path: Path, task: str, answer: str, gate: str
) -> None:
    receipt = await receipt_of(tmp_path, answer, task=task, files=["calc.py"], write="calc.py")
    assert receipt["outcome"] == "accepted", receipt.get("reason")
    assert gate in [check["gate"] for check in receipt["gate"]["checks"]]


@pytest.mark.parametrize(
    ("task", "module", "name"),
    [
        ("Write a program", "math", "pi"),
        ("Write a program", "vectors", "norm"),
        ("Write a program", "vectors.plane", "twice"),
        ("Write a program over the package shapes", "shapes", "area"),
    ],
)
async def test_a_module_that_a_file_imports_or_the_task_names_is_taken_to_be_there(
    tmp_path: Path, task: str, module: str, name: str
) -> None:
    (tmp_path / "tree").mkdir()
    user = "from vectors import norm\n\n\ndef length(a):\n    return norm(a)\n"
    (tmp_path / "tree" / "user.py").write_text(user, encoding="utf-8")
    answer = f"from {module} import {name}\n\nprint({name})\n"
    receipt = await receipt_of(tmp_path, answer, task=task, files=["calc.py", "user.py"], write="main.py")
    assert receipt["outcome"] == "written", receipt["reason"]


async def test_the_material_s_own_words_are_checked_where_the_task_asks_for_them(tmp_path: Path) -> None:
    receipt = await receipt_of(tmp_path, "Dogs wait outside.", task="Quote the sentence about dogs.")
    assert receipt["outcome"] == "accepted" and '"Dogs wait outside."' in receipt["answer"]
    receipt = await receipt_of(tmp_path, '"Dogs wait inside."', task="Quote the sentence about dogs.")
    assert receipt["outcome"] == "escalate" and "not in the material" in receipt["reason"]


async def test_fences_copied_along_are_no_part_of_an_answer(tmp_path: Path) -> None:
    whole = f"```python\n<<data 0a1b2c3d calc.py>>\n{CALC.replace('* 2', '* 3')}<<end 0a1b2c3d>>\n```"
    receipt = await receipt_of(tmp_path, whole, task="Three times", files=["calc.py"], write="edits")
    assert receipt["outcome"] == "written", receipt.get("reason")
    assert (tmp_path / "tree" / "calc.py").read_text(encoding="utf-8") == CALC.replace("* 2", "* 3")
    two = f"{whole.removesuffix('```')}\n<<data 5e6f7a8b notes.txt>>\n{NOTES}\n```".replace("* 3", "* 4")
    receipt = await receipt_of(tmp_path, two, task="4 times", files=["calc.py", "notes.txt"], write="edits")
    assert receipt["outcome"] == "accepted", receipt.get("reason")
    assert (tmp_path / "tree" / "calc.py").read_text(encoding="utf-8") == CALC.replace("* 2", "* 4")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("7", "loud"), ("8", "calm")], None),
        ([("7", "loud")], "1 items for 2 rows"),
        ([("7", "loud"), ("0a1b2c3d", "calm")], "not in the material: '0a1b2c3d'"),
        ([("7", "loud"), ("7", "loud")], "more than once"),
    ],
)
async def test_every_row_is_classified_once_by_its_own_name(
    tmp_path: Path, rows: list[tuple[str, str]], why: str | None
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "rows.csv").write_text("id,text\n7,HEY\n8,well\n", encoding="utf-8")
    item = {"type": "object", "properties": {"id": {"type": "string"}, "label": {"enum": ["loud", "calm"]}}}
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": item}}}
    answer = json.dumps({"rows": [{"id": name, "label": label} for name, label in rows]})
    receipt = await receipt_of(
        tmp_path, answer, task="Classify each row once.", files=["rows.csv"], schema=schema
    )
    assert receipt["outcome"] == ("answered" if why is None else "escalate")
    assert (why or "unchecked: which of the choices is right") in receipt["reason"]


async def test_a_worker_may_put_its_own_answer_right_once(tmp_path: Path) -> None:
    receipt = await receipt_of(tmp_path, "NONE", "At eight.", task=ASK)
    assert receipt["outcome"] == "answered" and "At eight." in receipt["answer"]
    assert [tried["why"] for tried in receipt["tried"]] == ["answers: the answer is only 'NONE'"]
    receipt = await receipt_of(tmp_path, "NONE", "", "At eight.", task=ASK)
    assert receipt["outcome"] == "escalate" and len(receipt["tried"]) == 2


FOREIGN = "The stove is lit by the warden and the blankets are folded before it is noon."
WARDEN = "Den Ofen zündet der Wart an. Die Decken werden vor dem Mittag gefaltet.\n"
MAILS = "Write to a@x.org, b@x.org or c@x.org.\n"
PARSE = "Write a module with the function parse(text), which splits key=value lines."


@pytest.mark.parametrize(
    ("material", "answer", "call", "outcome", "why"),
    [
        (WARDEN, FOREIGN, {"task": "Wer zündet den Ofen an, und was wird mit den Decken?"}, "escalate", "is in English"),
        (WARDEN, FOREIGN, {"task": "Was sagt der Text? Antworte in der Sprache der Welt."}, "escalate", "is in English"),
        (WARDEN, FOREIGN, {"task": "Fasse den Text zusammen."}, "escalate", "is in English"),
        (WARDEN, FOREIGN, {"task": "What does this say?"}, "answered", "unchecked"),
        (WARDEN, FOREIGN, {"task": "Bitte zusammenfassen, was darin steht."}, "escalate", "is in English"),
        (WARDEN, FOREIGN, {"task": "Was steht hier auf der Liste? Translate it, please."}, "answered", "unchecked"),
        (WARDEN, WARDEN, {"task": "Translate this into English."}, "escalate", "only repeats the material"),
        (MAILS, '{"names": ["a@x.org"]}', {"task": "Extract all addresses.", "schema": LIST}, "escalate", "b@x.org is missing"),
        (MAILS, "neutral", {"task": "Is this polite, rude or mixed? One word."}, "escalate", "not one of mixed, polite, rude"),
        (MAILS, "Polite.", {"task": "Is this polite, rude or mixed? One word."}, "answered", "unchecked"),
        (MAILS, "It has mails.", {"task": "Is it long? Answer yes or no."}, "escalate", "not one of no, yes"),
        (MAILS, "```python\ndef parse(text):\n    pass\n```", {"task": PARSE, "write": "p.py"}, "escalate", "parse does nothing"),
        (MAILS, "```python\nprint(1)\n```", {"task": PARSE, "write": "p.py"}, "escalate", "parse is not defined"),
        (
            MAILS, "```python\ndef parse(text):\n    return text.split()\n```", {"task": PARSE, "write": "p.py"},
            "written", "p.py parses, and nothing ran it",
        ),
        (
            "# A\n\none\n\n## B\n\ntwo\n\n## C\n", "# A\n\n1\n", {"task": "Write numbers as digits.", "write": "m.txt"},
            "escalate", "of 5 lines 2 are left",
        ),
    ],
)  # fmt: skip
async def test_what_leaves_something_out_or_is_in_another_language_is_no_answer(
    tmp_path: Path, material: str, answer: str, call: dict[str, Any], outcome: str, why: str
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "m.txt").write_text(material, encoding="utf-8")
    receipt = await receipt_of(tmp_path, answer, files=["m.txt"], **call)
    assert receipt["outcome"] == outcome and why in receipt["reason"], receipt


async def test_an_answer_that_goes_round_in_circles_is_not_given_more_room(tmp_path: Path) -> None:
    cut = {"final": {"done_reason": "length"}}
    circles = "from calc import twice\n" + "".join(f"assert twice({n}) == {2 * n}\n" for n in range(40))
    receipt = await receipt_of(
        tmp_path,
        *[{"text": circles, **cut}] * 2,
        task="Write tests.",
        files=["calc.py"],
        write="test_calc.py",
    )
    assert "went round in circles" in receipt["reason"], receipt
    assert "raise_cap" not in [advice["action"] for advice in receipt["advice"]]
    receipt = await receipt_of(tmp_path, *[{"text": "It closes", **cut}] * 2, task=ASK)
    assert "raise max_output" in receipt["reason"] and receipt["advice"][0]["action"] == "raise_cap"


async def test_a_function_that_changed_too_is_told(tmp_path: Path) -> None:
    answer = f"```python\n{CALC.replace('a * 2', 'a * 3').replace('r * r', 'r**2')}```"
    receipt = await receipt_of(
        tmp_path, answer, task="twice should give three times a.", files=["calc.py"], write="edits"
    )
    assert receipt["outcome"] == "written" and "area changed too" in receipt["reason"], receipt


async def test_a_map_that_found_nothing_claims_nothing(tmp_path: Path) -> None:
    receipt = await receipt_of(tmp_path, "NONE", tool="delegate_map", task="Find the prices of tickets.")
    assert receipt["outcome"] == "escalate" and "nothing checked that" in receipt["reason"]
    assert receipt["tokens_saved"] == 0
    some = await receipt_of(tmp_path, "Ten euros.", tool="delegate_map", task="Find the fines.")
    assert some["outcome"] == "answered" and "could judge 1 of 1" in some["reason"]
    told = await receipt_of(tmp_path, "NONE", "NONE", tool="delegate_map", task="Find lines with `Dogs`.")
    assert told["outcome"] == "escalate" and "the material holds 'Dogs'" in told["tried"][0]["why"]
