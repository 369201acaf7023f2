"""Which repositories may run their hooks, filters and helpers: those the user named, as they were then.

Trust is recorded by hash. When a hook or a setting that runs code changes, it lapses until the user
looks again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from ...state import audit
from ...state.home import home
from ...state.whole_file import write_whole
from .config_overrides import Settings, listed


class Trust:
    """The record under the state folder."""

    def __init__(self) -> None:
        self._seen: tuple[int, dict[str, str]] | None = None

    def known(self, common_dir: Path) -> str | None:
        """The fingerprint the user trusted; None when they never did."""
        return self._records().get(str(common_dir))

    def record(self, common_dir: Path, fingerprint: str | None) -> None:
        """Remember a fingerprint, or with None forget the repository."""
        audit.record("git", trust=fingerprint or "taken back", repository=str(common_dir))
        records = dict(self._records())
        records.pop(str(common_dir), None)
        if fingerprint is not None:
            records[str(common_dir)] = fingerprint
        write_whole(_file(), json.dumps(records, indent=1, sort_keys=True))

    def grant(self, settings: Settings, top: Path, common_dir: Path) -> str:
        """Trust what is there now; says what that lets run."""
        hooks = hooks_in(hooks_folder(settings, top, common_dir))
        self.record(common_dir, self.fingerprint(settings, hooks))
        return summary(settings, hooks)

    def fingerprint(self, settings: Settings, hooks: dict[str, Path]) -> str:
        """One hash over every setting and hook that trust would set free."""
        digest = hashlib.sha256()
        for key, value in sorted(settings.risky()):
            digest.update(json.dumps([key, value]).encode())
        for name, path in sorted(hooks.items()):
            try:
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:  # what cannot be looked at is not trusted
                content = secrets.token_hex()
            digest.update(json.dumps([name, content]).encode())
        return digest.hexdigest()

    def _records(self) -> dict[str, str]:
        try:
            stamp = _file().stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if self._seen is None or self._seen[0] != stamp:
            self._seen = (stamp, json.loads(_file().read_text(encoding="utf-8")))
        return self._seen[1]


def hooks_folder(settings: Settings, top: Path, common_dir: Path) -> Path:
    """Where this repository's hooks lie."""
    named = settings.get("core.hookspath")
    return top / os.path.expanduser(named) if named else common_dir / "hooks"


def hooks_in(folder: Path) -> dict[str, Path]:
    """The hooks there, by name."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return {}
    return {
        entry.name: Path(entry.path)
        for entry in entries
        if not entry.name.endswith(".sample") and entry.is_file() and os.access(entry.path, os.X_OK)
    }


def summary(settings: Settings, hooks: dict[str, Path]) -> str:
    """What trusting lets run, for the person who decides."""
    lines = [f"hook {name}: {path}" for name, path in sorted(hooks.items())]
    lines += [f"{listed([key])} = {value}" for key, value in settings.risky()]
    return "\n".join(lines) or "nothing: this repository has no hooks, filters or helpers"


def _file() -> Path:
    return home() / "git" / "trusted.json"
