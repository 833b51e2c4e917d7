"""What the Train tab shows of the test that decides: its cost before the start, its scores afterwards."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import runs
from qwenlab.training.queue import Queue
from qwenlab.training.recipe import Recipe
from qwenlab.ui import deciding, look_view, recipe_form, run_compare, training_tab, training_view
from qwenlab.ui.deciding import Cost
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_form import Form
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
STEP = {"learning_rate": 1e-4, "tokens_per_s": 50.0, "eta_seconds": 120.0, "memory_bytes": 2_500_000_000}
WHY = {"reason": "Torn <suite>.", "remedy": "Mend it.", "reason_zh": "测试集损坏。", "remedy_zh": "请修复。"}


def a_run(folder: Path, scores: dict[int, float | None], model: str = "smollm2-135m") -> Job:
    job = Job(folder)
    files.write_json(folder / "recipe.json", Recipe(model=model, languages=["en"], suite="tickets").model_dump())
    files.write_json(folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.report("encoded", samples=20, tokens=4000, trained_tokens=900, steps=10, left_out=[])
    for step in range(1, 11):
        job.report("step", step=step, total=10, loss=1.0 / step, **STEP)
        score = scores.get(step)
        if score is not None:
            rates = {"score": score, "usable": score, "field_accuracy": score, "passed": score / 2}
            job.report("look", step=step, **rates, n=24, loss=None, seconds=12.0)
        elif step in scores:
            job.report("look_failed", step=step, **WHY)
    return job


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(Workspace(tmp_path), model="smollm2-135m")
    lab.choose(
        dataset=str(new_data_set(lab.workspace, "mine", [Sample.make("a", [("user", "q"), ("assistant", "a")])]))
    )
    cases = [{"id": f"c{number}", "prompt": f"Question {number}?", "expected": "yes"} for number in range(10)]
    (lab.workspace.suites / "numbered.json").write_text(json.dumps({"name": "numbered", "cases": cases}))
    return lab


def shown(job: Job, t: Translator = EN) -> str:
    return training_view.run_view(job, Readers().look(job), t)


# --- afterwards ------------------------------------------------------------------------------------------


def test_scores_have_a_plot_of_their_own_with_the_best_marked(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", {4: 0.5, 7: 0.94, 10: 0.9})
    job.finish("finished")
    html = shown(job)
    assert html.count('class="score"') == 2
    assert html.count('class="score best"') == 1
    assert "best 94 %" in html
    assert "Best: step 7, score 94 % on 24 cases. That state is the result." in html
    assert "最佳：第 7 步，24 个用例得分 94 %。" in shown(job, ZH)
    assert "Looks at the test: 3" in html


def test_running_run_says_best_so_far_and_how_many_questions_are_answered(tmp_path: Path) -> None:
    import os

    job = a_run(tmp_path / "run-1", {4: 0.5})
    job._write_pid(os.getpid())
    job.report("asking", step=10, done=12, total=24)
    assert "Asking the test&#x27;s questions (12 of 24)" in shown(job)
    assert "正在提出测试中的问题（12 / 24）" in shown(job, ZH)
    assert "Best so far: step 4" in shown(job)


def test_test_that_nobody_passed_is_said_to_choose_nothing(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", {4: 0.0, 10: 0.0})
    assert "No answer was right yet" in shown(job)
    job.finish("finished")
    assert "The state at the end is the result." in shown(job)
    assert "best score" not in shown(job)


def test_failed_looks_are_told_once_a_reason_and_escaped(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", {4: None, 7: 0.5, 10: None})
    html = shown(job)
    assert "could not be asked at step 4, 10;" in html
    assert "Torn &lt;suite&gt;. Mend it." in html
    assert "第 4、10 步未能完成测试" in shown(job, ZH)
    assert "测试集损坏。" in shown(job, ZH)


def test_run_without_a_deciding_test_looks_as_before(tmp_path: Path) -> None:
    html = shown(a_run(tmp_path / "run-1", {}))
    assert "Looks at the test" not in html
    assert html.count('class="curve"') == 1
    assert 'class="curve small"' not in html


def test_table_has_a_column_of_scores_once_a_run_has_one(tmp_path: Path) -> None:
    plain, scored = a_run(tmp_path / "run-1", {}), a_run(tmp_path / "run-2", {4: 0.5, 10: 0.8})
    heads = re.findall(r"<th(?: [^>]*)?>([^<]*)<", training_view.runs_table([plain, scored], Readers(), "", EN))
    assert heads == ["Run", "State", "Model", "Steps", "Loss", "Score", "Started"]
    assert ">80 %<" in training_view.runs_table([plain, scored], Readers(), "", EN)
    assert "Score" not in training_view.runs_table([plain], Readers(), "", EN)


def test_compared_runs_show_their_best_scores(lab: Lab) -> None:
    jobs = [a_run(lab.workspace.runs / "run-1", {4: 0.5}), a_run(lab.workspace.runs / "run-2", {})]
    html = run_compare.comparison(lab.workspace, jobs, Readers(), EN)
    assert "50 % on 24 cases, step 4" in html


@pytest.mark.parametrize(("share", "words"), [(0.944, "94 %"), (1.0, "100 %"), (0.0, "0 %")])
def test_score_has_no_more_digits_than_few_cases_give(share: float, words: str) -> None:
    assert look_view.percent(share) == words


# --- before the start ------------------------------------------------------------------------------------


def test_cost_says_cases_looks_time_and_what_stays_new() -> None:
    line = deciding.cost_lines(Cost(24, 60, 4, seconds=200.0, judged_by="run-1"), EN)
    assert "Asks 24 of its 60 cases 4 times, about 3 min in all judging by run-1. The other 36 stay new" in line
    assert "training takes that much longer" in deciding.cost_lines(Cost(24, 60, 4), EN)
    assert "其余 36 个留给最后的测试" in deciding.cost_lines(Cost(24, 60, 4), ZH)
    assert "No case is left to prove the result on" in deciding.cost_lines(Cost(60, 60, 4), EN)
    assert deciding.cost_lines(None, EN) == ""


def test_cost_follows_from_earlier_looks_of_this_model(lab: Lab) -> None:
    look = Readers().look
    assert deciding.cost_of(lab, "", 4, 5, [], look) is None
    assert deciding.cost_of(lab, "numbered", 4, 5, [], look) == Cost(5, 10, 4)
    a_run(lab.workspace.runs / "run-1", {4: 0.5, 10: 0.8})
    assert deciding.cost_of(lab, "numbered", 4, 6, [], look) == Cost(6, 10, 4, 12.0, "run-1")
    lab.choose(model="qwen2.5-coder-0.5b")
    cost = deciding.cost_of(lab, "numbered", 4, 0, ["en"], look)
    assert cost == Cost(10, 10, 4), "another model takes another time"
    with pytest.raises(QwenlabError, match="No case"):
        deciding.cost_of(lab, "numbered", 4, 5, ["zh"], look)


def test_form_hands_on_the_deciding_test_beside_the_settings() -> None:
    fields = recipe_form.form_fields("en")
    form = Form(fields, [], None, None)
    typed = [field.default for field in fields]
    assert Recipe(**form.values([*typed, "numbered"], EN)).suite == "numbered"
    assert Recipe(**form.values([*typed, None], EN)).suite == ""
    assert "suite" not in form.values(typed, EN)


def test_start_gives_the_run_its_own_copy_of_the_test(lab: Lab) -> None:
    for name in ("qwenlab-model.json", "config.json"):
        files.write_text(lab.workspace.models / "smollm2-135m" / name, "{}")
    started: list[str] = []
    queue = Queue(lab.workspace, begin=lambda job: started.append(job.id))
    job = training_tab.start_run(lab, queue, {"suite": "numbered"}, EN)
    assert started == [job.id]
    assert runs.recipe_of(job).suite == "numbered"
    assert len(files.read_json(job.folder / "suite.json")["cases"]) == 10
    with pytest.raises(QwenlabError, match="no suite"):
        training_tab.start_run(lab, queue, {"suite": "numbers-lost"}, EN)
    assert started == [job.id], "a run that could not be judged is not made"
