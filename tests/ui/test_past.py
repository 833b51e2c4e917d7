"""A suite over time and in parts: which results are points of its plot, and what each part's rate is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes import ScriptedContestant
from small_result import BAD, BASE, GOOD, TUNED, make_suite, read, run

from qwenlab import files
from qwenlab.evals import runner
from qwenlab.evals.suite import suite_from
from qwenlab.ui import past, past_view
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


def at(folder: Path, seconds: float) -> Path:
    """The folder as if it had been made then."""
    os.utime(folder / "suite.json", (seconds, seconds))
    return folder


def test_results_of_the_suite_are_points_oldest_first(workspace: Workspace) -> None:
    at(run(workspace.results / "second"), 2e9)
    at(run(workspace.results / "first", base=BASE), 1e9)
    other = suite_from({**make_suite().to_json(), "name": "other"}, "test")
    runner.run(other, [ScriptedContestant("base", BASE)], workspace.results / "other")
    found = past.history(workspace, "s", "passed")
    assert [(one.folder.name, one.began) for one in found] == [("first", 1e9), ("second", 2e9)]
    assert [[*one.rates] for one in found] == [["base"], ["base", "tuned"]]
    shown = read(workspace.results / "second").result.contestants[1].summary.rates["passed"]
    assert found[1].rates["tuned"] == shown


def test_half_a_test_is_no_point(workspace: Workspace) -> None:
    stops = iter([False, True])
    folder = workspace.results / "half"
    runner.run(make_suite(), [ScriptedContestant("base", BASE)], folder, should_stop=lambda: next(stops))
    assert past.history(workspace, "s", "passed") == []


@pytest.mark.parametrize("content", ["{", "[]", '{"suite": "s"}', '{"suite": "s", "contestants": 3}'])
def test_damaged_result_is_left_out(workspace: Workspace, content: str) -> None:
    folder = run(workspace.results / "r")
    files.write_text(folder / "result.json", content)
    assert past.history(workspace, "s", "passed") == []


def test_plot_marks_the_open_result_and_where_the_rules_changed(workspace: Workspace) -> None:
    at(run(workspace.results / "a"), 1e9)
    at(run(workspace.results / "b"), 1.1e9)
    at(run(workspace.results / "c", cases=5), 1.2e9)
    result = read(workspace.results / "b").result
    page = past_view.over_time(past.history(workspace, "s", "passed"), result, View(), EN)
    assert page.count('data-do="result"') == 6
    assert page.count('class="changed"') == 1
    assert page.count('aria-current="true"') == 1
    assert 'data-folder="a"' in page
    assert "tuned: 20.0 %" in page
    assert "tuned：5 例的 20.0%" in past_view.over_time(past.history(workspace, "s", "passed"), result, View(), ZH)


def test_one_result_is_no_history(workspace: Workspace) -> None:
    folder = run(workspace.results / "a")
    assert past_view.over_time(past.history(workspace, "s", "passed"), read(folder).result, View(), EN) == ""


def test_slices_are_languages_thirds_by_length_and_tags(tmp_path: Path) -> None:
    asked = [*(f"{'x' * n}?" for n in range(1, 7)), *("退货" * n for n in range(4, 7))]
    cases = [
        {"id": f"c{n}", "prompt": prompt, "expected": {"a": 1}, "tags": ["all", "odd" if n % 2 else "even"]}
        for n, prompt in enumerate(asked)
    ]
    suite = suite_from({"name": "s", "schema": {}, "cases": cases}, "test")
    runner.run(suite, [ScriptedContestant("base", lambda talk: GOOD if "x" in talk[-1]["content"] else BAD)], tmp_path)
    found = {(one.kind, one.name): (one.number, one.rates["base"].value) for one in past.slices(read(tmp_path).result)}
    assert found == {
        ("language", "en"): (6, 1.0),
        ("language", "zh"): (3, 0.0),
        ("length", "short"): (3, 1.0),
        ("length", "middle"): (3, 1.0),
        ("length", "long"): (3, 0.0),
        ("tag", "odd"): (4, 0.75),
        ("tag", "even"): (5, 0.6),
    }


def test_leaked_cases_are_in_no_slice(tmp_path: Path) -> None:
    result = read(run(tmp_path, cases=6, base=BASE, tuned=TUNED)).result
    assert {one.name: one.number for one in past.slices(result) if one.kind == "tag"} == {"odd": 3}


def test_slice_narrows_the_list(tmp_path: Path) -> None:
    shown = read(run(tmp_path))
    page = past_view.slices_table(past.slices(shown.result), shown, EN)
    assert 'data-part="tag" data-value="odd"' in page
    assert past_view.slices_table([], shown, EN) == ""


def test_part_that_is_surely_worse_is_said_before_anything_is_unfolded(tmp_path: Path) -> None:
    cases = [
        {"id": f"c{n}", "prompt": "退货吗？" if n % 2 else "Return?", "expected": {"a": 1}, "tags": [str(n)]}
        for n in range(40)
    ]
    suite = suite_from({"name": "s", "schema": {}, "cases": cases}, "test")
    contestant = ScriptedContestant("base", {"退货吗？": BAD, "Return?": GOOD})
    runner.run(suite, [contestant], tmp_path)
    shown = read(tmp_path)
    page = past_view.slices_table(past.slices(shown.result), shown, EN)
    assert "base is surely worse on Chinese questions" in page.partition("<details")[0]
