"""Numbers of data that stand nowhere in the material, in figures or in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .amounts import amounts
from .json_values import enums_of, keys_of, leaves_of
from .no_answer import Asked

_COMPUTED = re.compile(
    r"\b(?:counts?|how (?:many|long|old)|number of|sum|total(?:s|ed)?|average|mean|difference|percent(?:age)?|days|duration|comput\w*|"
    r"calculat\w*|convert\w*|estimat\w*|rat(?:e|ing)|score|index|position|line)\b",
    re.IGNORECASE,
)
_IN_WORDS = re.compile(
    r"\b(?:\w+teen|twenty|thirty|forty|fifty|hundred|thousand|million|dozen|half|quarter|noon|midnight|hundert|tausend|"
    r"dutzend|halb|viertel)\b|\d\s?[ap]\.?m\b",
    re.IGNORECASE,
)
"""Where numbers are put together from words, figures may be right that stand nowhere."""
_NOUGHT = re.compile(
    r"\b(?:no|none|nothing|zero|without|free|nil|not|keine?[nrs]?|nichts?|null|ohne|aucune?|rien|sans|nada|sin)\b",
    re.IGNORECASE,
)
_SPOKEN = {
    word: number
    for number, words in enumerate(
        (
            "zero null zéro cero",
            "one once single ein eine einen un une uno una january jan januar janvier enero first",
            "two twice both pair zwei deux dos february feb februar février febrero second",
            "three drei trois tres march mar märz mars marzo third",
            "four vier quatre cuatro april apr avril abril fourth",
            "five fünf cinq cinco may mai mayo fifth",
            "six sechs seis june jun juni juin junio sixth",
            "seven sieben sept siete july jul juli juillet julio seventh",
            "eight acht huit ocho august aug août agosto eighth",
            "nine neun neuf nueve september sep septembre septiembre ninth",
            "ten zehn dix diez october oct oktober octobre octubre tenth",
            "eleven elf onze once november nov novembre noviembre eleventh",
            "twelve zwölf douze doce december dec dezember décembre diciembre twelfth",
        )
    )
    for word in words.split()
}
"""Numbers, months and places in a row, as four languages write them."""


def made_up_number(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """A number, or a text of digits, whose digits stand nowhere in the material, where nothing is to be computed."""
    told = " ".join([asked.task, *keys_of(value)])
    if _COMPUTED.search(told.replace("_", " ")):
        return None
    text = asked.material + "\n" + asked.task
    if _IN_WORDS.search(text):
        return None
    spoken = {_SPOKEN[word] for word in re.findall(r"[^\W\d_]+", text.casefold()) if word in _SPOKEN}
    whole = amounts(text) | spoken
    parts = {int(n) for n in re.findall(r"\d+", text)} | spoken
    if _NOUGHT.search(text):  # of which nobody says 0; whether it is so is another question
        parts.add(0)
    chosen = {str(item) for item in enums_of(schema)}
    for leaf in leaves_of(value):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            share = "%" in text and round(abs(leaf) * 100, 6) in whole  # 15 % as 0.15
            if abs(leaf) not in whole and not share and not (leaf == int(leaf) and int(abs(leaf)) in parts):
                return f"{leaf:g}"
        elif (
            isinstance(leaf, str)
            and leaf not in chosen
            and re.fullmatch(r"[\d\s.,:/+\-]*\d[\d\s.,:/+\-]*", leaf)
        ) and any(int(n) not in parts for n in re.findall(r"\d+", leaf)):
            return repr(leaf)
    return None
