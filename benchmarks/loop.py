"""What our loop adds to a model call and to a tool call, with a model that answers at once on loopback.

    python -m benchmarks.loop [--turns 200] [--rounds 3] [--peers] [--json]

| figure | against | aim |
|---|---|---|
| a model call | the bare vendor SDK, streaming as we do | at most 1.3 |
| a turn with one tool call | the same loop written by hand on the bare SDK | at most 1.3 |
| both | pydantic-ai and openai-agents, in environments of their own | at most 1 |
| memory of 10,000 messages | a list of dicts as the wire has them | for comparison |

Each side is a process of its own that does the same work against the same server, in turn; the median round counts. The
seconds are of the processor, so that busy neighbours and the server itself do not count.
--peers installs the two libraries from the package index into a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.ratios import Row, figure, ratio, report

PEERS = {"pydantic-ai": "pydantic-ai-slim[openai]", "openai-agents": "openai-agents"}


class Model(BaseHTTPRequestHandler):
    """Chat Completions: a tool call where there are tools and no result yet, else a word."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        call = bool(asked.get("tools")) and asked["messages"][-1]["role"] != "tool"
        function = {"name": "double", "arguments": '{"x": 4}'}
        made: dict[str, Any] = (
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
            if call
            else {"content": "Eight."}
        )
        reason = "tool_calls" if call else "stop"
        head = {"id": "1", "created": 1, "model": "m"}
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        if asked.get("stream"):
            delta = {"role": "assistant", **made}
            lines = [
                {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
                {"choices": [], "usage": usage},
            ]
            chunks = [json.dumps({**head, "object": "chat.completion.chunk", **line}) for line in lines]
            body = "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"]).encode()
            kind = "text/event-stream"
        else:
            message = {"role": "assistant", "content": None, **made}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            body, kind = json.dumps(whole).encode(), "application/json"
        answer = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(answer.encode() + body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


TIMED = """
import asyncio, json, sys, time
url, turns = sys.argv[1], int(sys.argv[2])

async def measured(work):
    for _ in range(20):
        await work()
    started = time.process_time()
    for _ in range(turns):
        await work()
    return (time.process_time() - started) / turns

def double(x: int) -> int:
    "Twice a number."
    return 2 * x
"""

BARE = """
from openai import AsyncOpenAI
client = AsyncOpenAI(base_url=url, api_key="k")
SPEC = {"type": "function", "function": {"name": "double", "description": "Twice a number.", "parameters": {
    "type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}}

async def asked(messages, **more):
    text, calls = "", {}
    if not STREAM:
        message = (await client.chat.completions.create(model="m", messages=messages, **more)).choices[0].message
        text, calls = message.content or "", {n: [c.id, c.function.name, c.function.arguments]
                                              for n, c in enumerate(message.tool_calls or [])}
    else:
        stream = await client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}, **more)
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    known = calls.setdefault(call.index, ["", "", ""])
                    known[0] += call.id or ""
                    known[1] += call.function.name or ""
                    known[2] += call.function.arguments or ""
    return text, calls

async def call():
    text, _ = await asked([{"role": "user", "content": "hi"}])
    assert text == "Eight."

async def turn():
    messages = [{"role": "user", "content": "twice four?"}]
    while True:
        text, calls = await asked(messages, tools=[SPEC])
        if not calls:
            assert text == "Eight."
            return
        messages.append({"role": "assistant", "tool_calls": [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls.values()]})
        for i, n, a in calls.values():
            messages.append({"role": "tool", "tool_call_id": i, "content": str(double(**json.loads(a)))})

async def main():
    print(json.dumps([await measured(call), await measured(turn)]))
asyncio.run(main())
"""

OURS = """
from orchestrator import load_config, open_session
from orchestrator.agent import Agent

async def main():
    import tempfile
    config = load_config(cwd=tempfile.mkdtemp(), env={}).model_copy(update={"servers": {}})
    box = {"kind": "openai", "base_url": url, "retries": 0}
    config = type(config).model_validate({**config.model_dump(), "providers": {"box": box}})
    plain = Agent(name="lead", model="box:m", tools=())
    tooled = Agent(name="lead", model="box:m", tools=(double,))
    async with open_session(config) as session:
        async def call():
            assert (await session.ask(plain, "hi")).text == "Eight."
        async def turn():
            assert (await session.ask(tooled, "twice four?")).text == "Eight."
        print(json.dumps([await measured(call), await measured(turn)]))
asyncio.run(main())
"""

PYDANTIC_AI = """
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=url, api_key="k"))
plain, tooled = Agent(model), Agent(model, tools=[double])

async def call():
    assert (await plain.run("hi")).output == "Eight."

async def turn():
    assert (await tooled.run("twice four?")).output == "Eight."

async def main():
    print(json.dumps([await measured(call), await measured(turn)]))
asyncio.run(main())
"""

OPENAI_AGENTS = """
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
set_tracing_disabled(True)
model = OpenAIChatCompletionsModel(model="m", openai_client=AsyncOpenAI(base_url=url, api_key="k"))
plain, tooled = Agent(name="a", model=model), Agent(name="a", model=model, tools=[function_tool(double)])

async def call():
    assert (await Runner.run(plain, "hi")).final_output == "Eight."

async def turn():
    assert (await Runner.run(tooled, "twice four?")).final_output == "Eight."

async def main():
    print(json.dumps([await measured(call), await measured(turn)]))
asyncio.run(main())
"""

MEMORY = """
import gc, json, sys, tracemalloc
from orchestrator.types import assistant, user
def size(make):
    gc.collect(); tracemalloc.start()
    kept = [make(n) for n in range(10_000)]
    found = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found
text = "word " * 40
ours = size(lambda n: (user if n % 2 else assistant)(f"{text}{n}"))
plain = size(lambda n: {"role": "user" if n % 2 else "assistant", "content": f"{text}{n}"})
print(json.dumps([ours, plain]))
"""

SIDES = {
    "bare SDK": f"STREAM = True\n{TIMED}{BARE}",
    "SDK that does not stream": f"STREAM = False\n{TIMED}{BARE}",
    "understudy": TIMED + OURS,
    "pydantic-ai": TIMED + PYDANTIC_AI,
    "openai-agents": TIMED + OPENAI_AGENTS,
}


def spoken(python: str, program: str, *words: str) -> list[float]:
    # One run keeps nothing of another's, nor of the person's.
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "UNDERSTUDY_HOME": home, "OPENAI_API_KEY": "k", "NO_PROXY": "*"}
        command = [python, "-c", program, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def installed(folder: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    """{peer: its Python}, each with that one library."""
    found: dict[str, str] = {}
    for name, package in wanted.items():
        venv.create(folder / name, with_pip=True)
        found[name] = str(folder / name / "bin" / "python")
        subprocess.run([found[name], "-m", "pip", "install", "-q", package], check=True)
    return found


def timed(pythons: Mapping[str, str], turns: int, rounds: int) -> dict[str, list[float]]:
    """{side: [seconds of a call, seconds of a turn]}, the median of rounds that take turns."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    kept: dict[str, list[list[float]]] = {}
    for _ in range(rounds):
        for side, python in pythons.items():
            kept.setdefault(side, []).append(spoken(python, SIDES[side], url, str(turns)))
    server.shutdown()
    return {
        side: [statistics.median(column) for column in zip(*rows, strict=True)] for side, rows in kept.items()
    }


def rows_of(found: Mapping[str, Sequence[float]]) -> dict[str, Row]:
    ours = found["understudy"]
    rows: dict[str, Row] = {}
    for place, what in enumerate(("a model call", "a turn with a tool call")):
        for side, theirs in found.items():
            if side != "understudy":
                rows[f"{what} / {side}"] = ratio(ours[place], theirs[place])
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loop", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", action="store_true", help="install and measure pydantic-ai and openai-agents too"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        pythons: dict[str, str] = dict.fromkeys(
            ("bare SDK", "SDK that does not stream", "understudy"), sys.executable
        )
        pythons |= installed(Path(folder), PEERS) if options.peers else {}
        rows = rows_of(timed(pythons, options.turns, options.rounds))
    ours, plain = spoken(sys.executable, MEMORY)
    rows["10,000 messages in memory"] = figure(ours / 1e6, "MB")
    rows["10,000 messages in memory / a list of dicts"] = {
        **figure(ours / plain),
        "theirs_mb": round(plain / 1e6, 1),
    }
    bare = {f"{what} / bare SDK": 1.3 for what in ("a model call", "a turn with a tool call")}
    peers = {
        f"{what} / {peer}": 1.0 for what in ("a model call", "a turn with a tool call") for peer in PEERS
    }
    report(rows, as_json=options.json, at_most={**bare, **peers})


if __name__ == "__main__":
    main()
