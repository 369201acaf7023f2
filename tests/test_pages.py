"""Issue 20: what the pages tell a reader to type works as printed."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.batch.orders import from_jsonl
from orchestrator.cli import COMMANDS, main, parser_of
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel

HERE = Path(__file__).resolve().parent.parent
PAGES = sorted([HERE / "README.md", HERE / "CONTRIBUTING.md", *HERE.glob("docs/*.md")])
MODELS = ("qwen3:8b", "llama3.2:3b")
COMMAND_LIST = {
    "type": "object",
    "properties": {"commands": {"type": "array", "items": {"type": "string"}}},
    "required": ["commands"],
}
ELSEWHERE = re.compile(
    r"understudy (?:chat|simulate|gateway|serve|worker|demo|completion)\b|understudy-|anthropic:|openai:|postgresql:"
    r"|/path/to|~|\ba,b,c\b|\btalk\.jsonl|=a=|--resume|orders\.jsonl|src/a\.py|docs/a\.md|manager a"
)
"""Does not end, needs a vendor's key or another machine, or names a file of the reader's: read here, not run."""


def typed(page: Path) -> Iterator[list[str]]:
    """The words of each `understudy COMMAND ...` in the blocks of a page."""
    for block in re.findall(
        r"^```(?:sh|text)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        for line in block.splitlines():
            part = re.split(r"\s{2,}#?|\s#|\s[|<>]\s", re.sub(r"^.*?\|\s+(?=understudy )", "", line.strip()))[
                0
            ]
            found = re.match(r"(?:[A-Z_]+=\S*\s+)*understudy ([a-z]+)\b", part)
            if found and found[1] in COMMANDS:
                yield shlex.split(part[found.start(1) :])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_of_a_page_is_one(page: Path) -> None:
    """Read by the command line's own parser: commands, options and their values exist."""
    for words in typed(page):
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told):
                parser_of(words[0]).parse_args(words)
        except SystemExit:
            pytest.fail(f"{shlex.join(words)}: {told.getvalue().splitlines()[-1]}")


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A reader's project, with an Ollama that has the models that the pages name."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(HERE / "README.md", project)
    (project / "schema.json").write_text(json.dumps(COMMAND_LIST), encoding="utf-8")
    models = [SimulatedModel(name=name, answer_tokens=20.0, context_length=32_768) for name in MODELS]
    world = World(machine=Machine(*models, noise=Noise(spread=0.02)), answers=answer)
    with simulated_in_thread(world, scale=0.0) as url:
        monkeypatch.setenv("OLLAMA_HOST", url.removeprefix("http://"))
        monkeypatch.chdir(project)
        yield project


def answer(body: dict[str, Any]) -> str:
    """A worker that does what the pages ask of it."""
    if body.get("format"):
        return '{"commands": ["understudy demo"]}'
    if "typo" in body["messages"][-1]["content"]:
        return "README.md\n<<<<<<< SEARCH\n# Understudy\n=======\n# The understudy\n>>>>>>> REPLACE\n"
    return "It is about handing work to local models.\nANSWER: yes"


def test_commands_of_the_guides_work_as_printed(reader: Path) -> None:
    ran: list[str] = []
    for page in (
        HERE / "docs" / name for name in ("hosts.md", "local-models.md", "gates.md", "panels.md", "record.md")
    ):
        for words in typed(page):
            line = shlex.join(["understudy", *words])
            if ELSEWHERE.search(line):
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = main(words)
            ran.append(line)
            assert code == 0, f"{line}\n{out.getvalue()}"
    assert len(ran) >= 15


def test_the_orders_of_the_page_on_batches_are_orders(tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^```json\n(.*?)^```", (HERE / "docs/team.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "orders.jsonl").write_text(block, encoding="utf-8")
    assert [one.line for one in from_jsonl(tmp_path / "orders.jsonl")] == [1, 2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_links_of_a_page_lead_to_files(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for place in re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", text):
        assert place.startswith(("https://", "http://", "mailto:")) or (page.parent / place).exists(), place


def test_the_readme_tells_the_same_figures_as_the_page_on_benchmarks() -> None:
    def figures(page: str) -> dict[str, list[str]]:
        rows = re.findall(
            r"^\| ([^|]+) \| ([^|]+) \|", (HERE / page).read_text(encoding="utf-8"), re.MULTILINE
        )
        return {label: re.findall(r"\d+(?:\.\d+)?", value) for label, value in rows}

    ours, whole = figures("README.md"), figures("docs/benchmarks.md")
    shared = [label for label in ours if label in whole]
    assert len(shared) >= 2
    for label in shared:
        assert ours[label] == whole[label][: len(ours[label])], label
