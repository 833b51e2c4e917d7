"""The formulas behind a paired comparison: exact tests and a seeded bootstrap, without scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
POWER = 0.8
_Z_ALPHA = NormalDist().inv_cdf(1 - ALPHA / 2)
_Z_POWER = NormalDist().inv_cdf(POWER)
_HAIR = 1e-9
EXACT, MANY, MOST_STEPS = 1_000, 5_000, 400_000_000
"""Pairs counted in whole numbers, groups resampled, and steps of a convolution: beyond, a large suite would take
minutes for the same figures."""

FEWEST = 6
"""Groups with a difference below which nothing can be told: even six out of six is p = 0.03, five is 0.06."""


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided p of the exact McNemar test: the discordant pairs against a fair coin (McNemar 1947)."""
    n = fixed + broken
    if n == 0:
        return 1.0
    most = min(fixed, broken)
    if n <= EXACT:
        return min(1.0, 2 * sum(math.comb(n, k) for k in range(most + 1)) / 2**n)
    return min(1.0, 2 * math.fsum(math.exp(log_choose(n, k) - n * math.log(2)) for k in range(most + 1)))


def log_choose(n: int, k: int) -> float:
    """The natural logarithm of n over k."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def sign_flip(differences: Sequence[int]) -> float:
    """Two-sided p that the sum of `differences` is chance, each one's sign being a coin toss.

    One integer per group of cases (fixed minus broken). With single cases as groups this is exactly `mcnemar`;
    with larger groups it does not take cases of one template for independent ones. Computed exactly, by
    convolution of the distribution over all sign patterns (Fisher's randomization test); where that would take long,
    by its normal limit.
    """
    sizes = [abs(value) for value in differences if value]
    if all(size == 1 for size in sizes):
        return mcnemar(sum(value > 0 for value in differences), sum(value < 0 for value in differences))
    import numpy as np

    total = sum(sizes)
    if total * len(sizes) > MOST_STEPS:
        return math.erfc(abs(sum(differences)) / math.sqrt(2 * sum(size * size for size in sizes)))
    chance = np.eye(1, 2 * total + 1, total)[0]  # certain to be at 0, the middle
    for size in sizes:
        chance[:] = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))
    reached = abs(sum(differences))
    distance = np.abs(np.arange(-total, total + 1))
    return min(1.0, float(chance[distance >= reached].sum()))


def bootstrap_mean(groups: Sequence[Sequence[float]], seed: int = 0, resamples: int = 10_000) -> tuple[float, float]:
    """95 % percentile interval of the mean of all values, groups resampled whole (Efron & Tibshirani 1993).

    Of more than MANY groups its normal limit, which is then the same (see `ratio`).

    Args:
        groups: the values of each group; one value each where cases are independent.
    """
    import numpy as np

    sums = np.array([math.fsum(group) for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=float)
    if len(groups) > MANY:
        mean, error = ratio(sums, sizes)
        return mean - _Z_ALPHA * error, mean + _Z_ALPHA * error
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, 2_000_000 // len(groups))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = random.integers(0, len(groups), size=(count, len(groups)))
        means[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def ratio(sums: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Mean of all values and its standard error, from the sums and sizes of groups (Cochran 1977, ratio estimator)."""
    mean = float(sums.sum() / sizes.sum())
    return mean, float(((sums - mean * sizes) ** 2).sum() ** 0.5 / sizes.sum())


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
