"""What a panel would take is said before the first call; where it cannot help or pay, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import load_config, open_session
from orchestrator.config.pattern_parameters import settings_of
from orchestrator.errors import OutOfBudget
from orchestrator.events import Called, Event, Notice, RunStarted
from orchestrator.providers.scripted import Scripted
from orchestrator.session.members import Members
from orchestrator.session.panels import run_pattern
from orchestrator.session.preview import (
    AGREES_WITH_ITSELF,
    DEBATES_ALONE,
    REVIEWS_ITSELF,
    TWO_VOTERS,
    Preview,
    preview,
)
from orchestrator.store.spending import Spending
from orchestrator.types import Completion, Usage, assistant

pytestmark = pytest.mark.anyio
PRICED = {"x:*": {"price": {"input_usd": 1.0, "output_usd": 10.0}}}


async def foreseen(folder: Path, **values: Any) -> Preview:
    async with open_session(config_of(folder, models=PRICED)) as session:
        for name in ("x", "y"):
            session.add_provider(name, Scripted(name=name))
        return await preview(Members(session), settings_of(values), "well? " * 10)


def config_of(folder: Path, **more: Any) -> Any:
    (folder / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    (folder / "own.yaml").write_text(json.dumps(more), encoding="utf-8")
    return load_config(folder / "own.yaml", cwd=folder, env={})


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        ({"use": "consult", "models": ["x:a", "x:b"]}, 2, 2),
        ({"use": "consult", "models": ["x:a", "x:b"], "judge": "x:c"}, 3, 3),
        ({"use": "vote", "models": ["x:a"], "samples": 5}, 5, 5),
        ({"use": "refine", "author": "x:a", "critic": "x:b", "iterations": 2}, 2, 5),
        ({"use": "debate", "models": ["x:a", "x:b"], "rounds": 3}, 2, 8),
        ({"use": "escalate", "models": ["x:a", "x:b", "x:c"]}, 2, 3),
        ({"use": "handoff", "first": "x:a", "second": "x:b"}, 4, 4),
        ({"use": "route", "specialists": {"p": "x:a", "q": "x:b"}, "router": "x:c"}, 2, 2),
        ({"use": "plan", "manager": "x:a", "specialists": {"p": "x:b", "q": "x:c"}}, 4, 4),
        (
            {"use": "pipeline", "stages": {"a": {"model": "x:a"}, "b": {"model": "x:b", "when": "z"}}},
            1,
            2,
        ),
    ],
)
async def test_calls_are_counted_for_every_pattern(
    tmp_path: Path, values: dict[str, Any], least: int, most: int
) -> None:
    found = await foreseen(tmp_path, **values)
    assert (found.least_calls, found.most_calls) == (least, most)
    assert found.least_usd is not None and found.most_usd is not None
    assert 0.004 * least <= found.least_usd <= found.most_usd <= 0.01 * most
    assert found.least_s is None and "time unknown" in str(found)


async def test_a_model_without_a_price_makes_the_sum_unknown_and_is_named(tmp_path: Path) -> None:
    found = await foreseen(tmp_path, use="consult", models=["x:a", "y:b"])
    assert found.least_usd is None and "price unknown" in str(found) and "y:b" in found.unknown


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({"use": "debate", "models": ["x:a", "x:a", "x:a"]}, DEBATES_ALONE),
        ({"use": "refine", "author": "x:a", "critic": "x:a"}, REVIEWS_ITSELF),
        ({"use": "escalate", "models": ["x:a", "x:a", "x:b"]}, AGREES_WITH_ITSELF),
        ({"use": "vote", "models": ["x:a", "x:b"]}, TWO_VOTERS),
        ({"use": "pipeline", "stages": {"a": {"use": "debate", "models": ["x:a", "x:a"]}}}, DEBATES_ALONE),
    ],
)
async def test_what_will_not_help_is_said_to(tmp_path: Path, values: dict[str, Any], warning: str) -> None:
    assert (await foreseen(tmp_path, **values)).warnings == (warning,)


@pytest.mark.parametrize(
    "values",
    [
        {"use": "debate", "models": ["x:a", "x:b"]},
        {"use": "refine", "author": "x:a", "critic": "x:b"},
        {"use": "vote", "models": ["x:a"], "samples": 3},
    ],
)
async def test_what_may_help_is_not_warned_of(tmp_path: Path, values: dict[str, Any]) -> None:
    assert (await foreseen(tmp_path, **values)).warnings == ()


async def test_seconds_come_from_the_calls_that_were_made_here(tmp_path: Path) -> None:
    spending = Spending()
    for seconds in (4.0, 5.0, 6.0):
        started = RunStarted(run="r", parent=None, agent="a", model="x:a", prompt="p")
        usage = Usage(input_tokens=100, output_tokens=50, cost_usd=0.1)
        spending(started)
        spending(Called(run="r", model="x:a", usage=usage, seconds=seconds))
    spending.close()
    found = await foreseen(tmp_path, use="debate", models=["x:a", "x:a"], rounds=1)
    assert (
        found.least_s == 5.0 and found.most_s == 12.0
    )  # a vendor answers side by side, rounds follow each other


async def test_what_the_budget_cannot_pay_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    seen: list[Event] = []
    config = config_of(tmp_path, models=PRICED, budget_usd=0.001)
    model = Scripted("never", name="x")
    async with open_session(config, seen.append) as session:
        session.add_provider("x", model)
        settings = settings_of({"use": "vote", "models": ["x:a"], "samples": 3})
        with pytest.raises(OutOfBudget, match=r"it would cost at least .*; nobody was asked"):
            await run_pattern(session, settings, "well?")
    assert not model.requests
    assert next(e.text for e in seen if isinstance(e, Notice)).startswith(
        "preview: 3 calls, time unknown, $0.0"
    )


async def test_the_warning_stays_with_the_outcome(tmp_path: Path) -> None:
    done = Completion(message=assistant("ANSWER: x"), usage=Usage())
    async with open_session(config_of(tmp_path)) as session:
        session.add_provider("x", Scripted(*[done] * 2, name="x"))
        outcome = await run_pattern(session, settings_of({"use": "debate", "models": ["x:a", "x:a"]}), "?")
    assert outcome.warnings == (DEBATES_ALONE,) and DEBATES_ALONE in outcome.short()
