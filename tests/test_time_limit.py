"""Issue 10: no test can make the whole run wait for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import own_sleep
from tests.time_limit import limited

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such timer there")


def test_a_wait_without_end_fails_by_name_and_what_was_started_is_killed() -> None:
    mark = own_sleep()
    with (
        pytest.raises(pytest.fail.Exception, match=f"the wait took more than 0.2 s.*sleep {mark}"),
        limited("the wait", 0.2),
        subprocess.Popen(["sleep", mark]) as process,
    ):
        process.wait()
    assert process.returncode == -9
