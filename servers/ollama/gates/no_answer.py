"""Answers that are no answer: empty, our own words, the material once more, a refusal, a placeholder, a loop, too long.

Each check is certain or says nothing; what a task itself asks for ("answer NONE if there is none") is an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .languages import SMALL_WORDS, language_of, wanted_in, words_of
from .translations import translation_fault

_RUN = 6
"""So many words in a row are copied, not met by chance."""
_SHORTER = 0.8
"""A summary has at most so much of its material's length, where that is more than a few lines."""
_LOOPED = 4
_SHORTEST, _PASSAGE = 16, 400
"""Characters of a passage that is said again and again."""
_SPOKEN = 6
"""Words by which a language can be told."""
_LONG = 10
"""Words of a sentence that nobody says twice."""


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


def is_nothing(text: str) -> bool:
    """Whether a text only says that there is nothing."""
    return _NOTHING.fullmatch(_bare(text)) is not None


def runs_in_circles(text: str, material: str) -> bool:
    """Whether an answer ends in one passage again and again, or most of it is one line, as the material's are not.

    Lines are compared without their numbers and quoted texts.
    """

    def most(lines: Sequence[str]) -> tuple[int, int]:
        shapes = Counter(
            _VALUE.sub("0", line.strip()) for line in lines if sum(c.isalnum() for c in line) > 2
        )
        return max(shapes.values(), default=0), shapes.total()

    times, lines = most(text.split("\n"))
    if times > 2 * _LOOPED and 2 * times > lines and times > 2 * most(material.split("\n"))[0]:
        return True
    passage = _again_and_again(text)
    return passage is not None and material.count(passage) < _LOOPED


