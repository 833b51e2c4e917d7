"""Runs compared: curves that need no colour, only what differs, the same data or not, scores side by side."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from qwenlab import files
from qwenlab.evals import words
from qwenlab.jobs import Job
from qwenlab.training.recipe import Recipe
from qwenlab.ui import run_compare
from qwenlab.ui.loss_curve import LINES, Curve, loss_curves
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
STEP = {"learning_rate": 1e-4, "tokens_per_s": 50.0, "eta_seconds": 120.0, "memory_bytes": 2_500_000_000}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def a_run(workspace: Workspace, name: str, data: str = "[]", **settings: Any) -> Job:
    job = Job(workspace.runs / name)
    recipe = Recipe(model="smollm2-135m", languages=["en"], **settings)
    files.write_json(job.folder / "recipe.json", recipe.model_dump())
    files.write_text(job.folder / "data.json", data)
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.report("encoded", samples=20, tokens=4000, trained_tokens=900, steps=10, left_out=[])
    for step in range(1, 4):
        job.report("step", step=step, total=10, loss=1.0 / step, **STEP)
    job.report("validation", step=2, loss=0.7)
    job.report("validation", step=3, loss=0.9)
    job.finish("finished")
    return job


def put_result(
    workspace: Workspace,
    job: Job,
    result: str,
    adapter: str = "adapter",
    suite: str = "1",
    enforced: str = "",
    **rates: Any,
) -> None:
    folder = workspace.results / result
    files.write_json(folder / "suite.json", {"name": "tickets"})
    describe = {"kind": "adapter", "adapter": str(job.folder / adapter)} | (
        {"enforced_for": enforced} if enforced else {}
    )
    about = {"name": job.id, "describe": describe, "suite": suite}
    files.write_json(folder / job.id / "contestant.json", about)
    intervals = {name: [value - 0.1, value + 0.1] for name, value in rates.items()}
    files.write_json(folder / job.id / "summary.json", {"n": 24, **rates, "intervals": intervals})


def compared(workspace: Workspace, *jobs: Job, t: Translator = EN) -> str:
    return run_compare.comparison(workspace, jobs, Readers(), t)


def rows(html: str) -> dict[str, list[str]]:
    """Title of a row -> its cells, without tags."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", html):
        cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        if cells:
            found[cells[0]] = cells[1:]
    return found


# --- what differs ----------------------------------------------------------------------------------------


def test_nothing_or_one_run_is_no_comparison(workspace: Workspace) -> None:
    assert compared(workspace) == ""
    assert "Tick another run" in compared(workspace, a_run(workspace, "run-1"))


def test_only_what_differs_is_listed_in_the_page_s_language(workspace: Workspace) -> None:
    first, second = a_run(workspace, "run-1", rank=8), a_run(workspace, "run-2", rank=32)
    shown = rows(compared(workspace, first, second))
    assert shown["LoRA rank"] == ["8", "32"]
    assert "Epochs" not in shown
    assert rows(compared(workspace, first, second, t=ZH))["LoRA 秩"] == ["8", "32"]


def test_runs_with_the_same_recipe_say_so(workspace: Workspace) -> None:
    assert "All settings are the same." in compared(workspace, a_run(workspace, "run-1"), a_run(workspace, "run-2"))


def test_data_are_the_same_by_what_is_in_them(workspace: Workspace) -> None:
    jobs = [a_run(workspace, "run-1", "[1]"), a_run(workspace, "run-2", "[1]"), a_run(workspace, "run-3", "[2]")]
    shown = rows(compared(workspace, *jobs))
    first, same, other = shown["Version of the data"]
    assert same == f"{first}, same as A"
    assert other.endswith(", not the same as A")
    assert not other.startswith(first)
    assert shown["Samples"] == ["20", "20", "20"]


def test_last_and_best_validation_loss_stand_apart(workspace: Workspace) -> None:
    shown = rows(compared(workspace, a_run(workspace, "run-1"), a_run(workspace, "run-2")))
    assert shown["Loss on samples kept out, last"] == ["0.900", "0.900"]
    assert shown["Loss on samples kept out, best"] == ["0.700", "0.700"]


def test_unreadable_run_does_not_hide_the_others(workspace: Workspace) -> None:
    whole, broken = a_run(workspace, "run-1"), a_run(workspace, "run-<2>")
    files.write_text(broken.folder / "recipe.json", "{oops")
    (broken.folder / "data.json").unlink()
    html = compared(workspace, whole, broken)
    assert "cannot be read" in html
    assert "run-&lt;2&gt;" in html
    assert "<2>" not in html
    assert rows(html)["Last loss"] == ["0.333", "0.333"]


# --- scores ----------------------------------------------------------------------------------------------


def test_scores_stand_side_by_side_newest_first_and_the_end_before_a_checkpoint(workspace: Workspace) -> None:
    first, second, third = (a_run(workspace, f"run-{number}") for number in (1, 2, 3))
    put_result(workspace, first, "t-1", passed=0.5)
    put_result(workspace, first, "t-2", adapter="checkpoints/checkpoint-9", passed=0.9)
    put_result(workspace, second, "t-3", adapter="checkpoints/checkpoint-2", passed=0.25)
    html = compared(workspace, first, second, third)
    shown = rows(html)
    assert shown["Cases"] == ["24", "24 (checkpoint of step 2)", "not tested"]
    assert [cell.split("%")[0].strip() for cell in shown[words.measure_name("passed", "en")]] == ["50.0", "25.0", "–"]
    assert "tickets" in html


