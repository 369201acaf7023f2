"""Goes on in words where a model cannot be held to a schema: not every model has structured outputs, and vendors take
schemas of a certain size alone.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from ...errors import BadRequest
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request
from .. import Provider
from ..answer_schemas import in_words
from . import Around, asked_again

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
        known = request.schema is not None and self._mark(request) in self._refused
        return asked_again(self.inner, in_words(request) if known else request, self._in_words)

    def _in_words(self, request: Request, exc: BadRequest) -> Request | None:
        if request.schema is None or not _FORM.search(exc.message):
            return None
        self._refused.add(self._mark(request))
        said = f"{exc}; asking again with the form of the answer in words"
        self.emit(Notice(text=said, level="warning"))
        return in_words(request)

    @staticmethod
    def _mark(request: Request) -> tuple[str, str]:
        return request.model, repr(request.schema)
