"""The numbers of a text as people write them, in English and in German."""

from __future__ import annotations

import re


def amounts(text: str) -> set[float]:
    """The numbers of a text, with 1,249.50 and 1.249,50 and 1'249.50 as 1249.5."""
    english = re.findall(r"\d+(?:[,'’]\d{3})*(?:\.\d+)?", text)
    german = re.findall(r"\d+(?:[.\u00a0\u202f]\d{3})*(?:,\d+)?", text)
    return {float(re.sub(r"[,'’]", "", n)) for n in english} | {
        float(re.sub(r"[.\u00a0\u202f]", "", n).replace(",", ".")) for n in german
    }
