"""What each pattern is, in one line: wherever patterns are listed, explained, or offered to a model. Imports nothing."""

MEANINGS = {
    "ask": "one model, asked once",
    "consult": "ask several the same; a judge makes one answer",
    "vote": "let several vote, or one model several times",
    "refine": "one writes, another reviews, until it approves",
    "debate": "they answer blind, then argue until they agree",
    "escalate": "ask two, and more only where they disagree",
    "route": "the one that suits a task best does it",
    "handoff": "one begins, another goes on, the first ends it",
    "pipeline": "one behind the other, each on what came before",
    "parallel": "different work for each, all at once",
    "plan": "one plans tasks for others, who carry them out",
}
"""At most 50 characters, so that each fits behind its usage in 80 columns."""
