"""A suite over time: what is read, what is comparable, and the plot of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from fakes import ScriptedContestant, dated
from small_suites import TICKETS

from qwenlab.errors import QwenlabError
from qwenlab.evals import history, plots, result, runner
from qwenlab.evals.findings import gather
from qwenlab.evals.history import read_history, since_last
from qwenlab.evals.rates import Rate
from qwenlab.evals.report import aligned
from qwenlab.evals.suite import suite_from

DAY = 1_700_000_000


def suite(cases=8, **changes):
    rows = [{"id": f"c{n}", "prompt": f"q{n}", "expected": {"a": 1}} for n in range(cases)]
    return suite_from({"name": "tickets", "schema": {}, "cases": rows, **changes}, "test")


def add(results: Path, name: str, day: int, right: dict[str, int], asked=None, weights="w1") -> Path:
    """A result of that day; each contestant is right in its first so many cases."""
    asked = asked or suite()
    folder = results / name
    for contestant, count in right.items():
        script = {case.question: '{"a": 1}' if at < count else "no" for at, case in enumerate(asked.cases)}
        runner.run(asked, [ScriptedContestant(contestant, script, weights=weights)], folder)
    return dated(folder, DAY + 86_400 * day)


def test_results_stand_in_the_order_of_their_answers_with_rates_and_intervals(tmp_path):
    add(tmp_path, "b", 2, {"base": 1, "tuned": 8})
    add(tmp_path, "a", 1, {"base": 2})
    found = read_history(tmp_path, "tickets")
    assert [past.folder.name for past in found.results] == ["a", "b"]
    assert found.contestants == ["base", "tuned"]
    point = found.results[1].point("tuned")
    assert point is not None
    assert (point.n, point.rates["passed"].value) == (8, 1.0)
    assert point.rates["passed"].low == pytest.approx(0.6755924)
    assert found.results[0].point("tuned") is None
    assert json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"thresholds": {"usable": 0.9}}, ()),
        ({"description": "new words"}, ()),
        ({"cases": 9}, ("cases",)),
        ({"fields": {"/a": "number"}}, ("rules",)),
        ({"schema": {"type": "object"}}, ("rules",)),
        ({"system": "Answer in JSON."}, ("settings",)),
        ({"generation": {"max_new_tokens": 9}, "cases": 7}, ("cases", "settings")),
    ],
)
def test_what_changed_in_a_suite_is_marked_where_it_matters(tmp_path, changes, changed):
    add(tmp_path, "a", 1, {"base": 1})
    add(tmp_path, "b", 2, {"base": 2}, suite(**changes))
    assert [past.changed for past in read_history(tmp_path, "tickets").results] == [(), changed]


def test_other_suites_unfinished_runs_and_broken_folders_do_not_matter(tmp_path):
    add(tmp_path, "a", 1, {"base": 1})
    runner.run(suite_from(TICKETS | {"name": "else"}, "test"), [ScriptedContestant("base", {})], tmp_path / "other")
    with pytest.raises(RuntimeError):
        runner.run(suite(), [ScriptedContestant("base", {}, crash_after=3)], tmp_path / "cut")
    (add(tmp_path, "torn", 3, {"base": 1}) / "base" / result.SUMMARY).write_text("{")
    (add(tmp_path, "lost", 4, {"base": 1}) / result.SUITE).write_text("[1]")
    assert [past.folder.name for past in read_history(tmp_path, "tickets").results] == ["a"]


def test_a_suite_without_results_is_named_with_the_nearest_that_has_some(tmp_path):
    with pytest.raises(QwenlabError, match="Run qwenlab test first"):
        history.find_history(tmp_path, "tickets")
    add(tmp_path, "a", 1, {"base": 1})
    with pytest.raises(QwenlabError, match='Did you mean "tickets"') as caught:
        history.find_history(tmp_path, "tikets")
    assert "没有测试集“tikets”" in caught.value.say("zh")[0]


def test_the_newest_result_is_compared_with_the_last_comparable_one(tmp_path):
    add(tmp_path, "a", 1, {"base": 1, "tuned": 0})
    add(tmp_path, "b", 2, {"tuned": 4}, suite(cases=9))
    add(tmp_path, "c", 3, {"tuned": 8, "new": 1}, weights="w2")
    passed, fields = since_last(read_history(tmp_path, "tickets"))
    assert (passed.code, passed.fixed, passed.broken) == ("better", 8, 0)
    assert fields.measure == "field_accuracy"
    days = [history.moment(DAY + 86_400 * day) for day in (1, 3)]
    assert (passed.base, passed.name) == tuple(f"tuned ({day})" for day in days)


def test_the_first_result_has_nothing_to_be_compared_with(tmp_path):
    add(tmp_path, "a", 1, {"base": 1})
    assert since_last(read_history(tmp_path, "tickets")) == []


def test_the_same_name_with_other_weights_is_told_apart(tmp_path):
    for day, weights in enumerate(("w1", "w1", "w2")):
        add(tmp_path, f"r{day}", day, {"tuned": 1}, weights=weights)
    first, second, third = (past.points[0].made_by for past in read_history(tmp_path, "tickets").results)
    assert first == second != third


def test_a_report_knows_the_history_up_to_its_own_result(tmp_path):
    folders = [add(tmp_path, f"r{day}", day, {"base": day}) for day in (1, 2, 3)]
    found = gather(result.load_result(folders[1]), results=tmp_path)
    assert found.history is not None
    assert [past.folder.name for past in found.history.results] == ["r1", "r2"]
    assert gather(result.load_result(folders[0]), results=tmp_path).history is None


def test_the_table_names_a_change_between_its_rows(tmp_path):
    add(tmp_path, "a", 1, {"base": 1})
    add(tmp_path, "b", 2, {"base": 2, "tuned": 8}, suite(fields={"/a": "number"}))
    lines = aligned(history.as_table(read_history(tmp_path, "tickets"))).splitlines()
    assert lines[0].split()[:3] == ["time", "contestant", "cases"]
    assert lines[2] == "-- the rules changed --"
    assert lines[4].endswith("100.0 % (68-100)")
    assert history.as_table(read_history(tmp_path, "tickets"), "zh")[2] == ["-- 评判规则有改动 --"]


# --- plots ---------------------------------------------------------------------------------------------------


def drawn(found, measure="passed", width=720):
    return Xml.fromstring(plots.history_plot(found, measure, "en", width))


def test_a_line_is_broken_where_the_suite_changed_and_says_its_figures(tmp_path):
    add(tmp_path, "a", 1, {"base": 1})
    add(tmp_path, "b", 2, {"base": 2})
    add(tmp_path, "c", 3, {"base": 4}, suite(cases=10))
    add(tmp_path, "d", 4, {"base": 5}, suite(cases=10))
    plot = drawn(read_history(tmp_path, "tickets"))
    drawn_as = {name: [] for name in ("line", "change", "whisker", "mark", "grid")}
    for one in plot.iter("path"):
        drawn_as[one.get("class").split()[0]].append(one)
    assert [one.get("d").count("M") for one in drawn_as["line"]] == [2]
    assert [one.find("title").text for one in drawn_as["change"]] == ["the cases changed"]
    assert len(drawn_as["whisker"]) == len(drawn_as["mark"]) == 4
    assert drawn_as["mark"][3].find("title").text.endswith("50.0 % (24-76)")
    assert plot.get("aria-label") == "base: 12.5 % (2-47) - 50.0 % (24-76)"


@pytest.mark.parametrize("width", [340, 720, 1200])
@pytest.mark.parametrize("results", [1, 2, 40])
def test_everything_stands_inside_the_plot(tmp_path, width, results):
    for day in range(results):
        add(tmp_path, f"r{day:02}", day, {"base": day % 9, "tuned": 8}, suite())
    plot = drawn(read_history(tmp_path, "tickets"), width=width)
    _, _, wide, high = map(float, plot.get("viewBox").split())
    labels = [one for one in plot.iter("text") if one.get("text-anchor") == "middle"]
    assert labels
    for one in plot.iter("text"):
        assert 0 <= float(one.get("x")) <= wide
        assert 0 <= float(one.get("y")) <= high
    across = sorted({float(one.get("x")) for one in labels})
    assert all(right - left >= 70 for left, right in zip(across, across[1:], strict=False)), "dates do not overlap"


def test_a_measure_that_nobody_has_leaves_an_empty_plot(tmp_path):
    add(tmp_path, "a", 1, {"base": 1})
    plot = drawn(read_history(tmp_path, "tickets"), "nothing")
    assert {one.get("class") for one in plot.iter("path")} == {"grid"}


def test_bars_are_as_wide_as_the_rate_and_its_interval():
    bar = Xml.fromstring(plots.rate_bar(Rate(0.625, 120, 0.5, 0.75)))
    rail, fill, between = bar.iter("rect")
    assert (rail.get("width"), fill.get("width")) == ("100", "62.5")
    assert (between.get("x"), between.get("width")) == ("50.0", "25.0")
    assert bar.get("aria-label") == "62.5 % (50-75)"


def test_parts_of_a_whole_fill_the_bar():
    parts = [("strict", 3, "strict: 3"), ("none", 0, "none: 0"), ("error", 1, "<errors>: 1")]
    bar = Xml.fromstring(plots.parts_bar(parts))
    assert [(one.get("class"), one.get("x"), one.get("width")) for one in bar.iter("rect")] == [
        ("strict", "0.00", "75.00"),
        ("error", "75.00", "25.00"),
    ]
    assert bar.get("aria-label") == "strict: 3, <errors>: 1"


def test_a_result_of_an_older_version_is_as_old_as_its_file_of_answers(tmp_path):
    folder = add(tmp_path, "old", 1, {"base": 8})
    for path in (folder / "base" / "answers.jsonl", folder / "base" / "summary.json"):
        text = path.read_text()
        lines = [json.loads(one) for one in (text.splitlines() if path.suffix == ".jsonl" else [text])]
        kept = [{key: value for key, value in line.items() if key not in ("at", "time")} for line in lines]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.utime(folder / "base" / "answers.jsonl", (DAY, DAY))
    (past,) = read_history(tmp_path, "tickets").results
    assert past.time == result.load_result(folder).contestants[0].time == DAY


def test_a_result_keeps_its_time_when_it_is_copied_or_scored_again(tmp_path):
    folder = add(tmp_path, "first", 1, {"base": 8})
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    result.rescore(tmp_path / "copy", suite(fields={"/a": "number"}))
    assert {past.time for past in read_history(tmp_path, "tickets").results} == {DAY + 86_400}
