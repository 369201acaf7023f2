"""A model file whose weights were written by hand: it drives the real llama.cpp server deterministically.

The chat template ends the prompt with a mark, and the mark decides which chain of tokens is said: two tool
calls when tools are offered, a sentence after their results, a greeting otherwise. Needs numpy and gguf.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from servers.ollama.engines.chain_model import ALPHABET, END, USER_DEFINED, write_model

CONTEXT = 8192

CALLS = [
    # Every piece is another token, cut at other places in each call.
    [
        "<tool",
        "_call>\n",
        '{"name": "get_weather", "arg',
        'uments": {"city": "Oslo"}}',
        "\n</tool",
        "_call>",
        "\n",
    ],
    [
        "<to",
        "ol_call>\n",
        '{"name": "get',
        '_weather", "arguments": {"city": "',
        'Łódź"',
        "}}\n",
        "</to",
        "ol_call>",
    ],
]
CHAINS = {
    "§T": [piece for call in CALLS for piece in call],
    "§R": ["It", " is", " sunny", " in", " both."],
    "§C": ["Hello", " from", " llama.cpp"],
}
TEMPLATE = r"""{%- if tools %}{{- '<|im_start|>system
# Tools
<tools>' }}{%- for tool in tools %}{{- '
' }}{{- tool | tojson }}{%- endfor %}{{- '
</tools>
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
' }}{%- endif %}{%- for message in messages %}{%- if message.role == 'assistant' and message.tool_calls %}
{{- '<|im_start|>assistant' }}{%- if message.content %}{{- '
' + message.content }}{%- endif %}{%- for call in message.tool_calls %}
{%- if call.function is defined %}{%- set call = call.function %}{%- endif %}{{- '
<tool_call>
{"name": "' }}{{- call.name }}{{- '", "arguments": ' }}{{- call.arguments | tojson }}{{- '}
</tool_call>' }}{%- endfor %}{{- '<|im_end|>
' }}{%- elif message.role == 'tool' %}{{- '<|im_start|>user
<tool_response>
' }}{{- message.content }}{{- '
</tool_response><|im_end|>
' }}{%- else %}{{- '<|im_start|>' + message.role + '
' + (message.content if message.content else '') + '<|im_end|>
' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant
' }}{%- if messages[-1].role == 'tool' %}{{- '§R' }}{%- elif tools %}{{- '§T' }}{%- else %}{{- '§C' }}{%- endif %}{%- endif %}"""


def write(path: str) -> None:
    """A GGUF file of some megabytes."""
    tokens, kinds = [token for token, _ in ALPHABET], [kind for _, kind in ALPHABET]
    follows: dict[int, int] = {}
    for mark, pieces in CHAINS.items():
        ids = range(len(tokens), len(tokens) + len(pieces) + 1)
        tokens += [piece.encode() for piece in (mark, *pieces)]
        kinds += [USER_DEFINED] * len(ids)
        follows |= dict(zip(ids, [*ids[1:], END], strict=True))
    write_model(Path(path), "scripted", tokens, kinds, follows, template=TEMPLATE, context=CONTEXT)


def serve(path: str, port: int) -> None:
    """llama.cpp's own server on `port`, until the process is ended."""
    engine: Any = import_module("xllamacpp")  # compiled, without types
    params = engine.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel, params.n_predict = CONTEXT, 1, 200
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.port, params.use_jinja, params.warmup = port, True, False
    server = engine.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    write(sys.argv[1])
    serve(sys.argv[1], int(sys.argv[2]))
