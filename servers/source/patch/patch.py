"""What a patch says, whatever form it was written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...output import ToolError


@dataclass(slots=True)
class Hunk:
    """Old and new lines of one place."""

    line: int | None  # where the old lines begin by the header; None: the header does not say
    size: int | None  # how many old lines the header promises
    old: list[str] = field(default_factory=list[str])
    new: list[str] = field(default_factory=list[str])
    old_open: bool = False  # the last old line ends the file without a newline
    new_open: bool = False
    last: str = ""  # the sign of the line before
    headings: list[str] = field(
        default_factory=list[str]
    )  # the function or class the lines are said to be in


@dataclass(slots=True)
class FilePatch:
    """What a patch says of one file."""

    old: str | None  # None: the file is new
    new: str | None  # None: the file goes
    runs: bool | None = None  # whether it shall be executable; None: as it is
    whole: bool = False  # it goes, whatever is in it
    hunks: list[Hunk] = field(default_factory=list[Hunk])


def worth_doing(files: Sequence[FilePatch]) -> list[FilePatch]:
    """The files something happens to. ToolError when there are none."""
    kept = [one for one in files if one.hunks or one.old != one.new or one.runs is not None]
    if not kept:
        what = "has no @@ hunk" if files else "names no file"
        raise ToolError(
            f"the patch {what}, so it changes nothing; it needs --- a/PATH, +++ b/PATH and @@ lines with + and - in them"
        )
    return kept
