"""Channels in another order: the same function, but weights that meet other neighbours when they are rounded.

A model that was once dequantized from 4 bits has weights on a grid, block by block. Rounding such a model again
finds the same grid, on which the small moves that training made are lost in the same direction everywhere: the
quantized model forgets. In another order of channels the blocks hold other numbers, the grid is a new one, and
rounding errors are as often up as down. Any other model loses nothing by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SEED = 0
Order = np.ndarray | None


class Shuffle:
    """One order for the residual stream, one inside the feed-forward layers, one inside each value head.

    Queries and keys keep their rows: rotary positions tie those to their places.

    Args:
        config: the model's config.json.
    """

    def __init__(self, config: dict[str, Any], head_dim: int) -> None:
        order = np.random.default_rng(SEED)
        heads = config["num_attention_heads"]
        self._hidden = order.permutation(config["hidden_size"])
        self._inner = order.permutation(config["intermediate_size"])
        value = order.permutation(head_dim)
        self._values = _every(value, config.get("num_key_value_heads") or heads)
        self._outputs = _every(value, heads)

    def orders(self, name: str) -> tuple[Order, Order]:
        """The order of a weight's rows and of its columns, by its transformers name; None where it stays.

        A bias or norm has one dimension, which counts as its rows.
        """
        part, kind = name.rsplit(".", 2)[-2:]
        bias = kind == "bias"
        if part in ("embed_tokens", "lm_head"):
            return None, self._hidden
        if part in ("input_layernorm", "post_attention_layernorm", "norm"):
            return self._hidden, None
        if part in ("q_proj", "k_proj"):
            return None, None if bias else self._hidden
        if part == "v_proj":
            return self._values, None if bias else self._hidden
        if part == "o_proj":
            return self._hidden, None if bias else self._outputs
        if part in ("gate_proj", "up_proj"):
            return self._inner, None if bias else self._hidden
        if part == "down_proj":
            return self._hidden, None if bias else self._inner
        return None, None


def _every(order: np.ndarray, heads: int) -> np.ndarray:
    """The same order inside each of `heads` heads."""
    return (np.arange(heads)[:, None] * len(order) + order[None, :]).reshape(-1)
