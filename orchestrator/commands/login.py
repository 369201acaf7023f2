"""Sign in to a server at an address: its page opens in a browser, and what it gives stays in the state folder."""

from __future__ import annotations

import argparse
import sys
import webbrowser

import anyio

from ..errors import ConfigError, OrchestratorError, first_of
from ..sanitize import one_line
from . import options as common

EXAMPLES = """\
examples:
  understudy login linear
  understudy login linear --no-browser       print the address; the browser has to run on this machine
  understudy login linear --forget           sign out: what it gave is deleted

exit codes: 0 signed in, or nothing has to be signed in to; 1 it did not work
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="its name in mcp.json or config.yaml")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--forget", action="store_true", help="delete what the server gave")
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(signed_in, options)


async def signed_in(options: argparse.Namespace) -> int:
    from ..mcp_client.launch import Launch
    from ..mcp_client.sign_in import forget, sign_in

    config = common.only(common.config_of(options), [options.server])
    launch = Launch(**config.servers[options.server].launch())
    if launch.url is None:
        raise ConfigError(f"{options.server} is a program; only servers at an address are signed in to")
    if options.forget:
        gone = forget(launch)
        sys.stdout.write(f"{'signed out of' if gone else 'nothing is kept of'} {options.server}\n")
        return 0

    async def opened(address: str) -> None:
        sys.stderr.write(f"Sign in to {options.server} at\n  {one_line(address, 4000)}\n")
        if not options.no_browser:
            await anyio.to_thread.run_sync(webbrowser.open, address)

    try:
        tools = await sign_in(options.server, launch, opened)
    except Exception as exc:
        raise OrchestratorError(f"{options.server}: {one_line(str(first_of(exc)), 300)}") from exc
    sys.stdout.write(f"{options.server} offers {tools} tools\n")
    return 0