def test_answers_with_the_schema_enforced_are_not_the_run_s_own_scores(workspace: Workspace) -> None:
    first, second = a_run(workspace, "run-1"), a_run(workspace, "run-2")
    put_result(workspace, first, "t-1", passed=0.5)
    put_result(workspace, first, "t-2", enforced="run-1", passed=0.9)
    shown = rows(compared(workspace, first, second))
    assert shown[words.measure_name("passed", "en")][0].startswith("50.0")


def test_suite_that_was_changed_between_two_tests_is_another_test(workspace: Workspace) -> None:
    first, second = a_run(workspace, "run-1"), a_run(workspace, "run-2")
    put_result(workspace, first, "t-1", suite="before", passed=0.5)
    put_result(workspace, second, "t-2", suite="after", passed=0.9)
    assert compared(workspace, first, second).count("<p>tickets</p>") == 2


def test_run_whose_name_begins_like_another_s_does_not_get_its_scores(workspace: Workspace) -> None:
    first, second = a_run(workspace, "run-1"), a_run(workspace, "run-10")
    put_result(workspace, second, "t-1", passed=0.9)
    assert run_compare.tests_of(workspace, first) == {}
    assert "none of these" not in compared(workspace, first, second).lower()
    assert "None of these runs has been tested" in compared(workspace, first, a_run(workspace, "run-3"))


# --- curves ----------------------------------------------------------------------------------------------


def test_each_curve_has_its_own_dashes_and_a_letter_at_its_end() -> None:
    curves = [Curve(letter, f"run-{letter}", {1: 2.0, 2: 1.0 + at / 9}, {}) for at, letter in enumerate("ABCD")]
    html = loss_curves(curves, EN)
    plot = html[html.index('<div class="curve">') :]
    assert len({dashes for _, dashes in LINES}) == 4
    assert "--accent:var(--accent)" not in html, "a name that means itself means nothing"
    assert len(set(re.findall('stroke-dasharray:([^"]+)', plot))) == 4
    ends = re.findall(r"bottom:([\d.]+)%;margin-left[^>]*>([A-D])<", plot)
    assert [letter for _, letter in sorted(ends, key=lambda end: float(end[0]))] == ["A", "B", "C", "D"]
    assert all(f"<b>{letter}</b> run-{letter}" in html for letter in "ABCD")


def test_letters_of_equal_curves_do_not_lie_on_each_other() -> None:
    html = loss_curves([Curve(letter, letter, {1: 2.0, 2: 1.0}, {}) for letter in "ABC"], EN)
    heights = sorted(float(found) for found in re.findall(r"bottom:([\d.]+)%;margin-left", html))
    assert all(above - below >= 6.9 for below, above in zip(heights, heights[1:], strict=False))


def test_short_curve_has_its_letter_where_it_ends() -> None:
    html = loss_curves([Curve("A", "a", {1: 2.0, 101: 1.0}, {}), Curve("B", "b", {1: 2.0, 51: 1.0}, {})], EN)
    assert re.findall(r"left:([\d.]+)%;bottom:50.0%;margin-left", html) == ["100.0", "50.0"]


def test_validation_marks_carry_the_letter_of_their_run() -> None:
    losses = {1: 2.0, 2: 1.0}
    html = loss_curves([Curve("A", "a", losses, {2: 0.5}), Curve("B", "b", losses, {2: 0.7})], EN)
    assert re.findall(r'title="([AB]): step 2: loss ([\d.]+)[^>]*>(.)<', html) == [
        *(("A", "0.500", "Ⓐ"), ("B", "0.700", "Ⓑ")),
    ]
    assert "Ⓐ Ⓑ on samples kept out" in html


def test_runs_with_other_batch_sizes_are_laid_over_each_other_by_samples(workspace: Workspace) -> None:
    small, large = a_run(workspace, "run-1", batch_size=2), a_run(workspace, "run-2", batch_size=4)
    html = compared(workspace, small, large)
    assert "Loss by samples seen" in html
    marks = [int(found.replace(",", "")) for found in re.findall(r'class="x"[^>]*>([\d,]+)<', html)]
    assert (min(marks), max(marks)) == (2, 12)
    assert "step 3: loss 0.900" in html, "what a dot says counts steps"
    assert "Loss by step" in compared(workspace, small, a_run(workspace, "run-3", batch_size=2))


def test_curves_without_a_number_are_left_out() -> None:
    assert loss_curves([Curve("A", "a", {}, {}), Curve("B", "b", {1: float("nan")}, {})], EN) == ""
    html = loss_curves([Curve("A", "a", {}, {}), Curve("B", "b", {1: 1.0, 2: 0.5}, {2: 0.6})], ZH)
    assert html.count('class="each"') == 1
    assert "nan" not in html
