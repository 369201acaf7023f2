"""Edits of Python whose task says it all: accepted where just that was done, and unchecked where it cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recited import recited

pytestmark = pytest.mark.anyio

SHOP = """import json
import re

LIMIT = 10
RETRIES = 10
READ_TIMEOUT = 30
SEND_TIMEOUT = 30
LABELS = {"open": "offen", "shut": "zu"}


class Till:
    def total(self, items, tax=3, tip=3):
        return sum(items) + tax + tip

    def shout(self):
        print("no money")


def parse(text):
    return json.loads(text)


def words(text):
    return re.findall("x", text)
"""
WORDS = '\n\ndef words(text):\n    return re.findall("x", text)\n'


@pytest.mark.parametrize(
    ("task", "old", "new", "outcome", "gate"),
    [
        ("Raise LIMIT to 50.", "LIMIT = 10", "LIMIT = 50", "accepted", "values"),
        ("Raise LIMIT to 50.", "RETRIES = 10", "RETRIES = 50", "written", ""),
        ("Raise LIMIT to 50.", "LIMIT = 10", "LIMIT = 500", "written", ""),
        (
            "Raise the limit to 50 and tell the user when it is reached.",
            "LIMIT = 10",
            "LIMIT = 50",
            "written",
            "",
        ),
        ("The default tip should be 4.", "tip=3", "tip=4", "accepted", "values"),
        ("The default tip should be 4.", "tax=3", "tax=4", "written", ""),
        ('The label of shut is "geschlossen".', '"zu"', '"geschlossen"', "accepted", "values"),
        ('Say "gesperrt" instead of "offen".', '"offen"', '"gesperrt"', "accepted", "values"),
        ('The label of shut is "geschlossen".', '"offen"', '"geschlossen"', "written", ""),
        (
            "Till.shout prints 'the till is empty' from now on",
            "no money",
            "the till is empty",
            "accepted",
            "values",
        ),
        ("Delete words, nobody calls it", WORDS, "", "accepted", "removed"),
        ("Delete words, nobody calls it", "import re\n\nLIMIT", "import re\n\n\nLIMIT", "escalate", ""),
        (
            "Remove the method shout of Till.",
            '\n    def shout(self):\n        print("no money")\n',
            "",
            "accepted",
            "removed",
        ),
        ("read timeout up to 45", "READ_TIMEOUT = 30", "READ_TIMEOUT = 45", "accepted", "values"),
        ("read timeout up to 45", "SEND_TIMEOUT = 30", "SEND_TIMEOUT = 45", "written", ""),
        ("read timeout up to 45", "READ_TIMEOUT = 30", 'READ_TIMEOUT = "45"', "written", ""),
        ("words kann weg", WORDS, "", "accepted", "removed"),
        ("total should leave out the tip", " + tip", "", "written", ""),
    ],
)
async def test_a_change_the_task_spells_out_is_accepted_where_nothing_else_changed(
    tmp_path: Path, task: str, old: str, new: str, outcome: str, gate: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "shop.py").write_text(SHOP)
    answer = f"```python\n{SHOP.replace(old, new)}```"
    receipt = await recited(tree, answer, answer, task=task, files=["shop.py"], write="edits")
    assert receipt["outcome"] == outcome, receipt
    if gate:
        assert receipt["gate"]["checks"][-1]["gate"] == gate


UNUSED = "import json\nimport os\nfrom re import findall, sub\n\n\ndef words(text):\n    return findall(text, json.dumps(text))\n"


@pytest.mark.parametrize(
    ("new", "outcome"),
    [
        (UNUSED.replace("import os\n", "").replace(", sub", ""), "accepted"),
        (UNUSED.replace("import os\n", ""), "written"),
        (UNUSED.replace("import os\n", "").replace("import json\n", ""), "escalate"),
        (
            UNUSED.replace("import os\n", "")
            .replace(", sub", "")
            .replace("(text, json", "(text + text, json"),
            "written",
        ),
    ],
)
async def test_unused_imports_are_gone_all_of_them_and_nothing_else(
    tmp_path: Path, new: str, outcome: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").write_text(UNUSED)
    answer = f"```python\n{new}```"
    call = {"task": "Clean up: throw out the imports nobody uses.", "files": ["a.py"], "write": "edits"}
    receipt = await recited(tree, answer, answer, **call)
    assert receipt["outcome"] == outcome, receipt


WORDS = """def longest(words):
    return max(words, key=len)


