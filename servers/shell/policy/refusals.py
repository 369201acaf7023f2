"""Why a command does not run, and the line of a policy file that would let it."""

from __future__ import annotations

import re

from .judge import Decision, Finding
from .rules import BUILT_IN, NETWORK, Policy


def refusal(decision: Decision, policy: Policy) -> str:
    """Why a command does not run, and the line that would let it."""
    worst = decision.worst
    unruled = worst.rule == "default"
    what = f"not run: {worst.part!r}: {'no rule allows it' if unruled else worst.rule}"
    if decision.effect == "deny":
        return f"{what}. The policy ({policy.source}) denies it."
    return (
        f"{what}, so the policy ({policy.source}) asks the user first, and nobody can be asked here. "
        f"A policy file (--policy FILE) with {allowing_line(worst)} would allow it."
    )


def allowing_line(finding: Finding) -> str:
    """The line of a policy file that lets this through unasked."""
    name = rule_for(finding.part) if finding.rule == "default" else None
    return f'allow = ["{name}"]' if name else 'ask_fallback = "allow"'


def rule_for(part: str) -> str | None:
    """The narrowest rule for a command that reads like one: `git init`, but `rm`."""
    words = part.split(" ")
    several = {rule.split(" ")[0] for rule in BUILT_IN.contained | NETWORK if " " in rule}
    chosen = (
        words[:2] if words[0] in several and len(words) > 1 and not words[1].startswith("-") else words[:1]
    )
    return " ".join(chosen) if all(re.fullmatch(r"[\w.+/-]+", word) for word in chosen) else None
