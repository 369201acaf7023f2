"""How each family of models marks a call in its text: one table, by what their chat templates write.

The forms follow the templates of the models and the parsers of vLLM, SGLang and llama.cpp.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .call_arguments import object_in, value_in

Written = tuple[str, Any]
"""The name as written, and the arguments: an object, or text that should hold one."""

MAX_BEGUN = 64  # beginnings of one kind that are looked at: an answer has fewer calls

_NAME_KEYS = ("name", "tool_name", "tool", "function_name", "recipient_name", "action", "function")
_ARGUMENT_KEYS = (
    "arguments",
    "parameters",
    "args",
    "input",
    "action_input",
    "tool_input",
    "params",
    "kwargs",
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One way to mark calls: what it looks like, and what is in it."""

    family: str
    begins: re.Pattern[str]
    """What a call begins with: short, so that text full of beginnings is searched in linear time."""
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], list[Written]]


def calls_in(value: Any) -> list[Written]:
    """The calls that a JSON value describes, all of them or none."""
    if isinstance(value, dict) and isinstance(inner := value.get("tool_calls"), list):
        value = inner  # a whole message, as the vendors' wires write it
    items = value if isinstance(value, list) else [value]
    calls = [_one(item) for item in items]
    return [call for call in calls if call] if items and all(calls) else []


def _one(value: Any) -> Written | None:
    if not isinstance(value, dict):
        return None
    if isinstance(inner := value.get("function"), dict) or isinstance(
        inner := value.get("function_call"), dict
    ):
        value = inner
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    given = next((value[key] for key in _ARGUMENT_KEYS if key in value), None)
    return (name, given) if name and given is not None else None


def _json(match: re.Match[str]) -> list[Written]:
    """One value, or several behind one another."""
    found: list[Written] = []
    for text in values(match["json"]):
        calls = calls_in(value_in(text))
        if not calls:
            return []
        found += calls
    return found


def values(text: str) -> Iterator[str]:
    """The values of a text that holds several, separated by line ends or semicolons. One brace may be lost or too many."""
    text = text.strip()
    for attempt in (text, text.removesuffix("}"), text + "}"):
        if calls_in(value_in(attempt)):
            yield attempt
            return
    yield from (piece for piece in re.split(r"(?<=[}\]])\s*[;\n]\s*(?=[{\[])", text) if piece.strip())


def _named(match: re.Match[str]) -> list[Written]:
    return [(match["name"], match["json"])]


def _parameters(pattern: str) -> Callable[[re.Match[str]], list[Written]]:
    inner = re.compile(pattern, re.DOTALL)

    def read(match: re.Match[str]) -> list[Written]:
        body = match["body"]
        given = {m["key"].strip(): _unwrapped(m["value"]) for m in inner.finditer(body)}
        if not given and body.strip():
            return [(match["name"], body)]
        return [(match["name"].strip(), given)]

    return read


def _unwrapped(value: str) -> str:
    """The one line end that templates put on both sides is not part of the value."""
    return value.removeprefix("\n").removesuffix("\n")


def _pythonic(match: re.Match[str]) -> list[Written]:
    return pythonic(match["code"])


def pythonic(code: str) -> list[Written]:
    """Calls written as Python: `f(a=1)`, `[f(a=1), g()]` or a line each, with literals as arguments; all or none."""
    try:
        body = ast.parse(code.strip()).body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    values = [node.value for node in body if isinstance(node, ast.Expr)]
    if not values or len(values) < len(body):
        return []
    items = values[0].elts if len(values) == 1 and isinstance(values[0], ast.List) else values
    calls = [_python_call(item) for item in items]
    return [call for call in calls if call] if calls and all(calls) else []


def _python_call(node: ast.expr) -> Written | None:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and node.args
    ):
        return _python_call(node.args[0])  # Gemma prints what it calls
    if not isinstance(node, ast.Call) or node.args:
        return None
    try:
        given = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    name = ast.unparse(node.func)
    return (name.removesuffix(".call"), given) if re.fullmatch(r"[\w.]+", name) else None


def _keyed(match: re.Match[str]) -> list[Written]:
    """Objects of one key, the name, whose value is the arguments."""
    items = value_in(match["json"])
    pairs = [next(iter(item.items())) for item in items if isinstance(item, dict) and len(item) == 1]
    return [(str(name), given) for name, given in pairs] if len(pairs) == len(items) else []


def _escaped(match: re.Match[str]) -> list[Written]:
    """An object with bare keys, whose strings stand between marks of their own."""
    pieces = match["json"].split("<escape>")
    pieces[0::2] = [re.sub(r"([{,]\s*)([\w.-]+)\s*:", r'\1"\2":', piece) for piece in pieces[0::2]]
    pieces[1::2] = [json.dumps(piece) for piece in pieces[1::2]]
    return [(match["name"], "".join(pieces))]


