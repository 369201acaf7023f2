"""A small llama model of random weights and a made-up vocabulary: gibberish, at a real model's speed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Llama:
    """22 million weights unless told otherwise; f16."""

    layers: int = 6
    width: int = 512
    heads: int = 8
    kv_heads: int = 4
    inner: int = 1408
    vocabulary: int = 4096
    context: int = 8192


def write_random_model(path: Path, model: Llama, seed: int = 0) -> int:
    """Write the GGUF file; the number of its weights. Nothing is downloaded."""
    rng = np.random.default_rng(seed)
    w = gguf.GGUFWriter(path, "llama")
    _describe(w, model)
    weights = 0
    head = model.width // model.heads

    def matrix(name: str, rows: int, columns: int) -> None:
        nonlocal weights
        weights += rows * columns
        w.add_tensor(name, (rng.standard_normal((rows, columns), dtype=np.float32) * 0.02).astype(np.float16))

    matrix("token_embd.weight", model.vocabulary, model.width)
    for n in range(model.layers):
        for norm in ("attn_norm", "ffn_norm"):
            w.add_tensor(f"blk.{n}.{norm}.weight", np.ones(model.width, dtype=np.float32))
        matrix(f"blk.{n}.attn_q.weight", model.width, model.width)
        matrix(f"blk.{n}.attn_k.weight", head * model.kv_heads, model.width)
        matrix(f"blk.{n}.attn_v.weight", head * model.kv_heads, model.width)
        matrix(f"blk.{n}.attn_output.weight", model.width, model.width)
        matrix(f"blk.{n}.ffn_gate.weight", model.inner, model.width)
        matrix(f"blk.{n}.ffn_up.weight", model.inner, model.width)
        matrix(f"blk.{n}.ffn_down.weight", model.width, model.inner)
    w.add_tensor("output_norm.weight", np.ones(model.width, dtype=np.float32))
    matrix("output.weight", model.vocabulary, model.width)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return weights


def _describe(w: gguf.GGUFWriter, model: Llama) -> None:
    w.add_name("random")
    w.add_context_length(model.context)
    w.add_embedding_length(model.width)
    w.add_block_count(model.layers)
    w.add_feed_forward_length(model.inner)
    w.add_head_count(model.heads)
    w.add_head_count_kv(model.kv_heads)
    w.add_rope_dimension_count(model.width // model.heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(model.vocabulary)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    tokens = [*_bytes(), *(f"w{n}" for n in range(model.vocabulary - 258)), "<|bos|>", "<|eos|>"]
    kinds = [gguf.TokenType.NORMAL] * (model.vocabulary - 2) + [gguf.TokenType.CONTROL] * 2
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(["a b"])
    w.add_bos_token_id(model.vocabulary - 2)
    w.add_eos_token_id(model.vocabulary - 1)
    w.add_add_bos_token(False)


def _bytes() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}
    return [table[b] for b in range(256)]
