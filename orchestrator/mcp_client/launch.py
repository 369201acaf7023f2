"""How a server is started or reached, and what of the environment it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from servers.protocol.registry import SERVER_COMMANDS

CONNECT_S = 30.0  # longest time from start to tool list, where nothing else is configured
PASSED = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
    "TEMP",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "USERPROFILE",
    "VIRTUAL_ENV",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "APPDATA",
    "LOCALAPPDATA",
    *(
        name
        for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
        for name in (upper, upper.lower())
    ),
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
]
"""What every server gets of the environment: where it is, who runs it, how it reaches the network."""
PASSED_TO_OURS = [
    "UNDERSTUDY_HOME",
    "OLLAMA_HOST",
    "OLLAMA_BASE_URL",
    "OLLAMA_API_KEY",
    "UNDERSTUDY_TELEMETRY",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start one server, or where it is."""

    command: str | None = None  # None: it is at `url`
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # on top of PASSED
    cwd: str = "."
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    oauth: Mapping[str, Any] | None = None  # who we are to a server that registers nobody
    transport: Literal["http", "sse"] | None = None  # None: HTTP, and where that is not understood SSE
    tools: tuple[str, ...] | None = None  # patterns of those that are offered; None: all
    without_tools: tuple[str, ...] = ()
    start_timeout_s: float = CONNECT_S
    call_timeout_s: float | None = 120.0  # longest silence in a call; None: no limit, as for our own servers

    @property
    def ours(self) -> bool:
        return self.command in SERVER_COMMANDS.values()
