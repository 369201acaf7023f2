"""Issue 20: the hosted workflows are valid and run what this repository has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((HERE / ".github/workflows").glob("*.yml"))


def _read(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {
        "on" if key is True else key: value for key, value in found.items()
    }  # YAML 1.1 reads `on` as true


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_what_the_service_wants_and_no_more_rights_than_it_needs(path: Path) -> None:
    flow = _read(path)
    assert set(flow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert flow["permissions"] == {"contents": "read"}
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"]
        for needed in [job["needs"]] if "needs" in job else []:
            assert needed in flow["jobs"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@[\w./-]+", step.get("uses", "a/b@v1"))
            for script in re.findall(r"\bscripts/\w+", step.get("run", "")):
                assert (HERE / script).is_file()


def test_every_python_that_is_promised_is_checked_on_both_systems() -> None:
    assert [path.stem for path in WORKFLOWS] == ["check", "release"]
    matrix = _read(HERE / ".github/workflows/check.yml")["jobs"]["check"]["strategy"]["matrix"]
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={matrix['python'][0]}"
    assert all(isinstance(python, str) for python in matrix["python"])  # 3.10 as a number would be 3.1
    assert set(matrix["os"]) == {"ubuntu-latest", "macos-latest"}
    assert set(matrix["versions"]) == {"pinned", "latest"}


def test_a_release_is_checked_and_built_before_it_is_published_without_a_token() -> None:
    jobs = _read(HERE / ".github/workflows/release.yml")["jobs"]
    assert "sh scripts/check" in str(jobs["build"]["steps"])
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in str(jobs)
