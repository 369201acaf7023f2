"""Where a remote's address really leads, and git with the user's own way to get there.

The address comes from the repository's configuration, so it is data: https, ssh and folders alone, no helper
programs, no options in disguise, and of a folder every place git would go on to from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ...output import ToolError, masked, one_line
from . import config_overrides, user_config
from .git import Git, network_environment
from .repository import Repository, pointed

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^/@\s]*@")
_SUFFIXES = ("/.git", "", ".git/.git", ".git")  # what git tries behind a folder's name
_NEVER_FETCHES_LAZILY = {39: 4, 40: 2, 41: 1, 42: 2, 43: 4, 44: 1}  # the first patch of each git 2.x that can


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address with the user's own rewrites applied. `shown` has no credentials."""

    effective: str
    shown: str
    local: bool  # a folder on this machine
    outside: bool  # a folder that is not, or does not stay, inside the root: never without a yes


def address(repo: Repository, url: str) -> Address:
    """What git would connect to. ToolError when that cannot be done safely."""
    if not repo.trusted and (reaching := repo.settings.reaching()):
        raise ToolError(
            f"the repository's own configuration would redirect connections or credentials "
            f"({config_overrides.listed(reaching)}); the user can remove that, or allow it with understudy-git --trust ROOT"
        )
    _refuse_lazy(repo)
    _check(url)
    done = reaching_git(repo).attempt("ls-remote", "--get-url", "--end-of-options", url)
    if done.code:
        raise ToolError(repo.git.said(done, ["remote"]))
    effective = os.fsdecode(done.out).rstrip("\n")
    _check(effective)
    path = _path(repo, effective)
    places = set(_places(path)) if path is not None else set[Path]()
    outside = not all(place.is_relative_to(repo.git.root) for place in places)
    for place in places if not outside else ():
        if (place / "objects").is_dir():
            repo.check(place)
    return Address(
        effective=effective, shown=without_secrets(effective)[:300], local=path is not None, outside=outside
    )


def without_secrets(url: str) -> str:
    """An address for the eyes: one line, no credentials."""
    return _USERINFO.sub(r"\1***@", one_line(masked(url)))


def reaching_git(repo: Repository) -> Git:
    """git with the user's own way to reach remotes."""
    git = repo.hooked.with_env(**network_environment())
    own = user_config.network(repo.git)
    extra = [] if repo.trusted else [("credential.helper", "")]
    ssh = dict(own).get("core.sshcommand")
    if ssh and "GIT_SSH_COMMAND" not in os.environ:
        git = git.with_env(GIT_SSH_COMMAND=ssh)
    return git.with_config(*extra, *own)


def _refuse_lazy(repo: Repository) -> None:
    """An older git, let out to reach one remote, would fetch what a partial clone lacks as the configuration says."""
    if repo.trusted or repo.settings.get("extensions.partialclone") is None:
        return
    major, minor, patch = (*repo.git.version, 0, 0)[:3]
    if major == 2 and minor < 45 and patch < _NEVER_FETCHES_LAZILY.get(minor, 1000):
        raise ToolError(
            "this is a partial clone, and this git would fetch its missing objects from wherever the repository "
            "says; git 2.45 or newer works, or the user allows it with understudy-git --trust ROOT"
        )


def _check(url: str) -> None:
    shown = without_secrets(url)[:120]
    if not url or url.startswith("-") or any(ord(char) < 32 or ord(char) == 127 for char in url):
        raise ToolError(f"the remote's address {shown!r} cannot be used; https, ssh and folders work")
    if re.match(r"[a-z0-9+.-]+::", url, re.IGNORECASE):
        raise ToolError(f"the remote's address {shown!r} names a helper program, which does not run here")
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in ("https", "ssh", "file"):
        raise ToolError(f"the remote's address {shown!r} uses {scheme[1]}; https, ssh and folders work")
    host = url[scheme.end() :] if scheme else url
    if host.startswith("-") or "@-" in host.split("/", 1)[0]:
        raise ToolError(f"the remote's address {shown!r} looks like an option; https, ssh and folders work")


def _path(repo: Repository, url: str) -> str | None:
    """The folder an address means, as git spells it; None for another machine."""
    if url.lower().startswith("file://"):
        rest = unquote(url[len("file://") :])
        return rest[rest.find("/") :] if "/" in rest else "/"
    if _SCHEME.match(url) or re.match(r"[^/]+:", url):
        return None
    return os.path.expanduser(url) if url.startswith("~") else os.path.join(repo.top, url)


def _places(path: str) -> Iterator[Path]:
    """Every folder git could end in from a path: by suffix, by a .git file, by a linked work tree."""
    yield Path(os.path.realpath(path))
    for suffix in _SUFFIXES:
        spot = path.rstrip("/") + suffix
        real = Path(os.path.realpath(spot))
        if real.is_file() and (text := pointed(real)).startswith("gitdir: "):
            real = Path(os.path.realpath(os.path.join(os.path.dirname(spot), text.removeprefix("gitdir: "))))
        if real.exists():
            yield real
            if (real / "commondir").is_file():
                yield Path(os.path.realpath(real / pointed(real / "commondir")))
