"""Stages one behind the other: the output of one is the input of the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from ..agent import Agent
from ..errors import reason
from .ask import Ask, attempt
from .outcome import Outcome, Response

Outputs = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of a `pipeline`: an agent, or in its place another pattern as `work`; one of the two is wanted.

    `prompt`: {input} is what the stage before gave, {question} the first input, {NAME} the output of the stage of that name.
    `when`: given input and outputs so far; False passes it over. `transform_input`: of the input. `validate_output`: False,
    or whatever it raises, fails the stage, after `tries` askings, 1 or more. None: as it comes.
    """

    name: str
    agent: Agent | None = None
    work: Callable[[Ask, str], Awaitable[Outcome]] | None = None  # another pattern, in place of an agent
    prompt: str = "{input}"  # {input}: what the stage before gave; {question}: the first input; {NAME}: a stage's output
    when: Callable[[str, Outputs], bool] | None = None  # given input and outputs so far; False: passed over
    transform_input: Callable[[str], str] | None = None
    validate_output: Callable[[str], object] | None = None  # False, or a raised error, fails the stage
    tries: int = 1  # how often it may be asked until its output is valid


async def pipeline(ask: Ask, stages: Sequence[Stage], question: str) -> Outcome:
    """The output of the last stage. The first failure ends it: `details` then has failed_stage and partial_outputs.

    Tokens of each stage stand in `details`, in all in `usage`. A stage whose `when` is False is passed over: its input
    goes to the next.
    """
    started, current = monotonic(), question
    outputs: Outputs = {}
    said: list[Response] = []
    passed: list[str] = []
    failed: tuple[str, str] | None = None
    for stage in stages:
        try:
            if stage.when is not None and not stage.when(current, dict(outputs)):
                passed.append(stage.name)
                continue
            given = stage.transform_input(current) if stage.transform_input else current
        except Exception as exc:  # noqa: BLE001  (the caller's function; what was done is kept)
            failed = (stage.name, f"its input: {reason(exc)}")
            break
        text, error = await _stage(
            ask, stage, filled(stage.prompt, outputs | {"input": given, "question": question}), said
        )
        if error is not None:
            failed = (stage.name, error)
            break
        current = outputs[stage.name] = text
    return Outcome(
        pattern="pipeline",
        question=question,
        text=current if failed is None and outputs else "",
        error=f"stage {failed[0]!r} failed: {failed[1]}"
        if failed
        else None
        if outputs
        else "no stage was run",
        reason=f"{len(outputs)} of {len(stages)} stages done"
        + (f", passed over: {', '.join(passed)}" if passed else ""),
        responses=tuple(said),
        seconds=monotonic() - started,
        details={
            "failed_stage": failed[0] if failed else None,
            "partial_outputs": outputs,
            "passed_over": passed,
            "tokens": {stage.name: _tokens(stage.name, said) for stage in stages if stage.name not in passed},
        },
    )


async def _stage(ask: Ask, stage: Stage, prompt: str, said: list[Response]) -> tuple[str, str | None]:
    """(the stage's output, what is wrong with it)."""
    error: str | None = "it may not be tried"
    asked = prompt
    for _ in range(max(stage.tries, 1)):
        text, error = await _once(ask, stage, asked, said)
        if error is None and (error := _invalid(stage, text)) is None:
            return text, None
        asked = f"{prompt}\n\nYour last answer was refused: {error}"
    return "", error


async def _once(ask: Ask, stage: Stage, prompt: str, said: list[Response]) -> tuple[str, str | None]:
    if stage.work is not None:
        done = await stage.work(ask, prompt)
        said += [replace(one, step=f"{stage.name}: {one.step}") for one in done.responses]
        return done.text, done.error
    if stage.agent is None:
        return "", "it has neither an agent nor work"
    answer = await attempt(ask, replace(stage.agent, role="worker"), prompt, step=stage.name)
    said.append(answer)
    return answer.text, answer.error


def _invalid(stage: Stage, text: str) -> str | None:
    if stage.validate_output is None:
        return None
    try:
        valid = stage.validate_output(text)
    except Exception as exc:  # noqa: BLE001  (an error is how many validators say no)
        return f"its output is not valid: {reason(exc)}"
    return "its output is not valid" if valid is False else None


def filled(template: str, values: Mapping[str, str]) -> str:
    """In one pass, so that nothing a model wrote is filled in again."""
    pieces, rest = list[str](), template
    while rest:
        found = sorted((at, name) for name in values if (at := rest.find("{" + name + "}")) >= 0)
        if not found:
            break
        at, name = found[0]
        pieces += [rest[:at], values[name]]
        rest = rest[at + len(name) + 2 :]
    return "".join([*pieces, rest])


def _tokens(name: str, said: Sequence[Response]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for one in said:
        if one.step == name or one.step.startswith(f"{name}: "):
            for key, value in one.usage.known().items():
                if key.endswith("tokens"):
                    counted[key] = counted.get(key, 0) + int(value)
    return counted
