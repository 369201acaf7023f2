"""Issue 20: what the documentation names is there: commands, functions, tools, files and tests."""

from __future__ import annotations

import importlib
import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.cli import COMMANDS

HERE = Path(__file__).resolve().parent.parent
PAGES = sorted([*HERE.glob("*.md"), *HERE.glob("docs/**/*.md")])
ROW = re.compile(r"^\| (R\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
REQUIREMENTS = {
    row[1]: row for row in ROW.finditer((HERE / "docs/requirements.md").read_text(encoding="utf-8"))
}


def _is_there(name: str) -> bool:
    """What stands in backquotes in the column "where": a command, a tool, a path or a dotted Python name."""
    if name.startswith("understudy "):
        return name.split()[1] in COMMANDS
    if tool := re.fullmatch(r"(files|shell|git|ollama): (\w+)", name):
        text = (HERE / "servers" / tool[1] / "server.py").read_text(encoding="utf-8")
        return re.search(rf"@\w+\.tool\b(?:(?!\n\n)[\s\S])*?def {tool[2]}\(", text) is not None
    if name.startswith("/"):  # an address of the gateway
        return f'"{name}"' in "".join(
            path.read_text(encoding="utf-8") for path in (HERE / "orchestrator/gateway").glob("*.py")
        )
    if "/" in name:
        return (HERE / name).is_file()
    try:
        if importlib.util.find_spec(name):  # a module need not be imported for this: SDKs take seconds
            return True
    except ModuleNotFoundError:
        pass
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for part in parts[1:]:
        found = getattr(found, part, None)
    return found is not None


def test_the_table_has_every_requirement_once_and_in_order() -> None:
    assert list(REQUIREMENTS) == [f"R{number}" for number in range(1, 126)]


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_what_a_row_names_is_there(number: str) -> None:
    where, shown = REQUIREMENTS[number][3], REQUIREMENTS[number][4]
    if "open" in (where, shown):
        assert where == shown == "open"
        return
    names, tests = re.findall(r"`([^`]+)`", where), re.findall(r"`([^`]+)`", shown)
    assert names and tests
    assert [name for name in names if not _is_there(name)] == []
    for test in tests:
        path, _, function = test.partition("::")
        assert re.search(
            rf"^(async )?def {function}\(", (HERE / path).read_text(encoding="utf-8"), re.MULTILINE
        ), f"{test} is gone"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = [
        *re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL),
        *re.findall(r"`([^`\n]+)`", text),
    ]
    named = {word for part in code for word in re.findall(r"(?<![\w./-])understudy +([a-z]+)", part)}
    assert named <= set(COMMANDS)


GUIDE = dict(
    re.findall(
        r"^## (.+?)\n.*?^```python\n(.*?)^```",
        (HERE / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
PRINTED = {
    "A provider": "HELLO",
    "A tool": "['text']\n2",
    "A server": "['add_minutes']",
    "A pattern": "bob read 30",
    "A gate": "(True, '')\n(False, 'a.txt holds characters beyond ASCII')",
    "A command": '{"words": 3}',
    "An engine": "hello",
}


def test_there_is_a_guide_to_each_way_of_extending() -> None:
    assert list(GUIDE) == list(PRINTED)


@pytest.mark.parametrize("section", PRINTED)
def test_a_guides_code_is_short_and_runs_as_printed(
    section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(GUIDE[section].splitlines()) <= 40
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program.py"
    program.write_text(GUIDE[section], encoding="utf-8")
    runpy.run_path(str(program))
    assert PRINTED[section] in capsys.readouterr().out


def test_the_reference_says_what_the_code_says() -> None:
    """Commands, tools as the servers list them, settings, events."""
    written = runpy.run_path(str(HERE / "scripts/reference"))["pages"]()
    old = [
        name for name, page in written.items() if (HERE / "docs" / name).read_text(encoding="utf-8") != page
    ]
    assert old == [], "run .venv/bin/python scripts/reference"


def test_the_site_is_built_without_a_warning_and_every_page_is_in_its_navigation(tmp_path: Path) -> None:
    shutil.copytree(HERE / "docs", tmp_path / "docs")
    shutil.copy(HERE / "mkdocs.yml", tmp_path)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0 and "No issues found" in built.stdout, built.stdout
    start = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    pages = {path.stem for path in (HERE / "docs").glob("*.md")} - {"index"}
    assert [page for page in sorted(pages) if f'href="./{page}/"' not in start] == []


def test_the_readme_shows_a_picture_of_the_screen_that_is_small_and_whole() -> None:
    named = re.findall(r"!\[[^\]]+\]\(([^)]+\.svg)\)", (HERE / "README.md").read_text(encoding="utf-8"))
    assert named == ["docs/demo.svg"]
    picture = (HERE / named[0]).read_bytes()
    assert len(picture) < 100_000
    shown = "".join(ElementTree.fromstring(picture).itertext()).replace("\u00a0", " ")
    assert "I look at the code and run the tests." in shown
    assert "accepted" in shown and "forecast:" in shown and "recited:" in shown
