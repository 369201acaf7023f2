"""What panels gain over one model asked as often for the same tokens (self-consistency).

    python -m benchmarks.panels [--questions 400] [--seed 1]
    python -m benchmarks.panels --models ollama:qwen3:0.6b,ollama:llama3.2:1b [--questions 20]

The first runs worlds with planted competence: what each simulated model knows, how it errs and how it gives in are
given, so that a gain or its absence is known beforehand. The second runs sums with known answers on real models.
"""

from __future__ import annotations

import argparse
import io
import math
import random
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass, field

import anyio

from benchmarks.ratios import Row, figure, report
from orchestrator.agent import Agent
from orchestrator.patterns import Ask, Outcome, debate, escalate, refine, vote
from orchestrator.reply import Reply
from orchestrator.types import Message, Usage

QUESTION_TOKENS, ANSWER_TOKENS, CHARS_PER_TOKEN = 60, 120, 4


@dataclass(frozen=True, kw_only=True)
class Mind:
    """How one simulated model errs."""

    knows: float  # share of questions it understands: there every sample is right but for slips
    slips: float = 0.15  # of a sample it understands
    guesses: float = 0.25  # right by luck where it does not understand; else its one own misconception
    gives_in: float = 0.6  # follows the majority of what it reads, right or wrong
    sees: float = 0.5  # finds a wrong answer, as a critic
    alarms: float = 0.2  # calls a right one wrong


