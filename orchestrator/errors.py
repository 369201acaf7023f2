"""Everything this package raises on purpose.

OrchestratorError
├── ConfigError              the user must change a file, a flag or an environment variable
├── ProviderError            a model call failed; `retryable` says whether waiting can help
│   ├── AuthFailed           key missing, wrong or without the right
│   ├── OutOfCredit          the account cannot pay; waiting does not help
│   ├── RateLimited          too many requests; `retry_after_s` where the vendor says
│   ├── Overloaded           the vendor or the local server is busy
│   ├── ContextTooLong       the request does not fit the model
│   ├── NoSuchModel          the vendor does not know the model, or it is not installed
│   ├── BadRequest           the vendor refuses the request as it is
│   │   └── Unsupported      the model has no tools, thinking or images; `feature` says which
│   ├── Refused              the vendor's safety system stopped the request
│   ├── Unreachable          no connection, or it broke
│   └── TimedOut             silence for longer than allowed
└── RunError                 a run stopped before an answer; what was done is in its history
    ├── OutOfRounds
    ├── OutOfTime
    ├── OutOfBudget
    ├── Stopped              a hook ended it
    ├── InvalidAnswer        no answer had the form that was asked for
    └── Paused               a person has to decide first; the run goes on from there when it is resumed
"""

from __future__ import annotations

import threading
from typing import Any, cast


class OrchestratorError(Exception):
    """What everything of ours raises; its text is one sentence for a person. `reply`: the Reply of the run that this ended,
    None where none had begun.
    """

    reply: Any = None  # the Reply of the run that this ended: what was said and done until then
    exit_code = 1  # of a command that it ends


class ConfigError(OrchestratorError):
    """What the caller, or the configuration, has wrong: what was wanted, what was found and what would work."""

    exit_code = 2


class ProviderError(OrchestratorError):
    """A model could not answer. `provider`: whose; `message`: why; `retryable`: whether asking again may help;
    `retry_after_s`: seconds to wait as the vendor says, None where it says nothing."""

    retryable = False

    def __init__(
        self,
        provider: str,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.message = message
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.retryable = retryable


class AuthFailed(ProviderError): ...


class OutOfCredit(ProviderError): ...


class RateLimited(ProviderError):
    retryable = True


class Overloaded(ProviderError):
    retryable = True


class ContextTooLong(ProviderError):
    tokens: int | None = None  # of the request, where the server counted them


class NoSuchModel(ProviderError): ...


class BadRequest(ProviderError): ...


class Unsupported(BadRequest):
    def __init__(self, provider: str, message: str, *, feature: str) -> None:
        super().__init__(provider, message)
        self.feature = feature  # "tools", "thinking" or "images"


class Refused(ProviderError): ...


class Unreachable(ProviderError):
    retryable = True


class TimedOut(ProviderError):
    retryable = True


class RunError(OrchestratorError):
    """A run ended without an answer though its model could answer; its `reply` has what was done until then."""


class OutOfRounds(RunError): ...


class OutOfTime(RunError): ...


class OutOfBudget(RunError): ...


class Stopped(RunError):
    """Raised by a hook of yours to end a run; its text is what the caller reads."""


class InvalidAnswer(RunError): ...


class Paused(RunError):
    """Nothing failed: a decision is missing. `key` is its place in the run, `question` what is to be decided."""

    exit_code = 3

    def __init__(self, question: str, *, key: str) -> None:
        super().__init__(f"waits for a decision: {question}")
        self.question, self.key = question, key


def ends_more(exc: BaseException) -> bool:
    """Whether what a function of somebody else's raised ends more than its call: a cancellation of ours, or Ctrl-C, which
    only the main thread hears. Whatever else it raises, SystemExit too, is for the caller to read and not to die of.
    """
    import asyncio  # with it `--help` would take a third longer

    if isinstance(exc, Exception):
        return False
    if isinstance(exc, BaseExceptionGroup):
        return any(map(ends_more, cast("BaseExceptionGroup[BaseException]", exc).exceptions))
    try:
        task = asyncio.current_task()
    except (
        RuntimeError
    ):  # no loop runs here: in a thread, or where a coroutine is closed that nobody will go on with
        task = None
    if isinstance(exc, asyncio.CancelledError):
        return task is None or task.cancelling() > 0
    if isinstance(exc, GeneratorExit):
        return task is None
    return isinstance(exc, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def first_of(exc: BaseException) -> BaseException:
    """The first in a group of exceptions; any other itself."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


MAX_REASON_CHARS = 2_000


def reason(exc: BaseException) -> str:
    """One line for an exception: its type and what it says, or what it says alone where it is of this tree; of a group, its first."""
    import asyncio

    if isinstance(exc, asyncio.CancelledError):
        return "something it waited for was cancelled"
    exc = first_of(exc)
    try:
        said = " ".join(str(exc)[:MAX_REASON_CHARS].split())
    except BaseException:  # noqa: BLE001  (of somebody's exception that cannot even say what is wrong)
        said = ""
    if said and isinstance(exc, OrchestratorError):
        return said
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
