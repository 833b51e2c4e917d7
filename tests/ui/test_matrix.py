"""Cases by contestants: which ones a filter finds, in which order, and how they are narrowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_result import BAD, BASE, GOOD, TUNED, read, run

from qwenlab.ui.matrix import Matrix, View, general, mark_of, pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run(tmp_path / "r")


def ids(found: Matrix) -> list[str]:
    return [case.id for case in found.listed]


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("all", ["c1", "c2", "c3", "c4", "c5", "c6"]),
        ("broken", ["c1"]),
        ("fixed", ["c2"]),
        ("both_wrong", ["c3", "c4", "c5"]),
        ("both_right", ["c6"]),
        ("format", ["c3"]),
        ("content", ["c4"]),
        ("errors", ["c5"]),
        ("leaked", ["c2"]),
    ],
)
def test_filter_finds_its_cases(folder: Path, name: str, cases: list[str]) -> None:
    found = Matrix(read(folder).result, View(wanted=name))
    assert found.wanted == name
    assert ids(found) == cases


@pytest.mark.parametrize(
    ("case", "marks"),
    [
        ("c1", ["passed", "unusable"]),
        ("c3", ["unusable", "unusable"]),
        ("c4", ["unusable", "wrong"]),
        ("c5", ["unusable", "error"]),
        ("c9", ["waiting", "waiting"]),
    ],
)
def test_every_answer_has_its_mark(folder: Path, case: str, marks: list[str]) -> None:
    found = Matrix(read(folder).result, View())
    assert [mark_of(found.score(at, case)) for at in (0, 1)] == marks


def test_flips_stand_first_the_broken_ones_before_the_fixed(tmp_path: Path) -> None:
    flipped = {"q1": BAD, "q2": GOOD, "q3": GOOD, "q4": BAD, "q5": GOOD, "q6": BAD}
    folder = run(tmp_path, base={**BASE, "q4": GOOD}, tuned=flipped)
    assert ids(Matrix(read(folder).result, View())) == ["c1", "c4", "c6", "c2", "c3", "c5"]


def test_person_chooses_who_is_compared_with_whom(tmp_path: Path) -> None:
    result = read(run(tmp_path, base=BASE, tuned=TUNED, other=BASE)).result
    assert pair(result, View()) == (0, 2)
    assert pair(result, View(reference="tuned")) == (1, 2)
    assert pair(result, View(reference="other")) == (2, 1)
    assert pair(result, View(judged="tuned")) == (0, 1)
    assert pair(result, View(judged="base")) == (0, 2), "nobody is compared with itself"
    assert pair(result, View(reference="gone", judged="gone")) == (0, 2)
    turned = Matrix(result, View(reference="tuned", judged="base", wanted="broken"))
    assert ids(turned) == ["c2"]


@pytest.mark.parametrize(
    ("view", "cases"),
    [
        (View(tag="odd"), ["c1", "c3", "c5"]),
        (View(language="zh"), []),
        (View(language="en", tag="even"), ["c2", "c4", "c6"]),
        (View(words="Q4"), ["c4"]),
        (View(words='```JSON "a"'), ["c3"]),
        (View(words="q4 odd"), []),
        (View(field="/a"), ["c1", "c4"]),
    ],
    ids=["tag", "language", "both", "a word of the question", "words of an answer", "every word", "a wrong field"],
)
def test_list_is_narrowed(folder: Path, view: View, cases: list[str]) -> None:
    found = Matrix(read(folder).result, view)
    assert ids(found) == cases
    assert len(found.found["all"]) == len(cases), "filters count what is left"


def test_neighbours_are_those_of_the_list(folder: Path) -> None:
    found = Matrix(read(folder).result, View(wanted="both_wrong"))
    assert found.around("c3") == (0, "", "c4")
    assert found.around("c4") == (1, "c3", "c5")
    assert found.around("c5") == (2, "c4", "")
    assert found.around("c6") == (None, "", "c3"), "from outside the way leads into the list"


def test_one_contestant_has_nothing_to_be_broken_or_fixed_against(tmp_path: Path) -> None:
    found = Matrix(read(run(tmp_path, base=BASE)).result, View(wanted="broken"))
    assert found.filters() == ["all", "both_wrong", "both_right", "format", "content", "leaked"]
    assert found.wanted == "all"
    assert [case.id for case in found.found["both_wrong"]] == ["c2", "c3", "c4", "c5"]
    assert [case.id for case in found.found["both_right"]] == ["c1", "c6"]


def test_rare_filters_are_offered_only_where_they_find_something(tmp_path: Path) -> None:
    found = Matrix(read(run(tmp_path, cases=1, base=BASE, tuned=TUNED)).result, View())
    assert "errors" not in found.filters()
    assert "leaked" not in found.filters()


def test_changing_what_is_listed_begins_at_the_first_page() -> None:
    view = View(page=3, sending=True)
    view.choose("words", "x")
    assert (view.words, view.page, view.sending) == ("x", 0, False)


def test_places_in_lists_belong_to_one_field() -> None:
    assert general("/lines/0/name") == general("/lines/12/name") == "/lines/*/name"
