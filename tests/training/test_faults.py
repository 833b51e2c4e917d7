"""Real runs under real faults: kills at any moment, damaged and full disks, want of memory, a lab that is gone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import checkpoints, queue, runs
from qwenlab.training import recipe as recipes
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model

KILLS = int(os.environ.get("QWENLAB_TEST_KILLS", "3"))
"""How many times a run is killed: QWENLAB_TEST_KILLS=20 takes minutes."""
SEED = int(os.environ.get("QWENLAB_TEST_SEED", "4"))
STEPS = 5


def settings(data: Path, **changes: object) -> recipes.Recipe:
    """A checkpoint at each step."""
    values = {"model": "smollm2-135m", "data": str(data), "epochs": 90, "max_steps": STEPS, "batch_size": 4}
    return recipes.read({**values, "learning_rate": 1e-3, "save_minutes": 0.0001, "rank": 4, **changes})


def follow_to_end(job: Job) -> runs.Progress:
    for _ in job.follow(poll_seconds=0.1):
        pass
    return runs.progress(job)


@pytest.fixture(scope="module")
def as_uninterrupted(session_workspace: Workspace) -> Callable[[Job], None]:
    """Asserts that a run finished with the losses of one of the same recipe to which nothing happened."""
    known: dict[str, runs.Progress] = {}

    def check(job: Job) -> None:
        recipe = runs.recipe_of(job)
        key = recipe.model_dump_json()
        if key not in known:
            other = runs.create(session_workspace, recipe)
            runs.start(other)
            known[key] = follow_to_end(other)
            assert known[key].state == "finished", other.log_tail()
        progress, expected = runs.progress(job), known[key]
        assert progress.state == "finished", job.log_tail()
        assert list(progress.losses) == list(expected.losses)
        assert list(progress.losses.values()) == pytest.approx(list(expected.losses.values()), rel=1e-3)

    return check


def beside(workspace: Workspace, root: Path) -> Workspace:
    """A workspace of its own that shares the models of another."""
    root.mkdir()
    (root / "models").symlink_to(workspace.models, target_is_directory=True)
    return Workspace(root)


def end_at_once(job: Job) -> None:
    """kill -9, of the one process and of nothing that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(files.read_json(job.folder / "pid")["pid"], signal.SIGKILL)
    while job.state() == "running":
        time.sleep(0.01)


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [1, 0], ids=["one is left", "none is left"])
def test_damaged_checkpoint_is_noticed_and_training_goes_on_as_if_it_had_not_been(
    left: int, as_uninterrupted: Callable[[Job], None], session_workspace: Workspace, tiny_data: Path
) -> None:
    job = runs.create(session_workspace, settings(tiny_data))
    runs.start(job)
    for event in job.follow(poll_seconds=0.05):
        if event["event"] == "saved" and event["step"] == 2:
            end_at_once(job)
    kept = sorted(job.folder.glob(f"{adapters.CHECKPOINTS}/*/{adapters.COMPLETE}"))
    assert len(kept) >= 2
    for marker in kept[left:]:
        with (marker.parent / "optimizer.pt").open("rb+") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"\xff")
    runs.resume(job)
    progress = follow_to_end(job)
    assert ("from step 1." if left else "from the beginning") in progress.damaged
    as_uninterrupted(job)


# --- kills -----------------------------------------------------------------------------------------------


def test_run_killed_at_any_moment_ends_as_if_it_had_not_been(
    as_uninterrupted: Callable[[Job], None], session_workspace: Workspace, tiny_data: Path
) -> None:
    job = runs.create(session_workspace, settings(tiny_data, max_steps=2 * KILLS))
    moments = random.Random(SEED)
    step_seconds, torn = 0.5, 0
    for kill in range(KILLS):
        runs.resume(job)
        if kill % 4 == 3:  # while it loads
            time.sleep(moments.uniform(0, 8))
        else:
            known = len(job.events()[0])
            step_seconds = _until_first_step(job, known) or step_seconds
            time.sleep(moments.uniform(0, 1.5 * step_seconds))
        end_at_once(job)
        assert job.state() in ("interrupted", "finished")
        for checkpoint in (job.folder / adapters.CHECKPOINTS).glob("checkpoint-*"):
            if (checkpoint / adapters.COMPLETE).exists():
                assert checkpoints.damage(checkpoint) == ""
            else:
                torn += 1
        if job.state() == "finished":
            break
    if job.state() != "finished":
        runs.resume(job)
    follow_to_end(job)
    print(f"{kill + 1} kills, {torn} torn checkpoints, seed {SEED}")
    as_uninterrupted(job)


def _until_first_step(job: Job, known: int) -> float:
    """Wait for a step that came after the first `known` events; seconds between the last two, 0 when unknown."""
    while job.state() == "running":
        steps = [event["time"] for event in job.events()[0][known:] if event["event"] == "step"]
        if steps:
            return steps[-1] - steps[-2] if len(steps) > 1 else 0.0
        time.sleep(0.01)
    return 0.0


