"""A program that wants a terminal gets one, and the words a person would type: each once the text before it is shown.

python benchmarks/hosts/typed.py SEEN WORDS [SEEN WORDS ...] -- COMMAND ...
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from time import monotonic

LONGEST_S = 380.0


def main(words: list[str]) -> int:
    at = words.index("--")
    turns, command = list(zip(words[:at:2], words[1:at:2], strict=True)), words[at + 1 :]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    shown, end = b"", monotonic() + LONGEST_S
    while monotonic() < end:
        if turns and turns[0][0].encode() in shown:
            os.write(terminal, turns.pop(0)[1].encode() + b"\r")
            shown = b""
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not data:
            break
        shown += data
        os.write(1, data)
    os.close(terminal)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
