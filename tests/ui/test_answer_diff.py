"""Answers side by side differ in single values and words, not in blobs."""

from __future__ import annotations

import pytest

from qwenlab.evals.pointer import MISSING
from qwenlab.ui.answer_diff import Row, against, among, leaves, rows
from qwenlab.ui.judging import Wanted, judge


def places(found: list[Row]) -> list[str]:
    return [row.pointer for row in found]


def test_only_differing_values_are_listed_when_nothing_is_expected() -> None:
    left, right = ('{"a": 1, "b": {"c": [1, 2]}}', '```\n{"a": 1, "b": {"c": [1, 3], "d": null}}\n```')
    found = rows([judge(left, Wanted()), judge(right, Wanted())])
    assert places(found) == ["/b/c/1", "/b/d"]
    assert [one and one.value for one in found[1].values] == [MISSING, None]
    assert found[0].expected is MISSING


def test_values_that_are_all_wrong_in_the_same_way_are_listed_too() -> None:
    wanted = Wanted(expected='{"a": 1, "b": 2}')
    (row,) = rows([judge('{"a": 1, "b": 5}', wanted), judge('{"a": 1, "b": 5}', wanted)])
    assert (row.pointer, row.expected) == ("/b", 2)


def test_key_that_nobody_asked_for_has_no_expected_value() -> None:
    wanted = Wanted(expected='{"a": null}')
    (row,) = rows([judge('{"a": null, "x": 5}', wanted), judge('{"a": null}', wanted)])
    assert (row.pointer, row.expected) == ("/x", MISSING)


def test_column_that_cannot_be_read_leaves_the_others_alone() -> None:
    found = rows([judge('{"a": 1}', Wanted()), judge("no", Wanted()), None, judge('{"a": 2}', Wanted())])
    assert [one and one.value for one in found[0].values] == [1, None, None, 2]


@pytest.mark.parametrize(("left", "right"), [("1", "true"), ("1", "1.0"), ('"1"', "1")])
def test_values_of_another_type_differ(left: str, right: str) -> None:
    assert places(rows([judge(f'{{"a": {left}}}', Wanted()), judge(f'{{"a": {right}}}', Wanted())])) == ["/a"]


def test_empty_object_is_a_value() -> None:
    assert dict(leaves({"a": {}, "b": [], "c/d": [{"e": 1}]})) == {"/a": {}, "/b": [], "/c~1d/0/e": 1}


def test_words_are_marked_against_the_expected_text() -> None:
    found = against("Your refund takes 5 days.", "Your refund takes 14 days, sorry.")
    assert ("missing", "5") in found
    assert ("differs", "14") in found
    assert "".join(text for mark, text in found if mark != "missing") == "Your refund takes 14 days, sorry."


def test_chinese_is_marked_sign_by_sign() -> None:
    assert against("退款需要三天", "退款需要五天") == [
        ("same", "退款需要"),
        ("missing", "三"),
        ("differs", "五"),
        ("same", "天"),
    ]


def test_what_the_columns_share_is_not_marked() -> None:
    left, right = among(["please wait two days", "please wait nine days"])
    assert left == [("same", "please wait "), ("differs", "two"), ("same", " days")]
    assert right == [("same", "please wait "), ("differs", "nine"), ("same", " days")]


@pytest.mark.parametrize("texts", [["alpha beta", "gamma; delta"], ["x " * 3000, "y " * 3000], ["", ""]])
def test_texts_with_nothing_in_common_are_left_unmarked(texts: list[str]) -> None:
    for text, pieces in zip(texts, among(texts), strict=True):
        assert "".join(piece for _, piece in pieces) == text
        assert {mark for mark, _ in pieces} <= {"same"}
