"""Weights in the order in which the processor multiplies fastest: for every word of an answer all of them are read.

Matrices that multiply the same input become one, so that a layer takes four products instead of seven.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

PRODUCTS = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""The matrices of a decoder layer, by what they multiply."""


class Packed(nn.Module):
    """Linear layers with the same input as one product; their outputs stand side by side.

    Args:
        linears: which it replaces; their weights are copied.
    """

    def __init__(self, linears: list[nn.Linear]) -> None:
        super().__init__()
        whole = torch.cat([one.weight.detach() for one in linears])
        # One row: the order is right for any number, but for that it is the best.
        self.register_buffer("matrix", torch.ops.mkldnn._reorder_linear_weight(whole, 1), persistent=False)
        biases = [whole.new_zeros(one.out_features) if one.bias is None else one.bias.detach() for one in linears]
        bias = torch.cat(biases) if any(one.bias is not None for one in linears) else None
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        """Shape (..., in) to (..., all outputs)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.matrix, self.bias, "none", [], "")


class Part(nn.Linear):
    """Stands where a linear layer was: for PEFT, which puts adapters on it, and for whoever wants its weight.

    Attributes:
        whole: what it is a part of.
    """

    def __init__(self, whole: Packed, start: int, linear: nn.Linear) -> None:
        nn.Module.__init__(self)  # without a weight of its own
        self.whole = whole
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._rows = slice(start, start + linear.out_features)
        self._has_bias = linear.bias is not None

    @property
    def weight(self) -> Any:  # type: ignore[override]
        """A copy in the usual order, shape (out, in); it takes time."""
        return self.whole.matrix.to_dense()[self._rows]  # type: ignore[operator]

    @property
    def bias(self) -> Any:  # type: ignore[override]
        """Its share, shape (out,), or None."""
        return self.whole.bias[self._rows] if self._has_bias else None  # type: ignore[index]

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Linear:
        """A plain linear layer: PEFT copies what an adapter replaces altogether."""
        made = nn.Linear(self.in_features, self.out_features, bias=self._has_bias, device="meta")
        made.weight = nn.Parameter(self.weight.clone())
        if self._has_bias:
            made.bias = nn.Parameter(self.bias.clone())
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its own output only, though all are computed."""
        output: torch.Tensor = self.whole(x)[..., self._rows]
        return output


def pack(model: Any) -> None:
    """Give a transformers model packed weights in place of its own, one by one; it can only answer from then on.

    What is no plain linear layer stays as it is. Of tied embeddings the rows are still looked up, so these stay too.
    """
    for layer in model.get_decoder().layers:
        for paths in PRODUCTS:
            _replace(layer, paths)
        for name in ("input_layernorm", "post_attention_layernorm"):
            setattr(layer, name, _norm(getattr(layer, name)))
    model.get_decoder().norm = _norm(model.get_decoder().norm)
    _replace(model, ("lm_head",))


def _replace(within: nn.Module, paths: tuple[str, ...]) -> None:
    linears: Any = [within.get_submodule(path) for path in paths]
    if not all(type(one) is nn.Linear for one in linears):
        return
    whole, start = Packed(linears), 0
    for path, linear in zip(paths, linears, strict=True):
        parent, _, name = path.rpartition(".")
        setattr(within.get_submodule(parent), name, Part(whole, start, linear))
        start += linear.out_features


def _norm(norm: Any) -> nn.RMSNorm:
    """The same numbers in one operation instead of six."""
    made = nn.RMSNorm(norm.weight.shape, norm.variance_epsilon, device="meta")
    made.weight = norm.weight
    return made
