"""Many wrong cases at once to the data set: in one step, none twice, and said before it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_result import BASE, TUNED, make_suite, read, run

from qwenlab.conversations.dataset import DataSet, new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.evals import burned
from qwenlab.evals.suite import suite_from
from qwenlab.ui import keep_many, sending_view
from qwenlab.ui.lab import Lab
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose data set knows q3 already, and q4 with another answer."""
    lab = Lab(Workspace(tmp_path))
    samples = [
        Sample.make("known", [("user", "q3"), ("assistant", '{"a": 1}')]),
        Sample.make("otherwise", [("user", "q4"), ("assistant", '{"a": 9}')]),
    ]
    lab.choose(dataset=str(new_data_set(lab.workspace, "mine", samples)))
    return lab


def test_cases_are_parted_by_what_the_data_set_has_already(lab: Lab) -> None:
    suite = make_suite()
    lot = keep_many.look(lab.document(), suite, suite.cases)
    assert lot.cases == ["c1", "c2", "c5", "c6"]
    assert (lot.there, lot.contradicted, lot.refused) == (("c3",), ("c4",), ())


def test_all_are_added_in_one_step_that_one_undo_takes_back(lab: Lab) -> None:
    suite = make_suite()
    lot, document, saved = keep_many.send(lab, EN, suite, suite.cases)
    assert saved
    on_disk = DataSet.open(document.dataset.path).samples
    assert [sample.id for sample in on_disk][2:] == [
        "from-test-0001",
        "from-test-0002",
        "from-test-0003",
        "from-test-0004",
    ]
    assert [turn.text for turn in on_disk[2].turns] == ["q1", '{"a": 1}']
    assert [*burned.cases(lab.workspace, suite.name)] == lot.cases
    assert keep_many.look(document, suite, suite.cases).there == ("c1", "c2", "c3", "c5", "c6")
    document.undo()
    assert len(document.samples) == 2
    assert len(lot.fresh) == 4


def test_sending_twice_adds_nothing(lab: Lab) -> None:
    suite = make_suite()
    keep_many.send(lab, EN, suite, suite.cases)
    lot, document, _ = keep_many.send(lab, EN, suite, suite.cases)
    assert lot.fresh == ()
    assert len(document.samples) == 6


def test_same_question_in_two_cases_is_added_once(lab: Lab) -> None:
    cases = [{"id": name, "prompt": "Twice?", "expected": {"a": 1}} for name in ("x", "y")]
    lot = keep_many.look(
        lab.document(), make_suite(), suite_from({"name": "s", "schema": {}, "cases": cases}, "t").cases
    )
    assert (lot.cases, lot.there) == (["x"], ("y",))


def test_text_case_without_one_whole_answer_is_refused(lab: Lab) -> None:
    cases = [
        {"id": "equals", "prompt": "p1", "expected": "nine"},
        {"id": "any", "prompt": "p2", "expected": ["nine", "9"], "rule": "any_of"},
        {"id": "contains", "prompt": "p3", "expected": "nine", "rule": "contains"},
        {"id": "regex", "prompt": "p4", "expected": "n.ne", "rule": "regex"},
    ]
    suite = suite_from({"name": "s", "cases": cases}, "t")
    lot = keep_many.look(lab.document(), suite, suite.cases)
    assert (lot.cases, lot.refused) == (["equals", "any"], ("contains", "regex"))


def test_edits_of_others_are_not_saved_by_sending(lab: Lab) -> None:
    document = lab.document()
    assert document is not None
    from qwenlab.conversations.journal import Change

    document.change(Change(0, document.samples[0], None))
    suite = make_suite()
    _, document, saved = keep_many.send(lab, EN, suite, suite.cases)
    assert not saved
    assert len(DataSet.open(document.dataset.path).samples) == 2


# --- what the page says ----------------------------------------------------------------------------------


def test_only_the_wrong_ones_of_the_list_are_offered(lab: Lab, tmp_path: Path) -> None:
    shown = read(run(tmp_path / "r", base=BASE, tuned=TUNED))
    assert [case.id for case in sending_view.wrong_cases(shown, View())] == ["c1", "c3", "c4"]
    assert "the 3 wrong ones" in sending_view.sending(lab, shown, View(), EN)
    assert sending_view.sending(lab, shown, View(wanted="both_right"), EN) == ""
    assert sending_view.sending(lab, None, View(), EN) == ""


@pytest.mark.parametrize(
    ("t", "words"),
    [
        (EN, ["They are then burned", "In the data set already: c3.", "with another answer: c4.", "Send 1 cases"]),
        (ZH, ["即告失效", "数据集中已有：c3。", "回答不同，因此不存入：c4。", "存入 1 个用例"]),
    ],
)
def test_what_it_would_do_is_said_first(lab: Lab, tmp_path: Path, t: Translator, words: list[str]) -> None:
    page = sending_view.sending(lab, read(run(tmp_path / "r")), View(sending=True), t)
    assert [word for word in words if word not in page] == []


def test_nothing_new_offers_no_button(lab: Lab, tmp_path: Path) -> None:
    shown = read(run(tmp_path / "r"))
    keep_many.send(lab, EN, shown.result.suite, shown.result.suite.cases)
    page = sending_view.sending(lab, shown, View(sending=True), EN)
    assert "nothing new to send" in page
    assert "send-now" not in page