@dataclass
class World:
    """Answers as its minds would. `asked` counts tokens."""

    minds: dict[str, Mind]
    seed: int
    tokens: int = 0
    calls: dict[str, int] = field(default_factory=dict[str, int])

    async def __call__(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        mind, name = self.minds[agent.model], agent.model
        number = (re.search(r"question (\d+)", prompt) or ["", "0"])[1]
        self.calls[name] = nth = self.calls.get(name, 0) + 1
        luck = random.Random(f"{self.seed} {name} {number} {nth}")
        text = (
            self._review(mind, name, number, prompt, luck)
            if agent.role == "critic"
            else self._answer(mind, name, number, prompt, luck)
        )
        usage = Usage(
            input_tokens=QUESTION_TOKENS + len(prompt) // CHARS_PER_TOKEN, output_tokens=ANSWER_TOKENS
        )
        self.tokens += (usage.input_tokens or 0) + (usage.output_tokens or 0)
        return Reply(agent=agent.name, text=text, messages=(), usage=usage)

    def _answer(self, mind: Mind, name: str, number: str, prompt: str, luck: random.Random) -> str:
        read = re.findall(r"ANSWER: (\w+)", prompt)
        if len(read) > 1 and luck.random() < mind.gives_in:  # its own and those of others
            return f"ANSWER: {max(sorted(set(read)), key=read.count)}"
        knows, misconception = self._belief(mind, name, number)
        right = luck.random() > mind.slips if knows else luck.random() < mind.guesses
        filler = "I look at what is given and work it out step by step. " * 5
        return f"{filler}\nANSWER: {'right' if right else misconception}"

    def _review(self, mind: Mind, name: str, number: str, prompt: str, luck: random.Random) -> str:
        """It finds what is wrong with some answers, takes some right ones for wrong, and never doubts what it believes."""
        _, own = self._belief(mind, name, number)
        if f"ANSWER: {own}" in prompt:
            return "<OK>"
        wrong = "ANSWER: right" not in prompt
        return "1. That is wrong." if luck.random() < (mind.sees if wrong else mind.alarms) else "<OK>"

    def _belief(self, mind: Mind, name: str, number: str) -> tuple[bool, str]:
        """(whether it understands the question, what it believes where it does not): the same for all its samples."""
        fixed = random.Random(f"{self.seed} {name} {number}")
        return fixed.random() < mind.knows, f"wrong{fixed.randrange(6)}"


Method = Callable[[Ask, str], Awaitable[Outcome]]


@dataclass(frozen=True, kw_only=True)
class Result:
    right: float
    tokens: float

    def against(self, other: Result, questions: int) -> tuple[float, float]:
        """(gain in share of right answers, half of its 95 % interval)."""
        spread = sum(p.right * (1 - p.right) for p in (self, other)) / questions
        return self.right - other.right, 1.96 * math.sqrt(spread)


def agents(models: Sequence[str]) -> list[Agent]:
    return [Agent(name=f"m{n}", model=model) for n, model in enumerate(models)]


def methods(models: Sequence[str]) -> dict[str, Method]:
    panel, alone = agents(models), agents([models[0]] * len(models))
    return {
        "vote, unlike models": lambda ask, q: vote(ask, panel, q),
        "debate, unlike models": lambda ask, q: debate(ask, panel, q),
        "debate, one model": lambda ask, q: debate(ask, alone, q),
        "refine, another critic": lambda ask, q: refine(
            ask, panel[0], panel[1], f"{q}\nEnd with ANSWER: ..."
        ),
        "refine, its own critic": lambda ask, q: refine(
            ask, panel[0], panel[0], f"{q}\nEnd with ANSWER: ..."
        ),
        "escalate, unlike models": lambda ask, q: escalate(ask, panel, q),
    }


async def planted(minds: dict[str, Mind], method: Method, questions: int, seed: int) -> Result:
    world, right = World(minds=minds, seed=seed), 0
    for number in range(questions):
        outcome = await method(world, f"question {number}: what is right?")
        right += outcome.text.strip().endswith("right")
    return Result(right=right / questions, tokens=world.tokens / questions)


async def same_tokens(
    minds: dict[str, Mind], model: str, tokens: float, questions: int, seed: int
) -> tuple[Result, int]:
    """One model's majority of as many samples as those tokens pay for."""
    one = await planted(minds, lambda ask, q: vote(ask, agents([model]), q), questions, seed)
    samples = max(round(tokens / one.tokens), 1)
    return await planted(
        minds, lambda ask, q: vote(ask, agents([model] * samples), q), questions, seed
    ), samples


WORLDS = {
    "three unlike models, each understands 70 %": {
        "a": Mind(knows=0.7), "b": Mind(knows=0.7), "c": Mind(knows=0.7)
    },
    "three small ones that understand 40 % and give in": {
        "a": Mind(knows=0.4, gives_in=0.8), "b": Mind(knows=0.4, gives_in=0.8), "c": Mind(knows=0.4, gives_in=0.8)
    },
    "one strong among weak ones": {
        "a": Mind(knows=0.9), "b": Mind(knows=0.4), "c": Mind(knows=0.4)
    },
}  # fmt: skip


async def simulated(questions: int, seed: int, rows: dict[str, Row]) -> bool:
    """Print every world, and note its figures; whether the preview's warnings agree with what was measured."""
    from orchestrator.session.preview import DEBATES_ALONE

    agrees = True
    for title, minds in WORLDS.items():
        print(f"\n{title} ({questions} questions, simulated)")
        print(f"{'':28}{'right':>8}{'tokens':>9}{'one model, same tokens':>26}{'gain':>18}")
        voted = await planted(minds, lambda ask, q: vote(ask, agents(["a"] * 3), q), questions, seed)
        for name, method in methods(list(minds)).items():
            found = await planted(minds, method, questions, seed)
            base, samples = await same_tokens(minds, "a", found.tokens, questions, seed)
            gain, half = found.against(base, questions)
            said = f"{base.right:.1%} of {samples} samples"
            rows[f"{title}: {name}, more right answers than one model, same tokens"] = figure(gain, "%")
            print(f"{name:28}{found.right:>8.1%}{found.tokens:>9.0f}{said:>26}{gain:>+11.1%} ± {half:.1%}")
            if name == "debate, one model":
                more, half = found.against(voted, questions)
                cost = found.tokens / voted.tokens
                rows[f"{title}: tokens of a debate of one model / its vote of three"] = figure(cost)
                holds = more <= half and cost >= 1.5
                agrees &= holds
                print(
                    f"  against a vote of three samples: {more:+.1%} ± {half:.1%} for {cost:.1f} times its tokens"
                )
                print(f"  the preview warns: {DEBATES_ALONE!r}: {'agrees' if holds else 'DOES NOT AGREE'}")
    return agrees


async def real(models: Sequence[str], questions: int, seed: int) -> None:
    """The same on sums, by models that are there."""
    from orchestrator import load_config, open_session

    luck = random.Random(seed)
    sums = [(luck.randrange(100, 999), luck.randrange(10, 99)) for _ in range(questions)]
    async with open_session(load_config(mcp=None).model_copy(update={"servers": {}})) as session:
        panel = [session.agent(model, name=f"m{n}") for n, model in enumerate(models)]
        alone = [panel[0]] * max(len(panel), 3)
        tried: dict[str, Method] = {
            "one model, once": lambda ask, q: vote(ask, panel[:1], q),
            f"one model, {len(alone)} samples": lambda ask, q: vote(ask, alone, q),
            f"debate, one model, {len(alone)} runs": lambda ask, q: debate(ask, alone, q),
        }
        if len(panel) > 1:
            tried |= {
                "vote, unlike models": lambda ask, q: vote(ask, panel, q),
                "debate, unlike models": lambda ask, q: debate(ask, panel, q),
                "escalate": lambda ask, q: escalate(ask, [*panel, *panel], q),
            }
        print(f"{'':34}{'right':>8}{'tokens':>9}{'seconds':>9}  ({questions} sums, measured)")
        for name, method in tried.items():
            right, tokens, seconds = 0, 0, 0.0
            for a, b in sums:
                outcome = await method(session.ask, f"What is {a} * {b} + {a}? Give the number.")
                right += re.sub(r"\D", "", outcome.text) == str(a * b + a)
                tokens += (outcome.usage.input_tokens or 0) + (outcome.usage.output_tokens or 0)
                seconds += outcome.seconds
            print(f"{name:34}{right / questions:>8.1%}{tokens / questions:>9.0f}{seconds / questions:>9.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", help="real ones, by commas, as provider:model")
    parser.add_argument("--questions", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object, of the simulated worlds")
    options = parser.parse_args()
    if options.models:
        anyio.run(real, options.models.split(","), options.questions or 20, options.seed)
        return 0
    rows: dict[str, Row] = {}
    with redirect_stdout(io.StringIO()) if options.json else nullcontext():
        agrees = anyio.run(simulated, options.questions or 400, options.seed, rows)
    if options.json:
        report(rows, as_json=True)
    return int(not agrees)


if __name__ == "__main__":
    sys.exit(main())
