"""Cases by contestants: which ones a filter finds, in which order, and how they are narrowed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant
from small_result import BAD, BASE, GOOD, TUNED, make_suite, read, run

from qwenlab.evals import runner
from qwenlab.ui import case_view, matrix_view, suite_view
from qwenlab.ui.matrix import Matrix, View, general, mark_of, pair
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


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


# --- several answers, the schema enforced, and judging that failed ------------------------------------------


class Enforced(ScriptedContestant):
    """Answers for "tuned" with the schema enforced."""

    def describe(self) -> dict[str, str]:
        """As the free one does, and whose answers these are."""
        return {**super().describe(), "enforced_for": "tuned"}


def test_who_answers_under_the_schema_shows_which_failures_are_format_alone(tmp_path: Path) -> None:
    run(tmp_path)
    runner.run(make_suite(), [Enforced("tuned (enforced)", {**TUNED, "q3": GOOD})], tmp_path)
    result = read(tmp_path).result
    assert pair(result, View()) == (0, 1), "it is compared only where that is chosen"
    assert pair(result, View(judged="tuned (enforced)")) == (0, 2)
    assert ids(Matrix(result, View(wanted="enforced"))) == ["c3"]
    assert "enforced" not in Matrix(result, View(judged="tuned (enforced)")).filters()


def test_three_contestants_have_a_filter_for_what_all_have_right(tmp_path: Path) -> None:
    result = read(run(tmp_path, base=BASE, tuned=TUNED, other={**BASE, "q6": BAD, "q1": GOOD})).result
    assert ids(Matrix(result, View(wanted="all_right"))) == []
    result = read(run(tmp_path / "three", base=BASE, tuned=TUNED, other=TUNED)).result
    assert ids(Matrix(result, View(wanted="all_right"))) == ["c6"]
    assert "all_right" not in Matrix(read(run(tmp_path / "two")).result, View()).filters()


def test_answers_that_could_not_be_judged_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    slow = {"rule": "regex", "pattern": "^((a{0,100}){0,100}){0,100}$"}
    cases = [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": "aa"}} for n in (1, 2)]
    good, endless = '{"a": "aa"}', json.dumps({"a": "a" * 2000 + "b"})
    scripts = {"base": {"q1": good, "q2": BAD}, "tuned": {"q1": endless, "q2": good}}
    contestants = [ScriptedContestant(name, script) for name, script in scripts.items()]
    runner.run(make_suite(fields={"/a": slow}, cases=cases), contestants, tmp_path)
    shown = read(tmp_path)
    assert ids(Matrix(shown.result, View(wanted="unjudged"))) == ["c1"]
    assert mark_of(Matrix(shown.result, View()).score(1, "c1")) == "unjudged"
    assert ids(Matrix(shown.result, View(wanted="broken"))) == []
    for t, words in ((EN, "could not be judged"), (ZH, "无法评判")):
        assert words in matrix_view.matrix(shown, View(), t)
        assert words in case_view.case_part(shown, View(case="c1"), t)
        assert words in suite_view.overview(Workspace.default(), shown, View(), t)
    assert "takes too long" in case_view.case_part(shown, View(case="c1"), EN)


def test_a_case_that_passes_sometimes_says_how_often_and_shows_all_answers(tmp_path: Path) -> None:
    class Drawn(ScriptedContestant):
        def answer(self, prompts: Any, settings: Any, should_stop: Any = None) -> Any:
            for index, answer in super().answer(prompts, settings):
                yield index, replace(answer, text='{"a": 7}') if settings.seed == 2 else answer

    suite = make_suite(2, generation={"repeats": 3, "temperature": 0.7})
    runner.run(suite, [Drawn("base", {"q1": GOOD, "q2": BAD}), ScriptedContestant("tuned", BASE)], tmp_path)
    shown = read(tmp_path)
    assert ids(Matrix(shown.result, View(wanted="both_right"))) == []
    assert "2 of 3" in matrix_view.matrix(shown, View(), EN)
    assert "passed sometimes" in matrix_view.matrix(shown, View(), EN)
    page = case_view.case_part(shown, View(case="c1"), EN)
    assert "2 of 3 answers pass" in page
    assert "67 % alike" in page
    assert "The 2 other answers to it" in page
    assert page.count("{&quot;a&quot;: 7}") == 1
    glance = suite_view.overview(Workspace.default(), shown, View(), EN)
    for words in ("passed every time", "answers alike", "base answered each case 3 times"):
        assert words in glance
    assert "3 次中 2 次" in matrix_view.matrix(shown, View(), ZH)