def count_vowels(text):
    return sum(1 for letter in text if letter in "aeiou")


def delay(attempt, cap=60):
    return min(cap, 2**attempt)
"""
DOCS = {
    "longest": "The longest of the words.",
    "count_vowels": "How many vowels a text has.",
    "delay": "Seconds, at most 60.",
}


def documented(**docs: str) -> str:
    text = WORDS
    for name, doc in docs.items():
        head = next(line for line in text.split("\n") if line.startswith(f"def {name}("))
        text = text.replace(head, f'{head}\n    """{doc}"""')
    return text


@pytest.mark.parametrize(
    ("task", "docs", "outcome", "why"),
    [
        ("Add docstrings to all functions.", DOCS, "accepted", ""),
        ("Add docstrings to all functions.", DOCS | {"longest": "The shortest of them."}, "written", "'shortest'"),
        ("Add docstrings to all functions.", DOCS | {"delay": "Seconds, at most 30."}, "written", "no 30"),
        (
            "Add docstrings to all functions.", DOCS | {"count_vowels": "The longest one."}, "written", "it has words of longest",
        ),
        ("Add docstrings to all functions, in German.", DOCS, "escalate", "are in English, and the task asks for German"),
        ("Add a module docstring, only that.", DOCS, "escalate", "the module has no docstring"),
        ("Document the function delay, only that one.", {"delay": DOCS["delay"]}, "accepted", ""),
        ("Document the function delay, only that one.", DOCS, "escalate", "longest has a docstring too"),
        ("Write a docstring for delay.", {"longest": DOCS["longest"]}, "escalate", "delay has no docstring"),
        ("Write a docstring for count_vowels.", {"count_vowels": DOCS["count_vowels"], "delay": DOCS["delay"]}, "written", "delay has a docstring too"),
    ],
)  # fmt: skip
async def test_a_docstring_stands_where_it_was_asked_for_and_speaks_of_its_function(
    tmp_path: Path, task: str, docs: dict[str, str], outcome: str, why: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "w.py").write_text(WORDS)
    answer = f"```python\n{documented(**docs)}```"
    receipt = await recited(
        tree, answer, answer, task=f"{task} As a docstring.", files=["w.py"], write="edits"
    )
    assert receipt["outcome"] == outcome, receipt
    assert why in (receipt.get("reason") or "")


MENU = 'def export(rows):\n    return rows  # export it\n\n\nCOMMANDS = {"export": export}\n'


@pytest.mark.parametrize(
    ("task", "new", "outcome"),
    [
        (
            "Rename the function export to to_csv.",
            MENU.replace("def export", "def to_csv").replace(": export", ": to_csv"),
            "accepted",
        ),
        ("Rename the function export to to_csv.", MENU.replace("export", "to_csv"), "written"),
        (
            "Rename the function export to to_csv, in comments too.",
            MENU.replace("def export", "def to_csv").replace(": export", ": to_csv"),
            "written",
        ),
    ],
)
async def test_a_text_that_is_the_old_name_may_mean_another_thing(
    tmp_path: Path, task: str, new: str, outcome: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "m.py").write_text(MENU)
    answer = f"```python\n{new}```"
    receipt = await recited(tree, answer, answer, task=task, files=["m.py"], write="edits")
    assert receipt["outcome"] == outcome, receipt
