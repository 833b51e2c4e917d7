"""The formulas against other implementations and against chance: what they promise must come true in simulation."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.evals.group_tests import SHUFFLES, fisher_less, holm, shuffled_less
from qwenlab.evals.paired_tests import MANY, bootstrap_mean, mcnemar, means_needed, pairs_needed, sign_flip
from qwenlab.evals.rates import rate, wilson

# scipy and statsmodels are no requirement of this project: their values were computed once, with the calls named.

# statsmodels 0.15.0, proportion_confint(k, n, alpha=0.05, method="wilson")
WILSON = [
    (0, 1, 0.0, 0.7934506856227627),
    (1, 1, 0.2065493143772374, 1.0),
    (117, 120, 0.9290699666721339, 0.9914618252300978),
    (3, 1000, 0.0010207838811386195, 0.008783014053503176),
    (119.5, 120, 0.9613411480739879, 0.9995648452274647),
]


@pytest.mark.parametrize(("k", "n", "low", "high"), WILSON)
def test_wilson_agrees_with_statsmodels_at_the_edges_and_for_means(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-12)


# scipy 1.17.1, fisher_exact([[passed, n - passed], [rest, rest_n - rest]], alternative="less").pvalue
FISHER = [
    (5, 20, 60, 60, 2.3363930318354757e-12), (2, 8, 40, 52, 0.0067864568655931524), (12, 12, 50, 60, 1.0),
    (0, 6, 10, 14, 0.005417956656346749), (7, 12, 50, 108, 0.8635844476906653), (0, 5, 0, 9, 1.0),
    (40, 60, 55, 60, 0.0006542698605029675),
]  # fmt: skip


@pytest.mark.parametrize(("passed", "n", "rest", "rest_n", "p"), FISHER)
def test_fishers_test_agrees_with_scipy(passed, n, rest, rest_n, p):
    assert fisher_less(passed, n, rest, rest_n) == pytest.approx(p, rel=1e-9)


# statsmodels 0.15.0, multipletests(p, method="holm")[1]
@pytest.mark.parametrize(
    ("chances", "corrected"),
    [
        ([0.01, 0.04, 0.03, 0.005, 0.5], [0.04, 0.09, 0.09, 0.025, 0.5]),
        ([0.2, 0.001, 0.001], [0.2, 0.003, 0.003]),
        ([], []),
    ],
)
def test_holm_agrees_with_statsmodels(chances, corrected):
    assert holm(chances) == pytest.approx(corrected)


def test_shuffling_single_cases_agrees_with_scipy():
    # scipy 1.17.1, permutation_test((a, b), difference of means, alternative="less", n_resamples=inf): all 3,003 ways
    inside, outside = [0, 0, 0.5, 0.25, 0, 1], [1, 1, 0.5, 1, 0.75, 1, 0.25, 1]
    p = shuffled_less([[value] for value in inside], [[value] for value in outside])
    assert p == pytest.approx(0.016317016317016316, abs=3 * (0.0163 / SHUFFLES) ** 0.5)


def test_shuffling_groups_agrees_with_all_their_ways():
    # by itertools.combinations over the 56 ways to put three of the eight groups inside: 1 of 56 is as low
    inside, outside = [[0, 0, 1], [0], [0, 0]], [[1, 1], [1, 1, 1], [0, 1], [1], [1, 1]]
    assert shuffled_less(inside, outside) == pytest.approx(1 / 56, abs=3 * (1 / 56 / SHUFFLES) ** 0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_makes_nothing_likelier_than_bonferroni_and_nothing_surer_than_alone(chances):
    for corrected, alone in zip(holm(chances), chances, strict=True):
        assert alone <= corrected <= min(1.0, len(chances) * alone)


# --- promises, simulated ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "n"), [(0.5, 20), (0.9, 40), (0.95, 120), (0.3, 12)])
def test_the_wilson_interval_holds_the_true_rate_about_95_times_in_100(share, n):
    random.seed(0)
    held = 0
    for _ in range(2000):
        found = rate(random.random() < share for _ in range(n))
        assert found is not None
        held += found.low <= share <= found.high
    assert 0.92 <= held / 2000 <= 0.99


def drawn(random_state, sizes, fixed, broken):
    """Groups of cases in which all are fixed, all broken, or all the same."""
    signs = random_state.choice([1, -1, 0], size=len(sizes), p=[fixed, broken, 1 - fixed - broken])
    return [[int(sign)] * size for sign, size in zip(signs, sizes, strict=True)]


@pytest.mark.parametrize(
    ("fixed", "broken", "n", "size"), [(6, 2, 20, 1), (12, 5, 60, 1), (5, 0, 10, 1), (3, 1, 12, 4), (5, 0, 20, 3)]
)
def test_so_many_more_cases_would_tell_four_times_out_of_five(fixed, broken, n, size):
    """If the difference stays as it was seen, a test on the promised number of cases finds it in 70 to 90 of 100."""
    seen = [[1] * size] * fixed + [[-1] * size] * broken + [[0] * size] * (n - fixed - broken)
    needed = pairs_needed(seen)
    assert needed is not None
    groups = round(needed / size)
    random_state = np.random.default_rng(7)
    found = 0
    for _ in range(1500):
        sums = [sum(group) for group in drawn(random_state, [size] * groups, fixed / n, broken / n)]
        found += sign_flip(sums) < 0.05
    assert 0.70 <= found / 1500 <= 0.90


def test_cases_of_few_templates_are_not_promised_to_tell_with_one_case_more():
    twelve_of_two_templates = [[1] * 6, [1] * 6]
    assert pairs_needed(twelve_of_two_templates) == 36, "six templates, for five of five would still be p = 0.06"
    assert means_needed([[0.2] * 6, [0.3] * 6]) == 36


@pytest.mark.parametrize("size", [1, 3])
def test_so_many_more_cases_would_tell_a_mean_four_times_out_of_five(size):
    random_state = np.random.default_rng(3)
    seen = [[float(value)] * size for value in random_state.normal(0.06, 0.25, 60)]
    needed = means_needed(seen)
    assert needed is not None
    found = 0
    for _ in range(300):
        again = [seen[at] for at in random_state.integers(0, len(seen), size=round(needed / size))]
        low, high = bootstrap_mean(again, seed=int(random_state.integers(1 << 30)), resamples=800)
        found += low > 0 or high < 0
    assert 0.68 <= found / 300 <= 0.92


def test_the_paired_bootstrap_finds_a_difference_where_there_is_none_about_5_times_in_100():
    random_state = np.random.default_rng(5)
    found = 0
    for _ in range(400):
        groups = [[float(value)] for value in random_state.normal(0, 0.3, 60)]
        low, high = bootstrap_mean(groups, seed=int(random_state.integers(1 << 30)), resamples=600)
        found += low > 0 or high < 0
    assert found / 400 <= 0.09


# --- large suites -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fixed", "broken"), [(520, 480), (560, 470), (600, 450), (1010, 900)])
def test_mcnemar_of_many_pairs_is_that_of_whole_numbers(fixed, broken):
    n, most = fixed + broken, min(fixed, broken)
    whole = min(1.0, 2 * sum(math.comb(n, k) for k in range(most + 1)) / 2**n)
    assert mcnemar(fixed, broken) == pytest.approx(whole, rel=1e-9)


def test_the_interval_of_very_many_groups_is_that_of_the_bootstrap():
    random_state = np.random.default_rng(2)
    values, sizes = random_state.normal(0.02, 0.3, MANY + 1), random_state.integers(1, 4, MANY + 1)
    groups = [[float(value)] * int(size) for value, size in zip(values, sizes, strict=True)]
    assert bootstrap_mean(groups) == pytest.approx(bootstrap_mean(groups[:MANY], resamples=4000), abs=0.002)


def test_the_sign_flip_test_of_very_many_groups_is_near_the_exact_one():
    """Groups of two that stand or fall together are pairs of double weight: the exact test is McNemar's."""
    assert sign_flip([2] * 11_300 + [-2] * 10_900) == pytest.approx(mcnemar(11_300, 10_900), rel=0.03)


def test_shuffling_very_many_groups_is_near_the_normal_limit():
    random_state = np.random.default_rng(4)
    inside = [[float(one)] * 2 for one in random_state.random(MANY // 5) < 0.69]
    outside = [[float(one)] for one in random_state.random(MANY * 4 // 5) < 0.7]
    shuffled = shuffled_less(inside, outside)
    assert 0.01 < shuffled < 0.2
    assert shuffled_less(inside, [*outside, [0.7]]) == pytest.approx(shuffled, rel=0.15)


def test_a_hundred_thousand_cases_are_compared_in_seconds():
    start = time.process_time()
    differences = [1] * 30_000 + [-1] * 29_500 + [0] * 40_500
    assert 0 < mcnemar(30_000, 29_500) < 1
    assert 0 < sign_flip([2 * one for one in differences]) < 1
    bootstrap_mean([[float(one)] for one in differences])
    assert 0 < fisher_less(14_000, 20_000, 57_000, 80_000) < 1
    assert time.process_time() - start < 5
