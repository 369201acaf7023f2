"""What models cost so far: by model, agent, label, day or conversation, and what delegating saved."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..sanitize import one_line
from . import options as common
from .local import table

if TYPE_CHECKING:
    from ..store.costs import Savings, Spent

EXAMPLES = """\
Every call of every model is written down as it ends, also of conversations that were deleted or not kept. A call
whose price nobody knows is counted as unknown, never as free.

examples:
  understudy cost
  understudy cost --by day --since 7d
  understudy cost --by label --since 2026-11-01
  understudy cost --by model --label team=red --json
  understudy cost --session last

budgets, in ~/.config/understudy/config.yaml:
  budget_usd: 1.00                       of one run of the program
  budget_usd_per_conversation: 2.00
  budget_usd_per_day: 5.00
  budget_usd_per_label: {team=red: 20.00}
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        choices=["model", "agent", "label", "day", "session"],
        default="model",
        help="one line for each of these (default: model)",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="only from then on: 7d, 12h, today, or a date such as 2026-11-01"
    )
    parser.add_argument("--session", metavar="ID", help="of this conversation alone; 'last' is the newest")
    common.add_label(parser, "only calls with this label; may be repeated")
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    from ..store.costs import savings, since_of, spent, total
    from ..store.store import Store

    since = since_of(options.since) if options.since is not None else 0.0
    prices = common.config_of(options).own_prices()
    store = Store()
    try:
        session = store.find(options.session).id if options.session else None
        labels = dict(options.label)
        lines = spent(store.database, options.by, since=since, labels=labels, session=session)
        whole = total(spent(store.database, "model", since=since, labels=labels, session=session))
        saved = savings(store.database, since=since, prices=prices, session=session) if not labels else None
    finally:
        store.close()
    if options.json:
        record = {"by": options.by, "lines": [asdict(line) for line in lines], "total": asdict(whole)}
        common.print_json(record | {"savings": saved and asdict(saved) | {"net_usd": saved.net_usd}})
    elif not lines:
        sys.stdout.write("nothing was spent in this time\n")
    else:
        sys.stdout.write(table([[options.by, *_HEAD], *map(_row, [*lines, whole])]))
        if saved and saved.delegations:
            sys.stdout.write(_said(saved))
    return 0


_HEAD = ["calls", "failed", "tokens in", "cached", "tokens out", "cost"]


def _row(line: Spent) -> list[str]:
    cost = f"${line.cost_usd:.4f}"
    if line.unknown_calls:
        all_unknown = line.unknown_calls == line.calls
        cost = "unknown" if all_unknown else f"{cost} and {line.unknown_calls} of unknown cost"
    figures = (line.input_tokens, line.cached_tokens, line.output_tokens)
    read, cached, written = (f"{figure:,}{'+' if line.uncounted_calls else ''}" for figure in figures)
    return [
        one_line(line.key, 60) or "(none)",
        f"{line.calls:,}",
        f"{line.failed:,}",
        read,
        cached,
        written,
        cost,
    ]


def _said(saved: Savings) -> str:
    unknown = f", {saved.unknown} without known tokens or prices left out" if saved.unknown else ""
    return (
        f"delegating: {saved.delegations} tasks ({saved.failed} failed{unknown}) would have cost the lead about"
        f" ${saved.would_have_cost_usd:.4f}; spent on it ${saved.spent_usd:.4f}; net saving ${saved.net_usd:.4f}\n"
    ).replace("$-", "-$")
