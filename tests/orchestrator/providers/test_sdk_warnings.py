"""What an SDK warns of is told once, in our own way, and never as a Python warning."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from anthropic.resources.messages import DEPRECATED_MODELS

from orchestrator.events import Event, Notice
from orchestrator.providers import complete, sdk_warnings
from orchestrator.session.session import open_session
from orchestrator.types import Request, user
from tests.orchestrator.providers.wrap.test_config import configured
from tests.wire.stub import Stub
from tests.wire.wires import opened

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
DEPRECATED = min(DEPRECATED_MODELS)


async def test_a_deprecated_model_is_a_notice_of_the_session_told_once(stub: Stub, tmp_path: Path) -> None:
    told: list[Event] = []
    async with open_session(configured(tmp_path), told.append) as session:
        session.add_provider("anthropic", opened(stub, "anthropic"))
        for _ in range(2):
            await session.ask(session.agent(f"anthropic:{DEPRECATED}"), "Hi")
    (notice,) = [event for event in told if isinstance(event, Notice) and "deprecated" in event.text]
    assert DEPRECATED in notice.text and "\n" not in notice.text


async def test_without_a_session_it_is_a_line_of_the_log(
    stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger=sdk_warnings.__name__):
        await complete(
            opened(stub, "anthropic"), Request(model=f"anthropic:{DEPRECATED}", messages=(user("Hi"),))
        )
    assert "deprecated" in caplog.text


async def test_warnings_of_other_code_stay_what_they_were(stub: Stub) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        await complete(
            opened(stub, "anthropic"), Request(model="anthropic:stub-text", messages=(user("Hi"),))
        )
        warnings.warn("of the person's own program", stacklevel=1)
    assert [str(one.message) for one in seen] == ["of the person's own program"]


def test_no_example_and_no_page_names_a_model_its_vendor_has_deprecated() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    files += [file for file in (ROOT / "examples").rglob("*.*") if "__pycache__" not in file.parts]
    files += [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    named = re.compile("|".join(map(re.escape, DEPRECATED_MODELS)))
    assert not [file.name for file in files if named.search(file.read_text(encoding="utf-8"))]
