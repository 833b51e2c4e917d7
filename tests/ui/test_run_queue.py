"""The queue of runs on the page: its order, its pause, its buttons, and a start that waits."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training.queue import LOCK, Queue
from qwenlab.training.recipe import Recipe
from qwenlab.ui import run_queue, training_tab
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Workspace(tmp_path), lambda job: job.start("train", ["platform"]))


def waits(queue: Queue, name: str, **settings: float) -> Job:
    job = Job(queue.workspace.runs / name)
    files.write_json(job.folder / "recipe.json", Recipe(model="smollm2-135m", **settings).model_dump())
    queue.add(job)
    return job


def going(queue: Queue, name: str = "run-0") -> Job:
    job = Job(queue.workspace.runs / name)
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job._write_pid(os.getpid())
    return job


def places(html: str) -> list[str]:
    return re.findall(r'data-key="queue-remove:([^"]+)"', html)


def test_nothing_is_said_of_an_empty_queue(queue: Queue) -> None:
    assert run_queue.queue_view(queue, EN) == ""


def test_waiting_runs_stand_in_their_order_and_can_be_removed(queue: Queue) -> None:
    going(queue)
    waits(queue, "z", epochs=3)
    waits(queue, "a<b>")
    html = run_queue.tended(queue, EN)
    assert "Waiting runs: 2" in html
    assert places(html) == ["z", "a&lt;b&gt;"]
    assert "<td class=number>3</td>" in html
    run_queue.act(queue, "queue-remove:z")
    assert places(run_queue.queue_view(queue, ZH)) == ["a&lt;b&gt;"]


def test_pause_names_the_run_that_was_stopped_and_offers_to_go_on(queue: Queue) -> None:
    stopped, next_one = going(queue), waits(queue, "run-1")
    stopped.stop()
    stopped.finish("stopped")
    html = run_queue.tended(queue, EN)
    assert "because you stopped run-0" in html
    assert "因为您停止了 run-0" in run_queue.queue_view(queue, ZH)
    assert 'data-key="queue-go:"' in html
    assert next_one.state() == "new"
    run_queue.act(queue, "queue-go:")
    assert next_one.state() != "new"
    assert run_queue.queue_view(queue, EN) == ""


def test_looking_at_the_queue_starts_what_a_killed_worker_left(queue: Queue) -> None:
    vanished, next_one = going(queue), waits(queue, "run-1")
    (vanished.folder / "pid").unlink()
    assert run_queue.tended(queue, EN) == ""
    assert next_one.state() != "new"


def test_run_that_cannot_be_read_can_still_be_removed(queue: Queue) -> None:
    going(queue)
    files.write_text(waits(queue, "run-1").folder / "recipe.json", "{oops")
    assert places(run_queue.queue_view(queue, EN)) == ["run-1"]


def test_start_after_a_run_keeps_the_data_as_they_are_now(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path), model="smollm2-135m")
    samples = [Sample.make("a", [("user", "q"), ("assistant", "first")])]
    path = new_data_set(lab.workspace, "mine", samples)
    lab.choose(dataset=str(path))
    ready = lab.workspace.models / "smollm2-135m"
    for name in ("qwenlab-model.json", "config.json"):
        files.write_text(ready / name, "{}")
    queue = Queue(lab.workspace)
    going(queue)
    with pytest.raises(QwenlabError, match="in progress"):
        training_tab.start_run(lab, queue, {}, EN)
    job = training_tab.start_run(lab, queue, {"epochs": 3}, EN, after=True)
    files.write_text(path, path.read_text(encoding="utf-8").replace("first", "second"))
    assert [one.id for one in queue.waiting()] == [job.id]
    assert "first" in (job.folder / "data.json").read_text(encoding="utf-8")
    assert (queue.workspace.root / LOCK).exists()
