"""Goes on without a model's sealed thoughts where its vendor no longer takes them back.

Seals are bound to more than a model's name: to the account, the key's organisation, a snapshot. A conversation
resumed with another key would be refused for ever.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace

from ...errors import BadRequest
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Message, Request, Thinking, ToolResult
from .. import Provider
from . import Around, asked_again

_SEAL = re.compile(
    r"signature|encrypted[ _]content|(redacted_)?thinking.{0,20}block|reasoning.{0,20}item", re.IGNORECASE
)


class Unsealed(Around):
    def __init__(self, inner: Provider, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.emit = emit

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return asked_again(self.inner, request, self._without)

    def _without(self, request: Request, exc: BadRequest) -> Request | None:
        bare = replace(request, messages=tuple(_bare(message) for message in request.messages))
        if bare == request or not _SEAL.search(exc.message):
            return None
        self.emit(
            Notice(text=f"{exc}; asking again without the thoughts of earlier answers", level="warning")
        )
        return bare


def _bare(message: Message) -> Message:
    """`message` as another vendor would get it: without sealed thoughts, and without seals on the rest."""
    parts = [
        part if isinstance(part, ToolResult) or part.kind == "image" else replace(part, seal=None)
        for part in message.parts
        if not (isinstance(part, Thinking) and part.seal)
    ]
    return replace(message, parts=tuple(parts))
