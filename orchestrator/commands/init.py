"""Put the four servers into an MCP host's configuration, print what belongs there, or take them out again. What else
stands in the file stays as it was written."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..hosts.table import HOSTS

EXAMPLES = """\
examples:
  understudy init --host claude-desktop --root ~/projects/shop          print what belongs into its file
  understudy init --host vscode --write
  understudy init --host codex --write --name shop                      several projects beside each other
  understudy init --host zed --write --replace                          overwrite entries of the same names
  understudy init --host codex --remove --name shop

OLLAMA_HOST, OLLAMA_BASE_URL and UNDERSTUDY_HOME are written into the entries where they are set: many hosts pass no
variables on to their servers. `understudy doctor --host NAME` starts the servers as that host would.
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", required=True, choices=sorted(HOSTS), metavar="NAME", help=", ".join(sorted(HOSTS))
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR", help="the folder to work in (default: here)"
    )
    parser.add_argument("--name", metavar="NAME", help="call the servers NAME-files, NAME-shell and so on")
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="the policy file that decides on commands, for the servers",
    )
    parser.add_argument(
        "--allow-remote", action="store_true", help="let OLLAMA_HOST name another machine: files go there"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--write", action="store_true", help="put it into the host's file; what stands there stays"
    )
    what.add_argument("--remove", action="store_true", help="take our servers out of the host's file")
    parser.add_argument(
        "--replace", action="store_true", help="with --write: overwrite entries of these names"
    )


def run(options: argparse.Namespace) -> int:
    from ..hosts.install import install, remove, servers, shown

    root = options.root.expanduser().resolve()
    if not root.is_dir():
        raise ConfigError(f"--root: {root} is not a folder")
    if options.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", options.name):
        raise ConfigError(f"--name: wanted letters, digits, - and _, at most 31, found {options.name!r}")
    policy = options.policy and options.policy.expanduser().resolve()
    if policy is not None and not policy.is_file():
        raise ConfigError(f"--policy: there is no file {policy}")
    host, wanted = (
        HOSTS[options.host],
        servers(root, name=options.name, policy=policy, allow_remote=options.allow_remote),
    )
    if options.remove:
        path, gone = remove(host, root, list(wanted))
        said = f"{path} no longer starts {', '.join(gone)}"
        said += "." if path.exists() else "; nothing else stood in it, so it is gone."
        said = said if gone else f"{path} starts none of our servers."
        sys.stdout.write(said + "\n")
    elif options.write:
        path = install(host, root, wanted, replace=options.replace)
        sys.stdout.write(f"{path} now starts {', '.join(wanted)}. {host.after}\n")
        _say_what_will_not_start(options.allow_remote)
    else:
        sys.stdout.write(shown(host, root, wanted))
        sys.stderr.write(f"This belongs into {host.file(root)}; --write puts it there. {host.after}\n")
        _say_what_will_not_start(options.allow_remote)
    return 0


def _say_what_will_not_start(allow_remote: bool) -> None:
    from servers.ollama.engines.address import address_of
    from servers.protocol.access import is_loopback

    try:
        host = urlsplit(address_of().url).hostname or ""
    except ValueError as exc:
        sys.stderr.write(f"The ollama server will not start: {exc}\n")
        return
    if not is_loopback(host) and not allow_remote:
        sys.stderr.write(
            f"The ollama server will not start: its models would run on {host}, and files would go there; "
            "--allow-remote permits it\n"
        )
