"""How many tokens a prompt will be and how long an answer may get, learned from earlier runs.

A prompt has a heavy-tailed distribution of answer lengths, not a length. Answers cut by their cap are only
known to be at least that long (censored), so the distribution is the Kaplan-Meier estimate. The cap alone is
certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median, pstdev, pvariance

from ..ledger.runs import Output

CHARS_PER_TOKEN = 3.5
"""Of any tokenizer, before it was counted: English prose has about 4, code and other languages fewer."""
TEMPLATE_TOKENS = 20
_SHARE_OF_INPUT = {
    "summary": 0.2,
    "summarize": 0.2,
    "translate": 1.1,
    "edit": 1.0,
    "rewrite": 1.0,
    "refactor": 1.0,
}
"""Kinds whose answers grow with their input; guesses until measured."""
_OURS_TOKENS = 130
"""Of a prompt, about: the rules and the task, which no answer grows with."""
_FLAT_TOKENS, _SCHEMA_TOKENS = 150.0, 60.0
_THINKING_FACTOR = 4.0
_GUESS_SPREAD = 0.9
_MORE_THAN_IT_WAS, _WHOLE_SPREAD = 1.2, 0.35
"""A file that is written out whole, with its change and the fence around it; a translation is as sure of its length."""
_GUESS_POINTS = 9
_HALF_LIFE = 25.0
_FEW_WIDTH = 0.5
"""Spread of the logarithm around one or two answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A distribution of answer lengths in tokens: rising points and the weight up to each, at last 1."""

    points: tuple[float, ...]
    reached: tuple[float, ...]
    runs: int
    """Answers behind it; 0 is a guess from the kind of task."""

    def at(self, share: float) -> float:
        """The length that this share of answers does not exceed."""
        return next(
            (p for p, r in zip(self.points, self.reached, strict=True) if r >= share), self.points[-1]
        )

    def beyond(self, tokens: int) -> float:
        """The share of answers longer than this."""
        return 1 - max(
            (r for p, r in zip(self.points, self.reached, strict=True) if p <= tokens), default=0.0
        )

    @property
    def p50(self) -> int:
        return round(self.at(0.5))

    @property
    def p90(self) -> int:
        return round(self.at(0.9))


def lengths_of(
    answers: Sequence[Output],
    *,
    kind: str = "other",
    tokens_in: int = 0,
    cap: int | None = None,
    think: bool = False,
    format: str | None = None,
    whole: int = 0,
) -> Lengths:
    """Lengths to expect of the next answer, from answers of its kind, newest first; never above `cap`.

    `whole`: tokens of a text that is to be written out once more, where it is.
    """
    scale = _scale(answers, tokens_in)
    guess = _guess(kind, tokens_in, think, format, whole)
    weighted = [
        (a.tokens * scale(a), a.cut, 0.5 ** (age / _HALF_LIFE))
        for age, a in enumerate(answers)
        if a.tokens > 0
    ]
    doubt = max(0.0, 2.0 - 0.25 * len(weighted))
    weighted = _blurred(weighted)
    weighted += [(point, False, doubt / _GUESS_POINTS) for point in guess if doubt]
    points, reached = _survivors(weighted, beyond=cap)
    if cap is not None:
        points = [min(point, float(cap)) for point in points]
    return Lengths(points=tuple(points), reached=tuple(reached), runs=len(answers))


def exactly(tokens: int) -> Lengths:
    """A length that is known."""
    return Lengths(points=(float(tokens),), reached=(1.0,), runs=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSize:
    """Tokens a prompt will be: the middle, and its spread as a standard deviation of the logarithm."""

    tokens: int
    spread: float
    runs: int


def prompt_size(chars: int, counted: Sequence[tuple[int, int]]) -> PromptSize:
    """Tokens of a prompt of so many characters, from (characters, tokens) of earlier ones, newest first."""
    known = [(c, t) for c, t in counted if c > 0 and t > 0]
    if not known:
        return PromptSize(tokens=math.ceil(chars / CHARS_PER_TOKEN) + TEMPLATE_TOKENS, spread=0.25, runs=0)
    template = min(TEMPLATE_TOKENS, min(t for _, t in known) // 2)
    rates = [((t - template) / c, abs(math.log((c + 1) / (chars + 1)))) for c, t in known]
    near = sorted(rates, key=lambda rate: rate[1])[:9]
    middle = median(rate for rate, _ in near)
    off = [abs(math.log(rate / middle)) for rate, _ in near]
    spread = (0.15 + 1.5 * sum(off)) / (1 + len(off))
    return PromptSize(tokens=math.ceil(chars * middle) + template, spread=spread, runs=len(known))


def _scale(answers: Sequence[Output], tokens_in: int) -> Callable[[Output], float]:
    """Whether answers grow with their input is read off the answers themselves."""
    whole = [(a.tokens, a.tokens_in) for a in answers if not a.cut and a.tokens > 0 and a.tokens_in]
    if len(whole) >= 5 and tokens_in > 0:
        alone = pvariance([math.log(out) for out, _ in whole])
        ratio = pvariance([math.log(out / size) for out, size in whole])
        if ratio < 0.6 * alone:
            return lambda a: tokens_in / a.tokens_in if a.tokens_in else 1.0
    return lambda a: 1.0


def _guess(kind: str, tokens_in: int, think: bool, format: str | None, whole: int) -> list[float]:
    share = _SHARE_OF_INPUT.get(kind)
    middle = (
        _SCHEMA_TOKENS
        if format == "schema"
        else share * max(tokens_in - _OURS_TOKENS, tokens_in / 4)
        if share and tokens_in
        else _FLAT_TOKENS
    )
    spread = _WHOLE_SPREAD if kind == "translate" and format is None else _GUESS_SPREAD
    middle, spread = (_MORE_THAN_IT_WAS * whole, _WHOLE_SPREAD) if whole else (middle, spread)
    middle = max(middle * (_THINKING_FACTOR if think else 1.0), 8.0)
    normal = NormalDist(math.log(middle), spread)
    return [math.exp(normal.inv_cdf((i + 0.5) / _GUESS_POINTS)) for i in range(_GUESS_POINTS)]


def _blurred(weighted: Sequence[tuple[float, bool, float]]) -> list[tuple[float, bool, float]]:
    """Each length as three, spread like a kernel: a few answers do not show how far the next may go."""
    whole = [math.log(tokens) for tokens, cut, _ in weighted if not cut]
    width = 1.3 * min(pstdev(whole), 1.2) * len(whole) ** -0.2 if len(whole) >= 3 else _FEW_WIDTH
    return [
        (tokens * math.exp(0.0 if cut else step * width), cut, weight / 3)
        for tokens, cut, weight in weighted
        for step in (-1, 0, 1)
    ]


def _survivors(
    weighted: Sequence[tuple[float, bool, float]], beyond: int | None
) -> tuple[list[float], list[float]]:
    """Kaplan-Meier points and the weight reached at each; what outlives every cut ends at `beyond`."""
    rows = sorted(weighted, key=lambda row: (row[0], row[1]))
    risk = sum(w for *_, w in rows)
    alive, points, reached = 1.0, [], []
    for tokens, cut, weight in rows:
        if not cut:
            alive *= max(0.0, 1 - weight / risk)
            points.append(tokens)
            reached.append(1 - alive)
        risk = max(risk - weight, 1e-12)
    if alive > 1e-6 or not points:
        longest = rows[-1][0]
        points.append(max(longest, float(beyond)) if beyond is not None else 1.5 * longest)
    else:
        reached.pop()
    return points, [*reached, 1.0]
