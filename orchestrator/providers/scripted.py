"""Models that read from a script: for tests, demos, docs and bug reports. Always labelled as recorded.

`Scripted("hello", ...)` plays lines from memory. `scripted:FILE.jsonl` plays a file, one JSON object a line:

    {"text": "I look first.", "tool_calls": [{"name": "files__read_file", "arguments": {"path": "a.txt"}}]}
    {"expect": ["def add"], "text": "It adds.", "usage": {"input_tokens": 40, "decode_s": 0.8}}

| key | meaning |
|---|---|
| text, thinking | what the model says and thinks |
| tool_calls | [{name, arguments, id?}] |
| expect | substrings that must stand in what was said since the last reply; else the script stops |
| capture | {name: regex}: group 1 found there replaces `${name}` in this and all later lines |
| usage | recorded figures, named as in `Usage` |
| stop | "end", "tool", "length", "refusal", "context" or "pause"; follows from tool_calls when left out |
| error | {kind, message, retry_after_s?}: fail with this ProviderError instead of answering |
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from .. import errors
from ..types import (
    Completion,
    Delta,
    Message,
    Part,
    Request,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
    assistant,
)

MAX_SCRIPT_BYTES = 16 << 20

Line = str | Message | Completion | Exception | Callable[[Request], str | Message | Completion]


class ScriptError(errors.ConfigError):
    """The script does not fit what happens."""


class Scripted:
    """Answers with its lines, one per request. An exception is raised, a function is asked."""

    def __init__(
        self, *lines: Line, name: str = "scripted", title: str = "the script", pace: float = 0
    ) -> None:
        self.name = name
        self.title = title  # for errors
        self.pace = pace  # 1 takes the recorded total_s, 0 no time
        self.lines = list(lines)
        self.requests: list[Request] = []  # what was really asked
        self._played = 0

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        self.requests.append(request)
        done = _completion(self._next(request), request, self.name)
        pieces = [Delta(text=p, thinking=thinking) for p, thinking in _pieces(done.message)]
        for piece in pieces:
            await anyio.sleep(self.pace * (done.usage.total_s or 0) / len(pieces))
            yield piece
        yield done

    def assert_done(self) -> None:
        """Raises ScriptError when lines were left unread."""
        if self.lines:
            raise ScriptError(f"{self.title} was left with {len(self.lines)} lines unread")

    def _next(self, request: Request) -> str | Message | Completion:
        if not self.lines:
            count = self._played
            raise ScriptError(
                f"{self.title} ran out: it has {count} repl{'y' if count == 1 else 'ies'}, and was asked {_asked(request)}"
            )
        line = self.lines.pop(0)
        self._played += 1
        if isinstance(line, Exception):
            raise line
        return line(request) if callable(line) else line


class ScriptFiles:
    """Plays `scripted:FILE.jsonl`. Each file keeps its place for as long as this provider is open."""

    def __init__(self, name: str = "scripted", *, folder: str | Path = ".", pace: float = 0) -> None:
        self.name = name
        self.folder = Path(folder)
        self.pace = pace
        self.open: dict[Path, Scripted] = {}

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        path = self.folder / Path(request.model_name).expanduser()
        if path not in self.open:
            self.open[path] = Scripted(*read_script(path), name=self.name, title=str(path), pace=self.pace)
        return self.open[path].stream(request)


class _Call(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    arguments: dict[str, Any] = {}
    id: str | None = None


class _Error(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str = "ProviderError"
    message: str
    retry_after_s: float | None = None


class _Reply(BaseModel):
    """One line of a script file."""

    model_config = ConfigDict(extra="forbid")
    text: str = ""
    thinking: str = ""
    tool_calls: list[_Call] = []
    expect: list[str] = []
    capture: dict[str, str] = {}
    usage: dict[str, int | float | None] = {}
    stop: Literal["end", "tool", "length", "refusal", "context", "pause"] | None = None
    error: _Error | None = None

    @field_validator("usage")
    @classmethod
    def _known_figures(cls, figures: dict[str, Any]) -> dict[str, Any]:
        if strange := [key for key in figures if key not in Usage.__slots__]:
            raise ValueError(f"no figure {strange[0]!r}; there are {', '.join(Usage.__slots__)}")
        return figures


def read_script(path: Path) -> list[Line]:
    """The lines of a script file. Raises ScriptError naming file and line."""
    try:
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise ScriptError(f"{path} has more than {MAX_SCRIPT_BYTES >> 20} MiB; a script may not")
        written = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ScriptError(f"cannot read the script {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ScriptError(f"the script {path} is not UTF-8 text") from exc
    captured: dict[str, str] = {}
    return [
        _line(raw, number, f"{path} line {number}", captured)
        for number, raw in enumerate(written.split("\n"), start=1)
        if raw.strip()
    ]


def script_line(said: Completion | errors.ProviderError) -> str:
    """The line that plays `said` again."""
    if isinstance(said, errors.ProviderError):
        failure = {"kind": type(said).__name__, "message": said.message, "retry_after_s": said.retry_after_s}
        return json.dumps({"error": failure}, ensure_ascii=False)
    message = said.message
    line = {
        "thinking": "".join(part.text for part in message.parts if isinstance(part, Thinking)),
        "text": message.text,
        "tool_calls": [
            {"id": c.id, "name": c.name, "arguments": dict(c.arguments)} for c in message.tool_calls
        ],
        "usage": {name: v for name in Usage.__slots__ if (v := getattr(said.usage, name)) is not None},
        "stop": said.stop,
    }
    return json.dumps({key: value for key, value in line.items() if value}, ensure_ascii=False, default=str)


def _line(raw: str, number: int, where: str, captured: dict[str, str]) -> Line:
    try:
        reply = _Reply.model_validate_json(raw)
        patterns = {name: re.compile(pattern) for name, pattern in reply.capture.items()}
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise ScriptError(f"{where}: {at + ': ' if at else ''}{first['msg']}") from exc
    except re.error as exc:
        raise ScriptError(f"{where}: capture: {exc}") from exc

    def play(request: Request) -> Completion:
        said = _said(request)
        for wanted in reply.expect:
            if wanted not in said:
                raise ScriptError(
                    f"{where} expects {wanted!r} in what was said, and was asked {_asked(request)}"
                )
        for name, pattern in patterns.items():
            if (match := pattern.search(said)) is None:
                raise ScriptError(
                    f"{where} cannot capture {name!r}: {pattern.pattern!r} is not in {_asked(request)}"
                )
            captured[name] = match[1] if pattern.groups else match[0]
        if reply.error:
            raise _failure(reply.error, where)
        return _reply(reply, number, captured)

    return play


def _reply(reply: _Reply, line: int, captured: dict[str, str]) -> Completion:
    parts: list[Part] = []
    if reply.thinking:
        parts.append(Thinking(text=_filled(reply.thinking, captured)))
    if reply.text:
        parts.append(Text(text=_filled(reply.text, captured)))
    for nth, call in enumerate(reply.tool_calls, start=1):
        arguments = _filled(call.arguments, captured)
        parts.append(ToolCall(id=call.id or f"call_{line}_{nth}", name=call.name, arguments=arguments))
    return Completion(
        message=assistant(*parts),
        usage=Usage(**cast(Any, reply.usage)),
        stop=reply.stop or "end",
        recorded=True,
    )


def _filled(value: Any, captured: dict[str, str]) -> Any:
    """`value` with every captured `${name}` in its strings replaced; other dollars stay."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda m: captured.get(m[1], m[0]), value)
    if isinstance(value, dict):
        return {key: _filled(inner, captured) for key, inner in value.items()}
    return [_filled(inner, captured) for inner in value] if isinstance(value, list) else value


