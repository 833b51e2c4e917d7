"""Everything the harness says has its English and its Chinese sentence."""

from __future__ import annotations

import typing

import pytest

from qwenlab.evals import rules, words
from qwenlab.evals.fields import FieldScore
from qwenlab.evals.json_ladder import RUNGS
from qwenlab.evals.report import MEASURES

CODES = typing.get_args(rules.Code)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_code_has_a_finished_sentence(code, language):
    text = words.explain(FieldScore("/a", "x", 5, False, code=code, tolerance=0.01), language)
    assert "{" not in text
    assert text.endswith("." if language == "en" else "。")


@pytest.mark.parametrize(
    ("score", "english", "chinese"),
    [
        (FieldScore("/a", 5, "5", False, code="number_as_string"),
         'The number 5 was written as text, "5": leave out the quotes.', "数字 5 被写成了文本 “5”：应去掉引号。"),
        (FieldScore("/a", True, 1, False, code="wrong_type"),
         "Expected true (true or false), got 1 (a number).", "应为 true（真假值），实为 1（数字）。"),
        (FieldScore("/a", None, {"b": "退货"}, False, code="not_null"),
         'Nothing was expected here (null), got {"b": "退货"}.', '此处应为空（null），实为 {"b": "退货"}。'),
    ],
)  # fmt: skip
def test_sentences_show_values_as_people_read_them(score, english, chinese):
    assert words.explain(score, "en") == english
    assert words.explain(score, "zh") == chinese


def test_long_values_are_cut():
    assert len(words.show("x" * 500, "en")) == 80


@pytest.mark.parametrize("language", ["en", "zh"])
def test_rungs_and_measures_have_names(language):
    assert all(words.describe_rung(rung, language) for rung in RUNGS)
    assert all(words.measure_name(measure, language) for measure in MEASURES)
    assert words.describe_rung(None, language) == ""


@pytest.mark.parametrize("table", [words.RUNG, words.FLAG, words.MEASURE])
def test_no_name_lacks_a_language(table):
    assert all(set(names) == {"en", "zh"} for names in table.values())
