"""Which tools a question is sent with: a greeting needs none, and a long list costs a local model a minute of reading.

A group is one server, or the patterns. Whatever the questions of the conversation touched, and whatever was called in
it, stays offered. What is left out is named in the description of a plain tool that offers it, so this works with
every vendor; and a call of a tool that was left out is made all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..tools import Progress, Toolbox, no_progress
from ..types import Message, ToolCall, ToolResult, ToolSpec, result

MORE = "more_tools"
WORTH_BYTES = 2_000  # of descriptions; fewer are sent with every question
LONG_WORDS = 30  # a question of more words gets all tools: whatever it is, it is no greeting

# Of work in a folder, in any language: a path, a name with an ending, code, a command, an address.
_WORK_SHAPE = re.compile(
    r"[\w-]+\.[A-Za-z]\w{0,4}\b|[/\\~]\w|`|\w\(|\w_\w|[a-z][A-Z]|\w::\w|https?:|[{}<>=;#|]"
)
# Words for such work where nothing else shows it; stems, in the languages that are asked most.
_WORK_WORDS = re.compile(
    r"\b(?:fix|bugs?|debug|test|refactor|implement|add|chang|creat|delet|remov|renam|mov[ei]|writ|edit|read|find|search|"
    r"grep|list|show|open|look|check|run|execut|build|compil|install|lint|format|deploy|updat|upgrad|clean|review|"
    r"analy[sz]e|summar|document|translat|extract|convert|count|compar|delegat|hand over|commit|merg|branch|diff|"
    r"git\b|repo|code|file|folder|director|project|readme|function|class|module|script|package|depend|shell|terminal|"
    r"command|undo|revert|restore|stash|rebase|todo|error|fail|broken|crash|model|ollama|profile|receipt|"
    r"this|these|here|there|it\b|them\b|again|continue|go on|go ahead|yes\b|do\b|"
    r"fehler|datei|ordner|projekt|teste|schreib|änder|lösch|such|zeig|lies|mach|"
    r"fichier|dossier|projet|corrig|écri|montre|archivo|carpeta|proyecto|arregl|escrib|muestra)",
    re.IGNORECASE,
)
_STOP = frozenset(
    re.findall(
        r"\w+",
        "this that with from they them then than have been what when where which will would your yours into "
        "over only also some such more most other each given name names result results return returns used "
        "using value values list lists text content does done made make takes like about there here after "
        "before without within optional default",
    )
)
"""Words of four letters and more that any text holds."""

LEADS = "You lead the work in this folder with the tools you have."
"""The lead's own system prompt, before it is known which tools it is offered."""


def lead_system(offered: Collection[str]) -> str:
    """The prompt of a lead with these tools. It speaks of no others; without any there is none."""
    if not offered:
        return ""
    said = f"{LEADS} Check what comes back before you build on it."
    return f"{said} {_HANDS_OVER}" if "ollama__delegate" in offered else said


_HANDS_OVER = """\
Hand bulk reading, summaries, drafts and routine edits to local models with ollama__delegate: give it paths, not
contents, and a gate where the result can be checked. Read the receipt: it says how long the run took, what was
forecast, and how to ask so that the next one is faster. Do yourself what is short or needs judgement."""


def _stems(text: str) -> frozenset[str]:
    words = re.findall(r"[^\W\d_]{4,}", text.casefold())
    return frozenset(re.sub(r"(?:ies|ing|ed|es|s|y|e)$", "", word) for word in words if word not in _STOP)


def is_work(question: str) -> bool:
    """Whether a question may be about what lies in the folder. False is for what is surely talk."""
    words = question.split()
    return len(words) > LONG_WORDS or bool(_WORK_SHAPE.search(question) or _WORK_WORDS.search(question))


class ByNeed:
    """The tools of `whole` that are in no group, and those of the groups that the conversation needs.

    `own`: groups for work in the folder, needed together. Others are needed where a question has a word of theirs.
    `instructions`: by group, told when it is offered later.
    """

    def __init__(
        self,
        whole: Toolbox,
        groups: Mapping[str, Toolbox],
        *,
        own: Sequence[str],
        question: str,
        history: Sequence[Message] = (),
        instructions: Mapping[str, str] | None = None,
    ) -> None:
        self.whole, self.groups = whole, groups
        self._instructions = instructions or {}
        asked = [question, *(message.text for message in history if message.role == "user")]
        called = [call for message in history for call in message.tool_calls]
        used = {call.name for call in called}
        opened = {str(call.arguments.get("group")) for call in called if call.name == MORE}
        work = any(map(is_work, asked))
        words = frozenset[str]().union(*map(_stems, asked))
        self.offered: set[str] = {
            name
            for name, box in groups.items()
            if (name in own and work)
            or name in opened
            or not used.isdisjoint(_names(box))
            or (
                name not in own
                and (any(len(one.split()) > LONG_WORDS for one in asked) or _touches(words, name, box))
            )
        }
        if _size(self.whole) <= WORTH_BYTES:
            self.offered = set(groups)

    @property
    def left_out(self) -> dict[str, Toolbox]:
        """Groups that have tools and are not offered."""
        return {name: box for name, box in self.groups.items() if name not in self.offered and box.specs}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        hidden = {name for box in self.left_out.values() for name in _names(box)}
        offered = tuple(spec for spec in self.whole.specs if spec.name not in hidden)
        return (*offered, _more(self.left_out)) if hidden else offered

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if call.name == MORE and MORE not in _names(self.whole):
            return self._opened(call)
        for name, box in self.groups.items():
            if call.name in _names(box):
                self.offered.add(name)
        return await self.whole.call(call, progress)

    def _opened(self, call: ToolCall) -> ToolResult:
        name = call.arguments.get("group")
        box = self.groups.get(name) if isinstance(name, str) else None
        if box is None:
            there = ", ".join(self.left_out) or "none: all are offered"
            return result(call, f"no group {name!r}; there are {there}", is_error=True)
        self.offered.add(str(name))
        said = [f"Offered from now on: {', '.join(_names(box))}.", self._instructions.get(str(name), "")]
        return result(call, "\n".join(filter(None, said)))


def _more(left_out: Mapping[str, Toolbox]) -> ToolSpec:
    named = "; ".join(f"{name} ({', '.join(_names(box))})" for name, box in left_out.items())
    group: dict[str, Any] = {"type": "string", "enum": list(left_out)}
    return ToolSpec(
        name=MORE,
        description=f"Get more tools, one group at a time, when the task needs them: {named}.",
        parameters={"type": "object", "properties": {"group": group}, "required": ["group"]},
        read_only=True,
    )


def _touches(words: frozenset[str], name: str, box: Toolbox) -> bool:
    said = " ".join(f"{spec.name.replace('_', ' ')} {spec.description}" for spec in box.specs)
    return not words.isdisjoint(_stems(f"{name.replace('_', ' ')} {said}"))


def _names(box: Toolbox) -> list[str]:
    return [spec.name for spec in box.specs]


def _size(box: Toolbox) -> int:
    return sum(len(spec.description) + len(json.dumps(dict(spec.parameters))) for spec in box.specs)
