"""A test taken up again: on its own folder, or its answers by the rules of today; and what the page says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant
from small_result import BASE, FENCED, make_suite, read, run

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.jobs import Job
from qwenlab.ui import again, suites
from qwenlab.ui.lab import Lab
from qwenlab.ui.test_progress import progress
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace(tmp_path))


@pytest.fixture
def folder(lab: Lab) -> Path:
    """A finished result whose suite stands in the workspace."""
    files.write_json(lab.workspace.suites / "s.json", make_suite().to_json())
    return run(lab.workspace.results / "r")


def started(folder: Path, outcome: str | None = None) -> Job:
    """The folder as a test that was started from the page of a workspace elsewhere."""
    argv = ["qwenlab", "--workspace", "/old", "--job", "/old/results/r", "test", "/old/s.json"]
    argv += ["-c", "base=m", "-c", "tuned=m+r1", "--language", "en"]
    files.write_json(folder / "job.json", {"kind": "test", "argv": argv, "started": 0})
    if outcome:
        Job(folder).finish(outcome)  # type: ignore[arg-type]
    return Job(folder)


def rules(lab: Lab, **changes: Any) -> None:
    files.write_json(lab.workspace.suites / "s.json", make_suite(**changes).to_json())


# --- going on --------------------------------------------------------------------------------------------


def test_going_on_asks_by_the_suite_as_it_was_and_where_the_folder_is_now(lab: Lab, folder: Path) -> None:
    assert again.command(lab.workspace, folder) == [], "it was not started from the page"
    started(folder, "stopped")
    assert again.command(lab.workspace, folder) == [
        "qwenlab", "--workspace", str(lab.workspace.root), "--job", str(folder), "test", str(folder / "suite.json"),
        "-c", "base=m", "-c", "tuned=m+r1", "--language", "en",
    ]  # fmt: skip


def test_suite_of_a_result_can_be_run_again_as_the_same_suite(folder: Path) -> None:
    from qwenlab.evals.suite import load_suite

    again_read = load_suite(folder / "suite.json").only(["en"])
    assert again_read.fingerprint() == make_suite().fingerprint()


def test_only_what_has_open_cases_can_go_on(lab: Lab, folder: Path) -> None:
    assert not again.can_go_on(folder, read(folder).result), "it was not started from the page"
    started(folder, "finished")
    assert again.can_go_on(folder, read(folder).result), "one case ended in an error"
    whole = run(lab.workspace.results / "whole", base=BASE, tuned=BASE)
    started(whole, "finished")
    assert not again.can_go_on(whole, read(whole).result)


def test_going_on_with_a_test_of_the_command_line_is_refused_in_both_languages(lab: Lab, folder: Path) -> None:
    for t, words in ((EN, "was not started from this page"), (ZH, "不是从本页启动的")):
        with pytest.raises(QwenlabError, match=words):
            again.go_on(lab, t, folder)


def test_everybody_who_is_asked_is_known_before_the_first_answer(folder: Path) -> None:
    assert again.asked(started(folder)) == ["base", "tuned"]
    assert again.asked(Job(folder.parent)) == []


# --- other rules -----------------------------------------------------------------------------------------


def test_same_rules_are_no_change(lab: Lab, folder: Path) -> None:
    assert again.change(lab, read(folder).result) is None


def test_suite_that_only_grew_judges_old_answers_as_before(lab: Lab, folder: Path) -> None:
    files.write_json(lab.workspace.suites / "s.json", make_suite(9).to_json())
    assert again.change(lab, read(folder).result) is None


def test_suite_that_is_gone_or_broken_is_no_change(lab: Lab, folder: Path) -> None:
    (lab.workspace.suites / "s.json").write_text("{", encoding="utf-8")
    assert again.change(lab, read(folder).result) is None
    (lab.workspace.suites / "s.json").unlink()
    assert again.change(lab, read(folder).result) is None


def test_answers_are_scored_by_new_rules_beside_the_old_result(lab: Lab, folder: Path) -> None:
    started(folder, "finished")
    rules(lab, fields={"/a": {"rule": "number", "tolerance": 1}})
    before = (folder / "suite.json").read_bytes()
    found = again.change(lab, read(folder).result)
    assert found is not None
    assert found.suite is not None
    made = again.score_again(lab, read(folder).result, found.suite)
    assert made != folder
    assert suites.results(lab.workspace)[0] == made
    scores = {one.case_id: one.passed for one in read(made).result.contestants[1].scores}
    assert scores["c4"], "2 is near enough to 1 now"
    assert not {one.case_id: one.passed for one in read(folder).result.contestants[1].scores}["c4"]
    assert (folder / "suite.json").read_bytes() == before
    assert read(made).result.leaked == {"c2"}
    assert read(made).result.complete
    assert not (made / "job.json").exists(), "nobody was asked for it"
    assert again.change(lab, read(made).result) is None


def test_cases_that_are_asked_otherwise_now_are_left_out(lab: Lab, folder: Path) -> None:
    content = make_suite().to_json()
    content["cases"][0]["prompt"] = "another question"
    files.write_json(lab.workspace.suites / "s.json", content)
    found = again.change(lab, read(folder).result)
    assert found is not None
    assert found.suite is not None
    assert found.asked_otherwise == 1
    made = again.score_again(lab, read(folder).result, found.suite)
    assert [case.id for case in read(made).result.suite.cases] == ["c2", "c3", "c4", "c5", "c6"]


def test_answers_to_other_questions_are_not_scored_again(lab: Lab, folder: Path) -> None:
    rules(lab, system="Answer in JSON.")
    found = again.change(lab, read(folder).result)
    assert found == again.Change(None, 6)
    assert "run the test again" in progress(lab, folder, read(folder), EN)


# --- what the page says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("stopped", {EN: ["was stopped", "Go on"], ZH: ["已停止", "继续"]}),
        ("failed", {EN: ["failed", "Go on"], ZH: ["失败", "继续"]}),
        (None, {EN: ["was cut off", "Go on"], ZH: ["意外中断", "继续"]}),
    ],
    ids=["stopped", "failed", "killed"],
)
def test_test_that_did_not_end_well_offers_to_go_on(
    lab: Lab, tmp_path: Path, outcome: str | None, words: dict[Translator, list[str]]
) -> None:
    folder = lab.workspace.results / "r"
    folder.mkdir()
    with pytest.raises(RuntimeError):
        runner.run(make_suite(), [ScriptedContestant("base", BASE, crash_after=2)], folder)
    started(folder, outcome)
    for t, wanted in words.items():
        page = progress(lab, folder, read(folder), t)
        assert [word for word in wanted if word not in page] == []
        assert 'data-do="go-on"' in page


def test_stop_before_the_second_contestant_began_offers_to_go_on(lab: Lab) -> None:
    folder = lab.workspace.results / "r"
    runner.run(make_suite(), [ScriptedContestant("base", BASE)], folder)
    started(folder, "stopped")
    assert 'data-do="go-on"' in progress(lab, folder, read(folder), EN)


def test_stop_after_the_last_answer_stopped_nothing(lab: Lab) -> None:
    folder = lab.workspace.results / "r"
    runner.run(make_suite(), [ScriptedContestant(name, BASE) for name in ("base", "tuned")], folder)
    started(folder, "stopped")
    assert progress(lab, folder, read(folder), EN) == ""


def test_cases_that_ended_in_an_error_can_be_asked_again(lab: Lab, folder: Path) -> None:
    started(folder, "finished")
    page = progress(lab, folder, read(folder), EN)
    assert "because of an error: 1" in page
    assert "Ask them again" in page


def test_changed_rules_offer_to_score_again(lab: Lab, folder: Path) -> None:
    assert progress(lab, folder, read(folder), EN).count("Score again") == 0
    rules(lab, fields={"/a": {"rule": "number", "tolerance": 1}})
    page = progress(lab, folder, read(folder), EN)
    assert "The rules of this suite have changed since" in page
    assert 'data-do="score-again"' in page


def test_running_test_says_who_answers_how_far_and_the_newest_answer(
    lab: Lab, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = started(folder)
    job.report("progress", contestant="tuned", done=3, total=6, fraction=0.75, seconds_left=61)
    monkeypatch.setattr(Job, "state", lambda self: "running")
    log = folder / "tuned" / "answers.jsonl"
    line = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "case": "c3", "text": FENCED + "<script>"}) + "\n")
    page = progress(lab, folder, read(folder), EN)
    assert "Testing tuned: 3 of 6, " in page
    assert "done" in page.split("base</b>")[1][:60]
    assert "3 / 6" in page
    assert "Newest answer, tuned to c3:" in page
    assert "<script>" not in page
    assert "go-on" not in page


def test_test_that_was_killed_before_its_first_answer_can_go_on(lab: Lab) -> None:
    folder = lab.workspace.results / "new"
    started(folder)
    page = progress(lab, folder, None, EN)
    assert "was cut off" in page
    assert 'data-do="go-on"' in page
