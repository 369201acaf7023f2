"""The repository behind the server's root, looked at afresh for every call.

Its work tree, git dir, common dir and borrowed objects all lie inside the root, or it is not used.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...output import ToolError, one_line
from ...source.quoted_paths import shown
from ...workspace.openat import Beneath
from . import config_overrides as config
from .config_overrides import Settings
from .containment import Survey, swappable, within
from .git import Git, find_git
from .repo_config import Configuration
from .trust import Trust, hooks_folder, hooks_in
from .user_config import personal

_MAX_POINTER_BYTES = 8192
_HEAD = re.compile(r"ref:\s*refs/|[0-9a-f]{40}")
_REF_STORES = ("files", "reftable")
_TRUE = ("true", "1", "yes", "on")
SHALLOW = (
    "this is a shallow clone, which holds the newest commits alone (the user can `git fetch --unshallow`)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One verified repository, ready to be worked on."""

    git: Git
    """Reads; transports off."""
    hooked: Git
    """Commits and pushes: hooks among the work tree's files run here alone, where no checkout can swap them."""
    top: Path
    git_dir: Path
    common_dir: Path
    settings: Settings
    trusted: bool
    stale_trust: bool
    """It was trusted once, but what was trusted has changed."""
    hooks: tuple[str, ...]
    beneath: Beneath
    check: Callable[[Path], None]
    """Raises ToolError when something in a git dir leads out of the root."""

    @property
    def name(self) -> str:
        """Its folder as the parameter `repo` takes it; "." for the root itself."""
        return self.called(b".")

    def called(self, path: bytes) -> str:
        """What a path of the work tree is called from the root."""
        return shown(os.path.relpath(os.path.join(os.fsencode(self.top), path), os.fsencode(self.git.root)))

    @property
    def shallow(self) -> bool:
        return (self.common_dir / "shallow").exists()

    @property
    def sparse(self) -> bool:
        return self.settings.get("core.sparsecheckout") in _TRUE

    @property
    def writing(self) -> Git:
        """For commands that change something: they may take the index lock."""
        return self.git.with_env(GIT_OPTIONAL_LOCKS="1")

    def has(self, name: str) -> bool:
        """Whether a ref outside refs/, such as CHERRY_PICK_HEAD, exists: a file, but for the reftable store."""
        if (self.git_dir / name).exists():
            return True
        stored = (self.settings.get("extensions.refstorage") or "").lower() == "reftable"
        return stored and self.git.attempt("rev-parse", "--verify", "--quiet", name).code == 0

    def ignored(self) -> str:
        """What this repository asked to run and does not, in one line; "" when there is nothing to say."""
        if self.trusted:
            return ""
        what = list(self.settings.silenced())
        if self.hooks:
            what.append("hooks " + " ".join(self.hooks))
        if not what:
            return ""
        why = (
            "they changed since it was trusted"
            if self.stale_trust
            else "the user can allow hooks and filters: understudy-git --trust ROOT"
        )
        return f"ignored from this repository's configuration: {config.listed(what)} ({why})"


