"""Measure how fast a local model is here, by a few short probes, instead of waiting for real work to teach it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError, RunError
from . import local
from . import options as common

if TYPE_CHECKING:
    from servers.ollama.engines.protocol import Model
    from servers.ollama.forecast.calibration import Calibration, Probe
    from servers.ollama.hosts.hosts import Hosts

EXAMPLES = f"""\
Probes are prompts of 64 to 2,048 tokens with answers of at most 32; they are recorded as runs of the kind calibration.

{local.ENGINES}
examples:
  understudy calibrate qwen3:8b
  understudy calibrate qwen3:8b --budget 30 --json
  understudy calibrate qwen3:8b --threads
  understudy calibrate demo --host embedded:demo

exit codes: 0 the speed model is fitted, 1 the engine failed or no probe ended well
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model")
    parser.add_argument(
        "--budget",
        type=_seconds,
        default=120.0,
        metavar="S",
        help="about the most it may take (default: 120)",
    )
    parser.add_argument(
        "--threads",
        action="store_true",
        help="measure whether one thread fewer than cores is better on this CPU, and use what is",
    )
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    if options.threads:
        return await _threads(options)
    from servers.ollama.command_line import opened_hosts
    from servers.ollama.engines.protocol import EngineError
    from servers.ollama.ledger.ledger import LedgerError

    engine = local.engine(options)
    try:
        hosts = await anyio.to_thread.run_sync(opened_hosts, engine.hosts, engine.allow_remote)
        try:
            models = await hosts.named(options.model)
            if hosts.silent:
                sys.stderr.write(f"understudy: {hosts.silent}\n")
            done = [await _probed(hosts, model, options.budget) for model in models]
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await hosts.aclose()
    except (EngineError, LedgerError) as exc:
        raise RunError(str(exc)) from exc
    finally:
        local.progress("")
    good = all(one.speeds is not None and one.failed is None for one in done)
    if options.json:
        common.print_json({"calibrations": [_record(one) for one in done]}, ok=good)
    else:
        sys.stdout.write("\n".join(_shown(one) for one in done))
    return 0 if good else 1


async def _probed(hosts: Hosts, model: Model, budget_s: float) -> Calibration:
    from servers.ollama.forecast.calibration import calibrate

    rows: list[list[str]] = []

    def told(probe: Probe) -> None:
        rows.append(_row(probe))
        local.progress(f"{model.label}: {len(rows)} probes, {rows[-1][0]} prompt tokens took {rows[-1][2]}")

    host = hosts.of(model)
    return await calibrate(host.runtime, host.forecaster, model, budget_s=budget_s, told=told)


async def _threads(options: argparse.Namespace) -> int:
    from servers.ollama.forecast.calibration import CalibrationFailed, threads_calibrated

    engine = local.engine(options)
    if len(engine.hosts) > 1:
        raise ConfigError("which host's threads? --host names one of " + ", ".join(engine.hosts))
    (host,) = engine.hosts.values()
    try:
        paces, cores, found = await threads_calibrated(
            host.address or None, options.model, allow_remote=engine.allow_remote
        )
    except CalibrationFailed as exc:
        raise RunError(str(exc)) from exc
    if options.json:
        common.print_json({"paces": [asdict(pace) for pace in paces], "num_thread": found})
        return 0
    rows = [["threads", "other programs", "writes"]]
    rows += [
        [
            f"{p.threads} of {cores}",
            "one busy" if p.busy else "none",
            local.number(p.tokens_per_s, " tokens/s"),
        ]
        for p in paces
    ]
    sent = (
        f"from now on {options.model} runs with num_thread {found}"
        if found is not None
        else f"{options.model} keeps all {cores} threads"
    )
    sys.stdout.write(f"{local.table(rows)}{sent}\n")
    return 0


def _shown(done: Calibration) -> str:
    rows = [_row(probe) for probe in done.probes]
    head = ["prompt tokens", "answer tokens", "took", "forecast before it", "off by"]
    said = [local.table([head, *rows])] if rows else []
    if done.skipped:
        sizes = ", ".join(f"{tokens:,}" for tokens in done.skipped)
        said.append(f"left out, as they fit neither the context nor the time: {sizes} prompt tokens\n")
    if done.failed:
        said.append(f"it ended early: {done.failed}\n")
    if done.speeds:
        reads, writes = (local.number(speed) for speed in done.speeds)
        said.append(f"{done.model} on {done.engine} reads {reads} and writes {writes} tokens/s\n")
    if done.note:
        said.append(f"{done.note}\n")
    return "".join(said)


def _row(probe: Probe) -> list[str]:
    profile, forecast = probe.profile, probe.forecast
    error = probe.error
    return [
        local.number(profile.tokens_in),
        local.number(profile.tokens_out),
        local.number(profile.total_s, " s"),
        local.number(forecast.total_s, " s") if forecast else "none yet",
        "-" if error is None else f"{error:+.0%}",
    ]


def _record(done: Calibration) -> dict[str, Any]:
    """Unknown is null."""
    return {
        "model": done.model,
        "engine": done.engine,
        "probes": [
            {
                "tokens_in": probe.profile.tokens_in,
                "tokens_out": probe.profile.tokens_out,
                "outcome": probe.profile.outcome,
                "load_s": probe.profile.load_s,
                "prefill_s": probe.profile.prefill_s,
                "decode_s": probe.profile.decode_s,
                "total_s": probe.profile.total_s,
                "simulated": probe.profile.simulated,
                "forecast_s": probe.forecast.total_s if probe.forecast else None,
                "forecast_error": probe.error,
            }
            for probe in done.probes
        ],
        "skipped": list(done.skipped),
        "reads_tokens_per_s": done.speeds[0] if done.speeds else None,
        "writes_tokens_per_s": done.speeds[1] if done.speeds else None,
        "error": done.failed,
        "note": done.note,
    }


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"wants seconds from above 0 to 86400, found {text!r}")
    return value
