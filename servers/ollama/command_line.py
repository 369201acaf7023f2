"""The command line of the ollama server, and what it opens: for the server itself, batches and vendors' rungs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from ..protocol.command_line import parser
from ..shell.policy.rules import BUILT_IN, load
from ..workspace import Workspace
from .engines.open import FORMS, open_runtime
from .engines.protocol import EngineError, Runtime
from .hosts.host import hosts_on
from .hosts.hosts import Hosts
from .hosts.settings import HostSettings, are_configured, hosts_named
from .service import Service


def arguments() -> ArgumentParser:
    """The command line of understudy-ollama."""
    args = parser(
        "ollama",
        "An MCP server that hands tasks to local models: files in by path, checked receipts out.",
        FORMS,
    )
    args.add_argument("root", nargs="*", default=["."], help="folders the models may work on (default: .)")
    args.add_argument(
        "--host",
        action="append",
        default=[],
        dest="hosts",
        metavar="[NAME=]ENGINE",
        help="where the models run; repeatable: auto then chooses the host as well",
    )
    args.add_argument("--allow-remote", action="store_true", help="permit an engine on another machine")
    args.add_argument(
        "--policy", type=Path, metavar="FILE", help="the shell server's policy, for gate commands"
    )
    args.add_argument("--read-only", action="store_true", help="let nothing be written")
    args.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="GLOB",
        help="let secret or protected places that match be read and written; may be repeated; never .git",
    )
    return args


def opened(given: Namespace, hosts: Hosts | None = None) -> Service:
    """What a parsed command line asks for, on these hosts or on those that it names; no engine is started yet.

    Raises EngineError and ValueError.
    """
    policy = load(given.policy) if given.policy else BUILT_IN
    workspace = Workspace(given.root, read_only=given.read_only, allow=given.allow)
    if hosts is None:
        allow_remote = given.allow_remote or are_configured(given.hosts)
        hosts = opened_hosts(hosts_named(given.hosts), allow_remote)
    return Service.open(workspace, hosts, policy)


def opened_hosts(named: Mapping[str, HostSettings], allow_remote: bool) -> Hosts:
    """No engine is started yet. Raises EngineError, naming the host where there are several."""
    engines = list[tuple[str, Runtime, int, float | None]]()
    for name, one in named.items():
        try:
            runtime = open_runtime(one.address or None, allow_remote=allow_remote, key=one.key)
        except EngineError as exc:
            raise EngineError(f"the host {name}: {exc}" if name else str(exc)) from exc
        engines.append((name, runtime, one.slots, one.usd_per_hour))
    return Hosts(hosts_on(engines))
