"""`python -m qwenlab.export.prove_merge BASE ADAPTER MERGED`: do both compute the same logits in float32?"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.models import loading
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import prompt_ids

TOLERANCE = 1e-3
"""Largest allowed difference of any logit, in float32."""

PROMPTS = (
    *("Hello, who are you?", "你好，你是谁？", "My parcel 20417733 is late.", "我的订单 20417733 想退货。"),
    *("Reply with JSON only: name Alice, age 30.", "只输出 JSON：小王，30 岁。", "What is 17 + 25?", "北京在哪里？"),
    *("Refund $49.90, please!", "请退款 1,299 元！", "Summarize: the kettle leaks.", "总结：水壶漏水。"),
    *("March 3rd, 2026", "2026年3月3日", "null, true, [1, 2, 3]", '{"a": "😀 é ü"}'),
)


def logits_of(base: Path, adapter: Path | None) -> list[Any]:
    """Last-position logits in float32, one vector of vocabulary size per prompt."""
    import torch

    loaded = loading.load(base, torch.float32)
    if adapter:
        loaded.attach(adapter, shared=False)
    found = []
    with torch.inference_mode():
        for prompt in PROMPTS:
            ids = prompt_ids(loaded.tokenizer, [Message(role="user", content=prompt)])
            inputs = torch.tensor([ids], device=loaded.model.device)
            found.append(loaded.model(input_ids=inputs, logits_to_keep=1).logits[0, -1].cpu())
    del loaded
    gc.collect()  # one model in memory at a time
    return found


def main() -> int:
    """Print the findings as JSON; fail when a float32 merge differs by more than the tolerance."""
    base, adapter, merged = map(Path, sys.argv[1:4])
    try:
        wanted, got = logits_of(base, adapter), logits_of(merged, None)
    except QwenlabError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    difference = max(float((left - right).abs().max()) for left, right in zip(wanted, got, strict=True))
    same = sum(int(left.argmax() == right.argmax()) for left, right in zip(wanted, got, strict=True))
    stored = json.loads((merged / "config.json").read_text(encoding="utf-8")).get("dtype")
    if stored == "float32" and not difference <= TOLERANCE:
        sys.stderr.write(f"merged and adapter differ by {difference:.2g} in a logit (allowed: {TOLERANCE})\n")
        return 1
    sys.stdout.write(
        json.dumps({"max_logit_difference": difference, "prompts": len(wanted), "same_next_token": same}) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
