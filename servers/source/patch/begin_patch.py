"""Patches between *** Begin Patch and *** End Patch, as many models write them: files by name, places by their lines."""

from __future__ import annotations

from ...output import ToolError
from . import as_printed
from .patch import FilePatch, Hunk, worth_doing

_UPDATE, _ADD, _DELETE, _MOVE = "*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: "


def is_one(patch: str) -> bool:
    return patch.lstrip().startswith(("*** Begin Patch", _UPDATE, _ADD, _DELETE))


def parse(patch: str) -> list[FilePatch]:
    """Its files. ToolError says which line is wrong."""
    files: list[FilePatch] = []
    hunk: Hunk | None = None
    for number, line in enumerate(as_printed.rows(patch.strip()), 1):
        if line.startswith("*** "):
            hunk = _directive(files, line, number)
        elif not files:
            raise ToolError(f"line {number} of the patch belongs to no file; *** Update File: PATH names one")
        elif line.startswith("@@"):
            heading = line.strip("@").strip()
            if hunk is None or hunk.old or hunk.new:
                hunk = _begun(files[-1])
            hunk.headings += [heading] if heading else []
        elif files[-1].whole:
            if line.strip():
                raise ToolError(f"line {number} of the patch follows *** Delete File, which has no lines")
        else:
            hunk = hunk or _begun(files[-1])
            new = files[-1].old is None
            _take(hunk, line if new else line.removesuffix("\r"), number, new_file=new)
    for one in files:
        one.hunks = [hunk for hunk in one.hunks if hunk.old or hunk.new]
    return worth_doing(files)


def _directive(files: list[FilePatch], line: str, number: int) -> Hunk | None:
    """Take in a line that begins with stars; the hunk that it opens."""
    for mark, old, new in ((_UPDATE, True, True), (_ADD, False, True), (_DELETE, True, False)):
        if line.startswith(mark):
            name = line[len(mark) :].strip()
            files.append(FilePatch(name if old else None, name if new else None, whole=not new))
            return _begun(files[-1]) if not old else None
    if line.startswith(_MOVE) and files and files[-1].old:
        files[-1].new = line[len(_MOVE) :].strip()
    elif line.strip() == "*** End of File" and files and files[-1].hunks:
        pass  # the lines before it stand at the end, where they are found as well
    elif line.strip() not in ("*** Begin Patch", "*** End Patch"):
        raise ToolError(
            f"line {number} of the patch is none of *** Update File, Add File, Delete File, Move to, End of File, End Patch"
        )
    return None


def _begun(one: FilePatch) -> Hunk:
    one.hunks.append(Hunk(0 if one.old is None else None, None))
    return one.hunks[-1]


def _take(hunk: Hunk, line: str, number: int, *, new_file: bool) -> None:
    sign, rest = line[:1], line[1:]
    if sign not in ("", " ", "+", "-") or (new_file and sign not in ("", "+")):
        what = "+" if new_file else "blank, - or +"
        raise ToolError(f"line {number} of the patch begins with {sign!r}; here it is {what}")
    if sign != "+" and not new_file:
        hunk.old.append(rest)
    if sign != "-" and not (new_file and not sign):
        hunk.new.append(rest)
