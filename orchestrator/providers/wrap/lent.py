"""A provider that belongs to somebody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ...errors import OrchestratorError, ProviderError, ends_more, reason
from ...types import Completion, Delta, Request
from . import Around


class Lent(Around):
    """A provider that others close. Whatever it raises is a failure of this provider: a group asks the next."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    yield item
        except (OrchestratorError, GeneratorExit):  # the latter: nobody wants more of it
            raise
        except BaseException as exc:
            if ends_more(exc):
                raise
            raise ProviderError(self.name, f"failed by a fault of its own: {reason(exc)}") from exc

    async def aclose(self) -> None:
        """Not here."""
