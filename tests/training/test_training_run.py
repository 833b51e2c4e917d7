"""Real runs on the real small model: learning, stopping, being killed, going on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
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
