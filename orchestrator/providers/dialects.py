"""How one endpoint differs from the rest of its wire: from a table of known services, then from its refusals.

What is learned is kept on disk, by address and model, so that a conversation refused once is not refused at every
turn, and nothing is learned twice. A correction is kept only when the request then succeeded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from servers.state.home import home
from servers.state.whole_file import write_whole

from .connection import hosted_at

MAX_ENDPOINTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Of a server of the Chat Completions wire. The defaults are what most take."""

    thoughts: str = "reasoning_content"  # the field in which a model's own thoughts go back; "": none
    demanded: bool = False  # every turn with a call must have that field, also an empty one
    cap: str = "max_tokens"
    usage: bool = True  # takes stream_options
    streams: bool = True
    null: bool = True  # a turn of calls alone may have no content
    credential: str = ""  # a header that wants the key besides Authorization; kept for the whole address

    @property
    def plain(self) -> Dialect:
        """Without what servers of the first version of the wire do not know."""
        return replace(self, thoughts="", demanded=False, null=False)


_KNOWN: dict[str, Dialect] = {
    "openai.com": Dialect(thoughts="", cap="max_completion_tokens"),
    "azure.com": Dialect(thoughts="", cap="max_completion_tokens"),
    "groq.com": Dialect(thoughts=""),
    "mistral.ai": Dialect(thoughts="", usage=False),
    "cerebras.ai": Dialect(thoughts=""),
    "cohere.ai": Dialect(thoughts=""),
    "perplexity.ai": Dialect(thoughts="", usage=False),
    "openrouter.ai": Dialect(thoughts="reasoning"),
    "moonshot.ai": Dialect(demanded=True),
    "moonshot.cn": Dialect(demanded=True),
}

_REFUSED = (
    r"(?:unsupported|not (?:be )?supported|not permitted|forbidden|unexpected|extra|unknown|unrecogni[sz]ed|not allowed|invalid"
    r"|not (?:a )?valid|additional propert|does not exist|no such)"
)
_MISSING = r"(?:missing|required|must (?:be|have|include|contain)|needs? to be|should (?:be|have)|expected)"


def _about(field: str, words: str) -> re.Pattern[str]:
    """A field and what is said of it, near to one another."""
    name = rf"(?<![\w-]){field}(?![\w-])"
    return re.compile(rf"{name}.{{0,160}}?{words}|{words}.{{0,160}}?{name}", re.IGNORECASE | re.DOTALL)


_THOUGHTS = r"reasoning(?:_content|_details|_text)?"
_CORRECTIONS: list[tuple[re.Pattern[str], Callable[[Dialect], Dialect]]] = [
    (
        re.compile(rf"{_THOUGHTS}['`\" ]+(?:field |is )?{_MISSING}|{_MISSING}\W+(?:\w+\W+){{0,3}}reasoning_content", re.IGNORECASE),
        lambda d: replace(d, thoughts=d.thoughts or "reasoning_content", demanded=True),
    ),
    (_about(_THOUGHTS, _REFUSED), lambda d: replace(d, thoughts="", demanded=False)),
    (re.compile(r"use ['`\"]?max_completion_tokens", re.IGNORECASE), lambda d: replace(d, cap="max_completion_tokens")),
    (_about("max_completion_tokens", _REFUSED), lambda d: replace(d, cap="max_tokens")),
    (_about("max_tokens", r"(?:unsupported parameter|not supported with|unrecogni[sz]ed|not permitted|unknown)"), lambda d: replace(d, cap="max_completion_tokens")),
    (_about("stream_options", _REFUSED), lambda d: replace(d, usage=False)),
    (re.compile(r"\bstream(?:ing|ed)?\b['`\"]?[^.]{0,40}(?:not supported|unsupported|not available|disabled|must be false)|does(?: not|n't) support stream", re.IGNORECASE), lambda d: replace(d, streams=False)),
    (re.compile(r"content\b.{0,80}(?:valid string|must be (?:a )?(?:non-null )?string|not be (?:null|none)|none is not|got null|cannot be null|type: ?null|expected (?:a )?string)", re.IGNORECASE | re.DOTALL), lambda d: replace(d, null=False)),
]  # fmt: skip


_CREDENTIAL = re.compile(
    r"(?<![\w-])(x-api-key|api-key|x-goog-api-key|x-auth-token|ocp-apim-subscription-key)(?![\w-])",
    re.IGNORECASE,
)


def credential_in(words: str) -> str:
    """The header in which a refusal of a key says that it wants it; "" where it names none."""
    found = _CREDENTIAL.search(words)
    return found[1].lower() if found else ""


def corrected(dialect: Dialect, words: str) -> Dialect | None:
    """What `dialect` must be after this refusal; None where the refusal is of something else."""
    for pattern, correction in _CORRECTIONS:
        if pattern.search(words) and (changed := correction(dialect)) != dialect:
            return changed
    return None


def dialect_of(url: str, model: str) -> Dialect:
    """As it is known for this address and model."""
    known = next((own for domain, own in _KNOWN.items() if hosted_at(url, domain)), Dialect())
    learned = _read().get(_key(url, model))
    if not isinstance(learned, dict):
        return known
    kept = {
        f.name: learned[f.name] for f in fields(Dialect) if isinstance(learned.get(f.name), type(f.default))
    }
    return replace(known, **kept)


def learn(url: str, model: str, dialect: Dialect) -> None:
    """Keep it for the next time. A file that cannot be written is no reason to fail."""
    with suppress(OSError):
        all_of_them = _read()
        all_of_them.pop(_key(url, model), None)
        all_of_them[_key(url, model)] = asdict(dialect)
        kept = dict(list(all_of_them.items())[-MAX_ENDPOINTS:])
        write_whole(_path(), json.dumps(kept, indent=1))


def _key(url: str, model: str) -> str:
    """Without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or ''}{parts.path.rstrip('/')} {model}"


def _read() -> dict[str, Any]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path() -> Path:
    return home() / "dialects.json"
