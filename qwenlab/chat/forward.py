"""One pass through the model as answering needs it: the next token's scores, every row with its own adapter.

All supported families are decoders of one shape. What transformers and PEFT do beside the products - masks, caches that
grow by copying, a choice of adapters at every layer - takes longer than the products of a small model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qwenlab.models.loading import BASE, LoadedModel
from qwenlab.models.packed import PRODUCTS, Norm, Part

ROOM = 64
"""Tokens for which there is room in advance; beyond, keys and values are copied once."""
FEW = 8
"""Tokens at once up to which thin products are quicker in float32."""

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of rotary positions, as `_turn` makes them."""


class States:
    """Keys and values of all that the rows have read, by layer; each of shape (rows, key heads, tokens, width).

    Attributes:
        length: tokens read by all layers.
    """

    def __init__(self) -> None:
        self.length = 0
        self._layers: list[tuple[Tensor, Tensor]] = []

    def add(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those of new tokens; returns all so far."""
        start, end = self.length, self.length + keys.shape[2]
        if layer == len(self._layers):
            self._layers.append((keys[:, :, :0], values[:, :, :0]))
        if self._layers[layer][0].shape[2] < end:
            old_keys, old_values = self._layers[layer]
            self._layers[layer] = _longer(old_keys, keys, start), _longer(old_values, values, start)
        all_keys, all_values = self._layers[layer]
        all_keys[:, :, start:end], all_values[:, :, start:end] = keys, values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def fork(self, rows: int) -> States:
        """So many rows that all have read what one row has; nothing is copied before they read on."""
        made = States()
        made.length = self.length
        made._layers = [
            (keys[:, :, : self.length].expand(rows, -1, -1, -1), values[:, :, : self.length].expand(rows, -1, -1, -1))
            for keys, values in self._layers
        ]
        return made

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._layers = [(keys[rows], values[rows]) for keys, values in self._layers]


def _longer(old: Tensor, new: Tensor, length: int) -> Tensor:
    made = new.new_empty(*new.shape[:2], length + new.shape[2] + ROOM, new.shape[3])
    made[:, :, :length] = old[:, :, :length]
    return made


class Forward:
    """The shared model with the adapters of a batch's rows.

    Args:
        names: the adapter per row, BASE for none. One that cannot be mixed is for all, and PEFT has switched to it.

    Attributes:
        device: where the weights are.
    """

    def __init__(self, loaded: LoadedModel, names: Sequence[str]) -> None:
        model, ours = loaded.plain, loaded.has_adapters and all(loaded.mixes(name) for name in names)
        self._spoken = sorted(set(names) - {BASE}) if ours else []
        self._decoder = model.get_decoder()
        self._layers = [_Layer(layer, self._spoken, ours) for layer in self._decoder.layers]
        self._norm = _direct(self._decoder.norm)
        self._head = _Product([model.get_output_embeddings()], self._spoken, ours)
        self.device, self._names = model.device, list(names)
        self.keep(range(len(names)))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        self._names = [self._names[row] for row in rows]
        voices = torch.tensor([self._spoken.index(name) if name in self._spoken else -1 for name in self._names])
        for product in chain(*(layer.products for layer in self._layers), [self._head]):
            product.mix(voices)

    def __call__(self, ids: Tensor, valid: Tensor, states: States, look: Callable[[], None]) -> Tensor:
        """Read on.

        Args:
            ids: the new tokens, shape (rows, new).
            valid: 0 where a row has padding, in what was read before too; shape (rows, before + new).
            states: of what was read before; the new are added.
            look: called before each layer of a prompt and before each later token; may raise.

        Returns:
            Logits of the next token, shape (rows, vocabulary), float32.
        """
        new, places = ids.shape[1], (valid.cumsum(-1) - 1).clamp(min=0)
        hidden = self._decoder.embed_tokens(ids)
        turn = _turn(*self._decoder.rotary_emb(hidden, places[:, -new:]))
        masks = {window: _mask(valid, places, new, window) for window in {layer.window for layer in self._layers}}
        for at, layer in enumerate(self._layers):
            if at == 0 or new > 1:
                look()
            project, join, widen, narrow = layer.products
            queries, keys, values = layer.heads(project(layer.before(hidden)), turn)
            hidden = hidden + join(_attend(queries, *states.add(at, keys, values), masks[layer.window], layer.scale))
            gate, up = widen(layer.between(hidden)).chunk(2, -1)
            hidden = hidden + narrow(layer.activate(gate) * up)
        states.length += new
        return self._head(self._norm(hidden[:, -1:].contiguous()))[:, -1].float()


class _Layer:
    """A decoder layer taken apart: looking things up in modules for every token takes as long as computing."""

    def __init__(self, layer: Any, spoken: Sequence[str], ours: bool) -> None:
        attention = layer.self_attn
        self.products = [_Product([layer.get_submodule(path) for path in paths], spoken, ours) for paths in PRODUCTS]
        self.before, self.between = _direct(layer.input_layernorm), _direct(layer.post_attention_layernorm)
        self.activate, self.scale = layer.mlp.act_fn, attention.scaling
        self.window: int | None = getattr(attention, "sliding_window", None)
        self._width, self._sharing = attention.head_dim, attention.num_key_value_groups
        self._norms = (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else None

    def heads(self, projected: Tensor, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (rows, heads, new, width), the first two turned to their places."""
        everything = projected.unflatten(-1, (-1, self._width))
        shared = everything.shape[2] // (self._sharing + 2)
        turned, values = everything[:, :, :-shared], everything[:, :, -shared:]
        if self._norms:
            of_queries, of_keys = self._norms
            turned = torch.cat((of_queries(turned[:, :, :-shared]), of_keys(turned[:, :, -shared:])), 2)
        cos, sin = turn
        turned = torch.addcmul(turned * cos, turned.roll(self._width // 2, -1), sin).to(values.dtype).transpose(1, 2)
        return turned[:, :-shared], turned[:, -shared:], values.transpose(1, 2)


def _direct(norm: Any) -> Callable[[Tensor], Tensor]:
    found: Callable[[Tensor], Tensor] = norm.function() if isinstance(norm, Norm) else norm
    return found


class _Product:
    """Matrices that multiply the same input, each with its adapters; the outputs stand side by side."""

    def __init__(self, parts: list[Any], spoken: Sequence[str], ours: bool) -> None:
        # Otherwise PEFT adds what there is to add: the adapter in training, or one that only it can compute.
        bare = [getattr(part, "base_layer", part) for part in parts] if ours else parts
        self._matrices = [bare[0].whole.product()] if all(type(one) is Part for one in bare) else bare
        adapted = any(name in getattr(part, "lora_A", ()) for part in parts for name in spoken)
        self._thin = _Thin(parts, spoken) if adapted else None

    def mix(self, voices: Tensor) -> None:
        """Which adapter each row has, by its place among the spoken ones; -1 for none."""
        if self._thin:
            self._thin.mix(voices)

    def __call__(self, x: Tensor) -> Tensor:
        if len(self._matrices) == 1:
            whole: Tensor = self._matrices[0](x)
        else:
            whole = torch.cat([matrix(x) for matrix in self._matrices], -1)
        return self._thin(x, whole) if self._thin else whole


class _Thin:
    """LoRA of all adapters in two thin products; each row keeps what its own adapter says.

    In float32 for few tokens on a processor, whose bfloat16 products take several times as long there.
    """

    def __init__(self, parts: Sequence[Any], spoken: Sequence[str]) -> None:
        down, up, owners = list[Tensor](), list[Tensor](), list[int]()
        width, start = sum(part.out_features for part in parts), 0
        for part in parts:
            for voice, name in enumerate(spoken):
                if name in getattr(part, "lora_A", ()):
                    narrow, wide = part.lora_A[name].weight, part.lora_B[name].weight
                    kind = torch.float32 if narrow.device.type == "cpu" else narrow.dtype
                    down.append(narrow.to(kind))
                    up.append(wide.new_zeros(width, wide.shape[1], dtype=kind))
                    up[-1][start : start + part.out_features] = wide.to(kind) * part.scaling[name]
                    owners += [voice] * wide.shape[1]
            start += part.out_features
        self._down, self._up = torch.cat(down), torch.cat(up, 1)
        self._owners = torch.tensor(owners)
        self._rows = slice(None)
        self._own: Tensor | None = None

    def mix(self, voices: Tensor) -> None:
        """Which adapter each row has, by its place among the spoken ones; -1 for none."""
        speaking = voices.ge(0).nonzero().flatten().tolist() or [0, -1]
        self._rows = slice(speaking[0], speaking[-1] + 1)  # those before and after need no product
        own = voices[self._rows, None, None] == self._owners
        self._own = None if own.all() else own.to(self._down)

    def __call__(self, x: Tensor, said: Tensor) -> Tensor:
        """Add to what the base said."""
        if not self._rows.stop:
            return said
        x = x[self._rows]
        kind = self._down.dtype if x.shape[0] * x.shape[1] <= FEW else x.dtype
        small = functional.linear(x.to(kind), self._down.to(kind))
        if self._own is not None:
            small = small * self._own
        said[self._rows] += functional.linear(small.to(kind), self._up.to(kind))
        return said


def _turn(cos: Tensor, sin: Tensor) -> Turn:
    """Rotary positions for `x * cos + rolled x * sin`, each of shape (rows, new, 1, width)."""
    first, second = sin.chunk(2, -1)
    return cos[:, :, None], torch.cat((-first, second), -1)[:, :, None]


def _mask(valid: Tensor, places: Tensor, new: int, window: int | None) -> Tensor | None:
    """Where a new token may look, shape (rows, 1, new, all); None where all that came before may be seen.

    Padding sees itself: what sees nothing is no number, and would not stay alone.
    """
    total = valid.shape[1]
    reach = window or total
    if reach >= total and bool(valid.all()) and new in (1, total):
        return None
    at = torch.arange(total, device=valid.device)
    own = at == at[-new:, None]
    seen = (at <= at[-new:, None]) & (valid[:, None].bool() | own)
    if reach < total:
        seen = seen & (places[:, -new:, None] - places[:, None] < reach)
    return seen[:, None]


def _attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Attention, shape (rows, new, all heads' width)."""
    rows, heads, new, width = queries.shape
    shared = heads // keys.shape[1]
    if new == 1:  # heads that share keys take the place of tokens, so that no keys are copied
        stacked = queries.reshape(rows, -1, shared, width)
        heard = functional.scaled_dot_product_attention(stacked, keys, values, mask, scale=scale)
        return heard.reshape(rows, 1, heads * width)
    keys, values = keys.repeat_interleave(shared, 1), values.repeat_interleave(shared, 1)
    heard = functional.scaled_dot_product_attention(queries, keys, values, mask, is_causal=mask is None, scale=scale)
    return heard.transpose(1, 2).reshape(rows, new, heads * width)
