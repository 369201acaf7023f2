"""A run as its delegation knows it: what was asked, forecast and answered; or why it was not started."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Answer, Model
from ..forecast.advice import Recommendation
from ..forecast.context_size import Size
from ..forecast.forecast import Forecast
from ..forecast.forecaster import RunPlan
from ..ledger.receipt import Forecasted
from ..ledger.runs import Key
from .request import Prepared


class RunRejected(Exception):
    """The run would not make sense and was not started. The sentence holds the numbers."""

    def __init__(
        self, say: str, recommendation: Recommendation | None = None, most_output: int | None = None
    ) -> None:
        super().__init__(say)
        self.most_output = most_output
        """A max_output with which it would fit the context, where that is what it takes."""
        self.recommendation = recommendation
        """What was forecast and what would work instead."""


class TooLate(RunRejected):
    """The time that is left would not do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run and everything known about it."""

    model: Model
    prepared: Prepared
    size: Size
    answer: Answer
    key: Key
    chars: int
    waited_s: float
    overlapped: bool
    busy_cores: float | None = None
    plan: RunPlan | None = None
    forecast: Forecast | None = None
    given_s: float | None = None
    """Forecast seconds for the tokens that came."""
    recommendation: Recommendation | None = None
    id: int | None = None

    def forecasted(self) -> Forecasted | None:
        """The forecast as receipts show it, with its error once the run is over."""
        return None if self.forecast is None else forecasted(self.forecast, self.total_s, self.given_s)

    @property
    def total_s(self) -> float | None:
        """What the forecast spoke of; None for a run that came to no end of its own."""
        profile = self.answer.profile
        if profile.outcome not in ("done", "length"):
            return None
        return profile.total_s if profile.total_s is not None else profile.wall_s


def forecasted(
    forecast: Forecast, measured_s: float | None = None, given_s: float | None = None
) -> Forecasted:
    return Forecasted(
        total_s=forecast.total_s,
        low_s=forecast.low_s,
        high_s=forecast.high_s,
        runs=forecast.runs,
        cold=forecast.cold if measured_s is None else None,
        cap_s=forecast.cap_s if measured_s is None else None,
        error=(forecast.total_s - measured_s) / measured_s if measured_s else None,
        error_given_length=(given_s - measured_s) / measured_s if measured_s and given_s else None,
    )
