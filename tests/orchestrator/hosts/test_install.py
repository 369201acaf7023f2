"""Our servers go into a host's file and out again, and everything else in it stays as the person wrote it."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import main
from orchestrator.errors import ConfigError
from orchestrator.hosts.check import seen_by
from orchestrator.hosts.documents import document
from orchestrator.hosts.install import entries_of, install, remove, servers
from orchestrator.hosts.table import HOSTS
from tests.results import described

NAMES = ["files", "shell", "git", "ollama"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", HOSTS)
def test_every_host_finds_the_four_servers_and_none_after_they_are_removed(name: str, project: Path) -> None:
    host, wanted = HOSTS[name], servers(project)
    path = install(host, project, wanted)
    held = entries_of(host, path)
    assert [*held] == NAMES or sorted(held) == sorted(NAMES)
    assert {n: host.server(entry) for n, entry in held.items()} == wanted
    before = path.read_bytes()
    install(host, project, wanted)  # again, to no effect
    assert path.read_bytes() == before
    assert remove(host, project, NAMES) == (path, NAMES)
    assert not path.exists()  # it held nothing else


WRITTEN = {
    "vscode": (
        '\ufeff{\r\n\t// servers of mine\r\n\t"inputs": [],\r\n\t"servers": {\r\n\t\t"mine": {"command": "x"}, // keep\r\n'
        "\t\t/* and this */\r\n\t},\r\n}\r\n"
    ),
    "zed": '// Zed settings\n{\n  "theme": "One Dark", /* dark */\n  "context_servers": {}, // none yet\n}\n',
    "opencode": '{\n    "$schema": "https://opencode.ai/config.json",\n    "mcp": { "servers": {} }\n}',
    "cursor": '{"mcpServers": {"mine": {"url": "https://example.com//x"}}}',
    "codex": (
        '# my settings\nmodel = "gpt-6"   # the big one\n\n[mcp_servers.mine]\ncommand = "x"\n'
        '# the end of mine\n\n[profiles.fast]\nmodel = "gpt-6-mini"\n'
    ),
    "fast-agent": (
        "# mine\ndefault_model: sonnet  # good\nmcp:\n  servers:\n    mine:\n      command: x # run\n"
        "      args: ['a']\n    # after mine\nlogger:\n  level: error\n"
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_comments_commas_order_and_line_ends_stay(name: str, project: Path) -> None:
    host, written = HOSTS[name], WRITTEN[name]
    path = host.file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written.encode())
    install(host, project, servers(project))
    text = path.read_bytes().decode()
    assert set(NAMES) <= set(entries_of(host, path))
    comments = re.findall(r"// [^\r\n]*|/\*.*?\*/|# [^\r\n]*", written)
    assert all(comment in text for comment in comments), text
    assert bool(re.search(r"(?<!\r)\n", text)) == ("\r\n" not in written)
    assert text.startswith("\ufeff") == written.startswith("\ufeff")
    remove(host, project, NAMES)
    assert document(host.form, path.read_bytes().decode().removeprefix("\ufeff")).value == (
        document(host.form, written.removeprefix("\ufeff")).value
    )


def test_mode_and_links_stay(project: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    real.chmod(0o600)
    (project / ".mcp.json").symlink_to(real)
    install(HOSTS["claude-code"], project, servers(project))
    assert (project / ".mcp.json").is_symlink() and real.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(real.read_text())["mcpServers"]) == set(NAMES)
    twin = tmp_path / "twin.json"
    os.link(real, twin)
    remove(HOSTS["claude-code"], project, NAMES)
    assert twin.read_text() == real.read_text() and twin.stat().st_nlink == 2


def test_projects_lie_beside_each_other_and_foreign_servers_of_the_same_name_stay(tmp_path: Path) -> None:
    host, one, two = HOSTS["claude-desktop"], tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    path = install(host, one, servers(one))
    with pytest.raises(ConfigError, match="--replace overwrites it, or --name"):
        install(host, two, servers(two))
    install(host, two, servers(two, name="two"))
    assert len(entries_of(host, path)) == 8
    held = json.loads(path.read_text())
    held["mcpServers"]["git"] = {"command": "uvx", "args": ["mcp-server-git"]}
    path.write_text(json.dumps(held))
    assert remove(host, one, NAMES)[1] == ["files", "shell", "ollama"]
    assert entries_of(host, path)["git"] == {"command": "uvx", "args": ["mcp-server-git"]}
    install(host, one, servers(one), replace=True)
    assert entries_of(host, path)["git"]["args"] == [str(one)]


@pytest.mark.parametrize(
    "written",
    [
        '{"mcpServers":{"mine":{"command":"x"}},"b":2}',
        '{"mcpServers": {}, "b": 1}\n',
        '{\n\t"b": 1,\n\t"mcpServers": {\n\t\t"mine": {}\n\t}\n}',
    ],
)
def test_what_is_put_in_and_taken_out_leaves_every_byte_as_it_was(written: str, project: Path) -> None:
    host = HOSTS["claude-code"]
    (project / ".mcp.json").write_text(written)
    install(host, project, servers(project))
    assert remove(host, project, NAMES)[1] == NAMES
    assert (project / ".mcp.json").read_text() == written


def test_a_project_that_comes_and_goes_leaves_no_lines_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    host, names = HOSTS["codex"], [f"shop-{name}" for name in NAMES]
    install(host, tmp_path, servers(tmp_path))
    before = (tmp_path / "config.toml").read_bytes()
    for _ in range(2):
        install(host, tmp_path, servers(tmp_path, name="shop"))
        assert remove(host, tmp_path, names)[1] == names
    assert (tmp_path / "config.toml").read_bytes() == before


def test_what_hosts_do_not_pass_on_stands_in_the_entries(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.9:11434")
    policy = project / "policy.toml"
    policy.write_text("")
    path = install(HOSTS["codex"], project, servers(project, policy=policy))
    held = tomllib.loads(path.read_text())["mcp_servers"]
    assert (
        held["ollama"]["env"]["OLLAMA_HOST"] == "10.0.0.9:11434" and "OLLAMA_HOST" not in held["files"]["env"]
    )
    assert held["shell"]["args"] == held["ollama"]["args"] == [str(project), "--policy", str(policy)]


def test_models_on_another_machine_are_permitted_in_the_entry_or_named_as_what_will_not_start(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "10.0.0.9")
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    words = ["init", "--host", "claude-code", "--root", str(project), "--write"]
    assert main(words) == 0
    assert "will not start" in (said := capsys.readouterr().err) and "--allow-remote permits it" in said
    assert main([*words, "--replace", "--allow-remote"]) == 0
    assert capsys.readouterr().err == ""
    held = entries_of(HOSTS["claude-code"], project / ".mcp.json")
    assert held["ollama"]["args"] == [str(project), "--allow-remote"] and held["shell"]["args"] == [
        str(project)
    ]


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("claude-code", b"// comments\n{}", "is not JSON"),
        ("vscode", b'{"servers": [}', "line 1: wanted a value"),
        ("vscode", b'{"servers": []}', "wanted an object"),
        ("vscode", b'{"servers": {}} {', "wanted the end"),
        ("codex", b"mcp_servers = 3", "nothing was changed"),
        ("codex", b"[[[", "is not TOML"),
        ("fast-agent", b"mcp: [", "is not YAML"),
        ("fast-agent", b"mcp: 3", "wanted a mapping"),
        ("fast-agent", b"a: &s {mine: {command: x}}\nmcp:\n  servers: *s\n", "a form that cannot be edited"),
        ("zed", b"\xff\xfe{}", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_edited_is_one_sentence_and_stays(
    name: str, written: bytes, said: str, project: Path
) -> None:
    path = HOSTS[name].file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written)
    with pytest.raises(ConfigError, match=said):
        install(HOSTS[name], project, servers(project))
    assert path.read_bytes() == written


def test_a_folder_in_place_of_the_file_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".mcp.json").mkdir()
    assert main(["init", "--host", "claude-code", "--root", str(project), "--write"]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_a_pipe_in_place_of_the_file_is_one_sentence(project: Path) -> None:
    os.mkfifo(project / ".mcp.json")
    with pytest.raises(ConfigError, match="no regular file"):
        install(HOSTS["claude-code"], project, servers(project))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("zed", "// nothing yet\n"),
        ("zed", '{"context_servers": null}'),
        ("claude-code", "null"),
        ("codex", 'mcp_servers = {mine = {command = "x"}}\n'),
        (
            "codex",
            'mcp_servers.mine.command = "x"\nmcp_servers.mine.args = ["a"]\nmodel = "y"\n[tui]\na = 1\n',
        ),
        ("fast-agent", "mcp: ~ # mine\nlogger: {}\n"),
        ("fast-agent", "mcp:\n  servers: # mine\nlogger: {}\n"),
        ("fast-agent", "{mcp: , logger: {}}"),
        ("fast-agent", "{mcp: {servers: null}}"),
    ],
)
def test_nothing_where_servers_go_is_as_good_as_an_empty_table(
    name: str, written: str, project: Path
) -> None:
    host = HOSTS[name]
    path = host.file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(written)
    install(host, project, servers(project))
    assert {one: host.server(e) for one, e in entries_of(host, path).items() if one != "mine"} == servers(
        project
    )
    assert all(comment in path.read_text() for comment in re.findall(r"(?://|#) .*", written))
    remove(host, project, NAMES)
    assert set(entries_of(host, path)) <= {"mine"}


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
OBJECTS: Any = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@given(
    held=OBJECTS, key=st.text(min_size=1, max_size=5), value=OBJECTS, indent=st.sampled_from([None, 2, "\t"])
)
def test_what_is_put_in_and_taken_out_leaves_the_value_as_it_was(
    held: Any, key: str, value: Any, indent: Any
) -> None:
    for form in ("jsonc", "yaml"):
        text = json.dumps(held, indent=indent)
        if form == "yaml":
            try:
                if yaml.safe_load(text) != held:
                    continue
            except yaml.YAMLError:
                continue
        had = held.pop(key, None)
        text = json.dumps(held, indent=indent)
        put = document(form, text).put([key, "x"], value)
        assert document(form, put).value == {**held, key: {"x": value}}
        assert document(form, document(form, put).without([key])).value == held
        if had is not None:
            held[key] = had


@pytest.mark.anyio
async def test_a_host_is_shown_what_it_would_see(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    host, wanted = HOSTS["ollmcp"], servers(project)
    path = install(host, project, wanted)
    held = json.loads(path.read_text())
    del held["mcpServers"]["ollama"]["env"]["OLLAMA_HOST"]
    held["mcpServers"]["git"]["command"] = "/gone/understudy-git"
    held["mcpServers"]["other"] = {"url": "https://example.com"}
    path.write_text(json.dumps(held))
    seen = {one.name: one for one in await seen_by(host, project)}
    assert seen["files"].tools and seen["files"].problem is None
    assert seen["git"].tools is None and "/gone/understudy-git" in (seen["git"].problem or "")
    assert "OLLAMA_HOST is set here and does not reach it" in seen["ollama"].notes
    assert seen["other"].tools is None and "not looked at" in seen["other"].notes[0]


@pytest.mark.anyio
async def test_a_projects_file_runs_nothing_of_the_projects_own_before_the_person_says_so(
    project: Path,
) -> None:
    trap, mark = project / "understudy-files", project / "ran"
    trap.write_text(f"#!/bin/sh\necho x > {mark}\n")
    trap.chmod(0o700)
    git = servers(project)["git"].command
    entries = {
        "a": {"command": str(trap)},
        "b": {"command": "./understudy-files"},
        "c": {"command": git, "env": {"PYTHONPATH": str(project)}},
        "d": {"command": "sh", "args": [str(trap)]},
        "e": {"command": git, "disabled": True},
    }
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": entries}))
    seen = await seen_by(HOSTS["claude-code"], project)
    assert [one.tools for one in seen] == [None] * 5 and not mark.exists()
    assert all(one.notes and one.problem is None for one in seen)
    all_of_them = await seen_by(HOSTS["claude-code"], project, all_servers=True)
    assert mark.exists() and all_of_them[3].problem


def test_doctor_says_what_a_host_sees(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["doctor", "--host", "claude-code", "--root", str(project)]
    assert main(words) == 0
    assert "names no server" in (said := capsys.readouterr().out) and "understudy init --host" in said
    path = install(HOSTS["claude-code"], project, {"files": servers(project)["files"]})
    assert main(words) == 0
    assert re.search(r"^ok +files: \d+ tools from /", capsys.readouterr().out)
    path.write_text(path.read_text().replace(str(project), str(project / "gone")))
    assert main([*words, "--json"]) == 1
    (finding,) = described("doctor", capsys.readouterr().out)["findings"]
    assert finding["state"] == "wrong" and "gone" in finding["found"] and "--replace" in finding["next_step"]
