"""Commands about models: which one answers, which there are, what they cost, how fast they were."""

from __future__ import annotations

from typing import cast, get_args

from ...errors import ConfigError
from ...events import Switched
from ...store.costs import By, spent, total
from ..screen.receipt_view import money, usage_text
from .conversation import Conversation


async def model(talk: Conversation, rest: str) -> None:
    if not rest:
        talk.say(talk.model or "no model is chosen; /models lists what there is")
        return
    new, old = talk.session.agent(rest).model, talk.model
    talk.model = new
    talk.emit(Switched(old=old or "none", new=new))


async def models(talk: Conversation, rest: str) -> None:
    talk.listed = await talk.session.models()
    if not talk.listed:
        talk.say(
            "no provider answered; set a key, for example ANTHROPIC_API_KEY, or start Ollama; `understudy doctor` tells how"
        )
    for provider, models in talk.listed.items():
        for model in models:
            if rest in f"{provider}:{model}":
                talk.say(f"{provider}:{model}")


async def cost(talk: Conversation, rest: str) -> None:
    if rest:
        _bill(talk, rest)
        return
    if not talk.recorder.spent:
        talk.say("nothing was spent yet")
    for model, usage in talk.recorder.spent.items():
        talk.say(f"{model}: {usage_text(usage, None) or 'nothing reported'}")


def _bill(talk: Conversation, by: str) -> None:
    """Of all conversations together."""
    if by not in get_args(By):
        raise ConfigError(f"/cost counts by {', '.join(get_args(By))}, found {by!r}")
    lines = spent(talk.kept().database, cast(By, by))
    for line in [*lines, total(lines)] if by != "label" else lines:
        unknown = f" and {line.unknown_calls} of unknown cost" if line.unknown_calls else ""
        talk.say(f"{line.key or '(none)'}: {line.calls} calls, {money(line.cost_usd)}{unknown}")


async def profile(talk: Conversation, rest: str) -> None:
    found = await talk.session.call_tool("ollama", "profile", {"model": rest} if rest else {})
    if found.is_error:
        raise ConfigError(found.text)
    talk.display.show_output("measured runs", found.text)
