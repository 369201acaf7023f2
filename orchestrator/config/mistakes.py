"""What is wrong with a configuration, all of it, in a person's words: file, line, key, wanted, found, what would work."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError
from .files import Layer, Place, short
from .models import (
    AgentSettings,
    Config,
    DisplaySettings,
    HostSettings,
    MemorySettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    ServerSettings,
)
from .pattern_parameters import fields_at, written_place
from .patterns import BY_USE
from .wanted import wanted

OTHER_WORDS = {
    "model": "default_model",
    "max_iterations": "max_rounds",
    "timeout": "timeout_s",
    "timeout_seconds": "run_timeout_s",
    "max_budget": "budget_usd",
    "enable_tracing": "telemetry",
    "max_cost_usd": "budget_usd",
    "num_retries": "retries",
    "redis_url": "cache",
    "vector_path": "memory",
    "fallbacks": "fallback",
    "mcpServers": "servers",
    "system_prompt": "system",
    "url": "base_url",
    "host": "base_url",
}
"""What other programs call our settings."""
FOUND_OUT = {"folder", "with_keys", "notices", "written"}
"""Fields that are found out, not written."""
MAX_TOLD = 20

_PARTS: dict[Place, type[BaseModel]] = {
    (): Config,
    ("display",): DisplaySettings,
    ("memory",): MemorySettings,
    ("models", "*"): ModelSettings,
    ("models", "*", "price"): PriceSettings,
    ("providers", "*"): ProviderSettings,
    ("agents", "*"): AgentSettings,
    ("servers", "*"): ServerSettings,
    ("hosts", "*"): HostSettings,
}


class Mistakes:
    """Collects them, so that one look at the message is enough to mend all."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def gathered(self) -> Generator[None]:
        """A ConfigError in here is one of them."""
        try:
            yield
        except ConfigError as exc:
            self.add(str(exc))

    def add(self, sentence: str) -> None:
        if sentence not in self.found:
            self.found.append(sentence)

    def tell(self) -> None:
        """Raises ConfigError with all of them, where there are any."""
        if len(self.found) == 1:
            raise ConfigError(self.found[0])
        if self.found:
            told = self.found[:MAX_TOLD]
            more = len(self.found) - len(told)
            rest = [f"and {more} more"] if more else []
            raise ConfigError(
                "\n  ".join([f"{len(self.found)} mistakes in the configuration:", *told, *rest])
            )


def without_mistakes(values: dict[str, Any], whole: Layer, mistakes: Mistakes) -> Config:
    """The configuration these values are, without those that cannot be: each of them is a mistake."""
    kept, left_out = values, list[Place]()
    while True:
        try:
            return Config.model_validate(kept)
        except ValidationError as exc:
            errors = exc.errors(include_url=False)
        for error in errors:
            place = written_place(_place(error))
            if not any(
                out[: len(place)] == place for out in left_out
            ):  # else it only misses what was left out
                mistakes.add(_sentence(error, whole))
        for error in errors:
            place = written_place(_place(error))
            left_out.append(place)
            kept = _without(kept, place, error["type"] == "missing")


def _without(values: dict[str, Any], place: Place, missing: bool) -> dict[str, Any]:
    """`values` without what stands there, or without what should have held it."""
    place = place[:-1] if missing else place
    head, *rest = place or ("",)
    inner = values.get(head)
    if rest and isinstance(inner, dict) and rest[0] in inner:
        return values | {head: _without(inner, tuple(rest), missing=False)}
    return {key: value for key, value in values.items() if key != head}


def _place(error: ErrorDetails) -> Place:
    return tuple(str(part) for part in error["loc"] if part != "[key]")


def _sentence(error: ErrorDetails, whole: Layer) -> str:
    """Where, which key, what was wanted and found, and what would work."""
    place = written_place(_place(error))
    origin, key = whole.origin(place), ".".join(place)
    start = f"{origin}: {key}: " if origin else f"{key}: "
    if error["type"] == "extra_forbidden":
        return start + _unknown(place, _use_at(place[:-1], whole))
    if error["type"] == "union_tag_invalid":
        found, known = str(error.get("ctx", {}).get("tag")), list(BY_USE)
        at = whole.origin((*place, "use"))
        return f"{at or origin}: {key}.use: wanted one of {', '.join(known)}, found {short(found)}{near(found, known)}"
    if error["type"] == "missing":
        return f"{start}is missing"
    found = "" if error["type"] == "value_error" else f", found {short(error['input'])}"
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        found += near(error["input"], error.get("ctx", {}).get("expected", "").replace("'", " ").split())
    return f"{start}{wanted(error)}{found}"


def near(word: str, known: list[str], likeness: float = 0.6) -> str:
    """What was probably meant, as the end of a sentence. `likeness`: from 0 to 1, the least."""
    found = get_close_matches(word, known, n=1, cutoff=likeness)
    return f"; did you mean {found[0]!r}?" if found else ""


def _use_at(place: Place, whole: Layer) -> str:
    """Of what kind the pattern or stage at this place is."""
    found: Any = whole.values
    for part in place:
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return str(found.get("use", "ask")) if isinstance(found, dict) else "ask"


def _unknown(place: Place, use: str) -> str:
    known = fields_at(place[:-1], use) if place[0] == "patterns" else _known(place[:-1])
    wrong = place[-1]
    if "api_key" in wrong or wrong in ("key", "token"):
        return "keys do not stand in this file; put the key into the environment or .env, or name its variable with api_key_env"
    other = OTHER_WORDS.get(wrong)
    close = [other] if other in known else get_close_matches(wrong, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown key; {hint}there are {', '.join(known)}"


def _known(place: Place) -> list[str]:
    model = _PARTS.get(place) or _PARTS.get((place[0], "*", *place[2:]), Config)
    return [name for name in model.model_fields if not (model is Config and name in FOUND_OUT)]
