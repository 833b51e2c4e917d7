"""Real runs on the real small model: learning, stopping, being killed, going on."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
from qwenlab.training.launch import World
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model

STEPS = 6
EVERY_STEP = 0.0001
"""Minutes between checkpoints: one at each step."""


def settings(data: Path, **changes: object) -> recipes.Recipe:
    values = {"model": "smollm2-135m", "data": str(data), "epochs": 20, "max_steps": STEPS, "batch_size": 4}
    return recipes.read({**values, "learning_rate": 1e-3, "save_minutes": EVERY_STEP, **changes})


def run_to_end(job: Job) -> runs.Progress:
    for _ in job.follow():
        pass
    return runs.progress(job)


@pytest.fixture(scope="module")
def finished(session_workspace: Workspace, tiny_data: Path) -> Job:
    """An uninterrupted run."""
    job = runs.create(session_workspace, settings(tiny_data))
    runs.start(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    return job


def test_run_learns_and_leaves_all_that_a_page_shows(finished: Job, tiny_data: Path) -> None:
    progress = runs.progress(finished)
    assert progress.step == progress.total == STEPS
    assert list(progress.losses) == list(range(1, STEPS + 1))
    assert progress.losses[STEPS] < progress.losses[1] / 2
    assert progress.tokens_per_s > 0
    assert progress.memory_bytes > 1e8
    assert (finished.folder / "data.json").read_bytes() == tiny_data.read_bytes(), "the run keeps what it learned from"
    assert adapters.of_run(finished.folder).name == "adapter"


def test_killed_run_resumes_with_the_losses_of_an_uninterrupted_one(
    finished: Job, session_workspace: Workspace, tiny_data: Path
) -> None:
    job = runs.create(session_workspace, settings(tiny_data))
    runs.start(job)
    for event in job.follow(poll_seconds=0.05):
        if event["event"] == "saved" and event["step"] >= 3:
            job.kill()
    assert job.state() == "interrupted"
    torn = job.folder / "checkpoints" / "checkpoint-999"  # as a kill in the middle of a save leaves it
    torn.mkdir()
    (torn / "adapter_model.safetensors").write_bytes(b"half")
    assert adapters.last_checkpoint(job.folder) != torn
    runs.resume(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    whole = runs.progress(finished)
    assert list(progress.losses) == list(whole.losses)
    assert list(progress.losses.values()) == pytest.approx(list(whole.losses.values()), rel=1e-3)
    resumed = [event for event in job.events()[0] if event["event"] == "phase" and event["name"] == "loading"]
    assert len(resumed) == 2


def test_stop_saves_and_resume_goes_on(session_workspace: Workspace, tiny_data: Path) -> None:
    job = runs.create(session_workspace, settings(tiny_data, save_minutes=60))
    runs.start(job)
    for event in job.follow(poll_seconds=0.05):
        if event["event"] == "step" and event["step"] == 2:
            job.stop()
    assert job.state() == "stopped", job.log_tail()
    stopped_at = runs.progress(job).step
    assert 2 <= stopped_at < STEPS
    assert adapters.of_run(job.folder).name == f"checkpoint-{stopped_at}", "a checkpoint counts as an adapter"
    runs.resume(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert list(progress.losses) == list(range(1, STEPS + 1))
    with pytest.raises(QwenlabError, match="has finished"):
        runs.resume(job)


def test_poisoned_sample_is_left_out_and_named(session_workspace: Workspace, tmp_path: Path) -> None:
    good = {"id": "good", "conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Ho"}]}
    bad = {"id": "bad", "conversations": [{"from": "user", "value": 5}, "nonsense"]}
    data = tmp_path / "mixed.json"
    data.write_text(json.dumps([good, bad]))
    job = runs.create(session_workspace, settings(data, max_steps=1))
    runs.start(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert [name for name, _ in progress.left_out] == ["bad"]


def test_nothing_to_train_fails_with_the_reason(session_workspace: Workspace, tmp_path: Path) -> None:
    data = tmp_path / "empty.json"
    data.write_text(json.dumps([{"id": "a", "conversations": [{"from": "user", "value": "Hi"}]}]))
    job = runs.create(session_workspace, settings(data))
    runs.start(job)
    progress = run_to_end(job)
    assert progress.state == "failed"
    assert "None of the 1 samples can be trained" in progress.reason
    assert progress.remedy


def test_data_in_a_language_the_model_lacks_is_refused_at_once(session_workspace: Workspace, tmp_path: Path) -> None:
    data = tmp_path / "zh.json"
    turns = [{"from": "user", "value": "你好"}, {"from": "assistant", "value": "您好"}]
    data.write_text(json.dumps([{"id": "a", "conversations": turns}]))
    with pytest.raises(QwenlabError, match="no sample in en"):
        runs.create(session_workspace, settings(data))


def test_run_outlives_whoever_started_it(session_workspace: Workspace, tiny_data: Path) -> None:
    """The trainer has its own session, so that no page, terminal or server takes it along."""
    import os

    from qwenlab import files

    job = runs.create(session_workspace, settings(tiny_data, max_steps=1))
    runs.start(job)
    pid = files.read_json(job.folder / "pid")["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)
    end = time.monotonic() + 300
    while job.state() == "running" and time.monotonic() < end:
        time.sleep(0.2)
    assert job.state() == "finished", job.log_tail()


IN_FLOAT32 = ("ONEDNN_MAX_CPU_ISA", "AVX2")
"""Without its instructions bfloat16 is slow, so the measurement on this machine chooses float32: sums in another
order then differ in the sixth digit instead of the third."""
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None or shutil.which("c++") is None,
    reason="needs deepspeed (requirements-gpu.txt) and a C++ compiler",
)


def shared(data: Path, **changes: object) -> recipes.Recipe:
    """Nine samples in steps of four, four and one, so that in the last a second process has nothing to do."""
    rest = {"epochs": 1, "max_steps": 0, "batch_size": 4, "micro_batch": 1, "validation": 0.25, "save_minutes": 60}
    return settings(data, **{**rest, "learning_rate": 3e-4, **changes})


@pytest.fixture(scope="module")
def alone(session_workspace: Workspace, tiny_data: Path) -> runs.Progress:
    """One process with the global batch, in float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*IN_FLOAT32)
        job = runs.create(session_workspace, shared(tiny_data))
        runs.start(job)
        progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    return progress


