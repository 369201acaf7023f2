"""What a job printed, on disk: bounded, with secrets shortened before they are written.

Standard library only: the supervisor runs without site-packages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_HOLD_BYTES = 64 << 10  # a line or a key block longer than this is not waited for
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(?![\s\S]*-----END [A-Z ]*PRIVATE KEY-----)")


Secret = tuple[Sequence[str], str]


class Spool:
    """Writes whole lines as they come; the rest waits for its newline, or for `flush`.

    `secrets` are clues in lower case and an expression with a group `keep`, as `servers.output` masks them.
    """

    def __init__(self, path: str, secrets: Sequence[Secret], max_bytes: int) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.secrets = [
            ([clue.encode() for clue in clues], re.compile(rule.encode())) for clues, rule in secrets
        ]
        self.max_bytes, self.total, self.waiting = max_bytes, 0, bytearray()
        self.lost = 0  # bytes for which the disk had no room

    @property
    def full(self) -> bool:
        return self.total > self.max_bytes

    def write(self, data: bytes) -> None:
        room = max(self.max_bytes - self.total, 0)
        self.total += len(data)
        self.waiting += data[:room]
        end = self.waiting.rfind(b"\n") + 1
        if (
            b"PRIVATE KEY" in self.waiting
            and len(self.waiting) < _HOLD_BYTES
            and (key := _KEY.search(self.waiting))
        ):
            end = min(end, key.start())
        elif not end and len(self.waiting) >= _HOLD_BYTES:
            end = len(self.waiting)
        self._put(end)

    def flush(self) -> None:
        """Write also what has no newline yet: a prompt, the end."""
        self._put(len(self.waiting))

    def _put(self, end: int) -> None:
        if not end:
            return
        data = bytes(self.waiting[:end])
        del self.waiting[:end]
        folded = data.lower()
        for clues, rule in self.secrets:
            if any(clue in folded for clue in clues):
                data = rule.sub(_mask, data)
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:  # a full disk costs what was printed, not the command
            self.lost += len(data)


def _mask(match: re.Match[bytes]) -> bytes:
    kept = match.group("keep")
    lost = match.group()[len(kept) :]
    return b"%b[%d characters masked]" % (kept, len(lost)) + b"\n" * lost.count(b"\n")
