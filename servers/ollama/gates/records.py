"""Material that is a list of records, one a line or one a table row: whether data keeps what belongs together together."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import cast

Stands = Callable[[str, str], bool]
"""Whether a text stands in another."""


def mixed(items: Sequence[object], material: str, stands: Stands) -> str | None:
    """Two values of one item that stand in different records, where values of the others stand together."""
    rows = lines_of(material)
    told = [_texts(item) for item in items]
    told = [texts for texts in told if len(texts) > 1]
    apart = [texts for texts in told if not any(all(stands(t, row) for t in texts) for row in rows)]
    if not apart or (len(apart) * 2 > len(told) and not _is_table(material)):
        return None
    for texts in apart:
        if all(any(stands(t, row) for row in rows) for t in texts):
            best = max(rows, key=lambda row: sum(stands(t, row) for t in texts))
            stray = next(t for t in texts if not stands(t, best))
            return f"{stray[:60]!r} does not belong to {texts[0 if texts[0] != stray else 1][:60]!r} in the material"
    return None


def table(material: str) -> tuple[list[str], list[list[str]]] | None:
    """Header and rows of a table with commas; None where the material is not one."""
    lines = [line for line in material.strip().split("\n") if line.strip()]
    rows = [[cell.strip() for cell in row] for row in cells("\n".join(lines))]
    if len(rows) < 3 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    return rows[0], rows[1:]


def cells(text: str) -> list[list[str]]:
    """The rows of a text as a table with commas; none where it cannot be one, as a cell is longer than the reader takes."""
    try:
        return list(csv.reader(io.StringIO(text)))
    except csv.Error:
        return []


def rows_of(material: str) -> int | None:
    """How many rows a table has, of commas or of HTML; None where the material is none."""
    html = re.findall(r"<tr\b[\s\S]*?</tr>", material, re.IGNORECASE)
    if html:
        return sum("<td" in row.lower() for row in html)
    found = table(material)
    return len(found[1]) if found else None


def table_fault(text: str, material: str, task: str) -> str | None:
    """Why a written table with commas is none, or lacks rows of the material's; None where it is sound."""
    rows = [row for row in cells(text.strip()) if row]
    if any("," in line for line in text.split("\n")):
        odd = next((n for n, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
        if odd is not None:
            return f"row {odd} has {len(rows[odd - 1])} cells, and row 1 has {len(rows[0])}"
    found = table(material)
    if found is None or not re.search(r"\b(?:each|every|all|alle|jede[nrs]?)\b", task, re.IGNORECASE):
        return None
    said = {row[0].strip() for row in rows}
    missing = [row[0] for row in found[1] if row[0] not in said]
    some = len(missing) < len(found[1])
    return (
        f"{found[0][0]} {missing[0]} is missing" if missing and some and not _CONDITION.search(task) else None
    )


def labelled_fault(text: str, material: str, task: str) -> str | None:
    """Why lines of a row's id and its label are not that; None where they are, or where it cannot be said."""
    found = table(material)
    labels = labels_in(task)
    if found is None or not labels:
        return None
    header, rows = found
    wanted = [row[0] for row in rows]
    said = [[cell.strip() for cell in row] for row in cells(text.strip()) if row]
    if said and said[0][0].casefold() == header[0].casefold():
        said = said[1:]
    ids = [row[0] for row in said]
    if sorted(ids) != sorted(wanted):
        strange = next((i for i in ids if i not in wanted), None)
        missing = next((i for i in wanted if i not in ids), None)
        fault = (
            f"{strange[:60]!r} is no {header[0]}"
            if strange is not None
            else f"{missing!r} is missing"
            if missing
            else "an id stands twice"
        )
        return f"each line begins with one {header[0]} of the table, each once: {fault}"
    wrong = next((row[-1] for row in said if len(row) < 2 or row[-1].casefold() not in labels), None)
    return None if wrong is None else f"{wrong[:60]!r} is not one of the labels {', '.join(sorted(labels))}"


def labels_in(task: str) -> set[str]:
    """The labels a task names: "positive or negative", "one of a, b or c", "a river or a lake"."""
    match = re.search(
        rf"[\w-]+(?:,? [\w-]+)?[:,(]\s*(?P<all>{_LABEL}(?:, {_LABEL})*,? (?:or|oder) {_LABEL})"
        rf"|\b(?:as|either|of|is|are|into|ist|als)\s+(?:\w+ ){{0,2}}?(?P<more>{_LABEL}(?:, {_LABEL})*,? (?:or|oder) {_LABEL})",
        task,
        re.IGNORECASE,
    )
    found = (match["all"] or match["more"]) if match else ""
    parts = re.split(r",? (?:or|oder) |, ", found)
    return {re.sub(r"^(?:an?|the|eine?|der|die|das) ", "", part).casefold() for part in parts if part}


def label_fault(answer: str, task: str) -> str | None:
    """An answer that is none of the labels a task asks for, where it asks for one of them and nothing else."""
    asked = _ONE_OF.search(task)
    if asked is None:
        return None
    labels = {"yes", "no"} if asked["yes"] else {"ja", "nein"} if asked["ja"] else labels_in(task)
    said = set(re.findall(r"[\w-]+", answer.casefold()))
    if not labels or said & labels or any(" " in label for label in labels):
        return None
    return f"the answer is not one of {', '.join(sorted(labels))}: {answer.strip()[:60]!r}"


_ONE_OF = re.compile(
    r"\b(?:(?:answer|reply|respond|say)(?: just| only| with| simply)* (?:['\"]?(?P<yes>yes['\"]? or ['\"]?no\b))|(?:antworte|sag)\w*(?: nur| mit)* (?P<ja>ja oder nein\b)"
    r"|one word|single word|(?:nur|mit) (?:dem|einem|ein) wort)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:who|which|that|where|only|without|not|except|but|if|nur|ohne|außer)\b", re.IGNORECASE
)
_WRAPPED = 60
"""A line longer than that, without an end, goes on in the next."""
_LABEL = r"(?:(?:an?|the|eine?|der|die|das) )?[\w-]+"


def lines_of(material: str) -> list[str]:
    """The lines that are records: rows of a table, or lines, each with what goes on in the next."""
    rows = re.findall(r"<tr\b[\s\S]*?</tr>", material, re.IGNORECASE)
    plain = [re.sub(r"<[^>]+>", " ", row) for row in rows]
    return plain or _unwrapped([line for line in material.split("\n") if line.strip()])


def _unwrapped(lines: list[str]) -> list[str]:
    """The lines, with those joined that are the rest of a sentence begun above."""
    found: list[str] = []
    for line in lines:
        rest = found and (line[0].islower() or (len(found[-1]) > _WRAPPED and found[-1][-1] not in ".!?:;|,"))
        if rest:
            found[-1] += f" {line}"
        else:
            found.append(line.rstrip())
    return found


def _is_table(material: str) -> bool:
    return re.search(r"<tr\b", material, re.IGNORECASE) is not None or table(material) is not None


def _texts(item: object) -> list[str]:
    if not isinstance(item, dict):
        return []
    values = cast("dict[str, object]", item).values()
    return [value for value in values if isinstance(value, str) and value.strip()]
