"""A delegation's receipt, as the person reads it: outcome, files, gate, profile against forecast, advice."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from servers.durations import duration

from ...events import Appended
from ...sanitize import one_line
from ...types import Provenance, Usage, provenance

if TYPE_CHECKING:  # a conversation starts without them: making these models takes a tenth of that time
    from servers.ollama.ledger.profile import Profile
    from servers.ollama.ledger.receipt import FileChanged, Forecasted, Receipt

MAX_ANSWER_LINES = 40
MAX_DIFF_LINES = 40
_LONG_S = 100.0
"""From here on people say minutes."""


def receipt_in(text: str) -> Receipt | None:
    """The receipt a tool's text is; None when it is something else."""
    if not text.startswith("{"):
        return None
    from pydantic import ValidationError

    from servers.ollama.ledger.receipt import Receipt

    try:
        return Receipt.model_validate_json(text)
    except ValidationError:
        return None


def answer_in(receipt: Receipt) -> str:
    """What the worker said, without the fences that keep a model from taking it for instructions."""
    return _unfenced(receipt.answer or "")


def speaker_name(receipt: Receipt) -> str:
    """Whose words a receipt carries: the worker and its model, `scripted` where nobody computed them."""
    made_up = "scripted " if (receipt.note or "").startswith("scripted") else ""
    return f"worker {made_up}{one_line(receipt.model or 'unknown', 60)}"


def receipt_lines(receipt: Receipt) -> list[tuple[str, str]]:
    """(text, style) of every line but the answer's: verdict, profile, forecast, advice."""
    good = receipt.outcome in ("accepted", "answered")
    end = " ".join(filter(None, [receipt.outcome, f"({one_line(receipt.reason)})" if receipt.reason else ""]))
    changed = ", ".join(f"{one_line(f.path)} {_changed(f)}" for f in receipt.files)
    first = [end, *([changed] if changed else []), _verdict(receipt)]
    if receipt.delegation:
        first.append(f"job {receipt.delegation}")
    lines = [(" · ".join(part for part in first if part), "green" if good else "yellow")]
    lines += [
        (
            f"before: {one_line(one.model, 60)} {one.outcome}{f': {one_line(one.why, 300)}' if one.why else ''}",
            "dim",
        )
        for one in receipt.tried
        if one.model != receipt.model
    ]
    for check in receipt.gate.checks if receipt.gate else ():
        if check.passed is False:
            lines.append((f"gate {one_line(check.gate, 60)} failed: {one_line(check.note, 300)}", "red"))
    if receipt.profile:
        lines.append((_profile(receipt.profile), ""))
    if receipt.forecast and (said := _forecast(receipt.forecast)):
        lines.append((said, ""))
    if receipt.cost_usd is not None:
        lines.append((f"cost: {money(receipt.cost_usd)}", ""))
    if receipt.chosen:
        lines.append((one_line(receipt.chosen, 200), "dim"))
    lines += [(f"advice: {one_line(advice.say, 300)}", "cyan") for advice in receipt.advice[:5]]
    if receipt.note:
        lines.append((one_line(receipt.note, 200), "dim"))
    return lines


def diff_lines(receipt: Receipt) -> list[tuple[str, str]]:
    """(text, style) of the change it made, cut after MAX_DIFF_LINES."""
    lines = diff_text(receipt).split("\n") if receipt.diff else []
    styles = {"+": "green", "-": "red", "@": "cyan"}
    shown = [(line, styles.get(line[:1], "dim")) for line in lines[:MAX_DIFF_LINES]]
    cut = len(lines) - MAX_DIFF_LINES
    return [*shown, (f"... {cut:,} more lines", "dim")] if cut > 0 else shown


def diff_text(receipt: Receipt) -> str:
    return _unfenced(receipt.diff or "").rstrip("\n")


def money(usd: float | None) -> str:
    """To a hundredth of a cent, and never something as nothing."""
    if usd is None:
        return "unknown"
    return "$0" if usd == 0 else f"${usd:.4f}" if usd >= 0.0001 else "<$0.0001"


def usage_text(usage: Usage, seconds: float | None, *, made: Provenance = "measured") -> str:
    """Tokens, seconds and money in one line; what was not reported is left out, an unknown cost is said."""
    named = "" if made == "measured" else " measured"
    parts = [
        _tokens(usage.input_tokens, usage.cached_tokens, "in"),
        _tokens(usage.output_tokens, usage.thinking_tokens, "out", "thinking"),
        _seconds(usage, made),
        f"{_tenths(seconds)}{named}" if seconds is not None else "",
        _cost(usage),
    ]
    return ", ".join(part for part in parts if part)


