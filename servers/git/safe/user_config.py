"""The user's own git preferences, read as data from their global configuration.

git runs here without any configuration of its own choosing; what a person expects of it, their name and
their ignore file, is handed over as plain values.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from dataclasses import replace

from ...output import ToolError
from . import config_overrides as config
from .config_overrides import Pair, Settings
from .git import Git

_WANTED = re.compile(
    r"user\.(name|email)|author\.(name|email)|committer\.(name|email)|core\.autocrlf|core\.excludesfile"
)
_NETWORK = re.compile(
    r"http\..*|url\..*\.(insteadof|pushinsteadof)|credential\..*|core\.sshcommand", re.DOTALL
)

_SIGNING = re.compile(
    r"(commit|tag)\.gpgsign|user\.signingkey|gpg\.(format|program)|gpg\.(openpgp|x509|ssh)\.program"
    r"|gpg\.ssh\.defaultkeycommand"
)

_lock = threading.Lock()
_read: dict[tuple[object, ...], list[Pair]] = {}


def personal(git: Git, settings: Settings) -> list[Pair]:
    """Name, address, ignore file and line endings; the repository's own name and address win."""
    wanted = [(key, value) for key, value in _global(git) if _WANTED.fullmatch(key)]
    own = {key for key in settings.names if key != "core.excludesfile"}
    pairs = [(key, value) for key, value in wanted if key not in own]
    if not any(key == "core.excludesfile" for key, _ in pairs):
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(
            os.environ.get("HOME", os.devnull), ".config"
        )
        pairs.append(("core.excludesfile", os.path.join(home, "git", "ignore")))
    return [(key, os.path.expanduser(value) if key == "core.excludesfile" else value) for key, value in pairs]


def network(git: Git) -> list[Pair]:
    """How the user reaches remotes: their own helpers, rewrites, proxies and ssh command."""
    return [(key, value) for key, value in _global(git) if _NETWORK.fullmatch(key)]


def signing(git: Git) -> dict[str, str]:
    """What the user's own configuration says of signing: each key with its last value."""
    return {key: value for key, value in _global(git) if _SIGNING.fullmatch(key)}


def known(git: Git, settings: Settings) -> None:
    """ToolError when commits here would have no author."""
    values = dict((*git.config, *settings.entries))
    for role in ("AUTHOR", "COMMITTER"):
        for part in ("name", "email"):
            if not (
                values.get(f"user.{part}")
                or values.get(f"{role.lower()}.{part}")
                or os.environ.get(f"GIT_{role}_{part.upper()}")
            ):
                raise ToolError(
                    f"no {part} to commit with: the user has to run `git config --global user.{part} ...` once "
                    "(or set it in this repository)"
                )


def _global(git: Git) -> list[Pair]:
    """Entries of the system and global configuration, read again when those files change."""
    files = [os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")]
    if named := os.environ.get("GIT_CONFIG_GLOBAL"):
        files.append(named)
    elif home := os.environ.get("HOME"):
        files.append(
            os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "git", "config")
        )
        files.append(os.path.join(home, ".gitconfig"))
    stamp = tuple(found for found in map(_stamp, files) if found)
    present = [file for file, _, _ in stamp]
    key = (git.git_dir, stamp)
    with _lock:
        if key not in _read:
            _read[key] = [pair for file in present for pair in _entries(git, file)]
        return _read[key]


def _stamp(file: str) -> tuple[str, int, int] | None:
    """The file with its time and size; None where there is none."""
    try:
        info = os.stat(file)
    except OSError:
        return None
    return (file, info.st_mtime_ns, info.st_size) if stat.S_ISREG(info.st_mode) else None


def _entries(git: Git, file: str) -> list[Pair]:
    env = {"HOME": os.environ.get("HOME", os.devnull)}  # for include paths that begin with ~
    done = replace(git, extra_env=env).attempt(
        "config", "--file", file, "--list", "-z", "--show-origin", "--includes"
    )
    if done.code:
        raise ToolError(
            "the user's own git configuration cannot be read; `git config --global --list` says why"
        )
    return [(key, value) for _, key, value in config.parse(done.out)]
