"""Commands that read their input where nobody gives any: what to say of the end of file they got."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

NOTE = "it reads its input, which was empty: stdin= gives it text, interactive=true a terminal that job types into"

_READERS = frozenset(
    [
        *(
            "cat",
            "tac",
            "nl",
            "rev",
            "sort",
            "uniq",
            "wc",
            "tee",
            "base64",
            "md5sum",
            "sha256sum",
            "xargs",
            "bc",
            "dc",
        ),
        *(
            "python",
            "python3",
            "node",
            "irb",
            "ruby",
            "perl",
            "php",
            "lua",
            "sqlite3",
            "sh",
            "bash",
            "dash",
            "zsh",
        ),
        *("ed", "vi", "vim", "nano", "less", "more"),
    ]
)
"""What reads its input when no file or script is named."""
_FIRST = re.compile(r"[|;&()\n]")


def unfed(command: str | None, argv: Sequence[str] | None) -> bool:
    """Whether the first program of a line is one that waits for input, and nothing on the line gives it any."""
    if command is not None and "<" in command:
        return False
    try:
        words = list(argv or ()) if command is None else shlex.split(_FIRST.split(command)[0])
    except ValueError:
        return False
    name = os.path.basename(words[0]) if words else ""
    named = any(not word.startswith("-") for word in words[1:])
    return name == "read" or (name in _READERS and (not named or name == "tee") and "--version" not in words)
