"""How much of a computation is matrix products, and how fast this processor can do those alone."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

TRIALS = 5


def share_of_peak(work: Callable[[], None], times: int) -> tuple[float, float]:
    """How near a computation comes to the processor's peak.

    Returns:
        The time that its matrix products take alone, each at its best in this shape, by the time of the whole; and the
        operations a second that the whole reaches, in GFLOP/s.
    """
    import torch

    products = _products(work)
    alone = sum(count * _best(torch, shapes, dtype) for (_, shapes, dtype), count in products.items())
    work()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    seconds = statistics.median(spent)
    operations = sum(count * _operations(*shapes) for (_, shapes, _), count in products.items())
    return alone / seconds, operations / seconds / 1e9


def _products(work: Callable[[], None]) -> Counter[tuple[str, Any, Any]]:
    """(operation, shapes of both factors, number format) of every matrix product, and how often."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    aten, found = torch.ops.aten, Counter[tuple[str, Any, Any]]()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (aten.mm.default, aten.bmm.default, aten.addmm.default):
                left, right = args[-2:]
                found[str(func), (tuple(left.shape), tuple(right.shape)), left.dtype] += 1
            return func(*args, **(kwargs or {}))

    with Watch():
        work()
    return found


def _operations(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    return 2 * math.prod(left) * right[-1]


def _best(torch: Any, shapes: tuple[tuple[int, ...], tuple[int, ...]], dtype: Any) -> float:
    """Seconds of the fastest of several products of random numbers of these shapes."""
    left, right = (torch.randn(shape).to(dtype) for shape in shapes)
    # A weight is stored transposed to how it is multiplied; the order in memory hardly changes the speed.
    best = math.inf
    for _ in range(TRIALS):
        start = time.perf_counter()
        torch.matmul(left, right)
        best = min(best, time.perf_counter() - start)
    return best
