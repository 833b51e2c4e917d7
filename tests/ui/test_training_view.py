"""The Train tab's picture of runs: from made-up run folders to HTML, and from the recipe to form fields."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_folder import write_model

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set, versions
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import presets
from qwenlab.training.queue import Queue
from qwenlab.training.recipe import Recipe
from qwenlab.ui import getting, recipe_form, roster, training_plan, training_tab, training_view
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.ui.loss_curve import loss_curve
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_plan import Plan
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import SHIPPED, Workspace

EN, ZH = Translator("en"), Translator("zh")
STEP = {"learning_rate": 1e-4, "tokens_per_s": 50.0, "eta_seconds": 120.0, "memory_bytes": 2_500_000_000}


def a_run(folder: Path, steps: int = 3, total: int = 10, model: str = "smollm2-135m") -> Job:
    job = Job(folder)
    files.write_json(folder / "recipe.json", Recipe(model=model, languages=["en"]).model_dump())
    files.write_json(folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.report("encoded", samples=20, tokens=4000, trained_tokens=900, steps=total, left_out=[["<b>x", "too long"]])
    for step in range(1, steps + 1):
        job.report("step", step=step, total=total, loss=1.0 / step, **STEP)
    return job


def as_running(job: Job) -> Job:
    job._write_pid(os.getpid())
    return job


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(Workspace(tmp_path), model="smollm2-135m")
    lab.choose(
        dataset=str(new_data_set(lab.workspace, "mine", [Sample.make("a", [("user", "q"), ("assistant", "a")])]))
    )
    return lab


def shown(job: Job, t: Translator = EN) -> str:
    return training_view.run_view(job, Readers().look(job), t)


# --- one run ---------------------------------------------------------------------------------------------


def test_running_run_says_step_time_left_speed_and_memory(tmp_path: Path) -> None:
    html = shown(as_running(a_run(tmp_path / "run-1")))
    assert "step 3 of 10" in html
    assert "2 min left" in html
    assert "2.5 GB" in html
    assert "running" in html
    assert "data-goto" not in html


def test_finished_run_says_what_to_do_next_in_both_languages(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", steps=10)
    job.finish("finished")
    assert 'data-goto="tab_compare">Compare it' in shown(job)
    assert 'data-goto="tab_test">去测试' in shown(job, ZH)


def test_failed_run_says_reason_and_remedy_escaped(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    job.finish("failed", QwenlabError("Out of <memory>.", "Choose a smaller micro-batch."))
    html = shown(job)
    assert "Out of &lt;memory&gt;." in html
    assert "Choose a smaller micro-batch." in html


@pytest.mark.parametrize("saved", [True, False])
def test_interrupted_run_says_from_where_it_would_go_on(tmp_path: Path, saved: bool) -> None:
    job = a_run(tmp_path / "run-1")
    if saved:
        files.write_text(job.folder / "checkpoints" / "checkpoint-2" / "complete", "")
    html = shown(job)
    assert "interrupted" in html
    assert ("the last save, step 2;" in html) is saved
    assert ("begins again from the first step" in html) is not saved


def test_stopping_run_offers_nothing_rash_at_first(tmp_path: Path) -> None:
    job = as_running(a_run(tmp_path / "run-1"))
    assert training_view.stop_waits(job) is None
    job.stop()
    waits = training_view.stop_waits(job)
    assert waits is not None
    assert waits < training_view.KILL_AFTER
    assert "Saving and stopping" in shown(job)


def test_left_out_samples_and_the_log_are_folded_and_escaped(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    files.write_text(job.folder / "log.txt", "a <script> in the log")
    html = shown(job)
    assert "Samples left out: 1" in html
    assert "&lt;b&gt;x" in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_unreadable_run_is_said_and_does_not_break_the_table(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    files.write_text(job.folder / "recipe.json", "{oops")
    assert "cannot be read" in shown(job)
    assert "run-1" in training_view.runs_table([job], Readers(), "", EN)


def test_reader_reads_each_event_once(tmp_path: Path) -> None:
    job, readers = a_run(tmp_path / "run-1"), Readers()
    job.report("timing", seconds=5.0)
    assert readers.look(job).seconds == 5.0
    assert readers.look(Job(job.folder)).seconds == 5.0


def test_table_marks_the_shown_run_and_names_each_row(tmp_path: Path) -> None:
    jobs = [a_run(tmp_path / "run-1"), a_run(tmp_path / "run-2")]
    html = training_view.runs_table(jobs, Readers(), "run-2", EN)
    assert re.findall(r'data-key="([^"]+)"', html) == [
        *("show:run-1", "compare:run-1"),
        *("show:run-2", "compare:run-2"),
    ]
    assert "<b>run-2</b>" in html
    assert "<b>run-1</b>" not in html
    assert "3 / 10" in html


def test_boxes_say_what_is_compared_and_close_when_four_are(tmp_path: Path) -> None:
    jobs = [a_run(tmp_path / f"run-{number}") for number in range(6)]
    html = training_view.runs_table(jobs, Readers(), "", EN, ["run-1", "run-2"], 4)
    assert html.count(" checked>") == 2
    assert " disabled>" not in html
    full = training_view.runs_table(jobs, Readers(), "", EN, ["run-0", "run-1", "run-2", "run-3"], 4)
    assert (full.count(" checked>"), full.count(" disabled>")) == (4, 2)


def test_boxes_are_ticked_and_unticked_and_never_more_than_four(tmp_path: Path) -> None:
    chosen: list[str] = []
    for run in ("a", "b", "a", "c", "d", "e", "f"):
        chosen = training_tab.toggled(chosen, run)
    assert chosen == ["b", "c", "d", "e"]


def test_saved_states_of_a_run_are_named_as_compare_names_them(lab: Lab) -> None:
    job = a_run(lab.workspace.runs / "run-1")
    files.write_json(job.folder / "base.json", {"folder": str(lab.workspace.models / "smollm2-135m")})
    for step in (2, 3):
        files.write_text(job.folder / "checkpoints" / f"checkpoint-{step}" / "complete", "")
    kept = roster.of_run(lab, job)
    html = training_view.run_view(job, Readers().look(job), EN, kept)
    assert "Saved states that can be tried: 2" in html
    assert all(one.name in html for one in kept)
    assert 'data-goto="tab_compare"' in html
    assert "Saved states" not in shown(job)


# --- the loss curve --------------------------------------------------------------------------------------


def test_curve_starts_and_ends_at_its_first_and_last_step() -> None:
    html = loss_curve({1: 2.0, 2: 1.0, 3: 0.0}, {}, EN)
    path = re.search(r'class="each" d="([^"]+)"', html)
    assert path
    assert path[1] == "M0.0 0.0L500.0 500.0L1000.0 1000.0"
    assert "step 2: loss 1.000" in html


@pytest.mark.parametrize("highest", [1e-4, 0.07, 0.9, 1.0, 7.3, 12345.0])
def test_axis_reaches_above_the_highest_loss_with_few_round_marks(highest: float) -> None:
    html = loss_curve({1: highest, 2: highest / 2}, {}, EN)
    marks = [float(found) for found in re.findall(r'class="y"[^>]*>([^<]+)<', html)]
    assert max(marks) >= highest * 0.999
    assert 3 <= len(marks) <= 7


def test_long_curve_is_thinned_smoothed_and_stays_small() -> None:
    html = loss_curve(dict.fromkeys(range(1, 20_001), 1.0), {}, EN)
    assert len(html) < 60_000
    assert 'class="smooth"' in html
    assert "mean loss 1.000" in html


def test_numbers_that_are_none_are_left_out_of_the_curve() -> None:
    html = loss_curve({1: 1.0, 2: float("nan"), 3: float("inf"), 4: 0.5}, {}, EN)
    assert "nan" not in html
    assert "inf" not in html
    assert loss_curve({1: float("nan")}, {}, EN) == ""


def test_validation_points_have_their_own_dots_and_legend() -> None:
    html = loss_curve({1: 1.0, 2: 0.5}, {2: 0.7}, ZH)
    assert html.count('class="kept"') == 1
    assert "未参与训练的样本" in html


# --- the form --------------------------------------------------------------------------------------------


def test_form_has_every_setting_of_the_recipe_in_both_languages() -> None:
    for language in ("en", "zh"):
        fields = recipe_form.form_fields(language, ())
        assert [one.name for one in fields] == list(Recipe.model_fields)
        assert all(one.title and one.help for one in fields)
    titles = [one.title for one in recipe_form.form_fields("zh")]
    assert "学习率" in titles


def field(name: str) -> recipe_form.FormField:
    return next(one for one in recipe_form.form_fields("en") if one.name == name)


def test_limits_and_kinds_come_from_the_declaration() -> None:
    assert (field("learning_rate").low, field("learning_rate").high, field("learning_rate").above) == (0, 1e-2, True)
    assert field("schedule").choices == ("linear", "cosine", "constant")
    assert (field("languages").kind, field("languages").choices) == ("several", ("en", "zh"))
    assert (field("rank").kind, field("rank").low, field("rank").above) == ("whole", 1, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("epochs", None), ("rank", 0), ("rank", 1.5), ("dropout", 0.6), ("learning_rate", float("nan"))],
)
def test_value_out_of_range_is_refused_in_the_page_s_language(name: str, value: Any) -> None:
    one = field(name)
    with pytest.raises(QwenlabError) as caught:
        recipe_form.checked([one], [value], EN)
    assert one.title in caught.value.what


def test_defaults_pass_the_check_and_make_the_same_recipe() -> None:
    fields = recipe_form.form_fields("en")
    values = recipe_form.checked(fields, [one.default for one in fields], EN)
    assert Recipe(**values) == Recipe()


def test_every_setting_stands_in_one_section_and_none_among_the_others() -> None:
    fields = recipe_form.form_fields("en")
    sections = recipe_form.in_sections(fields)
    placed = [field.name for _, inside in sections for field in inside]
    assert sorted(placed) == sorted(field.name for field in fields)
    assert recipe_form.OTHERS not in dict(sections), "name the section of a new setting"
    strange = replace(fields[0], name="brand_new")
    assert recipe_form.in_sections([strange]) == [(recipe_form.OTHERS, [strange])]


@pytest.mark.parametrize("name", list(presets.PRESETS))
def test_preset_fills_the_form_with_values_that_it_accepts(name: str) -> None:
    fields = recipe_form.form_fields("en")
    values = recipe_form.preset_values(name, "smollm2-135m")
    typed = [values[field.name] for field in fields]
    assert recipe_form.checked(fields, typed, EN) == {field.name: values[field.name] for field in fields}
    assert "Changed from the preset" not in recipe_form.preset_lines(name, values, fields, typed, EN)
    assert {**values, **presets.PRESETS[name]} == values


def test_what_was_changed_by_hand_is_named_and_stays_when_the_model_changes() -> None:
    fields = recipe_form.form_fields("zh")
    before = recipe_form.preset_values("balanced", "qwen2.5-coder-0.5b")
    now = recipe_form.preset_values("balanced", "smollm2-135m")
    assert before["learning_rate"] != now["learning_rate"]
    typed = [5 if field.name == "rank" else before[field.name] for field in fields]
    html = recipe_form.preset_lines("balanced", before, fields, typed, ZH)
    assert "LoRA 秩：5（预设：16）" in html
    assert html.count("<li>") == 1
    after = dict(zip((field.name for field in fields), recipe_form.refilled(fields, typed, before, now), strict=True))
    assert after == {**{field.name: now[field.name] for field in fields}, "rank": 5}


def test_choices_known_to_hurt_are_said_in_the_page_s_language() -> None:
    wild = Recipe(learning_rate=8e-3)
    assert "0.008 is high" in training_plan.warning_lines(wild, None, EN)
    assert "偏高" in training_plan.warning_lines(wild, None, ZH)
    assert training_plan.warning_lines(Recipe(), None, EN) == ""


def test_data_line_names_what_is_trained_and_what_stands_in_the_way() -> None:
    assert "200 of 400 samples" in training_plan.data_lines(Plan("after-sales", 200, 400, ["en"]), EN)
    assert "没有此模型会说的语言的样本" in training_plan.data_lines(Plan("x", 0, 5, ["en"]), ZH)
    assert "saved when you start" in training_plan.data_lines(Plan("x", 5, 5, ["en"], unsaved=True), EN)
    assert "left out: 3." in training_plan.data_lines(Plan("x", 5, 5, ["en"], too_long=3), EN)
    assert "2 个" in training_plan.data_lines(Plan("x", 5, 5, ["en"], unusable=2), ZH)
    assert "no data set" in training_plan.data_lines(None, EN)


# --- the model and the start -----------------------------------------------------------------------------


def test_model_that_is_not_here_is_absent_then_fetched_then_ready(lab: Lab) -> None:
    assert getting.fetching(lab, "smollm2-135m", EN)[0] == "absent"
    job = Job(lab.workspace.jobs / "model-smollm2-135m")
    files.write_json(job.folder / "job.json", {"kind": "model", "argv": [], "started": time.time()})
    job.report("progress", what="downloading smollm2-135m", fraction=0.25)
    state, words = getting.fetching(lab, "smollm2-135m", EN)
    assert state == "absent"
    assert "could not be fetched" in words
    as_running(job)
    state, words = getting.fetching(lab, "smollm2-135m", ZH)
    assert state == "running"
    assert "25 %" in words
    job.finish("failed", QwenlabError("No network.", "Check the cable."))
    state, words = getting.fetching(lab, "smollm2-135m", EN)
    assert state == "absent"
    assert "No network." in words
    files.write_text(write_model(lab.workspace.models / "smollm2-135m") / "qwenlab-model.json", "{}")
    assert getting.fetching(lab, "smollm2-135m", EN)[0] == "ready"


def test_folder_that_is_no_model_is_said(lab: Lab, tmp_path: Path) -> None:
    state, words = getting.fetching(lab, str(tmp_path / "<nowhere>"), EN)
    assert state == "wrong"
    assert "&lt;nowhere&gt;" in words


def test_start_saves_the_edits_that_the_person_sees(lab: Lab) -> None:
    document = lab.document()
    assert document is not None
    EditorState(document).set_text(1, "a better answer")
    assert document.edited
    with pytest.raises(QwenlabError, match="not here yet"):  # no model is fetched in this test
        training_tab.start_run(lab, Queue(lab.workspace), {}, EN)
    assert not document.edited
    assert "a better answer" in document.dataset.path.read_text(encoding="utf-8")
    assert versions(document.dataset.path), "the version that is trained is kept"


def test_start_is_refused_beside_a_running_run(lab: Lab) -> None:
    as_running(a_run(lab.workspace.runs / "run-1"))
    with pytest.raises(QwenlabError, match="in progress"):
        training_tab.start_run(lab, Queue(lab.workspace), {}, EN)


def test_samples_are_counted_again_after_an_edit_only(lab: Lab) -> None:
    document, counts = lab.document(), training_plan.SampleCounts()
    assert document is not None
    first = counts.look(document)
    assert first == {"en": 1}
    assert counts.look(document) is first
    EditorState(document).duplicate()
    assert counts.look(document) == {"en": 2}


def test_start_writes_nothing_beside_a_shipped_set(lab: Lab) -> None:
    path = SHIPPED / "data" / "after-sales.train.json"
    lab.choose(dataset=str(path))
    with pytest.raises(QwenlabError, match="not here yet"):
        training_tab.start_run(lab, Queue(lab.workspace), {}, EN)
    assert versions(path) == []
