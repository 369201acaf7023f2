"""Which places in a workspace may be read and changed: pure rules on root-relative paths.

They hold whether or not the place exists, and without regard to case: some file systems have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase, translate

from ..characters import INVISIBLE, JOINERS

LITTER = ".understudy-"
"""How the temporary names this package leaves in a folder for a moment begin."""

SECRET = (
    ".env*", "*.pem", "*.key", "*.p12", "*.pfx", "id_*", ".netrc", "_netrc", ".pgpass", ".pypirc",
    ".git-credentials", ".htpasswd",
)  # fmt: skip
NOT_SECRET = (".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub", "id_*.*")
SECRET_FOLDERS = (".ssh", ".gnupg", ".aws")

PROTECTED = (
    ".git", "git~1", ".gitmodules", ".gitconfig", ".mcp.json", ".aws", ".claude", ".codex", ".cursor", ".vscode", ".idea",
    ".envrc", ".ssh", ".gnupg", ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".login",
)  # fmt: skip
ASK = (
    ".github", ".github/workflows", ".github/workflows/*", ".gitlab-ci.yml", ".gitattributes", ".pre-commit-config.yaml", "makefile",
    "gnumakefile", "conftest.py", "package.json", "sitecustomize.py",
)  # fmt: skip

_MAYBE_SECRET = re.compile(
    "(?:^|/)(?:"
    + "|".join([*map(translate, SECRET), *(re.escape(name) + "/" for name in SECRET_FOLDERS)])
    + ")"
)


def secret(real: str) -> str | None:
    """The rule that keeps a file's content from being read, or None."""
    folded = real.casefold()
    if not _MAYBE_SECRET.search(folded):  # one expression decides for nearly all of a hundred thousand hits
        return None
    *folders, name = folded.split("/")
    for folder in folders:
        if folder in SECRET_FOLDERS:
            return f"{folder}/**"
    if any(fnmatchcase(name, glob) for glob in NOT_SECRET):
        return None
    return next((glob for glob in SECRET if fnmatchcase(name, glob)), None)


def protected(real: str) -> str | None:
    """The rule that keeps a place from being changed, or None."""
    return next((name for name in real.casefold().split("/") if _plain(name) in PROTECTED), None)


def asks(real: str) -> str | None:
    """The rule that wants the user's yes before a change, or None: these files run code later."""
    folded = real.casefold()
    name = folded.rpartition("/")[2]
    for rule in ASK:
        if rule == name or ("/" in rule and fnmatchcase("/" + folded, "*/" + rule)):
            return rule
    return None


def allowed(real: str, allow: Sequence[str]) -> bool:
    """Whether the user's own `--allow` globs name this place. Nothing ever allows `.git`."""
    folded = real.casefold()
    return ".git" not in map(_plain, folded.split("/")) and any(
        fnmatchcase(folded, glob.casefold()) or fnmatchcase("/" + folded, "*/" + glob.casefold())
        for glob in allow
    )


def _plain(name: str) -> str:
    """`name` as file systems compare it that ignore invisible characters (HFS+), streams, trailing dots and spaces (NTFS)."""
    return _IGNORED.sub("", name.partition(":")[0]).rstrip(" .")


_IGNORED = re.compile(f"[{INVISIBLE}{JOINERS}]")
