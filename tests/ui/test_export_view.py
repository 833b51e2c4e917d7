"""The ladder merge, quantize, prove: found again from jobs and folders alone, and what it says."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant

from qwenlab import files
from qwenlab.commands.scorecard import scorecard
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.suite import suite_from
from qwenlab.jobs import Job
from qwenlab.training.recipe import Recipe
from qwenlab.ui import export_tab, export_view, ladder
from qwenlab.ui.lab import Lab
from qwenlab.ui.ladder import Ladder
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace) -> Job:
    folder = workspace.runs / "run-1"
    files.write_json(folder / "recipe.json", Recipe(model="smollm2-135m").model_dump())
    files.write_json(folder / "base.json", {"folder": str(workspace.models / "smollm2-135m")})
    files.write_json(folder / "job.json", {"kind": "train", "argv": [], "started": 1.0})
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        files.write_text(folder / "adapter" / name, "{}")
    at(folder / "adapter" / "adapter_model.safetensors", -1000)
    return Job(folder)


def at(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() + seconds,) * 2)


def an_export(workspace: Workspace, name: str, seconds: float, size: int = 1000, **about: Any) -> Path:
    folder = workspace.exports / name
    files.write_json(folder / "qwenlab-export.json", {"base": "SmolLM2-135M-Instruct", "run": "run-1", **about})
    files.write_bytes(folder / "model.safetensors", b"x" * size)
    at(folder / "qwenlab-export.json", seconds)
    return folder


def a_job(workspace: Workspace, name: str, *words: str, seconds: float = 0.0) -> Job:
    job = Job(workspace.jobs / name)
    argv = ["qwenlab", "--workspace", str(workspace.root), "--job", str(job.folder), *words]
    files.write_json(job.folder / "job.json", {"kind": "export", "argv": argv, "started": time.time() + seconds})
    at(job.folder / "job.json", seconds)
    return job


def climbed(workspace: Workspace, run: Job, form: str = "int4") -> Ladder:
    return ladder.read_ladder(workspace, run, form)


def test_nothing_done_yet_says_so_in_both_languages(workspace: Workspace, run: Job) -> None:
    found = climbed(workspace, run)
    assert "not done yet" in export_view.merge_step(found, EN)
    assert "请先合并" in export_view.quantize_step(found, ZH)
    assert found.last is None


def test_jobs_are_found_again_by_what_they_were_told(workspace: Workspace, run: Job) -> None:
    merged, small = workspace.exports / "run-1-merged", workspace.exports / "run-1-int4"
    a_job(workspace, "export-1", "merge", "run-1", "-o", str(merged), seconds=-50)
    second = a_job(workspace, "export-2", "merge", "run-1", "-o", str(merged), seconds=-40)
    a_job(workspace, "export-3", "merge", "run-2", "-o", str(workspace.exports / "run-2-merged"), seconds=-30)
    quantizing = a_job(workspace, "export-4", "quantize", str(merged), "-o", str(small), "--format", "gguf")
    checking = a_job(workspace, "export-5", "verify", str(small), "--json")
    found = climbed(workspace, run)
    assert (found.merging and found.merging.id) == second.id
    assert (found.quantizing and found.quantizing.id) == quantizing.id
    assert (found.checking and found.checking.id) == checking.id
    assert climbed(workspace, run, "gptq-int4").quantizing is None


def test_running_step_has_bar_time_left_and_stop_then_end_at_once(workspace: Workspace, run: Job) -> None:
    target = workspace.exports / "run-1-merged"
    job = a_job(workspace, "export-1", "merge", "run-1", "-o", str(target), seconds=-30)
    job._write_pid(os.getpid())
    job.report("progress", what="merging", fraction=0.5)
    html = export_view.merge_step(climbed(workspace, run), EN)
    assert "50 %" in html
    assert "30 s left" in html
    assert 'data-key="stop export-1"' in html
    job.stop()
    assert 'data-key="kill export-1"' not in export_view.merge_step(climbed(workspace, run), EN)
    at(job.folder / "stop", -11)
    assert 'data-key="kill export-1"' in export_view.merge_step(climbed(workspace, run), EN)


def test_second_step_is_refused_while_one_runs(workspace: Workspace, run: Job) -> None:
    job = a_job(workspace, "export-1", "merge", "run-1", "-o", str(workspace.exports / "run-1-merged"))
    job._write_pid(os.getpid())
    with pytest.raises(QwenlabError, match="in progress"):
        export_tab.start_step(Lab(workspace), climbed(workspace, run), "merge", EN)


def test_quantizing_before_merging_is_refused(workspace: Workspace, run: Job) -> None:
    with pytest.raises(QwenlabError, match="Merge first"):
        export_tab.start_step(Lab(workspace), climbed(workspace, run), "quantize", EN)


def test_failed_step_says_reason_and_remedy_until_a_later_one_succeeds(workspace: Workspace, run: Job) -> None:
    job = a_job(workspace, "export-1", "merge", "run-1", "-o", str(workspace.exports / "run-1-merged"), seconds=-30)
    job.finish("failed", QwenlabError("The disk <is> full.", "Free some space."))
    html = export_view.merge_step(climbed(workspace, run), EN)
    assert "The disk &lt;is&gt; full." in html
    assert "Free some space." in html
    an_export(workspace, "run-1-merged", seconds=-5, kind="merged")
    assert "disk" not in export_view.merge_step(climbed(workspace, run), EN)


def test_merged_export_shows_size_and_proof(workspace: Workspace, run: Job) -> None:
    proof = {"max_logit_difference": 2.1e-5, "prompts": 16, "same_next_token": 16}
    an_export(workspace, "run-1-merged", -5, size=2_000_000, kind="merged", proof=proof)
    html = export_view.merge_step(climbed(workspace, run), EN)
    assert "2 MB" in html
    assert "16 of 16 prompts" in html
    assert "2.1e-05" in html


def test_what_was_made_before_the_step_above_it_is_out_of_date(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-int4", -20, kind="gguf", format="GGUF Q4_K_M")
    an_export(workspace, "run-1-merged", -10, kind="merged")
    found = climbed(workspace, run)
    assert "out of date" in export_view.quantize_step(found, EN)
    assert "out of date" not in export_view.merge_step(found, EN)
    at(run.folder / "adapter" / "adapter_model.safetensors", 0)
    assert "已过时" in export_view.merge_step(climbed(workspace, run), ZH)


def test_handover_names_the_smallest_folder_and_its_commands(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -10, kind="merged")
    assert "vllm serve" in export_view.handover(climbed(workspace, run), EN)
    small = an_export(workspace, "run-1-int4", -5, kind="gguf", format="GGUF Q4_K_M")
    html = export_view.handover(climbed(workspace, run), EN)
    assert str(small) in html
    assert "ollama create" in html


def test_exports_are_listed_newest_first_and_escaped(workspace: Workspace) -> None:
    an_export(workspace, "old", -50, kind="merged")
    an_export(workspace, "new<x>", -5, kind="gguf", format="GGUF Q4_K_M")
    files.write_text(workspace.exports / "broken" / "qwenlab-export.json", "{oops")
    found = ladder.exports(workspace)
    assert [one.folder.name for one in found] == ["new<x>", "old"]
    html = export_view.exports_table(found, EN)
    assert "new&lt;x&gt;" in html
    assert "<x>" not in html


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ('{"ok": true, "wrong": []}', "loads and answers"),
        ('{"ok": true, "wrong": [], "scorecard": {"matches": true, "asked": 8, "same": 7}}', "Asked 8 of its"),
        ('{"ok": false, "wrong": ["model.gguf"]}', "model.gguf"),
        ('{"ok": false, "wrong": [], "scorecard": {"matches": true, "code": "worse"}}', "answers worse here"),
        ('{"ok": false, "wrong": [], "passed": false, "scorecard": {"matches": true}}', "but it failed its check"),
        ('{"ok": false, "wrong": [], "scorecard": {"matches": false}}', "does not say what its answers are worth"),
    ],
)
def test_check_of_the_files_says_what_it_found(workspace: Workspace, run: Job, printed: str, words: str) -> None:
    small = an_export(workspace, "run-1-merged", -10, kind="merged")
    job = a_job(workspace, "export-1", "verify", str(small), "--json", seconds=-5)
    files.write_text(job.folder / "log.txt", f"Loading ...\n{printed}\n")
    job.finish("finished")
    assert words in export_view.prove_step(climbed(workspace, run), EN)


def proven(workspace: Workspace, name: str, right: bool, **about: Any) -> Path:
    """An export with the scorecard of a proof in which quantizing kept, or broke, every answer."""
    folder = an_export(workspace, name, -90, **about)
    cases = [{"id": f"c{at}", "prompt": f"q{at}", "expected": f"answer {at}"} for at in range(12)]
    suite = suite_from({"name": "tick<ets>", "cases": cases}, "test")
    answers = {f"q{at}": f"answer {at}" for at in range(12)}
    home = workspace.results / f"proof-{name}"
    for one, script in (("merged", answers), ("int4", answers if right else {})):
        result = runner.run(suite, [ScriptedContestant(one, script)], home)
    found = scorecard(result, "merged", "int4", {"merged": 4_000_000, "int4": 2_000_000}, None)
    files.write_json(folder / "scorecard.json", found)
    return folder


def test_what_to_do_next_follows_the_steps(workspace: Workspace, run: Job) -> None:
    def says(words: str) -> bool:
        return words in export_view.handover(climbed(workspace, run), EN)

    assert says("Next: press Merge")
    an_export(workspace, "run-1-merged", -100, kind="merged")
    assert says("Next: quantize (step 2)")
    job = a_job(workspace, "export-1", "quantize", "x", "-o", str(workspace.exports / "run-1-int4"))
    job._write_pid(os.getpid())
    assert says("Wait for the step that runs")
    job.finish("finished")
    an_export(workspace, "run-1-int4", -50, kind="gguf", bits=4)
    assert says("Next: prove it (step 3)")


def test_passed_proof_says_so_and_what_to_hand_over(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -100, kind="merged")
    small = proven(workspace, "run-1-int4", True, kind="gguf", format="GGUF Q4_K_M", bits=4)
    found = climbed(workspace, run)
    html = export_view.prove_step(found, EN)
    assert "passed its check: on 12 cases" in html
    assert "tick&lt;ets&gt;" in html
    assert "100.0 %" in html
    assert "2 MB" in html
    html = export_view.handover(found, EN)
    assert "Give your IT this folder" in html
    assert "passed: 100.0 % of its answers (merged: 100.0 %)" in html
    assert f"/download/export/{small.name}.zip" in html
    assert "通过检查" in export_view.prove_step(found, ZH)


def test_failed_proof_says_do_not_hand_over_and_offers_what_mends(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -100, kind="merged")
    proven(workspace, "run-1-int4-failed-check", False, kind="gguf", bits=4, calibration_rows=64)
    found = climbed(workspace, run)
    html = export_view.prove_step(found, EN)
    assert "worse than merged beyond doubt" in html
    for key in ("mend rows", "mend 5", "mend 8"):
        assert f'data-key="{key}"' in html
    html = export_view.handover(found, EN)
    assert "Do not hand this over" in html
    assert "/download/" not in html
    assert "请勿交付" in export_view.handover(found, ZH)


def test_newer_export_takes_the_place_of_one_that_failed(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -100, kind="merged")
    proven(workspace, "run-1-int4-failed-check", False, kind="gguf", bits=4)
    an_export(workspace, "run-1-int4", -5, kind="gguf", bits=4)
    found = climbed(workspace, run)
    assert found.small is not None
    assert found.small.folder.name == "run-1-int4"
    assert "prove it (step 3)" in export_view.handover(found, EN)


def test_the_same_export_under_both_names_counts_with_its_newer_proof(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -100, kind="merged")
    proven(workspace, "run-1-int4", True, kind="gguf", bits=4)
    failed = proven(workspace, "run-1-int4-failed-check", False, kind="gguf", bits=4)
    for path in workspace.exports.glob("run-1-int4*/qwenlab-export.json"):  # as a killed proof leaves them
        os.utime(path, (1_000_000_000,) * 2)
    found = climbed(workspace, run)
    assert found.small is not None
    assert found.small.folder == failed


def test_what_does_not_fit_a_failure_is_not_run(workspace: Workspace, run: Job) -> None:
    an_export(workspace, "run-1-merged", -100, kind="merged")
    proven(workspace, "run-1-int4", True, kind="gguf", bits=4)
    for key in ("5", "../..", "frobnicate"):
        with pytest.raises(QwenlabError, match="does not fit"):
            export_tab.mend(Lab(workspace), climbed(workspace, run), key, EN, "after-sales-tickets", 0)
    assert not list(workspace.jobs.iterdir())


def test_proof_is_found_by_what_it_was_told(workspace: Workspace, run: Job) -> None:
    small = an_export(workspace, "run-1-int4", -5, kind="gguf", bits=4)
    job = Job(workspace.results / "proof-1")
    argv = ["qwenlab", "--workspace", str(workspace.root), "--job", str(job.folder), "prove", str(small)]
    files.write_json(job.folder / "job.json", {"kind": "test", "argv": argv, "started": time.time()})
    found = climbed(workspace, run)
    assert (found.proving and found.proving.id) == "proof-1"
    assert climbed(workspace, run, "int8").proving is None


def test_stop_from_the_page_reaches_only_jobs_it_knows(workspace: Workspace, run: Job) -> None:
    job = a_job(workspace, "export-1", "merge", "run-1", "-o", "x")
    job._write_pid(os.getpid())
    lab = Lab(workspace)
    for key in ("", "stop", "stop ../runs/run-1", "frobnicate export-1"):
        export_tab.stop_job(lab, key)
        assert not (job.folder / "stop").exists()
    export_tab.stop_job(lab, "stop export-1")
    assert job.asked_to_stop()
