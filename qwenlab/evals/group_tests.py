"""The formulas behind a claim about a part of the cases: is it worse than the rest? Without scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qwenlab.evals.paired_tests import MANY, log_choose, ratio

SHUFFLES = 9_999


def fisher_less(passed: int, n: int, rest_passed: int, rest_n: int) -> float:
    """One-sided p of Fisher's exact test that `passed` of `n` is no lower than chance would give, the margins fixed."""
    right = passed + rest_passed
    ways = log_choose(n + rest_n, right)
    fewest = max(0, right - rest_n)
    return min(
        1.0,
        math.fsum(math.exp(log_choose(n, k) + log_choose(rest_n, right - k) - ways) for k in range(fewest, passed + 1)),
    )


def shuffled_less(inside: Sequence[Sequence[float]], outside: Sequence[Sequence[float]], seed: int = 0) -> float:
    """One-sided p that the mean inside is no lower than outside, whole groups of cases changing sides at random.

    A seeded permutation test (Phipson & Smyth 2010: the seen order counts as one of them, so p is never 0). With groups
    as units, cases of one template are not taken for independent ones. Of more than MANY groups its normal limit.

    Args:
        inside, outside: the values of each group.
    """
    import numpy as np

    units, count = [*inside, *outside], len(inside)
    sums = np.array([math.fsum(unit) for unit in units])
    sizes = np.array([len(unit) for unit in units], dtype=float)
    if len(units) > MANY:
        (here, error), (there, other) = ratio(sums[:count], sizes[:count]), ratio(sums[count:], sizes[count:])
        spread = math.hypot(error, other)
        return 0.5 * math.erfc((there - here) / (math.sqrt(2) * spread)) if spread else 0.5
    total, everyone = sums.sum(), sizes.sum()

    def gap(chosen_sum: np.ndarray, chosen_size: np.ndarray) -> np.ndarray:
        return np.asarray(chosen_sum / chosen_size - (total - chosen_sum) / (everyone - chosen_size))

    seen = gap(sums[:count].sum(), sizes[:count].sum())
    random = np.random.default_rng(seed)
    reached, step = 1, max(1, 2_000_000 // len(units))
    for start in range(0, SHUFFLES, step):
        rows = min(step, SHUFFLES - start)
        order = random.random((rows, len(units))).argpartition(count - 1, axis=1)[:, :count]
        reached += int((gap(sums[order].sum(axis=1), sizes[order].sum(axis=1)) <= seen + 1e-12).sum())
    return reached / (SHUFFLES + 1)


def holm(chances: Sequence[float]) -> list[float]:
    """p values corrected for being many (Holm 1979, Scandinavian Journal of Statistics 6:65-70), in their order."""
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    corrected = [0.0] * len(chances)
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[at]))
        corrected[at] = highest
    return corrected
