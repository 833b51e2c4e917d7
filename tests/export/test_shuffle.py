"""Shuffled channels: the same function, and training survives rounding to an old grid."""

from __future__ import annotations

from typing import Any

import libgguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from qwenlab.export.shuffle import Shuffle

CONFIG = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
HEAD = 16


def layer(seed: int) -> dict[str, np.ndarray]:
    """Random weights of one block, by their transformers names."""
    random = np.random.default_rng(seed)
    shapes = {
        "self_attn.q_proj": (64, 64),
        "self_attn.k_proj": (32, 64),
        "self_attn.v_proj": (32, 64),
        "self_attn.o_proj": (64, 64),
        "mlp.gate_proj": (96, 64),
        "mlp.up_proj": (96, 64),
        "mlp.down_proj": (64, 96),
    }
    weights = {f"model.layers.0.{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
    weights["model.layers.0.self_attn.v_proj.bias"] = random.normal(size=32)
    weights["model.layers.0.input_layernorm.weight"] = random.normal(size=64)
    weights["model.embed_tokens.weight"] = random.normal(size=(12, 64))
    return weights


def shuffled(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    shuffle = Shuffle(CONFIG, HEAD)
    found = {}
    for name, weight in weights.items():
        rows, columns = shuffle.orders(name)
        weight = weight if rows is None else weight[rows]
        found[name] = weight if columns is None else weight[:, columns]
    return found


def logits(weights: dict[str, Any]) -> np.ndarray:
    """A small block in plain numpy: attention over three tokens without rotation, feed-forward, tied output."""

    def of(name: str) -> np.ndarray:
        return weights[f"model.layers.0.{name}"]

    embedding = weights["model.embed_tokens.weight"]
    hidden = embedding[[3, 1, 7]] * of("input_layernorm.weight")
    q = (hidden @ of("self_attn.q_proj.weight").T).reshape(3, 4, HEAD)
    k = (hidden @ of("self_attn.k_proj.weight").T).reshape(3, 2, HEAD).repeat(2, axis=1)
    v = hidden @ of("self_attn.v_proj.weight").T + of("self_attn.v_proj.bias")
    v = v.reshape(3, 2, HEAD).repeat(2, axis=1)
    scores = np.einsum("ihd,jhd->hij", q, k) / 100
    share = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    hidden = hidden + np.einsum("hij,jhd->ihd", share, v).reshape(3, 64) @ of("self_attn.o_proj.weight").T
    inner = np.tanh(hidden @ of("mlp.gate_proj.weight").T) * (hidden @ of("mlp.up_proj.weight").T)
    return (hidden + inner @ of("mlp.down_proj.weight").T) @ embedding.T


def test_function_stays_the_same() -> None:
    weights = layer(0)
    moved = shuffled(weights)
    assert not np.allclose(weights["model.embed_tokens.weight"], moved["model.embed_tokens.weight"])
    assert np.allclose(logits(weights), logits(moved), rtol=1e-9)


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.q_proj.bias"])
def test_what_rotary_positions_tie_down_stays(name: str) -> None:
    assert Shuffle(CONFIG, HEAD).orders(name) == (None, None)


def test_small_moves_survive_on_a_grid_only_when_shuffled() -> None:
    """The reason for it all: what training added to dequantized weights."""
    kind = GGMLQuantizationType.Q4_0
    random = np.random.default_rng(0)

    def rounded(weights: np.ndarray) -> np.ndarray:
        return dequantize(libgguf.quantize_rows(np.ascontiguousarray(weights, np.float32), kind).view(np.uint8), kind)

    grid = rounded(random.normal(size=(256, 256)))
    learned = np.outer(random.normal(size=256), random.normal(size=256)) * 0.02  # as a LoRA of rank 1 adds it
    order = random.permutation(256)
    plain = rounded(grid + learned) - grid
    mixed = rounded((grid + learned)[:, order])[:, np.argsort(order)] - grid

    def kept(change: np.ndarray) -> float:
        return float((change * learned).sum() / (learned**2).sum())

    assert kept(plain) < 0.1, "on its old grid the model forgets nearly all"
    assert kept(mixed) > 0.6
