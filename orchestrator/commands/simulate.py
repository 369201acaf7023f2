"""Run a simulated Ollama on loopback: three models with made-up speeds, noise and load times, to try everything on
without a model. It says simulated wherever its numbers show."""

from __future__ import annotations

import argparse

EXAMPLES = """\
Everything that speaks to Ollama can use it: --host http://127.0.0.1:11435 of our commands and understudy-ollama,
OLLAMA_HOST=127.0.0.1:11435 of any other client. Its runs are kept apart from those of real models.

examples:
  understudy simulate
  understudy simulate --port 0 --scale 0.1 --json
  understudy simulate --fault busy --fault cut         the first two requests meet these faults
  understudy delegate "Say hello." --host http://127.0.0.1:11435

exit codes: 0 ended by SIGTERM, 1 the port cannot be used, 130 ended by Ctrl-C
"""


def add(parser: argparse.ArgumentParser) -> None:
    from servers.ollama.simulator.cli import add_options

    add_options(parser)


def run(options: argparse.Namespace) -> int:
    from servers.ollama.simulator.cli import serve

    return serve(options)
