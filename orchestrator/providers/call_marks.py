"""How each family of models marks a call in its text: one table, by what their chat templates write.

The forms follow the templates of the models and the parsers of vLLM, SGLang and llama.cpp.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .call_arguments import object_in, value_in

Written = tuple[str, Any]
"""The name as written, and the arguments: an object, or text that should hold one."""

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
    pattern: re.Pattern[str]
    read: Callable[[re.Match[str]], list[Written]]


def calls_in(value: Any) -> list[Written]:
    """The calls that a JSON value describes, all of them or none."""
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
    for text in _values(match["json"]):
        calls = calls_in(value_in(text))
        if not calls:
            return []
        found += calls
    return found


def _values(text: str) -> Iterator[str]:
    """The values of a text that holds several, separated by line ends or semicolons."""
    text = text.strip()
    if calls_in(value_in(text)):
        yield text
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
    """Calls written as Python: `f(a=1)` or `[f(a=1), g()]`, with literals as arguments; all of them or none."""
    try:
        tree = ast.parse(code.strip(), mode="eval").body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    items = tree.elts if isinstance(tree, ast.List) else [tree]
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


def _mark(family: str, pattern: str, read: Callable[[re.Match[str]], list[Written]] = _json) -> Mark:
    return Mark(family, re.compile(pattern, re.DOTALL), read)


_EQUALS = r"<parameter=(?P<key>[^>\n]+)>(?P<value>.*?)(?:</parameter>|(?=<parameter=)|\Z)"
_ATTRIBUTE = r"<(?:｜DSML｜)?parameter\s+name=[\"'](?P<key>[^\"'\n]+)[\"'][^>]*>(?P<value>.*?)</(?:｜DSML｜)?parameter>"
_KEYS = r"<arg_key>(?P<key>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>"

MARKS = (
    _mark("qwen3-coder", r"<function=(?P<name>[^>\n]+)>(?P<body>\s*<parameter=.*?)(?:</function>|\Z)", _parameters(_EQUALS)),
    _mark("llama", r"<function=(?P<name>[^>\n{]+)>\s*(?P<json>\{.*?\})\s*(?:</function>|\Z)", _named),
    _mark("no parameters", r"<function=(?P<name>[^>\n]+)>(?P<body>\s*)</function>", _parameters(_EQUALS)),
    _mark("hermes", r"<tool_call>\s*(?P<json>[{\[].*?)\s*(?:</tool_call>|(?=<tool_call>)|\Z)"),
    _mark("glm", r"<tool_call>\s*(?P<name>[\w./:-]+)\s*(?P<body>(?:<arg_key>.*?)?)\s*</tool_call>", _parameters(_KEYS)),
    _mark("mistral", r"\[TOOL_CALLS\]\s*(?P<name>[\w./:-]+?)\s*(?:\[CALL_ID\]\w+)?\s*(?:\[ARGS\])?\s*(?P<json>\{.*?\})\s*(?=\[TOOL_CALLS\]|</s>|\Z)", _named),
    _mark("mistral list", r"\[TOOL_CALLS\]\s*(?P<json>\[.*\]|\{.*\})"),
    _mark("python tag", r"<\|python_tag\|>\s*(?P<json>\{.*\}|\[.*\])"),
    _mark("python tag call", r"<\|python_tag\|>\s*(?P<code>[\w.]+\(.*?\))\s*(?:<\|eom_id\|>|<\|eot_id\|>|\Z)", _pythonic),
    _mark("harmony", r"(?:<\|start\|>assistant)?\s*(?:<\|channel\|>\s*\w+\s*)?to=(?P<name>[\w./:-]+)\s*(?:<\|channel\|>\s*\w+\s*)?(?:<\|constrain\|>\s*\w*\s*|\s+json\s*)?<\|message\|>\s*(?P<json>\{.*?\})\s*(?:<\|call\|>|<\|end\|>|\Z)", _named),
    _mark("deepseek", r"<｜tool▁call▁begin｜>\s*(?:function\s*<｜tool▁sep｜>)?(?P<name>[\w./:-]+)\s*(?:<｜tool▁sep｜>)?\s*(?:```json)?\s*(?P<json>\{.*?\})\s*(?:```)?\s*(?:<｜tool▁call▁end｜>|\Z)", _named),
    _mark("kimi", r"<\|tool_call_begin\|>\s*(?P<name>[\w./:-]+)\s*<\|tool_call_argument_begin\|>\s*(?P<json>\{.*?\})\s*(?:<\|tool_call_end\|>|\Z)", _named),
    _mark("invoke", r"<(?:｜DSML｜)?invoke\s+name=[\"'](?P<name>[^\"'\n]+)[\"'][^>]*>(?P<body>.*?)</(?:｜DSML｜)?invoke>", _parameters(_ATTRIBUTE)),
    _mark("phi", r"<\|tool_call\|>\s*(?P<json>[\[{].*?[\]}])\s*(?:<\|/tool_call\|>|<\|end\|>|\Z)"),
    _mark("granite", r"<\|tool_call\|>\s*(?P<json>[\[{].*[\]}])"),
    _mark("functools", r"\bfunctools\s*(?P<json>\[.*\])"),
    _mark("lists in tags", r"<(?P<tag>tool_calls|TOOLCALL|toolcall|tool_code|function_call)>\s*(?P<json>[\[{].*?[\]}])\s*(?:</(?P=tag)>|\Z)"),
    _mark("command", r"<\|START_ACTION\|>\s*(?P<json>[\[{].*?[\]}])\s*(?:<\|END_ACTION\|>|\Z)"),
    _mark("lfm", r"<\|tool_call_start\|>\s*(?P<code>\[.*?\])\s*(?:<\|tool_call_end\|>|\Z)", _pythonic),
)  # fmt: skip

LEFTOVERS = re.compile(
    r"</?(?:tool_calls?|minimax:tool_call|function_calls|seed:tool_call|｜DSML｜function_calls)>"
    r"|</?｜DSML｜(?:function_calls|tool_calls)>|<\|tool_calls_section_(?:begin|end)\|>|<｜tool▁calls▁(?:begin|end)｜>"
    r"|<\|(?:call|eom_id|eot_id|im_end|end|start)\|>|</s>"
)
"""Marks around the marks, which say nothing once the calls are taken."""


def marked(text: str) -> Iterable[tuple[re.Match[str], list[Written]]]:
    """Every marked call in `text`, where no two overlap; an empty list stands for marks around something else."""
    taken: list[tuple[int, int]] = []
    found: list[tuple[re.Match[str], list[Written]]] = []
    for mark in MARKS:
        for match in mark.pattern.finditer(text):
            if any(match.start() < end and start < match.end() for start, end in taken):
                continue
            calls = mark.read(match)
            if calls and all(object_in(given) is not None for _, given in calls):
                taken.append(match.span())
                found.append((match, calls))
    return sorted(found, key=lambda pair: pair[0].start())


LOOKS_MARKED = re.compile(
    r"<tool_calls?>|\[TOOL_CALLS\]|<\|python_tag\|>|<function=|<\|tool_call|<｜tool▁call|<(?:｜DSML｜)?invoke\s|to=functions\."
    r"|<TOOLCALL>|<\|START_ACTION\|>|functools\["
)
