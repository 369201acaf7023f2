"""No repository runs code through the git server, and none shows anything outside the root.

Every vector is proven twice: plain git falls for it (where a plain command can), ours does not and says
what it ignored.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers.git.repos import ENVIRONMENT, Call, Repo, ask
from tests.stdio import Result


@dataclass
class World:
    """ROOT holds work (a repository) and remote.git; evil and marker lie outside it."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def repo(self) -> Repo:
        return Repo(self.root / "work", init=False)

    @property
    def evil(self) -> str:
        return str(self.folder / "evil")

    @property
    def marker(self) -> Path:
        return self.folder / "marker"

    def config(self, *pairs: str) -> None:
        for pair in pairs:
            key, _, value = pair.partition("=")
            self.repo.git("config", "--add", key, value.replace("EVIL", self.evil))

    def attributes(self, line: str) -> None:
        self.repo.write(".git/info/attributes", line + "\n")

    def hook(self, name: str, folder: str = ".git/hooks") -> None:
        self.repo.write(f"{folder}/{name}", f"#!/bin/sh\n{self.evil}\n").chmod(0o755)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    repo = Repo(folder / "root" / "work")
    repo.commit("first", a__txt="one\ntwo\nthree\n", b__txt="b\n")
    repo.git("switch", "--quiet", "--create", "side")
    repo.commit("side", a__txt="one\ntwo\nthree on the side\n")
    repo.git("switch", "--quiet", "main")
    repo.commit("main", a__txt="one on main\ntwo\nthree\n")
    repo.git("init", "--quiet", "--bare", "../remote.git")
    repo.git("remote", "add", "origin", "../remote.git")
    repo.git("push", "--quiet", "origin", "main", "side")
    repo.git("branch", "--quiet", "behind", "main~1")
    repo.write("a.txt", "one on main\ntwo, changed\nthree\n")
    return folder


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    folder = tmp_path / "world"
    shutil.copytree(template, folder, symlinks=True)
    evil = folder / "evil"
    evil.write_text(f"#!/bin/sh\ntouch '{folder}/marker'\nexit 1\n", encoding="utf-8")
    evil.chmod(0o755)
    made = World(folder)
    made.repo.git("update-index", "-q", "--refresh")
    return made


STATUS: Call = ("git_status", {})
DIFF: Call = ("git_diff", {})
BLAME: Call = ("git_blame", {"path": "a.txt"})
LOG: Call = ("git_log", {"patch": True})
SHOW: Call = ("git_show", {})
STAGE: Call = ("git_stage", {"paths": ["."]})
COMMIT: Call = ("git_commit", {"message": "m"})
AMEND: Call = ("git_commit", {"message": "", "amend": True})
SWITCH: Call = ("git_branch", {"action": "switch", "name": "side"})
RESTORE: Call = ("git_restore", {"paths": ["."], "staged": True, "worktree": True})
PUSH_STASH: Call = ("git_stash", {"action": "push"})
SHOW_STASH: Call = ("git_stash", {"action": "show"})
POP: Call = ("git_stash", {"action": "pop"})
MERGE: Call = ("git_integrate", {"action": "merge", "ref": "side"})
REBASE: Call = ("git_integrate", {"action": "rebase", "ref": "side"})
PICK: Call = ("git_integrate", {"action": "cherry_pick", "ref": "side"})
REVERT: Call = ("git_integrate", {"action": "revert", "ref": "HEAD"})
FETCH: Call = ("git_remote", {"action": "fetch"})
PULL: Call = ("git_remote", {"action": "pull", "ref": "main"})
PUSH: Call = ("git_remote", {"action": "push", "ref": "behind"})
EVERYTHING = [STATUS, DIFF, BLAME, LOG, SHOW, PUSH_STASH, SHOW_STASH, POP, STAGE, COMMIT, AMEND, SWITCH]
EVERYTHING_ELSE = [
    ("git_branch", {"action": "switch", "name": "main"}),
    MERGE,
    REVERT,
    PICK,
    REBASE,
    FETCH,
    PULL,
    PUSH,
]


@dataclass(frozen=True)
class Vector:
    """`plant` makes the trap, `plain` springs it with plain git, `told` must be named by git_status."""

    name: str
    plant: Callable[[World], Any]
    calls: Sequence[Call]
    plain: Sequence[str] = field(default=())
    told: str | None = None
    refused: bool = False  # ours refuses every call, in words


