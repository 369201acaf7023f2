"""What a repository's configuration would run, and the overrides that keep it from running.

Plain git executes whatever .git/config says: monitors, filters, diff and merge drivers, editors, signers,
credential helpers. Fixed overrides silence the settings with fixed names; those with free names (a
filter called anything) are enumerated first and overridden one by one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...output import one_line

Pair = tuple[str, str]

FIXED: tuple[Pair, ...] = (
    # programs
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.editor", "true"),
    ("sequence.editor", "true"),
    ("core.askPass", "true"),
    ("core.alternateRefsCommand", "true"),
    ("diff.external", ""),
    ("interactive.diffFilter", ""),
    ("gpg.program", "false"),
    ("gpg.openpgp.program", "false"),
    ("gpg.x509.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.ssh.defaultKeyCommand", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("push.pushOption", ""),
    ("log.showSignature", "false"),
    ("merge.verifySignatures", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    # other repositories and other files
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("diff.ignoreSubmodules", "dirty"),
    ("safe.bareRepository", "explicit"),
    ("protocol.allow", "user"),
    ("protocol.ext.allow", "never"),
    ("core.attributesFile", os.devnull),
    ("diff.orderFile", os.devnull),
    ("mailmap.file", ""),
    ("mailmap.blob", ""),
    ("fetch.fsckObjects", "false"),  # its skip list would be read from anywhere
    ("transfer.fsckObjects", "false"),
    ("fetch.bundleURI", ""),
    ("transfer.bundleURI", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    # one shape of output and one way of working, whatever the repository prefers
    ("core.quotePath", "false"),
    ("color.ui", "false"),
    ("column.ui", "never"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("diff.submodule", "short"),
    ("diff.relative", "false"),
    ("diff.suppressBlankEmpty", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("commit.cleanup", "whitespace"),
    ("commit.status", "false"),
    ("merge.autoStash", "false"),
    ("rebase.autoStash", "false"),
    ("rebase.updateRefs", "false"),
    ("rebase.autoSquash", "false"),
    ("rebase.backend", "merge"),
    ("rebase.rebaseMerges", "false"),
    ("pull.twohead", "ort"),
    ("user.useConfigOnly", "true"),
    ("advice.addEmbeddedRepo", "false"),
    ("advice.detachedHead", "false"),
    ("status.relativePaths", "false"),
)

UNTRUSTED: tuple[Pair, ...] = (
    ("core.hooksPath", os.devnull),
    ("core.sshCommand", "false"),
    ("core.gitProxy", "false"),
    ("credential.helper", ""),
)
"""Fixed overrides that a trusted repository is spared."""

# A blanked merge driver would keep "ours" and call it merged; this is the text merge git does by itself.
_TEXT_MERGE = "git merge-file --marker-size=%L %A %O %B"

_NAMED: tuple[tuple[re.Pattern[str], str, bool], ...] = tuple(
    (re.compile(pattern, re.DOTALL), value, spared)
    for pattern, value, spared in (
        (r"filter\..*\.(clean|smudge|process)", "", True),
        (r"filter\..*\.required", "false", True),
        (r"merge\..*\.driver", _TEXT_MERGE, True),
        (r"hook\..*\.command", "true", True),
        (r"hook\..*\.event", "", True),
        (r"hook\..*\.enabled", "false", True),
        (r"credential\..*\.helper", "", True),
        (r"diff\..*\.(textconv|command)", "", False),
        (r"gpg\..*\.program", "false", False),
        (r"trailer\..*\.(cmd|command)", "true", False),
        (r"tar\..*\.command", "false", False),
        (r"branch\..*\.mergeoptions", "", False),
        (r"submodule\..*\.update", "none", False),
    )
)
"""Settings with free names: pattern, override, and whether a trusted repository keeps its own value."""

_TELLING = re.compile(
    r"core\.(fsmonitor|hookspath|sshcommand|gitproxy|askpass|editor|pager|alternaterefscommand|worktree)"
    r"|core\.(attributesfile|excludesfile)|diff\.external|sequence\.editor|interactive\.difffilter"
    r"|gpg\..*program|gpg\.ssh\.defaultkeycommand|credential\.(.*\.)?helper|uploadpack\.packobjectshook"
    r"|remote\..*\.(uploadpack|receivepack|vcs|proxy)|filter\..*\.(clean|smudge|process)"
    r"|diff\..*\.(textconv|command)|merge\..*\.driver|trailer\..*\.(cmd|command)|hook\..*\.command"
    r"|branch\..*\.mergeoptions|submodule\..*\.update|(commit|tag|push)\.gpgsign|protocol\..*allow"
    r"|blame\.ignorerevsfile|mailmap\.(file|blob)|diff\.orderfile|tar\..*\.command",
    re.DOTALL,
)
"""Settings whose loss the user should hear about."""

_REACHING = re.compile(
    r"http\..*|url\..*\.(insteadof|pushinsteadof)|credential\..*|remote\..*\.(vcs|proxy|proxyauthmethod)",
    re.DOTALL,
)
_HARMLESS_HTTP = re.compile(r"http\.(postbuffer|version|lowspeedlimit|lowspeedtime|maxrequests|minsessions)")
_MAX_VARIABLE_BYTES = 100_000  # Linux takes 128 KiB
_OFF = ("", "false", "no", "off", "0")
_BUILT_IN_MONITOR = ("true", "yes", "on", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every entry of the repository's own configuration, in git's order. Keys as git normalises them."""

    entries: tuple[Pair, ...]
    unsteady: str = ""
    """Why a command that writes files could rewrite these settings while git runs; "" when none can."""

    def get(self, key: str) -> str | None:
        """The last value of a key; None when it is not set."""
        return next((value for name, value in reversed(self.entries) if name == key), None)

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.entries if name == key]

    @property
    def names(self) -> Iterable[str]:
        return dict.fromkeys(name for name, _ in self.entries)

    @lru_cache(32)  # noqa: B019 - few and small, and asked for before every command
    def overrides(self, *, trusted: bool) -> tuple[Pair, ...]:
        """What to set so that nothing named here runs, as pairs for git's environment."""
        out = list(FIXED if trusted else FIXED + UNTRUSTED)
        for key in self.names:
            for pattern, value, spared in _NAMED:
                if pattern.fullmatch(key) and not (trusted and spared):
                    out.append((key, value))
                    if key.startswith("hook."):
                        out.append((key.rpartition(".")[0] + ".enabled", "false"))
            if key.startswith("submodule.") and key.count(".") > 1:
                name = key.removeprefix("submodule.").rpartition(".")[0]
                out.append((f"submodule.{name}.ignore", "dirty"))
        return tuple(dict.fromkeys(out))

    def silenced(self) -> list[str]:
        """The settings that are ignored in an untrusted repository, for the user's ears."""
        return [key for key in self.names if _TELLING.fullmatch(key) and not self._idle(key)]

    def reaching(self) -> list[str]:
        """Settings that could send a connection or a credential somewhere else."""
        return [key for key in self.names if _REACHING.fullmatch(key) and not _HARMLESS_HTTP.fullmatch(key)]

    def risky(self) -> list[Pair]:
        """Every entry that trusting the repository lets have its way."""
        spared = [pattern for pattern, _, kept in _NAMED if kept]
        fixed = {key.lower() for key, _ in UNTRUSTED}
        return [
            (key, value)
            for key, value in self.entries
            if key in fixed or _REACHING.fullmatch(key) or any(p.fullmatch(key) for p in spared)
        ]

    def _idle(self, key: str) -> bool:
        value = (self.get(key) or "").lower()
        if key == "core.fsmonitor":
            return value in _OFF + _BUILT_IN_MONITOR
        return value in _OFF


