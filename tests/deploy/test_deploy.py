"""What runs in containers and under systemd: not as root, on a read-only root, with commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli import parser_of
from servers.ollama.command_line import arguments

DEPLOY = Path(__file__).resolve().parent.parent.parent / "deploy"


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


OURS = sorted(set(services()) - {"db"})


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_confined_watched_and_started_by_words_that_the_program_knows(name: str) -> None:
    service = services()[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/tmp"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert name.startswith("worker") or service["healthcheck"]["test"], "the image's own check is a worker's"
    words = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in service["command"]]
    if service.get("entrypoint") == ["understudy-ollama"]:
        assert arguments().parse_args(words).http == "0.0.0.0:11600"
    else:
        parser_of(words[0]).parse_args(words)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_is_not_run_as_root_and_installs_by_hash() -> None:
    lines = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    last = lines[lines.rindex("\nFROM") :]
    assert (
        re.search(r"^USER 10001", last, re.MULTILINE)
        and "HEALTHCHECK" in last
        and "COPY --from=build" in last
    )
    assert all(
        "--no-deps" in line or "--require-hashes" in line
        for line in lines.splitlines()
        if " install --no-cache" in line
    )
    cut = re.search(r"awk '([^']+)'", lines)
    assert cut
    done = subprocess.run(
        ["awk", cut[1], DEPLOY.parent / "constraints/test.txt"], capture_output=True, text=True, check=True
    )
    names = {line.partition("==")[0] for line in done.stdout.splitlines() if not line.startswith(" ")}
    assert names == {"psycopg", "psycopg-binary"} and "--hash=sha256:" in done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "understudy-worker.service"
    text = (DEPLOY / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/understudy/bin/understudy", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
