"""What a terminal does to rows that stand in it when it becomes narrower."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence


def added(cells: Sequence[int], width: int) -> int:
    """How many rows more these take in `width` cells than before, up to the cursor, which is behind the last."""
    width = max(width, 1)
    return sum(max(used - 1, 0) // width for used in cells) if _wraps(os.environ) else 0


def _wraps(env: Mapping[str, str]) -> bool:
    """Whether rows that no longer fit go on in the next one. Few terminals cut them: going up further than they need
    would wipe what stands."""
    if "TMUX" in env:
        return True
    return not ("XTERM_VERSION" in env or "STY" in env or env.get("TERM") == "linux")
