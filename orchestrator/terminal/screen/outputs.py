"""What was shown in part, kept whole for the person who asks for it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_OUTPUTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Something that was shown in part."""

    title: str
    text: str
    diff: bool = False


class Outputs(list[Output]):
    expandable = False
    """Whether /expand can be typed under what is shown."""

    def keep(self, title: str, text: str, *, diff: bool = False) -> str:
        """Remember it whole; returns what to say about that."""
        if len(self) < MAX_OUTPUTS:
            self.append(Output(title=title, text=text, diff=diff))
        return f"; /expand {len(self)} shows all" if self.expandable else ""

    def find(self, number: int | None = None) -> Output | None:
        """By its number, from 1; None: the last. None where there is none."""
        place = len(self) - 1 if number is None else number - 1
        return self[place] if 0 <= place < len(self) else None
