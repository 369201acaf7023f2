"""What a server writes to its stdout, read with care: every answer reaches whoever waits for it, whatever it holds.

Lists of tools and results of calls pass the SDK sealed (`_meta`), since one sloppy value in them would be refused
whole; `listing` and `results` open them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.shared.message import SessionMessage

SEALED = "understudy.dev/as-sent"
CONNECTION_CLOSED = -32000  # by which the SDK says that a server has gone; a server's own code is another one
SERVER_ERROR = -32099
_USED = ("tools", "resources", "prompts")
"""What of a server's capabilities means anything here."""


class Lines:
    """Reads the lines of one connection. `stray` gets what is no message."""

    def __init__(self, stray: Callable[[str], None]) -> None:
        self._stray = stray
        self._asked: dict[int | str, str] = {}  # methods of requests without an answer, by id

    def sent(self, message: Any) -> None:
        """To be told of every message that goes out."""
        if isinstance(message, types.JSONRPCRequest):
            self._asked[_id(message.id)] = message.method

    def read(self, line: bytes) -> list[SessionMessage | Exception]:
        """The messages in `line`: usually one, none in a stray print, several in a batch."""
        values, rest = _values(line.decode("utf-8", "replace").strip("\ufeff \t\r\n"))
        if rest:
            self._stray(rest)
        found: list[SessionMessage | Exception] = []
        for value in values:
            try:
                message = types.jsonrpc_message_adapter.validate_python(self._mended(value), by_name=False)
            except (ValueError, TypeError, OverflowError):
                self._stray(json.dumps(value, ensure_ascii=False))
                continue
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) and message.id is not None:
                self._asked.pop(_id(message.id), None)
            found.append(SessionMessage(message))
        return found

    def _mended(self, message: dict[str, Any]) -> dict[str, Any]:
        if "method" in message:
            return message | {"jsonrpc": "2.0"}
        id = self._answered(message.get("id"))
        if (error := message.get("error")) is not None:
            return {"jsonrpc": "2.0", "id": id, "error": _error(error)}
        method = self._asked.get(id, "") if id is not None else ""
        return {"jsonrpc": "2.0", "id": id, "result": _result(method, message.get("result"))}

    def _answered(self, id: Any) -> int | str | None:
        """Which request an answer belongs to: by its id, else the only one there is."""
        if isinstance(id, int | str | float):
            return _id(id)
        return next(iter(self._asked)) if len(self._asked) == 1 else None


def sealed(value: Any, meta: Any) -> Any:
    """What a server sent, out of the `_meta` it passed the SDK in."""
    return meta[SEALED] if isinstance(meta, dict) and SEALED in meta else value


def _values(text: str) -> tuple[list[dict[str, Any]], str]:
    """(messages, what else stands on the line). A log line without its line end may stand before a message."""
    found: list[dict[str, Any]] = []
    stray, decoder = "", json.JSONDecoder(strict=False)
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            value, end = None, 0
        batch: list[Any] = value if isinstance(value, list) else [value]
        if value is not None and all(_message(one) for one in batch):
            found += batch
            text = text[end:].lstrip()
            continue
        begin = text.find('{"', 1)
        if begin < 0 or '"jsonrpc"' not in text[begin:]:
            return found, stray + text
        stray, text = stray + text[:begin], text[begin:]
    return found, stray


def _message(value: Any) -> bool:
    return isinstance(value, dict) and ("method" in value or "result" in value or "error" in value)


def _id(id: Any) -> int | str:
    """As the SDK compares ids: "7", 7 and 7.0 are one."""
    if isinstance(id, str):
        return int(id) if id.isascii() and id.isdigit() and len(id) < 16 else id
    return int(id)


def _error(error: Any) -> dict[str, Any]:
    said = error if isinstance(error, dict) else {"message": error}
    code, message = said.get("code"), said.get("message")
    if not isinstance(code, int) or isinstance(code, bool):
        code = SERVER_ERROR
    if not isinstance(message, str) or not message.strip():
        message = json.dumps(error, ensure_ascii=False)
    data = said.get("data")
    return {"code": SERVER_ERROR if code == CONNECTION_CLOSED else code, "message": message} | (
        {} if data is None else {"data": data}
    )


def _result(method: str, result: Any) -> dict[str, Any]:
    match method:
        case "tools/list":
            return _listing(result)
        case "tools/call" if not _unfinished(result):
            return {"content": [], "resultType": "complete", "_meta": {SEALED: result}}
        case "initialize":
            return _introduced(result)
        case _:
            return result if isinstance(result, dict) else {}


def _unfinished(result: Any) -> bool:
    """Whether this is no result yet: a question that comes first, or a task that leads to it."""
    match result:
        case {"resultType": "input_required", "inputRequests": {**_questions}}:
            return True
        case {"resultType": "task", "taskId": str(_)}:
            return True
        case _:
            return False


def _listing(result: Any) -> dict[str, Any]:
    said = result if isinstance(result, dict) else {"tools": result}
    tools, cursor = said.get("tools"), said.get("nextCursor")
    listed = [
        {"name": _name(tool), "inputSchema": {"type": "object"}, "_meta": {SEALED: tool}}
        for tool in (tools if isinstance(tools, list) else ())
    ]
    base: dict[str, Any] = {"tools": listed, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    return base | ({"nextCursor": cursor} if isinstance(cursor, str) and cursor else {})


def _name(tool: Any) -> str:
    """For the SDK, which asks for the list again when it does not know the tool that is called."""
    name = tool.get("name") if isinstance(tool, dict) else None
    return name if isinstance(name, str) else ""


def _introduced(result: Any) -> dict[str, Any]:
    """A server's first answer: what it can do and who it is are not worth refusing it for."""
    said = result if isinstance(result, dict) else {}
    version, able, info = said.get("protocolVersion"), said.get("capabilities"), said.get("serverInfo")
    name = info.get("name") if isinstance(info, dict) else None
    words = said.get("instructions")
    return {
        "protocolVersion": version if isinstance(version, str) else "2024-11-05",
        "capabilities": {key: {} for key in _USED if key in able}
        if isinstance(able, dict)
        else {"tools": {}},
        "serverInfo": {"name": name if isinstance(name, str) else "unnamed", "version": "unknown"},
        "instructions": words if isinstance(words, str) else None,
    }
