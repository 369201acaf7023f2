"""The official conformance suite (npm @modelcontextprotocol/conformance) on our host and on our servers over HTTP.

    python benchmarks/conformance/run.py            all that applies; exit 1 when something fails
    python benchmarks/conformance/run.py auth/      scenarios whose names begin so

npm fetches the suite, and a Node that it runs on, into a folder of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
PACKAGES = ("@modelcontextprotocol/conformance@0.1.16", "node@22")
HOST = (
    "initialize",
    "tools_call",
    "elicitation-sep1034-client-defaults",
    "sse-retry",
    *(f"auth/metadata-{name}" for name in ("default", "var1", "var2", "var3")),
    *(
        f"auth/scope-{name}"
        for name in ("from-www-authenticate", "from-scopes-supported", "omitted-when-undefined")
    ),
    "auth/scope-retry-limit",
    *(f"auth/token-endpoint-auth-{name}" for name in ("basic", "post", "none")),
    "auth/pre-registration",
    "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/resource-mismatch",
)
"""Left out: scope-step-up (a call never opens a browser), basic-cimd (wants a client described at an address of its
maker's), oauth-metadata-backcompat (the SDK refuses metadata that name another issuer)."""
SERVER = (
    "server-initialize",
    "ping",
    "tools-list",
    "resources-list",
    "prompts-list",
    "server-sse-multiple-streams",
    "dns-rebinding-protection",
)
"""Of the others each calls a tool of the suite's own example server, or wants what ours do not declare."""


def suite() -> list[str]:
    folder = user_cache_path("understudy-benchmarks") / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    line = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
    subprocess.run(line, check=True, capture_output=True)
    modules = folder / "node_modules"
    return [str(modules / "node/bin/node"), str(modules / "@modelcontextprotocol/conformance/dist/index.js")]


def passed(line: list[str], scenario: str) -> bool:
    done = subprocess.run(
        [*line, "--scenario", scenario], capture_output=True, text=True, timeout=180, check=False
    )
    counts = re.findall(r"Passed: (\d+)/(\d+), (\d+) failed", done.stdout + done.stderr)
    good = bool(counts) and int(counts[-1][1]) > 0 and counts[-1][2] == "0"
    print(
        f"{'ok  ' if good else 'FAIL'} {line[2]:6} {scenario:45} {'/'.join(counts[-1][:2]) if counts else 'no result'}"
    )
    if not good:
        print("     " + "\n     ".join((done.stdout + done.stderr).strip().splitlines()[-12:]))
    return good


def main(begin: str = "") -> int:
    tool = suite()
    host = [*tool, "client", "--command", f"{sys.executable} {HERE / 'host.py'}"]
    good = [passed(host, name) for name in HOST if name.startswith(begin)]
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"UNDERSTUDY_HOME": folder, "OLLAMA_HOST": "127.0.0.1:9"}
        line = [str(BIN / "understudy-ollama"), folder, "--http", "0"]
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env) as server:
            assert server.stderr is not None
            url = server.stderr.readline().rpartition(" ")[2].strip()
            good += [
                passed([*tool, "server", "--url", url], name) for name in SERVER if name.startswith(begin)
            ]
            server.terminate()
    print(f"{sum(good)} of {len(good)} scenarios pass")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
