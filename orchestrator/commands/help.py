"""What `--help` prints: at most 80 columns and one screen, examples that can be copied."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from itertools import takewhile
from typing import Any, NoReturn

WIDTH = 80
ELSEWHERE = ("help", "config", "mcp", "trust", "verbose", "log_level")
"""Options most commands share: named in one line, explained by `understudy --help`."""
SHARED = """\
most commands take
  --json                      print one JSON object: ok, and the result or error
  --config FILE, --mcp FILE   read these instead of config.yaml and mcp.json
  --trust                     trust this folder's config.yaml and mcp.json
  --verbose                   say on standard error what happens inside
  --log-level LEVEL           what the log holds: debug, info, warning, error
"""
EXIT_CODES = "exit codes: 0 done, 1 it failed, 2 wrong command line, 130 stopped by Ctrl-C"
"""Of a command that has none of its own to tell."""


class Parser(argparse.ArgumentParser):
    """With this help, also of its subcommands. An option that a command does not have is named before anything else."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.formatter_class = Help
        self._given: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._given = list(sys.argv[1:] if args is None else args)
        found, rest = super().parse_known_args(args, namespace)
        if self._strange(rest):
            self.error("")
        return found, rest

    def error(self, message: str) -> NoReturn:
        known = self._option_string_actions
        if strange := self._strange(self._given):
            from difflib import get_close_matches  # takes longer than all else here

            near = get_close_matches(strange, known, n=1, cutoff=0.7)
            hint = f"did you mean {near[0]}?" if near else f"`{self.prog} --help` lists those there are"
            message = f"there is no option {strange}; {hint}"
        elif valued := re.match(r"argument (\S+): ignored explicit argument (.*)", message):
            message = f"{valued[1]}: wanted without a value, found {valued[2]}"
        super().error(message)

    def _strange(self, words: Iterable[str]) -> str | None:
        """The first option in the words that this command does not have; of other commands it knows nothing."""
        if self._subparsers is not None:
            return None
        for word in takewhile(lambda word: word != "--", words):
            name = word.partition("=")[0]
            if name.startswith("--") and not any(one.startswith(name) for one in self._option_string_actions):
                return name
        return None

    def _print_message(self, message: str, file: Any = None) -> None:
        """Unlike the original it does not hide that nothing could be written."""
        (file or sys.stderr).write(message)


class Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns))
        self._shared: list[str] = []

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        """The options in one word: each is explained below."""
        actions = list(actions)
        positional = [action for action in actions if not action.option_strings]
        if usage is None and len(positional) < len(actions):
            inner = Help(self._prog)
            super(Help, inner).add_usage(None, positional, [], prefix="")
            rest = inner.format_help().strip().removeprefix(self._prog)
            usage = f"%(prog)s [OPTION]...{rest}"
        super().add_usage(usage, actions, groups, prefix)

    def add_argument(self, action: argparse.Action) -> None:
        if action.dest not in ELSEWHERE:
            super().add_argument(action)
        elif action.dest != "help":
            self._shared.append(action.option_strings[0])

    def format_help(self) -> str:
        whole = super().format_help()
        if not self._shared:
            return whole
        also = f"Also {', '.join(self._shared)}: see `understudy --help`."
        head, gap, examples = whole.partition("\nexamples:")
        return f"{head.rstrip()}\n\n{filled(also, self._width)}\n{gap}{examples}"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return filled(text, width)


def filled(text: str, width: int) -> str:
    """Paragraphs as wide as that; indented lines stay, and those that are too long go on behind a backslash."""
    found: list[str] = []
    for part in re.findall(r"(?:^\S.*\n?)+|^ .*\n?|^\n", text.strip("\n"), re.MULTILINE):
        if part[:1] in (" ", "\n"):
            found += _continued(part.rstrip("\n"), width)
        else:
            found += textwrap.wrap(" ".join(part.split()), width, break_on_hyphens=False)
    return "\n".join(found)


def _continued(line: str, width: int) -> list[str]:
    """A shell command on several lines, broken between words where no quotation is open, after an option's value."""
    if len(line) <= width:
        return [line]
    if told := re.fullmatch(r"( *\S.*?)  +([^\s#\"'].*)", line):  # a command and what it does
        command, meaning = told.groups()
        joined = f"{command}  {meaning}"
        apart = [*_continued(command, width), *textwrap.wrap(meaning, width, initial_indent=" " * 6)]
        return [joined] if len(joined) <= width else apart
    indent = len(line) - len(line.lstrip())
    words = re.findall(r'(?:"[^"]*"|[^ "])+', line)
    rows, row = list[str](), " " * indent
    for place, word in enumerate(words):
        option = word.startswith("--") and place + 1 < len(words) and not words[place + 1].startswith("--")
        needed = len(word) + (len(words[place + 1]) + 1 if option else 0)
        if row.strip() and len(row) + 1 + needed > width - 2:
            rows.append(f"{row} \\")
            row = " " * (indent + 4)
        row += (" " if row.strip() else "") + word
    return [*rows, row]
