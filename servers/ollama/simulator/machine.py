"""A machine that only pretends to run models: laws, noise, drift, loads, cache and waits are its parameters.

Everything happens in virtual seconds, so a day of runs takes a moment. Nothing here is measured; whoever
shows its numbers says that they are simulated. The wire around it is simulated.py.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """One model: its shape, as a server shows it, and its true pace on this machine."""

    name: str = "sim-small:latest"
    params: float = 1.1e9
    size_bytes: float = 1.2e9
    layers: int = 22
    heads: int = 32
    kv_heads: int = 4
    head_dim: int = 64
    context_length: int = 32768
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking")
    chars_per_token: float = 3.6
    template_tokens: int = 14
    read_s: float = 1 / 300
    """Of one prompt token at no depth; `read_rho` is the relative cost of a token of depth."""
    read_rho: float = 3e-4
    read_overhead: float = 4.0
    """In tokens."""
    write_s: float = 1 / 30
    write_rho: float = 3e-4
    load_s: float = 2.4
    """From disk; again from the page cache takes `reload` of it."""
    reload: float = 0.6
    answer_tokens: float = 90.0
    """Median length of an answer that nothing cuts; log-normal with `answer_spread`."""
    answer_spread: float = 0.5
    thinking_tokens: float = 250.0
    gpu_share: float = 0.0

    @property
    def digest(self) -> str:
        """Stable, and never that of real weights."""
        return f"{random.Random(repr(self)).getrandbits(256):064x}"

    def reading_s(self, new: int, cached: int) -> float:
        """Noise-free seconds of reading `new` tokens behind `cached` ones."""
        return self.read_s * (self.read_overhead + new + self.read_rho * (new * cached + new * (new - 1) / 2))

    def writing_s(self, tokens_out: int, depth: int) -> float:
        """Noise-free seconds of writing behind `depth` tokens; the first token comes with the prompt."""
        steps = max(tokens_out - 1, 0)
        return self.write_s * (steps + self.write_rho * (steps * depth + steps * (steps + 1) / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What makes two equal runs differ. Spreads are standard deviations of log seconds."""

    spread: float = 0.06
    freedom: int | None = None
    """Student-t degrees of freedom (3 or more) for heavy tails; None is normal."""
    shared: float = 0.5
    """Correlation of reading and writing."""
    drift: Literal["none", "walk", "step", "sine", "wander"] = "none"
    drift_size: float = 0.3
    spike_odds: float = 0.0
    spike: float = 1.0
    """A spiked run takes about e^spike times as long."""
    wait_odds: float = 0.0
    """Chance that somebody else holds the slot when a request comes."""
    wait_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """The true story of one run, in seconds and tokens."""

    load_s: float
    wait_s: float
    read_s: float
    write_s: float
    idle_s: float
    tokens_in: int
    cached: int
    tokens_out: int

    @property
    def total_s(self) -> float:
        return self.load_s + self.wait_s + self.read_s + self.write_s + self.idle_s


@dataclass(slots=True)
class _Loaded:
    options: Mapping[str, object]
    prompts: list[str] = field(default_factory=list[str])
    """Prompts whose prefixes are cached, the latest last."""
    expires: float = math.inf


