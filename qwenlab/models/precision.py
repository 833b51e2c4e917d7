"""Which number format this machine computes fastest in: measured, not assumed."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

MATMUL = (512, 1024, 1024)
"""Rows, inner and outer width of the trial product: a small batch through one layer of a small model."""


@lru_cache(maxsize=1)
def device() -> str:
    """ "cuda" when a GPU is there, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=1)
def dtype() -> Any:
    """The torch dtype to load and train in.

    bfloat16 is twice as fast as float32 on CPUs with its instructions and slower on others, so the two
    are timed once, for a fraction of a second.
    """
    import torch

    if device() == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if _seconds(torch.bfloat16) < _seconds(torch.float32) else torch.float32


def packs(kind: Any) -> bool:
    """Whether weights of that dtype are multiplied faster when packed: bfloat16 with its instructions."""
    import torch

    return bool(
        device() == "cpu"
        and kind == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _seconds(kind: Any) -> float:
    """Best of several products in that format: the least disturbed one."""
    import torch

    rows, inner, outer = MATMUL
    left, right = torch.ones(rows, inner, dtype=kind), torch.ones(outer, inner, dtype=kind)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        torch.nn.functional.linear(left, right)
        best = min(best, time.perf_counter() - start)
    return best


def set_threads() -> None:
    """Use the cores that exist, once each: hyper-threads only get in each other's way in matrix products."""
    import psutil
    import torch

    torch.set_num_threads(psutil.cpu_count(logical=False) or psutil.cpu_count() or 1)
