"""The formulas behind a paired comparison: exact tests and a seeded bootstrap, without scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

ALPHA = 0.05
POWER = 0.8
_Z_ALPHA = NormalDist().inv_cdf(1 - ALPHA / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)
_HAIR = 1e-9

FEWEST = 6
"""Groups with a difference below which nothing can be told: even six out of six is p = 0.03, five is 0.06."""


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided p of the exact McNemar test: the discordant pairs against a fair coin (McNemar 1947)."""
    n = fixed + broken
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(fixed, broken) + 1))
    return min(1.0, 2 * tail / 2**n)


def sign_flip(differences: Sequence[int]) -> float:
    """Two-sided p that the sum of `differences` is chance, each one's sign being a coin toss.

    One integer per group of cases (fixed minus broken). With single cases as groups this is exactly `mcnemar`;
    with larger groups it does not take cases of one template for independent ones. Computed exactly, by
    convolution of the distribution over all sign patterns (Fisher's randomization test).
    """
    sizes = [abs(value) for value in differences if value]
    if all(size == 1 for size in sizes):
        return mcnemar(sum(value > 0 for value in differences), sum(value < 0 for value in differences))
    import numpy as np

    total = sum(sizes)
    chance = np.eye(1, 2 * total + 1, total)[0]  # certain to be at 0, the middle
    for size in sizes:
        chance[:] = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))
    reached = abs(sum(differences))
    distance = np.abs(np.arange(-total, total + 1))
    return min(1.0, float(chance[distance >= reached].sum()))


def bootstrap_mean(groups: Sequence[Sequence[float]], seed: int = 0, resamples: int = 10_000) -> tuple[float, float]:
    """95 % percentile interval of the mean of all values, groups resampled whole (Efron & Tibshirani 1993).

    Args:
        groups: the values of each group; one value each where cases are independent.
    """
    import numpy as np

    sums = np.array([math.fsum(group) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=float)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, 2_000_000 // len(groups))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = random.integers(0, len(groups), size=(count, len(groups)))
        means[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def pairs_needed(groups: Sequence[Sequence[float]]) -> int | None:
    """Cases that `sign_flip` needs to find, with 80 % power at 5 %, a difference like the one seen.

    Connor 1987, Biometrics 43:207-211, as in Fleiss, Levin & Paik 2003, with groups in the place of pairs: in groups,
    n = ((z_alpha * sqrt(mean of s^2) + z_power * sqrt(variance of s)) / mean of s)^2 for their sums s, and at least so
    many that FEWEST of them differ; then times the cases of a group. None when no difference was seen.

    Args:
        groups: fixed (1), broken (-1) or the same (0) for each case of a group.
    """
    sums = [math.fsum(group) for group in groups]
    n = len(sums)
    mean = math.fsum(sums) / n if n else 0.0
    if mean == 0:
        return None
    square = math.fsum(value * value for value in sums) / n
    spread = _Z_ALPHA * math.sqrt(square) + _Z_POWER * math.sqrt(max(0.0, square - mean**2))
    needed = max((spread / mean) ** 2, FEWEST * n / sum(value != 0 for value in sums))
    return math.ceil(needed * sum(map(len, groups)) / n - _HAIR)


def means_needed(groups: Sequence[Sequence[float]]) -> int | None:
    """Cases needed to tell a mean difference as large as the one seen from 0, with 80 % power at 5 %.

    The paired z test, in groups: n = ((z_alpha + z_power) * sd / mean)^2, where sd is that of the groups' sums around
    what the mean lets expect of so many cases (the ratio estimator, Cochran 1977). None when no difference was seen.

    Args:
        groups: the differences of each group.
    """
    n, cases = len(groups), sum(map(len, groups))
    total = math.fsum(math.fsum(group) for group in groups)
    if n < 2 or total == 0:
        return None
    mean = total / cases
    variance = math.fsum((math.fsum(group) - mean * len(group)) ** 2 for group in groups) / (n - 1)
    needed = (_Z_ALPHA + _Z_POWER) ** 2 * variance / (total / n) ** 2
    needed = max(needed, FEWEST * n / sum(any(group) for group in groups))
    return math.ceil(needed * cases / n - _HAIR)
