"""The console scripts of the servers: a host that starts one is answered before the server has been imported.

Importing the SDK costs a second of one core, and every host begins with the same questions: who are you, what tools do
you have. What the server answered last time is kept; it is given at once where nothing it depends on has changed, as is
what is known of its very first start, and then the server itself is imported, in the same process, and told the same questions so that it stands where the host
believes it to stand. An answer that turns out otherwise is kept for the next time. Nothing but the standard library is
imported before.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ..state.home import home
from ..state.whole_file import write_whole
from .first_answers import first_answers

AT_START = (
    "initialize",
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)
"""What hosts ask before they do anything, and what is answered from memory."""
SILENT = ("notifications/initialized",)
FRESH = "UNDERSTUDY_FRESH"
NO_WARM = "--no-warm"
"""The variable and the option that turn memory off."""
_MOST_KEPT = 200  # of what earlier starts were answered
QUIET_S = 0.15
"""After its tools are listed: how long a host may take to its next question before the import begins."""
MAX_LINE_BYTES = 64 << 10  # a longer one is no question of the beginning
PROTOCOL, VERSION = "io.modelcontextprotocol/protocolVersion", "protocolVersion"


class Memory:
    """The first answers of one server, as it is started here: `changed` ones are kept for the next start."""

    def __init__(self, server: str, args: list[str]) -> None:
        self.path = home() / "starts" / f"{server}-{_facts(server, args)}.json"
        self.folders = [one for one in [".", *args] if os.path.isdir(one)]
        self.answers: dict[str, Any] = {}
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["folders"] == self.folders:
                self.answers = kept["answers"]
        except FileNotFoundError:
            self.answers = first_answers(server, args)
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def learn(self, key: str, answer: Any) -> None:
        if self.answers.get(key) == answer:
            return
        self.answers[key] = answer
        try:
            write_whole(self.path, json.dumps({"folders": self.folders, "answers": self.answers}))
            _swept(self.path.parent)
        except OSError:
            pass  # the next start is as slow as this one


class Beginning:
    """A conversation up to where the server takes it over: `read` is what came in, `said` what was answered."""

    def __init__(self, memory: Memory | None) -> None:
        self.memory = memory
        self.read = b""
        self.said: set[int | str] = set()
        self.version: str | None = None  # of the protocol, once agreed

    def key(self, method: str, params: dict[str, Any]) -> str | None:
        """Under which the answer to a question is kept; None for what is no question of the beginning."""
        meta = params.get("_meta")
        version = params.get(VERSION) or (meta or {}).get(PROTOCOL) or self.version
        plain = not (params.keys() - {"_meta", VERSION, "capabilities", "clientInfo"})
        return f"{method} {version}" if method in AT_START and plain and isinstance(version, str) else None

    def agreed(self, method: str, answer: Any) -> None:
        if method == "initialize" and isinstance(answer, dict):
            self.version = answer.get(VERSION)


def files() -> NoReturn:
    _started("files")


def shell() -> NoReturn:
    _started("shell")


def git() -> NoReturn:
    _started("git")


def ollama() -> NoReturn:
    _started("ollama")


beginning = Beginning(None)
"""Of this process: the transport takes it over."""


def _started(server: str) -> NoReturn:
    global beginning
    if os.name == "posix":
        _take_place(server, sys.argv[1:])
    if os.name == "posix" and not _other_use(sys.argv[1:]):
        try:
            beginning = Beginning(Memory(server, sys.argv[1:]))
        except (OSError, RuntimeError):
            pass  # the server itself says what is wrong with the state folder
        else:
            _answer(beginning)
    _import_quickly(f"servers.{server}.server")
    importlib.import_module(f"servers.{server}.server").main()
    sys.exit(0)


def _take_place(server: str, args: list[str]) -> None:
    """See to what a host may leave behind: closed pipes, signals before anything is there to end, a folder that is gone."""
    while (filled := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file that is opened would pass for a pipe of the host, and be written to
    os.close(filled)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115  (for as long as the process lives)
    on_end_signals(lambda: os._exit(0))
    try:
        os.getcwd()
    except FileNotFoundError:
        if not any(map(os.path.isabs, args)):
            sys.exit(
                f"understudy-{server}: the folder it was started in is gone; start it in another or name one"
            )


def on_end_signals(end: Callable[[], object]) -> None:
    """Call `end` when somebody wants the process to end, but for signals that whoever started it has switched off."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: end())


def _import_quickly(module: str) -> None:
    from .prefork import import_quickly

    import_quickly(module)


def _other_use(args: list[str]) -> bool:
    """Whether this is something else than a conversation over stdio, or nothing shall be remembered."""
    if os.environ.get(FRESH) or sys.stdin is None or sys.stdin.isatty():
        return True
    return any(
        one.partition("=")[0] in (NO_WARM, "--http", "--help", "-h", "--version", "--explain") for one in args
    )


def _answer(begun: Beginning) -> None:
    """Answer what is known, until the host asks something else or has its tools and is silent."""
    if not begun.memory or not begun.memory.answers:
        return
    rest, listed = b"", False
    while True:
        if listed and not select.select([0], [], [], QUIET_S)[0]:
            return
        data = os.read(0, 1 << 16)
        if not data:
            os._exit(0)  # everything was answered, and nothing was started
        begun.read += data
        rest += data
        while b"\n" in rest:
            line, _, rest = rest.partition(b"\n")
            method = _answered(begun, line)
            if method is None:
                return
            listed = listed or method == "tools/list"
        if len(rest) > MAX_LINE_BYTES:
            return


def _answered(begun: Beginning, line: bytes) -> str | None:
    """The method of a line that was dealt with; None where the server has to."""
    try:
        message = json.loads(line)
        method, id, params = message["method"], message.get("id"), message.get("params") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(method, str) or not isinstance(params, dict):
        return None
    if method in SILENT:
        return method
    assert begun.memory is not None
    key = begun.key(method, params) if isinstance(id, int | str) and not isinstance(id, bool) else None
    if key is None or (answer := begun.memory.answers.get(key)) is None or id in begun.said:
        return None
    begun.agreed(method, answer)
    data = json.dumps({"jsonrpc": "2.0", "id": id, "result": answer}, ensure_ascii=False).encode() + b"\n"
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        os._exit(0)  # nobody reads any more
    begun.said.add(id)
    return method


def _facts(server: str, args: list[str]) -> str:
    """Changes with everything the first answers depend on: our code, the SDK's, the command line, the environment."""
    code = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    times = [
        os.stat(os.path.join(folder, name)).st_mtime_ns
        for folder, _, names in sorted(os.walk(code))
        for name in sorted(names)
        if name.endswith(".py")
    ]
    sdk = importlib.util.find_spec("mcp")
    ours = sorted(
        (key, value)
        for key, value in os.environ.items()
        if key.startswith(("UNDERSTUDY_", "OLLAMA_")) or key in ("PATH", "HOME")
    )
    given = [
        (one, os.stat(one).st_mtime_ns if os.path.isfile(one) else 0)
        for one in (part for arg in args for part in (arg, arg.partition("=")[2]))
    ]
    packages = os.path.dirname(os.path.dirname(sdk.origin)) if sdk and sdk.origin else code
    of_sdk = [os.stat(one).st_mtime_ns for one in (packages, sdk.origin if sdk and sdk.origin else code)]
    facts = [server, sys.executable, sys.version, times, of_sdk, os.getcwd(), ours, given]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _swept(folder: Any) -> None:
    """The oldest go: folders and versions come and go."""
    kept = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime)
    for old in kept[: max(len(kept) - _MOST_KEPT, 0)]:
        old.unlink(missing_ok=True)
