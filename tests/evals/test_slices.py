"""Slices of a suite: which cases they hold, what is claimed, and what is not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.evals.bilingual import Words
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.slices import Slice, name, sentence, slice_rates, slices
from qwenlab.evals.suite import suite_from


def suite_of(*cases):
    return suite_from(
        {"name": "s", "schema": {}, "cases": [{"id": f"c{n}", "expected": 1, **case} for n, case in enumerate(cases)]},
        "test",
    )


def scored(passes):
    """One score per case, c0 first."""
    return [
        CaseScore(
            case_id=f"c{n}", rung="strict", schema_valid=True, violations=(), usable=True, fields=(),
            field_accuracy=float(ok), document_exact=bool(ok), critical_ok=True, passed=bool(ok),
        )
        for n, ok in enumerate(passes)
    ]  # fmt: skip


def test_slices_are_languages_lengths_and_tags_each_set_of_cases_once():
    suite = suite_of(
        {"prompt": "hi", "tags": ["en", "odd"]},
        {"prompt": "hello there", "tags": ["en"]},
        {"prompt": "good morning to you all", "tags": ["en", "odd"]},
        {"prompt": "你好", "tags": ["zh", "everywhere"]},
    )
    found = {(one.kind, one.name): sorted(one.cases) for one in slices(suite)}
    assert found == {
        ("language", "en"): ["c0", "c1", "c2"],
        ("language", "zh"): ["c3"],
        ("length", "short"): ["c0"],
        ("length", "medium"): ["c1", "c3"],
        ("length", "long"): ["c2"],
        ("tag", "odd"): ["c0", "c2"],
    }, "the tags en and zh are the languages again"


def test_what_holds_of_every_case_is_no_slice():
    assert slices(suite_of({"prompt": "a b", "tags": ["all"]}, {"prompt": "c d", "tags": ["all"]})) == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_every_case_has_one_length_and_a_longer_question_is_never_in_a_shorter_third(lengths):
    suite = suite_of(*({"prompt": "x" * length} for length in lengths))
    thirds = {one.name: one.cases for one in slices(suite) if one.kind == "length"}
    if not thirds:
        assert len(set(lengths)) == 1
        return
    placed = [case for cases in thirds.values() for case in cases]
    assert sorted(placed) == sorted(case.id for case in suite.cases)
    order = ["short", "medium", "long"]
    rank = {case: order.index(third) for third, cases in thirds.items() for case in cases}
    for left in suite.cases:
        for right in suite.cases:
            assert len(left.question) >= len(right.question) or rank[left.id] <= rank[right.id]


FEW, MANY = Slice("tag", "few", frozenset({"c0", "c1", "c2", "c3", "c4"})), Slice("tag", "typos", frozenset())


def typos(count):
    return Slice("tag", "typos", frozenset(f"c{n}" for n in range(count)))


def test_a_slice_that_is_surely_worse_is_said_with_both_rates():
    (found,) = slice_rates("tuned", [scored([0] * 15 + [1] * 5 + [1] * 60)], [typos(20)])
    assert found.worse
    assert found.p is not None
    assert found.p < 0.001
    assert sentence(found, "en") == (
        'tuned is surely worse on questions tagged "typos": 25.0 % (11-47) of 20 pass, 100.0 % (94-100) of the others.'
    )
    assert sentence(found, "zh") == (
        "tuned 在带标签“typos”的问题上确实更差：20 个用例通过 25.0 % (11-47)，其余用例通过 100.0 % (94-100)。"
    )


def test_of_too_few_cases_nothing_is_claimed():
    (found,) = slice_rates("tuned", [scored([0] * 5 + [1] * 60)], [FEW])
    assert (found.p, found.worse, sentence(found, "en")) == (None, False, "")
    assert found.passed.n == 5


def test_a_better_slice_is_not_called_worse():
    (found,) = slice_rates("tuned", [scored([1] * 20 + [0] * 60)], [typos(20)])
    assert not found.worse


def test_looking_at_many_slices_makes_each_claim_harder():
    scores = scored([0] * 4 + [1] * 4 + [1] * 29 + [0] * 3)
    alone = slice_rates("tuned", [scores], [typos(8)])[0]
    others = [Slice("tag", f"t{n}", frozenset(f"c{at}" for at in range(n + 8, n + 20))) for n in range(12)]
    among = slice_rates("tuned", [scores], [typos(8), *others])[0]
    assert alone.worse
    assert among.p is not None
    assert alone.p is not None
    assert among.p > alone.p
    assert not among.worse


def test_cases_of_one_template_do_not_count_as_many():
    scores = scored([0] * 12 + [1] * 60)
    groups = {f"c{n}": "t1" if n < 6 else "t2" for n in range(12)} | {f"c{n}": f"g{n % 5}" for n in range(12, 72)}
    assert slice_rates("tuned", [scores], [typos(12)])[0].worse
    grouped = slice_rates("tuned", [scores], [typos(12)], groups)[0]
    assert grouped.p is not None
    assert grouped.p > 0.05
    assert not grouped.worse


def test_leaked_cases_count_in_no_slice():
    (found,) = slice_rates("tuned", [scored([0] * 8 + [1] * 20)], [typos(8)], leaked={"c0", "c1", "c2"})
    assert (found.passed.n, found.p) == (5, None)


def test_all_answers_to_a_case_count_and_the_case_once():
    first, second, third = scored([1] * 80), scored([0] * 20 + [1] * 60), scored([0] * 20 + [1] * 60)
    assert not slice_rates("tuned", [first], [typos(20)])[0].worse
    (found,) = slice_rates("tuned", [first, second, third], [typos(20)])
    assert (found.passed.value, found.passed.n, found.field_accuracy.value) == (pytest.approx(1 / 3), 20, 1 / 3)
    assert found.rest is not None
    assert (found.rest.n, found.repeats, found.worse) == (60, 3, True)
    assert sentence(found, "en") == (
        'tuned is surely worse on questions tagged "typos": 33.3 % (17-55) of the answers to these 20 cases pass, '
        "100.0 % (94-100) of the answers to the others."
    )
    assert sentence(found, "zh") == (
        "tuned 在带标签“typos”的问题上确实更差：这 20 个用例的回答通过 33.3 % (17-55)，"
        "其余用例的回答通过 100.0 % (94-100)。"
    )


def test_asking_more_often_makes_no_more_evidence():
    once = scored([0] * 4 + [1] * 2 + [1] * 12)
    (alone,), (often,) = (slice_rates("tuned", [once] * times, [typos(6)]) for times in (1, 9))
    assert (alone.p, alone.worse) == (often.p, often.worse)


def test_an_answer_that_could_not_be_judged_takes_no_part_in_its_case():
    first, *others = scored([0] * 20)
    broken = [replace(first, unjudged=Words("no schema", "没有模式")), *others]
    (found,) = slice_rates("tuned", [broken, scored([1] * 20)], [typos(10)])
    assert found.passed.value == pytest.approx((1 + 9 * 0.5) / 10)


@pytest.mark.parametrize("groups", [{}, {f"c{n}": f"g{n // 3}" for n in range(60)}], ids=["cases", "templates"])
def test_claims_of_chance_are_rare_with_repeated_answers(groups):
    """200 suites of 60 cases in 4 slices, asked 3 times, with no slice any worse: at most 5 % may claim one."""
    drawn = random.Random(2)
    parts = [Slice("tag", f"t{n}", frozenset(f"c{at}" for at in range(n * 15, n * 15 + 15))) for n in range(4)]
    wrong = 0
    for _ in range(200):
        ease = {n: drawn.random() for n in range(60)}
        rounds = [scored([drawn.random() < ease[n // 3 if groups else n] for n in range(60)]) for _ in range(3)]
        wrong += any(one.worse for one in slice_rates("tuned", rounds, parts, groups))
    assert wrong <= 0.05 * 200


def test_claims_of_chance_are_rare():
    """400 suites of 120 cases in 8 slices, with no slice any worse: at most 5 % may claim one."""
    random.seed(1)
    parts = [Slice("tag", f"t{n}", frozenset(f"c{at}" for at in range(n * 15, n * 15 + 15))) for n in range(8)]
    wrong = 0
    for _ in range(400):
        scores = scored([random.random() < 0.7 for _ in range(120)])
        wrong += any(one.worse for one in slice_rates("tuned", [scores], parts))
    assert wrong <= 0.05 * 400


@pytest.mark.parametrize("part", [Slice("language", "zh", frozenset()), Slice("length", "long", frozenset()), MANY])
def test_every_slice_has_a_name_in_both_languages(part):
    assert name(part, "en") != name(part, "zh")
