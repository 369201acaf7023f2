"""`understudy report`: the figures of real runs, as JSON and as one page that a browser draws without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.report.page import log_axis
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, SimulatedModel
from tests.command import understudy
from tests.orchestrator.test_cli import script
from tests.results import described

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def work(folder: Path) -> None:
    """Delegations on a simulated engine, and a conversation."""
    world = World(machine=Machine(SimulatedModel(name="small", context_length=8192)))
    with simulated_in_thread(world, scale=0.0) as url:
        for number in range(4):
            done = understudy("delegate", f"Say <b>{number}</b>.", "--host", url, cwd=folder)
            assert done.returncode == 0, done.stderr
    done = understudy(
        "run", "--model", script(folder / "lead.jsonl", {"text": "Hello."}), "Hi </script>", cwd=folder
    )
    assert done.returncode == 0, done.stderr


def test_an_empty_ledger_makes_a_page_that_says_so(tmp_path: Path) -> None:
    done = understudy("report", "--out", "r.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for said in ("Nothing was measured yet.", "No model was asked", "No lead of a conversation"):
        assert said in page
    assert described("report", understudy("report", "--json", cwd=tmp_path).stdout)["timeline"] is None


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    for words in (["--out", "gone/r.html"], ["--since", "someday"], ["--session", "nope"]):
        done = understudy("report", *words, cwd=tmp_path)
        assert done.returncode in (1, 2) and len(done.stderr.splitlines()) == 1, done.stderr


def test_batches_are_told_by_how_far_they_came_and_by_when_they_were_made(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text('{"task": "Say one."}\n{"task": "Say two."}\n', encoding="utf-8")
    with simulated_in_thread(World(machine=Machine(SimulatedModel(name="small"))), scale=0.0) as url:
        words = ("batch", "orders.jsonl", "--out", "r.jsonl", "--host", url)
        done = understudy(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (told,) = described("report", understudy("report", "--json", cwd=tmp_path).stdout)["batches"]
    assert told["counts"] == {"done": 2} and told["in"] == "orders.jsonl"
    assert not described(
        "report", understudy("report", "--json", "--since", "2999-01-01", cwd=tmp_path).stdout
    )["batches"]
    assert understudy("report", "--out", "r.html", cwd=tmp_path).returncode == 0
    row = f"<td>{told['id']} (orders.jsonl)</td><td>2</td><td>2</td><td>0</td><td>-</td>"
    assert row in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ((2.0, 27.0), {"2", "5", "10", "20"}),
        ((17, 4_500), {"30", "100", "300", "1,000", "3,000"}),
        ((0.004, 90.0), {"0.01", "0.1", "1", "10"}),
    ],
)
def test_a_logarithmic_axis_names_its_marks_in_whole(values: tuple[float, float], marks: set[str]) -> None:
    axis = log_axis("seconds", values)
    assert marks <= set(axis["ticktext"]) and len(axis["tickvals"]) < 12


@pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="no browser")
def test_the_figures_are_those_of_the_runs_and_a_browser_draws_them_within_the_page(tmp_path: Path) -> None:
    work(tmp_path)
    told = described("report", understudy("report", "--json", cwd=tmp_path).stdout)
    assert told["ok"] and len(told["speeds"]) == 4 and told["forecasts"]
    assert {one["provenance"] for one in told["speeds"]} == {"simulated"}
    assert told["coverage"][-1]["runs"] == len(told["forecasts"])
    assert [one["runs"] for one in told["odds"]] == [4]
    assert told["batches"] == []
    assert len(told["timeline"]["calls"]) == 1 and told["timeline"]["calls"][0]["role"] == "lead"

    assert understudy("report", "--out", "r.html", cwd=tmp_path).returncode == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    outside = re.findall(
        r'(?:src|href)="(?!data:|#)[^"]*"', page[: page.index("<script>")] + page[page.rindex("</script>") :]
    )
    assert not outside and "Hi </script>" not in page
    for width in (500, 1400):
        plots, drawn = drawn_at(width, page, tmp_path)
        assert plots >= 5 and drawn <= width


def drawn_at(width: int, page: str, folder: Path) -> tuple[int, int]:
    """How many plots a browser draws in a window that wide, and how wide the page is then."""
    probe = "document.title = [...document.querySelectorAll('.main-svg')].length + ' ' + document.body.scrollWidth"
    (folder / "probed.html").write_text(
        page.replace("</body>", f"<script>addEventListener('load', () => {{ {probe} }})</script></body>"),
        encoding="utf-8",
    )
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    )
    assert CHROMIUM
    drawn = subprocess.run(
        [CHROMIUM, *flags.split(), "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}/profile",
         f"--window-size={width},1600", "--virtual-time-budget=10000", "--dump-dom", f"file://{folder}/probed.html"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) (\d+)</title>", drawn.stdout)
    assert found, drawn.stderr[-2000:]
    return int(found[1]), int(found[2])
