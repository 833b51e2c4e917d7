"""What a model needs in memory to chat, to be trained and to be made small, told from its shape alone.

Training is `estimate`'s figure for one sample of LENGTH tokens at a time. The others were fitted to processes measured
on a CPU in bf16: a chat with a prompt of 270 tokens held 0.42 GB (SmolLM2-135M) and 0.50 GB (Qwen2.5-Coder-0.5B) beside
the weights; GGUF int4, calibrated on training conversations, 0.54 and 0.49 GB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwenlab.training.estimate import USABLE, Machine, Shape, estimate
from qwenlab.training.recipe import Recipe

PROGRAM = 0.55e9
"""Bytes of a process that answers: Python, torch, the libraries, what passes through."""
LENGTH = 512
"""Tokens of the samples and conversations that the figures are for."""
KINDS = ("chat", "lora", "qlora", "quantize")


@dataclass(frozen=True)
class Need:
    """Bytes at the peak, and whether the machine has them."""

    bytes: int
    fits: bool


def needs(config: Mapping[str, Any], machine: Machine) -> dict[str, Need]:
    """What a model needs for each of KINDS; empty where its shape is not known.

    Raises:
        QwenlabError: when config.json lacks a size.
    """
    if not config:
        return {}
    shape = Shape.of(dict(config))
    weights = machine.number_bytes * (shape.in_layers + shape.embeddings)
    remembered = 2 * machine.number_bytes * shape.layers * shape.keys * LENGTH
    found = {"chat": round(PROGRAM + weights + remembered)}
    for method in ("lora", "qlora"):
        recipe = Recipe(method=method, micro_batch=1)
        found[method] = estimate(dict(config), recipe, 0, LENGTH, machine).memory_bytes
    found["quantize"] = round(PROGRAM + weights)
    return {kind: Need(found[kind], found[kind] <= USABLE * machine.memory_bytes) for kind in KINDS}
