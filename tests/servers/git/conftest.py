"""A git server over stdio on the module's own repository, `repo`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.git.repos import Repo
from tests.stdio import Stdio, start


@pytest.fixture
def server(repo: Repo) -> Iterator[Stdio]:
    with start("git", str(repo.top)) as running:
        yield running