def driver(*pairs: str, attribute: str) -> Callable[[World], None]:
    def plant(world: World) -> None:
        world.config(*pairs)
        world.attributes(f"*.txt {attribute}")

    return plant


def setting(*pairs: str) -> Callable[[World], None]:
    return lambda world: world.config(*pairs)


def many_filters(world: World) -> None:
    config = world.repo.top / ".git/config"
    one = '[filter "one of those with a long name, number {}"]\n\tclean = x\n'
    config.write_text(
        config.read_text(encoding="utf-8") + "".join(map(one.format, range(2500))), encoding="utf-8"
    )
    driver("filter.x.clean=EVIL", attribute="filter=x")(world)


def hooks(*names: str) -> Callable[[World], None]:
    def plant(world: World) -> None:
        for name in names:
            world.hook(name)

    return plant


def hooks_path(world: World) -> None:
    world.hook("pre-commit", "tools")
    world.config("core.hooksPath=tools")


def included(world: World) -> None:
    world.repo.write("shared.cfg", f"[core]\n\tfsmonitor = {world.evil}\n")
    world.config("include.path=../shared.cfg")


def included_on_a_branch(world: World) -> None:
    world.repo.write("shared.cfg", f'[filter "x"]\n\tsmudge = {world.evil}\n')
    world.config("includeIf.onbranch:side.path=../shared.cfg")
    world.attributes("*.txt filter=x")


def worktree_config(world: World) -> None:
    world.config("core.repositoryFormatVersion=1", "extensions.worktreeConfig=true")
    world.repo.write(".git/config.worktree", f"[core]\n\tfsmonitor = {world.evil}\n")


def remote_hooks(world: World) -> None:
    for name in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction"):
        world.hook(name, "../remote.git/hooks")


def submodule(world: World) -> None:
    inner = Repo(world.root / "inner")
    inner.commit("inner", f__txt="f\n")
    world.repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../inner", "sub")
    world.repo.git("commit", "--quiet", "--all", "--message", "add sub")
    inside = Repo(world.repo.top / "sub", init=False)
    inside.git("config", "core.fsmonitor", world.evil)
    inside.git("config", "filter.x.clean", world.evil)
    world.repo.write(".git/modules/sub/info/attributes", "* filter=x\n")
    inside.write("f.txt", "changed\n")
    world.config("diff.ignoreSubmodules=none", "submodule.sub.ignore=none", "status.submoduleSummary=true")


def lazy_fetch(world: World) -> None:
    world.config(
        "core.repositoryFormatVersion=1", "extensions.partialClone=origin", "remote.origin.promisor=true",
        "remote.origin.uploadpack=EVIL", "remote.origin.url=../remote.git",
    )  # fmt: skip
    oid = world.repo.git("rev-parse", "HEAD:b.txt")
    (world.repo.top / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    world.repo.write("b.txt", "gone\n")


def signed(world: World) -> None:
    world.config(
        "gpg.program=EVIL", "log.showSignature=true", "commit.gpgSign=true", "merge.verifySignatures=true"
    )
    commit = world.repo.git("cat-file", "commit", "HEAD")
    head, _, message = commit.partition("\n\n")
    fake = f"{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n{message}\n"
    oid = world.repo.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=fake.encode())
    world.repo.git("update-ref", "HEAD", oid)


