"""How many tokens a prompt has, how long an answer may get, and which context size holds both."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from ..engines.protocol import Model, Query
from .token_estimates import PromptSize, prompt_size

_SLACK_TOKENS = 64
_REMEMBERED = 50
_SMALLEST_CTX = 4096
MIN_OUTPUT = 64
DEFAULT_OUTPUT = 1024
_MEMORY_SHARE = 0.85


class TooLong(Exception):
    """The prompt and its answer fit no context this model can have here. The sentence holds the numbers."""

    def __init__(self, say: str, most_output: int | None = None) -> None:
        super().__init__(say)
        self.most_output = most_output
        """A cap with which it would fit, where the caller's is what does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one query will be given."""

    tokens_in: int
    spread: float
    """Uncertainty of tokens_in, a standard deviation of its logarithm; 0 when it was counted."""
    num_ctx: int
    num_predict: int
    least_out: int = 0
    """Tokens the answer needs at least; 0 is not known."""


@dataclass(slots=True)
class Sizing:
    """Learns every model's characters per token; keeps its context size, because a change reloads the model."""

    _counted: dict[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])
    _chosen: dict[str, int] = field(default_factory=dict[str, int])

    def prompt(self, model: Model, chars: int) -> PromptSize:
        """The tokens a prompt of so many characters will be."""
        return prompt_size(chars, self._counted.get(model.stamp, ()))

    def knows(self, model: Model) -> bool:
        return model.stamp in self._counted

    def remember(self, model: Model, counted: Sequence[tuple[int, int]]) -> None:
        """Start from (characters, tokens) of earlier prompts, newest first."""
        self._counted[model.stamp] = list(counted[:_REMEMBERED])

    def learn(self, model: Model, chars: int | None, tokens: int | None) -> None:
        """Take in one measured prompt."""
        if chars and tokens:
            counted = self._counted.setdefault(model.stamp, [])
            counted.insert(0, (chars, tokens))
            del counted[_REMEMBERED:]

    def size(
        self,
        model: Model,
        query: Query,
        *,
        exact: int | None,
        asked: int | None,
        least: int = 0,
        likely: int = 0,
    ) -> Size:
        """Context and cap for a query. Raises TooLong.

        `exact`: the prompt's tokens where the engine counted them. `asked`: the caller's cap, never cut.
        `least`: the tokens the answer needs at least; `likely`: those it may well have. 0 is not known.
        """
        guess = self.prompt(model, query.chars)
        tokens = exact if exact is not None else guess.tokens
        roomy = tokens if exact is not None else math.ceil(tokens * math.exp(guess.spread)) + _SLACK_TOKENS
        most = largest_ctx(model)
        wanted = asked or max(DEFAULT_OUTPUT, math.ceil(max(least, likely) * 1.25) + 256)
        needed = asked or max(MIN_OUTPUT, math.ceil(least * 1.1))
        if most is not None and tokens + needed > most:
            about = "" if exact is not None else "about "
            most_output = most - tokens if asked and most - tokens >= MIN_OUTPUT else None
            less = f"lower max_output to at most {most_output:,}" if most_output else None
            raise TooLong(
                f"the prompt has {about}{tokens:,} tokens and its answer needs {needed:,}, "
                f"but {model.name} holds {most:,} here; {less or 'give fewer files, or use delegate_map'}",
                most_output,
            )
        num_ctx = model.loaded_ctx or self._chosen.get(model.stamp) or model.default_ctx
        if num_ctx is None or roomy + wanted > num_ctx or (most is not None and num_ctx > most):
            num_ctx = context_for(roomy + wanted, most)
        self._chosen[model.stamp] = num_ctx
        room = num_ctx - tokens
        return Size(
            tokens_in=tokens,
            spread=0.0 if exact is not None else guess.spread,
            num_ctx=num_ctx,
            num_predict=asked or max(min(wanted, room), needed),
            least_out=least,
        )


def context_for(needed: int, most: int | None) -> int:
    """A new context that holds so many tokens: a power of two, as every other size loads the model anew."""
    size = max(_SMALLEST_CTX, 1 << (needed - 1).bit_length())
    return size if most is None else min(size, most)


def largest_ctx(model: Model) -> int | None:
    """The largest context this model can have on this machine; None when nothing says."""
    limits = [model.context_length] if model.context_length else []
    per_token = kv_bytes_per_token(model)
    if per_token and model.size_bytes:
        room = psutil.virtual_memory().total * _MEMORY_SHARE - model.size_bytes
        limits.append(max(int(room / per_token) // 256 * 256, 2048))
    if model.loaded_ctx:
        limits = [max(limit, model.loaded_ctx) for limit in limits]
    return min(limits) if limits else None


def kv_bytes_per_token(model: Model) -> int | None:
    """What one token of context costs in memory at 16 bits; None when the shape is not known."""
    arch = model.info.get("general.architecture")
    layers, heads, kv_heads, width, key = (
        model.info.get(f"{arch}.{name}")
        for name in (
            "block_count",
            "attention.head_count",
            "attention.head_count_kv",
            "embedding_length",
            "attention.key_length",
        )
    )
    if (
        not isinstance(layers, int)
        or not isinstance(kv_heads, int)
        or not isinstance(heads, int)
        or not heads
    ):
        return None
    size = key if isinstance(key, int) else width // heads if isinstance(width, int) else None
    return None if size is None else layers * kv_heads * size * 2 * 2


def fewest_tokens(text: str) -> int:
    """A floor no tokenizer goes under: none joins two words. Tells a prompt that was cut in silence."""
    return sum(1 for _ in _WORD.finditer(text))


_WORD = re.compile(r"\w{2,}")