class Machine:
    """Loads models, remembers prompts, adds noise. One run at a time; `clock` is in virtual seconds."""

    def __init__(
        self, *models: SimulatedModel, noise: Noise | None = None, seed: int = 0, room: int = 1
    ) -> None:
        """`room`: how many models fit in memory at once."""
        self.models = {model.name: model for model in models or (SimulatedModel(),)}
        self.noise = noise or Noise()
        self.clock = 0.0
        self.runs = 0
        self.rng = random.Random(seed)
        self.loaded: dict[str, _Loaded] = {}
        self._room = room
        self._seen: set[str] = set()
        self._level = 0.0
        self._phase, self._step_at = self.rng.uniform(0, math.tau), self.rng.randrange(8, 40)

    def model(self, name: str) -> SimulatedModel | None:
        """By name; `:latest` may be left out."""
        return self.models.get(name) or self.models.get(f"{name}:latest")

    def advance(self, seconds: float) -> None:
        """Let time pass; models whose keep-alive ends are unloaded."""
        self.clock += seconds
        self.loaded = {name: held for name, held in self.loaded.items() if held.expires > self.clock}

    def tokens(self, model: SimulatedModel, prompt: str) -> int:
        return model.template_tokens + math.ceil(len(prompt) / model.chars_per_token)

    def load(self, model: SimulatedModel, options: Mapping[str, object]) -> float:
        """Seconds until the model is ready with these runner options: a change of any reloads it."""
        held = self.loaded.get(model.name)
        if held is not None and held.options == options:
            return 0.001 * math.exp(self.rng.gauss(0, 0.3))
        cold = model.name not in self._seen
        self._seen.add(model.name)
        self.loaded.pop(model.name, None)
        while len(self.loaded) >= self._room:
            self.loaded.pop(next(iter(self.loaded)))
        self.loaded[model.name] = _Loaded(options=dict(options))
        took = model.load_s * (1.0 if cold else model.reload)
        return max(took * math.exp(self.rng.gauss(0, 0.08)), 0.25)

    def unload(self, model: SimulatedModel) -> None:
        self.loaded.pop(model.name, None)

    def answer_length(self, model: SimulatedModel, *, think: bool) -> tuple[int, int]:
        """(thinking tokens, answer tokens) of an answer that nothing cuts."""
        answer = model.answer_tokens * math.exp(self.rng.gauss(0, model.answer_spread))
        thinking = model.thinking_tokens * math.exp(self.rng.gauss(0, 0.7)) if think else 0.0
        return round(thinking), max(round(answer), 1)

    def run(
        self,
        model: SimulatedModel,
        prompt: str,
        tokens_out: int,
        *,
        options: Mapping[str, object] | None = None,
        tokens_in: int | None = None,
        keep_alive_s: float = 300.0,
    ) -> Ran:
        """Run one prompt to `tokens_out` tokens; time passes. `tokens_in` overrides the prompt's count."""
        load_s = self.load(model, options or {})
        held = self.loaded[model.name]
        wait_s = (
            self.rng.expovariate(1 / self.noise.wait_s) if self.rng.random() < self.noise.wait_odds else 0.0
        )
        size = self.tokens(model, prompt) if tokens_in is None else tokens_in
        cached = self._hit(model, held, prompt, size)
        reading, writing = self._factors()
        ran = Ran(
            load_s=load_s,
            wait_s=wait_s,
            read_s=model.reading_s(size - cached, cached) * reading,
            write_s=model.writing_s(tokens_out, size) * writing if tokens_out > 1 else 1e-6,
            idle_s=0.004 * math.exp(self.rng.gauss(0, 0.2)),
            tokens_in=size,
            cached=cached,
            tokens_out=tokens_out,
        )
        held.prompts = [*held.prompts[-7:], prompt]
        self.clock += ran.total_s
        held.expires = self.clock + keep_alive_s
        return ran

    def _hit(self, model: SimulatedModel, held: _Loaded, prompt: str, size: int) -> int:
        """Cached tokens: the longest prefix shared with an earlier prompt; the last token is always read."""
        longest = max((_common(prompt, earlier) for earlier in held.prompts), default=0)
        if not longest:
            return 0
        shared = model.template_tokens // 2 + int(longest / model.chars_per_token)
        return max(0, min(shared, size - 1))

    def _factors(self) -> tuple[float, float]:
        """What noise and drift multiply reading and writing with, this time."""
        n, rng = self.noise, self.rng
        self.runs += 1
        match n.drift:
            case "walk":
                self._level += rng.gauss(0, n.drift_size / 5)
            case "wander":
                self._level = 0.8 * self._level + rng.gauss(0, n.drift_size / 3)
            case "step":
                self._level = n.drift_size if self.runs >= self._step_at else 0.0
            case "sine":
                self._level = n.drift_size * math.sin(self._phase + self.runs / 6)
            case "none":
                pass
        spike = rng.uniform(0.7, 1.3) * n.spike if rng.random() < n.spike_odds else 0.0
        both, one, other = (self._draw() for _ in range(3))
        together, apart = math.sqrt(n.shared), math.sqrt(1 - n.shared)
        return (
            math.exp(self._level + spike + n.spread * (together * both + apart * one)),
            math.exp(self._level + spike + n.spread * (together * both + apart * other)),
        )

    def _draw(self) -> float:
        z = self.rng.gauss(0, 1)
        if self.noise.freedom is None:
            return z
        df = max(self.noise.freedom, 3)
        return z / math.sqrt(self.rng.gammavariate(df / 2, 2) / df) / math.sqrt(df / (df - 2))


def _common(a: str, b: str) -> int:
    """Length of the common prefix."""
    if a == b:
        return len(a)
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