FILTERED = [STATUS, DIFF, STAGE, PUSH_STASH, POP, RESTORE, SWITCH]
VECTORS = [
    Vector("fsmonitor", setting("core.fsmonitor=EVIL"), [STATUS, DIFF, STAGE], ["status"], "core.fsmonitor"),
    Vector("external diff", setting("diff.external=EVIL"), [DIFF, LOG, SHOW_STASH], ["diff"], "diff.external"),
    Vector("textconv", driver("diff.x.textconv=EVIL", attribute="diff=x"), [DIFF, BLAME, LOG, SHOW], ["diff"], "diff.x.textconv"),
    Vector("diff driver", driver("diff.x.command=EVIL", attribute="diff=x"), [DIFF, SHOW], ["diff"], "diff.x.command"),
    Vector("clean filter", driver("filter.x.clean=EVIL", "filter.x.required=true", attribute="filter=x"), FILTERED, ["add", "a.txt"], "filter.x.clean"),
    Vector("smudge filter", driver("filter.x.smudge=EVIL", attribute="filter=x"), FILTERED, ["checkout", "a.txt"], "filter.x.smudge"),
    Vector("process filter", driver("filter.x.process=EVIL", attribute="filter=x"), FILTERED, ["add", "a.txt"], "filter.x.process"),
    Vector("odd filter name", driver("filter.x=y z.clean=EVIL", attribute="filter=x"), FILTERED),
    Vector("filter name of quotes", driver("filter.x'y!z''.clean=EVIL", attribute="filter=x'y!z''"), FILTERED),
    Vector("more filters than one variable holds", many_filters, [STATUS, STAGE], ["add", "a.txt"]),
    Vector("merge driver", driver("merge.x.driver=EVIL", attribute="merge=x"), [PUSH_STASH, MERGE, ("git_integrate", {"action": "abort"}), PICK], ["-c", "core.editor=true", "merge", "--autostash", "side"], "merge.x.driver"),
    Vector("commit hooks", hooks("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit", "post-index-change"), [STAGE, COMMIT, AMEND], ["commit", "--all", "--message=m"], "pre-commit"),
    Vector("checkout hooks", hooks("post-checkout", "post-index-change"), [PUSH_STASH, SWITCH], ["checkout", "a.txt"], "post-checkout"),
    Vector("merge hooks", hooks("pre-merge-commit", "post-merge", "pre-rebase", "post-rewrite", "applypatch-msg"), [PUSH_STASH, MERGE, REVERT, REBASE], ["rebase", "--autostash", "side"], "pre-rebase"),
    Vector("ref hook", hooks("reference-transaction"), [STAGE, COMMIT, ("git_branch", {"action": "create", "name": "n"})], ["branch", "n"], "reference-transaction"),
    Vector("push hook", hooks("pre-push"), [PUSH], ["push", "../remote.git", "behind"], "pre-push"),
    Vector("hooks of the remote", remote_hooks, [PUSH], ["push", "../remote.git", "behind"]),
    Vector("hooks path", hooks_path, [("git_stage", {"paths": ["a.txt"]}), COMMIT], ["commit", "--all", "--message=m"], "core.hookspath"),
    Vector("configured hook", setting("hook.x.command=EVIL", "hook.x.event=pre-commit"), [STAGE, COMMIT], (), "hook.x.command"),
    Vector("editor", setting("core.editor=EVIL"), [PUSH_STASH, MERGE, REVERT], ["commit", "--amend"], "core.editor"),
    Vector("sequence editor", setting("sequence.editor=EVIL"), [PUSH_STASH, REBASE], ["rebase", "--autostash", "-i", "HEAD~1"], "sequence.editor"),
    Vector("pager", setting("core.pager=EVIL", "pager.log=EVIL", "pager.diff=EVIL"), [LOG, DIFF, SHOW], (), "core.pager"),
    Vector("signing", setting("gpg.program=EVIL", "commit.gpgSign=true"), [STAGE, COMMIT, AMEND], ["commit", "--all", "--message=m"], "gpg.program"),
    Vector("ssh signing", setting("gpg.format=ssh", "gpg.ssh.defaultKeyCommand=EVIL", "commit.gpgSign=true"), [STAGE, COMMIT], ["commit", "--all", "--message=m"], "gpg.ssh.defaultkeycommand"),
    Vector("signature check", signed, [LOG, SHOW, PUSH_STASH, MERGE], ["log", "-1"], "gpg.program"),
    Vector("ssh command", setting("core.sshCommand=EVIL", "remote.origin.url=ssh://127.0.0.1:1/x"), [], (), "core.sshcommand"),
    Vector("upload pack", setting("remote.origin.uploadpack=EVIL"), [FETCH, PULL], ["fetch", "origin"], "remote.origin.uploadpack"),
    Vector("receive pack", setting("remote.origin.receivepack=EVIL"), [PUSH], ["push", "origin", "behind"], "remote.origin.receivepack"),
    Vector("upload pack of an address", lambda w: w.config("remote.../remote.git.uploadpack=EVIL", "remote.../remote.git.url=../remote.git"), [FETCH]),
    Vector("remote helper", setting("protocol.ext.allow=always", "remote.origin.pushurl=ext::EVIL"), [PUSH], (), "protocol.ext.allow", refused=True),
    Vector("helper by name", setting("remote.origin.vcs=ext", "protocol.ext.allow=always"), [FETCH, PUSH], (), "remote.origin.vcs", refused=True),
    Vector("credential helper", setting("credential.helper=!EVIL", "credential.https://127.0.0.1:1.helper=!EVIL", "remote.origin.pushurl=https://127.0.0.1:1/x"), [PUSH], (), "credential.helper", refused=True),
    Vector("include", included, [STATUS, DIFF], ["status"], "core.fsmonitor"),
    Vector("include on a branch", included_on_a_branch, [PUSH_STASH, SWITCH, POP, RESTORE], (), "filter.x.smudge", refused=True),
    Vector("worktree config", worktree_config, [STATUS, DIFF], ["status"], "core.fsmonitor"),
    Vector("attributes file", lambda w: (w.repo.write("attrs", "*.txt diff=x\n"), w.config("core.attributesFile=attrs", "diff.x.textconv=EVIL")), [DIFF, BLAME], ["diff"], "core.attributesfile"),
    Vector("attributes in the tree", lambda w: (w.repo.write(".gitattributes", "*.txt filter=x diff=x\n"), w.config("filter.x.clean=EVIL", "diff.x.textconv=EVIL")), FILTERED, ["diff"], "filter.x.clean"),
    Vector("submodule", submodule, [STATUS, DIFF, STAGE, PUSH_STASH, SWITCH], ["status"]),
    Vector("submodule update", lambda w: (submodule(w), w.marker.unlink(missing_ok=True), w.config("submodule.recurse=true", "submodule.sub.update=!EVIL")), [SWITCH, PULL, RESTORE], (), "submodule.sub.update"),
    Vector("lazy fetch", lazy_fetch, [STATUS, DIFF, LOG, ("git_show", {"path": "b.txt"})], (), "remote.origin.uploadpack"),
    Vector("alternate refs", lambda w: (w.config("core.alternateRefsCommand=EVIL"), w.repo.write(".git/objects/info/alternates", "../../../remote.git/objects\n")), [FETCH, PUSH], ["fetch", "../remote.git", "side"], "core.alternaterefscommand"),
    Vector("trailers", setting("trailer.x.command=EVIL", "trailer.x.key=X"), [STAGE, COMMIT], (), "trailer.x.command"),
    Vector("aliases", setting("alias.status=!EVIL", "alias.update-index=!EVIL", "alias.x=!EVIL"), [STATUS, STAGE]),
    Vector("merge options", setting("branch.main.mergeoptions=--strategy=EVIL"), [PUSH_STASH, MERGE], (), "branch.main.mergeoptions"),
    Vector("automatic upkeep", lambda w: (w.hook("pre-auto-gc"), w.config("gc.auto=1", "gc.autoDetach=false")), [STAGE, COMMIT, PUSH_STASH, MERGE, FETCH], (), "pre-auto-gc"),
]  # fmt: skip


