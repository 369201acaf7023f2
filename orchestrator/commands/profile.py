"""Show what was measured here: recent local runs, the speeds fitted from them, how good the forecasts were, odds."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from ..errors import RunError
from ..sanitize import visible
from . import local
from . import options as common

EXAMPLES = """\
examples:
  understudy profile
  understudy profile qwen3:8b --last 50
  understudy profile --kind edit --json
  understudy profile --team --db postgresql://db.example.org/understudy
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="only this model")
    parser.add_argument("--kind", help="only this kind of task: edit, summary, ...")
    parser.add_argument(
        "--last", type=int, default=20, metavar="N", help="the newest N runs (default: %(default)s)"
    )
    parser.add_argument(
        "--team", action="store_true", help="of all machines of a team, from the database its workers use"
    )
    common.add_db(parser)
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return _team(options) if options.team else anyio.run(_run, options)


def _team(options: argparse.Namespace) -> int:
    """What all machines have measured; this one's runs are sent first."""
    from servers.ollama.ledger.ledger import Ledger, LedgerError

    from ..batch.team_ledger import TeamLedger

    url = common.database_of(options)
    try:
        with Ledger.open() as ledger:
            team = TeamLedger(url, ledger)
            try:
                team.send()
                totals = team.totals()
            finally:
                team.close()
    except LedgerError as exc:
        raise RunError(str(exc)) from exc
    wanted = {"model": options.model, "kind": options.kind}
    totals = [one for one in totals if all(value in (None, one[name]) for name, value in wanted.items())]
    if options.json:
        common.print_json({"totals": totals})
        return 0
    head = ["asked on", "ran on", "model", "kind", "runs", "gates passed", "median", "writes"]
    rows = [
        [
            *(visible(one[name]) for name in ("machine", "host", "model", "kind")),
            local.number(one["runs"]),
            f"{one['passed']} of {one['judged']}" if one["judged"] else "none judged yet",
            local.number(one["median_s"], " s"),
            local.number(one["writes"], " tokens/s"),
        ]
        for one in totals
    ]
    sys.stdout.write(local.table([head, *rows]) if rows else "the team has no runs yet\n")
    return 0


async def _run(options: argparse.Namespace) -> int:
    asked = {"model": options.model, "kind": options.kind, "last": options.last}
    async with local.server(options) as session:
        record = await local.ask(session, "profile", asked)
    if options.json:
        common.print_json(record)
        return 0
    sys.stdout.write(_shown(record, options.model))
    return 0


def _shown(record: dict[str, Any], asked: str | None) -> str:
    runs: list[dict[str, Any]] = record.get("runs", [])
    if not runs and asked:
        return f"no runs of {visible(asked)} yet; `understudy models` lists what there is\n" + _noted(record)
    if not runs:
        return "no runs yet; delegate something, or calibrate a model\n" + _noted(record)
    head = ["run", "model", "kind", "gate", "load", "prompt", "answer", "total", "tokens in", "out"]
    said = [local.table([[*head, "forecast off by", "other programs used"], *(_row(run) for run in runs)])]
    if laws := record.get("laws"):
        names = [
            "machine",
            "model",
            "runs",
            "reads",
            "writes",
            "reads after 4,096 tokens",
            "writes after 4,096 tokens",
        ]
        # Runs with unlike windows have laws of their own, which are often fitted to the same runs.
        rows = dict.fromkeys(tuple(_law(law)) for law in laws)
        said.append("\ntokens a second, as fitted\n" + local.table([names, *map(list, rows)]))
    if rows := [_odds(model, odds) for model, kinds in record.get("odds", {}).items() for odds in kinds]:
        said.append("\n" + local.table([["model", "kind", "runs", "gates passed", "rated good"], *rows]))
    if rows := [_held(one) for one in record.get("advice_held", [])]:
        names = ["advice that was followed", "times", "forecast off by", "saved", "helped"]
        said.append("\n" + local.table([names, *rows]))
    return "".join(said) + "\n" + _noted(record)


def _noted(record: dict[str, Any]) -> str:
    forecasts: dict[str, Any] = record["forecasts"]
    said: list[str] = []
    if forecasts["runs"]:
        off, known, covered = (
            local.percent(forecasts.get(key))
            for key in ("median_error", "median_error_given_length", "coverage")
        )
        said.append(
            f"forecasts: {forecasts['runs']} runs, median error {off} ({known} for answers of the length that came), "
            f"{covered} inside their interval\n"
        )
    if record.get("tokens_saved") is not None:
        said.append(f"tokens the callers saved, about: {record['tokens_saved']:,}\n")
    return "".join(said) + (f"{record['note']}\n" if record.get("note") else "")


def _row(run: dict[str, Any]) -> list[str]:
    profile: dict[str, Any] = run["profile"]
    parts = ("load_s", "prefill_s", "decode_s", "total_s")
    seconds = [local.number(profile.get(part), " s") for part in parts]
    mark = " (recorded)" if profile["recorded"] else " (simulated)" if profile["simulated"] else ""
    ended = "" if profile["outcome"] == "done" else f" {profile['outcome']}"
    off, cores = run.get("forecast_error"), run.get("busy_cores")
    return [
        str(run["run"]),
        visible(profile["model"] + (f" on {run['host']}" if run.get("host") else "")),
        run["kind"] + ended,
        {True: "passed", False: "failed", None: "-"}[run.get("gate_passed")],
        *seconds[:3],
        seconds[3] + mark,
        local.number(profile.get("tokens_in")),
        local.number(profile.get("tokens_out")),
        "-" if off is None else f"{off:+.0%}",
        "-" if cores is None else f"{cores:.1f} cores",
    ]


def _law(law: dict[str, Any]) -> list[str]:
    speeds = [local.number(law.get(key)) for key in ("reads", "writes", "reads_at_4096", "writes_at_4096")]
    return [visible(law["host"]), visible(law["model"]), local.number(law["runs"]), *speeds]


def _odds(model: str, odds: dict[str, Any]) -> list[str]:
    def share(value: float | None, of: int) -> str:
        return "-" if value is None else f"{local.percent(value)} of {of}"

    passed, good = share(odds.get("passed"), odds["judged"]), share(odds.get("good"), odds["rated"])
    return [visible(model), odds["kind"], local.number(odds["runs"]), passed, good]


def _held(one: dict[str, Any]) -> list[str]:
    error, helped = local.percent(one.get("median_error")), local.percent(one.get("helped"))
    return [one["action"], local.number(one["runs"]), error, local.number(one.get("saved_s"), " s"), helped]
