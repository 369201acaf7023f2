"""A ladder that goes on where no engine here helps: its last rungs are vendors' models, asked once the others failed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RunError
from ..types import Usage
from .session import Session

if TYPE_CHECKING:
    from servers.ollama.delegate.request import Order
    from servers.ollama.hosts.hosts import Hosts
    from servers.ollama.service import Service

Receipt = dict[str, Any]
NEXT = ("escalate", "refused")
"""Outcomes after which the next rung is due."""
TOKENS = ("tokens_in", "tokens_cached", "tokens_out")
SLOTS = 8
"""Calls of one vendor's model at a time."""


def parted(session: Session, order: Mapping[str, Any]) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """What the ollama server is asked, None where nothing is, and the vendors' models that are asked after it, in full.

    Raises ConfigError where a model of Ollama stands behind one of a vendor.
    """
    names = [str(order.get("model") or "auto"), *map(str, order.get("ladder") or ())]
    vendors = [vendor_model(session, name) for name in names]
    first = next((place for place, found in enumerate(vendors) if found), len(names))
    later = [name for name, found in zip(names, vendors, strict=True) if not found][first:]
    if later:
        raise ConfigError(
            f"{later[0]} stands behind {names[first]} in the ladder; models of Ollama are tried first, "
            "those of vendors last"
        )
    asked = tuple(found for found in vendors if found)
    if not first:
        return None, asked
    own = [name.removeprefix("ollama:") for name in names[:first]]
    return {**order, "model": own[0], "ladder": own[1:]}, asked


def vendor_model(session: Session, name: str) -> str | None:
    """The full name of a model that the ollama server does not run; None of one that it may."""
    known = session.wired.names()
    try:
        full = session.config.resolve(name, known)
    except ConfigError:
        return None  # "auto", or a name that the server will say it does not know
    return None if full.partition(":")[0] == "ollama" else full


async def climbed(
    session: Session, order: Mapping[str, Any], model: str, before: Mapping[str, Any] | None
) -> tuple[Receipt, Usage]:
    """The receipt of `order` carried out by `model`, a vendor's, as the ollama server would: gated and profiled, and with
    its price as `cost_usd`, None where nobody knows it; and what the model used. `before`: the receipt of the rungs that
    failed.

    Raises RunError where it cannot work at all.
    """
    from servers.ollama.delegate.jobs import Progress as Doing
    from servers.ollama.hosts.host import hosts_on
    from servers.ollama.hosts.hosts import Hosts
    from servers.ollama.ledger.receipt import told
    from servers.output import ToolError

    from .vendor_engine import VendorEngine

    engine = VendorEngine(session, model, order.get("max_output"))
    try:
        service = _service(session, Hosts(hosts_on([("", engine, SLOTS, None)])))
        try:
            asked = _order(order, model, before or {})
            receipt = await service.delegator.delegate(asked, Doing(delegation=secrets.token_hex(4)))
        finally:
            service.close()
    except (ToolError, ValueError) as exc:
        raise RunError(str(exc)) from exc
    found: Receipt = json.loads(told(receipt))
    earlier = (before or {}).get("cost_usd", 0.0)
    cost = None if earlier is None or engine.cost_usd is None else earlier + engine.cost_usd
    own = [
        {key: value for key, value in one.items() if key not in TOKENS} for one in found.get("tried") or ()
    ]
    tried = [
        *((before or {}).get("tried") or ()),
        *own,
    ]  # tokens of a vendor's stand in the runs of its engine
    return {**found, "tried": tried, "cost_usd": cost}, engine.usage


def _order(order: Mapping[str, Any], model: str, before: Mapping[str, Any]) -> Order:
    """The order as the delegator takes it; what failed before is told the model. Raises ToolError."""
    from servers.ollama.delegate.request import Order
    from servers.ollama.gates.gates import parse_gates

    context = str(order.get("context") or "")
    if before.get("outcome") == "escalate" and (why := before.get("reason")):
        context = f"{context}\nAn earlier answer was not accepted: {why[:500]}".strip()
    return Order(
        task=str(order["task"]),
        model=model,
        files=tuple(order.get("files") or ()),
        write=order.get("write") or None,
        gates=parse_gates(order.get("gate"), order.get("schema")),
        deadline_s=order.get("deadline_s"),
        max_output=order.get("max_output"),
        think=bool(order.get("think")),
        context=context,
        asked_by="understudy",
    )


def _service(session: Session, hosts: Hosts) -> Service:
    """The ollama server's parts in this process, in its folders and under its rules, on these hosts."""
    from servers.ollama.command_line import arguments, opened

    configured = session.config.servers["ollama"]
    try:
        given = arguments().parse_args(list(configured.args))
    except SystemExit as exc:
        raise ConfigError(
            "a vendor's model works as the ollama server does, whose arguments are wrong"
        ) from exc
    folder = Path(configured.cwd)
    given.root = [str(folder / root) for root in given.root]
    given.policy = folder / given.policy if given.policy else None
    return opened(given, hosts)
