"""The training process, or one of several started by torch.distributed.run; launch.WORKER is the module it begins in.

It reads the recipe and writes events; nobody holds its pipe, so nothing stops it but a person or the machine.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab.failures import explain
from qwenlab.jobs import Job
from qwenlab.training import launch, queue
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
    if "RANK" in os.environ:  # started by the launcher
        launch.end_with_parent()
        signal.signal(signal.SIGTERM, _left_alone)  # the launcher ends all when one has died
    else:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # several cards want as many processes
    began = time.monotonic()
    try:
        job.report("phase", name="loading")
        from qwenlab.training.trainer import train

        stopped = train(job, world, judge_of(job))
    except BaseException as error:
        traceback.print_exc()
        lost = world.size > 1 and any(words in str(error) for words in ("closed by peer", "reset by peer"))
        job.finish("failed", launch.PEER_LOST if lost else explain(error))
        if world.first:
            queue.go_on(job, found)
        return 2
    job.report("timing", seconds=time.monotonic() - began)
    if world.first:
        job.finish("stopped" if stopped else "finished")
        queue.go_on(job, found)
    return 0


def _left_alone(*_: Any) -> None:
    raise launch.PEER_LOST
