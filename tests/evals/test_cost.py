"""What errors cost: weights, critical fields that veto, and answers that cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_suites import facts, tickets

from qwenlab.evals.cost import costs, sentence
from qwenlab.evals.scoring import not_answered, score_answer

RIGHT = {"intent": "refund", "amount": {"value": 5, "currency": "CNY"}}


def answer(**changes: Any) -> str:
    return json.dumps({**RIGHT, **changes})


# /intent weighs 1 and is critical, /amount/value weighs 2, /amount/currency 1: four in all.
TABLE = [
    ("all right", answer(), 0.0),
    ("a field of weight 1", answer(amount={"value": 5, "currency": "EUR"}), 0.25),
    ("a field of weight 2", answer(amount={"value": 6, "currency": "CNY"}), 0.5),
    ("a critical field of weight 1", answer(intent="other"), 1.0),
    ("right values in a fence", f"```json\n{answer()}\n```", 1.0),
    ("breaks the schema", answer(intent=5), 1.0),
    ("no answer", "", 1.0),
]


@pytest.mark.parametrize(("text", "cost"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_error_costs_its_weight_and_a_critical_one_everything(text: str, cost: float) -> None:
    suite = tickets()
    score = score_answer(suite, suite.cases[0], text)
    assert score.cost == pytest.approx(cost)
    assert score.to_json()["cost"] == score.cost


def test_the_costs_of_a_suite_say_where_they_come_from() -> None:
    suite = tickets()
    case = suite.cases[0]
    scores = [score_answer(suite, case, text) for _, text, _ in TABLE]
    found = costs([*scores, not_answered(suite, case)])
    assert (found.n, found.unusable, found.vetoed, found.critical) == (8, 4, 1, {"/intent": 1})
    assert found.share == pytest.approx((0.25 + 0.5 + 1 + 4) / 8)
    assert sentence("tuned", found, "en") == (
        "tuned: errors cost 71.9 of 100: 4 of 8 answers cannot be used at all, "
        "lost to an error in a critical field: 1 (intent 1), errors in other fields cost 9.4."
    )
    assert sentence("甲", found, "zh") == (
        "甲：错误代价为 71.9 / 100：8 个回答中有 4 个完全不能用，"
        "因关键字段出错而作废的有 1 个（intent 1），其他字段的错误代价为 9.4。"
    )


def test_where_nothing_is_wrong_nothing_is_lost() -> None:
    suite = tickets()
    assert sentence("a", costs([score_answer(suite, suite.cases[0], answer())]), "en") == "a: errors cost nothing."
    assert costs([]).share == 0


def test_a_text_case_costs_all_or_nothing() -> None:
    suite = facts()
    assert [score_answer(suite, suite.cases[0], text).cost for text in ("Paris.", "Rome")] == [0, 1]
