"""Rows of a table that a task picks by what is in their columns: a program knows them, and an answer is held against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.recited import recited

pytestmark = pytest.mark.anyio

TICKETS = """id,customer,status,priority
41,Nord,open,high
42,Kess,closed,low
43,Aur,open,low
44,Nord,open,high
45,Blue,closed,high
"""
BOTH = "List the id of every ticket whose status is open and whose priority is high."
ONE = "Give id and customer of all tickets where status is closed."
LATE = "List the id of every ticket whose status is open and that came before the second."


def records(*ids: int) -> Any:
    names = {int(line.split(",")[0]): line.split(",")[1] for line in TICKETS.split("\n")[1:] if line}
    return {"tickets": [{"id": number, "customer": names[number]} for number in ids]}


@pytest.mark.parametrize(
    ("task", "data", "outcome", "why"),
    [
        (BOTH, {"ids": [41, 44]}, "accepted", ""),
        (
            BOTH,
            {"ids": [41, 43, 44]},
            "escalate",
            "rows with status open and priority high: '43' is none of them; there are 2",
        ),
        (BOTH, {"ids": [41]}, "escalate", "'44' is missing"),
        (BOTH, {"numbers": [41, 44]}, "answered", "unchecked"),
        (ONE, records(42, 45), "accepted", ""),
        (ONE, records(42, 44), "escalate", "'44' is none of them"),
        (LATE, {"ids": [41, 43]}, "answered", "unchecked"),
    ],
)
async def test_rows_picked_by_their_columns_are_compared_with_those_that_fit(
    tmp_path: Path, task: str, data: Any, outcome: str, why: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "tickets.csv").write_text(TICKETS)
    answer = json.dumps(data)
    receipt = await recited(tree, answer, answer, task=task, files=["tickets.csv"], schema={"type": "object"})
    assert receipt["outcome"] == outcome, receipt
    assert why in (receipt.get("reason") or "")


NOTE = "Ida wants four crates of pears by 9 May, 12 euros each. Tom asked for plums; there are none.\n"


@pytest.mark.parametrize(
    ("order", "outcome", "why"),
    [
        ({"who": "Ida", "crates": 4, "price": 12, "due": "9 May"}, "accepted", ""),
        ({"who": "Ida", "crates": 6, "price": 12, "due": "9 May"}, "escalate", "not in the material: 6"),
        ({"who": "Tom", "crates": 0, "price": 12, "due": "9 May"}, "answered", "whether 0 is so"),
        ({"who": "Tom", "crates": 4, "price": 12, "due": "None"}, "escalate", "'due' is left empty"),
    ],
)
async def test_numbers_in_words_are_numbers_and_none_is_no_value(
    tmp_path: Path, order: Any, outcome: str, why: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "note.txt").write_text(NOTE)
    call = {"task": "Extract the order.", "files": ["note.txt"], "schema": {"type": "object"}}
    receipt = await recited(tree, json.dumps(order), json.dumps(order), **call)
    assert receipt["outcome"] == outcome, receipt
    assert why in (receipt.get("reason") or "")
