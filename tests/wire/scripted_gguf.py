"""A model file whose weights were written by hand: it drives the real llama.cpp server deterministically.

One-hot embeddings and no attention make it a chain of tokens: each is followed by exactly one other. The
chat template ends the prompt with a mark, and the mark decides what is said: two tool calls when tools are
offered, a sentence after their results, a greeting otherwise. Needs numpy and gguf.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import gguf
import numpy as np

WIDTH, INNER, HEADS, CONTEXT = 512, 32, 4, 8192
END = 2  # the id of </s>

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
    """A GGUF file of about 6 MB."""
    tokens, kinds, following = _vocabulary()
    model: Any = gguf.GGUFWriter(path, "llama")
    model.add_name("scripted")
    model.add_context_length(CONTEXT)
    model.add_embedding_length(WIDTH)
    model.add_block_count(1)
    model.add_feed_forward_length(INNER)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_vocab_size(len(tokens))
    model.add_tokenizer_model("llama")
    model.add_token_list(tokens)
    model.add_token_scores([-float(rank) for rank in range(len(tokens))])
    model.add_token_types(kinds)
    model.add_bos_token_id(1)
    model.add_eos_token_id(END)
    model.add_unk_token_id(0)
    model.add_add_bos_token(True)
    model.add_chat_template(TEMPLATE)
    for name, tensor in _tensors(len(tokens), following).items():
        model.add_tensor(name, tensor)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def _vocabulary() -> tuple[list[bytes], list[int], dict[int, int]]:
    """(tokens, their kinds, which follows which)."""
    kind = gguf.TokenType
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{value:02X}>".encode() for value in range(256))]
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *[kind.BYTE] * 256]
    for letter in [*map(chr, range(33, 127)), "▁"]:
        tokens.append(letter.encode())
        kinds.append(kind.NORMAL)
    following: dict[int, int] = {}
    for mark, pieces in CHAINS.items():
        ids = range(len(tokens), len(tokens) + len(pieces) + 1)
        tokens += [piece.encode() for piece in (mark, *pieces)]
        kinds += [kind.USER_DEFINED] * len(ids)
        following |= dict(zip(ids, [*ids[1:], END], strict=True))
    return tokens, [int(k) for k in kinds], following


def _tensors(vocabulary: int, following: dict[int, int]) -> dict[str, Any]:
    assert vocabulary <= WIDTH
    embedding = np.eye(vocabulary, WIDTH, dtype=np.float32)
    output = np.zeros((vocabulary, WIDTH), np.float32)
    for token in range(vocabulary):
        output[following.get(token, END), token] = 2.0
    square, up, down = (WIDTH, WIDTH), (INNER, WIDTH), (WIDTH, INNER)
    shapes = {f"attn_{part}": square for part in ("q", "k", "v", "output")}
    shapes |= {"ffn_gate": up, "ffn_up": up, "ffn_down": down}
    ones = {name: np.ones(WIDTH, np.float32) for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")}
    tensors = {"token_embd": embedding, "output": output} | ones
    tensors |= {f"blk.0.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return {f"{name}.weight": tensor for name, tensor in tensors.items()}


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
