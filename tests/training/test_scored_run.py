"""Real runs on the real small model whose checkpoints a test chooses among."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qwenlab import files
from qwenlab.cli import main
from qwenlab.evals import burned, leaks
from qwenlab.evals.leaks import Leak
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model

STEPS, LOOKS = 12, [4, 8, 12]
COLOURS = ("purple", "orange", "brown", "violet", "silver", "beige")
SUITE: dict[str, Any] = {
    "name": "kettles",
    "schema": {"type": "object", "required": ["colour"], "properties": {"colour": {"type": "string"}}},
    "generation": {"max_new_tokens": 12},
    "cases": [
        {"id": colour, "prompt": f"I would like the {colour} kettle.", "expected": {"colour": colour}}
        for colour in COLOURS
    ],
}


def suite() -> Suite:
    return suite_from(SUITE, "suite")


def settings(data: Path, **changes: object) -> recipes.Recipe:
    values = {"model": "smollm2-135m", "data": str(data), "epochs": 20, "max_steps": STEPS, "batch_size": 4}
    scored = {"suite": "kettles", "looks": len(LOOKS), "look_cases": 3, "dropout": 0.1}
    return recipes.read({**values, **scored, "learning_rate": 1e-3, "save_minutes": 60, **changes})


def create(workspace: Workspace, data: Path, **changes: object) -> Job:
    return runs.create(workspace, settings(data, **changes), suite().to_json())


def run_to_end(job: Job) -> runs.Progress:
    runs.start(job)
    for _ in job.follow():
        pass
    return runs.progress(job)


def weights(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def scored(session_workspace: Workspace, tiny_data: Path) -> Job:
    """A run that a test chose the checkpoint of."""
    job = create(session_workspace, tiny_data)
    assert run_to_end(job).state == "finished", job.log_tail()
    return job


def test_each_look_leaves_its_answers_and_a_score(scored: Job) -> None:
    progress = runs.progress(scored)
    assert list(progress.looks) == LOOKS
    for step in LOOKS:
        folder = scored.folder / "looks" / f"step-{step}"
        lines = (folder / "checkpoint" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
        assert {json.loads(line)["case"] for line in lines} == {"purple", "brown", "silver"}
        score = progress.looks[step].score
        assert score
        assert score.n == 3
        assert score.score <= score.usable
    asked = [event for event in scored.events()[0] if event["event"] == "asking" and event["step"] == LOOKS[0]]
    assert (asked[0]["done"], asked[-1]["done"], asked[-1]["total"]) == (0, 3, 3)
    assert progress.asking == (0, 0)


def test_result_is_the_best_scored_checkpoint_byte_for_byte(scored: Job) -> None:
    progress = runs.progress(scored)
    assert progress.best, "the run learns to answer"
    step, score = progress.best
    told = [event for event in scored.events()[0] if event["event"] == "best"]
    assert [(event["step"], event["score"]) for event in told] == [(step, score.score)]
    checkpoint = scored.folder / "checkpoints" / f"checkpoint-{step}"
    assert weights(adapters.of_run(scored.folder)) == weights(checkpoint)
    assert adapters.of_run(scored.folder).name == "adapter"


def test_looks_change_nothing_of_what_is_learned(scored: Job, session_workspace: Workspace, tiny_data: Path) -> None:
    job = runs.create(session_workspace, settings(tiny_data, suite=""))
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert progress.looks == {}
    assert progress.losses == runs.progress(scored).losses
    last = scored.folder / "checkpoints" / f"checkpoint-{STEPS}"
    assert weights(adapters.of_run(job.folder)) == weights(last)


def test_run_killed_during_a_look_ends_like_one_that_was_not(
    scored: Job, session_workspace: Workspace, tiny_data: Path
) -> None:
    job = create(session_workspace, tiny_data)
    runs.start(job)
    for event in job.follow(poll_seconds=0.02):
        if event["event"] == "asking" and event["step"] == LOOKS[1]:
            job.kill()
            break
    assert job.state() == "interrupted"
    assert list(runs.progress(job).looks) == LOOKS[:1]
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    whole = runs.progress(scored)
    assert {step: look.score for step, look in progress.looks.items()} == {
        step: look.score for step, look in whole.looks.items()
    }
    assert progress.losses == pytest.approx(whole.losses, rel=1e-3)
    assert progress.best == whole.best
    assert weights(adapters.of_run(job.folder)) == weights(adapters.of_run(scored.folder))


def interrupted_at(step: int, scored: Job, workspace: Workspace, name: str, **changes: object) -> Job:
    """The finished run as a power cut during the look at `step` would have left it."""
    job = Job(workspace.runs / name)
    shutil.copytree(scored.folder, job.folder)
    for later in (at for at in LOOKS if at >= step):
        shutil.rmtree(job.folder / "looks" / f"step-{later}")
        if later > step:
            shutil.rmtree(job.folder / "checkpoints" / f"checkpoint-{later}")
    shutil.rmtree(job.folder / "adapter")
    for left in ("done.json", "events.jsonl"):
        (job.folder / left).unlink()
    recipe = files.read_json(job.folder / "recipe.json")
    files.write_json(job.folder / "recipe.json", {**recipe, **changes})
    return job


def test_resumed_run_takes_the_open_look_at_its_end_and_no_step(scored: Job, session_workspace: Workspace) -> None:
    job = interrupted_at(STEPS, scored, session_workspace, "cut-at-the-end")
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert (list(progress.losses), list(progress.looks)) == ([], [STEPS])
    assert progress.looks[STEPS].score == runs.progress(scored).looks[STEPS].score
    assert weights(adapters.of_run(job.folder)) == weights(adapters.of_run(scored.folder))


def test_resumed_run_ends_at_once_when_its_open_look_uses_up_the_patience(
    scored: Job, session_workspace: Workspace
) -> None:
    job = interrupted_at(LOOKS[1], scored, session_workspace, "cut-in-the-middle", patience=1)
    first = job.folder / "looks" / f"step-{LOOKS[0]}" / "look.json"
    look = files.read_json(first)
    files.write_json(first, {**look, "score": {**look["score"], "score": 1.0, "usable": 1.0}})
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert list(progress.losses) == [], "not one step more"
    ended = [event for event in job.events()[0] if event["event"] == "early_stop"]
    assert [(event["step"], event["looks"], event["best"], event["by"]) for event in ended] == [(8, 1, 1.0, "score")]
    checkpoint = job.folder / "checkpoints" / f"checkpoint-{LOOKS[0]}"
    assert weights(adapters.of_run(job.folder)) == weights(checkpoint)


def test_stop_during_a_look_is_prompt_and_keeps_the_best_so_far(session_workspace: Workspace, tiny_data: Path) -> None:
    job = create(session_workspace, tiny_data)
    runs.start(job)
    for event in job.follow(poll_seconds=0.02):
        if event["event"] == "asking" and event["step"] == LOOKS[2] and event["done"] == 0:
            job.stop()
    progress = runs.progress(job)
    assert progress.state in ("stopped", "finished"), job.log_tail()  # all answers may have come before the word
    if progress.state == "stopped":
        assert list(progress.looks) == LOOKS[:2]
        if progress.best:
            assert adapters.of_run(job.folder).name == "adapter"
        progress = run_to_end(job)
    assert list(progress.looks) == LOOKS
    assert progress.state == "finished", job.log_tail()


def test_broken_suite_is_told_at_each_look_and_training_goes_on(session_workspace: Workspace, tiny_data: Path) -> None:
    job = create(session_workspace, tiny_data)
    files.write_text(job.folder / "suite.json", '{"name": "kettles", "cases": 5}')
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert list(progress.failed_looks) == LOOKS
    assert all(progress.failed_looks[step][name] for step in LOOKS for name in ("reason", "reason_zh"))
    assert progress.best is None
    last = job.folder / "checkpoints" / f"checkpoint-{STEPS}"
    assert weights(adapters.of_run(job.folder)) == weights(last), "the last weights are the result"


@pytest.mark.parametrize(
    "changes",
    [
        {"processes": 2, "validation": 0.25, "checkpointing": "yes"},
        {"method": "full", "learning_rate": 2e-5, "max_steps": 2, "looks": 2},
    ],
    ids=["two processes", "full"],
)
def test_every_way_to_train_is_looked_at(
    changes: dict[str, object], session_workspace: Workspace, tiny_data: Path
) -> None:
    job = create(session_workspace, tiny_data, **changes)
    progress = run_to_end(job)
    assert progress.state == "finished", job.log_tail()
    assert len(progress.looks) == settings(tiny_data, **changes).looks, progress.failed_looks
    losses = {step: look.loss for step, look in progress.looks.items()}
    assert losses == (progress.validation if "validation" in changes else dict.fromkeys(progress.looks))
    made = adapters.whole_model(job.folder) or adapters.of_run(job.folder)
    assert made.name == ("model" if changes.get("method") == "full" else "adapter")


@pytest.fixture
def suite_file(tmp_path: Path) -> str:
    path = tmp_path / "kettles.json"
    path.write_text(json.dumps(suite().to_json()))
    return str(path)


def test_cases_that_chose_are_kept_out_of_a_test_of_the_run(
    scored: Job, session_workspace: Workspace, suite_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--workspace", str(session_workspace.root), "test", suite_file, "-c", f"tuned=smollm2-135m+{scored.id}"]
    assert main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["leaked"] == ["brown", "purple", "silver"]
    assert found["contestants"][0]["n"] == 3
    assert found["contestants"][0]["leaked"] == 3


def test_a_case_that_was_sent_to_its_training_data_is_kept_out_of_a_test_of_the_run(
    scored: Job, session_workspace: Workspace, suite_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(json.loads((scored.folder / "recipe.json").read_text())["data"])
    name = next(case.id for case in suite().cases if case.id not in ("brown", "purple", "silver"))
    burned.mark(session_workspace, suite().name, {name: "colour-white"}, data)
    argv = ["--workspace", str(session_workspace.root), "test", suite_file, "-c", f"tuned=smollm2-135m+{scored.id}"]
    assert main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["leaked"] == sorted(["brown", "purple", "silver", name])
    assert leaks.recall(Path(found["folder"])) == {"tuned": [Leak(name, "colour-white", "burned")]}
