"""Which inputs of each layer matter: measured on training conversations, so that rounding spares those.

llama.cpp calls this an importance matrix (imatrix): for each column of a weight the mean square of what it is
multiplied with. Rounding to 4 bits then keeps the columns that carry the most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    from qwenlab.models import loading

    loaded = loading.load(source)
    sums: dict[str, Any] = {}
    positions = 0

    def note(name: str, inputs: Any) -> None:
        seen = inputs.detach().float().square().sum(dim=(0, 1))
        sums[name] = sums[name] + seen if name in sums else seen

    decoder = loaded.model.model  # without the output matrix, which gets more bits anyway
    hooks = [
        module.register_forward_pre_hook(lambda _, given, name=f"model.{name}.weight": note(name, given[0]))
        for name, module in decoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    with torch.inference_mode():
        for text in texts:
            ids = loaded.tokenizer(text, add_special_tokens=False, truncation=True, max_length=length)["input_ids"]
            if ids:
                decoder(input_ids=torch.tensor([ids], device=loaded.model.device), use_cache=False)
                positions += len(ids)
    for hook in hooks:
        hook.remove()
    return {name: (total / max(1, positions)).cpu().numpy() for name, total in sums.items()}
