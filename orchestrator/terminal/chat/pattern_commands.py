"""Commands that let several models work on one question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...config.pattern_meanings import MEANINGS
from ...config.pattern_parameters import listed, of_models, of_word, parameters, settings_of
from ...config.patterns import BY_USE, PatternSettings
from ...errors import ConfigError
from ...session.panels import run_pattern
from .conversation import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A pattern as a command: models, separated by commas, then parameters as key=value, then the question."""

    use: str

    @property
    def usage(self) -> str:
        return f"/{self.use} {self._members} {BY_USE[self.use].asks.upper()}"

    @property
    def meaning(self) -> str:
        return MEANINGS[self.use]

    @property
    def wanted(self) -> str:
        """The usage with all that may stand in it."""
        kind = BY_USE[self.use]
        more = [
            f"[{one.name}={_FORMS.get(one.kind, one.kind.upper())}]"
            for one in parameters(self.use)
            if one.name not in kind.members
        ]
        said = " ".join([f"/{self.use}", self._members, *more, kind.asks.upper()])
        return f"/{self.use} wants {', '.join(kind.members)} and a text to work on: {said}"

    @property
    def _members(self) -> str:
        """By their names alone: a plural is several. `parameters` would take a tenth of a conversation's start."""
        names = BY_USE[self.use].members
        return ",".join("M,M" if name.endswith("s") else name.upper() for name in names)


_FORMS = {"models": "A,B", "words": "A,B", "count": "N", "number": "N", "yes": "yes"}
PANELS = tuple(Panel(use=use) for use in BY_USE if use != "ask")


async def panel(kind: Panel, talk: Conversation, rest: str) -> None:
    models, text = _first(rest)
    given, question = _parameters(kind.use, text)
    if not question:
        raise ConfigError(kind.wanted)
    try:
        values = of_models(kind.use, listed(models))
    except ConfigError as exc:
        raise ConfigError(f"{kind.wanted}; {exc}") from exc
    if any(one.name == "approve" for one in parameters(kind.use)):
        values["approve"] = True  # a person is here
    await _pattern(talk, settings_of({"use": kind.use, **values, **given}), question)


def _parameters(use: str, text: str) -> tuple[dict[str, Any], str]:
    """What key=value words at the beginning say, and the rest. Raises ConfigError."""
    given: dict[str, Any] = {}
    while found := of_word(use, _first(text)[0]):
        given[found[0]] = found[1]
        text = _first(text)[1]
    return given, text


async def _pattern(
    talk: Conversation,
    settings: PatternSettings,
    question: str,
    *,
    name: str | None = None,
    words: dict[str, str] | None = None,
) -> None:
    async def person(asked: str) -> str:
        return await talk.reader.choose(asked, ["yes", "no"]) or "no"

    await run_pattern(talk.session, settings, question.strip(), name=name, words=words, person=person)


async def patterns(talk: Conversation, rest: str) -> None:
    name, question = _first(rest)
    known = talk.config.patterns
    if not name:
        for one in PANELS:
            talk.say(f"{one.usage}  {one.meaning}")
        for own, settings in known.items():
            words = "".join(f" [{key}={value}]" for key, value in settings.parameters.items())
            talk.say(f"/pattern {own}{words} QUESTION  {settings.description or settings.use}")
        return
    words = dict[str, str]()
    while name in known and (word := _first(question)[0].partition("="))[0] in known[name].parameters:
        words[word[0]] = word[2]
        question = _first(question)[1]
    if name not in known or not question:
        raise ConfigError(f"/pattern wants a name and a question; there are {', '.join(known) or 'none'}")
    await _pattern(talk, known[name], question, name=name, words=words)


def _first(text: str) -> tuple[str, str]:
    """The first word and the rest, each "" where there is none."""
    word, rest = [*text.split(maxsplit=1), "", ""][:2]
    return word, rest
