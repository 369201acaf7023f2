"""Reading orders: one a line of a JSONL file, or one for each file that a glob finds."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from servers.ollama.gates.documents import file_of
from servers.ollama.gates.gates import parse_gates
from servers.output import ToolError

from ..errors import ConfigError

MAX_TOLD = 20
"""Wrong lines that are named; the rest are counted."""
PLACE = "{path}"
"""Where a template takes the file's path."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Said = Annotated[str, AfterValidator(_said)]
"""Text that says something."""


class BatchOrder(BaseModel):
    """One line of the input: what `understudy delegate` takes, and what a batch needs besides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Said
    files: tuple[str, ...] = ()
    write: str | None = None
    gate: Any = None
    """As the delegate tool takes it: a word, a list, or {"command": ..., "max_changed_lines": ...}."""
    data_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    model: Said = "auto"
    ladder: tuple[Said, ...] = ()
    deadline_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_output: Annotated[int, Field(ge=1)] | None = None
    context: str = ""
    think: bool = False
    id: str | None = Field(default=None, min_length=1, max_length=200)
    """The caller's own name of the order; it comes back in the receipt."""
    label: str | None = None
    """For counting and cost; it comes back in the receipt."""
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    """Larger goes first."""
    tags: tuple[str, ...] = ()
    """Only hosts that have all of them take it."""


class Keyed(BaseModel):
    """An order with its place in the input and the key that makes it the same order tomorrow."""

    model_config = ConfigDict(frozen=True)

    key: str
    line: int
    """From 1; of a template: the number of the file."""
    order: BatchOrder


def from_jsonl(path: Path) -> list[Keyed]:
    """Every order of a file, "-" being standard input; empty lines are passed over.

    Raises ConfigError naming each wrong line.
    """
    try:
        text = (sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} is not UTF-8: line {line} holds the byte {exc.object[exc.start]:#04x}"
        ) from exc
    orders, wrong = list[tuple[int, BatchOrder]](), list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            order = BatchOrder.model_validate(_object(line))
            parse_gates(order.gate, order.data_schema)
            orders.append((number, order))
        except (ValueError, RecursionError, ToolError) as exc:
            wrong.append(f"line {number}: {_told(exc)}")
    if wrong:
        more = f"\nand {len(wrong) - MAX_TOLD:,} more" if len(wrong) > MAX_TOLD else ""
        raise ConfigError(f"{path} holds lines that are no orders\n" + "\n".join(wrong[:MAX_TOLD]) + more)
    if not orders:
        raise ConfigError(
            f'{path} holds no order; a line such as {{"task": "Summarise.", "files": ["a.md"]}}'
        )
    return keyed(orders)


def from_template(task: str, pattern: str, root: Path, order: dict[str, Any]) -> list[Keyed]:
    """One order for each file below `root` that `pattern` finds; `{path}` in task and write is the file's path."""
    found = sorted(path for path in glob(pattern, root_dir=root, recursive=True) if (root / path).is_file())
    if not found:
        raise ConfigError(f"--glob {pattern!r} finds no file below {root}")

    if wrong := next(filter(_has_surrogate, found), None):
        raise ConfigError(f"the name of {wrong!r} is not UTF-8; rename it, or choose another --glob")

    def filled(path: str) -> BatchOrder:
        write = order.get("write")
        asked = {**order, "task": task.replace(PLACE, path), "files": [path]}
        asked["write"] = write.replace(PLACE, path) if isinstance(write, str) else write
        try:
            return BatchOrder.model_validate({k: v for k, v in asked.items() if v is not None})
        except ValidationError as exc:
            raise ConfigError(_told(exc)) from exc

    try:
        parse_gates(order.get("gate"), None)
    except ToolError as exc:
        raise ConfigError(str(exc)) from exc
    return keyed((number, filled(path)) for number, path in enumerate(found, 1))


def keyed(orders: Iterable[tuple[int, BatchOrder]]) -> list[Keyed]:
    """Each with its key: its id, or what it asks for; of equal orders the second has its own."""
    seen = Counter[str]()
    made = list[Keyed]()
    for line, order in orders:
        told = json.dumps(order.model_dump(mode="json", by_alias=True), sort_keys=True)
        stem = hashlib.sha256(told.encode()).hexdigest()[:12]
        if order.id is not None:
            stem = hashlib.sha256(order.id.encode()).hexdigest()[:12]
            if seen[stem]:
                raise ConfigError(f"line {line}: the id {order.id!r} stands twice")
        seen[stem] += 1
        made.append(Keyed(key=f"{stem}-{seen[stem]}", line=line, order=order))
    return made


def size_of(order: BatchOrder, roots: Sequence[Path]) -> int:
    """About how many characters the worker reads; files that are not there count nothing here."""
    chars = len(order.task) + len(order.context)
    for name in map(file_of, order.files):
        chars += next((size for root in roots if (size := _size(root / name)) is not None), 0)
    return chars


def _size(path: Path) -> int | None:
    """Bytes of a regular file; None where there is none that can be asked."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # gone, forbidden, or no name that a file can have
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _object(line: str) -> dict[str, Any]:
    found: object = json.loads(line, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError(f"wanted an object with a task, found {line.strip()[:60]}")  # noqa: TRY004  what stands there is wrong
    if "\\ud" in line.lower() and _has_surrogate(json.dumps(found, ensure_ascii=False)):
        raise ValueError("it holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return found


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= one <= "\udfff" for one in text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets the last of two equal names win, which is seldom what was meant."""
    for name, number in Counter(name for name, _ in pairs).items():
        if number > 1:
            raise ValueError(f"{name!r} stands {number} times in one object")
    return dict(pairs)


def _told(exc: Exception) -> str:
    if not isinstance(exc, ValidationError):
        return f"it is not JSON ({exc})" if isinstance(exc, json.JSONDecodeError) else str(exc)
    first = exc.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the order"
    if first["type"] == "extra_forbidden":
        fields = ", ".join(field.alias or name for name, field in BatchOrder.model_fields.items())
        return f"an order has no {where!r}; it has {fields}"
    if first["type"] == "missing":
        return f"an order needs {where!r}"
    if first["type"] == "tuple_type":
        return f"{where}: wanted a list"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