def run(world: World, calls: Sequence[Call]) -> list[Result]:
    """The calls on a server that may fetch, pull and push unasked."""
    return ask(world.root, calls, repo="work", allow_remote=("fetch", "pull", "push"))


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
def test_a_repository_runs_no_code(world: World, vector: Vector) -> None:
    vector.plant(world)
    world.marker.unlink(missing_ok=True)
    results = run(world, [*vector.calls, STATUS])
    assert not world.marker.exists()
    assert vector.refused or not vector.calls or any(not result.is_error for result in results[:-1])
    if vector.told:
        assert vector.told in " ".join(results[-1].structured["notes"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.plain], ids=[v.name for v in VECTORS if v.plain])
def test_plain_git_would_have_run_it(world: World, vector: Vector) -> None:
    vector.plant(world)
    world.marker.unlink(missing_ok=True)
    subprocess.run(
        ["git", *vector.plain],
        cwd=world.repo.top,
        env=ENVIRONMENT,
        input=b"",
        capture_output=True,
        check=False,
    )
    assert world.marker.exists()


def test_all_traps_at_once_stay_shut_through_every_tool(world: World) -> None:
    submodule(world)
    apart = {"submodule", "submodule update", "signature check", "lazy fetch", "upload pack of an address"}
    apart |= {"include", "include on a branch"}  # they stop what writes files
    for vector in VECTORS:
        if vector.name not in apart and not vector.refused:
            vector.plant(world)
    world.repo.git("config", "--replace-all", "remote.origin.url", "../remote.git")
    world.marker.unlink(missing_ok=True)
    run(world, [*EVERYTHING, *EVERYTHING_ELSE])
    assert not world.marker.exists()
