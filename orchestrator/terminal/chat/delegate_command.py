"""`/delegate`: one task to a worker, with files and a ladder, by the path that a lead's own delegations take."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from servers.ollama.ledger.runs import DELIVERED

from ...config.pattern_parameters import settings_of
from ...errors import ConfigError
from ...events import Journaled
from ...patterns import Ask, Outcome, Response
from ...patterns.recorded import recorded
from ...session.delegation import shown_delegation
from ...session.ladder import vendor_model
from ...session.panels import run_pattern
from ...store.resumable import OUTCOME
from ...types import Usage
from ..screen.receipt_view import answer_in, receipt_lines
from .conversation import Conversation
from .mentions import named_files


async def delegate(talk: Conversation, rest: str) -> None:
    """The first model does it; those behind its commas are asked in turn where it fails, models of vendors last."""
    names, _, task = rest.partition(" ")
    model, *ladder = [name for name in names.split(",") if name] or [""]
    task = task.strip()
    if not model or not task:
        raise ConfigError(
            "/delegate wants a model and a task, as /delegate qwen3:8b Sum up @notes.md;"
            " models behind a comma are asked where it fails"
        )
    files, notes = named_files(task, Path(talk.config.folder))
    for note in notes:
        talk.say(note)
    if "ollama" in talk.session.hosted and (ladder or files or vendor_model(talk.session, model) is None):
        more = {key: value for key, value in (("ladder", ladder), ("files", files)) if value}
        await _handed_over(talk, {"task": task, "model": _own(talk, model), **more})
    elif ladder or files:
        raise ConfigError("a ladder, and files, want the ollama server, and none is configured")
    else:
        asked = settings_of({"use": "ask", "model": model, "role": "worker"})
        await run_pattern(talk.session, asked, task, name="delegate")


def _own(talk: Conversation, model: str) -> str:
    """As the ollama server names it; a name that is nobody's is refused here, with those there are. Raises ConfigError."""
    if model == "auto":
        return model
    return talk.config.resolve(model, talk.session.wired.names()).removeprefix("ollama:")


async def _handed_over(talk: Conversation, order: Mapping[str, Any]) -> None:
    from servers.ollama.ledger.receipt import Receipt

    task, key = str(order["task"]), secrets.token_hex(4)

    async def work(ask: Ask) -> Outcome:
        receipt = Receipt.model_validate(await shown_delegation(talk.session, order))
        done, profile = receipt.outcome in DELIVERED, receipt.profile
        model = receipt.model or str(order["model"])
        said = answer_in(receipt).rstrip() or "\n".join(text for text, _ in receipt_lines(receipt))
        why = receipt.reason or receipt.outcome
        answer = Response(
            agent="worker",
            model=model,
            step="answer",
            text=said if done else "",
            error=None if done else why,
            usage=Usage(
                input_tokens=profile and profile.tokens_in,
                output_tokens=profile and profile.tokens_out,
                cost_usd=receipt.cost_usd,
            ),
            seconds=(profile and profile.total_s) or 0.0,
        )
        outcome = Outcome(
            pattern="delegate",
            question=task,
            text=answer.text,
            error=None if done else f"{model}: {why}",
            reason=f"{receipt.outcome} by {model}" if done else "",
            responses=(answer,),
            run=key,
        )
        talk.session.emit(Journaled(run=key, key=OUTCOME, value=outcome.as_json()))
        return outcome

    await recorded("delegate", task, work, ask=talk.session.ask, emit=talk.session.emit, key=key)