@pytest.mark.parametrize(
    "changes",
    [
        {"processes": 2},
        pytest.param({"processes": 2, "sharding": "zero2"}, marks=needs_deepspeed),
        pytest.param({"processes": 2, "sharding": "zero3"}, marks=needs_deepspeed),
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_processes_together_give_the_losses_of_one(
    changes: dict[str, object],
    alone: runs.Progress,
    session_workspace: Workspace,
    tiny_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(*IN_FLOAT32)
    job = runs.create(session_workspace, shared(tiny_data, **changes))
    runs.start(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert list(progress.losses) == list(alone.losses) == [1, 2, 3]
    assert list(progress.losses.values()) == pytest.approx(list(alone.losses.values()), rel=1e-3)
    assert list(progress.validation) == list(alone.validation)
    assert list(progress.validation.values()) == pytest.approx(list(alone.validation.values()), rel=1e-3)
    assert adapters.of_run(job.folder).name == "adapter"
    steps = [event["step"] for event in job.events()[0] if event["event"] == "step"]
    assert steps == sorted(set(steps)), "only the first process reports"


def test_two_processes_stop_together_and_go_on(session_workspace: Workspace, tiny_data: Path) -> None:
    whole = runs.create(session_workspace, shared(tiny_data, processes=2, epochs=2, dropout=0.1))
    runs.start(whole)
    expected = run_to_end(whole)
    assert expected.state == "finished", whole.log_tail()
    job = runs.create(session_workspace, shared(tiny_data, processes=2, epochs=2, dropout=0.1))
    runs.start(job)
    for event in job.follow(poll_seconds=0.05):
        if event["event"] == "step" and event["step"] == 2:
            job.stop()
    assert job.state() == "stopped", job.log_tail()
    runs.resume(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert list(progress.losses.values()) == pytest.approx(list(expected.losses.values()), rel=1e-3)


def test_death_of_one_process_is_told_and_ends_the_run(session_workspace: Workspace, tiny_data: Path) -> None:
    import psutil

    from qwenlab import files

    job = runs.create(session_workspace, shared(tiny_data, processes=2, epochs=100))
    runs.start(job)
    for event in job.follow(poll_seconds=0.05):
        if event["event"] == "step" and event["step"] == 1:
            launcher = psutil.Process(files.read_json(job.folder / "pid")["pid"])
            second = [child for child in launcher.children() if child.environ().get("RANK") == "1"]
            second[0].kill()
    progress = runs.progress(job)
    assert progress.state == "failed", job.log_tail()
    assert "Another process" in progress.reason


def test_patience_ends_a_run_that_gets_no_better(session_workspace: Workspace, tiny_data: Path) -> None:
    hopeless = shared(tiny_data, epochs=50, looks=50, patience=2, learning_rate=1e-9)
    job = runs.create(session_workspace, hopeless)
    runs.start(job)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert progress.step < progress.total
    ended = [event for event in job.events()[0] if event["event"] == "early_stop"]
    assert [(event["looks"], event["by"]) for event in ended] == [(2, "loss")]


def test_run_that_cannot_fit_is_refused_before_the_model_is_loaded(
    session_workspace: Workspace, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenlab.training import trainer

    job = runs.create(session_workspace, settings(tiny_data))
    monkeypatch.setattr(trainer.Machine, "here", classmethod(lambda cls: cls(memory_bytes=10**9)))
    monkeypatch.setattr(trainer, "_model", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(QwenlabError, match=r"needs .* GB"):
        trainer.train(job, World.here())
