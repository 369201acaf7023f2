"""Random worlds: simulated machines for benchmarks and tests of forecasts and advice."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from servers.ollama.forecast.model_shape import Shape
from servers.ollama.ledger.profile import Profile
from servers.ollama.ledger.runs import Key, Run, processor_of
from servers.ollama.simulator.machine import Machine, Noise, Ran, SimulatedModel


def random_machine(seed: int, *, models: int = 1, waits: bool = False) -> Machine:
    """A machine nobody has seen: pace over two orders of magnitude, depth costs, noise, drift, queue."""
    rng = random.Random(seed)
    power = math.exp(rng.uniform(math.log(0.3), math.log(30)))
    ratio = math.exp(rng.uniform(math.log(2), math.log(40)))
    kappa = (
        (1.0, 1.0) if rng.random() < 0.1 else (math.exp(rng.gauss(0.7, 0.7)), math.exp(rng.gauss(1.2, 0.9)))
    )
    made = [_random_model(rng, f"sim-{n}:latest", power, ratio, kappa) for n in range(models)]
    noise = Noise(
        spread=rng.choice((0.02, 0.05, 0.1, 0.15, 0.2)),
        freedom=rng.choice((None, None, 4)),
        shared=rng.choice((0.0, 0.5, 0.9)),
        drift=rng.choice(("none", "none", "walk", "step", "sine", "wander")),
        drift_size=rng.choice((-0.3, 0.15, 0.3, 0.5)),
        spike_odds=rng.choice((0.0, 0.0, 0.04)),
        wait_odds=rng.choice((0.0, 0.1)) if waits else 0.0,
        wait_s=rng.uniform(0.5, 6),
    )
    return Machine(*made, noise=noise, seed=rng.getrandbits(32), room=rng.choice((1, models)))


def _random_model(
    rng: random.Random, name: str, power: float, ratio: float, kappa: tuple[float, float]
) -> SimulatedModel:
    params = math.exp(rng.uniform(math.log(0.3e9), math.log(14e9)))
    layers = rng.choice((16, 24, 28, 32, 40))
    heads = rng.choice((8, 16, 32))
    model = SimulatedModel(
        name=name,
        params=params,
        size_bytes=params * rng.choice((0.56, 0.6, 1.06, 2.0)),
        layers=layers,
        heads=heads,
        kv_heads=rng.choice((2, 4, 8)),
        head_dim=rng.choice((64, 128)),
        chars_per_token=rng.uniform(2.8, 4.4),
        template_tokens=rng.randrange(4, 40),
        answer_tokens=math.exp(rng.uniform(math.log(30), math.log(400))),
        answer_spread=rng.uniform(0.1, 0.7),
        thinking_tokens=math.exp(rng.uniform(math.log(100), math.log(1200))),
        gpu_share=rng.choice((0.0, 0.0, 1.0, 0.6)),
    )
    write_s = model.size_bytes / (20e9 * power) * math.exp(rng.gauss(0, 0.2))
    read_s = model.params / 8e9 * 4.7e9 / (20e9 * power) / ratio * math.exp(rng.gauss(0, 0.2))
    off = math.exp(rng.gauss(0, 0.5))
    return replace(
        model,
        write_s=write_s,
        read_s=read_s,
        read_overhead=rng.choice((0.0, 4.0, 30.0, 150.0)),
        read_rho=kappa[0] * off * 2 * layers * heads * model.head_dim / params,
        write_rho=kappa[1] * off * 4 * layers * model.kv_heads * model.head_dim / model.size_bytes,
        load_s=0.5 + model.size_bytes / (1.5e9 * math.sqrt(power)),
    )


def shape_of(model: SimulatedModel) -> Shape:
    return Shape(
        params=model.params,
        size_bytes=model.size_bytes,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_dim=model.head_dim,
    )


def key_of(model: SimulatedModel, host: str = "simulated") -> Key:
    return Key(
        host=host, digest=model.digest, processor=processor_of(model.gpu_share), server="simulated 0.33"
    )


def run_of(model: SimulatedModel, ran: Ran, *, hide_cache: bool = False, cut: bool = False) -> Run:
    """A simulated run as the ledger would keep it; `hide_cache`: of a server that does not tell hits."""
    profile = Profile(
        model=model.name,
        outcome="length" if cut else "done",
        load_s=ran.load_s,
        prefill_s=ran.read_s,
        decode_s=ran.write_s,
        queue_s=ran.wait_s + ran.idle_s,
        total_s=ran.total_s,
        tokens_in=ran.tokens_in,
        tokens_cached=None if hide_cache else ran.cached,
        prefill_tokens_per_s=ran.tokens_in / ran.read_s,
        tokens_out=ran.tokens_out,
        gpu_share=model.gpu_share,
        simulated=True,
    )
    return Run(key=key_of(model), profile=profile)
