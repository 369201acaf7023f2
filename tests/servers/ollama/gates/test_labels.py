"""Data taken from a text: a value that the text itself files under another label is not called right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.recited import recited

pytestmark = pytest.mark.anyio

ORDER = """Kettle & Sons, order 5512
Customer: Harbour School, 12 Quay Road, 24103 Kiel
Deliver to: Mrs Lund, gate 4

Sum          312.00
Discount 5 %  15.60
To pay       296.40
Notes:
  ring twice
"""
DATA = {
    "order": "5512",
    "customer": {"name": "Harbour School", "town": "Kiel"},
    "sum": 312.0,
    "discount": 15.6,
    "notes": "ring twice",
}


def schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0])}
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {k: schema_of(v) for k, v in value.items()},
            "required": list(value),
        }
    return {"type": "number" if isinstance(value, int | float) else "string"}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, None),
        (
            {"customer": {"name": "Kettle & Sons", "town": "Kiel"}},
            "'Customer' in the material is followed by something else",
        ),
        ({"customer": {"name": "Harbour School", "town": "24103"}}, "it is digits alone"),
        ({"sum": 296.4}, "'Sum' in the material is followed by something else"),
        ({"discount": 5.0}, "whether 5.0 is the discount"),
        ({"notes": "gate 4"}, "'Notes' in the material is followed by something else"),
        ({"notes": "5512"}, "is the notes and the order"),
    ],
)
async def test_a_value_that_stands_under_another_label_leaves_the_data_unchecked(
    tmp_path: Path, changed: dict[str, Any], why: str | None
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "order.txt").write_text(ORDER)
    answer = json.dumps(DATA | changed)
    call = {"task": "Fill this in from the order.", "files": ["order.txt"], "schema": schema_of(DATA)}
    receipt = await recited(tree, answer, answer, **call)
    assert receipt["outcome"] == ("accepted" if why is None else "answered"), receipt
    assert why is None or why in receipt["reason"]


WRAPPED = """Two lamps came back today. The Nova 3 works, number N3-118. The older Vesta 40 has lost its
shade, number V40-220. Then a heater, the Brava, number B-77.
"""


async def test_sentences_that_go_on_in_the_next_line_are_one_record(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "back.txt").write_text(WRAPPED)
    rows = [("Nova 3", "N3-118"), ("Vesta 40", "V40-220"), ("Brava", "B-77")]
    answer = json.dumps({"things": [{"model": model, "number": number} for model, number in rows]})
    item = schema_of({"model": "", "number": ""})
    schema = {
        "type": "object",
        "properties": {"things": {"type": "array", "items": item}},
        "required": ["things"],
    }
    receipt = await recited(tree, answer, task="List what came back.", files=["back.txt"], schema=schema)
    assert receipt["outcome"] == "accepted", receipt


JOBS = """[job 11] name=fetch attempt=1
[job 12] name=send attempt=1
[job 11] exit=0 seconds=42
[job 12] exit=75 seconds=9
"""
BOOKS = """Lent out: "Salt Roads" (B-118) to Ida until 4 May, "The Kiln" (B-204) to Tom until 9 May,
"Low Water" (B-031) to Ida until 12 May.
"""
STOCK = "part,shelf\nbolt,A1\nnut,A2\nwasher,B7\n"


def books(*rows: tuple[str, str]) -> Any:
    return {"books": [{"title": title, "number": number} for title, number in rows]}


ALL = [("Salt Roads", "B-118"), ("The Kiln", "B-204"), ("Low Water", "B-031")]


@pytest.mark.parametrize(
    ("material", "data", "why"),
    [
        (
            JOBS,
            [{"name": "fetch", "seconds": 42}, {"name": "send", "seconds": 9}],
            "the values of 'fetch' belong together",
        ),
        (BOOKS, books(*ALL), None),
        (BOOKS, books(*ALL[:2]), "whether 'B-031' was left out; it looks like each number"),
        (BOOKS, books(*ALL, ALL[0]), "'Salt Roads' is there twice"),
        (
            STOCK,
            [{"part": "bolt", "shelf": "A1"}, {"part": "nut", "shelf": "A2"}],
            "all that were meant, 2 of 3 rows",
        ),
        (
            STOCK,
            [
                {"part": "bolt", "shelf": "A1"},
                {"part": "nut", "shelf": "A2"},
                {"part": "washer", "shelf": "B7"},
            ],
            None,
        ),
    ],
)
async def test_a_list_of_records_is_unchecked_where_they_may_be_mixed_or_some_left_out(
    tmp_path: Path, material: str, data: Any, why: str | None
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "in.txt").write_text(material)
    answer = json.dumps(data)
    receipt = await recited(tree, answer, answer, task="List them.", files=["in.txt"], schema=schema_of(data))
    assert receipt["outcome"] == ("accepted" if why is None else "answered"), receipt
    assert why is None or why in receipt["reason"]


async def test_data_keeps_the_nulls_and_empty_lists_its_schema_asked_for(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "in.txt").write_text("Ida, no telephone.")
    data = {"name": "Ida", "phone": None, "tags": [], "more": {}}
    schema = {"type": "object", "required": list(data)}
    receipt = await recited(
        tree, json.dumps(data), task="Fill it in, null where none.", files=["in.txt"], schema=schema
    )
    assert receipt["data"] == data


@pytest.mark.parametrize(
    "material", ["a" * 300_000, " " * 300_000 + "x", "a,b\n" + "x1,y\n" * 50_000, "x@" * 100_000]
)
async def test_a_long_text_of_any_shape_is_judged(tmp_path: Path, material: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "in.txt").write_text(f"Code: K-1\nCode: K-2\n{material}")
    data = {"codes": [{"code": "K-1", "kind": "Code"}, {"code": "K-2", "kind": "Code"}]}
    call = {"task": "List the codes where kind is Code.", "files": ["in.txt"], "schema": {"type": "object"}}
    receipt = await recited(tree, json.dumps(data), json.dumps(data), **call)
    assert receipt["outcome"] in ("accepted", "answered"), receipt
