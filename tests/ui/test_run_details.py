"""What a run says besides its curve: its data, an early end, a resume, packages, and how to run it elsewhere."""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import keep_version, new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.jobs import Job
from qwenlab.training.recipe import Recipe, read
from qwenlab.ui import run_details, training_view
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.ui.learned_from import LearnedFrom, differing
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import SHIPPED, Workspace

EN, ZH = Translator("en"), Translator("zh")


def a_run(folder: Path, steps: int = 3, total: int = 10, **settings: Any) -> Job:
    job = Job(folder)
    files.write_json(folder / "recipe.json", read({"model": "smollm2-135m", **settings}).model_dump())
    files.write_json(folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.report("phase", name="loading")
    job.report("encoded", samples=20, tokens=4000, trained_tokens=900, steps=total, left_out=[])
    for step in range(1, steps + 1):
        told = {
            "learning_rate": 3e-4 / step,
            "tokens_per_s": 50.0,
            "memory_bytes": 1,
            "eta_seconds": 8.0 * (total - step),
        }
        job.report("step", step=step, total=total, loss=1.0 / step, **told)
    return job


def started_again(job: Job) -> Job:
    job._write_pid(os.getpid())
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    return job


def shown(job: Job, t: Translator = EN) -> str:
    found = training_view.run_view(job, Readers().look(job), t)
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", found).split()))


# --- while it runs ---------------------------------------------------------------------------------------


def test_time_left_is_told_at_once_after_a_resume(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", steps=4, total=40)
    job.report("saved", step=3)
    started_again(job)
    assert "Starting 5 min left" in shown(job)  # 36 steps of 8 seconds, as it stood
    job.report("phase", name="loading")
    assert "Starting 5 min left" in shown(job)  # 37 steps: it goes on from the third
    job.report("phase", name="encoding")
    assert "Turning samples into tokens 5 min left" in shown(job)


def test_slow_first_step_after_a_resume_does_not_frighten(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", steps=4, total=40)
    job.report("saved", step=4)
    job.report("phase", name="loading")
    reader = Readers()
    for step, mean in ((5, 80.0), (6, 50.0), (9, 20.0), (10, 8.0)):
        told = {"learning_rate": 1e-4, "tokens_per_s": 5.0, "memory_bytes": 1, "eta_seconds": mean * (40 - step)}
        job.report("step", step=step, total=40, loss=0.1, **told)
        seen = reader.look(job)
        assert seen.eta_seconds is not None
        assert seen.eta_seconds <= mean * (40 - step)
        if step == 5:
            assert seen.eta_seconds < 35 * 25, "one slow step is no reason to say ten times as long"
    assert (seen.starts, seen.saved) == (2, 4)


def test_facts_tell_learning_rate_and_loss_on_samples_kept_out(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    job.report("validation", step=3, loss=0.456)
    said = shown(job)
    for part in ("0.0001 learning rate", "0.456 loss on samples kept out", "Learning rate: 0.0001 now"):
        assert part in said
    assert "highest is 0.0003" in said


def test_rate_line_rises_and_falls_and_stays_small() -> None:
    found = run_details.rate_fold({1: 0.0, 2: 1e-3, 3: 5e-4}, EN)
    assert 'd="M0.0 1000.0L500.0 0.0L1000.0 500.0"' in found
    assert len(run_details.rate_fold(dict.fromkeys(range(100_000), 1e-5), ZH)) < 12_000
    assert run_details.rate_fold({1: 1e-4}, EN) == ""
    assert "1000.0" in run_details.rate_fold({1: 0.0, 2: 0.0}, EN)


def test_run_of_several_machines_says_that_it_waits_and_what_to_run_there(tmp_path: Path) -> None:
    job = Job(tmp_path / "run-1")
    files.write_json(job.folder / "recipe.json", read({"machines": 3, "batch_size": 6}).model_dump())
    started_again(job)
    for heard in (False, True):
        said = shown(job)
        assert "must join before this run begins: 2." in said
        assert "On machine 3:" in said
        assert "--nnodes 3 --node_rank 2" in said
        if not heard:
            job.report("phase", name="loading")
    assert "还有 2 台机器要加入" in shown(job, ZH)
    job.report("phase", name="encoding")
    assert "must join" not in shown(job)
    started_again(job)
    assert "must join" in shown(job), "after a resume it waits again"
    job.stop()
    assert "Stopping" in shown(job)


# --- when it has ended -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "words", "words_zh"),
    [
        ({"looks": 2, "best": 0.2134}, "the last 2 looks at the samples kept out", "损失都没有低于 0.213"),
        ({"looks": 2, "best": 0.2134, "by": "loss"}, "better than a loss of 0.213", "最近 2 次检查"),
        (
            {"looks": 3, "best": 0.94, "by": "score"},
            "the last 3 tests brought nothing better than 94 %",
            "没有超过 94 %",
        ),
    ],
)
def test_early_end_says_why(tmp_path: Path, told: dict[str, Any], words: str, words_zh: str) -> None:
    job = a_run(tmp_path / "run-1")
    job.report("early_stop", step=3, **told)
    job.finish("finished")
    assert "It ended early, at step 3 of 10" in shown(job)
    assert words in shown(job)
    assert words_zh in shown(job, ZH)


def test_run_to_the_end_says_nothing_of_an_early_one(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1", steps=10)
    job.finish("finished")
    assert "early" not in shown(job)


def test_shortened_samples_are_listed_in_the_page_s_language(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    lists = {"shortened": [["<b>", "two turns"]], "shortened_zh": [["<b>", "两轮"]]}
    job.report("encoded", samples=20, tokens=1, trained_tokens=1, steps=10, left_out=[], **lists)
    assert "Samples shortened: 1" in shown(job)
    assert "两轮" in shown(job, ZH)
    assert "<b><" not in training_view.run_view(job, Readers().look(job), EN)


def test_long_list_of_samples_is_cut_and_counted_whole(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    listed = {"left_out": [[f"s{at}", "too long"] for at in range(1000)], "left_out_number": 2345}
    job.report("encoded", samples=20, tokens=1, trained_tokens=1, steps=10, **listed)
    said = shown(job)
    assert "Samples left out: 2,345" in said
    assert "and 2,245 more" in said
    assert "s99" in said
    assert "s100" not in said


def test_packages_say_whether_they_are_used_or_why_not(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    job.report("extras", name="flash-attn", used=False, reason="No card.", reason_zh="没有显卡。")
    job.report("extras", name="liger-kernel", used=True, reason="", reason_zh="")
    assert "flash-attn: not used. No card." in shown(job)
    assert "liger-kernel: used." in shown(job)
    assert "flash-attn：未使用。没有显卡。" in shown(job, ZH)


def test_run_that_failed_before_its_first_step_shows_no_empty_bar(tmp_path: Path) -> None:
    job = Job(tmp_path / "run-1")
    files.write_json(job.folder / "recipe.json", Recipe().model_dump())
    job.finish("failed")
    assert "of 0" not in shown(job)


def test_run_says_how_to_train_the_same_elsewhere(tmp_path: Path) -> None:
    job = a_run(tmp_path / "run-1")
    assert "qwenlab train recipe.json --data data.json Copy" in shown(job)
    assert "torch.distributed.run" not in shown(job)
    several = a_run(tmp_path / "run-2", processes=2)
    assert "--nproc_per_node 2" in shown(several)
    line = run_details.command('echo "it\'s <one>"', EN)
    assert html.unescape(re.findall(r'data-copy="([^"]*)"', line)[0]) == 'echo "it\'s <one>"'


# --- its data --------------------------------------------------------------------------------------------


def exchange(name: str, answer: str = "Hello") -> Sample:
    return Sample.make(name, [("user", "Hi"), ("assistant", answer)])


def learned(source: LearnedFrom, job: Job, t: Translator = EN) -> str:
    recipe = read(files.read_json(job.folder / "recipe.json"))
    end = time.monotonic() + 10
    while time.monotonic() < end:
        said = source.line(job, recipe, t)
        if t("train_data_edited") not in said or "differ" in said:
            return said
        time.sleep(0.02)
    raise AssertionError("it is never compared")


def trained_on(lab: Lab, path: Path) -> Job:
    job = a_run(lab.workspace.runs / "run-1", data=str(path))
    files.write_bytes(job.folder / "data.json", path.read_bytes())
    return job


def test_version_of_the_data_and_edits_since_are_told(workspace: Workspace) -> None:
    path = new_data_set(workspace, "mine", [exchange(str(at)) for at in range(5)])
    lab = Lab(workspace)
    lab.choose(dataset=str(path))
    kept = keep_version(path)
    assert kept is not None
    job, source = trained_on(lab, path), LearnedFrom(lab)
    assert learned(source, job).count("It is unchanged since.") == 1
    assert f"mine, version {kept.stem.rpartition('-')[2][:6]}, kept 20" in learned(source, job)
    document = lab.document()
    assert document is not None
    EditorState(document).set_text(1, "Another answer")
    assert "samples that differ: 1." in learned(source, job), "also before it is saved"
    document.save()
    EditorState(document).duplicate()
    document.save()
    assert "2 个样本不同" in learned(source, job, ZH)


def test_data_of_another_set_than_the_open_one_are_compared_by_their_file(workspace: Workspace) -> None:
    path = new_data_set(workspace, "mine", [exchange("a"), exchange("b")])
    other = new_data_set(workspace, "other", [exchange("a")])
    lab = Lab(workspace)
    lab.choose(dataset=str(other))
    job, source = trained_on(lab, path), LearnedFrom(lab)
    assert "unchanged" in learned(source, job)
    path.write_bytes(other.read_bytes())
    assert "samples that differ: 1." in learned(source, job)
    path.write_bytes((job.folder / "data.json").read_bytes() + b"\n")
    assert "Its samples are unchanged since." in learned(source, job)
    path.write_text("{oops")
    source.line(job, read({"data": str(path)}), EN)
    path.unlink()
    assert "no longer there" in learned(source, job)


def test_shipped_set_is_compared_with_its_edited_copy(workspace: Workspace) -> None:
    path = SHIPPED / "data" / "identity.train.json"
    lab = Lab(workspace)
    lab.choose(dataset=str(path))
    job, source = trained_on(lab, path), LearnedFrom(lab)
    assert "unchanged" in learned(source, job)
    new_data_set(workspace, "identity", [exchange("a")])
    assert "samples that differ" in learned(source, job)


def test_run_without_its_copy_says_nothing(workspace: Workspace, tmp_path: Path) -> None:
    assert LearnedFrom(Lab(workspace)).line(a_run(tmp_path / "run-1"), Recipe(), EN) == ""


def test_changed_sample_counts_once() -> None:
    before = [exchange("a"), exchange("b"), exchange("c")]
    assert differing(before, list(reversed(before))) == 0
    assert differing(before, [exchange("a"), exchange("b", "x"), exchange("c")]) == 1
    assert differing(before, before[:1]) == 2
    assert differing(before, [*before, exchange("a")]) == 1
