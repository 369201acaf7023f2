"""Answers that are no answer: empty, our own words, the material once more, a refusal, a placeholder, a loop, too long.

Each check is certain or says nothing; what a task itself asks for ("answer NONE if there is none") is an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_RUN = 6
"""So many words in a row are copied, not met by chance."""
_SHORTER = 0.8
"""A summary has at most so much of its material's length, where that is more than a few lines."""
_LOOPED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an answer is held against."""

    task: str
    kind: str
    material: str = ""
    ours: str = ""
    """Our own words in the prompt: rules, examples, form."""
    in_file: bool = False
    """The text is to be a file: what is said there may be anything, also a refusal."""


def fault_of(text: str, asked: Asked) -> str | None:
    """Why this text is no answer, in one sentence; None when it may be one."""
    plain = text.strip()
    return next((fault for check in _CHECKS if (fault := check(plain, asked)) is not None), None)


def _is_empty(text: str, asked: Asked) -> str | None:
    return None if any(c.isalnum() or c in "+-✓✗" for c in text) else "the answer is empty"


def _says_nothing(text: str, asked: Asked) -> str | None:
    word = text.strip(" .\"'`*_()[]<>\n")
    if word.casefold() not in _NOTHINGS or re.search(rf"\b{re.escape(word)}\b", asked.task, re.IGNORECASE):
        return None
    return f"the answer is only {word!r}"


def _has_marks(text: str, asked: Asked) -> str | None:
    if asked.in_file or not (mark := _MARKS.search(text)) or mark[0] in asked.material:
        return None
    return f"the answer repeats marks of the prompt: {mark[0][:40]!r}"


def _repeats_us(text: str, asked: Asked) -> str | None:
    words = _words(text)
    said = asked.material + "\n" + asked.task
    if len(words) >= _RUN and _copied(words, asked.ours, but=said) > 0.4:
        return "the answer repeats our instructions instead of following them"
    if not asked.in_file and len(words) >= 4 and words == _words(asked.task)[: len(words)]:
        return "the answer repeats the task"
    if not asked.in_file and len(words) > 8 and _copied(words, asked.task, but=asked.material) > 0.8:
        return "the answer repeats the task"
    return None


def _repeats_material(text: str, asked: Asked) -> str | None:
    if asked.in_file and asked.kind != "summary":
        return None
    material, words = _words(asked.material), _words(text)
    if len(material) < 60 or asked.kind not in ("answer", "summary", "translate", "review"):
        return None
    if asked.kind == "summary" and len(words) > _SHORTER * len(material):
        return f"the summary has {len(words)} words for {len(material)} of the material"
    copied = _copied(words, asked.material)
    if asked.kind == "summary" and copied > 0.85 and len(words) > 0.5 * len(material):
        return "the summary only copies the material; it has to say it in fewer words"
    if copied > 0.9 and len(words) > 0.9 * len(material) and not _SHOW.search(asked.task):
        return "the answer only repeats the material"
    return None


def _refuses(text: str, asked: Asked) -> str | None:
    if asked.in_file and "\n" in text:
        return None
    found = _REFUSALS.match(text.replace("’", "'"))
    return f"the answer is a refusal: {text[:100]!r}" if found and found[0] not in asked.material else None


def _placeholder(text: str, asked: Asked) -> str | None:
    found = next((m for m in _PLACEHOLDERS.finditer(text) if m[0].strip() not in asked.material), None)
    return (
        f"the answer holds a placeholder: {found[0].strip()[:80]!r}"
        if found and found[0].strip() not in asked.task
        else None
    )


def _loops(text: str, asked: Asked) -> str | None:
    for parts in (text.split("\n"), re.split(r"(?<=[.!?])\s+", text)):
        lines = [" ".join(part.split()) for part in parts if any(c.isalnum() for c in part)]
        counted = Counter(line for line in lines if len(line) > 12)
        for line, times in counted.most_common(1):
            if (
                times >= _LOOPED
                and times * 3 >= len(lines)
                and " ".join(asked.material.split()).count(line) < times
            ):
                return f"the answer says the same {times} times: {line[:80]!r}"
    return None


def _other_script(text: str, asked: Asked) -> str | None:
    if asked.kind == "translate" or _LANGUAGES.search(asked.task):
        return None
    there = {script for script, share in _scripts(asked.material + asked.task).items() if share > 0.01}
    strange = [s for s, share in _scripts(text).items() if share > 0.2 and s not in there]
    return f"the answer is written in another script ({strange[0].lower()})" if strange and there else None


def _too_long(text: str, asked: Asked) -> str | None:
    """Held against a length the task names, with a fifth to spare."""
    if asked.in_file:
        return None
    for match in _LENGTH.finditer(asked.task):
        most, unit = (
            _number(match["n"] or match["one"]),
            (match["unit"] or match["single"]).rstrip("s").lower(),
        )
        count = _UNITS[unit](text)
        spare = 1 if (unit == "word" and most < 5) or (unit == "sentence" and most > 1) else 0
        if count > max(most * 1.2, most + spare):
            return f"the answer has {count} {unit}s; the task asks for at most {most}"
    return None


_CHECKS: tuple[Callable[[str, Asked], str | None], ...] = (
    _is_empty,
    _says_nothing,
    _has_marks,
    _repeats_us,
    _refuses,
    _placeholder,
    _loops,
    _repeats_material,
    _other_script,
    _too_long,
)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _copied(words: Sequence[str], source: str, but: str = "") -> float:
    """Share of the words that stand in runs of six that also stand in the source, and not in `but`."""
    known = _runs(_words(source)) - _runs(_words(but))
    inside = [False] * len(words)
    for at in range(len(words) - _RUN + 1):
        if tuple(words[at : at + _RUN]) in known:
            inside[at : at + _RUN] = [True] * _RUN
    return sum(inside) / len(words) if words else 0.0


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}


def _scripts(text: str) -> dict[str, float]:
    """The share of each script among the letters: LATIN, CJK, CYRILLIC, ..."""
    letters = [c for c in text[:20_000] if c.isalpha()]
    counted = Counter(
        "LATIN" if c.isascii() else unicodedata.name(c, "UNKNOWN").split()[0].partition("-")[0]
        for c in letters
    )
    return {script: count / len(letters) for script, count in counted.items()}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[text.lower()]


def _sentences(text: str) -> int:
    return max(len(re.findall(r"[.!?](?=\s|$)", text)), 1)


_NOTHINGS = frozenset(
    (
        "none",
        "n/a",
        "na",
        "null",
        "nil",
        "nothing",
        "no answer",
        "unknown",
        "not applicable",
        "undefined",
        "answer",
    )
)
_MARKS = re.compile(
    r"<<(?:data|end) [0-9a-f]{8}[^>\n]*>>|<\|(?:im_start|im_end|user|assistant|system|endoftext)\|>"
)
_REFUSALS = re.compile(
    r"(?:(?:i'm|i am) (?:very )?sorry|sorry|i apologi[sz]e|unfortunately)\b[^.\n]{0,40}\b"
    r"(?:can't|cannot|can not|unable|not able|don't have|do not have|as an ai)"
    r"|(?:as an (?:ai|artificial)|i(?:'m| am) (?:just )?an (?:ai|artificial))\b"
    r"|i (?:can't|cannot|can not|am unable to|am not able to|won't) (?:help|assist|access|open|read|see|provide|fulfil|complete|do)"
    r"|i(?:'m| am) (?:unable|not able) to\b"
    r"|i (?:don't|do not) have (?:access|the ability|enough information)"
    r"|(?:sure|certainly|of course|okay|ok)?[!,. ]*(?:i(?:'d| would)? (?:be )?(?:happy|glad|can help)[^\n]{0,60})?"
    r"(?:please|could you(?: please)?|can you(?: please)?) (?:provide|share|give me|upload|paste|send|specify)\b",
    re.IGNORECASE,
)
_PLACEHOLDERS = re.compile(
    r"(?i:\[(?:your|insert|add|enter)\b[^\]\n]{0,60}\]|<(?:your|insert)[ _-][^>\n]{0,60}>|lorem ipsum)"
    r"|(?im:^[^\n\w]*(?:\.\.\.|…)?\s*\(?(?:the )?(?:rest|remainder) of (?:the |your |this )?(?:code|file|function|text|content|class|implementation)\b[^\n]*$)"
    r"|(?im:^[ \t]*(?:#|//|/\*|--|<!--)[^\n\w]*(?:the )?(?:existing|previous|remaining|original|unchanged|your)\b"
    r"[^\n]{0,20}\b(?:code|functions?|methods?|lines|content|implementation|logic)\b[^\n]{0,12}$)"
    r"|(?im:^[ \t]*(?:#|//)\s*(?:\.\.\.|…)\s*$)"
    r"|(?i:\byour (?:code|text|answer|implementation) (?:goes )?here\b)"
    r"|(?i:\blines copied exactly\b)"
)
_SHOW = re.compile(
    r"\b(?:show|print|copy|repeat|cat|output|whole|entire|verbatim|list|quote|format|sort)\b", re.IGNORECASE
)
_LANGUAGES = re.compile(
    r"\b(?:chinese|japanese|korean|russian|arabic|greek|hebrew|hindi|thai|ukrainian|translat|language|unicode|emoji)",
    re.IGNORECASE,
)
_NUMBERS = {
    "a": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "fifty": 50,
}
_COUNT = r"\d{1,5}|one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|fifty"
_UNIT = r"words?|sentences?|lines?|paragraphs?|characters?"
_LENGTH = re.compile(
    rf"\b(?:at most|no more than|not more than|up to|maximum(?: of)?|max\.?|under|fewer than|less than|within)\s+"
    rf"(?P<n>{_COUNT})\s+(?P<unit>{_UNIT})\b"
    rf"|\bin (?:just |only |exactly |about )?(?:(?:{_COUNT}) (?:or|to) )?(?P<one>a|{_COUNT}) "
    rf"(?:short |brief |plain |simple |single )?(?P<single>words?|sentences?)\b(?!\s+(?:each|per|for|apiece))",
    re.IGNORECASE,
)
_UNITS: dict[str, Callable[[str], int]] = {
    "word": lambda text: len(text.split()),
    "sentence": _sentences,
    "line": lambda text: sum(bool(line.strip()) for line in text.split("\n")),
    "paragraph": lambda text: len([p for p in re.split(r"\n\s*\n", text) if p.strip()]),
    "character": len,
}
