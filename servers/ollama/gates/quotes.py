"""What a text quotes: its spans between quotation marks, and those of a JSON answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast


def asks_for_quotes(task: str) -> bool:
    """Whether a task wants the material's own words."""
    return _ASKS.search(task) is not None


def put_in_quotes(answer: str, material: str) -> str:
    """An answer that is lines of the material and nothing else, each in quotation marks; any other as it is."""
    lines = [line.strip().removeprefix("- ") for line in answer.strip().split("\n") if line.strip()]
    there = flat(material)
    if any(mark in answer for mark in '"“„«') or not lines or any(flat(line) not in there for line in lines):
        return answer
    return "\n".join(f'"{line}"' for line in lines)


def quoted(text: str) -> list[str]:
    """The spans in double quotes of a text, and its block-quoted lines. ValueError when a quote is left open."""
    spans = [line[1:].strip().strip('"') for line in text.splitlines() if line.startswith(">")]
    for paragraph in re.split(r"\n\s*\n", text):
        plain = "\n".join(line for line in paragraph.splitlines() if not line.startswith(">"))
        plain = _GERMAN.sub(r'"\1"', plain)
        if (
            plain.count('"') % 2
            or plain.count("“") != plain.count("”")
            or plain.count("«") != plain.count("»")
            or "„" in plain
        ):
            raise ValueError(f"a quotation mark has no partner in: {plain[:120]!r}")
        spans += [a or b or c for a, b, c in _QUOTED.findall(plain)]
    return [span for span in spans if span.strip()]


def quoted_in_json(value: object, *, quoting: bool = False) -> list[str]:
    """The spans a JSON answer quotes: values under quote-like keys, and what its other texts put in quotes."""
    if isinstance(value, str):
        return [value] if quoting and value.strip() else quoted(value) if not quoting else []
    if isinstance(value, list):
        return [
            span for item in cast("list[object]", value) for span in quoted_in_json(item, quoting=quoting)
        ]
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return [
            s
            for key, item in pairs
            for s in quoted_in_json(item, quoting=quoting or bool(_QUOTING.search(key)))
        ]
    return []


def how_many(task: str) -> int:
    """The quotes a task counts; 1 where it does not."""
    match = _HOW_MANY.search(task)
    return _COUNT[(match["n"] or match["both"] or match["de"]).lower()] if match else 1


def fewer_than_asked(task: str, spans: Sequence[str]) -> str | None:
    """Fewer quotes than the task counts."""
    wanted = how_many(task)
    found = len({flat(span) for span in spans})
    return (
        None
        if found >= wanted
        else f"{found} quote{'s' if found != 1 else ''}, and the task asks for {wanted}"
    )


def too_much(spans: Sequence[str], material: str) -> str | None:
    """Nearly all of a text is no quotation from it."""
    words = len(material.split())
    told = sum(len(span.split()) for span in dict.fromkeys(map(flat, spans)))
    return "the whole material is quoted" if words >= _TEXT and told > _MOST * words else None


def too_short(task: str, spans: Sequence[str], material: str) -> str | None:
    """Quotes of one or two words out of longer sentences, where the task wants a sentence or a place."""
    if not _PLACE_ASKED.search(task) or any(len(span.split()) >= _PASSAGE for span in spans):
        return None
    span = spans[0]
    around = next((part for part in re.split(r"\n|(?<=[.!?])\s+", material) if flat(span) in flat(part)), "")
    if len(around.split()) < len(span.split()) + _PASSAGE:
        return None
    return f"{span!r} is only a word of {_begun(around.strip())!r}; the task asks for the place"


def off_topic(task: str, spans: Sequence[str], material: str) -> tuple[str | None, str | None]:
    """(fault, doubt) of true quotes that have none, or fewer, of the task's words than another line of the material."""
    parts = re.split(r"\n|(?<=[.!?])\s+", material)
    sentences = [part for part in parts if part.strip() and not _is_heading(part)]
    topic = _stems(_FORM.sub(" ", task)) & _stems(material)
    if not topic:
        return None, None
    said = _stems(" ".join(spans)) & topic
    others = [
        part for part in sentences if not any(flat(part) in flat(s) or flat(s) in flat(part) for s in spans)
    ]
    best = max(others, key=lambda part: len(_stems(part) & topic), default="")
    score = len(_stems(best) & topic)
    stray = next((span for span in spans if not _stems(span) & topic), None)
    if stray is not None and (untold := next((part for part in others if _stems(part) & topic - said), None)):
        which = "no quote has one" if not said else f"{_begun(stray)!r} has none"
        return f"{which} of the task's words; this has: {untold.strip()[:120]!r}", None
    if stray is not None and said and (score or not _SEVERAL.search(task)):
        return None, f"whether {_begun(stray)!r} belongs to it; it has none of the task's words"
    if score > len(said):
        return None, f"whether {best.strip()[:120]!r} does not answer better"
    return None, None


