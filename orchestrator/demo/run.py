"""The whole path on a small project: a lead reads, delegates, checks the receipt, runs the tests, commits.

The lead is scripted and reacts to what really happens. The worker is a model of an Ollama server when
one can be reached, else an embedded engine that recites, else scripted too. Servers, files, tests and
commits are real in every case.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from servers.durations import duration
from servers.ollama.forecast.recommended import recommended
from servers.protocol.registry import SERVER_COMMANDS

from ..agent import Agent
from ..config.load import Config, ServerSettings
from ..errors import ConfigError, RunError
from ..events import Emit, Notice
from ..providers.scripted import Scripted
from ..reply import Reply
from ..session.session import Session, open_session
from ..types import Message, Request, ToolCall, ToolResult, assistant
from . import project as demo_project
from .local_models import Found, found_models, pull_model

TASK = "One test of this project fails. Have a local model fix it, check what it did, and commit it."
ROUNDS = 20  # most model calls of the lead
MAX_LADDER = 2  # models asked after the first
ENGINE_S = 20.0  # how long the embedded engine may take to start and to be calibrated


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who does the delegated work."""

    host: str  # for understudy-ollama --host
    model: str
    real: bool  # it computes its answers
    timed: bool  # its durations are measured as it runs
    says: str  # one sentence for the screen
    ladder: tuple[str, ...] = ()  # who is asked next when it fails

    @property
    def recites(self) -> bool:
        """It says what was written for it, which is short; a model that answers by itself may go on."""
        return not self.host.startswith("http")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What the demonstration came to."""

    reply: Reply
    folder: Path
    diff: str
    commit: str
    tests: str
    ledger: str
    accepted: bool  # the worker's own edit passed the gate


@asynccontextmanager
async def project() -> AsyncGenerator[Path]:
    """A fresh project in a temporary folder, which is removed at the end."""
    if shutil.which("git") is None:
        raise ConfigError(
            "the demo commits its work and needs git, which is not on PATH; install git and try again"
        )
    folder = Path(await anyio.to_thread.run_sync(tempfile.mkdtemp, "", "understudy-demo-"))
    try:
        (folder / "till").mkdir()
        await anyio.to_thread.run_sync(demo_project.make, folder / "till")
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def perform(folder: Path, worker: Worker, emit: Emit) -> Ended:
    """Run the lead on the project in `folder`/till with our four servers. Raises OrchestratorError."""
    till = folder / "till"
    emit(Notice(text=f"project: {till} (a git repository with one failing test)"))
    emit(Notice(text=worker.says))
    script = Lead(worker.model, ladder=worker.ladder, max_output=80 if worker.recites else 400)
    async with open_session(_config(folder, worker), emit, approve=None) as session:
        session.add_provider("scripted", script.provider)
        reply = await session.ask(Agent(name="lead", model="scripted:lead", max_rounds=ROUNDS), TASK)
        if demo_project.git(till, "rev-list", "--count", "HEAD").strip() == "1":
            raise RunError(f"the demonstration stopped short of its commit: {reply.text}")
        ledger = await _ledger(session, worker.model)
        tests = await session.call_tool("shell", "run_command", {"command": demo_project.TEST_COMMAND})
    return Ended(
        reply=reply,
        folder=till,
        diff=demo_project.git(till, "diff", "--no-color", "HEAD~1", "HEAD"),
        commit=demo_project.git(till, "log", "-1", "--format=%h %an: %s").strip(),
        tests=tests.text,
        ledger=ledger,
        accepted=script.accepted,
    )


Ask = Callable[[str], Awaitable[bool]]
"""Puts a yes-or-no question to the person."""


async def choose_worker(
    folder: Path, model: str | None = None, ask: Ask | None = None, told: Callable[[str], None] = print
) -> Worker:
    """The best worker there is: a model of a reachable Ollama server, the embedded engine, or a script.

    A server without a model is offered one, where there is somebody to `ask`. What a stand-in does is no record of
    this machine's models: from here on the state folder is inside `folder`.
    """
    found = await found_models()
    missing = "no Ollama server answers"
    if found is not None and not found.names:
        offer = recommended()
        missing = f"Ollama at {found.url} has no model that writes text" + (f" ({offer})" if offer else "")
        if offer is not None and model is None and ask is not None and await ask(f"{missing}. Get it now?"):
            await pull_model(found.url, offer.name, told)
            found = await found_models()
    if found is not None and found.names:
        return _on_ollama(found, model)
    if model is not None:
        raise ConfigError(f"{missing}, so there is no model {model!r}; start one with: ollama serve")
    os.environ["UNDERSTUDY_HOME"] = str(folder / "state")
    return await _engine(folder, missing) or Worker(
        host=f"recited:{_recitation(folder, 'scripted-worker')}",
        model="scripted-worker",
        real=False,
        timed=False,
        says=f"worker: scripted, because {missing} and the embedded engine is not installed here or "
        "does not run; its durations were recorded on another machine",
    )


def _on_ollama(found: Found, model: str | None) -> Worker:
    """The model that was named, or the one likeliest to pass, and behind it the next."""
    if model is not None and model not in found.names:
        raise ConfigError(f"Ollama at {found.url} has no model {model!r}; it has {', '.join(found.names)}")
    chosen = model or found.names[0]
    kind = "simulated" if found.simulated else "a real model on your Ollama server"
    why = f" ({found.why})" if model is None and len(found.names) > 1 else ""
    return Worker(
        host=found.url,
        model=chosen,
        real=not found.simulated,
        timed=not found.simulated,
        says=f"worker: {chosen}, {kind}, at {found.url}{why}",
        ladder=tuple(name for name in found.names if name != chosen)[:MAX_LADDER],
    )


async def _engine(folder: Path, missing: str) -> Worker | None:
    """The embedded engine on a model made to recite, calibrated; None where it is not installed or does not run."""
    from servers.ollama.forecast.calibration import CalibrationFailed, calibrated

    model = "reciter"
    host = f"embedded:{_recitation(folder, model)}"
    try:
        with anyio.fail_after(ENGINE_S):
            done = await calibrated(host, model)
    except (CalibrationFailed, TimeoutError):
        return None
    seconds = sum(probe.profile.total_s or 0.0 for probe in done.probes)
    return Worker(
        host=host,
        model=model,
        real=False,
        timed=True,
        says=f"worker: an embedded engine that recites, because {missing}: a small model made for this "
        f"demo, whose words are canned and whose timings are real ({len(done.probes)} probes, {seconds:.1f} s, "
        "taught the forecast its speed)",
    )


def _recitation(folder: Path, model: str) -> Path:
    path = folder / "recitation.json"
    path.write_text(json.dumps(demo_project.recitation(model)), encoding="utf-8")
    return path


class Lead:
    """A scripted lead: fixed words, but each step looks at what the step before really brought."""

    def __init__(self, worker: str, *, max_output: int, ladder: Sequence[str] = ()) -> None:
        self.worker, self.ladder = worker, list(ladder)
        self.max_output = max_output
        self.receipt: Mapping[str, Any] = {}
        self.calls = 0
        steps = self._steps()
        next(steps)
        self.provider = Scripted(*[steps.send] * ROUNDS, title="the demonstration's lead")

    @property
    def accepted(self) -> bool:
        """Whether the worker's own edit passed its gate."""
        return self.receipt.get("outcome") == "accepted"

    def _steps(self) -> Generator[Message, Request]:
        """Yields what the lead says; what comes back is the next request, with the results of its calls."""
        tests = demo_project.TEST_COMMAND
        yield assistant()  # before the first request
        yield assistant(
            "I look at the code and run the tests.",
            self._call("files__read_file", path="prices.py"),
            self._call("shell__run_command", command=tests),
        )
        request = yield assistant(
            "`parse` reads the 5 of 3.5 as five cents: a routine edit. I hand it to the local worker, as paths, "
            "with the tests as its gate.",
            self._call(
                "ollama__delegate",
                task="A price with one digit of cents, such as 3.5, means 350 cents. Fix parse so that every test passes.",
                model=self.worker,
                files=["prices.py", "test_prices.py"],
                write="edits",
                gate=["syntax", {"max_changed_lines": 20}, {"command": tests}],
                max_output=self.max_output,
                **({"ladder": self.ladder} if self.ladder else {}),
            ),
        )
        self.receipt = _json(request)
        while self.receipt.get("outcome") == "running":
            job = self.receipt.get("delegation")
            wait = self._call("ollama__delegation", id=job, action="wait", wait_s=45)
            self.receipt = _json((yield assistant("It is still at work; I wait for it.", wait)))
        self.worker = self.receipt.get("model") or self.worker
        if not self.accepted:
            edit = {"old": demo_project.OLD_LINE, "new": demo_project.NEW_LINE}
            why = self.receipt.get("reason") or self.receipt.get("outcome")
            yield assistant(
                f"{self._measured()} It was not accepted ({why}), so the project is untouched.{self._failed()} "
                "I do this one myself.",
                self._call("files__edit_file", path="prices.py", edits=[edit]),
            )
        look = f"{self._measured()} I check the change before I build on it."
        request = yield assistant(
            look if self.accepted else "Now the same check as for any change.",
            self._call("git__git_diff"),
            self._call("shell__run_command", command=tests),
        )
        if not any(part.text.startswith("exit=0") for part in _results(request)):
            yield assistant("The tests still fail here, so I commit nothing.")
            return
        yield assistant(
            "The diff is what I asked for and the tests pass. I stage it.",
            self._call("git__git_stage", paths=["prices.py"]),
        )
        author = (
            f"Written by {self.worker}, accepted by the tests." if self.accepted else "Written by the lead."
        )
        message = f"Read one digit of cents as tens\n\n3.5 means 350 cents. {author}"
        yield assistant(self._call("git__git_commit", message=message))
        who = (
            "The local worker fixed it"
            if self.accepted
            else "The local worker failed its gate and I fixed it"
        )
        yield assistant(f"Done. {who}; the tests pass and the change is committed.")

    def _call(self, name: str, **arguments: Any) -> ToolCall:
        self.calls += 1
        return ToolCall(id=f"call_{self.calls}", name=name, arguments=arguments)

    def _failed(self) -> str:
        """Who else was tried, and how the last rejected answer began."""
        tried = list(dict.fromkeys(one["model"] for one in self.receipt.get("tried", [])))
        ladder = f" {' and '.join(tried)} were tried in turn." if len(tried) > 1 else ""
        fenced = str(self.receipt.get("rejected") or "").strip().split("\n")[1:-1]
        began = f" The answer began:\n{chr(10).join(fenced)}\n" if fenced else ""
        return ladder + began

    def _measured(self) -> str:
        """What the receipt's profile says, in a sentence."""
        profile: Mapping[str, Any] = self.receipt.get("profile") or {}
        total, out = profile.get("total_s"), profile.get("tokens_out")
        if total is None:
            return "The receipt is here."
        how = next((one for one in ("recorded", "simulated") if profile.get(one)), "measured")
        expected = (self.receipt.get("forecast") or {}).get("total_s")
        forecast = "" if expected is None else f", forecast {duration(expected)}"
        return f"The receipt is here: {'?' if out is None else out} tokens in {duration(total)} ({how}{forecast})."


