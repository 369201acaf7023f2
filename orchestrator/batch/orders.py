"""Reading orders: one a line of a JSONL file, or one for each file that a glob finds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from servers.ollama.gates.documents import file_of
from servers.ollama.gates.gates import parse_gates
from servers.output import ToolError

from ..errors import ConfigError

MAX_TOLD = 20
"""Wrong lines that are named; the rest are counted."""
PLACE = "{path}"
"""Where a template takes the file's path."""


class BatchOrder(BaseModel):
    """One line of the input: what `understudy delegate` takes, and what a batch needs besides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1)
    files: tuple[str, ...] = ()
    write: str | None = None
    gate: Any = None
    """As the delegate tool takes it: a word, a list, or {"command": ..., "max_changed_lines": ...}."""
    data_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    model: str = "auto"
    ladder: tuple[str, ...] = ()
    deadline_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_output: Annotated[int, Field(ge=1)] | None = None
    context: str = ""
    think: bool = False
    id: str | None = Field(default=None, min_length=1, max_length=200)
    """The caller's own name of the order; it comes back in the receipt."""
    label: str | None = None
    """For counting and cost; it comes back in the receipt."""
    priority: int = 0
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
    """Every order of a file; empty lines are passed over. Raises ConfigError naming each wrong line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}: {getattr(exc, 'strerror', None) or exc}") from exc
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

    def filled(path: str) -> BatchOrder:
        write = order.get("write")
        asked = {**order, "task": task.replace(PLACE, path), "files": [path]}
        asked["write"] = write.replace(PLACE, path) if isinstance(write, str) else write
        try:
            return BatchOrder.model_validate({k: v for k, v in asked.items() if v is not None})
        except ValidationError as exc:
            raise ConfigError(_told(exc)) from exc

    return keyed((number, filled(path)) for number, path in enumerate(found, 1))


def keyed(orders: Iterable[tuple[int, BatchOrder]]) -> list[Keyed]:
    """Each with its key: its id, or what it asks for; of equal orders the second has its own."""
    seen = Counter[str]()
    made = list[Keyed]()
    for line, order in orders:
        told = json.dumps(order.model_dump(mode="json", by_alias=True), sort_keys=True)
        stem = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        if order.id is not None:
            stem = hashlib.sha256(order.id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            if seen[stem]:
                raise ConfigError(f"line {line}: the id {order.id!r} stands twice")
        seen[stem] += 1
        made.append(Keyed(key=f"{stem}-{seen[stem]}", line=line, order=order))
    return made


def size_of(order: BatchOrder, roots: Sequence[Path]) -> int:
    """About how many characters the worker reads; files that are not there count nothing here."""
    chars = len(order.task) + len(order.context)
    for name in map(file_of, order.files):
        path = next((root / name for root in roots if (root / name).is_file()), None)
        chars += path.stat().st_size if path else 0
    return chars


def _object(line: str) -> dict[str, Any]:
    found: object = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"wanted an object with a task, found {line.strip()[:60]}")  # noqa: TRY004  what stands there is wrong
    return found


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
    return f"{where}: {first['msg']}"