def _is_heading(part: str) -> bool:
    """A title is no sentence that answers."""
    plain = part.strip()
    return plain.startswith("#") or (len(plain.split()) < _SHORT and plain[-1] not in ".!?:;,\"'”“»)")


def _stems(text: str) -> set[str]:
    return {
        word[:5].rstrip("s") for word in re.findall(r"[^\W\d_]{3,}", text.casefold()) if word not in _COMMON
    }


def _begun(text: str) -> str:
    plain = flat(text)
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def flat(text: str) -> str:
    """With every run of white space as one space: a quote may be wrapped otherwise than its source."""
    return " ".join(text.split())


_SHORT, _SHOWN, _PASSAGE = 4, 60, 3
_TEXT, _MOST = 30, 0.8
_SEVERAL = re.compile(
    r"\b(?:all|every|each|both|two|three|four|five|sentences|quotes|quotations|passages|places|lines|rules|parts|alle|jede[nrs]?|zwei|"
    r"drei|beide|sätze|stellen|zeilen|and|und)\b",
    re.IGNORECASE,
)
_PLACE_ASKED = re.compile(
    r"\b(?:sentences?|lines?|places?|passages?|paragraphs?|clauses?|rules?|sections?|s[aä]tze?n?|zeilen?|stellen?|absatz|absätze?|"
    r"passus|regeln?)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»')
_GERMAN = re.compile(r"„([^„“”]*)[“”]")
_QUOTING = re.compile(r"quot|verbatim|excerpt|evidence", re.IGNORECASE)
_ASKS = re.compile(
    r"\b(?:quote|quotes|verbatim|word for word|exact (?:words?|sentences?|lines?|wording)|zitier(?:e|en)?|zitat|wörtlich|(?:im |genauen? )wortlaut)\b",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"\b(?:quot\w*|verbatim|word for word|exact\w*|sentences?|lines?|passages?|paragraphs?|rules?|words?|texts?|files?|documents?|"
    r"says?|said|tells?|states?|about|both|please|answer|give|find|copy|zitier\w*|zitat\w*|wörtlich\w*|wortlaut\w*|s[aä]tze?n?|stelle\w*|"
    r"absätze?n?|nenn\w*|sagt\w*|bitte|text\w*|first|last|second|third|opening|closing|longest|shortest|beginn\w*|end\w*|"
    r"chapters?|sections?|parts?|pages?|headings?|titles?|phrases?|(?:erste|letzte|zweite|dritte)[nrs]?|kapitel\w*|"
    r"abschnitte?n?|überschrift\w*|titel\w*)\b",
    re.IGNORECASE,
)
"""Words of the order, not of its subject."""
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """
    the and for that this with from what which who whom whose when where why how does not are were has
    have had can may must should will would could shall its their they them there here than then into
    onto over under only also any all each every one two put out off you your our but
    der die das den dem des ein eine einen einem einer und oder aber von vom zum zur für mit über auf
    aus bei nach wer was wie wann warum welche welcher welches welchen ist sind war hat darf muss soll
    wird werden nicht nur auch
    """,
    )
)
_COUNT = {"both": 2, "two": 2, "three": 3, "four": 4, "five": 5} | {
    "beide": 2,
    "beiden": 2,
    "zwei": 2,
    "drei": 3,
    "vier": 4,
    "fünf": 5,
}
_HOW_MANY = re.compile(
    r"\bquote (?:the |these |those |me )?(?P<n>both|two|three|four|five)\b(?! or)|\b(?P<both>both|two|three|four|five) "
    r"(?:quotes|quotations|sentences|passages|lines|rules)\b(?! or)"
    r"|\bzitiere?n?\b[^.?!]{0,30}?\b(?P<de>beiden?|zwei|drei|vier|fünf)\b(?! oder)",
    re.IGNORECASE,
)
