"""A rate with its Wilson interval: what a share measured on few cases is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Rate:
    """A share of `n` cases, 0..1, with its 95 % interval."""

    value: float
    n: int
    low: float
    high: float


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval for `successes` of `n` (Wilson 1927, JASA 22:209-212); (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes <= 0 else (centre - half) / scale
    high = 1.0 if successes >= n else (centre + half) / scale
    return low, high


def rate(values: Iterable[float]) -> Rate | None:
    """The mean of values between 0 and 1, one per case; None without cases.

    For values between 0 and 1 (a case's field accuracy) the interval is a cautious one: such values vary at
    most as much as pass and fail with the same mean.
    """
    found = [float(value) for value in values]
    if not found:
        return None
    total = min(math.fsum(found), float(len(found)))
    return Rate(total / len(found), len(found), *wilson(total, len(found)))
