"""How much room an export will take, from the model's config alone."""

from __future__ import annotations

from pathlib import Path

from qwenlab.models import folder as model_folder

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SPARE = 20_000_000
"""Bytes of tokenizer, card and proof."""


def parameters(folder: Path) -> tuple[int, int]:
    """(parameters of the layers, of the embeddings and output matrix) of a model folder, about.

    Raises:
        QwenlabError: when it is no supported model.
    """
    config = model_folder.read_config(folder)
    embeddings = config["vocab_size"] * config["hidden_size"] * (1 if config.get("tie_word_embeddings") else 2)
    width, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    shared = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or width // heads
    layer = 2 * width * head * (heads + shared) + 3 * width * inner
    return config["num_hidden_layers"] * layer, embeddings


def merged_bytes(base: Path, dtype: str) -> int:
    """What a merged model will take."""
    return sum(parameters(base)) * BYTES[dtype] + SPARE


def quantized_bytes(source: Path, bits: int) -> int:
    """What a quantized model will take at most: scales beside the weights, and embeddings in up to 16 bits."""
    layers, embeddings = parameters(source)
    return layers * (bits + 2) // 8 + embeddings * 2 + SPARE
