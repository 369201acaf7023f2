"""What people and programs print around a patch, taken off; and what other forms of a change are called."""

from __future__ import annotations

import re

_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w-]*\s*$")
_PATCH_LINE = re.compile(r"--- |\+\+\+ |@@|diff --|\*\*\* ")
_COLOURED = re.compile(r"^\x1b\[[\d;]*m(?:diff --|--- |@@)", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[\d;]*[mK]")
_QUOTED = re.compile(r"^([ \t]+|(?:> ?)+|[|│] ?)(?:--- \S|diff --git |\*\*\* Begin Patch)", re.MULTILINE)

_OTHERS = (
    (r"^\*\*\* .*\n--- .*\n\*{8,}", "a context diff", "diff -u makes a unified one"),
    (r"^\d+(?:,\d+)?[acd]\d+(?:,\d+)?\n[<>] ", "a diff in its oldest form", "diff -u makes a unified one"),
    (r"^\d+(?:,\d+)?[acd]\n", "a script for ed", "diff -u makes a unified diff"),
    (r"^<{5,} ?\w*\n[\s\S]*^={5,}\n", "a pair of texts to search and replace", "edit_file takes those as old and new"),
)  # fmt: skip


def plain(patch: str) -> str:
    """The patch without Markdown's fences, a terminal's colours, or the marks of a quotation; every line keeps its number."""
    patch = _unfenced(patch)
    if _COLOURED.search(patch):
        patch = _COLOUR.sub("", patch)
    lines = patch.split("\n")
    if (quoted := _QUOTED.search(patch)) and not any(map(_PATCH_LINE.match, lines)):
        mark = quoted[1]
        if all(line.startswith(mark) or mark.startswith(line.rstrip("\r")) for line in lines):
            return "\n".join(line[len(mark) :] for line in lines)
    return patch


def rows(patch: str) -> list[str]:
    """The lines of a patch, without the CR where its own lines have it too; else a CR is part of a file's text."""
    printed = next((line for line in patch.split("\n") if _PATCH_LINE.match(line)), "\r")
    return (patch.replace("\r\n", "\n") if printed.endswith("\r") else patch).removesuffix("\n").split("\n")


def other_form(patch: str) -> str:
    """What a text that names no file of a patch seems to be, and what would work; "" where nothing tells."""
    for pattern, name, way in _OTHERS:
        if re.search(pattern, patch, re.MULTILINE):
            return f"this is {name}; {way}"
    return ""


def _unfenced(patch: str) -> str:
    """What stands between Markdown's fences, if the patch comes in them; the lines before become empty, which keeps the count."""
    lines = patch.split("\n")
    first = next((i for i, line in enumerate(lines) if _FENCE.match(line)), len(lines))
    if first == len(lines) or any(map(_PATCH_LINE.match, lines[:first])):
        return patch
    kept, inside = [""] * first, False
    for line in lines[first:]:
        if _FENCE.match(line):
            inside = not inside
        elif inside:
            kept.append(line)
    return "\n".join([*kept[:first], "", *kept[first:], ""])
