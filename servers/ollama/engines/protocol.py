"""The seam between delegating and the engines that run models: what is asked of one and what it answers.

Three engines stand behind it (an Ollama server, any llama.cpp server, an embedded one) and a recitation,
which plays answers from a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from ..ledger.keys import is_loopback
from ..ledger.profile import Profile
from .address import Address, address_of

MAX_ANSWER_CHARS = 4_000_000
"""An answer longer than this is a server gone wrong; the run ends as an error."""

Said = Callable[[str, bool], None]
"""Called with every piece of an answer: its text, and whether it is thinking."""


class EngineError(Exception):
    """The engine cannot be used or does not know what was asked for. One sentence for the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What an engine says about one of its models. None: it does not say."""

    name: str
    host: str = ""
    """Of several hosts, the name of the one it is on."""
    digest: str | None = None
    size_bytes: int | None = None
    parameters: str | None = None
    """As shown: "8.2B"."""
    quantization: str | None = None
    context_length: int | None = None
    """What it was trained for: the most num_ctx can be."""
    default_ctx: int | None = None
    """What its maker set as num_ctx."""
    capabilities: frozenset[str] | None = None
    info: Mapping[str, object] = field(default_factory=dict[str, object])
    """`/api/show`'s model_info: the shape behind its speed."""
    loaded: bool | None = None
    loaded_ctx: int | None = None
    gpu_share: float | None = None
    remote: bool = False
    """It runs on somebody else's machine although a local server answers for it."""

    @property
    def no_text(self) -> str | None:
        """Why no text task can be its; None when one can, as far as the engine says."""
        kinds = self.capabilities
        shape = str(self.info.get("general.architecture") or "")
        if kinds is None:  # an engine too old to say
            pools = any(key.endswith(".pooling_type") for key in self.info)
            return "it makes embeddings and writes no text" if pools or "bert" in shape else None
        if "completion" not in kinds:
            made = (
                "embeddings" if "embedding" in kinds else "pictures" if "image" in kinds else "something else"
            )
            return f"it makes {made} and writes no text"
        if "vision" in kinds and "ocr" in f"{shape} {self.name}".lower():
            return "it only reads text off pictures"
        return None

    @property
    def stamp(self) -> str:
        """What its runs are told apart by: other bytes under the same name are another model."""
        return self.digest or self.name

    @property
    def can_think(self) -> bool:
        """As far as the engine says."""
        return self.capabilities is None or "thinking" in self.capabilities

    @property
    def label(self) -> str:
        """How people and callers tell it from the same model on another host."""
        return f"{self.name}@{self.host}" if self.host else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request for one answer. Every cap is explicit: engines take a missing one for "no end"."""

    model: str
    messages: Sequence[Mapping[str, str]]
    num_ctx: int
    num_predict: int
    timeout_s: float
    """For the whole run; then it is stopped and counts as cancelled."""
    think: bool = False
    schema: Mapping[str, object] | None = None
    temperature: float = 0.0
    seed: int = 0
    num_thread: int | None = None
    """None takes what was found best for the model, else what the engine likes."""
    keep_alive_s: float | None = None
    """How long the model shall stay loaded afterwards; None is the engine's own."""
    expected_prefill_s: float | None = None
    """What the law says for this prompt without a cache hit; helps where a server hides its hits."""

    @property
    def text(self) -> str:
        """All of it, for comparing it with others."""
        return "\0".join(message["content"] for message in self.messages)

    @property
    def chars(self) -> int:
        return sum(len(message["content"]) for message in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a query. `profile.outcome` says how it ended; `error` is a sentence unless it ended well."""

    text: str
    profile: Profile
    error: str | None = None
    raw: Mapping[str, object] = field(default_factory=dict[str, object])
    """The engine's last object, as it was."""


class Runtime(Protocol):
    """An engine. Its methods raise EngineError; `chat` does so only for a query that makes no sense."""

    name: str
    """Kind and place, as shown: "Ollama at http://127.0.0.1:11434"."""
    host: str
    """Whose clock the speeds belong to: a machine."""
    url: str | None
    """Where other processes reach the same engine; None when it is this process's own."""
    note: str | None
    """What every reader must know: that it recites, or is simulated. None for real inference."""
    simulated: bool
    """No model runs: the durations are made up."""
    timed: bool
    """Its durations are measured as it runs; false when they are replayed."""

    @property
    def pids(self) -> Collection[int]:
        """Processes of an engine of our own."""
        ...

    async def engine(self) -> str:
        """Name and version, to the minor number: "ollama 0.34"."""
        ...

    async def models(self) -> list[Model]:
        """Everything it says about all its models."""
        ...

    async def model(self, name: str) -> Model:
        """The same about one."""
        ...

    async def count(self, query: Query) -> int | None:
        """The exact number of prompt tokens, where the engine can tell without running; else None."""
        ...

    async def chat(self, query: Query, said: Said) -> Answer:
        """Run the query. Cancelling closes the connection, which frees the engine's slot."""
        ...

    async def aclose(self) -> None:
        """Let go of connections, and end an engine of our own."""
        ...

    def close(self) -> None:
        """End an engine of our own at once; from any thread."""
        ...


def valid_name(name: str) -> str:
    """A model name as engines take it. Raises EngineError."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise EngineError(f"{name[:80]!r} is no model name; list_models shows those that are here")
    return name


def endpoint(given: str | None, *, allow_remote: bool = False, key: str | None = None) -> Address:
    """The address of an Ollama or llama.cpp server, see `address_of`.

    Raises EngineError when it is none, or not on this machine and that was not allowed.
    """
    try:
        address = address_of(given, key=key)
    except ValueError as exc:
        raise EngineError(str(exc)) from exc
    host = urlsplit(address.url).hostname or ""
    if not allow_remote and not is_loopback(host):
        raise EngineError(
            f"{host} is not this machine; files would leave it. Start with --allow-remote to use it"
        )
    return address


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
