"""Run one endpoint for clients that can set only a base URL: the model's name says who answers, and what runs here is
profiled, kept in the ledger and in the journal."""

from __future__ import annotations

import argparse
import os
import sys

import anyio

from servers.durations import duration

from ..errors import ConfigError
from ..events import Event, Foreseen, Notice, Switched
from . import options as common

EXAMPLES = """\
It speaks Anthropic Messages (/v1/messages), OpenAI Chat Completions and Responses (/v1/chat/completions, /v1/responses)
and Ollama's API (/api/chat, /api/generate, /api/tags). A model of the wire's own vendor (claude-*, gpt-*) goes on to
the vendor with the caller's own key; ollama:*, groups and aliases of config.yaml run here, within its budget.

examples:
  understudy gateway
  ANTHROPIC_BASE_URL=http://127.0.0.1:11500 CLAUDE_CODE_SUBAGENT_MODEL=ollama:qwen3:8b claude
  understudy gateway --route 'claude-haiku-*=ollama:qwen3:8b'    the small model of a client runs here
  OPENAI_BASE_URL=http://127.0.0.1:11500/v1 OPENAI_API_KEY=none some-client --model ollama:qwen3:8b
  OLLAMA_HOST=127.0.0.1:11500 ollama run qwen3:8b
  UNDERSTUDY_GATEWAY_TOKEN=... understudy gateway --host 0.0.0.0

exit codes: 0 ended by SIGTERM, 2 the address cannot be used or a route leads nowhere, 130 ended by Ctrl-C
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="listen here; other than loopback it wants a token"
    )
    parser.add_argument("--port", type=_port, default=11500, help="0 takes a free one (default: 11500)")
    parser.add_argument(
        "--route",
        action="append",
        default=[],
        metavar="PATTERN=MODEL",
        help="answer models of these names with MODEL; the first that fits counts",
    )
    parser.add_argument(
        "--max-answer", type=int, metavar="N", help="the longest answer of a local model, in tokens"
    )
    parser.add_argument("--no-keep", action="store_true", help="keep no conversations")
    common.add_budget(parser)
    common.add_config(parser)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"wants a port from 0 to 65535, found {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    import signal

    from ..gateway.gateway import MAX_TOKENS
    from ..gateway.serving import listener, serving
    from ..terminal.display import Display

    config = common.config_of(options)
    token = os.environ.get("UNDERSTUDY_GATEWAY_TOKEN") or None
    display = Display(settings=config.display)

    def show(event: Event) -> None:
        if isinstance(event, Foreseen) and event.total_s is not None:
            event = Notice(text=_forecast(event))
        if isinstance(event, Notice | Switched):
            display(event)

    async with serving(
        config,
        listener(options.host, options.port, token),
        token=token,
        routes=[_route(written) for written in options.route],
        max_tokens=options.max_answer or MAX_TOKENS,
        keep=not options.no_keep,
        emit=show,
    ) as url:
        sys.stdout.write(f"the gateway listens at {url}\n")
        sys.stdout.flush()
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                break
    return 0


def _forecast(event: Foreseen) -> str:
    bounds = (
        "" if event.low_s is None else f" (90 %: {duration(event.low_s)} to {duration(event.high_s or 0)})"
    )
    waits = f", once {event.waiting_for} is done" if event.waiting_for else ""
    return f"the call that began takes about {duration(event.total_s or 0)}{bounds}{waits}"


def _route(written: str) -> tuple[str, str]:
    pattern, equals, model = written.partition("=")
    if not (equals and pattern and model):
        raise ConfigError(f"--route: wanted PATTERN=MODEL, found {written!r}")
    return pattern, model
