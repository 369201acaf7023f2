"""Fetch, pull and push ask the user, do exactly what was asked, and work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult

from tests.servers.git.repos import Repo
from tests.stdio import connect, start


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A clone of a bare repository; both outside of each other."""
    seed = Repo(tmp_path / "seed")
    seed.commit("first", a__txt="one\n")
    seed.git("clone", "--quiet", "--bare", ".", "../hub.git")
    seed.git("clone", "--quiet", "../hub.git", "../clone")
    clone = Repo(tmp_path / "clone", init=False)
    clone.git("config", "user.name", "Ann")
    clone.git("config", "user.email", "ann@example.org")
    return clone


def colleague(repo: Repo) -> Repo:
    """Another clone, one commit ahead and pushed."""
    repo.git("clone", "--quiet", "../hub.git", "../other")
    other = Repo(repo.top.parent / "other", init=False)
    other.commit("theirs", b__txt="theirs\n")
    other.git("push", "--quiet")
    return other


class User:
    """Answers questions and remembers them."""

    def __init__(self, go: str | None) -> None:
        self.go = go
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params.message)
        if self.go is None:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"go": self.go})


async def call(client: Client, **arguments: Any) -> tuple[str, bool]:
    answer = await client.call_tool("git_remote", arguments)
    return answer.content[0].text, bool(answer.is_error)  # type: ignore[union-attr]


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_push_names_its_goal_and_goes_after_a_yes(repo: Repo, mode: str) -> None:
    tip = repo.commit("mine", a__txt="two\n")
    user = User("yes")
    with anyio.fail_after(60):
        async with connect("git", str(repo.top), mode=mode, elicitation_callback=user) as client:
            text, failed = await call(client, action="push")
    assert not failed, text
    [question] = user.asked
    assert "Push main to main on origin" in question and "hub.git" in question
    assert question.splitlines()[1:] == [f"{tip[:7]} mine"]  # what the other side does not have yet
    assert repo.git("--git-dir=../hub.git", "rev-parse", "main") == tip
    assert repo.git("rev-parse", "origin/main") == tip


@pytest.mark.anyio
@pytest.mark.parametrize("go", ["no", None])
async def test_a_no_leaves_everything_as_it_was(repo: Repo, go: str | None) -> None:
    before = repo.git("--git-dir=../hub.git", "rev-parse", "main")
    repo.commit("mine", a__txt="two\n")
    with anyio.fail_after(60):
        async with connect("git", str(repo.top), elicitation_callback=User(go)) as client:
            text, _ = await call(client, action="push")
    assert "declined" in text
    assert repo.git("--git-dir=../hub.git", "rev-parse", "main") == before


def test_a_client_that_cannot_ask_is_told_what_would_allow_it(repo: Repo, own_state: Path) -> None:
    repo.git("config", "remote.origin.url", "https://user:hunter2hunter2@example.invalid/x.git")
    with start("git", str(repo.top)) as server:
        answer = server.call("git_remote", action="push")
        listed = server.call("git_remote").text
    assert answer.is_error and "--allow-remote push" in answer.text
    assert "hunter2" not in listed + answer.text + (own_state / "understudy/audit/git.jsonl").read_text(
        "utf-8"
    )
    assert "example.invalid" in listed


def test_a_folder_outside_the_root_always_needs_a_yes(repo: Repo) -> None:
    with start("git", str(repo.top), "--allow-remote", "fetch") as server:
        answer = server.call("git_remote", action="fetch")
    assert answer.is_error and "outside the root" in answer.text


