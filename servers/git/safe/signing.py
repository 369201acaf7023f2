"""Signing as the user's own configuration asks, with their own programs and keys, where that needs no prompt.

Whether it works is tried on an object nobody keeps before anything is changed. A passphrase that an agent holds is
used; one that would have to be typed is not asked for.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...output import ToolError, masked, one_line, visible
from ...state.home import home
from ...state.whole_file import write_whole
from . import user_config
from .config_overrides import Pair
from .git import Git
from .repository import Repository

PROBE_TIMEOUT_S = 20.0
_GOOD_FOR_S = 300.0
_FROM_HOST = ("HOME", "GNUPGHOME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")
_PROGRAM = {"openpgp": "gpg", "x509": "gpgsm", "ssh": "ssh-keygen"}
_SILENT = '#!/bin/sh\nexec "$UNDERSTUDY_SIGNER" --batch --no-tty --pinentry-mode error "$@"\n'
"""git takes a program without arguments; this one fails where the real one would ask for a passphrase."""

_lock = threading.Lock()
_worked: dict[tuple[tuple[Pair, ...], str], float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """`works` is False where nothing is to be signed, and where nothing can be: then `note` says why."""

    works: bool = False
    note: str = ""
    config: tuple[Pair, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def used_by(self, git: Git) -> Git:
        """The same git, signing what it makes if that works."""
        return git.with_config(*self.config).with_env(**self.env) if self.works else git


def signer(repo: Repository, kind: Literal["commit", "tag"]) -> Signer:
    """How commits or tags made now are signed."""
    wishes = user_config.signing(repo.git)
    if wishes.get(f"{kind}.gpgsign", "false").casefold() not in ("true", "yes", "on", "1", ""):
        return Signer()
    form = wishes.get("gpg.format", "openpgp").casefold()
    if form not in _PROGRAM:
        return Signer(note=f"unsigned: gpg.format {one_line(form[:40])!r} is none that git knows")
    named = repo.settings.get("user.signingkey") is not None
    if named and not repo.trusted and "user.signingkey" not in wishes:
        return Signer(note="unsigned: only the repository names a key, and it is not trusted to")
    program = wishes.get(f"gpg.{form}.program") or (form == "openpgp" and wishes.get("gpg.program"))
    program = os.path.expanduser(program or _PROGRAM[form])
    env = {name: os.environ[name] for name in _FROM_HOST if name in os.environ}
    env |= {"SSH_ASKPASS_REQUIRE": "never", "UNDERSTUDY_SIGNER": program}
    called = program if form == "ssh" else _silent()
    config = [(f"{kind}.gpgSign", "true"), ("gpg.format", form), (f"gpg.{form}.program", called)]
    config += [("gpg.program", called)] if form == "openpgp" else []
    kept = ("gpg.ssh.defaultkeycommand",) if named and repo.trusted else (
        "gpg.ssh.defaultkeycommand",
        "user.signingkey",
    )  # fmt: skip
    config += [(key, wishes[key]) for key in kept if key in wishes]
    found = Signer(works=True, note=f"signed ({form})", config=tuple(config), env=env)
    why = _why_not(repo, found)
    return Signer(note=f"unsigned: {kind}.gpgsign is on, but {why}") if why else found


def _why_not(repo: Repository, found: Signer) -> str:
    """Why nothing can be signed without a prompt; "" when something just was."""
    key = (found.config, found.env.get("SSH_AUTH_SOCK", ""))
    with _lock:
        if time.monotonic() < _worked.get(key, 0.0):
            return ""
    with tempfile.TemporaryDirectory() as folder:
        git = found.used_by(repo.git).with_env(GIT_OBJECT_DIRECTORY=folder)
        tree = git("mktree").decode().strip()
        try:
            done = git.attempt("commit-tree", "--gpg-sign", "-m", "x", tree, timeout_s=PROBE_TIMEOUT_S)
        except ToolError:
            return f"the program that signs did not answer within {PROBE_TIMEOUT_S:g} s"
    if done.code:
        said = masked(visible(repo.git.shorten(done.err.decode("utf-8", "backslashreplace"))))
        lines = [
            line.strip() for line in said.splitlines() if line.strip() and not line.startswith("[GNUPG:]")
        ]
        return f"that does not work without a prompt here ({one_line('; '.join(lines))[:300]})"
    with _lock:
        _worked[key] = time.monotonic() + _GOOD_FOR_S
    return ""


def _silent() -> str:
    """Where the program stands that signs without asking."""
    path = home() / "git" / "sign-without-asking"
    if not path.is_file() or path.read_text(encoding="utf-8") != _SILENT:
        write_whole(path, _SILENT, 0o700)
    return str(path)
