"""The training process: `python -m qwenlab.training.worker RUN_FOLDER`, or several started by torch.distributed.run.

It reads the recipe and writes events; nobody holds its pipe, so nothing stops it but a person or the machine.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.failures import explain
from qwenlab.jobs import Job
from qwenlab.training import launch, queue


def main() -> int:
    """Train the run named on the command line; the exit code says whether it ended well."""
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

        stopped = train(job, world)
    except BaseException as error:
        traceback.print_exc()
        lost = world.size > 1 and any(words in str(error) for words in ("closed by peer", "reset by peer"))
        job.finish("failed", PEER_LOST if lost else explain(error))
        if world.first:
            queue.go_on(job, found)
        return 2
    job.report("timing", seconds=time.monotonic() - began)
    if world.first:
        job.finish("stopped" if stopped else "finished")
        queue.go_on(job, found)
    return 0


PEER_LOST = QwenlabError(
    "Another process of this run ended unexpectedly.",
    "Out of memory is the usual cause: choose fewer processes or a smaller micro-batch, then resume. The log has more.",
    zh=(
        "本次训练的另一个进程意外结束。",
        "最常见的原因是内存不足：请减少进程数或调小微批大小，然后继续训练。详情见日志。",
    ),
)


def _left_alone(*_: Any) -> None:
    raise PEER_LOST


if __name__ == "__main__":
    sys.exit(main())
