"""Ask several models the same and compare speed, first token, cost, memory and failures."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import ConfigError
from ..terminal.screen.receipt_view import money
from . import options as common
from .local import number, table

if TYPE_CHECKING:
    from ..config.load import Config
    from ..providers.bench import Summary, Trial

EXAMPLES = """\
Every call goes out once: nothing is retried and nothing comes from a cache. Figures are medians of the answers,
seconds by our clock.

examples:
  understudy bench ollama:qwen3:8b,anthropic:claude-haiku-4-5 "Name three birds."
  understudy bench ollama:qwen3:8b,ollama:qwen3:1.7b - --repeat 5 --warm < prompt.txt
  understudy bench openai:gpt-5-mini,ollama:qwen3:8b "Name three birds." --json | jq '.models[].seconds'

exit codes: 0 a model answered, 1 none did
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODELS", help="provider:model or aliases, with commas between")
    parser.add_argument("prompt", help="what to ask; '-' reads standard input")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="ask each model N times")
    parser.add_argument("--warm", action="store_true", help="ask each once before, without counting it")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="cap of each answer")
    parser.add_argument("--system", default="", metavar="TEXT", help="a system prompt")
    parser.add_argument("--answers", action="store_true", help="print each model's first answer too")
    common.add_budget(parser)
    common.add_label(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise ConfigError('the prompt is empty; say what to ask, for example "Name three birds."')
    if not 1 <= options.repeat <= 1000:
        raise ConfigError(f"--repeat: wanted 1 to 1000, found {options.repeat}")
    return anyio.run(_run, options, common.config_of(options), prompt)


async def _run(options: argparse.Namespace, config: Config, prompt: str) -> int:
    from ..providers.bench import summaries

    trials: list[Trial] = await _trials(options, config, prompt)
    compared = summaries(trials)
    answered = any(one.failed < one.attempts for one in compared)
    if options.json:
        counted = [_without_nothing(asdict(trial)) for trial in trials if trial.attempt]
        listed = [asdict(one) for one in compared]
        common.print_json({"prompt": prompt, "models": listed, "trials": counted}, ok=answered)
    else:
        sys.stdout.write(table([_HEAD, *map(_row, compared)]))
        for one in compared:
            if one.provenance != "measured":
                sys.stdout.write(f"the figures of {one.model} are {one.provenance}, not measured\n")
            sys.stdout.write("".join(f"{one.model} failed: {error}\n" for error in one.errors))
        if options.answers:
            sys.stdout.write(_answers(trials))
    return 0 if answered else 1


async def _trials(options: argparse.Namespace, config: Config, prompt: str) -> list[Trial]:
    from ..providers import Provider, split
    from ..providers.bench import bench
    from ..session.session import open_session
    from ..types import Request, user

    trials: list[Trial] = []
    async with open_session(config.model_copy(update={"servers": {}})) as session:
        asked: dict[str, tuple[Provider, dict[str, Any]]] = {}
        for spec in filter(None, (word.strip() for word in options.models.split(","))):
            agent = session.agent(spec, name="bench")
            asked[agent.model] = (await session.wired.single(split(agent.model)[0]), dict(agent.settings))
        if not asked:
            raise ConfigError("no model is named; write for example ollama:qwen3:8b,openai:gpt-5-mini")
        for model, (provider, settings) in asked.items():
            request = Request(model=model, messages=(user(prompt),), system=options.system, **settings)
            tries = bench({model: provider}, request, attempts=options.repeat, warm=options.warm)
            async for trial in tries:
                trials.append(trial)
                _progress(f"{model}: {trial.attempt} of {options.repeat}")
    _progress("")
    return trials


_HEAD = ["model", "answers", "seconds", "from-to", "first token", "tok/s", "tokens", "load", "cost", "memory"]


def _row(one: Summary) -> list[str]:
    span = "-" if one.attempts - one.failed < 2 else f"{number(one.fastest_s)}-{number(one.slowest_s)}"
    return [
        one.model,
        f"{one.attempts - one.failed} of {one.attempts}",
        number(one.seconds, " s"),
        span,
        number(one.first_token_s, " s"),
        number(one.tokens_per_s),
        number(one.output_tokens),
        number(one.load_s, " s"),
        money(one.cost_usd),
        "-" if one.memory_bytes is None else f"{one.memory_bytes / 1e9:.1f} GB",
    ]


def _answers(trials: list[Trial]) -> str:
    from ..sanitize import visible

    firsts = {trial.model: trial.text for trial in reversed(trials) if trial.attempt and trial.error is None}
    return "".join(f"\n{trial}\n{visible(text)}\n" for trial, text in reversed(firsts.items()))


def _without_nothing(record: dict[str, Any]) -> dict[str, Any]:
    usage = {key: value for key, value in record["usage"].items() if value is not None}
    return record | {"usage": usage}


def _progress(message: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{message[:100]}")
        sys.stderr.flush()
