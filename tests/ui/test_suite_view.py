"""A test result on the page: scoreboard, verdicts, matrix, one case; found again, and read only when it changed."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from fakes import ScriptedContestant
from fastapi import FastAPI
from fastapi.testclient import TestClient
from small_result import BASE, GOOD, TUNED, make_suite, read, run

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.suite import suite_from
from qwenlab.jobs import Job
from qwenlab.ui import case_view, downloads, matrix_view, suite_view, suites
from qwenlab.ui.lab import Lab
from qwenlab.ui.matrix import PAGE, View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run(tmp_path / "results" / "r")


def overview(folder: Path, view: View, t: Translator) -> str:
    return suite_view.overview(Workspace.default(), read(folder), view, t)


# --- at a glance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t", "words"),
    [
        (
            EN,
            ["usable as is", "Cannot tell whether tuned is", "tuned misses", "kept out of the figures"],
        ),
        (ZH, ["可直接使用", "无法判断 tuned 是否优于 base", "tuned 未达到", "不计入上面的数字"]),
    ],
)
def test_overview_speaks_the_language_of_the_page(folder: Path, t: Translator, words: list[str]) -> None:
    page = overview(folder, View(), t)
    assert [word for word in words if word not in page] == []


def test_leaked_case_is_counted_apart(folder: Path) -> None:
    assert [one.summary.n for one in read(folder).result.contestants] == [5, 5]


def test_verdict_follows_who_is_compared(folder: Path) -> None:
    page = overview(folder, View(reference="tuned"), EN)
    assert "Cannot tell whether base is better than tuned" in page
    assert "What does “cannot tell” mean" in page


def test_contestant_that_is_not_through_is_not_compared_yet(tmp_path: Path) -> None:
    run(tmp_path, base=BASE)
    with pytest.raises(RuntimeError):
        runner.run(make_suite(), [ScriptedContestant("tuned", TUNED, crash_after=2)], tmp_path)
    page = overview(tmp_path, View(), EN)
    assert "once both have answered every case" in page
    assert "2 of 6 so far" in page


def test_field_leads_to_the_cases_in_which_it_is_wrong(folder: Path) -> None:
    page = overview(folder, View(), EN)
    assert 'data-part="field" data-value="/a"' in page
    assert "List the cases in which tuned has this value wrong" in page


# --- the matrix ------------------------------------------------------------------------------------------


def test_pages_hold_so_many_cases_and_stay_in_bounds(tmp_path: Path) -> None:
    run(tmp_path, cases=60, base={})
    view = View(page=99)
    page = matrix_view.matrix(read(tmp_path), view, EN)
    assert view.page == 2
    assert page.count('data-do="open"') == 60 - 2 * PAGE
    assert "Page 3 of 3" in page


def test_cell_says_form_and_values_by_signs_and_words(folder: Path) -> None:
    page = matrix_view.matrix(read(folder), View(), EN)
    cells = re.findall(r'class="marks" title="([^"]*)"><i class="(\w+)"[^>]*>(.)</i> ([^<]*)<', page)
    found = {sign + " " + short: title.splitlines()[0] for title, _, sign, short in cells}
    assert found == {
        "✓ 1/1": "passed",
        "✗ no JSON": "not usable",
        "✗ 1/1 code block": "not usable",
        "≠ 0/1": "usable, but wrong",
        "! ": "no answer (error)",
    }
    assert "a: Expected 1, got 2." in page


def test_flips_stand_under_their_heads(folder: Path) -> None:
    page = matrix_view.matrix(read(folder), View(), EN)
    heads = ["Broken by tuned: 1", "Fixed by tuned: 1", "Unchanged: 4"]
    assert [page.index(head) for head in heads] == sorted(page.index(head) for head in heads)


# --- one case --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["c1", "c2", "c3", "c4", "c5"])
def test_no_answer_can_put_html_on_the_page(folder: Path, case: str) -> None:
    page = case_view.case_part(read(folder), View(case=case), EN) + matrix_view.matrix(read(folder), View(), EN)
    assert "<script" not in page
    assert "<b>lost" not in page


def test_no_search_can_put_html_on_the_page(folder: Path) -> None:
    view = View(words='"><script>alert(1)</script>', tag='"><u>', field='"><u>')
    page = matrix_view.matrix(read(folder), view, EN) + overview(folder, view, EN)
    assert "<script" not in page
    assert '"><u>' not in page


def test_case_shows_answers_and_explains_what_is_wrong(folder: Path) -> None:
    page = case_view.case_part(read(folder), View(case="c4"), EN)
    assert "Expected 1, got 2." in page
    assert "usable, but wrong" in page
    assert 'data-case="c3"' in page  # previous
    assert 'data-case="c5"' in page  # next
    assert "4 of 6 · All" in page


def test_neighbours_of_a_case_stay_within_the_filter(folder: Path) -> None:
    page = case_view.case_part(read(folder), View(case="c3", wanted="both_wrong"), EN)
    assert "1 of 3 · Both wrong" in page
    assert 'data-key="previous" data-case=""' in page
    assert 'data-key="next" data-case="c4"' in page


def test_leaked_case_says_why_it_does_not_count(folder: Path) -> None:
    assert "a right answer to it proves nothing" in case_view.case_part(read(folder), View(case="c2"), EN)


def test_text_case_says_what_its_rule_asks_for_and_marks_the_difference(tmp_path: Path) -> None:
    cases = [
        {"id": "c1", "prompt": "q1", "expected": "We open at nine."},
        {"id": "c2", "prompt": "q2", "expected": ["nine", "ten"], "rule": "contains"},
    ]
    suite = suite_from({"name": "s", "cases": cases}, "test")
    runner.run(suite, [ScriptedContestant("base", {"q1": "We open at ten.", "q2": "at nine"})], tmp_path)
    page = case_view.case_part(read(tmp_path), View(case="c1"), EN)
    assert "<del>nine</del><mark>ten</mark>" in page
    assert "the answer must contain all of these" in case_view.case_part(read(tmp_path), View(case="c2"), EN)


# --- results ---------------------------------------------------------------------------------------------


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


def test_large_result_rests_before_it_is_read_again(folder: Path) -> None:
    first = read(folder)
    first.seconds = 60.0  # as if it had taken a minute
    log = folder / "tuned" / "answers.jsonl"
    log.write_text(log.read_text(encoding="utf-8") + log.read_text(encoding="utf-8"), encoding="utf-8")
    assert read(folder) is first
    first.read_at = time.monotonic() - 601
    assert read(folder) is not first


def test_results_are_listed_with_who_was_tested(folder: Path) -> None:
    assert suites.label(folder) == "r · base, tuned"


def test_newest_answer_is_found_behind_a_torn_line(folder: Path) -> None:
    with (folder / "tuned" / "answers.jsonl").open("ab") as file:
        file.write(b'{"case": "c9", "te')
    found = suites.last_answer(folder, "tuned")
    assert found is not None
    assert found["case"] == "c6"
    assert suites.last_answer(folder, "nobody") is None


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


@pytest.mark.parametrize("form", ["html", "markdown", "csv", "junit", "json"])
def test_report_is_downloaded_in_every_form(workspace: Workspace, form: str) -> None:
    run(workspace.results / "r")
    app = FastAPI()
    app.include_router(downloads.router(Lab(workspace)))
    client = TestClient(app)
    page = suite_view.overview(workspace, read(workspace.results / "r"), View(), EN)
    address = f"/download/result/r/{form}"
    assert f'href="{address}"' in page
    reply = client.get(address)
    assert reply.status_code == 200
    assert b"tuned" in reply.content
    assert client.get(f"/download/result/gone/{form}").status_code == 404
    assert client.get("/download/result/r/exe").status_code == 404
