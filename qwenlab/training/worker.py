"""The training process, or one of several started by torch.distributed.run; launch.WORKER is the module it begins in.

It reads the recipe and writes events; nobody holds its pipe, so nothing stops it but a person or the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab import failures
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import folder as model_folder
from qwenlab.training import endings, launch, pulse, queue, runs
from qwenlab.training.looks import Judge


def main(judge_of: Callable[[Job], Judge | None]) -> int:
    """Train the run named on the command line; the exit code says whether it ended well.

    Args:
        judge_of: who scores the checkpoints of a run; None where no test decides.
    """
    found = dict(os.environ)  # the next run of the queue is to be started as this one was
    world = launch.World.here()
    folder = Path(sys.argv[1])
    job = Job(folder) if world.first else launch.Follower(folder)
    os.environ["HF_HUB_OFFLINE"] = "1"  # training talks to nobody
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    launched = "RANK" in os.environ
    if world.first:
        job.claim("train", sys.argv, os.getppid() if launched else os.getpid())
    if launched:
        launch.end_with_parent()
        signal.signal(signal.SIGTERM, _left_alone)  # the launcher ends all when one has died
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # several cards want as many processes
    began = time.monotonic()
    pulse.watch(lambda: _machine_lost(job, world, found))
    try:
        job.report("phase", name="loading")
        from qwenlab.training.trainer import train

        stopped = train(job, world, judge_of(job))
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher's, while the end is told
        with contextlib.suppress(OSError):  # the log's disk may be full
            traceback.print_exc()
        traceback.clear_frames(error.__traceback__)  # they hold the model, and memory may be what lacks
        _fail(job, world, reason(job, world, error), found)
        return 2
    job.report("timing", seconds=time.monotonic() - began)
    if world.first:
        job.finish("stopped" if stopped else "finished")
        queue.go_on(job, found)
    return 0


def reason(job: Job, world: launch.World, error: BaseException) -> QwenlabError:
    """What is to be told of a failure."""
    if world.size > 1 and any(words in str(error) for words in CLOSED):
        return launch.PEER_LOST
    try:
        if failures.is_disk_full(error):
            return endings.disk_full(job.folder)
        if failures.is_out_of_memory(error):
            seen = runs.progress(job)
            device: endings.Device = "cuda" if "CUDA" in str(error) else "cpu"
            config = model_folder.read_config(runs.base_of(job))
            return endings.out_of_memory(runs.recipe_of(job), config, seen.longest, seen.longest_answer, device)
    except (QwenlabError, OSError, MemoryError):
        pass  # what is known without the run's files must do
    return failures.explain(error)


def _fail(job: Job, world: launch.World, why: QwenlabError, found: dict[str, str]) -> None:
    """Tell why the run ended, unless the process that ended it has told so."""
    if why is not launch.PEER_LOST or job.outcome() is None:
        job.finish("failed", why)
    if world.first:
        queue.go_on(job, found)


def _machine_lost(job: Job, world: launch.World, found: dict[str, str]) -> None:
    """End this process, whose main thread waits for a machine that will not answer."""
    _fail(job, world, pulse.MACHINE_LOST, found)
    os._exit(2)


CLOSED = ("closed by peer", "reset by peer", "Broken pipe", "Connection timed out")
"""What gloo and torch's store say when the process at the other end is gone."""


def _left_alone(*_: Any) -> None:
    raise launch.PEER_LOST
