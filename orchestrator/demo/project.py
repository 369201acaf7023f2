"""The small project the demonstration works on: real files, one failing test, a git repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

PRICES = '''"""Prices are read from text and counted in cents."""


def parse(text: str) -> int:
    """The cents in a price such as "3.50"."""
    units, _, cents = text.partition(".")
    return int(units) * 100 + int(cents or 0)


def total(prices: list[str]) -> int:
    """The cents of all prices together."""
    return sum(parse(price) for price in prices)
'''

TESTS = """import unittest

from prices import parse, total


class Prices(unittest.TestCase):
    def test_two_digits_of_cents(self):
        self.assertEqual(parse("3.50"), 350)

    def test_no_cents(self):
        self.assertEqual(parse("3"), 300)

    def test_one_digit_means_tens_of_cents(self):
        self.assertEqual(parse("3.5"), 350)

    def test_a_total(self):
        self.assertEqual(total(["1", "2.25"]), 325)


if __name__ == "__main__":
    unittest.main()
"""

OLD_LINE = "    return int(units) * 100 + int(cents or 0)"
NEW_LINE = '    return int(units) * 100 + int(cents.ljust(2, "0"))'

TEST_COMMAND = "python3 -m unittest -q"

POLICY = """\
# The demonstration runs its own project's tests, and nothing else needs a yes.
allow = ["python3", "python"]
"""

ANSWER = f"""prices.py
<<<<<<< SEARCH
{OLD_LINE}
=======
{NEW_LINE}
>>>>>>> REPLACE
"""
"""What a worker that solves the task answers; the scripted and the embedded one recite it."""

_RECORDED = {
    "total_duration": 700377608,
    "load_duration": 515843749,
    "prompt_eval_count": 25,
    "prompt_eval_duration": 44726000,
    "eval_count": 24,
    "eval_duration": 135336000,
}
"""A run recorded on a real Ollama server (CPU, a 22 M parameter model), with another text."""


def recitation(model: str) -> dict[str, object]:
    """What understudy-ollama recites under this name: `recited:` with the recorded durations, `embedded:` with real ones."""
    return {
        "models": [{"name": model, "context_length": 8192}],
        "answers": [{"model": model, "text": ANSWER, "final": _RECORDED}],
    }


def make(folder: Path) -> None:
    """Write the project and its first commit into an existing empty folder. Raises OSError, CalledProcessError."""
    (folder / "prices.py").write_text(PRICES, encoding="utf-8")
    (folder / "test_prices.py").write_text(TESTS, encoding="utf-8")
    (folder / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    for words in (
        ["init", "-q", "-b", "main"],
        ["config", "user.name", "Understudy demo"],
        ["config", "user.email", "demo@understudy.invalid"],
        ["add", "."],
        ["commit", "-q", "-m", "A till that counts in cents"],
    ):
        git(folder, *words)


def git(folder: Path, *words: str) -> str:
    """What git says in the project, without anybody's own configuration or hooks."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, encoding="utf-8")
    return done.stdout
