"""Gates: what is asked, what decides, and the sentence that says it."""

from __future__ import annotations

import pytest
from fakes import ScriptedContestant

from qwenlab.errors import QwenlabError
from qwenlab.evals import asked_gates, gates, runner
from qwenlab.evals.asked_gates import Asked
from qwenlab.evals.compare import Verdict
from qwenlab.evals.gates import Gate, NoLoss, sentence
from qwenlab.evals.rates import Rate, rate, wilson
from qwenlab.evals.suite import suite_from

GOOD, BAD = '{"a": 1}', '{"a": 2}'


def made(right, n, wanted=0.9, measure="usable", errors=0):
    return Gate("tuned", measure, wanted, Rate(right / n, n, *wilson(right, n)), errors)


@pytest.mark.parametrize(
    ("right", "n", "passed", "missing", "sure", "needed"),
    [
        (108, 120, True, 0, False, None),
        (107, 120, False, 1, False, None),
        (60, 120, False, 48, True, None),
        (120, 120, True, 0, True, None),
        (10, 10, True, 0, False, 35),
        (9, 10, True, 0, False, 35),
    ],
)
def test_a_threshold_knows_what_is_missing_and_how_sure_it_is(right, n, passed, missing, sure, needed):
    gate = made(right, n)
    assert (gate.passed, gate.missing, gate.sure, gate.cases_needed) == (passed, missing, sure, needed)


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_fewest_cases_that_show_a_threshold_are_just_enough(wanted):
    needed = made(1, 1, wanted).cases_needed
    assert needed is not None
    assert wilson(needed, needed)[0] >= wanted - 1e-12
    assert wilson(needed - 1, needed - 1)[0] < wanted


def test_no_rate_is_no_pass_and_a_full_rate_is_enough_for_all():
    assert not Gate("tuned", "field_accuracy_parsed", 0.1, None).passed
    assert made(5, 5, wanted=1.0).passed
    assert made(5, 5, wanted=1.0).cases_needed is None


def test_a_sum_of_thirds_reaches_a_threshold_of_thirds():
    reached = rate([1 / 3, 1 / 3, 1 / 3])
    assert Gate("tuned", "field_accuracy", 1 / 3, reached).passed


SENTENCES = [
    (made(120, 120), 'tuned meets "at least 90.0 % usable as is": 100.0 % (97-100) of 120 cases.',
     "tuned 达到“可直接使用至少 90.0 %”：120 个用例中为 100.0 % (97-100)。"),
    (made(110, 120), 'tuned meets "at least 90.0 % usable as is": 91.7 % (85-95) of 120 cases, which other cases might '
     "not confirm.", "tuned 达到“可直接使用至少 90.0 %”：120 个用例中为 91.7 % (85-95)，换一批用例未必如此。"),
    (made(102, 120, errors=3), 'tuned misses "at least 90.0 % usable as is": 85.0 % (78-90) of 120 cases, 3 of them '
     "without an answer, which counts as wrong; 6 cases short, which may be chance.",
     "tuned 未达到“可直接使用至少 90.0 %”：120 个用例中为 85.0 % (78-90)，其中 3 个没有回答（按错误计）；还差 6 个"
     "用例，这可能是偶然。"),
    (made(8, 10), 'tuned misses "at least 90.0 % usable as is": 80.0 % (49-94) of 10 cases; 1 case short. 10 cases are '
     "too few to be sure of it: that takes 35 or more, all right.",
     "tuned 未达到“可直接使用至少 90.0 %”：10 个用例中为 80.0 % (49-94)；还差 1 个用例。10 个用例太少，无法确定："
     "至少要 35 个且全部正确。"),
    (made(30, 120, measure="field_accuracy"), 'tuned misses "at least 90.0 % fields right": 25.0 % (18-33) of 120 '
     "cases; as much as 78 whole cases short.",
     "tuned 未达到“字段正确至少 90.0 %”：120 个用例中为 25.0 % (18-33)；差距相当于 78 个完整用例。"),
    (Gate("tuned", "strict", 0.9, None), "tuned: strict JSON could not be measured, at least 90.0 % is wanted.",
     "tuned：严格 JSON无法测得，要求至少 90.0 %。"),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "english", "chinese"), SENTENCES)
def test_a_threshold_is_one_sentence_in_both_languages(gate, english, chinese):
    assert sentence(gate, "en") == english
    assert sentence(gate, "zh") == chinese


def verdict(code, low, high, n=120, fixed=12, broken=5):
    return Verdict("base", "tuned", "usable", code, n, fixed, broken, (low + high) / 2, low, high)


LOSSES = [
    (NoLoss(verdict("cannot_tell", -0.01, 0.07)), True,
     'tuned meets "not worse than base (usable as is)": +3.0 (-1.0 to +7.0) points on 120 cases, 12 better and 5 '
     "worse; a loss of up to 1.0 points may still hide."),
    (NoLoss(verdict("worse", -0.09, -0.01)), False,
     'tuned misses "not worse than base (usable as is)": -5.0 (-9.0 to -1.0) points on 120 cases, 12 better and 5 '
     "worse."),
    (NoLoss(verdict("cannot_tell", -0.03, 0.01), margin=0.02), False,
     'tuned misses "at most 2.0 points worse than base (usable as is)": -1.0 (-3.0 to +1.0) points on 120 cases, '
     "12 better and 5 worse."),
    (NoLoss(verdict("better", 0.01, 0.05), margin=0.02), True,
     'tuned meets "at most 2.0 points worse than base (usable as is)": +3.0 (+1.0 to +5.0) points on 120 cases, '
     "12 better and 5 worse."),
    (NoLoss(verdict("cannot_tell", 0.0, 0.0, n=4, fixed=0, broken=0)), True,
     'tuned meets "not worse than base (usable as is)": +0.0 (+0.0 to +0.0) points on 4 cases, 0 better and 0 worse; '
     "4 cases are too few to notice a loss."),
]  # fmt: skip


