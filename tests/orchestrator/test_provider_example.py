"""R9: the documented provider of one's own runs, and works inside every wrapper."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from examples.add_provider import Shout
from orchestrator.providers import complete
from orchestrator.providers.wrap.budgeted import Budget
from orchestrator.providers.wrap.compose import Wrapping, wrapped
from orchestrator.providers.wrap.fallback import Fallback
from orchestrator.types import Request, user

ROOT = Path(__file__).parents[2]


def test_the_example_runs_and_is_as_short_as_promised(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "add_provider.py")]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "HELLO FROM A MODEL OF MY OWN" in done.stdout
    assert len(inspect.getsource(Shout).splitlines()) <= 20


@pytest.mark.anyio
async def test_a_provider_of_ones_own_works_inside_every_wrapper(tmp_path: Path) -> None:
    settings = Wrapping(max_parallel=1, retries=1, cache="memory", record=str(tmp_path / "t.jsonl"))
    provider = Fallback(wrapped(Shout(), settings, budget=Budget(limit_usd=1, allow_unknown=True)))
    request = Request(model="shout:loud", messages=(user("go"),))
    assert (await complete(provider, request)).message.text == "GO"
