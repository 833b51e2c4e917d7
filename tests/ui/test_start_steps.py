"""How far the five steps are, by the workspace alone, in both languages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from small_workspace import a_lab, a_run, a_test, aged, an_export

from qwenlab import files
from qwenlab.export import card
from qwenlab.jobs import Job
from qwenlab.ui import lineage, start_view
from qwenlab.ui.journey import Guide, Journey
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return a_lab(tmp_path)


def look(lab: Lab, t: Translator = EN) -> Journey:
    return Guide(lab, Readers(), t).look(lineage.trace(lab))


def states(lab: Lab) -> dict[str, str]:
    return {step.name: step.state for step in look(lab).steps}


def test_newcomer_is_told_to_train_what_it_takes_and_what_needs_it(lab: Lab) -> None:
    found = look(lab)
    assert states(lab) == {"data": "done", "train": "next", "compare": "later", "test": "later", "export": "later"}
    train = found.steps[1]
    assert train.seconds
    assert found.left > train.seconds
    assert found.meaning == ""


def test_without_conversations_the_first_step_is_to_bring_some(tmp_path: Path) -> None:
    lab = a_lab(tmp_path, samples=0)
    assert states(lab)["data"] == "next"
    assert states(lab)["train"] == "later"


def test_data_that_cannot_be_read_say_why(lab: Lab) -> None:
    path = lab.dataset_path()
    assert path is not None
    path.write_text("{oops")
    step = look(lab).steps[0]
    assert step.state == "problem"
    assert "use Import" in step.said


def test_model_that_is_not_here_is_said_instead_of_a_time(lab: Lab) -> None:
    lab.choose(model="qwen2.5-coder-0.5b")
    step = look(lab).steps[1]
    assert (step.state, step.seconds) == ("next", None)
    assert "not on this computer" in step.said


def test_training_in_progress_tells_step_and_time_left(lab: Lab) -> None:
    a_run(lab, state="running")
    step = look(lab).steps[1]
    assert (step.state, step.fraction, step.seconds, step.place) == ("busy", 0.5, 90.0, "shop-1")
    assert "next" not in states(lab).values()


def test_failed_training_gives_its_reason_and_stopped_one_can_go_on(lab: Lab) -> None:
    a_run(lab, state="failed")
    step = look(lab).steps[1]
    assert (step.state, step.said) == ("problem", "No room. Make some.")
    a_run(lab, "shop-2", state="stopped", ago=10)
    assert "go on" in look(lab).steps[1].said


def test_finished_training_leads_to_compare_then_test_then_export(lab: Lab) -> None:
    run = a_run(lab)
    assert states(lab) == {"data": "done", "train": "done", "compare": "next", "test": "open", "export": "open"}
    a_test(lab, run.id)
    assert states(lab) == {"data": "done", "train": "done", "compare": "open", "test": "done", "export": "next"}
    export = an_export(lab, run.id)
    assert states(lab)["export"] == "done"
    assert "next" not in states(lab).values()
    assert "Ready to hand over" in start_view.guided_path(look(lab), EN)
    files.write_json(export / card.SCORECARD, {"passed": True})
    assert "Proven" in start_view.guided_path(look(lab), EN)
    files.write_json(export / card.SCORECARD, {"passed": False})
    assert states(lab)["export"] == "problem"


def test_conversation_with_the_run_makes_compare_done(lab: Lab) -> None:
    run = a_run(lab)
    reply = {"entrant": {"name": run.id}}
    talk = {"changed": "2026-01-01T00:00:00Z", "exchanges": [{"message": "hi", "replies": [reply]}]}
    files.write_json(lab.workspace.talks / "t1.json", talk)
    assert states(lab)["compare"] == "done"


def test_changed_data_are_noticed_after_training(lab: Lab) -> None:
    a_run(lab)
    document = lab.document()
    assert document is not None
    path = document.dataset.path
    path.write_bytes(path.read_bytes() + b"\n")
    step = look(lab).steps[1]
    assert step.state == "warn"
    assert "changed since" in step.said


def test_test_of_what_was_trained_again_is_asked_for_anew(lab: Lab) -> None:
    run = a_run(lab)
    a_test(lab, run.id)
    aged(run.folder / "adapter" / "adapter_model.safetensors", -60)
    assert states(lab)["test"] == "warn"


def test_test_that_has_only_been_started_is_in_progress(lab: Lab) -> None:
    run = a_run(lab)
    job = Job(lab.workspace.results / "s-1")
    argv = ["qwenlab", "test", "s", "-c", f"tuned=smollm2-135m+{run.id}"]
    files.write_json(job.folder / "job.json", {"kind": "test", "argv": argv, "started": time.time()})
    files.write_json(job.folder / "pid", {"starting": time.time()})
    assert states(lab)["test"] == "busy"


def test_meaning_is_the_verdict_of_the_newest_whole_test(lab: Lab) -> None:
    run = a_run(lab)
    a_test(lab, run.id)
    assert "whether tuned is better than base" in look(lab).meaning
    assert "无法判断 tuned" in look(lab, ZH).meaning


def test_run_of_another_model_or_data_set_says_nothing_of_these(lab: Lab) -> None:
    a_run(lab)
    lab.choose(model="qwen2.5-coder-0.5b")
    assert states(lab)["train"] == "next"


def test_time_of_a_test_is_that_of_earlier_ones_here(lab: Lab) -> None:
    before = next(step for step in look(lab).steps if step.name == "test").seconds
    folder = a_test(lab)
    summary = files.read_json(folder / "base" / "summary.json")
    files.write_json(folder / "base" / "summary.json", {**summary, "answer_seconds": 600.0})
    after = next(step for step in look(lab).steps if step.name == "test").seconds
    assert before is not None
    assert after == pytest.approx(2 * 100 * 60)  # 100 s a case, base and adapter, 60 English cases


@pytest.mark.parametrize("t", [EN, ZH], ids=["en", "zh"])
def test_page_escapes_names_and_links_to_each_place(lab: Lab, t: Translator) -> None:
    run = a_run(lab, "<b>run")
    an_export(lab, run.id)
    a_test(lab, run.id, name="<i>test")
    found = lineage.trace(lab)
    page = start_view.guided_path(look(lab, t), t) + start_view.came_from(found, lab.dataset_path(), t)
    assert "<b>run" not in page
    assert "<i>test" not in page
    for tab in ("tab_data", "tab_train", "tab_compare", "tab_test", "tab_export"):
        assert f'data-goto="{tab}"' in page
    for tab, name in (("tab_train", "&lt;b&gt;run"), ("tab_test", "&lt;i&gt;test"), ("tab_export", "&lt;b&gt;run")):
        assert f'data-goto="{tab}" data-name="{name}"' in page


def test_workspace_with_nothing_made_says_what_will_stand_there(lab: Lab) -> None:
    assert "Nothing has been made yet" in start_view.came_from(lineage.trace(lab), lab.dataset_path(), EN)