def _again_and_again(text: str) -> str | None:
    """The passage of some words that a text ends in, several times in a row; it may break off within one."""
    tail = text[-_LOOPED * (_PASSAGE + 1) :]
    for size in range(_SHORTEST, min(_PASSAGE, len(tail) // _LOOPED) + 1):
        passage = tail[-size:]
        if tail.endswith(passage * _LOOPED) and sum(c.isalnum() for c in passage) >= _SHORTEST // 2:
            return passage
    return None


def _bare(text: str) -> str:
    return _LABEL.sub("", text.strip()).strip(_AROUND)


def _is_empty(text: str, asked: Asked) -> str | None:
    return None if any(c.isalnum() or c in "+-✓✗" for c in text) else "the answer is empty"


def _says_nothing(text: str, asked: Asked) -> str | None:
    if not is_nothing(text) or re.search(rf"\b{re.escape(_bare(text))}\b", asked.task, re.IGNORECASE):
        return None
    return f"the answer is only {text.strip(_AROUND)[:60]!r}"


def _only_promises(text: str, asked: Asked) -> str | None:
    """A sentence about the answer, and no answer."""
    if len(text) > 200 or not _PROMISE.fullmatch(text.replace("’", "'")) or text in asked.material:
        return None
    return f"the answer only announces one: {text[:80]!r}"


def _has_marks(text: str, asked: Asked) -> str | None:
    if asked.in_file or not (mark := _MARKS.search(text)) or mark[0] in asked.material:
        return None
    return f"the answer repeats marks of the prompt: {mark[0][:40]!r}"


def _repeats_us(text: str, asked: Asked) -> str | None:
    words = words_of(text)
    said = asked.material + "\n" + asked.task
    if len(words) >= _RUN and _copied(words, asked.ours, but=said) > 0.4:
        return "the answer repeats our instructions instead of following them"
    told = words_of(_LABEL.sub("", text))
    if not asked.in_file and len(told) >= 4 and told == words_of(asked.task)[: len(told)]:
        return "the answer repeats the task"
    if not asked.in_file and len(words) > 8 and _copied(words, asked.task, but=asked.material) > 0.8:
        return "the answer repeats the task"
    return None


def _repeats_material(text: str, asked: Asked) -> str | None:
    if asked.in_file and asked.kind not in ("summary", "translate"):
        return None
    material, words = words_of(asked.material), words_of(text)
    if asked.kind == "translate" and len(words) > 2 and words == material:
        return "the answer only repeats the material"
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
    material = " ".join(asked.material.split())
    for split in ("\n", r"(?<=[.!?])\s+"):
        lines = _parted(text, split)
        for line, times in Counter(line for line in lines if len(line) > 12).most_common(1):
            as_given = asked.kind == "translate" and times <= max(
                Counter(_parted(asked.material, split)).values(), default=0
            )
            if times >= _LOOPED and times * 3 >= len(lines) and material.count(line) < times and not as_given:
                return f"the answer says the same {times} times: {line[:80]!r}"
    return None


def _parted(text: str, split: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(split, text) if any(c.isalnum() for c in part)]


def _twice(text: str, asked: Asked) -> str | None:
    """A whole long sentence said once more."""
    if asked.in_file:
        return None
    said = [" ".join(re.findall(r"\w+", part)) for part in re.split(r"(?<=[.!?])\s+|\n", text)]
    counted = Counter(part.casefold() for part in said if len(part.split()) >= _LONG)
    material = " ".join(words_of(asked.material))
    again = next(
        (part for part, times in counted.items() if times > 1 and material.count(part) < times), None
    )
    return f"the answer says the same twice: {again[:80]!r}" if again else None


def _other_script(text: str, asked: Asked) -> str | None:
    if asked.kind == "translate" or _LANGUAGES.search(asked.task):
        return None
    there = {script for script, share in _scripts(asked.material + asked.task).items() if share > 0.01}
    strange = [s for s, share in _scripts(text).items() if share > 0.2 and s not in there]
    return f"the answer is written in another script ({strange[0].lower()})" if strange and there else None


def _other_language(text: str, asked: Asked) -> str | None:
    """English to a question in German, French or Spanish on material of that language, and the other way round.

    A task may also name the language it wants.
    """
    named = wanted_in(asked.task)
    if named and not asked.in_file and asked.kind != "translate" and len(words_of(text)) >= _SPOKEN:
        found = language_of(text)
        return None if found in (None, named) else f"the answer is in {found}; the task asks for {named}"
    if (
        asked.in_file
        or asked.kind == "translate"
        or _LANGUAGES.search(asked.task)
        or len(words_of(text)) < _SPOKEN
    ):
        return None
    wanted, found, there = (language_of(part) for part in (asked.task, text, asked.material))
    if (
        wanted is None
        and found == "English"
        and not set(words_of(asked.task)) & set(SMALL_WORDS[found].split())
    ):
        wanted = (
            there  # a short order in the language of its material; unasked, models fall into English alone
        )
    if wanted is None or found in (None, wanted, there):
        return None
    return f"the answer is in {found}; the task is in {wanted}"


def _mistranslated(text: str, asked: Asked) -> str | None:
    return (
        translation_fault(text, asked.task, asked.material, in_file=asked.in_file)
        if asked.kind == "translate"
        else None
    )


def _too_long(text: str, asked: Asked) -> str | None:
    """Held against a length the task names, with a fifth to spare."""
    if asked.in_file:
        return None
    for match in (match for form in _LENGTHS for match in form.finditer(asked.task)):
        most, unit = _number(match["n"]), _unit(match["unit"])
        count = _UNITS[unit](text)
        spare = 1 if (unit == "word" and most < 5) or (unit == "sentence" and most > 1) else 0
        if count > max(most * 1.2, most + spare):
            return f"the answer has {count} {unit}s; the task asks for at most {most}"
    return None


_CHECKS: tuple[Callable[[str, Asked], str | None], ...] = (
    _is_empty,
    _says_nothing,
    _only_promises,
    _has_marks,
    _repeats_us,
    _refuses,
    _placeholder,
    _loops,
    _twice,
    _repeats_material,
    _other_script,
    _other_language,
    _mistranslated,
    _too_long,
)


def _copied(words: Sequence[str], source: str, but: str = "") -> float:
    """Share of the words that stand in runs of six that also stand in the source, and not in `but`."""
    known = _runs(words_of(source)) - _runs(words_of(but))
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


_VALUE = re.compile(r"\d+(?:\.\d+)?|\"[^\"]*\"|'[^']*'")
_AROUND = " .\"'`*_()[]<>\n"
_LABEL = re.compile(
    r"\A\W*(?:answer|task|question|response|result|antwort|aufgabe|frage|ergebnis)\s*:\W*", re.IGNORECASE
)
"""What a model writes before its answer, or before the task it writes once more."""
_NOTHING = re.compile(
    r"none(?: (?:found|given|available|applicable))?|n/?a(?:\W+not (?:applicable|available))?|null|nil|nothing|unknown|undefined|"
    r"no (?:answer|information|data|result)s?(?: (?:found|available|given))?|not (?:applicable|available|specified)|answer|"
    r"i (?:don't|do not|don’t) know|to ?do|tbd|"
    r"keine?r?(?: (?:angaben?|antwort|informationen?|daten|ergebnisse?))?|nichts(?: gefunden)?|unbekannt|nicht (?:angegeben|bekannt|verfügbar)|"
    r"(?:das )?weiß ich nicht|ich weiß (?:es )?nicht|aucune?|rien|inconnu|ninguno|nada|desconocido",
    re.IGNORECASE,
)
_WILL = (
    r"(?:i (?:can|will|'ll|understand|have understood)|i'll|let me|ich (?:werde|kann|habe)|"
    r"(?:here|below) (?:is|are)|hier (?:ist|sind|kommt)|das mache ich)\b"
)
_PROMISE = re.compile(
    rf"(?:(?:sure|certainly|of course|absolutely|okay|ok|yes|great|gerne?|natürlich|klar|ja)\b[!,. ]*)+{_WILL}[^\n:]*:?"
    rf"|(?:(?:okay|ok|got it|understood|verstanden)\b[!,. ]*)+(?:{_WILL}[^\n:]*:?)?"
    r"|(?:(?:here|below) (?:is|are)|hier (?:ist|sind))\b[^\n:]*:",
    re.IGNORECASE,
)
_MARKS = re.compile(
    r"<<(?:data|end) [0-9a-f]{8}[^>\n]*>>|<\|(?:im_start|im_end|user|assistant|system|endoftext)\|>"
)
_REFUSALS = re.compile(
    r"(?:(?:i'm|i am) (?:very )?sorry|sorry|i apologi[sz]e|unfortunately)\b[^.\n]{0,40}\b"
    r"(?:can't|cannot|can not|unable|not able|don't have|do not have|as an ai)"
    r"|(?:as an (?:ai|artificial)|i(?:'m| am) (?:just )?an (?:ai|artificial))\b"
    r"|i (?:can't|cannot|can not|am unable to|am not able to|won't) (?:help|assist|access|open|read|see(?! (?:any|a|an|why|how|where)\b)|provide|fulfil|complete|do)"
    r"|i(?:'m| am) (?:unable|not able) to\b"
    r"|i (?:don't|do not) have (?:access|the ability|enough information)"
    r"|(?:sure|certainly|of course|okay|ok)?[!,. ]*(?:i(?:'d| would)? (?:be )?(?:happy|glad|can help)[^\n]{0,60})?"
    r"(?:please|could you(?: please)?|can you(?: please)?) (?:provide|share|give me|upload|paste|send|specify)\b"
    r"|(?:leider|es tut mir (?:sehr )?leid|entschuldigung|tut mir leid)\b[^.\n]{0,40}\b(?:kann|konnte|ist es mir|bin ich) (?:ich )?[^.\n]{0,60}\bnicht\b"
    r"|als (?:eine? )?(?:ki|künstliche|sprachmodell)|ich bin (?:nur )?(?:eine? )?(?:ki\b|sprachmodell)"
    r"|ich kann (?:ihnen|dir|diese[nsr]?|die|das|den)\b[^.\n]{0,60}\bnicht (?:helfen|öffnen|lesen|beantworten|sehen|zugreifen)"
    r"|bitte (?:geben|senden|schicken|teilen|laden|stellen|gib|sende|schick|teile?) (?:sie )?(?:mir|uns|den|die|das)\b",
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
    r"\b(?:chinese|japanese|korean|russian|arabic|greek|hebrew|hindi|thai|ukrainian|translat|language|unicode|emoji"
    r"|english|german|french|spanish|englisch|deutsch|französisch|spanisch|übersetz|anglais|français|inglés|español)",
    re.IGNORECASE,
)
_NUMBERS = {
    "a": 1,
    "einem": 1,
    "einen": 1,
    "ein": 1,
    "zwei": 2,
    "drei": 3,
    "vier": 4,
    "fünf": 5,
    "sechs": 6,
    "acht": 8,
    "zehn": 10,
    "zwanzig": 20,
    "dreißig": 30,
    "fünfzig": 50,
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
_COUNT = rf"\d{{1,5}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}"
_UNIT = (
    r"words?|sentences?|lines?|paragraphs?|characters?|bullet ?points?|bullets?|"
    r"wort(?:e|en)?|wörtern?|satz|sätzen?|zeilen?|absatz|absätzen?|zeichen|stichpunkten?|stichpunkt"
)
_PLAINLY = r"(?:(?:short|brief|plain|simple|single|kurzen?|einfachen?|knappen?)\s+)?"
_MOST = (
    r"at most|no more than|not more than|up to|maximum(?: of)?|max\.?|under|fewer than|less than|within|"
    r"höchstens|maximal|nicht mehr als|bis zu|weniger als"
)
_OR = rf"(?:(?:{_COUNT}) (?:or|to|oder|bis) )?(?P<n>{_COUNT})\s+{_PLAINLY}"
_POINTS = r"bullet ?points?|bullets?"
_EACH = r"\b(?!\s+(?:each|per|apiece|pro|je))"
_LENGTHS = [
    re.compile(rf"\b(?:{_MOST})\s+{_OR}(?P<unit>{_UNIT})\b", re.IGNORECASE),
    re.compile(
        rf"\b(?:in|to) (?:just |only |exactly |about |etwa |nur )?{_OR}"
        rf"(?P<unit>words?|sentences?|{_POINTS}|wort(?:en)?|wörtern|satz|sätzen|stichpunkten){_EACH}(?!\s+for)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?:\A|[.!?,;:(]\s*|\b(?:write|say|give)\s+(?:me\s+)?)(?!a word\b){_OR}"
        rf"(?P<unit>words?|sentences?|{_POINTS}|wörter|sätze|stichpunkte){_EACH}(?!\s+(?:that|which|of|from|in))",
        re.IGNORECASE,
    ),
]
"""Forms in which a task names a length: as the most there may be; in so many; so many, at the start of a part of it."""
_UNIT_OF = {
    "wo": "word",
    "wö": "word",
    "se": "sentence",
    "sa": "sentence",
    "sä": "sentence",
    "li": "line",
    "ze": "line",
    "pa": "paragraph",
    "ab": "paragraph",
    "ch": "character",
    "bu": "bullet",
    "st": "bullet",
}


def _unit(word: str) -> str:
    """In English and in the singular."""
    word = word.lower()
    return "character" if word == "zeichen" else _UNIT_OF[word[:2]]


_UNITS: dict[str, Callable[[str], int]] = {
    "word": lambda text: len(text.split()),
    "sentence": _sentences,
    "line": lambda text: sum(bool(line.strip()) for line in text.split("\n")),
    "paragraph": lambda text: len([p for p in re.split(r"\n\s*\n", text) if p.strip()]),
    "character": len,
    "bullet": lambda text: len(re.findall(r"^\s*(?:[-*•–]|\d+[.)])\s", text, re.MULTILINE)),
}