def _mark(
    family: str, begins: str, rest: str, read: Callable[[re.Match[str]], list[Written]] = _json
) -> Mark:
    return Mark(family, re.compile(begins), re.compile(begins + rest, re.DOTALL), read)


_EQUALS = r"<parameter=(?P<key>[^>\n]+)>(?P<value>.*?)(?:</parameter>|(?=<parameter=)|\Z)"
_ATTRIBUTE = (
    r"<(?:｜DSML｜|steptml:)?param(?:eter)?\s+name=[\"'](?P<key>[^\"'\n]+)[\"'][^>]*>(?P<value>.*?)"
    r"(?:</(?:｜DSML｜|steptml:)?param(?:eter)?>|(?=<(?:｜DSML｜|steptml:)?param(?:eter)?\s)|\Z)"
)
_KEYS = (
    r"<(?:longcat_)?arg_key>(?P<key>[^<]*)</(?:longcat_)?arg_key>\s*"
    r"<(?:longcat_)?arg_value>(?P<value>.*?)(?:</(?:longcat_)?arg_value>|(?=<(?:longcat_)?arg_key>)|\Z)"
)
_TO = r"(?:<\|start\|>assistant)?\s{0,9}(?:<\|channel\|>\s{0,9}\w{1,20}\s{0,9})?to="
_NAME = r"(?P<name>[\w./:-]{1,200})"
_OBJECT = r"(?P<json>\{.*?\})\s*"
_VALUE = r"\s*(?P<json>[\[{].*?[\]}])\s*"

MARKS = (
    _mark("qwen3-coder", r"<function=(?P<name>[^>\n]{1,200})>", r"(?P<body>\s*<parameter=.*?)(?:</function>|\Z)", _parameters(_EQUALS)),
    _mark("llama", r"<function=(?P<name>[^>\n{]{1,200})>", rf"\s*{_OBJECT}(?:</function>|\Z)", _named),
    _mark("no parameters", r"<function=(?P<name>[^>\n]{1,200})>", r"(?P<body>\s*)</function>", _parameters(_EQUALS)),
    _mark("hermes", r"<tool_call>", r"\s*(?P<json>[{\[].*?)(?:</tool_call>|(?=<tool_call>)|\Z)"),
    _mark("glm", r"<(?P<tag>(?:longcat_)?tool_call)>", rf"\s*{_NAME}\s*(?P<body>(?:<(?:longcat_)?arg_key>.*?)?)</(?P=tag)>", _parameters(_KEYS)),
    _mark("hunyuan", r"<tool_call>", rf"\s*{_NAME}\s*```(?:json)?\s*{_OBJECT}```\s*(?:</tool_call>|\Z)", _named),
    _mark("mistral", r"\[TOOL_CALLS\]", rf"\s*(?P<name>[\w./:-]{{1,200}}?)\s*(?:\[CALL_ID\]\w+)?\s*(?:\[ARGS\])?\s*{_OBJECT}(?=\[TOOL_CALLS\]|</s>|\Z)", _named),
    _mark("mistral list", r"\[TOOL_CALLS\]", r"\s*(?P<json>\[.*\]|\{.*\})"),
    _mark("python tag", r"<\|python_tag\|>", r"\s*(?P<json>\{.*\}|\[.*\])"),
    _mark("python tag call", r"<\|python_tag\|>", r"\s*(?P<code>[\w.]{1,200}\(.*?\))\s*(?:<\|eom_id\|>|<\|eot_id\|>|\Z)", _pythonic),
    _mark("harmony", _TO, rf"{_NAME}\s*(?:<\|channel\|>\s*\w+\s*)?(?:<\|constrain\|>\s*\w*\s*|\s+json\s*)?<\|message\|>\s*{_OBJECT}(?:<\|call\|>|<\|end\|>|\Z)", _named),
    _mark("deepseek", r"<｜tool▁call▁begin｜>", rf"\s*(?:function\s*<｜tool▁sep｜>)?{_NAME}\s*(?:<｜tool▁sep｜>)?\s*(?:```json)?\s*{_OBJECT}(?:```)?\s*(?:<｜tool▁call▁end｜>|\Z)", _named),
    _mark("kimi", r"<\|tool_call_begin\|>", rf"\s*{_NAME}\s*<\|tool_call_argument_begin\|>\s*{_OBJECT}(?:<\|tool_call_end\|>|\Z)", _named),
    _mark("invoke", r"<(?:｜DSML｜|steptml:)?invoke\s", r"+name=[\"'](?P<name>[^\"'\n]{1,200})[\"'][^>]*>(?P<body>.*?)</(?:｜DSML｜|steptml:)?invoke>", _parameters(_ATTRIBUTE)),
    _mark("minicpm", r"<function\s", r"+name=[\"'](?P<name>[^\"'\n]{1,200})[\"'][^>]*>(?P<body>.*?)</function>", _parameters(_ATTRIBUTE)),
    _mark("phi", r"<\|tool_call\|>", rf"{_VALUE}(?:<\|/tool_call\|>|<\|end\|>|\Z)"),
    _mark("granite", r"<\|tool_call\|>", r"\s*(?P<json>[\[{].*[\]}])"),
    _mark("functools", r"\bfunctools\b", r"\s*(?P<json>\[.*\])"),
    _mark("lists in tags", r"<(?P<tag>tool_calls|TOOLCALL|toolcall|tool_code|function_call)>", rf"{_VALUE}(?:</(?P=tag)>|\Z)"),
    _mark("internlm", r"<\|action_start\|>", rf"\s*<\|\w{{1,20}}\|>{_VALUE}(?:<\|action_end\|>|\Z)"),
    _mark("mistral without brackets", r"(?<![\w\[])TOOL_CALLS(?=\[)", r"\s*(?P<json>\[.*\])"),
    _mark("command", r"<\|START_ACTION\|>", rf"{_VALUE}(?:<\|END_ACTION\|>|\Z)"),
    _mark("command-r", r"(?<![^\n])Action:[ \t]*```", r"(?:json)?\s*(?P<json>\[.*?\])\s*```"),
    _mark("react", r"(?<![^\n])Action:[ \t]*(?=[\w`])", rf"`?{_NAME}`?[ \t]*\n+Action Input:\s*{_OBJECT}(?=Observation:|\Z)", _named),
    _mark("gemma", r"<start_function_call>", r"\s*call:(?P<name>[\w./-]{1,200})(?P<json>\{.*?\})\s*(?:<end_function_call>|\Z)", _escaped),
    _mark("apertus", r"<\|tools_prefix\|>", r"\s*(?P<json>\[.*?\])\s*(?:<\|tools_suffix\|>|\Z)", _keyed),
    _mark("olmo", r"<function_calls>", r"\s*(?P<code>[\w.]{1,200}\(.*?\))\s*(?:</function_calls>|\Z)", _pythonic),
    _mark("gigachat", r"(?:<\|function_call\|>|function call<\|role_sep\|>)", rf"{_VALUE}(?:</s>|<\|\w+\|>|\Z)"),
    _mark("lfm", r"<\|tool_call_start\|>", r"\s*(?P<code>\[.*?\])\s*(?:<\|tool_call_end\|>|\Z)", _pythonic),
)  # fmt: skip

