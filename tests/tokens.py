"""Token counts as hosts see them, offline."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any


def count(text: str) -> int:
    """Tokens of `text` in o200k_base."""
    return len(_encoding().encode(text))


@cache
def _encoding() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it opens its data in an old way
        from bpe_openai import get_encoding

        return get_encoding("o200k_base")
