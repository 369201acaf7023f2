"""JSON in what a model says, with or without a fence or words around it."""

from __future__ import annotations

import json
from typing import Any

MAX_STARTS = 200


def json_in(text: str) -> Any:
    """The longest object or list in the text; None when there is none."""
    decoder, best, length = json.JSONDecoder(), None, 0
    place, tries = 0, 0
    while tries < MAX_STARTS:
        starts = [at for mark in "{[" if (at := text.find(mark, place)) >= 0]
        if not starts:
            break
        tries += 1
        try:
            value, end = decoder.raw_decode(text, min(starts))
        except (ValueError, RecursionError):
            place = min(starts) + 1
            continue
        if end - min(starts) > length:
            best, length = value, end - min(starts)
        place = end
    return best
