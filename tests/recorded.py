"""Answers of a real Ollama server, recorded; see wire/ollama/README.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "wire" / "ollama"


@dataclass(frozen=True)
class Exchange:
    request: dict[str, Any]
    status: int
    objects: list[dict[str, Any]]
    """Every JSON object of the answer, in order."""
    wall_s: float

    @property
    def final(self) -> dict[str, Any]:
        return self.objects[-1]


def exchange(name: str) -> Exchange:
    data = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    lines = data.get("lines") or [[data["at_s"], data["body"]]]
    return Exchange(data["request"], data["status"], [json.loads(line) for _, line in lines], lines[-1][0])


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))
