"""What gates check of an answer and of data: that it is one, that it quotes, counts and labels rightly."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

import anyio

from .counted import answers, asks_how_many, counted
from .json_schema import misfit
from .judged import Judged, Result
from .no_answer import fault_of
from .quotes import (
    asks_for_quotes,
    fewer_than_asked,
    flat,
    off_topic,
    quoted,
    quoted_in_json,
    too_much,
    too_short,
)
from .records import label_fault, labelled_fault, labels_in, table, table_fault
from .wrong_data import data_fault_of, left_open


async def fits_schema(judged: Judged, schema: object) -> Result:
    known = cast("Mapping[str, object]", schema)
    fault = await misfit(known, judged.candidate.data)
    if fault is not None:
        return False, fault
    return await anyio.to_thread.run_sync(_filled, judged, known)


def _filled(judged: Judged, schema: Mapping[str, object]) -> Result:
    """Whether valid data is filled from the material."""
    data, asked = judged.candidate.data, judged.asked
    if (fault := data_fault_of(data, asked, schema)) is not None:
        return False, fault
    doubt = left_open(data, asked, schema)
    return (True, "it is valid") if doubt is None else (True, "it is valid", doubt)


def is_an_answer(judged: Judged) -> Result:
    """No answer at all: told of texts; a file is looked through for what can only be a slip."""
    if judged.schema is not None and not judged.candidate.files:
        return None, ""
    if not judged.candidate.files and (fault := label_fault(judged.candidate.answer, judged.asked.task)):
        return False, fault
    texts = list(judged.candidate.files.items()) or [("", judged.candidate.answer)]
    for path, text in texts:
        old = judged.old(path)
        fault = fault_of(text if old is None else _added(old, text), judged.asked)
        if fault is None and path.lower().endswith(".csv") and old is None:
            fault = table_fault(text, judged.asked.material, judged.asked.task)
        if fault is not None and not (old is not None and fault == "the answer is empty"):
            return False, f"{path}: {fault}" if path else fault
    return None, ""


def wants_quotes(judged: Judged) -> object | None:
    prose = not judged.candidate.files and judged.schema is None
    return True if prose and asks_for_quotes(judged.asked.task) and judged.asked.material.strip() else None


def quotes_verbatim(judged: Judged) -> Result:
    material = flat(judged.asked.material)
    candidate = judged.candidate
    texts = list(candidate.files.values()) or [candidate.answer]
    try:
        spans = (
            quoted_in_json(candidate.data)
            if candidate.data is not None
            else [span for text in texts for span in quoted(text)]
        )
    except ValueError as exc:
        return False, str(exc)
    missing = next((span for span in spans if flat(span) not in material), None)
    if missing is not None:
        return False, f"not in the material: {json.dumps(missing[:200], ensure_ascii=False)}"
    if not spans:
        wanted = asks_for_quotes(judged.asked.task)
        return False if wanted else None, "the answer quotes nothing" + (
            ", and the task asks for it" if wanted else ""
        )
    fault = fewer_than_asked(judged.asked.task, spans)
    if candidate.data is None:
        fault = fault or too_short(judged.asked.task, spans, judged.asked.material)
        fault = fault or too_much(spans, judged.asked.material)
    if fault is not None:
        return False, fault
    fault, doubt = off_topic(judged.asked.task, spans, judged.asked.material)
    told = f"{len(spans)} quotes occur verbatim"
    return (False, fault) if fault else (True, told, doubt) if doubt else (True, told)


def counts_rightly(judged: Judged) -> Result:
    """What the task asks and a program can count."""
    files = {path: text.text for path, text in judged.given.items()}
    wanted = counted(judged.asked.task, files)
    return answers(judged.candidate.answer, wanted) if wanted else (None, "nothing to count")


def unjudged(judged: Judged) -> str:
    """Why nothing is known of a candidate that no gate could judge."""
    if asks_how_many(judged.asked.task) and not judged.candidate.files:
        return "the model counted by itself, and small models miscount: count it with a search or a command"
    return "no gate could judge it"


def wants_rows(judged: Judged) -> object | None:
    files = judged.candidate.files
    new = (
        len(files) == 1
        and judged.old(next(iter(files))) is None
        and next(iter(files)).endswith((".csv", ".txt"))
    )
    one_form = re.search(
        r"\b(?:one|a) line (?:per|for each)\b|\b\w+,\s?(?:label|kind|class|category|type|group)\b",
        judged.asked.task,
        re.IGNORECASE,
    )
    asked = judged.asked
    return True if new and one_form and labels_in(asked.task) and table(asked.material) else None


def labels_rows(judged: Judged) -> Result:
    """A written file of rows and their labels."""
    text = next(iter(judged.candidate.files.values()))
    fault = labelled_fault(text, judged.asked.material, judged.asked.task)
    return (
        (False, fault)
        if fault
        else (True, "each row once, each with one of the labels", "which label is right")
    )


def _added(old: str, new: str) -> str:
    """The lines of a changed text that were not there."""
    had = set(old.split("\n"))
    return "\n".join(line for line in new.split("\n") if line not in had)
