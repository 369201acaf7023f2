"""git as a program that obeys nobody but us: its argv, its environment, its errors as sentences."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...output import ToolError, bounded, masked, visible
from ...workspace.outside_programs import outside_program, safe_path
from .config_overrides import Pair, as_environment
from .process import Finished, run

OLDEST = (2, 32)  # the first that can be told to read no global configuration
MAX_OUTPUT_BYTES = 64 << 20
TIMEOUT_S = 120.0

_FROM_HOST = ("LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SystemRoot", "USER", "LOGNAME")
_IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
_IDENTITY_DATES = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")
_NETWORK = (
    *("HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    *("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)

_OUTSIDE = re.compile(r"(?<![\w.:/~@-])/(?:[^\s'\":,()]+)")
_LOCKED = re.compile(
    r"(?:Unable to create '?|could not lock config file )(?P<file>[^']*?)(?:\.lock)?'?: File exists"
)
_HINTS = (
    (
        re.compile("No space left on device|Out of diskspace"),
        "\nthe disk is full; try again when there is room",
    ),
    (
        re.compile(r"index file (?:smaller|corrupt|open)|index uses|bad (?:index|signature)|unknown index"),
        "\nthe index is damaged: the user can delete .git/index and run `git reset`; no file is touched by that",
    ),
    (
        re.compile(
            r"unable to read [0-9a-f]{40}|unable to read (?:sha1|tree)|loose object|bad (?:\w+ )?(?:object|file)|missing blob"
        ),
        "\nobjects are missing or damaged: `git fsck` lists them, and a fetch may bring them back",
    ),
)
"""What git's complaint means for the person who has to do something about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """git on one repository, explicitly placed: nothing is discovered, nothing is inherited."""

    program: str
    version: tuple[int, ...]
    git_dir: Path
    top: Path
    root: Path  # what may be named in messages ends here
    config: tuple[Pair, ...] = ()
    extra_env: Mapping[str, str] = field(default_factory=dict[str, str])

    def __call__(
        self,
        *args: str | bytes,
        stdin: bytes | Iterable[bytes] = (),
        max_bytes: int = MAX_OUTPUT_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> bytes:
        """stdout of a command that must succeed. ToolError says what git said."""
        done = self.attempt(*args, stdin=stdin, max_bytes=max_bytes, timeout_s=timeout_s)
        if done.cut:
            raise ToolError(f"git {_verb(args)} gave more than {max_bytes:,} bytes; narrow it with paths")
        if done.code:
            raise ToolError(self.said(done, args))
        return done.out

    def attempt(
        self,
        *args: str | bytes,
        stdin: bytes | Iterable[bytes] = (),
        max_bytes: int = MAX_OUTPUT_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> Finished:
        """Run a command whose exit code the caller reads. ToolError when it took too long."""
        for arg in args:
            if isinstance(arg, str) and not _sayable(arg):
                raise ToolError("an argument holds a NUL character or a lone surrogate, which no text has")
        argv = [self.program, "--no-pager", f"--git-dir={self.git_dir}", f"--work-tree={self.top}", *args]
        try:
            done = run(
                argv,
                env=self.environment(),
                cwd=self.top,
                stdin=(stdin,) if isinstance(stdin, bytes) else stdin,
                max_bytes=max_bytes,
                timeout_s=timeout_s,
            )
        except OSError as exc:
            raise ToolError(f"git could not be started: {exc.strerror}") from exc
        if done.late:
            raise ToolError(
                f"git {_verb(args)} was stopped after {timeout_s:g} s; narrow it with paths or a smaller range"
            )
        return done

    def with_env(self, **extra: str) -> Git:
        return replace(self, extra_env={**self.extra_env, **extra})

    def with_config(self, *pairs: Pair) -> Git:
        return replace(self, config=(*self.config, *pairs))

    def environment(self) -> dict[str, str]:
        """Made from scratch; transports are off unless `extra_env` turns them on."""
        host = {
            name: os.environ[name]
            for name in (*_FROM_HOST, *_IDENTITY, *_IDENTITY_DATES)
            if name in os.environ
        }
        return {
            **host,
            "PATH": safe_path(self.root),
            "HOME": os.devnull,
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_PROXY_COMMAND": "false",
            "GIT_SSH_COMMAND": "false",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_EDITOR": "true",
            "GIT_SEQUENCE_EDITOR": "true",
            "GIT_PAGER": "cat",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_MERGE_AUTOEDIT": "no",
            "GIT_ADVICE": "0",
            "GIT_FLUSH": "0",  # nobody reads before the end, so a log need not be written commit by commit
            **as_environment(self.config),
            **self.extra_env,
        }

    def said(self, done: Finished, args: Sequence[str | bytes] = ()) -> str:
        """git's own complaint as text for the model: no paths of this machine, no secrets, no flood."""
        text = done.err.decode("utf-8", "backslashreplace").strip()
        text = text or done.out.decode("utf-8", "backslashreplace").strip()
        if match := _LOCKED.search(text):
            return self._locked(self.shorten(match.group("file")) + ".lock")
        if not text and (self.git_dir / "index.lock").exists():
            return self._locked(".git/index.lock")
        text = self.shorten(text) or f"exit code {done.code}, no message"
        hint = next((hint for pattern, hint in _HINTS if pattern.search(text)), "")
        return f"git {_verb(args)} did not do it: {bounded(masked(visible(text)), 2000)}{hint}"

    def _locked(self, lock: str) -> str:
        return (
            f"another git command holds {lock}; try again when it is done, "
            "or delete that file if no git runs (a killed one leaves it behind)"
        )

    def shorten(self, text: str) -> str:
        """`text` with paths of the work tree made relative and paths elsewhere left out."""
        for known in {str(self.top), str(self.root)}:
            text = text.replace(known + "/", "").replace(known, ".")
        return _OUTSIDE.sub("(a path outside the root)", text)


@functools.lru_cache(maxsize=16)
def find_git(root: Path) -> tuple[str, tuple[int, ...]]:
    """The git program and its version. ToolError when there is none, or one too old to be hardened."""
    program = outside_program("git", root)
    if program is None:
        raise ToolError("git is not installed here (nothing called git in PATH); install git 2.32 or newer")
    answer = subprocess.run(
        [program, "version"],
        capture_output=True,
        env={"PATH": safe_path(root)},
        cwd="/",
        timeout=20,
        check=False,
    )
    numbers = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    version = tuple(int(part) for part in (numbers.groups(b"0") if numbers else ("0",)))
    if version < OLDEST:
        found = ".".join(map(str, version))
        raise ToolError(f"git {found} cannot be run safely here; git 2.32 or newer works")
    return program, version


def network_environment() -> dict[str, str]:
    """What reaching a remote needs of the user's own environment: home, keys, proxies, certificates."""
    found = {name: os.environ[name] for name in _NETWORK if name in os.environ}
    ssh = os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=20")
    return {**found, "GIT_ALLOW_PROTOCOL": "file:https:ssh", "GIT_SSH_COMMAND": ssh}


def _sayable(text: str) -> bool:
    """Whether a program can be given this text at all."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _verb(args: Sequence[str | bytes]) -> str:
    first = args[0] if args else ""
    return os.fsdecode(first)
