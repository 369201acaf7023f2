"""Goes on in words where a model cannot be held to a schema: not every model has structured outputs, and vendors take
schemas of a certain size alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ...errors import BadRequest
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request
from .. import Provider
from ..answer_schemas import in_words
from . import Around

_FORM = re.compile(
    r"output_?(config|format)|text_?format|text\.format|response_?(format|schema|json_?schema|mime_?type)"
    r"|\bjson_?schema|structured[ _-]?outputs?|\bgrammar\b",
    re.IGNORECASE,
)


class RefusedSchema(Around):
    """Remembers which schema which model does not take, for as long as it lives."""

    def __init__(self, inner: Provider, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.emit = emit
        self._refused: set[tuple[str, str]] = set()  # (model, schema)

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        if request.schema is None:
            return self.inner.stream(request)
        if self._mark(request) in self._refused:
            return self.inner.stream(in_words(request))
        return self._tried(request)

    async def _tried(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    yield item
            return
        except BadRequest as exc:
            if not _FORM.search(exc.message):
                raise
            self._refused.add(self._mark(request))
            said = f"{exc}; asking again with the form of the answer in words"
            self.emit(Notice(text=said, level="warning"))
        async with aclosing(self.inner.stream(in_words(request))) as items:
            async for item in items:
                yield item

    @staticmethod
    def _mark(request: Request) -> tuple[str, str]:
        return request.model, repr(request.schema)
