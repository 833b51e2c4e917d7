"""Samples packed into one row: no padding, and what several of them begin with is computed once.

Business conversations mostly share a long beginning, their instructions. In a decoder the states of a beginning do not
depend on what follows, so one copy of it serves all samples of a micro-batch; its gradient is the sum over them. The
losses are those of samples computed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, takewhile
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.training.encoding import IGNORED, Encoded

ATTENTION = "packed"
"""The name under which transformers' models find `attend`."""
BLOCK = 256
"""Queries of a sample that attend at once on a CPU; a longer sample computes each block again on the way back, so that
its memory grows with its length and not with the square of it."""


@dataclass(frozen=True)
class Segment:
    """A stretch of the packed row: the shared beginning of some samples, or the rest of one.

    Attributes:
        tokens: how many.
        before: number of the segment that stands in front of it in its sample; None where it begins one.
    """

    tokens: int
    before: int | None = None


@dataclass(frozen=True)
class Layout:
    """Which stretches a packed row is made of, in order."""

    segments: tuple[Segment, ...]

    @property
    def sizes(self) -> list[int]:
        """Tokens of each segment."""
        return [segment.tokens for segment in self.segments]

    @property
    def longest(self) -> int:
        """Tokens of the longest sample."""
        return max(
            size + (self.sizes[one.before] if one.before is not None else 0)
            for size, one in zip(self.sizes, self.segments, strict=True)
        )


def pack(samples: Sequence[Encoded]) -> dict[str, Any]:
    """One row of all samples.

    Returns:
        input_ids and position_ids, tensors of shape (1, tokens); `layout`; `wanted`, the positions whose logits
        foretell a label, in the order of `shift_labels` (n); a shared position stands there once for each sample. A
        sample's first token is never trained: nothing foretells it. `labels` is there for transformers to count.
    """
    import torch

    ids: list[int] = []
    positions: list[int] = []
    wanted: list[int] = []
    targets: list[int] = []
    segments: list[Segment] = []
    for family in _families(samples):
        shared = _alike(family[0].ids, family[-1].ids) if len(family) > 1 else 0
        begins = len(ids)  # of the shared beginning
        before = len(segments) if shared else None
        if shared:
            segments.append(Segment(shared))
            ids += family[0].ids[:shared]
            positions += range(shared)
        for sample in family:
            own = len(ids) - shared  # where the sample would begin if all of it stood here
            for at, label in enumerate(sample.labels[1:]):
                if label != IGNORED:
                    wanted.append((begins if at < shared else own) + at)
                    targets.append(label)
            segments.append(Segment(len(sample.ids) - shared, before))
            ids += sample.ids[shared:]
            positions += range(shared, len(sample.ids))
    labels = torch.tensor(targets, dtype=torch.long)
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "layout": Layout(tuple(segments)),
        "wanted": torch.tensor(wanted, dtype=torch.long),
        "labels": labels,
        "shift_labels": labels,
    }


def _families(samples: Sequence[Encoded]) -> list[list[Encoded]]:
    """Samples that begin alike, in alphabetical order of their tokens, so that first and last of a family differ most.

    A sample joins the family before it when that saves at least as many tokens as the family saves without it.
    """
    families: list[list[Encoded]] = []
    saved = 0
    for sample in sorted(samples, key=lambda one: one.ids):
        together = _alike(families[-1][0].ids, sample.ids) * len(families[-1]) if families else 0
        if families and together >= max(saved, 1):
            families[-1].append(sample)
            saved = together
        else:
            families.append([sample])
            saved = 0
    return families


