"""Bundles for desktop hosts: what is in them starts, and their description is what the format wants."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).parents[2]
HOME = "https://github.com/acme/understudy"
SERVERS = ("files", "shell", "git", "ollama")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("bundles")
    line = [sys.executable, TREE / "scripts/bundle", "--out", out, "--repository", HOME]
    subprocess.run(line, check=True, capture_output=True)
    return {server: next(out.glob(f"understudy-{server}-*.mcpb")) for server in SERVERS}


def manifest_of(bundle: Path) -> dict[str, Any]:
    with zipfile.ZipFile(bundle) as archive:
        return json.loads(archive.read("manifest.json"))


def test_a_bundled_server_answers_from_nothing_but_its_bundle(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    unpacked, work = tmp_path / "bundle", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(bundles["files"]) as archive:
        archive.extractall(unpacked)
    started = manifest_of(bundles["files"])["server"]["mcp_config"]
    assert started["args"][:4] == ["run", "--project", "${__dirname}", "understudy-files"]
    asked = [
        {"method": "initialize", "id": 1, "params": {"protocolVersion": "2025-06-18", "capabilities": {}}},
        {"method": "notifications/initialized"},
        {"method": "tools/list", "id": 2},
    ]
    asked[0]["params"]["clientInfo"] = {"name": "t", "version": "1"}  # type: ignore[index]
    lines = "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in asked)
    start = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); from servers.files.server import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", start, str(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNDERSTUDY_HOME": str(tmp_path / "home")},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(lines)
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
    assert process.returncode == 0
    assert "read_file" in {tool["name"] for tool in answers[1]["result"]["tools"]}


def test_the_registrys_entry_names_the_release_s_bundle_by_its_hash(bundles: dict[str, Path]) -> None:
    for server, bundle in bundles.items():
        entry = json.loads(bundle.with_name(f"understudy-{server}.server.json").read_text(encoding="utf-8"))
        (package,) = entry["packages"]
        assert entry["name"] == f"io.github.acme/understudy-{server}" and len(entry["description"]) <= 100
        assert package["fileSha256"] == hashlib.sha256(bundle.read_bytes()).hexdigest()
        assert package["identifier"].startswith(f"{HOME}/releases/download/v{entry['version']}/")
        assert package["identifier"].endswith(bundle.name)


def test_what_a_manifest_asks_for_is_what_the_command_gets(bundles: dict[str, Path]) -> None:
    for bundle in bundles.values():
        manifest = manifest_of(bundle)
        told = json.dumps(manifest["server"]["mcp_config"])
        assert all(f"${{user_config.{name}}}" in told for name in manifest["user_config"])


@pytest.mark.parametrize("found", ["github.com/a/b", "https://github.com/a", "https://example.org/a/b"])
def test_an_address_that_is_no_repository_is_refused_in_one_sentence(found: str, tmp_path: Path) -> None:
    line = [sys.executable, TREE / "scripts/bundle", "--out", tmp_path, "--repository", found]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "wanted https://github.com/OWNER/REPO" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_formats_own_tool_accepts_every_manifest(bundles: dict[str, Path], tmp_path: Path) -> None:
    tool = os.environ.get("MCPB")
    if tool is None:
        pytest.skip("`npm install @anthropic-ai/mcpb`, and name its command mcpb in MCPB")
    for server, bundle in bundles.items():
        place = tmp_path / f"{server}.json"
        place.write_text(json.dumps(manifest_of(bundle)), encoding="utf-8")
        done = subprocess.run([tool, "validate", place], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