def made_of(event: Appended) -> Provenance:
    """How the seconds in its usage came to be."""
    return provenance(recorded=event.recorded, simulated=event.simulated)


def _cost(usage: Usage) -> str:
    if usage.cost_usd is not None:
        return money(usage.cost_usd)
    return "" if usage.output_tokens is None else "cost unknown"


def _unfenced(text: str) -> str:
    fenced = re.fullmatch(r"<<data (\w+) [^\n]*>>\n(.*)<<end \1>>\n?", text, re.DOTALL)
    return fenced[2] if fenced else text


def _seconds(usage: Usage, made: Provenance) -> str:
    """Where a local run's time went, marked when these seconds were not measured now."""
    named = {
        "queue": usage.queue_s,
        "load": usage.load_s,
        "prompt": usage.prefill_s,
        "answer": usage.decode_s,
    }
    known = {name: value for name, value in named.items() if value is not None}
    spent = " + ".join(
        f"{name} {value:.1f}" for name, value in known.items() if value >= 0.05 or name == "answer"
    )
    mark = "" if made == "measured" else f" ({made})"
    if usage.total_s is not None and made == "recorded":
        return f"{_tenths(usage.total_s)}{f' = {spent}' if spent else ''}{mark}"
    return f"{spent} s{mark}" if spent else ""


def _tenths(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _LONG_S else duration(seconds)


def _tokens(count: int | None, part: int | None, word: str, part_word: str = "cached") -> str:
    if count is None:
        return ""
    return f"{count:,} tokens {word}" + (f" ({part:,} {part_word})" if part else "")


def _changed(file: FileChanged) -> str:
    counts = [
        f"+{file.added}" if file.added is not None else "",
        f"-{file.removed}" if file.removed is not None else "",
    ]
    return "/".join(count for count in counts if count)


def _verdict(receipt: Receipt) -> str:
    if receipt.gate is None:
        return ""
    names = ", ".join(one_line(check.gate, 60) for check in receipt.gate.checks)
    verdict = {True: "passed", False: "failed", None: "nothing checked"}[receipt.gate.passed]
    return f"gate {names + ': ' if names else ''}{verdict}"


def _profile(p: Profile) -> str:
    mark = " (recorded)" if p.recorded else " (simulated)" if p.simulated else ""
    total = _took(p.total_s) if p.total_s is not None else "unknown time"
    spent = [
        ("queue", p.queue_s, ""),
        ("load", p.load_s, ""),
        ("prompt", p.prefill_s, _rate(p.tokens_in, p.tokens_cached, p.prefill_tokens_per_s)),
        ("answer", p.decode_s, _rate(p.tokens_out, None, p.decode_tokens_per_s)),
    ]
    parts = " + ".join(
        f"{name} {_plain(seconds, seconds)}{detail}" for name, seconds, detail in spent if seconds is not None
    )
    return f"profile: {total}{mark}{f' = {parts}' if parts else ''}"


def _rate(tokens: int | None, cached: int | None, rate: float | None) -> str:
    parts = [
        f"{tokens:,} tokens" if tokens is not None else "",
        f"{cached:,} cached" if cached else "",
        f"{rate:,.0f}/s" if rate is not None else "",
    ]
    said = ", ".join(part for part in parts if part)
    return f" ({said})" if said else ""


def _forecast(f: Forecasted) -> str:
    if f.total_s is None:
        return ""
    interval = (
        f" (90 %: {_plain(f.low_s, f.high_s)} to {_plain(f.high_s, f.high_s)})"
        if f.low_s is not None and f.high_s is not None
        else ""
    )
    behind = f" from {f.runs} run{'' if f.runs == 1 else 's'}"
    off = f"; {_missed(f.error, f.error_given_length)}" if f.error is not None else ""
    return f"forecast: {_took(f.total_s)}{interval}{behind}{off}"


def _missed(error: float, given_length: float | None) -> str:
    """By how much the forecast was too high or too low, and what of that is not the answer's length."""
    if given_length is None:
        return _too(error)
    return f"{_too(error)}, {_too(given_length)} once the answer's length is known"


def _too(error: float) -> str:
    share = round(abs(error) * 100)
    return "exact" if share == 0 else f"{share:,} % too {'high' if error > 0 else 'low'}"


def _took(seconds: float) -> str:
    return f"{_short(seconds)} s" if seconds < _LONG_S else duration(seconds)


def _plain(seconds: float, beside: float) -> str:
    """Seconds without their unit, unless what stands beside them is minutes."""
    return _short(seconds) if beside < _LONG_S else duration(seconds)


def _short(seconds: float) -> str:
    """To a tenth, and below a second as far as it says something: for small models on fast machines."""
    return f"{seconds:.2g}" if 0.001 <= seconds < 1 else f"{seconds:.1f}"
