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
