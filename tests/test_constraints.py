"""The pinned packages: all that the project names, within its ranges, each with its hashes and no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; .*)? \\$")


def pins(name: str) -> dict[str, set[str]]:
    """{package: its pinned versions}; several where they differ by Python."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            match = PIN.match(line)
            assert match, f"constraints/{name}.txt: {line!r} is no pinned package with a hash"
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def test_whatever_the_project_names_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run, engine, test = pins("run"), pins("engine"), pins("test")
    extras = project["project"]["optional-dependencies"]
    wanted = [
        (run, one) for one in [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    ]
    wanted += [(run | engine, one) for one in extras["engine"]]
    wanted += [(run | engine | test, one) for extra in extras.values() for one in extra]
    for known, text in wanted:
        requirement = Requirement(text)
        versions = known.get(canonicalize_name(requirement.name), set())
        assert versions and all(requirement.specifier.contains(v, prereleases=True) for v in versions), text


def test_every_line_is_a_package_or_a_hash_and_none_an_address() -> None:
    for file in sorted((ROOT / "constraints").glob("*.txt")):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert all(
            PIN.match(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines
        )
        assert "://" not in "".join(lines)


def test_no_package_is_pinned_in_two_files() -> None:
    run, engine, test = (set(pins(name)) for name in ("run", "engine", "test"))
    assert not (run & engine or run & test or engine & test)
