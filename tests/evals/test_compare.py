"""Paired comparison: formulas against reference values, verdicts against common sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.errors import QwenlabError
from qwenlab.evals.compare import compare_fields, compare_passes, meaning, sentence
from qwenlab.evals.paired_tests import bootstrap_mean, mcnemar, means_needed, pairs_needed, sign_flip
from qwenlab.evals.scoring import CaseScore

# statsmodels 0.15.0, mcnemar([[0, b], [c, 0]], exact=True); scipy 1.17.1, binomtest(min(b, c), b + c) agrees
MCNEMAR = [
    (1, 0, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (3, 9, 0.14599609375), (10, 10, 1.0), (2, 15, 0.002349853515625),
    (40, 60, 0.05688793364098089), (7, 1, 0.0703125), (0, 0, 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("fixed", "broken", "p"), MCNEMAR)
def test_mcnemar_agrees_with_statsmodels(fixed, broken, p):
    assert mcnemar(fixed, broken) == pytest.approx(p, rel=1e-12)


# scipy 1.17.1, permutation_test((d, zeros), sum of differences, permutation_type="samples"), all permutations
SIGN_FLIP = [
    ([2, -1, 3, 1], 0.375), ([3, 3, 3, -1, -1], 0.25), ([1, 2, 0, -3, 4, 1, 1], 0.40625),
    ([5, 4, 3, 2, 1, 1], 0.03125),
]  # fmt: skip


@pytest.mark.parametrize(("differences", "p"), SIGN_FLIP)
def test_the_sign_flip_test_agrees_with_scipy(differences, p):
    assert sign_flip(differences) == pytest.approx(p, rel=1e-12)


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_sign_flip_test_of_single_cases_is_mcnemar(fixed, broken):
    assert sign_flip([1] * fixed + [-1] * broken + [0]) == mcnemar(fixed, broken)


def test_many_discordant_pairs_do_not_overflow():
    assert mcnemar(3000, 2000) < 1e-40
    assert sign_flip([2] * 900 + [-1] * 100) < 1e-40


# scipy 1.17.1, bootstrap(method="percentile", n_resamples=200000)
def test_the_bootstrap_interval_agrees_with_scipy():
    values = [0, 0, 0.5, 0.25, -0.125, 1, 0, 0.75, 0, 0.125, 0.5, -0.25]
    assert bootstrap_mean([[value] for value in values]) == pytest.approx((0.03125, 0.4479166666666667), abs=0.02)


def test_the_bootstrap_of_groups_agrees_with_scipy():
    groups = [[0.5, 0.5], [0.5], [-0.25], [1.0, 0.5, 0.5], [0.0, 0.0], [0.75]]
    assert bootstrap_mean(groups) == pytest.approx((0.09375, 0.6333333333333333), abs=0.02)


def test_the_bootstrap_repeats_itself():
    assert bootstrap_mean([[0.1], [0.5], [0.2]]) == bootstrap_mean([[0.1], [0.5], [0.2]])


# Connor's n; simulated with numpy (200,000 draws), the McNemar z test then has 0.826, 0.810 and 0.827 power
@pytest.mark.parametrize(
    ("fixed", "broken", "n", "needed"), [(30, 10, 100, 77), (20, 10, 100, 234), (15, 5, 100, 155), (4, 4, 10, None)]
)
def test_pairs_needed(fixed, broken, n, needed):
    assert pairs_needed([[1]] * fixed + [[-1]] * broken + [[0]] * (n - fixed - broken)) == needed


# statsmodels 0.15.0, zt_ind_solve_power(effect_size=mean/sd, alpha=0.05, power=0.8, ratio=0): 52.74
def test_means_needed_agrees_with_statsmodels():
    assert means_needed([[0.2], [-0.1], [0.3], [0.0], [0.1], [0.05], [-0.2], [0.15]]) == 53
    assert means_needed([[0.1], [-0.1]]) is None


def scored(values, errored=()):
    """One score per value between 0 and 1; 1 passes."""
    return [
        CaseScore(
            case_id=str(index), rung="strict", schema_valid=True, violations=(), usable=True, fields=(),
            field_accuracy=value, document_exact=value == 1, critical_ok=True, passed=value == 1,
            errored=index in errored,
        )
        for index, value in enumerate(values)
    ]  # fmt: skip


def test_a_clear_gain_is_better_and_its_mirror_is_worse():
    base, tuned = scored([0.5] * 20 + [1]), scored([1] * 19 + [0.5, 0.5])
    better, worse = compare_passes(base, tuned), compare_passes(tuned, base)
    assert (better.code, better.fixed, better.broken, better.n) == ("better", 19, 1, 21)
    assert (worse.code, worse.fixed, worse.broken) == ("worse", 1, 19)
    assert better.p == worse.p == mcnemar(19, 1)
    assert better.difference == pytest.approx(18 / 21)
    assert better.low < better.difference < better.high
    assert better.cases_needed is None


def test_five_of_five_cannot_tell_and_says_how_many_more_would():
    # by hand: ((1.960 * 0.5**0.5 + 0.842 * (0.5 - 0.25)**0.5) / 0.5)**2 = 13.06, so 14 in all
    verdict = compare_passes(scored([0] * 10), scored([1] * 5 + [0] * 5))
    assert (verdict.code, verdict.cases_needed) == ("cannot_tell", 4)


def test_no_difference_asks_for_no_more_cases():
    verdict = compare_passes(scored([1, 0]), scored([1, 0]))
    assert (verdict.code, verdict.p, verdict.cases_needed) == ("cannot_tell", 1.0, None)


def test_cases_of_one_template_do_not_count_as_many():
    base, tuned = scored([0] * 12), scored([1] * 12)
    assert compare_passes(base, tuned).code == "better"
    groups = {str(index): "t1" if index < 6 else "t2" for index in range(12)}
    grouped = compare_passes(base, tuned, groups=groups)
    assert (grouped.code, grouped.p) == ("cannot_tell", 0.5)
    assert compare_fields(base, tuned, groups=groups).code == "cannot_tell"


def test_field_accuracy_is_judged_by_its_interval():
    base, tuned = scored([0.2, 0.4, 0.5, 0.3] * 5), scored([0.6, 0.7, 0.5, 0.9] * 5)
    verdict = compare_fields(base, tuned)
    assert (verdict.code, verdict.p, verdict.fixed, verdict.broken) == ("better", None, 15, 0)
    assert 0 < verdict.low < verdict.difference < verdict.high
    assert compare_fields(base, base).code == "cannot_tell"


def test_leaked_cases_are_left_out():
    verdict = compare_passes(scored([0] * 10), scored([1] * 10), leaked={"0", "1", "2", "3", "4"})
    assert (verdict.n, verdict.fixed, verdict.code) == (5, 5, "cannot_tell")


def test_an_error_is_a_failure_in_the_strict_measure_too():
    verdict = compare_passes(scored([0] * 8), scored([0] * 8, errored=range(8)), measure="strict")
    assert (verdict.code, verdict.broken) == ("worse", 8)


def test_contestants_must_have_answered_the_same_cases():
    with pytest.raises(QwenlabError, match="did not answer the same cases"):
        compare_passes(scored([1, 1]), scored([1]))


def test_no_cases_at_all_cannot_tell():
    assert compare_passes([], []).code == compare_fields([], []).code == "cannot_tell"


SENTENCES = [
    ([0] * 20, [1] * 20, "tuned is better than base (passed): 20 fixed, 0 broken of 20; sure (p < 0.001).",
     "tuned 优于 base（通过）：20 例中改好 20 例，改坏 0 例；可以确定（p < 0.001）。"),
    ([1] * 9, [0] * 9, "tuned is worse than base (passed): 9 broken, 0 fixed of 9; sure (p = 0.004).",
     "tuned 不如 base（通过）：9 例中改坏 9 例，改好 0 例；可以确定（p = 0.004）。"),
    ([0] * 10, [1] * 5 + [0] * 5, "Cannot tell whether tuned is better than base (passed): 5 fixed, 0 broken of 10 "
     "(p = 0.062); about 4 more cases would.",
     "无法判断 tuned 是否优于 base（通过）：10 例中改好 5 例，改坏 0 例（p = 0.062）；再有大约 4 例才能判断。"),
    ([1], [1], "Cannot tell whether tuned is better than base (passed): 0 fixed, 0 broken of 1 (p = 1.000); "
     "no difference was seen.",
     "无法判断 tuned 是否优于 base（通过）：1 例中改好 0 例，改坏 0 例（p = 1.000）；没有看到差别。"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "tuned", "english", "chinese"), SENTENCES)
def test_the_verdict_is_a_sentence_in_both_languages(base, tuned, english, chinese):
    verdict = compare_passes(scored(base), scored(tuned))
    assert sentence(verdict, "en") == english
    assert sentence(verdict, "zh") == chinese


MEANINGS = [
    (compare_passes, [0] * 10, [1] * 5 + [0] * 5, ["6.2 % of tests", "about 4 more cases"], ["6.2 %", "大约 4 例"]),
    (compare_passes, [0] * 20, [1] * 20, ["< 0.1 % of tests"], ["< 0.1 %"]),
    (compare_passes, [1, 0], [0, 1], ["gained as much as they lost"], ["得失相抵"]),
    (compare_fields, [0.2] * 20, [0.2] * 10 + [0.4] * 10, ["between +6.0 and +14.0 points"], ["+6.0 到 +14.0"]),
    (compare_fields, [0.2] * 5, [0.4] * 5, ["Fewer than 6 independent cases"], ["不足 6 个"]),
]


@pytest.mark.parametrize(("compare", "base", "tuned", "english", "chinese"), MEANINGS)
def test_what_a_verdict_rests_on_is_said_in_both_languages(compare, base, tuned, english, chinese):
    verdict = compare(scored(base), scored(tuned))
    for language, wanted in (("en", english), ("zh", chinese)):
        assert [word for word in wanted if word not in meaning(verdict, language)] == [], meaning(verdict, language)


def test_sure_verdict_does_not_ask_for_more_cases():
    said = meaning(compare_passes(scored([0] * 20), scored([1] * 20)), "en")
    assert "more cases" not in said
    assert "are equal" not in said


def test_no_cases_have_no_meaning():
    assert meaning(compare_passes([], []), "en") == ""