def test_a_remote_inside_the_root_can_be_allowed_on_the_command_line(repo: Repo) -> None:
    other = colleague(repo)
    allowed = ["--allow-remote", "fetch", "--allow-remote", "pull", "--allow-remote", "push"]
    with start("git", str(repo.top.parent), "--repo", "clone", *allowed) as server:
        fetched = server.call("git_remote", action="fetch").text
        assert "1 refs moved" in fetched and "origin/main" in fetched
        assert server.call("git_status").structured["behind"] == 1
        op = server.call("git_remote", action="pull").text.rpartition("op=")[2]
        assert repo.read("b.txt") == b"theirs\n"
        assert not server.call("git_undo", op=op).is_error
        assert not (repo.top / "b.txt").exists()
        server.call("git_remote", action="pull")
        other.commit("more", b__txt="more\n")
        other.git("push", "--quiet")
        repo.commit("mine", a__txt="mine\n")
        assert "have both moved on" in server.call("git_remote", action="pull").text
        refused = server.call("git_remote", action="push")
        assert refused.is_error and "fetch" in refused.text
        assert not server.call("git_integrate", action="rebase", ref="origin/main").is_error
        assert not server.call("git_remote", action="push").is_error
        server.call("git_branch", action="create", name="topic")
        assert "upstream now" in server.call("git_remote", action="push", ref="topic").text
    assert repo.git("rev-list", "--count", "origin/main") == "4"
    assert repo.git("config", "branch.topic.merge") == "refs/heads/topic"


def test_a_forced_push_keeps_to_what_was_seen(repo: Repo) -> None:
    other = colleague(repo)
    with start(
        "git", str(repo.top.parent), "--repo", "clone", "--allow-remote", "push", "--allow-remote", "fetch"
    ) as server:
        repo.git("commit", "--quiet", "--amend", "--message", "rewritten")
        refused = server.call("git_remote", action="push", force=True)
        assert refused.is_error and "fetch and look first" in refused.text
        assert repo.git("--git-dir=../hub.git", "log", "-1", "--format=%s", "main") == "theirs"
        server.call("git_remote", action="fetch")
        assert not server.call("git_remote", action="push", force=True).is_error
    assert repo.git("--git-dir=../hub.git", "log", "-1", "--format=%s", "main") == "rewritten"
    assert other.top.exists()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ext::sh -c id", "helper program"),
        ("fd::17", "helper program"),
        ("http://example.invalid/x", "uses http"),
        ("git://example.invalid/x", "uses git"),
        ("-oProxyCommand=id:x", "cannot be used"),
        ("ssh://-oProxyCommand=id/x", "looks like an option"),
        ("user@-oProxyCommand=id:x", "looks like an option"),
        ("https://example.invalid/\x1b[2J", "cannot be used"),
    ],
)
def test_an_address_that_is_not_plain_is_refused(repo: Repo, url: str, why: str) -> None:
    repo.git("config", "remote.origin.url", url)
    with start("git", str(repo.top), "--allow-remote", "fetch") as server:
        answer = server.call("git_remote", action="fetch")
    assert answer.is_error and why in answer.text and "\x1b" not in answer.text


@pytest.mark.parametrize(
    "pair", ["http.proxy=http://127.0.0.1:1", "http.https://x/.sslVerify=false", "http.cookieFile=/etc/passwd",
             "url.https://evil.invalid/.insteadOf=https://good.invalid/", "remote.origin.proxy=http://127.0.0.1:1"],
)  # fmt: skip
def test_settings_that_redirect_connections_are_refused(repo: Repo, pair: str) -> None:
    key, _, value = pair.partition("=")
    repo.git("config", key, value)
    with start("git", str(repo.top), "--allow-remote", "fetch") as server:
        answer = server.call("git_remote", action="fetch")
    assert answer.is_error and "redirect connections" in answer.text


def test_a_hostile_fetch_setting_cannot_overwrite_local_branches(repo: Repo) -> None:
    colleague(repo)
    tip = repo.commit("mine", a__txt="mine\n")
    repo.git("config", "remote.origin.fetch", "+refs/heads/*:refs/heads/*")
    with start("git", str(repo.top.parent), "--repo", "clone", "--allow-remote", "fetch") as server:
        assert not server.call("git_remote", action="fetch").is_error
    assert repo.git("rev-parse", "main") == tip


def test_an_unknown_remote_names_those_there_are(repo: Repo) -> None:
    with start("git", str(repo.top)) as server:
        for name in ("nope", "https://example.invalid/x", "--upload-pack=id"):
            answer = server.call("git_remote", action="fetch", remote=name)
            assert answer.is_error and "there are origin" in answer.text
