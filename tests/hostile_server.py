"""An MCP server of one file without any SDK that does one thing wrong, chosen by its argument.

    python hostile_server.py FAULT

Its tools `good` and `echo` always work; `bad` does what the fault says.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, TextIO

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
PROMISE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def tool(name: Any, schema: Any = SCHEMA, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "A tool.", "inputSchema": schema, **more}


def text(said: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


LISTED: dict[str, list[Any]] = {
    # names
    "two names that become one": [tool("a.b"), tool("a_b")],
    "two long names": [tool("x" * 65 + "1"), tool("x" * 65 + "2")],
    "one name twice": [tool("bad"), tool("bad")],
    "a name of no letters": [tool("日本"), tool("中国")],
    "no name": [{"inputSchema": SCHEMA}],
    "a name that is a number": [tool(7)],
    "an empty name": [tool("")],
    # tools
    "no inputSchema": [{"name": "bad"}],
    "an inputSchema of null": [tool("bad", None)],
    "an inputSchema of text": [tool("bad", "object")],
    "an inputSchema of another type": [tool("bad", {"type": "array"})],
    "properties that are a list": [tool("bad", {"type": "object", "properties": ["text"]})],
    "a type that does not exist": [tool("bad", {"type": "object", "properties": {"x": {"type": "strin"}}})],
    "a tool that is text": ["bad"],
    "a tool that is null": [None],
    "a description that is a number": [tool("bad", description=5)],
    "annotations that are text": [tool("bad", annotations="readOnly")],
    "an outputSchema that is text": [tool("bad", outputSchema="object")],
    "an inputSchema without type": [tool("bad", {})],
    "a schema that contains itself": [tool("bad", {"type": "object", "$ref": "#"})],
}

ANSWERS: dict[str, Any] = {
    "a promise and text alone": text("seven"),
    "a promise and another kind": text("seven") | {"structuredContent": {"n": "seven"}},
    "structured alone": {"content": [], "structuredContent": {"n": 7}},
    "no content": {},
    "no content but other keys": {"output": "seven"},
    "the result of an older protocol": {"toolResult": "seven"},
    "content of null": {"content": None},
    "content that is text": {"content": "seven"},
    "content that is a block": {"content": {"type": "text", "text": "seven"}},
    "blocks that are text": {"content": ["seven", 7, None]},
    "a block of type video": {
        "content": [{"type": "video", "data": "AAAA"}, {"type": "text", "text": "seven"}]
    },
    "a block without type": {"content": [{"text": "seven"}]},
    "text that is a number": text(7),
    "text that is null": text(None),
    "text with a lone surrogate": text("seven \ud800"),
    "isError that is text": text("seven") | {"isError": "true"},
    "a result of null": None,
    "a result of text": "seven",
    "a result that is a list": [{"type": "text", "text": "seven"}],
    "a picture": {"content": [{"type": "image", "data": PNG, "mimeType": "image/jpeg"}]},
    "a picture that is none": {"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]},
    "a picture without data": {"content": [{"type": "image"}]},
    "a resource of nothing": {"content": [{"type": "resource"}]},
    "a very long text": text("x" * 3_000_000 + " the end"),
    "a question that is none": {"resultType": "input_required"},
}


class Fails(Exception):
    pass


def answer(fault: str, request: dict[str, Any]) -> Any:
    method, params = request["method"], request.get("params") or {}
    if method == "initialize":
        said = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
        return (
            said if fault == "no serverInfo" else said | {"serverInfo": {"name": "hostile", "version": "1"}}
        )
    if method == "tools/list":
        bad = LISTED.get(fault, [tool("bad", outputSchema=PROMISE) if "promise" in fault else tool("bad")])
        if fault == "a cursor without end":
            return {"tools": [tool("good"), tool("echo")], "nextCursor": "again"}
        return {"tools": [tool("good"), *bad, tool("echo")]}
    if method != "tools/call":
        raise Fails
    name, arguments = params["name"], params.get("arguments") or {}
    if name == "good":
        return text("fine")
    if name == "echo":
        return text(json.dumps(arguments.get("text")))
    if fault in ANSWERS:
        return ANSWERS[fault]
    return text(f"called {name}")


WRONG_LINES = (
    "an error that is text",
    "an error without code",
    "an error of the code of a closed connection",
    "a result beside an empty error",
    "no jsonrpc",
    "an id of text",
    "no id",
    "a batch",
    "a print before the answer",
    "a print on the line of the answer",
    "a traceback on stderr",
    "bytes that are no UTF-8",
    "answered twice",
    "notifications of nonsense",
)


def wrong_way(fault: str, id: Any) -> bool:
    """What is wrong with the line itself; False where nothing is."""
    line = json.dumps({"jsonrpc": "2.0", "id": id, "result": text("seven")})
    match fault:
        case "an error that is text":
            send({"jsonrpc": "2.0", "id": id, "error": "seven"})
        case "an error without code":
            send({"jsonrpc": "2.0", "id": id, "error": {"message": "seven"}})
        case "an error of the code of a closed connection":
            send({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "seven"}})
        case "a result beside an empty error":
            send({"jsonrpc": "2.0", "id": id, "error": None, "result": text("seven")})
        case "no jsonrpc":
            send({"id": id, "result": text("seven")})
        case "an id of text":
            send({"jsonrpc": "2.0", "id": str(id), "result": text("seven")})
        case "no id":
            send({"jsonrpc": "2.0", "result": text("seven")})
        case "a batch":
            send([{"jsonrpc": "2.0", "id": id, "result": text("seven")}])
        case "a print before the answer":
            out("debug: called")
            out(line)
        case "a print on the line of the answer":
            out("debug: {called} " + line)
        case "a traceback on stderr":
            out("Traceback (most recent call last):\n  File x\nValueError: oh", sys.stderr)
            out(line)
        case "bytes that are no UTF-8":
            sys.stdout.buffer.write(line.replace("seven", "seven \u00ff").encode("latin-1") + b"\n")
            sys.stdout.buffer.write(json.dumps({"jsonrpc": "2.0", "method": 7}).encode() + b"\n")
            sys.stdout.flush()
            send({"jsonrpc": "2.0", "id": id, "result": text("seven")})
        case "answered twice":
            send({"jsonrpc": "2.0", "id": id, "result": text("seven")})
            send({"jsonrpc": "2.0", "id": id, "result": text("eight")})
        case "notifications of nonsense":
            send({"jsonrpc": "2.0", "method": "notifications/message", "params": 7})
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": []}})
            send({"jsonrpc": "2.0", "method": "no/such", "id": 1, "params": {}})
            out(line)
        case "death":
            out("last words", sys.stderr)
            os._exit(3)
        case "silence":
            return True
        case _:
            return False
    return True


def out(line: str, where: TextIO = sys.stdout) -> None:
    where.write(line + "\n")
    where.flush()


def send(message: Any) -> None:
    out(json.dumps(message))


def main(fault: str) -> None:
    if fault == "a banner on stdout":
        out("Hostile server v1.0, listening\n\n{}\n[1, 2]")
    if fault == "nothing but noise":
        out("Usage: hostile [options]")
        out("no key", sys.stderr)
        sys.exit(2)
    for line in sys.stdin:
        request = json.loads(line)
        id, method = request.get("id"), request.get("method")
        if id is None or method is None:
            continue
        if fault == "death by an unknown method" and method == "server/discover":
            sys.exit(1)
        bad = method == "tools/call" and request["params"]["name"] == "bad"
        if bad and wrong_way(fault, id):
            continue
        try:
            send({"jsonrpc": "2.0", "id": id, "result": answer(fault, request)})
        except Fails:
            send({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}})
    if fault == "deaf":
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
