"""What of the machine a contained command sees, and what of the workspace it may not touch."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

from ...state.home import home
from ...workspace import protected_paths

CACHE_DAYS = 30

_GIT_PLACES = (".git/config", ".git/config.worktree", ".git/commondir", ".git/hooks", ".git/info")
PROTECTED = (*_GIT_PLACES, *(name for name in protected_paths.PROTECTED if name not in (".git", "git~1")))
"""Places at the workspace's top that make somebody else run code later. Of `.git`, git itself must write the rest."""

SECRET_PLACES = (
    *protected_paths.SECRET_FOLDERS, ".netrc", ".git-credentials", ".kube", ".docker", ".config/gh", ".config/gcloud", ".npmrc", ".pypirc",
)  # fmt: skip
"""Places in a home, hidden also where the home is the workspace."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/snap")
_ETC = (
    "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies",
    "debian_version", "fonts", "gitattributes", "group", "host.conf", "hostname", "hosts", "inputrc",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "locale.conf", "localtime", "lsb-release",
    "magic", "magic.mime", "mailcap", "mime.types", "nsswitch.conf", "os-release", "passwd", "perl", "pki/ca-trust",
    "pki/tls/certs", "profile", "profile.d", "protocols", "redhat-release", "services", "shells",
    "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "terminfo", "timezone", "xdg",
)  # fmt: skip
_ETC_FAMILIES = ("java", "python", "maven", "ImageMagick", "R", "php", "ruby")
NETWORK_FILES = ("/etc/resolv.conf", "/run/systemd/resolve", "/run/resolvconf")
_TOOLCHAINS = (
    ".pyenv", ".rustup", ".nvm", ".asdf", ".rbenv", ".rvm", ".volta", ".sdkman", ".bun", ".deno", ".ghcup",
    ".nodenv", ".fnm", ".juliaup", ".cargo/bin", ".cargo/registry", ".cargo/git", "go/bin", "go/pkg/mod", ".npm-global",
    ".local/bin", ".local/lib", ".local/pipx", ".local/share/pipx", ".local/share/uv", ".local/share/mise",
    ".local/share/pnpm", ".local/share/fnm", ".m2/repository", "miniconda3", "miniforge3", "anaconda3", "bin",
)  # fmt: skip


_MAX_GIT_FOLDERS = 50


def git_folders(root: Path) -> list[Path]:
    """The workspace's `.git` folder and those of its submodules and work trees, parents before children."""
    top = root / ".git"
    if not top.is_dir() or top.is_symlink():
        return []
    modules = _inside(top / "modules")
    nested = [place for module in modules for place in _inside(module)]
    inner = [*modules, *nested[:_MAX_GIT_FOLDERS], *_inside(top / "worktrees")]
    found = {top, *(place for place in inner if (place / "HEAD").is_file())}
    return sorted(
        {parent for place in found for parent in (place, *place.parents) if parent.is_relative_to(top)}
    )


def _inside(folder: Path) -> list[Path]:
    """Some of what is in it; nothing where it is none, or is removed meanwhile."""
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in islice(entries, _MAX_GIT_FOLDERS)]
    except OSError:
        return []


def visible(env: Mapping[str, str]) -> list[str]:
    """What a contained command may read: system, toolchains, never a home or a key. `env` has PATH and HOME."""
    return list(_listed(env["PATH"], env["HOME"]))


def cache_folder(root: Path) -> Path:
    """Where contained commands of this workspace keep what makes the next run faster."""

    folder = home() / "shell" / "cache" / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.utime(folder)
    return folder


def drop_old_caches() -> None:
    """Forget caches of workspaces that have not been opened for a month."""
    caches = home() / "shell" / "cache"
    for folder in caches.iterdir() if caches.is_dir() else ():
        if folder.stat().st_mtime < time.time() - CACHE_DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def git_identity(git: str | None) -> dict[str, str]:
    """The user's name and address for commits made in the sandbox, which cannot read the user's configuration."""
    found: dict[str, str] = {}
    if git is None:
        return found
    for key, name in (("user.name", "NAME"), ("user.email", "EMAIL")):
        with suppress(OSError, subprocess.TimeoutExpired):
            argv = [git, "config", "--global", "--get", key]
            ran = subprocess.run(argv, capture_output=True, cwd="/", timeout=5, check=False)
            if value := ran.stdout.decode("utf-8", "replace").strip():
                found |= {f"GIT_AUTHOR_{name}": value, f"GIT_COMMITTER_{name}": value}
    return found


@lru_cache(8)
def _listed(path: str, user: str) -> tuple[str, ...]:
    found = [place for place in _SYSTEM if os.path.lexists(place)]
    found += [f"/etc/{name}" for name in _ETC if os.path.exists(f"/etc/{name}")]
    found += [str(p) for p in Path("/etc").glob("*") if p.name.startswith(_ETC_FAMILIES)]
    places = [Path(user) / name for name in _TOOLCHAINS]
    places += [Path(sys.prefix), Path(sys.base_prefix)]
    places += [_toolchain(Path(entry)) for entry in path.split(os.pathsep) if os.path.isabs(entry)]
    for place in places:
        real = place.resolve()
        for each in dict.fromkeys((place, real)):
            text = str(each)
            inside = any(text == seen or text.startswith(seen + "/") for seen in found)
            if (
                not inside
                and each.is_dir()
                and text not in ("/", user, "/home", "/root", "/tmp", "/etc", "/var")
            ):
                found.append(text)
    return tuple(found)


def _toolchain(folder: Path) -> Path:
    """What a folder of programs on PATH needs around it: its prefix, when it looks like one."""
    for parent in folder.parents:
        if parent.name in _TOOLCHAINS:
            return parent
    prefix = folder.parent
    if folder.name in ("bin", "shims") and ((prefix / "pyvenv.cfg").exists() or (prefix / "lib").is_dir()):
        return folder if prefix.name == ".local" else prefix
    return folder
