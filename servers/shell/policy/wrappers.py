"""Commands inside commands: what a wrapper, a shell, `find` or `xargs` would run, from their words alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .bash_parser import Script
from .programs import (
    PATTERN_FIRST,
    READERS,
    RUNNER_OPTIONS,
    RUNNERS,
    SHELL_SWITCHES,
    VALUED,
    WRAPPERS,
    Wrapper,
)
from .words import Variable, Word, spellings

FED = "fed"  # the stand-in variable for names that find or xargs hands over
RISKY_ASSIGNMENT = re.compile(r"(\w+)\+?=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """What a wrapper starts: no words when it starts nothing."""

    words: tuple[Word, ...] = ()
    assigned: tuple[str, ...] = ()
    trouble: str | None = None  # an option not known here: what it starts cannot be told


def unwrapped(name: str, words: Sequence[Word]) -> Inner | None:
    """The command behind a wrapper's own options, or None when `name` is no wrapper."""
    wrapper = WRAPPERS.get(name)
    if wrapper is None:
        return None
    rest, skip, assigned, replaced = list(words), wrapper.skip, list[str](), ""
    while rest:
        text = rest[0].text
        if text is None:
            break  # the program's own name is unknown: the next look at it says so
        if text == "--":
            del rest[0]
            break
        if text.startswith("-") and len(text) > 1:
            if name == "command" and text in ("-v", "-V"):
                return Inner()
            taken = _long(text, wrapper) if text.startswith("--") else _short(text[1:], wrapper)
            if taken is None:
                return Inner(trouble=f"{name} with an option not known here: {text}")
            if name == "xargs" and text.startswith("-I"):
                replaced = text[2:] or (rest[1].text or "" if len(rest) > 1 else "")
            del rest[: 1 + taken]
        elif wrapper.assigns and (found := RISKY_ASSIGNMENT.match(text)):
            assigned.append(found[1])
            del rest[0]
        elif skip:
            skip -= 1
            del rest[0]
        else:
            break
    if rest and wrapper.feeds:
        rest = [substituted(word, replaced) for word in rest] if replaced else [*rest, _FED_WORD]
    return Inner(words=tuple(rest), assigned=tuple(assigned))


def find_runs(words: Sequence[Word]) -> tuple[list[Word], list[list[Word]]]:
    """find's own words, and the commands it starts."""
    rest, own, commands = list(words), list[Word](), list[list[Word]]()
    while rest:
        word = rest.pop(0)
        if word.text not in ("-exec", "-execdir", "-ok", "-okdir"):
            own.append(word)
            continue
        inner: list[Word] = []
        while rest and (found := rest.pop(0)).text not in (";", "+"):
            inner.append(substituted(found, "{}"))
        commands.append(inner)
    return own, commands


def substituted(word: Word, mark: str) -> Word:
    """A word in which `mark` is replaced by a name nobody has seen; alone it is a plain operand, inside text anything."""
    if word.text is None or mark not in word.text:
        return word
    return Word(raw=word.raw, text=None, parts=(_FED_VARIABLE,) if word.text == mark else ())


def runner_words(name: str, words: Sequence[Word]) -> list[Word]:
    """The command behind a project's runner (`uv run`), its own known options dropped; empty for any other program."""
    texts = [word.text for word in words]
    for runner in RUNNERS:
        program, *sub = runner.split()
        if name != program or texts[: len(sub)] != sub:
            continue
        rest = list(words[len(sub) :])
        while rest and (text := rest[0].text or "").startswith("-"):
            if text not in _THEN_A_PROGRAM and text.partition("=")[0] not in RUNNER_OPTIONS:
                return rest
            del rest[: 1 + RUNNER_OPTIONS.get(text, False)]
            if text in _THEN_A_PROGRAM:
                break
        return rest
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellRun:
    """What a shell was told to run."""

    kind: Literal["text", "file", "stdin", "unknown"]
    text: str = ""


