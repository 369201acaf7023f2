"""One delegated task, ready to run: its files read, its target allowed, its gates understood."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from ...output import ToolError
from ...source.common import common_start
from ...workspace import Change, Workspace
from ..gates.answer import Candidate, answered, edited, from_patch, rewritten
from ..gates.changes import changed_lines, lost_definitions, removal_asked
from ..gates.documents import Document, names_part, read_text, read_texts
from ..gates.gates import Gates
from ..gates.judged import Judged, RunGate
from ..gates.no_answer import Asked
from ..gates.quotes import asks_for_quotes, how_many, put_in_quotes
from ..gates.renames import lines_to_rename, renames_in
from ..gates.repair import closer, defined_names, only_definitions, spliced, without_fences
from ..gates.wrong_data import each_once
from . import prompt
from .prompt import Source

MAX_TASK_CHARS = 200_000
MAX_INPUT_CHARS = 8_000_000
_NEW_FILE_CHARS = 8000
"""A new file gets room for so much, or for as much as was given, whichever is more."""
WHOLE_CHARS = 4000
"""A file up to this size is written out whole: small models do that more reliably than they copy search lines."""
MOST_WHOLE_CHARS = 12_000
"""Up to here it may be, for a model that does better so."""
_TEST = re.compile(r"(^|[/_.-])(tests?|check|spec)s?([/_.-]|$)", re.IGNORECASE)
_TOKENS_A_LINE = 14
_LEAST_SUMMARY, _MOST_SUMMARY = 30, 150
"""Words; between them a summary has a third of its material's."""
_MOST_RENAMED = 20
"""Lines that are named to a worker who renames."""
IN_PLACE = ("edits", "patch")
"""Values of `write` that change the given files instead of naming one."""

