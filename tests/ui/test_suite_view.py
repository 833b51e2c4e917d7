"""A test result on the page: scoreboard, filters, marks, one case; found again, and read only when it changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import ScriptedContestant

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.jobs import Job
from qwenlab.models.contestant import Answer
from qwenlab.ui import suite_view, suites
from qwenlab.ui.lab import Lab
from qwenlab.ui.suite_view import Matrix, View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
GOOD, FENCED, WRONG, BAD = '{"a": 1}', '```json\n{"a": 1}\n```', '{"a": 2}', "<script>alert(1)</script>"
BASE = {"q1": GOOD, "q2": BAD, "q3": BAD, "q4": BAD, "q5": BAD}
TUNED = {"q1": BAD, "q2": GOOD, "q3": FENCED, "q4": WRONG, "q5": Answer("", "error", error="<b>lost</b>")}


def make_suite(cases: int = 5) -> Suite:
    return suite_from(
        {
            "name": "s",
            "schema": {"type": "object", "required": ["a"]},
            "thresholds": {"usable": 0.9},
            "cases": [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}} for n in range(1, cases + 1)],
        },
        "test",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results" / "r"
    path.mkdir(parents=True)
    runner.run(
        make_suite(), [ScriptedContestant("base", BASE), ScriptedContestant("tuned", TUNED)], path, leaked={"c2"}
    )
    return path


def read(folder: Path) -> suites.Shown:
    found = suites.read_result(folder)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("all", ["c1", "c2", "c3", "c4", "c5"]),
        ("broken", ["c1"]),
        ("fixed", ["c2"]),
        ("failed", ["c3", "c4", "c5"]),
        ("format", ["c3"]),
        ("content", ["c4"]),
        ("leaked", ["c2"]),
    ],
)
def test_filter_finds_its_cases(folder: Path, name: str, cases: list[str]) -> None:
    found = Matrix(read(folder).result)
    assert name in found.filters()
    assert [case.id for case in found.found[name]] == cases


@pytest.mark.parametrize(
    ("case", "marks"),
    [
        ("c1", ["passed", "unusable"]),
        ("c3", ["unusable", "unusable"]),
        ("c4", ["unusable", "wrong"]),
        ("c5", ["unusable", "error"]),
    ],
)
def test_every_answer_has_its_mark(folder: Path, case: str, marks: list[str]) -> None:
    assert Matrix(read(folder).result).marks(case) == marks


@pytest.mark.parametrize(
    ("t", "words"),
    [
        (
            EN,
            ["usable as is", "Cannot tell whether tuned is better", "misses the threshold", "kept out of the figures"],
        ),
        (ZH, ["可直接使用", "无法判断 tuned 是否优于 base", "未达门槛", "不计入上面的数字"]),
    ],
)
def test_overview_speaks_the_language_of_the_page(folder: Path, t: Translator, words: list[str]) -> None:
    page = suite_view.overview(read(folder), t)
    assert [word for word in words if word not in page] == []


def test_leaked_case_is_counted_apart(folder: Path) -> None:
    assert [one.summary.n for one in read(folder).result.contestants] == [4, 4]


@pytest.mark.parametrize("case", ["c1", "c2", "c3", "c4", "c5"])
def test_no_answer_can_put_html_on_the_page(folder: Path, case: str) -> None:
    page = suite_view.case_part(read(folder), View(case=case), EN)
    assert "<script" not in page
    assert "<b>lost" not in page


def test_case_shows_answers_and_explains_what_is_wrong(folder: Path) -> None:
    page = suite_view.case_part(read(folder), View(case="c4"), EN)
    assert "Expected 1, got 2." in page
    assert "usable, but wrong" in page
    assert 'data-case="c3"' in page  # previous
    assert 'data-case="c5"' in page  # next


def test_pages_hold_so_many_cases_and_stay_in_bounds(tmp_path: Path) -> None:
    runner.run(make_suite(60), [ScriptedContestant("base", {})], tmp_path)
    view = View(page=99)
    page = suite_view.matrix(read(tmp_path), view, EN)
    assert view.page == 2
    assert page.count('data-do="open"') == 60 - 2 * suite_view.PAGE
    assert "Page 3 of 3" in page


def test_one_contestant_has_nothing_to_be_broken_or_fixed_against(tmp_path: Path) -> None:
    runner.run(make_suite(), [ScriptedContestant("base", BASE)], tmp_path)
    assert Matrix(read(tmp_path).result).filters() == ["all", "failed", "format", "content"]


def test_result_is_read_again_only_when_an_answer_came(folder: Path) -> None:
    first = read(folder)
    assert read(folder) is first
    log = folder / "tuned" / "answers.jsonl"
    line = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "text": GOOD}) + "\n")
    assert read(folder) is not first


def test_folder_of_a_test_that_has_just_begun_is_no_result_yet(tmp_path: Path) -> None:
    files.write_json(tmp_path / "results" / "new" / "job.json", {})
    assert suites.results(Workspace(tmp_path)) == [tmp_path / "results" / "new"]
    assert suites.read_result(tmp_path / "results" / "new") is None


def test_newest_progress_is_found_behind_a_torn_line(tmp_path: Path) -> None:
    job = Job(tmp_path)
    for done in range(300):
        job.report("progress", contestant="base", done=done, total=300, fraction=done / 300)
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "prog')
    found = suites.last_progress(job)
    assert found is not None
    assert found["done"] == 299


def test_second_test_is_refused_while_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(Workspace(tmp_path))
    files.write_json(lab.workspace.results / "first" / "job.json", {})
    monkeypatch.setattr(Job, "state", lambda self: "running")
    with pytest.raises(QwenlabError, match="still running"):
        suites.start_test(lab, EN, suites.chosen_suite(lab), [], ["en"], None)
