"""A files server over stdio, and the folder it serves; a module that wants another folder says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stdio import Stdio, start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def server(root: Path) -> Iterator[Stdio]:
    with start("files", str(root)) as running:
        yield running
