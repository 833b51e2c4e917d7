"""Rates, summaries and scoreboards."""

from __future__ import annotations

import json

import pytest
from small_suites import facts, tickets

from qwenlab.evals.rates import rate, wilson
from qwenlab.evals.report import Row, aligned, scoreboard, summarize
from qwenlab.evals.scoring import not_answered, score_answer

# statsmodels 0.15.0, proportion_confint(k, n, alpha=0.05, method="wilson")
WILSON = [
    (0, 10, 0.0, 0.27753279986288926),
    (10, 10, 0.7224672001371106, 1.0),
    (7, 20, 0.18119182410108203, 0.5671457233147638),
    (23, 40, 0.42195068541991065, 0.7149060744004962),
    (1, 3, 0.06149194472039626, 0.7923403991979523),
    (190, 200, 0.9104218518612239, 0.972617354399236),
]


@pytest.mark.parametrize(("k", "n", "low", "high"), WILSON)
def test_wilson_intervals_agree_with_statsmodels(k, n, low, high):
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-12)


def test_no_case_gives_no_rate_and_the_widest_interval():
    assert rate([]) is None
    assert wilson(0, 0) == (0.0, 1.0)


GOOD = {
    "c1": '{"intent": "refund", "amount": {"value": 5, "currency": "CNY"}}',
    "c2": '{"intent": "repair", "amount": null}',
    "c3": '{"intent": "other", "amount": null, "date": "2024-03-17"}',
}


def scores(**answers):
    """Scores of the ticket suite; None for a case that was not answered."""
    suite = tickets()
    return [
        not_answered(suite, suite.by_id[name]) if text is None else score_answer(suite, suite.by_id[name], text)
        for name, text in answers.items()
    ]


def test_errors_stay_in_the_denominator_and_are_counted_apart():
    summary = summarize(scores(c1=GOOD["c1"], c2=f"```\n{GOOD['c2']}\n```", c3=None))
    assert (summary.n, summary.errors) == (3, 1)
    assert summary.value("strict") == pytest.approx(1 / 3)
    assert summary.value("schema_valid") == pytest.approx(2 / 3)
    assert summary.value("usable") == summary.value("passed") == pytest.approx(1 / 3)
    assert summary.value("field_accuracy") == pytest.approx(2 / 3)
    assert summary.value("field_accuracy_parsed") == 1.0
    assert summary.rungs == {"strict": 1, "fenced": 1, "extracted": 0, "repaired": 0, "none": 0}
    assert summary.by_field["/intent"].value == pytest.approx(2 / 3)
    assert summary.flags == {"not_answered": 1}


def test_leaked_cases_count_apart_and_nowhere_else():
    summary = summarize(scores(c1="no", c2=GOOD["c2"], c3=GOOD["c3"]), leaked={"c2", "elsewhere"})
    assert (summary.n, summary.leaked, summary.leaked_passed) == (2, 1, 1)
    assert summary.value("passed") == 0.5


def test_a_summary_is_plain_json_with_fractions():
    plain = json.loads(json.dumps(summarize(scores(c1="no")).to_json(), allow_nan=False))
    assert plain["usable"] == 0.0
    assert plain["field_accuracy_parsed"] is None
    assert plain["intervals"]["usable"] == pytest.approx([0, 0.7934506856227626])


def test_a_text_suite_has_no_json_measures():
    suite = facts()
    summary = summarize(score_answer(suite, case, "Paris") for case in suite.cases)
    assert summary.rates["strict"] is None
    assert summary.value("passed") == pytest.approx(2 / 5)
    assert summary.rungs == {}


def test_a_scoreboard_aligns_contestants_and_leaves_out_empty_columns():
    rows = [Row("base", summarize(scores(c1="no"))), Row("tuned", summarize(scores(c1=GOOD["c1"])), 12.34, 273_000_000)]
    head, base, tuned = scoreboard(rows).splitlines()
    assert head.split("  ")[0] == "contestant"
    assert "errors" not in head
    assert "100.0 % (21-100)" in tuned
    assert tuned.endswith("12.3  273 MB")
    assert base.index("0.0 % (0-79)") + len("0.0 % (0-79)") == head.index("strict JSON") + len("strict JSON")


def test_a_scoreboard_in_markdown_and_in_chinese():
    head, rule, row = scoreboard([Row("a|b", summarize(scores(c1=None)))], "zh", markdown=True).splitlines()
    assert head == "| 测试对象 | 用例 | 出错 | 严格 JSON | 可直接使用 | 字段正确 | 全部字段正确 |"
    assert rule == "|---|---:|---:|---:|---:|---:|---:|"
    assert row.startswith("| a\\|b | 1 | 1 | 0.0 % (0-79) |")


def test_columns_are_aligned_by_what_is_seen_and_a_lone_cell_stands_for_itself():
    assert aligned([["名", "n"], ["-- new cases --"], ["base", "12"]]) == "名     n\n-- new cases --\nbase  12\n"
