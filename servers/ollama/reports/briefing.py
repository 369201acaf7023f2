"""What a lead should know before it hands work over: the resources and the prompt of the ollama server."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ...output import ToolError
from .overview import ModelSeen, Overview

MAX_MODELS = 8
MAX_KINDS = 3

OFFLOAD = """You can hand work to local models through the ollama server's tools. They are private and free, slower \
than you, and less able; their speed here is measured.
- Hand over bulk: reading many files, extracting, summarising, drafting, mechanical edits. Keep what needs judgement, \
and what is quicker said than handed over.
- Name files by path. The server reads and writes them; their content never passes through you.
- One task, one deliverable, said completely: the worker sees only the task, the files and `context`.
- Let a gate check it: "quotes" for reading, {"command": "..."} or "tests" for code, {"max_changed_lines": n} for \
edits. Trust "accepted"; look at "written" and "answered" yourself.
- Use estimate when time matters, delegate_map for many files, a ladder when the small model may fail.
- Read the receipt's advice: its `call` holds the arguments of the next call and can be sent as it stands.
- Rate what you used: rate(run, good|revised|rejected). It decides which model is chosen next time."""


@dataclass(slots=True, kw_only=True)
class Briefing:
    """Texts made from what is known now."""

    overview: Overview

    async def text(self) -> str:
        """Which models are here and what they are good and fast at, in under 600 tokens."""
        try:
            seen = await self.overview.models()
        except ToolError as exc:
            return f"No local model can be used now: {exc}"
        lines = [f"Local models on {seen.engine}:"]
        lines += [_line(model) for model in seen.models[:MAX_MODELS]]
        if len(seen.models) > MAX_MODELS:
            lines.append(f"and {len(seen.models) - MAX_MODELS} more; list_models shows all")
        if seen.note:
            lines.append(f"Note: {seen.note}.")
        lines.append(
            "Odds are shares of runs whose gate passed. Name files by path; ask estimate before long work."
        )
        return "\n".join(lines)

    async def summary(self) -> str:
        """The ledger's totals as JSON."""
        try:
            profile = await self.overview.profile(None, None, 1)
        except ToolError as exc:
            return json.dumps({"error": str(exc)}, ensure_ascii=False)
        told = profile.model_dump(
            mode="json", include={"engine", "odds", "forecasts", "tokens_saved", "note"}
        )
        return json.dumps(told, ensure_ascii=False)


def _line(model: ModelSeen) -> str:
    size = f"{model.size_gb:.1f} GB" if model.size_gb else "size unknown"
    parts = [f"- {model.name} ({size}", f"context {model.context_length:,}" if model.context_length else ""]
    if model.leaves_machine:
        return f"- {model.name}: runs on another machine"
    kinds = sorted(model.odds, key=lambda odds: -odds.runs)[:MAX_KINDS]
    known = [f"{odds.kind} {odds.passed:.0%} of {odds.judged}" for odds in kinds if odds.passed is not None]
    told = f"; odds: {', '.join(known)}" if known else "; nothing judged yet"
    return ", ".join(part for part in parts if part) + f"): {model.speed}{told}"
