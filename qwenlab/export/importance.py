"""Which inputs of each layer matter: measured on training conversations, so that rounding spares those.

llama.cpp calls this an importance matrix (imatrix): for each column of a weight the mean square of what it is
multiplied with. Rounding to 4 bits then keeps the columns that carry the most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab.export.calibration import DEFAULT


def measure(source: Path, texts: Sequence[str], length: int = DEFAULT.length) -> Mapping[str, np.ndarray]:
    """Mean square of each input channel of every linear layer.

    Args:
        source: a Hugging Face folder.
        texts: conversations rendered with the model's own template, like those it will answer.
        length: tokens of one text that count.

    Returns:
        By weight name, such as "model.layers.0.mlp.down_proj.weight": float32, shape (columns,).
    """
    import torch
    import transformers

    from qwenlab.models import loading

    loaded = loading.load(source)
    rows = [
        loaded.tokenizer(t, add_special_tokens=False, truncation=True, max_length=length)["input_ids"] for t in texts
    ]
    sums: dict[str, Any] = {}
    weights: Any = None

    def note(name: str, inputs: Any) -> None:
        seen = weights @ inputs.detach()[0].float().square()
        sums[name] = sums[name] + seen if name in sums else seen

    decoder = loaded.model.model  # without the output matrix, which gets more bits anyway
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=f"model.{name}.weight": note(name, given[0]))
        for name, module in decoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    cache = transformers.DynamicCache(config=loaded.model.config)
    with torch.inference_mode():
        for ids, known, times in shared_openings(rows):
            cache.crop(known - cache.get_seq_length())  # transformers counts what to take away
            weights = torch.tensor(times, dtype=torch.float32, device=loaded.model.device)
            decoder(input_ids=torch.tensor([ids[known:]], device=loaded.model.device), past_key_values=cache)
    for hook in hooks:
        hook.remove()
    positions = sum(map(len, rows))
    return {name: (total / max(1, positions)).cpu().numpy() for name, total in sums.items()}


def shared_openings(rows: Iterable[list[int]]) -> Iterator[tuple[list[int], int, list[int]]]:
    """Rows in an order in which each begins as the one before did, as far as possible: that is computed once.

    Yields:
        The token ids of a row, how many of them the row before had as well, and for each of the others in how many
        rows it stands at this place after the same beginning.
    """
    ordered = sorted(row for row in rows if row)
    # A row that says nothing new still reads its last token.
    shared = [min(_alike(left, right), len(right) - 1) for left, right in zip([[], *ordered], ordered, strict=False)]
    for number, (ids, known) in enumerate(zip(ordered, shared, strict=True)):
        times = [1] * len(ids)
        common = len(ids)
        for later in shared[number + 1 :]:
            common = min(common, later)
            if common <= known:
                break
            for at in range(known, common):
                times[at] += 1
        yield ids, known, times[known:]


def _alike(left: list[int], right: list[int]) -> int:
    return next(
        (at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other),
        min(len(left), len(right)),
    )