def _json(request: Request) -> Mapping[str, Any]:
    """The receipt among the results that came back."""
    said = _results(request)[0].text
    try:
        held = json.loads(said)
    except ValueError:
        held = None
    return held if isinstance(held, dict) else {"outcome": "failed", "reason": said}


def _results(request: Request) -> list[ToolResult]:
    return [part for part in request.messages[-1].parts if isinstance(part, ToolResult)]


def _config(folder: Path, worker: Worker) -> Config:
    policy = folder / "policy.toml"
    policy.write_text(demo_project.POLICY, encoding="utf-8")
    root = str(folder / "till")
    extra = {"shell": ["--policy", str(policy)], "ollama": ["--host", worker.host, "--policy", str(policy)]}
    servers = {
        name: ServerSettings(command=command, args=(root, *extra.get(name, ())), cwd=root)
        for name, command in SERVER_COMMANDS.items()
    }
    return Config(servers=servers, folder=root)


async def _ledger(session: Session, model: str) -> str:
    """The ledger's newest run of this model in one line; what the server said where there is none."""
    answer = await session.call_tool("ollama", "profile", {"model": model, "last": 1})
    try:
        run = json.loads(answer.text)["runs"][0]
        profile = run["profile"]
        gate = {True: "gate passed", False: "gate failed", None: "no gate"}[
            run.get("gate_passed")
        ]  # unknown is left out
        how = "recorded" if profile["recorded"] else "simulated" if profile["simulated"] else "measured"
        tokens = f"{profile.get('tokens_in', '?')} tokens in, {profile.get('tokens_out', '?')} out"
        total_s = f"{duration(profile['total_s'])} {how}" if "total_s" in profile else profile["outcome"]
        return f"run {run['run']} · {model} · {run['kind']} · {gate} · {tokens} · {total_s}"
    except (ValueError, KeyError, IndexError, TypeError):
        return answer.text