def test_run_killed_while_the_queue_moves_on_leaves_the_next_to_start_once(
    session_workspace: Workspace, tiny_data: Path, tmp_path: Path
) -> None:
    moments = random.Random(SEED)
    for attempt in range(max(1, KILLS // 3)):
        own = beside(session_workspace, tmp_path / str(attempt))
        line = queue.Queue(own)
        first, second = (runs.create(own, settings(tiny_data, max_steps=1)) for _ in range(2))
        line.start(first)
        line.add(second)
        while first.state() == "running":
            time.sleep(0.001)
        assert first.state() == "finished", first.log_tail()
        time.sleep(moments.uniform(0, 0.03))
        with contextlib.suppress(ProcessLookupError):
            os.kill(files.read_json(first.folder / "pid")["pid"], signal.SIGKILL)
        line.start_next()  # as whoever looks at the page does
        assert follow_to_end(second).state == "finished", second.log_tail()
        begun = [event for event in second.events()[0] if event["event"] == "phase" and event["name"] == "loading"]
        assert len(begun) == 1
        assert line.waiting() == []


# --- the queue -------------------------------------------------------------------------------------------


def test_queue_goes_on_when_the_lab_is_gone_and_waits_after_a_stop(
    session_workspace: Workspace, tiny_data: Path, tmp_path: Path
) -> None:
    own = beside(session_workspace, tmp_path / "home")
    first, second, third = (runs.create(own, settings(tiny_data, max_steps=steps)) for steps in (1, STEPS, 1))
    lab = (
        "import sys; from pathlib import Path; from qwenlab.jobs import Job; from qwenlab.workspace import Workspace;"
        "from qwenlab.training.queue import Queue; q = Queue(Workspace(Path(sys.argv[1])));"
        "one, *rest = [Job(Path(run)) for run in sys.argv[2:]]; q.start(one); [q.add(job) for job in rest];"
        "import os; os._exit(0)"
    )
    named = [str(job.folder) for job in (first, second, third)]
    subprocess.run([sys.executable, "-c", lab, str(own.root), *named], check=True)
    assert follow_to_end(first).state == "finished", first.log_tail()
    _until_started(second)
    for event in second.follow(poll_seconds=0.05):
        if event["event"] == "step" and event["step"] == 1:
            second.stop()
    assert second.state() == "stopped", second.log_tail()
    time.sleep(1)
    assert third.state() == "new", "a person stopped the one before"
    paused = queue.Queue(own).paused_by()
    assert paused is not None
    assert paused.id == second.id
    queue.Queue(own).start_next(although_stopped=True)
    assert follow_to_end(third).state == "finished", third.log_tail()


def _until_started(job: Job) -> None:
    end = time.monotonic() + 30
    while job.state() != "running":
        assert time.monotonic() < end, "the next run was not started"
        time.sleep(0.01)


# --- a full disk -----------------------------------------------------------------------------------------


def fill(folder: Path, leave: int = 0) -> Path:
    """Write until the disk is full, or until so many bytes are left."""
    filler = folder / "filler"
    status = os.statvfs(folder)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        file.write(bytes(max(0, status.f_bavail * status.f_frsize - leave)))
        while not leave:
            file.write(bytes(4096))
    return filler


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("when", ["while a checkpoint is written", "while an event is written"])
def test_full_disk_is_told_and_resume_goes_on_once_there_is_room(
    when: str,
    processes: int,
    small_disk: Path,
    as_uninterrupted: Callable[[Job], None],
    session_workspace: Workspace,
    tiny_data: Path,
) -> None:
    own = beside(session_workspace, small_disk / "home")
    recipe = settings(tiny_data, processes=processes, rank=1, target="attention", max_steps=4)
    job = runs.create(own, recipe)
    runs.start(job)
    for event in job.follow(poll_seconds=0.02):
        if event["event"] == "saved" and event["step"] == 2:
            filler = fill(small_disk, leave=0 if "event" in when else 200_000)
    progress = runs.progress(job)
    assert progress.state == "failed", job.log_tail()
    assert "The disk is full" in progress.reason, job.log_tail()
    assert "磁盘已满" in progress.reason_zh
    assert "resume" in progress.remedy
    kept = adapters.last_checkpoint(job.folder)
    assert kept is not None
    assert checkpoints.damage(kept) == ""
    filler.unlink()
    runs.resume(job)
    follow_to_end(job)
    as_uninterrupted(job)


# --- want of memory --------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process's memory this way")
def test_want_of_memory_is_told_with_the_change_that_helps(session_workspace: Workspace, tmp_path: Path) -> None:
    def turns(number: int) -> list[dict[str, str]]:
        """They differ from their first word: a common opening would be computed, and kept in memory, only once."""
        question = {"from": "user", "value": f"{number}. " + "Hello. " * 220}
        return [question, {"from": "assistant", "value": "Good day to you. " * 100}]

    data = tmp_path / "long.json"
    files.write_json(data, [{"id": str(number), "conversations": turns(number)} for number in range(16)])
    job = runs.create(session_workspace, settings(data, batch_size=8, micro_batch=8))
    start = "import sys; from pathlib import Path; from qwenlab.jobs import Job; from qwenlab.training import runs;"
    start += "runs.start(Job(Path(sys.argv[1])))"
    limited = 'ulimit -v 5000000; exec "$0" -c "$1" "$2"'
    subprocess.run(["bash", "-c", limited, sys.executable, start, str(job.folder)], check=True)
    progress = follow_to_end(job)
    assert progress.state == "failed", job.log_tail()
    assert progress.reason == "The machine ran out of memory."
    assert "Set micro_batch to 4" in progress.remedy, job.log_tail()
    assert "“微批大小”设为 4" in progress.remedy_zh
