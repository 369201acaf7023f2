"""Files of the state folder are replaced in one step, whoever else writes them at that moment."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.state.whole_file import write_whole


def test_of_many_writers_at_once_each_leaves_a_whole_text_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept.json"
    texts = [str(number) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(write_whole, path, text) for text in texts * 4]:
            done.result(30)
            assert path.read_text(encoding="utf-8") in texts
    assert os.listdir(path.parent) == ["kept.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_text_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "before", 0o700)
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert os.listdir(tmp_path) == ["kept.json"] and path.read_text(encoding="utf-8") == "before"
    assert path.stat().st_mode & 0o777 == 0o700