@pytest.mark.parametrize(("gate", "passed", "english"), LOSSES)
def test_a_gate_against_the_first_fails_only_beyond_doubt_or_beyond_its_margin(gate, passed, english):
    assert gate.passed is passed
    assert sentence(gate, "en") == english
    assert sentence(gate, "zh")


def test_no_case_at_all_excludes_no_loss():
    assert not NoLoss(verdict("cannot_tell", 0.0, 0.0, n=0), margin=0.02).passed


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("usable=0.9", Asked("usable", least=0.9)),
        ("tuned:usable=0.9", Asked("usable", "tuned", least=0.9)),
        (" my model : passed = 1", Asked("passed", "my model", least=1.0)),
    ],
)
def test_a_threshold_is_read_with_or_without_a_contestant(written, asked):
    assert asked_gates.threshold(written) == asked


def test_several_measures_may_not_be_worse_each_with_its_margin():
    assert asked_gates.not_worse("field_accuracy, tuned:usable=0.02") == [
        Asked("field_accuracy"),
        Asked("usable", "tuned", margin=0.02),
    ]


@pytest.mark.parametrize(
    ("read", "written", "english", "chinese"),
    [
        (asked_gates.threshold, "usabel=1", 'Did you mean "usable"?', "是不是“usable”？"),
        (asked_gates.threshold, "usable=90", "'usable=90' is no fraction of 1", "不是 0 到 1 之间的数"),
        (asked_gates.threshold, "usable", "'usable' is no fraction of 1", "不是 0 到 1 之间的数"),
        (asked_gates.threshold, "usable=nan", "is no fraction of 1", "不是 0 到 1 之间的数"),
        (asked_gates.not_worse, "field_accuracy_parsed", "There is no measure", "没有指标"),
        (asked_gates.not_worse, "usable=", "'usable=' is no fraction of 1", "不是 0 到 1 之间的数"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused_in_both_languages(read, written, english, chinese):
    with pytest.raises(QwenlabError, match=None) as caught:
        read(written)
    assert english in str(caught.value)
    assert chinese in "".join(caught.value.say("zh"))


def test_a_gate_must_name_a_contestant_that_is_asked_and_not_the_first_against_itself():
    assert asked_gates.resolve([Asked("usable", least=1)], ["base", "tuned"]) == [Asked("usable", "tuned", least=1)]
    with pytest.raises(QwenlabError, match='Did you mean "tuned"'):
        asked_gates.resolve([Asked("usable", "tunde", least=1)], ["base", "tuned"])
    with pytest.raises(QwenlabError, match="cannot be held against itself"):
        asked_gates.resolve([Asked("usable")], ["base"])


def suite_with(**gates):
    cases = [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}} for n in range(8)]
    return suite_from({"name": "s", "schema": {}, "cases": cases, **gates}, "test")


def run(folder, thresholds, base, tuned, **more):
    suite = suite_with(thresholds=thresholds, **more)
    answers = ({f"q{n}": text for n, text in enumerate(texts)} for texts in (base, tuned))
    pair = [ScriptedContestant(name, one) for name, one in zip(("base", "tuned"), answers, strict=True)]
    return runner.run(suite, pair, folder)


def test_a_result_is_judged_by_its_suite_and_by_what_was_asked_of_it(tmp_path):
    result = run(tmp_path, {"passed": 0.5, "usable": 1}, [GOOD] * 8, [GOOD] * 2 + [BAD] * 6)
    assert [(gate.contestant, gate.measure, gate.passed) for gate in gates.judge(result)] == [
        ("tuned", "usable", True),
        ("tuned", "passed", False),
    ]
    asked_gates.remember(
        tmp_path, [Asked("passed", "tuned", 0.25), Asked("passed", "base", 1), Asked("passed", "tuned")]
    )
    found = [(type(gate), gate.contestant, gate.measure, gate.passed) for gate in gates.judge(result)]
    assert found == [
        (Gate, "tuned", "usable", True),
        (Gate, "tuned", "passed", True),
        (Gate, "base", "passed", True),
        (NoLoss, "tuned", "passed", False),
    ]
    asked_gates.remember(tmp_path, [])
    assert len(gates.judge(result)) == 2


def test_a_suite_may_want_that_nothing_gets_worse(tmp_path):
    result = run(tmp_path, {}, [GOOD] * 8, [BAD] * 8, not_worse={"usable": None, "passed": 0.02})
    assert [(gate.contestant, gate.measure, gate.margin, gate.passed) for gate in gates.judge(result)] == [
        ("tuned", "usable", None, True),
        ("tuned", "passed", 0.02, False),
    ]
    listed = run(tmp_path / "listed", {}, [GOOD] * 8, [BAD] * 8, not_worse=["usable"])
    assert [(gate.measure, gate.margin) for gate in gates.judge(listed)] == [("usable", None)]
    asked_gates.remember(tmp_path, [Asked("passed", "tuned")])
    assert [gate.margin for gate in gates.judge(result)] == [None, None], "the command line's word counts"


def test_gates_of_one_summary_need_no_result(tmp_path):
    summary = run(tmp_path, {}, [GOOD] * 8, [BAD] * 8).contestant("base").summary
    (gate,) = gates.gates(summary, suite_with(thresholds={"usable": 1.0}, not_worse=["usable"]), "answers")
    assert gate.to_json()["sentence"].startswith('answers meets "at least 100.0 % usable as is": 100.0 %')
