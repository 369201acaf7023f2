"""A runtime that recites: answers and durations from a file, for demonstrations without any engine.

The file is one JSON object:
    {"models": [{"name": "worker", "context_length": 8192}],
     "answers": [{"model": "worker", "when": "words of the task", "text": "...", "final": {...}}]}
`final` is a recorded last object of Ollama, its durations in nanoseconds. Each answer is said once, the first
unsaid one whose model and `when` fit (both may be left out). Nothing is computed: every profile says `recorded`.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..ledger.profile import from_ollama
from .protocol import Answer, EngineError, Model, Query, Said, valid_name


class RecitedModel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    context_length: int = Field(default=8192, gt=0)
    size_bytes: int | None = None
    parameters: str | None = None
    quantization: str | None = None


class RecitedAnswer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    model: str | None = None
    when: str | None = None
    text: str
    final: dict[str, int | float | str | bool | None] = {}


class Recitation(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid")
    models: list[RecitedModel] = Field(min_length=1)
    answers: list[RecitedAnswer]


def read_recitation(path: str) -> Recitation:
    """The recitation in a file. Raises EngineError."""
    try:
        return Recitation.model_validate_json(Path(path).read_bytes())
    except OSError as exc:
        raise EngineError(f"the recitation {path} cannot be read: {exc.strerror or exc}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EngineError(f"the recitation {path} is wrong at {where}: {first['msg']}") from exc


class Recited:
    """A Runtime that plays a Recitation. Raises EngineError when the file is missing or wrong."""

    def __init__(self, path: str) -> None:
        self.name = f"recitation {Path(path).name}"
        self.host = platform.node() or "here"
        self.url: str | None = None
        self.timed, self.simulated = False, False
        self.note: str | None = "scripted: the answers are recited and their durations recorded"
        self.script = read_recitation(path)
        self.unsaid = list(self.script.answers)

    async def engine(self) -> str:
        return "recitation"

    async def models(self) -> list[Model]:
        return [Model(**dict(model), digest=f"recited:{model.name}") for model in self.script.models]

    async def model(self, name: str) -> Model:
        known = await self.models()
        found = next((model for model in known if model.name == valid_name(name)), None)
        if found is None:
            raise EngineError(f"no model {name!r} here; there are {', '.join(model.name for model in known)}")
        return found

    async def count(self, query: Query) -> int | None:
        return None

    async def chat(self, query: Query, said: Said) -> Answer:
        await anyio.lowlevel.checkpoint()
        prompt = "\n".join(message["content"] for message in query.messages)
        found = next((a for a in self.unsaid if self._fits(a, query.model, prompt)), None)
        if found is None:
            final: dict[str, object] = {"error": "the recitation has no answer left that fits this task"}
            profile = from_ollama(final, model=query.model, num_ctx=query.num_ctx, recorded=True)
            return Answer(text="", profile=profile, error=str(final["error"]), raw=final)
        self.unsaid.remove(found)
        for word in found.text.splitlines(keepends=True):
            said(word, False)
        final = {"done": True, "done_reason": "stop", **found.final}
        total = final.get("total_duration")
        profile = from_ollama(
            final,
            model=query.model,
            wall_s=total / 1e9 if isinstance(total, int | float) else None,
            num_ctx=query.num_ctx,
            answer_chars=len(found.text),
            recorded=True,
        )
        return Answer(text=found.text, profile=profile, raw=json.loads(json.dumps(final)))

    @property
    def pids(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass  # no engine of ours

    async def aclose(self) -> None:
        pass

    @staticmethod
    def _fits(answer: RecitedAnswer, model: str, prompt: str) -> bool:
        return (answer.model is None or answer.model == model) and (
            answer.when is None or answer.when in prompt
        )
