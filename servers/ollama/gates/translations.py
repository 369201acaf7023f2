"""Translations: in the language that was asked for, and with the numbers, weekdays and months of the original."""

from __future__ import annotations

import re
from collections import Counter

from .languages import language_of, wanted_in

_CALENDAR = (
    "monday montag lundi lunes",
    "tuesday dienstag mardi martes",
    "wednesday mittwoch mercredi miércoles",
    "thursday donnerstag jeudi jueves",
    "friday freitag vendredi viernes",
    "saturday samstag sonnabend samedi sábado",
    "sunday sonntag dimanche domingo",
    "january januar jänner janvier enero",
    "february februar février febrero",
    "april avril abril",
    "june juni juin junio",
    "july juli juillet julio",
    "august août agosto",
    "september septembre septiembre",
    "october oktober octobre octubre",
    "november novembre noviembre",
    "december dezember décembre diciembre",
)
"""Weekdays and months; March and May are other words as well."""
_LINE = 5
"""A line of so many words is told in other ones in another language."""
_DAY_OF = {name: number for number, names in enumerate(_CALENDAR) for name in names.split()}


def translation_fault(text: str, task: str, material: str, *, in_file: bool = False) -> str | None:
    """Why a text is not the material in the language that a task names; None where it may be.

    A file may hold code, whose lines stay as they are.
    """
    wanted = wanted_in(task)
    found = language_of(text)
    if wanted is not None and found not in (None, wanted):
        return f"the answer is in {found}, and the task asks for {wanted}"
    lines = [line.strip() for line in material.split("\n") if len(line.split()) >= _LINE]
    if lines and not in_file and 2 * sum(line in text for line in lines) > len(lines):
        return f"the answer has the material untranslated: {lines[0][:60]!r}"
    if language_of(material) is None or found is None or len(text) < 0.5 * len(material):
        return None
    had, has = _days(material), _days(text)
    if had and has and had.keys() != has.keys():
        missing = next((word for number, word in had.items() if number not in has), None)
        other = next((word for number, word in has.items() if number not in had), None)
        if missing and other:
            return f"the material says {missing}, and the answer {other}"
    lost = Counter(re.findall(r"\d+", material)) - Counter(re.findall(r"\d+", text))
    added = Counter(re.findall(r"\d+", text)) - Counter(re.findall(r"\d+", material))
    if lost and added and not re.search(r"\d\s?[ap]\.?m\b|[,.]\d{3}\b", text, re.IGNORECASE):
        return f"the material says {next(iter(lost))}, and the answer {next(iter(added))}"
    return None


def _days(text: str) -> dict[int, str]:
    """Weekdays and months of a text, by what they are."""
    words = re.findall(r"[^\W\d_]+", text)
    return {_DAY_OF[word.casefold()]: word for word in words if word.casefold() in _DAY_OF}
