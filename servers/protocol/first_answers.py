"""What a server of this version answers to a host's first questions, for a start that nothing is remembered of.

The file beside this module holds it; `scripts/reference` writes that from what the servers answer, and a test holds
the two together. Nothing but the standard library is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("first_answers.json")
REVISIONS = ("2025-06-18", "2025-11-25", "2026-07-28")
"""Those that hosts begin with today; another is answered by the server itself."""

_HERE = re.compile(r"(https?://)?(127\.0\.0\.1|localhost|\[::1\])?(:\d+)?/?", re.ASCII)


def first_answers(server: str, args: Sequence[str]) -> dict[str, Any]:
    """By question and revision. Empty where it is not certain that the server starts and says the same."""
    one_root = server in ("shell", "git")
    if not all(map(os.path.isdir, args)) or (one_root and len(args) > 1) or not _plain_environment():
        return {}
    if server == "shell" and not _best_sandbox(Path(args[0] if args else ".").resolve()):
        return {}
    try:
        held = json.loads(FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {question: held["answers"][at] for question, at in held[server].items()}


def _plain_environment() -> bool:
    """Whether no variable changes how a server starts: an engine elsewhere may be refused."""
    ours = {name for name in os.environ if name.startswith("UNDERSTUDY_")}
    engines = (os.environ.get(name, "") for name in ("OLLAMA_BASE_URL", "OLLAMA_HOST"))
    return ours <= {"UNDERSTUDY_HOME"} and all(map(_HERE.fullmatch, engines))


def _best_sandbox(root: Path) -> bool:
    """Whether commands run in the best of the sandboxes: what the others do not hold is told at the start."""
    sandbox = importlib.import_module("servers.shell.sandbox.sandbox")
    return sandbox.refused_root(root) is None and not sandbox.open_sandbox(root, "preferred").limits