class Place:
    """Where to look: the boundary and the work tree inside it."""

    def __init__(self, root: str | os.PathLike[str], repo: str | os.PathLike[str] = ".") -> None:
        """ValueError in one sentence when there is no such folder, or `repo` lies outside `root`."""
        self.root = Path(os.path.realpath(root))
        self.top = Path(os.path.realpath(self.root / repo))
        for path, given in ((self.root, root), (self.top, repo)):
            if not path.is_dir():
                raise ValueError(f"{os.fspath(given)} is no folder; ROOT is an existing folder")
        if not self.top.is_relative_to(self.root):
            raise ValueError(f"--repo {os.fspath(repo)} lies outside {os.fspath(root)}")
        self.trust = Trust()
        self._survey = Survey(self.root)
        self._beneath = Beneath(self.top)
        self._configuration = Configuration(self.root, self.top)

    def repository(self) -> Repository:
        """The repository, verified. ToolError says in one sentence why there is none to use."""
        git_dir = self._git_dir()
        common_dir = self._common_dir(git_dir)
        for folder in {git_dir, common_dir}:
            self._survey.check(folder)
        program, version = find_git(self.root)
        bare = Git(program=program, version=version, git_dir=git_dir, top=self.top, root=self.root)
        settings = self._configuration.read(bare, git_dir, common_dir)
        if git_dir == common_dir and settings.get("core.bare") in _TRUE:
            raise ToolError(f"the repository here is {BARE}, or say repo=, the folder of a work tree it has")
        store = settings.get("extensions.refstorage")
        if store is not None and store.lower() not in _REF_STORES:
            raise ToolError(f"extensions.refStorage is {one_line(store)!r}; files and reftable work here")
        folder = hooks_folder(settings, self.top, common_dir)
        known = self.trust.known(common_dir)
        shown = known is not None or Path(os.path.realpath(folder)).is_relative_to(self.root)
        hooks = hooks_in(folder) if shown else {}
        trusted = known is not None and known == self.trust.fingerprint(settings, hooks)
        git = replace(bare, config=(*settings.overrides(trusted=trusted), *personal(bare, settings)))
        if trusted:
            git = git.with_env(HOME=os.environ.get("HOME", os.devnull))
        steady = not swappable(folder, self.top)
        return Repository(
            git=git if steady else git.with_config(("core.hooksPath", os.devnull)),
            hooked=git.with_env(GIT_OPTIONAL_LOCKS="1"),
            top=self.top,
            git_dir=git_dir,
            common_dir=common_dir,
            settings=settings,
            trusted=trusted,
            stale_trust=known is not None and not trusted,
            hooks=tuple(sorted(hooks)),
            beneath=self._beneath,
            check=self._survey.check,
        )

    def _git_dir(self) -> Path:
        dot = self.top / ".git"
        if not os.path.lexists(dot):
            raise ToolError(self._no_repository())
        real = within(self.root, dot, "the git dir (.git)")
        if real.is_file():
            text = pointed(real)
            if not text.startswith("gitdir: "):
                raise ToolError("the .git file here does not name a git dir; `git init` makes a repository")
            real = within(self.root, self.top / text.removeprefix("gitdir: "), "the git dir that .git names")
        head = real / "HEAD"
        try:
            mode = os.lstat(head).st_mode
        except OSError:
            raise ToolError(
                "the .git folder here is no repository (it has no HEAD); `git init` makes one"
            ) from None
        if stat.S_ISREG(mode) and not _HEAD.match(pointed(head)):
            raise ToolError(
                ".git/HEAD is damaged, it names neither a branch nor a commit; the user can repair it with "
                "`git symbolic-ref HEAD refs/heads/BRANCH`"
            )
        return real

    def _common_dir(self, git_dir: Path) -> Path:
        pointer = git_dir / "commondir"
        if not os.path.lexists(pointer):
            return git_dir
        text = pointed(within(self.root, pointer, "the file commondir"))
        return within(self.root, git_dir / text, "the common git dir of this linked work tree")

    def _no_repository(self) -> str:
        if is_bare(self.top):
            return f"the root is {BARE}"
        if any((folder / ".git").exists() for folder in self.top.parents):
            return (
                "the root is a folder inside a larger repository; start understudy-git with the "
                "repository's top folder as ROOT"
            )
        return "there is no git repository; run `git init` in it, or start understudy-git with a repository as ROOT"


BARE = (
    "a bare repository, which has no work tree, and every tool here works on one: "
    "clone it (`git clone BARE FOLDER`) and start understudy-git with the clone as ROOT"
)


def is_bare(folder: Path) -> bool:
    """Whether a folder is laid out as a git dir itself; the one of a work tree is meant by that work tree's name."""
    return folder.name != ".git" and all(
        os.path.exists(folder / name) for name in ("HEAD", "objects", "refs")
    )


def pointed(path: Path) -> str:
    """What a .git or commondir file says."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read(_MAX_POINTER_BYTES)).strip("\r\n")
