"""A llama model written by hand that walks along chains of tokens: a real engine computes it, and each step is known.

Its embeddings are one-hot and its attention is zero, so each token alone decides the next. Needs gguf and numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
"""Kinds of tokens, as GGUF numbers them."""
END = 2
"""The token that ends an answer."""
_FFN, _HEADS = 32, 4

ALPHABET: list[tuple[bytes, int]] = [
    (b"<unk>", UNKNOWN),
    (b"<s>", CONTROL),
    (b"</s>", CONTROL),
    *((f"<0x{i:02X}>".encode(), BYTE) for i in range(256)),
    *((letter.encode(), NORMAL) for letter in [*(chr(i) for i in range(33, 127)), "▁"]),
]
"""What every vocabulary begins with, each token with its kind: any prompt can be read."""


def write_model(
    path: Path,
    name: str,
    tokens: Sequence[bytes],
    kinds: Sequence[int],
    follows: Mapping[int, int],
    *,
    template: str,
    context: int,
) -> None:
    """A GGUF file in which token `follows[n]` comes after token n, and the end after any other.

    `tokens` begin with ALPHABET. `context`: in tokens. Raises ImportError, OSError.
    """
    import gguf

    width = -(-len(tokens) // 64) * 64
    out = gguf.GGUFWriter(path, "llama")
    out.add_name(name)
    out.add_context_length(context)
    out.add_embedding_length(width)
    out.add_block_count(1)
    out.add_feed_forward_length(_FFN)
    out.add_head_count(_HEADS)
    out.add_head_count_kv(_HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(width // _HEADS)
    out.add_vocab_size(len(tokens))
    out.add_tokenizer_model("llama")
    out.add_token_list(list(tokens))
    out.add_token_scores([-float(i) for i in range(len(tokens))])
    out.add_token_types(list(kinds))
    out.add_bos_token_id(1)
    out.add_eos_token_id(END)
    out.add_unk_token_id(0)
    out.add_add_bos_token(True)
    out.add_chat_template(template)
    for tensor, values in _weights(len(tokens), width, follows):
        out.add_tensor(tensor, values)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _weights(
    vocabulary: int, width: int, follows: Mapping[int, int]
) -> list[tuple[str, NDArray[np.float32]]]:
    import numpy as np

    embed = np.zeros((vocabulary, width), np.float32)
    embed[np.arange(vocabulary), np.arange(vocabulary)] = 1
    output = np.zeros((vocabulary, width), np.float32)
    for token in range(vocabulary):
        output[follows.get(token, END), token] = 2.0
    square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (width, width))
    layer = {**square, "ffn_gate": (_FFN, width), "ffn_up": (_FFN, width), "ffn_down": (width, _FFN)}
    return [
        ("token_embd.weight", embed),
        ("output_norm.weight", np.ones(width, np.float32)),
        ("output.weight", output),
        *((f"blk.0.{name}.weight", np.zeros(shape, np.float32)) for name, shape in layer.items()),
        *((f"blk.0.{name}.weight", np.ones(width, np.float32)) for name in ("attn_norm", "ffn_norm")),
    ]
