"""The language of a text, told by its small words."""

from __future__ import annotations

import re
from collections import Counter

SMALL_WORDS = {
    "English": "the of and to is it that with for what does how are from this",
    "German": "der die das und ist nicht ein eine den dem mit von wird was wie auf zu für sich",
    "French": "le les des et est une du dans que pour qui sur pas avec ce quel quelle",
    "Spanish": "el los las es una del que para por con no qué cuál cómo se y",
}


_NAMES = {
    "English": ("english", "englisch", "anglais", "inglés"),
    "German": ("german", "deutsch", "allemand", "alemán"),
    "French": ("french", "französisch", "français", "francés"),
    "Spanish": ("spanish", "spanisch", "espagnol", "español"),
}
_INTO = re.compile(
    r"\b(?:into|to|in|ins|auf|en|al?)\s+(?:(?:plain|simple|good|the)\s+)?(?P<name>[^\W\d_]+)", re.IGNORECASE
)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def language_of(text: str) -> str | None:
    """The language whose small words a text holds, where it holds no other's."""
    counted = Counter(words_of(text[:20_000]))
    found = {name: sum(counted[word] for word in small.split()) for name, small in SMALL_WORDS.items()}
    (first, most), (_, next_) = sorted(found.items(), key=lambda item: -item[1])[:2]
    return first if most > 1 and most > 3 * next_ else None


def wanted_in(task: str) -> str | None:
    """The language a task wants, where it names one behind "into", "auf" or the like."""
    said = [match["name"].casefold() for match in _INTO.finditer(task)]
    return next((name for word in said for name, words in _NAMES.items() if word in words), None)
