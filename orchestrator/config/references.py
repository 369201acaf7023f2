"""Names in a configuration that lead nowhere: kinds of providers, aliases, groups of models, models of settings."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigError
from ..providers.names import COMPATIBLE, KINDS, meant
from .files import Layer, Place
from .mistakes import Mistakes, near
from .models import Config
from .pattern_parameters import parameters
from .patterns import Pattern, use_of

_MODELS = ("default_model", "fast_model", "summary_model")


def check(config: Config, whole: Layer, mistakes: Mistakes) -> None:
    """Add what leads nowhere to `mistakes`. Whoever gave a model as an option is told when it is asked."""
    for name, provider in config.providers.items():
        place = ("providers", name)
        if provider.kind is not None and meant(provider.kind) not in KINDS:
            wanted = (
                f"wanted one of {', '.join(KINDS)}, found {provider.kind!r}{near(provider.kind, [*KINDS])}"
            )
            _add(mistakes, whole, (*place, "kind"), wanted)
        elif provider.kind is None and not provider.steps and not _speaks(name):
            # Without an address it may be one that a program adds, unless it is all but a known name.
            hint = near(name, [*KINDS, *COMPATIBLE], likeness=0.75)
            if hint or provider.base_url:
                how = "say how it speaks, as kind: openai"
                _add(mistakes, whole, place, f"there is no provider {name!r}; {how}{hint}")
    known = _section(whole, "providers")
    for place, model in _written(config):
        agent = place[0] in ("patterns", "panel") and model in config.agents
        if not agent and not whole.origin(place).startswith("--"):
            try:
                config.resolve(model, known)
            except ConfigError as exc:
                _add(mistakes, whole, place, str(exc))
    for name in config.providers:
        if (circle := _circle(config, name)) and circle[0] == min(circle):
            said = f"the group leads back to itself: {' -> '.join(circle)}"
            _add(mistakes, whole, ("providers", name), said)


def _add(mistakes: Mistakes, whole: Layer, place: Place, said: str) -> None:
    origin = whole.origin(place)
    mistakes.add(f"{origin}: {'.'.join(place)}: {said}" if origin else f"{'.'.join(place)}: {said}")


def _speaks(name: str) -> bool:
    return meant(name) in KINDS or meant(name) in COMPATIBLE


def _section(whole: Layer, name: str) -> set[str]:
    """All names of a section, also of entries that are mistakes themselves."""
    found = whole.values.get(name)
    return {str(key) for key in found} if isinstance(found, dict) else set()


def _written(config: Config) -> Iterator[tuple[Place, str]]:
    """Every model that is named, and where."""
    for key in _MODELS:
        if (model := getattr(config, key)) is not None:
            yield (key,), model
    for alias in config.aliases:
        yield ("aliases", alias), alias
    for name, provider in config.providers.items():
        for field in ("fallback", "balanced"):
            for model in getattr(provider, field) or ():
                yield ("providers", name, field), model
    for name, agent in config.agents.items():
        if agent.model is not None:
            yield ("agents", name, "model"), agent.model
    if config.memory.embeddings is not None:
        yield ("memory", "embeddings"), config.memory.embeddings
    for model in config.panel or ():
        yield ("panel",), model
    for name, pattern in config.patterns.items():
        yield from _of_pattern(("patterns", name), pattern)


def _of_pattern(place: Place, pattern: Pattern) -> Iterator[tuple[Place, str]]:
    for one in parameters(use_of(pattern)):
        value, at = getattr(pattern, one.name), (*place, one.name)
        match one.kind:
            case "model" | "models":
                yield from ((at, model) for model in ([value] if isinstance(value, str) else value or ()))
            case "members":
                for name, member in value.items():
                    inner = isinstance(member, Pattern)
                    yield from _of_pattern((*at, name), member) if inner else [((*at, name), member.model)]
            case _:
                pass


def _circle(config: Config, name: str, path: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The groups from `name` back to it; () where none leads back."""
    if name in path:
        return (*path, name) if path[0] == name else ()
    provider = config.providers.get(name)
    for model in provider.steps if provider else ():
        try:
            inner = config.resolve(model).partition(":")[0]
        except ConfigError:
            continue
        if found := _circle(config, inner, (*path, name)):
            return found
    return ()