def _failure(error: _Error, where: str) -> Exception:
    kind = getattr(errors, error.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ProviderError)):
        known = ", ".join(
            sorted(k.__name__ for k in (errors.ProviderError, *errors.ProviderError.__subclasses__()))
        )
        return ScriptError(f"{where}: no error {error.kind!r}; there are {known}")
    return kind("scripted", error.message, retry_after_s=error.retry_after_s)


def _completion(line: str | Message | Completion, request: Request, name: str) -> Completion:
    """Figures a line does not give stay unknown."""
    if isinstance(line, str):
        line = assistant(line)
    done = line if isinstance(line, Completion) else Completion(message=line, usage=Usage())
    message = (
        done.message if done.message.origin else replace(done.message, origin=f"{name}:{request.model_name}")
    )
    stop: Stop = "tool" if message.tool_calls and done.stop == "end" else done.stop
    return replace(done, message=message, stop=stop, recorded=True)


def _pieces(message: Message) -> list[tuple[str, bool]]:
    return [
        (piece, part.kind == "thinking")
        for part in message.parts
        if isinstance(part, Text | Thinking)
        for piece in re.findall(r"\s*\S+\s*$|\s*\S+|\s+", part.text)
    ]


def _said(request: Request) -> str:
    """Everything since the last reply: the prompt, or what the tools answered."""
    said: list[str] = []
    for message in reversed(request.messages):
        if message.role == "assistant":
            break
        said[:0] = [p.text for p in message.parts if p.kind == "text" or p.kind == "tool_result"]
    return "\n".join(said)


def _asked(request: Request) -> str:
    said = _said(request)
    return repr(said if len(said) <= 200 else said[:197] + "...")
