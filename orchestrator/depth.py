"""How deep a model may ask a model that asks a model, counted across the processes that stand between them."""

from __future__ import annotations

import os

MAX_DEPTH = 3
VARIABLE = "UNDERSTUDY_DEPTH"
"""Tells a server that we start how many models stand above it, so that a chain through servers ends as well."""


def inherited() -> int:
    """How many models stand above this process; 0 where no Understudy started it, or where it says nonsense."""
    said = os.environ.get(VARIABLE, "")
    return min(int(said), MAX_DEPTH) if said.isascii() and said.isdigit() else 0