def _alike(first: Sequence[int], second: Sequence[int]) -> int:
    """Tokens that both begin with, at least one of each left over."""
    pairs = zip(first[:-1], second[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


# --- the model's side ------------------------------------------------------------------------------------


def prepare(model: Any, flash_attn: bool = False) -> None:
    """Let a transformers model attend within packed rows; whatever else it is given, it attends as before.

    Args:
        flash_attn: use that package, which must be installed.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    def mask(**known: Any) -> Any:
        return None if known.get("attention_mask") is None else sdpa_mask(**known)

    kernel = with_flash_attn if flash_attn else in_products if model.device.type == "cpu" else under_a_mask
    AttentionInterface.register(ATTENTION, partial(attend, kernel))
    AttentionMaskInterface.register(ATTENTION, mask)
    model.set_attn_implementation(ATTENTION)


def attend(
    kernel: Kernel,
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: Layout | None = None,
    **known: Any,
) -> tuple[Any, None]:
    """Causal attention in which each segment sees itself and what stands before it, in transformers' interface.

    Args:
        query: (1, heads, tokens, width); key and value: (1, fewer heads, tokens, width).
        layout: of the packed row; without it this is transformers' own attention.

    Returns:
        (1, tokens, heads, width), and no weights.

    Raises:
        QwenlabError: when a sample is longer than the model's attention window.
    """
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            *(module, query, key, value, attention_mask), dropout=dropout, scaling=scaling, **known
        )
    window = known.get("sliding_window")
    if window and layout.longest > window:
        raise QwenlabError(
            f"This model attends to {window} tokens at most, and a sample has {layout.longest}.",
            f"Set max_length to {window}.",
            zh=(
                f"该模型最多关注 {window} 个 token，而有样本长达 {layout.longest} 个。",
                f"请把“最长样本”设为 {window}。",
            ),
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return kernel(query, key, value, layout, scale, dropout).transpose(1, 2), None


Kernel = Callable[[Any, Any, Any, Layout, float, float], Any]
"""(query, key, value, layout, scale, dropout) to the answer, which has the query's shape."""


def in_products(query: Any, key: Any, value: Any, layout: Layout, scale: float, dropout: float) -> Any:
    """Segment after segment as plain matrix products.

    On a CPU these are about five times as fast, forward and backward, as torch's scaled_dot_product_attention, whose
    backward makes little use of the processor's bfloat16 instructions.
    """
    import torch

    sharing = key.shape[1]  # heads that share keys are stacked: one larger product instead of copied keys
    queries = (query[0] * scale).unflatten(0, (sharing, -1)).split(layout.sizes, dim=2)
    keys, values = key[0].split(layout.sizes, dim=1), value[0].split(layout.sizes, dim=1)
    found = []
    for number, segment in enumerate(layout.segments):
        seen = [number] if segment.before is None else [segment.before, number]
        k, v = (torch.cat([part[one] for one in seen], dim=1) for part in (keys, values))
        found += _in_blocks(queries[number], k, v, dropout)
    return torch.cat(found, dim=2).flatten(0, 1)[None]


def _in_blocks(query: Any, key: Any, value: Any, dropout: float) -> list[Any]:
    from torch.utils.checkpoint import checkpoint

    tokens = query.shape[2]
    if tokens <= BLOCK:
        return [_block(query, key, value, dropout)]
    past = key.shape[1] - tokens
    ends = [*range(BLOCK, tokens, BLOCK), tokens]
    return [
        checkpoint(
            *(_block, query[:, :, at:end], key[:, : past + end], value[:, : past + end], dropout), use_reentrant=False
        )
        for at, end in zip([0, *ends], ends, strict=False)
    ]


def _block(query: Any, key: Any, value: Any, dropout: float) -> Any:
    """Attention of the last `tokens` positions that `key` covers.

    Args:
        query: (key heads, heads that share, tokens, width), scaled. key, value: (key heads, all tokens, width).
    """
    import torch

    heads, sharing, tokens, width = query.shape
    scores = query.reshape(heads, sharing * tokens, width) @ key.transpose(1, 2)
    scores = scores.view(heads, sharing, tokens, -1)
    future = torch.full(scores.shape[-2:], float("-inf"), dtype=scores.dtype)
    weights = torch.softmax(scores.add_(future.triu_(scores.shape[-1] - tokens + 1)), -1)
    if dropout:
        weights = torch.dropout(weights, dropout, True)
    return (weights.view(heads, sharing * tokens, -1) @ value).view(heads, sharing, tokens, width)


def under_a_mask(query: Any, key: Any, value: Any, layout: Layout, scale: float, dropout: float) -> Any:
    """All segments at once, which is what a GPU is good at."""
    import torch

    sees = _sees(layout, query.device)
    return torch.nn.functional.scaled_dot_product_attention(
        *(query, key, value, sees), dropout_p=dropout, scale=scale, enable_gqa=True
    )


@lru_cache(maxsize=2)
def _sees(layout: Layout, device: Any) -> Any:
    """Which position sees which, a bool tensor (tokens, tokens); the same for all layers."""
    import torch

    of = torch.arange(len(layout.segments)).repeat_interleave(torch.tensor(layout.sizes))
    before = torch.tensor([-1 if one.before is None else one.before for one in layout.segments])[of]
    return ((of[:, None] == of) | (before[:, None] == of)).tril_().to(device)


def with_flash_attn(query: Any, key: Any, value: Any, layout: Layout, scale: float, dropout: float) -> Any:
    """Segments as sequences of different lengths; causal there means that the ends of queries and keys line up."""
    import torch
    from flash_attn import flash_attn_varlen_func

    ends = list(accumulate(layout.sizes))
    places = [range(end - size, end) for end, size in zip(ends, layout.sizes, strict=True)]
    seen = [
        [*(places[one.before] if one.before is not None else ()), *place]
        for one, place in zip(layout.segments, places, strict=True)
    ]
    which = torch.tensor([position for part in seen for position in part], device=query.device)
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))  # (tokens, heads, width)
    lengths = [layout.sizes, [len(part) for part in seen]]
    starts = [torch.tensor([0, *accumulate(one)], dtype=torch.int32, device=query.device) for one in lengths]
    found = flash_attn_varlen_func(
        *(q, k[which], v[which], *starts, *map(max, lengths)), dropout_p=dropout, softmax_scale=scale, causal=True
    )
    return found.transpose(0, 1)[None]
