"""The tasks of a plan: what a manager may write, what is wrong with it, which may begin."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from .parse import json_in

Status = Literal["pending", "in_progress", "completed", "failed"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "role": {"type": "string"},
                    "task": {"type": "string"},
                    "depends_on": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["id", "role", "task", "depends_on"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["tasks"],
    "additionalProperties": False,
}


@dataclass(slots=True, kw_only=True)
class Task:
    """One part of a plan. `depends_on`: ids of those that must be completed first; `role`: of the specialist that does
    it; `status`: pending, in_progress, completed or failed; `error`: why it failed."""

    id: str
    role: str
    task: str
    depends_on: tuple[str, ...] = ()
    status: Status = "pending"
    result: str = ""
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return asdict(self)


def checked(text: str, roles: Collection[str], max_tasks: int) -> tuple[list[Task], str | None]:
    """(the tasks so that each stands behind what it depends on, what is wrong with the plan)."""
    found = json_in(text)
    listed: Any = found.get("tasks") if isinstance(found, dict) else found
    if not isinstance(listed, list) or not listed:
        return [], f"wanted a JSON object with a list of tasks, found {' '.join(text.split())[:80]!r}"
    if len(listed) > max_tasks:
        return [], f"{len(listed)} tasks, at most {max_tasks} are allowed"
    tasks: dict[str, Task] = {}
    for value in listed:
        task = _task(value, len(tasks) + 1, roles)
        if isinstance(task, str):
            return [], task
        if task.id in tasks:
            return [], f"two tasks are called {task.id!r}"
        tasks[task.id] = task
    for task in tasks.values():
        if strange := [name for name in task.depends_on if name not in tasks]:
            return (
                [],
                f"{task.id!r} depends on {strange[0]!r}, which is no task; there are {', '.join(tasks)}",
            )
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks.values()}).prepare()
    except CycleError as exc:
        return [], f"the tasks wait for each other in a circle: {' -> '.join(reversed(exc.args[1]))}"
    return _ordered(tasks), None


def ready(tasks: Sequence[Task]) -> list[Task]:
    """Those that may begin now; those that never can, because what they need failed, fail here."""
    known = {task.id: task for task in tasks}
    found: list[Task] = []
    for task in tasks:  # each stands behind what it depends on
        if task.status != "pending":
            continue
        needed = [known[name] for name in task.depends_on]
        if any(one.status in ("pending", "in_progress") for one in needed):
            continue
        if broken := [one.id for one in needed if one.status == "failed"]:
            task.status, task.error = "failed", f"it needs {broken[0]!r}, which failed"
        else:
            found.append(task)
    return found


def _ordered(tasks: Mapping[str, Task]) -> list[Task]:
    """Each behind what it depends on, else in the manager's own order."""
    left, done = dict(tasks), dict[str, Task]()
    while left:
        name = next(name for name, task in left.items() if set(task.depends_on) <= set(done))
        done[name] = left.pop(name)
    return list(done.values())


def _task(value: Any, number: int, roles: Collection[str]) -> Task | str:
    if not isinstance(value, dict):
        return f"task {number} is no object"
    task, role, needs = (
        value.get("task") or value.get("description"),
        value.get("role"),
        value.get("depends_on"),
    )
    needs = value.get("dependencies") if needs is None else needs
    name = str(value.get("id") or number)
    if not isinstance(task, str) or not task.strip():
        return f"task {name!r} does not say what to do"
    if role is None and len(roles) == 1:
        role = next(iter(roles))
    if not isinstance(role, str) or role not in roles:
        return f"task {name!r} is for {role!r}, who is not there; there are {', '.join(roles)}"
    if needs is not None and not isinstance(needs, list):
        return f"task {name!r}: depends_on must be a list of ids"
    return Task(id=name, role=role, task=task.strip(), depends_on=tuple(dict.fromkeys(map(str, needs or ()))))
