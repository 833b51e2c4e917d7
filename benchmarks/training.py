"""Training speed: the original recipe's way and ours, step by step in turn on the same samples."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from qwenlab.conversations.dataset import DataSet
from qwenlab.models import catalogue, loading, precision
from qwenlab.training.batches import collate, plan
from qwenlab.training.encoding import IGNORED, Encoded, encode_all
from qwenlab.workspace import SHIPPED, Workspace

STEPS, BATCH, PADDED = 3, 4, 512


def rows(model_name: str) -> Iterator[tuple[str, str, str]]:
    """Trained samples per second of both, and their ratio."""
    import torch
    from peft import LoraConfig, get_peft_model

    loaded = loading.load(catalogue.locate(Workspace.default(), model_name))
    model = get_peft_model(loaded.model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    samples = [
        sample
        for sample in DataSet.open(SHIPPED / "data" / "after-sales.train.json").samples
        if sample.language in catalogue.languages(model_name)
    ]
    encoded = encode_all(loaded.tokenizer, samples, PADDED).samples
    steps = [[encoded[i] for i in step] for step in plan([len(s.ids) for s in encoded], 1, BATCH, 0, 7)[: STEPS + 1]]
    pad = loaded.tokenizer.pad_token_id
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-4)

    def step(batch: list[Encoded], loss_of: Callable[..., Any], checkpointing: bool) -> float:
        start = time.perf_counter()
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision.dtype() is torch.bfloat16):
            loss = loss_of(model, batch, pad)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if checkpointing:
            model.gradient_checkpointing_disable()
        return time.perf_counter() - start

    model.train()
    step(steps[0], _ours, False)  # warm-up
    spent: dict[str, list[float]] = {"ours": [], "original": []}
    for batch in steps[1:]:  # in turn, so that a noisy machine disturbs both alike
        spent["ours"].append(step(batch, _ours, False))
        spent["original"].append(step(batch, _original, True))
    tokens = statistics.mean(len(sample.ids) for batch in steps[1:] for sample in batch)
    per_second = {name: BATCH / statistics.median(times) for name, times in spent.items()}
    ratio = statistics.median(b / a for a, b in zip(spent["ours"], spent["original"], strict=True))
    how = f"{model_name}, LoRA r 16, batch {BATCH}, {tokens:.0f} tokens a sample"
    yield (
        "training, original recipe (padded to 512, checkpointing, all logits)",
        f"{per_second['original']:.2f} /s",
        how,
    )
    yield "training, ours", f"{per_second['ours']:.2f} samples/s", f"{per_second['ours'] * tokens:.0f} tokens/s; {how}"
    yield "ours : original", f"{ratio:.1f}x", f"median of {STEPS} pairs of steps on the same samples"


def _ours(model: Any, batch: list[Encoded], pad: int) -> Any:
    import torch

    inputs = collate(batch, pad)
    labels = inputs.pop("labels")
    wanted = (labels[:, 1:] != IGNORED).any(dim=0).nonzero().squeeze(-1)
    logits = model(**inputs, logits_to_keep=wanted, use_cache=False).logits
    targets = labels[:, wanted + 1]
    chosen = targets != IGNORED
    return torch.nn.functional.cross_entropy(logits[chosen].float(), targets[chosen])


def _original(model: Any, batch: list[Encoded], pad: int) -> Any:
    import torch

    def filled(values: list[int], with_what: int) -> list[int]:
        return values + [with_what] * (PADDED - len(values))

    ids = torch.tensor([filled(sample.ids, pad) for sample in batch])
    mask = torch.tensor([filled([1] * len(sample.ids), 0) for sample in batch])
    labels = torch.tensor([filled(sample.labels, IGNORED) for sample in batch])
    return model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
