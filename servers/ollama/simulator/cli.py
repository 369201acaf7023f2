"""The simulated Ollama from the command line: three models, about as fast as on a laptop's CPU."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from typing import get_args

import anyio

from .api import Fault, World
from .http import simulated
from .machine import Machine, Noise, SimulatedModel


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `serve` takes."""
    parser.add_argument(
        "--port", type=_port, default=11435, help="0 takes any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--scale", type=_scale, default=1.0, help="real seconds per simulated second (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of noise and answer lengths (default: %(default)s)"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=get_args(Fault),
        help="of the next request; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="say where it is as one JSON object")


def serve(given: argparse.Namespace) -> int:
    """Serve three simulated models until interrupted; the exit code."""
    machine = Machine(*MODELS, noise=Noise(drift="wander", drift_size=0.1), seed=given.seed)
    try:
        anyio.run(_forever, World(machine=machine, faults=list(given.fault)), given)
    except KeyboardInterrupt:
        return 130
    except OSError as exc:
        problem = f"port {given.port} cannot be used: {exc.strerror or exc}; try --port 0"
        if given.json:
            sys.stdout.write(json.dumps({"ok": False, "error": problem, "kind": type(exc).__name__}) + "\n")
        else:
            sys.stderr.write(f"understudy: {problem}\n")
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"wants a port from 0 to 65535, found {text!r}")
    return int(text)


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1000:
        raise argparse.ArgumentTypeError(f"wants a number from 0 to 1000, found {text!r}")
    return value


MODELS = (
    SimulatedModel(name="sim-small:latest"),
    SimulatedModel(
        name="sim-medium:latest",
        params=4.0e9,
        size_bytes=2.5e9,
        layers=34,
        kv_heads=8,
        read_s=1 / 110,
        write_s=1 / 13,
        load_s=4.0,
    ),
    SimulatedModel(
        name="sim-large:latest",
        params=8.2e9,
        size_bytes=5.2e9,
        layers=36,
        kv_heads=8,
        head_dim=128,
        read_s=1 / 55,
        write_s=1 / 6.5,
        load_s=8.0,
    ),
)
"""A laptop's CPU, roughly."""


async def _forever(world: World, given: argparse.Namespace) -> None:
    async with simulated(world, scale=given.scale, port=given.port) as url:
        names = list(world.machine.models)
        told = (
            f"simulated Ollama at {url} with {', '.join(names)}\n"
            "no model runs, every duration is made up; Ctrl-C ends it\n"
            f"in another terminal:  export OLLAMA_BASE_URL={url}"
        )
        sys.stdout.write(
            (json.dumps({"ok": True, "url": url, "models": names, "simulated": True}) if given.json else told)
            + "\n"
        )
        sys.stdout.flush()
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                return
