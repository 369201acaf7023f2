"""What can happen to the machine while a command runs: bubblewrap, else Landlock with seccomp, else nothing.

Inside, a command sees the system's programs and libraries, the toolchains on PATH, the workspace
(writable, but for its protected places), an empty home with a cache of its own, and no network.
Which rung applied is named in every result; nothing falls back in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ..home import home
from ..places import SECRET_FOLDERS
from . import landlock

Level = Literal["bwrap", "landlock", "none"]
Mode = Literal["required", "preferred", "off"]

TMP_BYTES = 1 << 30
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
_NETWORK_FILES = ("/etc/resolv.conf", "/run/systemd/resolve", "/run/resolvconf")
_TOOLCHAINS = (
    ".pyenv", ".rustup", ".nvm", ".asdf", ".rbenv", ".rvm", ".volta", ".sdkman", ".bun", ".deno", ".ghcup",
    ".nodenv", ".fnm", ".juliaup", ".cargo/bin", ".cargo/registry", ".cargo/git", "go/bin", "go/pkg/mod", ".npm-global",
    ".local/bin", ".local/lib", ".local/pipx", ".local/share/pipx", ".local/share/uv", ".local/share/mise",
    ".local/share/pnpm", ".local/share/fnm", ".m2/repository", "miniconda3", "miniforge3", "anaconda3", "bin",
)  # fmt: skip
_PROTECTED = (
    ".git/config", ".git/config.worktree", ".git/hooks", ".git/info", ".gitmodules", ".mcp.json", ".claude", ".codex", ".cursor",
    ".vscode", ".idea", ".envrc", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv",
)  # fmt: skip
_SECRET_PLACES = (
    *SECRET_FOLDERS,
    ".netrc",
    ".git-credentials",
    ".kube",
    ".docker",
    ".config/gh",
    ".config/gcloud",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start one command so that the sandbox holds."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    ruleset: landlock.Ruleset | None
    depth: int  # processes of the sandbox on top of the command's


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The rung that holds here for one workspace."""

    root: Path
    level: Level
    why: str  # why it is no higher rung; "" for the highest

    def named(self, *, network: bool) -> str:
        """How results name it."""
        if self.level == "none":
            return "sandbox=none net=on"
        return f"sandbox={self.level} net={'on' if network else 'off'}"

    def launch(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        network: bool,
        processes: int,
        extra: Path | None = None,
    ) -> Launch:
        """`argv` wrapped for this rung. `env` must hold PATH and HOME; `extra` is one more folder to write in."""
        env = dict(env)
        match self.level:
            case "bwrap":
                # The limit is set inside, where the new user namespace counts from 0; root has none.
                inner = ["bash", "-c", f'ulimit -u {processes} 2>/dev/null; exec "$@"', "bash", *argv]
                wrapped = _bwrap(
                    self.root, env, network, inside=inner if os.getuid() else list(argv), cwd=cwd, extra=extra
                )
                return Launch(argv=tuple(wrapped), env=env, cwd="/", ruleset=None, depth=2)
            case "landlock":
                scratch = home() / "shell" / "tmp" / str(os.getpid())
                scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
                cache = cache_folder(self.root)
                env |= {
                    "TMPDIR": str(scratch),
                    "XDG_CACHE_HOME": str(cache),
                    "GOCACHE": str(cache / "go-build"),
                }
                env |= {
                    "GIT_CONFIG_GLOBAL": os.devnull,
                    "GIT_CONFIG_NOSYSTEM": "1",
                }  # git stops at one it cannot read
                readable = [*_visible(env), *(_NETWORK_FILES if network else ())]
                writable = [
                    str(self.root),
                    str(scratch),
                    str(cache),
                    *_DEVICES,
                    *([str(extra)] if extra else []),
                ]
                rules = landlock.Ruleset(read=[*readable, "/proc"], write=writable, network=network)
                return Launch(argv=tuple(argv), env=env, cwd=str(cwd), ruleset=rules, depth=0)
            case "none":
                return Launch(argv=tuple(argv), env=env, cwd=str(cwd), ruleset=None, depth=0)


def open_sandbox(root: Path, mode: Mode) -> Sandbox:
    """The best rung that works here, found by trying it. Raises OSError when `required` and none does."""
    if mode == "off":
        return Sandbox(root=root, level="none", why="switched off")
    failure = _try_bwrap(root)
    if failure is None:
        return Sandbox(root=root, level="bwrap", why="")
    if landlock.abi():
        return Sandbox(root=root, level="landlock", why=failure)
    why = f"{failure}; this system has no Landlock either"
    if mode == "required":
        raise OSError(f"a sandbox is required and none works here: {why}")
    return Sandbox(root=root, level="none", why=why)


def cache_folder(root: Path) -> Path:
    """Where contained commands of this workspace keep what makes the next run faster."""
    import hashlib

    folder = home() / "shell" / "cache" / hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def refused_root(root: Path) -> str | None:
    """Why this folder may not be a workspace, or None: a sandbox around everything is none."""
    if root == Path(root.anchor):
        return "the whole file system cannot be a workspace; name a project folder"
    if root in home().parents or root == home():
        return f"{root} holds Understudy's own state; name a project folder"
    return None


_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
)


def _bwrap(
    root: Path,
    env: Mapping[str, str],
    network: bool,
    *,
    inside: Sequence[str],
    cwd: Path,
    extra: Path | None = None,
) -> list[str]:
    user = env["HOME"]
    argv = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if network:
        argv.append("--share-net")
    argv += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        str(TMP_BYTES),
        "--tmpfs",
        "/tmp",
        "--dir",
        "/var/tmp",
    ]
    if Path(user).is_absolute() and user != "/":
        argv += ["--size", str(TMP_BYTES), "--tmpfs", user]
    for path in _visible(env):
        if os.path.islink(path) and "/" not in (link := os.readlink(path)).strip("/").replace("usr/", "", 1):
            argv += ["--symlink", link, path]  # /bin and its like
        else:
            argv += ["--ro-bind", path, path]
    for path in _NETWORK_FILES if network else ():
        argv += ["--ro-bind-try", path, path]
    if Path(user).is_absolute() and user != "/":
        argv += ["--bind", str(cache_folder(root)), f"{user}/.cache"]
    argv += ["--bind", str(root), str(root)]
    for name in _PROTECTED:
        if (root / name).exists():
            argv += ["--ro-bind", str(root / name), str(root / name)]
    for name in _SECRET_PLACES:
        place = Path(user) / name
        if place.is_relative_to(root) and place.exists():
            argv += ["--tmpfs", str(place)] if place.is_dir() else ["--ro-bind", os.devnull, str(place)]
    if extra:
        argv += ["--bind", str(extra), str(extra)]
    return [*argv, "--remount-ro", "/", "--chdir", str(cwd), "--", *inside]


def _try_bwrap(root: Path) -> str | None:
    """None when bubblewrap can run a command in this workspace, else why not."""
    if sys.platform != "linux" or not shutil.which("bwrap"):
        return "bubblewrap (bwrap) is not installed"
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.path.expanduser("~")}
    argv = _bwrap(root, env, False, inside=["true"], cwd=root)
    try:
        tried = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, env=env, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"bubblewrap does not work here ({exc})"
    if tried.returncode == 0:
        return None
    said = tried.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"bubblewrap does not work here ({said or tried.returncode})"


def _visible(env: Mapping[str, str]) -> list[str]:
    """What a contained command may read: system, toolchains, never a home or a key."""
    return list(_listed(env["PATH"], env["HOME"]))


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