def shell_run(words: Sequence[Word]) -> ShellRun:
    """Read a POSIX shell's command line."""
    rest = list(words)
    while rest:
        text = rest.pop(0).text
        if text is None:
            return ShellRun(kind="unknown")
        if re.fullmatch(r"-[a-zA-Z]*c[a-zA-Z]*", text):
            script = rest[0].text if rest else ""
            return ShellRun(kind="unknown") if script is None else ShellRun(kind="text", text=script)
        if text in ("-o", "-O", "+O", "+o"):
            if text[1] == "O" and rest and rest[0].text not in SHELL_SWITCHES:
                return ShellRun(kind="unknown")
            del rest[:1]
        elif text == "-" or text == "--":
            return ShellRun(kind="file" if rest else "stdin")
        elif not text.startswith(("-", "+")):
            return ShellRun(kind="file")
        elif re.fullmatch(r"[-+][a-zA-Z]*s[a-zA-Z]*", text):
            return ShellRun(kind="stdin")
        elif not re.fullmatch(
            r"[-+][abefhkmnptuvxBCEHPTilr]+|--(login|norc|noprofile|posix|restricted|verbose)", text
        ):
            return ShellRun(kind="unknown")
    return ShellRun(kind="stdin")


def module_run(name: str, rest: list[Word], ruled: set[str]) -> tuple[str, list[Word]]:
    """python -m pip is pip, where pip has rules."""
    if not re.fullmatch(r"(?:python|pypy)[\d.]*|py", name):
        return name, rest
    place = 0
    while place < len(rest) and (
        option := re.match(r"-([a-zA-Z]*?)([mcXW])(.*)|-\w+$", rest[place].text or "")
    ):
        joined, place = option[3], place + 1
        if option[2] in ("X", "W"):
            place += not joined
        elif option[2] == "c":
            break
        elif option[2] == "m":
            module = joined or (rest[place].text if place < len(rest) else None) or ""
            if module in ruled | {"pip", "uv"}:
                return module, rest[place + (not joined) :]
            break
    return name, rest


def known(word: Word, script: Script) -> Word:
    """The word itself, or the only one it can be."""
    if word.text is not None or _FED_VARIABLE in word.parts:
        return word
    words = spellings(word, script.values)
    return words[0] if len(words) == 1 else word


def feeding(script: Script, *, fed: bool) -> Script:
    """The same surroundings; `fed`: names handed over by find or xargs count as plain ones, since a sandbox holds."""
    values = {**script.values, FED: frozenset({FED})} if fed else script.values
    return Script(values=values, functions=script.functions)


def operands(name: str, words: Sequence[Word]) -> list[Word]:
    """The words of a reading program that may be paths: not its options, not their plain values, not its patterns."""
    texts = [word.text or "" for word in words]
    patterns = READERS.get(name, 0)
    if name in PATTERN_FIRST and any(
        re.match(r"-[a-zA-Z]*[ef]|--(regexp|file|files|type-list)\b", t) for t in texts
    ):
        patterns = 0
    plain, found, skip = VALUED.get(name, frozenset()), list[Word](), False
    for word, text in zip(words, texts, strict=True):
        if skip:
            skip = False
        elif word.text is not None and text.startswith("-") and len(text) > 1:
            skip = text in plain
            value = text.partition("=")[2] or _JOINED.sub("", text)
            if value.startswith(("/", "~", "..")) and not {text.partition("=")[0], text[:2]} & plain:
                found.append(Word(raw=word.raw, text=value))
        elif patterns:
            patterns -= 1
        elif not (name == "date" and text.startswith("+")):
            found.append(word)
    return found


_THEN_A_PROGRAM = ("--", "-m", "--module")
_JOINED = re.compile(r"-[A-Za-z]+")  # short options in front of a value: grep -rf/etc/passwd
_FED_VARIABLE = Variable(name=FED, quoted=True)
_FED_WORD = Word(raw="what xargs reads", text=None, parts=(_FED_VARIABLE,))


def _long(text: str, wrapper: Wrapper) -> int | None:
    """How many words after a long option belong to it; None when it is unknown."""
    option, has_value, _ = text[2:].partition("=")
    if option in wrapper.long:
        return 0
    if option in wrapper.long_valued:
        return 0 if has_value else 1
    return None


def _short(letters: str, wrapper: Wrapper) -> int | None:
    """The same for a cluster of short options."""
    for place, letter in enumerate(letters):
        if letter in wrapper.valued:
            return int(place == len(letters) - 1)
        if letter not in wrapper.plain:
            return None
    return 0
