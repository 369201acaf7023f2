"""Ways for models to work together. Each is a small async function over `ask` and returns one kind of Outcome.

`ask(agent, prompt, history=())` is the only power a pattern has: it cannot print, open a file or pick a provider, so
a test needs nothing but a fake `ask`, and `durable(ask, ...)` makes any pattern resumable.
"""

from .agent_tools import AgentTools
from .agreement import Embed, Grouped, Meaning, by_embedding, by_judge, by_words
from .ask import Ask, ask_all, attempt
from .consult import consult, synthesise
from .debate import debate
from .delegate import delegate
from .durable import Approve, Journal, decide, durable, pausing
from .escalate import escalate
from .handoff import handoff
from .outcome import Outcome, Response
from .parallel import Job, parallel
from .pipeline import Stage, pipeline
from .plan import plan
from .refine import refine
from .route import Specialist, route
from .tasks import Task
from .vote import vote

__all__ = [
    "AgentTools",
    "Approve",
    "Ask",
    "Embed",
    "Grouped",
    "Job",
    "Journal",
    "Meaning",
    "Outcome",
    "Response",
    "Specialist",
    "Stage",
    "Task",
    "ask_all",
    "attempt",
    "by_embedding",
    "by_judge",
    "by_words",
    "consult",
    "debate",
    "decide",
    "delegate",
    "durable",
    "escalate",
    "handoff",
    "parallel",
    "pausing",
    "pipeline",
    "plan",
    "refine",
    "route",
    "synthesise",
    "vote",
]
