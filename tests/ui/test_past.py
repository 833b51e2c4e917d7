"""A suite over time and in parts: which results are points of its plot, and what each part's rate is."""

from __future__ import annotations

from pathlib import Path

from fakes import ScriptedContestant, dated
from small_result import BAD, GOOD, read, run

from qwenlab.evals import runner
from qwenlab.evals.history import read_history
from qwenlab.evals.result import Result
from qwenlab.evals.suite import suite_from
from qwenlab.ui import past_view
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


def plot(workspace: Workspace, result: Result, t: Translator = EN) -> str:
    return past_view.over_time(read_history(workspace.results, "s"), result, View(), t)


def test_plot_marks_the_open_result_and_where_the_rules_changed(workspace: Workspace) -> None:
    dated(run(workspace.results / "a"), 1e9)
    dated(run(workspace.results / "b"), 1.1e9)
    dated(run(workspace.results / "c", cases=5), 1.2e9)
    result = read(workspace.results / "b").result
    page = plot(workspace, result)
    assert page.count('data-do="result"') == 6
    assert page.count('class="changed"') == 1
    assert page.count('aria-current="true"') == 1
    assert 'data-folder="a"' in page
    assert "tuned: 20.0 %" in page
    assert "tuned：5 例的 20.0%" in plot(workspace, result, ZH)


def test_one_result_is_no_history(workspace: Workspace) -> None:
    folder = run(workspace.results / "a")
    assert plot(workspace, read(folder).result) == ""


def test_slice_narrows_the_list(tmp_path: Path) -> None:
    shown = read(run(tmp_path))
    page = past_view.slices_table(shown.parts, EN)
    assert 'data-part="tag" data-value="odd"' in page
    assert past_view.slices_table([], EN) == ""


def test_part_that_is_surely_worse_is_said_before_anything_is_unfolded(tmp_path: Path) -> None:
    cases = [
        {"id": f"c{n}", "prompt": "退货吗？" if n % 2 else "Return?", "expected": {"a": 1}, "tags": [str(n)]}
        for n in range(40)
    ]
    suite = suite_from({"name": "s", "schema": {}, "cases": cases}, "test")
    contestant = ScriptedContestant("base", {"退货吗？": BAD, "Return?": GOOD})
    runner.run(suite, [contestant], tmp_path)
    shown = read(tmp_path)
    page = past_view.slices_table(shown.parts, EN)
    assert "base is surely worse on Chinese questions" in page.partition("<details")[0]
