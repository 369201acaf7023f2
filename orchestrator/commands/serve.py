"""Offer patterns, or Python functions, as tools to any MCP host, over stdio. A host starts this command.

Without --tools the patterns: ask, consult, vote, refine, debate, route, plan. With it the functions alone, or both.
"""

from __future__ import annotations

import argparse

from . import options as common

EXAMPLES = """\
In mytools.py:

  from orchestrator import tool

  @tool
  def say_hello(name: str) -> str:
      "Greet somebody."
      return f"Hello {name}!"

examples:
  understudy serve                                   the patterns, with the models of this folder's configuration
  claude mcp add panel -- understudy serve
  understudy serve --tools mytools
  understudy serve --tools mytools:say_hello --tools other/place.py
  claude mcp add hello -- understudy serve --tools /home/me/mytools.py
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tools",
        action="append",
        default=[],
        metavar="MODULE[:FUNCTION]",
        help="a module's tools, or one function; file.py does as well; repeatable",
    )
    parser.add_argument("--patterns", action="store_true", help="the patterns beside the functions")
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=["debug", "info", "warning", "error"],
        help="what goes to stderr (default: %(default)s)",
    )
    parser.add_argument(
        "--http",
        metavar="[HOST:]PORT",
        help="answer over streamable HTTP; beyond loopback with the token in UNDERSTUDY_TOKEN",
    )
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    from servers.protocol import lifecycle

    from ..function_tools.load import load_tools

    lifecycle.configure_logging(options.log_level)
    tools = [one for spec in options.tools for one in load_tools(spec)]
    if tools and not options.patterns:
        from ..serve.functions import build

        lifecycle.serve(build(tools), http=options.http)
    from ..serve.patterns import build as build_patterns

    lifecycle.serve(build_patterns(common.config_of(options), tools), http=options.http)
