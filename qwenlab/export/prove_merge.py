"""`python -m qwenlab.export.prove_merge BASE ADAPTER MERGED`: do both compute the same logits in float32?

A model too large for that here is compared in bfloat16, where both round differently: then by what they say next.
"""

from __future__ import annotations

import gc
import json
import math
import sys
from pathlib import Path
from typing import Any

import psutil

from qwenlab.errors import QwenlabError
from qwenlab.export.safetensors_folder import Weights
from qwenlab.models import loading
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import prompt_ids

TOLERANCE = 1e-3
"""Largest allowed difference of any logit, in float32."""
ALIKE = 12
"""Prompts that must go on alike where only bfloat16 fits into memory."""
ROOM = 1.3
"""Memory of a loaded model by the size of its weights."""

PROMPTS = (
    *("Hello, who are you?", "你好，你是谁？", "My parcel 20417733 is late.", "我的订单 20417733 想退货。"),
    *("Reply with JSON only: name Alice, age 30.", "只输出 JSON：小王，30 岁。", "What is 17 + 25?", "北京在哪里？"),
    *("Refund $49.90, please!", "请退款 1,299 元！", "Summarize: the kettle leaks.", "总结：水壶漏水。"),
    *("March 3rd, 2026", "2026年3月3日", "null, true, [1, 2, 3]", '{"a": "😀 é ü"}'),
)


def precise(folder: Path, available: int) -> bool:
    """Whether the model fits into so many bytes of memory in float32."""
    weights = Weights(folder)
    return ROOM * 4 * sum(math.prod(weights.shape(name)) for name in weights) < available


def logits_of(base: Path, adapter: Path | None, exact: bool = True) -> list[Any]:
    """Last-position logits, one vector of vocabulary size per prompt; computed in float32 or else bfloat16."""
    import torch

    loaded = loading.load(base, torch.float32 if exact else torch.bfloat16)
    if adapter:
        loaded.attach(adapter, shared=False)
    found = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = prompt_ids(loaded.tokenizer, [Message(role="user", content=prompt)])
            inputs = torch.tensor([ids], device=loaded.model.device)
            found.append(loaded.model(input_ids=inputs, logits_to_keep=1).logits[0, -1].float().cpu())
    del loaded
    gc.collect()  # one model in memory at a time
    return found


def main() -> int:
    """Print the findings as JSON; fail when a float32 merge differs by more than the tolerance."""
    base, adapter, merged = map(Path, sys.argv[1:4])
    try:
        exact = precise(merged, psutil.virtual_memory().available)
        wanted, got = logits_of(base, adapter, exact), logits_of(merged, None, exact)
    except QwenlabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    difference = max(float((left - right).abs().max()) for left, right in zip(wanted, got, strict=True))
    same = sum(int(left.argmax() == right.argmax()) for left, right in zip(wanted, got, strict=True))
    stored = json.loads((merged / "config.json").read_text(encoding="utf-8")).get("dtype")
    if exact and stored == "float32" and not difference <= TOLERANCE:
        sys.stderr.write(f"merged and adapter differ by {difference:.2g} in a logit (allowed: {TOLERANCE})\n")
        return 1
    if not exact and same < ALIKE:
        sys.stderr.write(f"merged and adapter go on alike after only {same} of {len(wanted)} prompts\n")
        return 1
    found = {"max_logit_difference": difference, "prompts": len(wanted), "same_next_token": same}
    sys.stdout.write(json.dumps(found if exact else {**found, "computed_in": "bfloat16"}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