_KINDS = (
    ("translate", ("translat", "übersetz", "tradui")),
    (
        "summary",
        (
            "summar",
            "tl;dr",
            "condense",
            "digest",
            "boil",
            "fasse ",
            "fass ",
            "zusammenfass",
            "kurzfassung",
            "résum",
            "resum",
        ),
    ),
    ("extract", ("extract", "extrahier", "list all", "list every", "find all", "find every", "collect")),
    (
        "classify",
        ("classif", "klassifi", "categor", "kategor", "label", "yes or no", "ja oder nein", "ordne "),
    ),
    ("review", ("review", "critique", "find bugs", "audit")),
    ("tests", ("write tests", "write a test", "unit test")),
    ("document", ("docstring", "document", "readme")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a caller asked for, as it was asked."""

    task: str
    model: str = "auto"
    files: Sequence[str] = ()
    write: str | None = None
    gates: Gates = field(default_factory=Gates)
    ladder: Sequence[str] = ()
    deadline_s: float | None = None
    max_output: int | None = None
    think: bool = False
    context: str = ""
    asked_by: str | None = None

    @property
    def kind(self) -> str:
        """The kind of task, by which odds and output lengths are learned."""
        if self.write in IN_PLACE:
            return "edit"
        words = self.task.lower()
        found = next((kind for kind, marks in _KINDS if any(mark in words for mark in marks)), None)
        return found or ("rewrite" if self.write else "extract" if self.gates.schema else "answer")

    @property
    def quotes(self) -> bool:
        """Whether the answer is to quote: because the gate says so, or the task."""
        asked = self.gates.asked.get("quotes")
        by_task = not self.gates.off and not self.write and asks_for_quotes(self.task)
        return bool(asked if asked is not None else by_task)

    @property
    def format(self) -> str | None:
        return "schema" if self.gates.schema is not None and self.write not in IN_PLACE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An order with its material. Everything a run needs but the model."""

    order: Order
    inputs: Mapping[str, Document]
    target: str | None
    """The file `write` names, as shown; None when it names none."""
    before: Document | None
    """The target as it is; None when it is not there."""
    form_taken: str | None = None
    """The form for one model, where what it has shown it can do decides."""

    @property
    def material(self) -> str:
        return "\n".join([*(text.text for text in self.inputs.values()), self.order.context])

    @property
    def form(self) -> str | None:
        """How a change is to be written: "whole", "edits", "patch"; None for an answer."""
        if self.form_taken is not None:
            return self.form_taken
        if self.order.write == "patch":
            return "patch"
        if self.order.write == "edits":
            return "whole" if self._given_whole(self.main, WHOLE_CHARS) else "edits"
        return "whole" if self.target is not None else None

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms there is a choice between, the usual one first."""
        if self.order.write != "edits" or not self._given_whole(self.main, MOST_WHOLE_CHARS):
            return ()
        return ("whole", "edits") if self._given_whole(self.main, WHOLE_CHARS) else ("edits", "whole")

    @property
    def format(self) -> str | None:
        """What lengths and odds of an answer are learned by: schema, or the form of a change."""
        return self.order.format or self.form

    @property
    def main(self) -> str | None:
        """The file that is written: the target, or the first of the files that is no test, unless the task names one."""
        if self.target is not None:
            return self.target
        if self.order.write not in IN_PLACE:
            return None
        named = [path for path in self.files if path.rpartition("/")[2] in self.order.task]
        plain = [path for path in self.files if not _TEST.search(path)]
        return named[0] if len(named) == 1 and named[0] in plain else next(iter([*plain, *self.files]))

    @property
    def files(self) -> dict[str, Document]:
        """The files the worker was given, whole or in part, by their own paths."""
        return {text.file.path: text.file for text in self.inputs.values()}

    @property
    def changeable(self) -> dict[str, Document]:
        """As `files`, but only the lines that were given; of a file given in several parts, the whole."""
        found: dict[str, Document] = {}
        for text in self.inputs.values():
            path = text.file.path
            found[path] = text.file if path in found else text
        return found

    def _given_whole(self, path: str | None, most: int) -> bool:
        """Whether the worker sees all there is to write of this file, and it is small enough to be written out."""
        text = self.changeable.get(path or "")
        seen = any(text is given for given in self.inputs.values())
        return text is not None and seen and len(text.text) <= most

    def messages(self, failure: str | None = None) -> tuple[dict[str, str], ...]:
        """The conversation a run starts from; `failure` is why the last answer was rejected."""
        sources = [Source(name=path, text=text.text) for path, text in self.inputs.items()]
        return prompt.messages(
            self.order.task,
            sources,
            context=self.order.context,
            wanted=self._wanted(),
            failure=failure,
        )

    @property
    def shared(self) -> float:
        """Share of the prompt that another question on the same material begins with; 0 where there is none."""
        if not self.material or self.order.write:  # what is written is another text afterwards
            return 0.0
        mine = "".join(message["content"] for message in self.messages())
        order = replace(self.order, task="\0")
        other = "".join(message["content"] for message in replace(self, order=order).messages())
        return common_start(mine, other) / len(mine)

    def candidate(self, answer: str) -> Candidate:
        """Raises BadAnswer."""
        if not any("<<data " in text.text for text in self.inputs.values()):
            answer = without_fences(answer)
        if self.order.write == "edits":
            return self._put_back(edited(answer, self.changeable, self.main))
        if self.order.write == "patch":
            return self._put_back(from_patch(answer, self.changeable))
        if self.target is not None:
            before = self.rewritten.text if self.rewritten else None
            schema = self.order.gates.schema is not None
            return self._put_back(rewritten(answer, self.target, before, schema=schema))
        if self.order.gates.schema is None and self.order.quotes:
            answer = put_in_quotes(answer, self.material)
        candidate = answered(answer, schema=self.order.gates.schema is not None)
        return replace(candidate, data=each_once(candidate.data, self.order.task))

    @property
    def rewritten(self) -> Document | None:
        """What the target's new content takes the place of: all of it, or the lines that were given."""
        return self.changeable.get(self.target or "") or self.before

    def _put_back(self, candidate: Candidate) -> Candidate:
        """Whole files from a candidate that holds the parts given; one that is the whole file already stays."""
        given = self.changeable
        files = {
            path: text
            if (part := given.get(path)) is None or closer(text, part.file.text, than=part.text)
            else part.put_back(text)
            for path, text in candidate.files.items()
        }
        return replace(candidate, files={path: self._completed(path, text) for path, text in files.items()})

    def _completed(self, path: str, text: str) -> str:
        """A file's new text, with the definitions it left out although nobody asked for that put back.

        Small models answer with the one function they changed where the whole file was wanted.
        """
        old = self.known(path)
        lost = lost_definitions(path, old.text, text) if old else []
        asked = any(removal_asked(self.order.task, name, lost) for name in lost)
        python = path.lower().endswith((".py", ".pyi"))
        if not old or not lost or asked or (python and not only_definitions(text)):
            return text
        return spliced(path, old.text, text) or text

    def judged(
        self,
        candidate: Candidate,
        runs: Mapping[str, RunGate],
        failure: str | None = None,
        tests: str | None = None,
    ) -> Judged:
        """A candidate as gates look at it; `failure` is what its model was told of its last answer.

        `tests` is the test file of what changes. ToolError when a file cannot be written as its kind.
        """
        return Judged(
            candidate=candidate,
            before={path: text for path in candidate.files if (text := self.known(path))},
            given=self.files,
            asked=Asked(
                task=self.order.task,
                kind=self.order.kind,
                material=self.material,
                ours=f"{prompt.OURS}\n{_our_words(failure or '')}",
                in_file=bool(candidate.files),
            ),
            schema=self.order.gates.schema,
            data=self.contents(candidate),
            runs=runs,
            tests=tests,
        )

    def known(self, path: str) -> Document | None:
        """The file as the worker was given it, or as it was found before the run."""
        return self.before if path == self.target and self.before is not None else self.files.get(path)

    def contents(self, candidate: Candidate) -> dict[str, bytes]:
        """The candidate's files as they would lie on disk. ToolError when one cannot be written as its kind."""
        return {
            path: old.data(text) if (old := self.known(path)) else text.encode()
            for path, text in candidate.files.items()
        }

    def changes(self, contents: Mapping[str, bytes]) -> list[Change]:
        """The change that writes them, if each file is still what the worker was given."""
        return [
            Change(path=path, data=data, expect_rev=old.rev if (old := self.known(path)) else "")
            for path, data in contents.items()
        ]

    def counted(self, path: str, text: str) -> tuple[int, int]:
        """(added, removed) lines of a changed file."""
        old = self.known(path)
        return changed_lines(old.text if old else "", text)

    def output_chars(self) -> tuple[int, int]:
        """How long the answer must be at least, and may well be, in characters; 0 where the task does not say."""
        given = sum(len(text.text) for text in self.inputs.values())
        if self.order.write in IN_PLACE:
            main = self.changeable.get(self.main or "")
            return (len(main.text), len(main.text)) if main and self.form == "whole" else (0, given // 2)
        if self.target is None:
            return 0, 0
        return (
            (len(self.rewritten.text), len(self.rewritten.text))
            if self.rewritten
            else (0, max(given, _NEW_FILE_CHARS))
        )

    def _wanted(self) -> str:
        order = self.order
        if self.form == "patch":
            wanted = prompt.PATCH
        elif self.form == "edits":
            wanted = prompt.EDITS.format(path=self.main)
        elif self.main is not None and order.gates.schema is None:
            wanted = self._file_wanted(self.main)
        elif order.gates.schema is not None:
            wanted = prompt.SCHEMA.format(schema=json.dumps(order.gates.schema, ensure_ascii=False))
        else:
            wanted = ""
        return "\n".join(part for part in (wanted, *self._manner()) if part)

    def _manner(self) -> list[str]:
        """How an answer in words is to be written; what a renaming means for this file."""
        order, said = self.order, list[str]()
        names = renames_in(order.task) if self.main is not None else {}
        lines = (
            lines_to_rename(text.text, names)
            if names and (text := self.changeable.get(self.main or ""))
            else []
        )
        if 0 < len(lines) <= _MOST_RENAMED:
            told = " and ".join(f"`{old}` becomes `{new}`" for old, new in names.items())
            said.append(prompt.RENAME.format(names=told, lines="\n".join(lines)))
        if order.quotes:
            count = how_many(order.task)
            said += [prompt.QUOTES, prompt.SEVERAL_QUOTES.format(count=count) if count > 1 else ""]
        if order.kind == "summary" and not order.write and not order.format and self.inputs:
            words = len(self.material.split()) // 3
            said.append(prompt.SUMMARY.format(words=min(max(words, _LEAST_SUMMARY), _MOST_SUMMARY)))
        return said

    def _file_wanted(self, path: str) -> str:
        language = prompt.language_of(path)
        if language is None:
            return prompt.PLAIN.format(path=path)
        if self.known(path):
            text = self.changeable.get(path)
            shown = f"lines {text.first}-{text.last} of {path}" if text is not None and text.whole else path
            return prompt.WHOLE.format(path=shown, language=language)
        modules = {name: document for name, document in self.files.items() if name.endswith(".py")}
        imports = [
            f"from {PurePath(name).stem} import {', '.join(names)}"
            for name, document in modules.items()
            if path.endswith(".py") and (names := defined_names(document.text))
        ]
        details = [f"begins with `{line}`" for line in imports[:1]]
        if _TEST.search(path):
            details.append(prompt.TESTS)
        elif most := self.order.max_output:
            details.append(f"has at most {max(most // _TOKENS_A_LINE, 5)} lines")
        said = f". It {' and '.join(details)}" if details else ""
        return prompt.NEW.format(path=path, language=language, details=said)


def prepare(workspace: Workspace, order: Order) -> Prepared:
    """Read what the order names and refuse what cannot work, before any model runs. Blocking; raises ToolError."""
    if not order.task.strip():
        raise ToolError("the task is empty; say what the worker shall do")
    if len(order.task) + len(order.context) > MAX_TASK_CHARS:
        raise ToolError(f"task and context have more than {MAX_TASK_CHARS:,} characters; name files instead")
    if order.max_output is not None and order.max_output < 1:
        raise ToolError(f"max_output is a number of tokens, at least 1; found {order.max_output}")
    if order.deadline_s is not None and not 0 < order.deadline_s < math.inf:
        raise ToolError(f"deadline_s is a number of seconds above 0; found {order.deadline_s}")
    if order.gates.schema is not None and order.write in IN_PLACE:
        raise ToolError(f'a schema goes with an answer or a file to fill, not with write="{order.write}"')
    inputs = read_texts(workspace, order.files)
    if sum(len(text.text) for text in inputs.values()) > MAX_INPUT_CHARS:
        raise ToolError(f"the files hold more than {MAX_INPUT_CHARS:,} characters; use delegate_map")
    if order.write in IN_PLACE:
        if not inputs:
            raise ToolError(f'write="{order.write}" changes the files given in `files`; it has none')
        for text in inputs.values():
            check_writable(workspace, text.file.path)
        return Prepared(order=order, inputs=inputs, target=None, before=None)
    if not order.write:
        return Prepared(order=order, inputs=inputs, target=None, before=None)
    if names_part(workspace, order.write):
        whole = order.write.rpartition("#")[0]
        raise ToolError(
            f"write={order.write!r} names a part of a file: write={whole!r} with that part in files changes those lines"
        )
    check_writable(workspace, order.write)
    target = workspace.shown(order.write)
    given = [text for text in inputs.values() if text.file.path == target]
    if len(given) > 1 and all(text.whole for text in given):
        raise ToolError(
            f'write="{order.write}" with {len(given)} parts of it in files: give one, or write="edits"'
        )
    before = (
        given[0].file
        if given
        else read_text(workspace, order.write)
        if workspace.exists(order.write)
        else None
    )
    return Prepared(order=order, inputs=inputs, target=target, before=before)


def _our_words(failure: str) -> str:
    """What we said of a fault ourselves: without the check's output behind it, and what it quotes of the answer."""
    return re.sub(r"(['\"]).*?\1", "", failure.partition("\n")[0])


def check_writable(workspace: Workspace, path: str) -> None:
    """ToolError unless the change path would take this file."""
    root, rel = workspace.locate(path)
    try:
        with root.find(rel) as spot:
            workspace.may_change(root, spot.real)
    except OSError as exc:
        raise workspace.refusal(path, exc) from exc
