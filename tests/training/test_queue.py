"""The queue of runs, with workers that are real processes but train nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import queue as queues
from qwenlab.training.queue import Queue
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import Workspace


def begin(job: Job) -> None:
    """A real process of its own that prints one line and ends."""
    job.start("train", ["platform"])


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Workspace(tmp_path), begin)


def made(queue: Queue, name: str) -> Job:
    job = Job(queue.workspace.runs / name)
    files.write_json(job.folder / "recipe.json", Recipe(model="smollm2-135m", languages=["en"]).model_dump())
    return job


def unstartable(job: Job) -> Job:
    (job.folder / "log.txt").mkdir()  # where the worker's words would go
    return job


def going(queue: Queue, name: str) -> Job:
    """A run in progress; its process is this one."""
    job = made(queue, name)
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job._write_pid(os.getpid())
    return job


def names(queue: Queue) -> list[str]:
    return [job.id for job in queue.waiting()]


def starts(job: Job) -> int:
    """How many processes the run was started in."""
    return len(job.log_tail().splitlines())


def until_ended(*jobs: Job) -> None:
    for _ in range(200):
        if all(job.state() not in ("new", "running") for job in jobs):
            return
        time.sleep(0.05)
    raise AssertionError([(job.id, job.state()) for job in jobs])


def test_runs_wait_in_the_order_in_which_they_came_also_after_a_restart(queue: Queue) -> None:
    going(queue, "run-0")
    for name in ("z", "a", "m"):
        queue.add(made(queue, name))
    assert names(queue) == ["z", "a", "m"]
    assert names(Queue(queue.workspace)) == ["z", "a", "m"]


def test_nothing_starts_beside_a_run_in_progress(queue: Queue) -> None:
    going(queue, "run-0")
    queue.add(made(queue, "run-1"))
    assert queue.start_next() is None
    assert not queue.start(made(queue, "run-2")), "it waits instead"
    assert names(queue) == ["run-1", "run-2"]
    assert Job(queue.workspace.runs / "run-1").state() == "new"


def test_run_in_progress_cannot_wait(queue: Queue) -> None:
    with pytest.raises(QwenlabError, match="cannot wait"):
        queue.add(going(queue, "run-0"))


def test_many_at_once_start_the_next_run_once(queue: Queue) -> None:
    ended, first, second = going(queue, "run-0"), made(queue, "run-1"), made(queue, "run-2")
    queue.add(first)
    queue.add(second)
    ended.finish("failed", QwenlabError("Out of memory.", ""))  # does not hold up the next
    started: list[Job | None] = []
    several = [threading.Thread(target=lambda: started.append(queue.start_next())) for _ in range(6)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert first.id in [job.id for job in started if job]
    until_ended(first)
    queue.start_next()
    until_ended(first, second)
    assert (starts(first), starts(second)) == (1, 1)
    assert names(queue) == []


def test_run_that_a_person_stopped_pauses_the_queue_until_they_say_so(queue: Queue) -> None:
    stopped, next_one = going(queue, "run-0"), made(queue, "run-1")
    queue.add(next_one)
    stopped.stop()
    assert queue.paused_by() is None, "it has not ended yet"
    stopped.finish("stopped")
    paused = queue.paused_by()
    assert paused is not None
    assert paused.id == "run-0"
    assert queue.start_next() is None
    started = queue.start_next(although_stopped=True)
    assert started is not None
    assert started.id == "run-1"
    assert queue.paused_by() is None
    until_ended(next_one)


def test_power_loss_does_not_hold_up_the_queue(queue: Queue) -> None:
    vanished, next_one = going(queue, "run-0"), made(queue, "run-1")
    queue.add(next_one)
    (vanished.folder / "pid").unlink()
    assert vanished.state() == "interrupted"
    assert queue.start_next() is not None
    until_ended(next_one)


def test_who_died_between_start_and_noting_it_does_not_start_the_run_twice(queue: Queue) -> None:
    job = made(queue, "run-1")
    queue.add(job)
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time() + 1})
    job.finish("finished")
    assert queue.waiting() == []
    assert queue.start_next() is None


def test_run_that_cannot_be_started_is_said_and_the_next_has_its_turn(queue: Queue) -> None:
    broken, whole = unstartable(made(queue, "run-1")), made(queue, "run-2")
    queue.add(broken)
    queue.add(whole)
    started = queue.start_next()
    assert started is not None
    assert started.id == "run-2"
    assert broken.state() == "failed"
    assert names(queue) == []
    until_ended(whole)


def test_removed_run_is_gone_unless_it_had_begun(queue: Queue) -> None:
    going(queue, "run-0")
    fresh, begun = made(queue, "run-1"), made(queue, "run-2")
    files.write_json(begun.folder / "job.json", {"kind": "train", "argv": [], "started": 1.0})
    begun.finish("stopped")
    queue.add(fresh)
    queue.add(begun)
    assert names(queue) == ["run-1", "run-2"]
    for name in ("run-1", "run-2", "run-2", "unknown"):
        queue.remove(name)
    assert names(queue) == []
    assert not fresh.folder.exists()
    assert begun.folder.exists()


@pytest.fixture
def own_environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_environment")
def test_last_act_starts_the_next_without_what_this_run_was_started_with(queue: Queue) -> None:
    ended, next_one = going(queue, "run-0"), unstartable(made(queue, "run-1"))  # what is started here would train
    queue.add(next_one)
    ended.finish("finished")
    launcher = dict.fromkeys(("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "OMP_NUM_THREADS"), "1")
    found = {**os.environ, **launcher, "TORCHELASTIC_RUN_ID": "none"}
    os.environ["SET_BY_THE_RUN"] = "1"
    queues.go_on(ended, found)
    assert not {*launcher, "TORCHELASTIC_RUN_ID", "SET_BY_THE_RUN"} & os.environ.keys()
    assert os.environ["PATH"] == found["PATH"]
    assert next_one.state() == "failed"


@pytest.mark.usefixtures("own_environment")
def test_last_act_never_spoils_the_end_of_a_run(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    ended = going(queue, "run-0")
    queue.add(made(queue, "run-1"))
    ended.finish("finished")
    (queue.workspace.root / queues.LOCK).unlink()
    (queue.workspace.root / queues.LOCK).mkdir()  # a lock that nobody can take
    queues.go_on(ended, dict(os.environ))
    assert "Error" in capsys.readouterr().err
    assert ended.state() == "finished"
