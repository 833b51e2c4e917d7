"""Weights in the order in which the processor multiplies fastest: for every word of an answer all of them are read.

Matrices that multiply the same input become one, so that a layer takes four products instead of seven.
"""

from __future__ import annotations

from collections.abc import Callable
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
FEW = 32768
"""Numbers up to which starting an operation takes longer than doing it."""


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

    def product(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """What `forward` does, without a module's detours, which cost as much as a small product."""
        matrix, bias, multiply = self.matrix, self.bias, torch.ops.mkldnn._linear_pointwise.default
        return lambda x: multiply(x, matrix, bias, "none", [], "")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (..., in) to (..., all outputs)."""
        return self.product()(x)


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


class Norm(nn.Module):
    """The root mean square norm as one operation for few tokens, where torch takes eight.

    A vector beside its own negative has the mean 0 and its own mean square as variance: that is what layer norm, which
    is one operation, divides by.
    """

    def __init__(self, weight: nn.Parameter, epsilon: float) -> None:
        super().__init__()
        self.weight = weight
        self.epsilon = epsilon

    def function(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """What `forward` does, without a module's detours."""
        weight, epsilon, width = self.weight, self.epsilon, self.weight.shape
        twice, doubled = torch.cat((weight, weight)).detach(), (2 * width[0],)

        def norm(x: torch.Tensor) -> torch.Tensor:
            if x.numel() > FEW:
                return torch.rms_norm(x, width, weight, epsilon)
            beside = torch.cat((x, -x), -1)
            return torch.layer_norm(beside, doubled, twice, None, epsilon).narrow(-1, 0, width[0])

        return norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return self.function()(x)


def _norm(norm: Any) -> Norm:
    return Norm(norm.weight, norm.variance_epsilon)
