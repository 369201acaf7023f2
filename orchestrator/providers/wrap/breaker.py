"""Leaves a sick provider alone for a while: closed, open, half open."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import monotonic
from typing import Literal

from ...errors import OutOfCredit, Overloaded, ProviderError
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request
from .. import Provider
from . import Around


class Breaker(Around):
    """Opens after `failures` in a row, at once when there is no credit; then one call probes.

    Only failures of the provider count: a request or a key it refuses says nothing about its health. While
    open, every call fails with Overloaded and the seconds left, without reaching the network.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        failures: int = 5,
        cooldown_s: float = 60.0,
        clock: Callable[[], float] = monotonic,
        emit: Emit = ignore,
    ) -> None:
        super().__init__(inner)
        self.failures = failures
        self.cooldown_s = cooldown_s
        self.clock = clock
        self.emit = emit
        self.failed = 0  # in a row
        self.reason = ""
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if self._open_until is None:
            return "closed"
        return "open" if self.clock() < self._open_until else "half_open"

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        probe = self._admit()
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        self._well()
                    yield item
        except ProviderError as exc:
            self._note(exc, probe)
            raise
        finally:
            if probe:
                self._probing = False

    def _admit(self) -> bool:
        """Whether this call is the probe. Raises Overloaded when it may not pass."""
        if self.state == "closed":
            return False
        if self.state == "half_open" and not self._probing:
            self._probing = True
            return True
        left = max((self._open_until or 0.0) - self.clock(), 0.0)
        raise Overloaded(
            self.name,
            f"left alone for another {left:.0f} s after {self.reason}",
            retryable=False,
            retry_after_s=left,
        )

    def _note(self, exc: ProviderError, probe: bool) -> None:
        hopeless = isinstance(exc, OutOfCredit)
        if not (hopeless or exc.retryable):
            if probe:
                self._well()  # it answered, if only to refuse
            return
        self.failed += 1
        if hopeless or probe or self.failed >= self.failures:
            self.reason = exc.message
            self._open_until = self.clock() + max(self.cooldown_s, exc.retry_after_s or 0.0)
            self.emit(
                Notice(
                    text=f"{self.name} is left alone for {self.cooldown_s:g} s: {exc.message}",
                    level="warning",
                )
            )

    def _well(self) -> None:
        self.failed, self._open_until = 0, None