LINE_AND_OBJECT = re.compile(r"([\w./:-]{1,200})[ \t]*\n\s*(\{.*\})", re.DOTALL)
"""How GLM-4 writes a call: its name on a line, its arguments below."""

LEFTOVERS = re.compile(
    r"</?(?:tool_calls?|minimax:tool_call|function_calls|seed:tool_call|｜DSML｜function_calls)>"
    r"|</?｜DSML｜(?:function_calls|tool_calls)>|<\|tool_calls_section_(?:begin|end)\|>|<｜tool▁calls▁(?:begin|end)｜>"
    r"|<｜tool_calls?_(?:begin|end)｜>(?:function<｜tool_sep｜>)?"
    r"|<\|(?:call|eom_id|eot_id|im_end|end|start)\|>|</s>"
)
"""Marks around the marks, which say nothing once the calls are taken."""


def marked(text: str) -> Iterable[tuple[re.Match[str], list[Written]]]:
    """Every marked call in `text`, where no two overlap; an empty list stands for marks around something else."""
    taken: list[tuple[int, int]] = []
    found: list[tuple[re.Match[str], list[Written]]] = []
    for mark in MARKS:
        for begun in islice(mark.begins.finditer(text), MAX_BEGUN):
            match = mark.pattern.match(text, begun.start())
            if match is None or any(match.start() < end and start < match.end() for start, end in taken):
                continue
            calls = mark.read(match)
            if calls and all(object_in(given) is not None for _, given in calls):
                taken.append(match.span())
                found.append((match, calls))
    return sorted(found, key=lambda pair: pair[0].start())


LOOKS_MARKED = re.compile(
    r"<tool_calls?>|\[TOOL_CALLS\]|<\|python_tag\|>|<function=|<\|tool_call|<｜tool▁call|<(?:｜DSML｜)?invoke\s|to=functions\."
    r"|<TOOLCALL>|<\|START_ACTION\|>|functools\[|<start_function_call>|<\|action_start\|>|<\|tools_prefix\|>|TOOL_CALLS\["
    r"|<steptml:invoke\s"
)