def parse(listing: bytes) -> list[tuple[str, str, str]]:
    """Origin, key and value of each entry of `git config --list -z --show-origin`."""
    fields = listing.split(b"\0")
    out: list[tuple[str, str, str]] = []
    for origin, entry in zip(fields[0::2], fields[1::2], strict=False):
        key, newline, value = os.fsdecode(entry).partition("\n")
        out.append((os.fsdecode(origin), key, value if newline else "true"))
    return out


@lru_cache(32)
def as_environment(pairs: tuple[Pair, ...]) -> Mapping[str, str]:
    """The pairs as git's environment carries them; unlike -c with any character in a name.

    In the one variable in which git itself passes on what -c said, in the form it has since 2.31: GIT_CONFIG_COUNT has
    two variables a pair, which git looks up one by one each time it reads its configuration, a tenth of a short
    command's time. That takes over where one variable is too small. A git that did not know the form would not run.
    """
    whole = " ".join(f"{_quoted(key)}={_quoted(value)}" for key, value in pairs)
    if len(os.fsencode(whole)) < _MAX_VARIABLE_BYTES:
        return {"GIT_CONFIG_PARAMETERS": whole}
    env = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for i, (key, value) in enumerate(pairs):
        env |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
    return env


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def listed(keys: Sequence[str], most: int = 12) -> str:
    """Setting names in one line, long lists cut."""
    names = [one_line(key[:80]) for key in keys[:most]]
    return ", ".join(names) + (f" and {len(keys) - most} more" if len(keys) > most else "")
