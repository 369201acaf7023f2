"""What the model is asked of one chunk, and what its answer says: nothing found, overlooked, where it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..gates.documents import Document
from ..gates.quotes import quoted
from .chunks import OUT_TOKENS, Chunk
from .request import Order, Prepared

NOTHING = "NONE"
_OF_ANY_TEXT = ("summary", "translate", "document")
"""Kinds of task that every text holds something for."""
_LITERAL = re.compile(r"[`\"']([^`\"'\n]{2,40})[`\"']|\b([A-Z][A-Z_]{2,})\b")
_RULE = f"If the material holds nothing for this task, answer {NOTHING} and nothing else."


def chunk_order(order: Order, text: Document) -> Prepared:
    """One chunk as an order of its own."""
    may_hold_nothing = (
        order.gates.schema is None
        and order.kind not in _OF_ANY_TEXT
        and overlooked(order.task, text.text) is None
    )
    task = order.task.strip() + (f"\n{_RULE}" if may_hold_nothing else "")
    order = replace(order, task=task, files=(), max_output=order.max_output or OUT_TOKENS)
    return Prepared(order=order, inputs={text.path: text}, target=None, before=None)


def overlooked(task: str, material: str) -> str | None:
    """Why a chunk cannot hold nothing: it holds the very word the task looks for, in capitals or quotes."""
    wanted = [a or b for a, b in _LITERAL.findall(task) if (a or b) != NOTHING]
    word = next((word for word in wanted if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", material)), None)
    return None if word is None else f"the answer is {NOTHING}, but the material holds {word!r}"


def all_alike(answers: Sequence[str]) -> bool:
    """Whether three answers and more are the same, and too long to be a label."""
    plain = {" ".join(answer.split()).casefold() for answer in answers}
    return len(answers) > 2 and len(plain) == 1 and len(answers[0].split()) > 3


_JOINS = re.compile(
    r"an?|all|and|answers?|as|at|bring|by|chunks?|collect|combined?|concatenated?|documents?|each|every|everything|files?|findings?|"
    r"for|from|gather|give|group(?:ed)?|in|into|it|items?|join(?:ed)?|lists?|make|merged?|of|one|out|pages?|parts?|per|please|put|"
    r"results?|single|sources?|the|them|these|this|to|together|under|with|"
    r"alle[rs]?|antworten|auf|aus|dateien?|das|dem|den|der|die|diese|eine?[mnr]?|ergebnisse|funde?|für|gruppiert|je|jede[rs]?|"
    r"listen?|mach|nach|pro|seiten?|und|verbinde|zu|zusammen"
)
"""Words of a task that does no more than put answers together."""


def only_joins(task: str) -> bool:
    """Whether a reducing task asks for nothing that one answer alone would not be already."""
    return all(_JOINS.fullmatch(word) for word in re.findall(r"\w+", task.casefold()))


def place(chunk: Chunk, answer: str) -> str:
    """Where an answer's first quote stands, path:line; without one, the chunk."""
    try:
        spans = quoted(answer)
    except ValueError:
        spans = []
    for span in spans:
        at = chunk.text.text.find(span)
        if at >= 0:
            return f"{chunk.path}:{chunk.start + chunk.text.text.count(chr(10), 0, at)}"
    return chunk.label


def grouped(parts: Sequence[tuple[str, str]], max_chars: int) -> list[list[tuple[str, str]]]:
    groups: list[list[tuple[str, str]]] = []
    size = 0
    for name, answer in parts:
        if not groups or size + len(answer) > max_chars:
            groups.append([])
            size = 0
        taken = {known for known, _ in groups[-1]}
        label = next(
            n for n in (name, *(f"{name} ({i})" for i in range(2, len(taken) + 3))) if n not in taken
        )
        groups[-1].append((label, answer[:max_chars]))
        size += len(answer)
    return groups
