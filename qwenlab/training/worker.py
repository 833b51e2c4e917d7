"""The training process: `python -m qwenlab.training.worker RUN_FOLDER`.

It reads the recipe and writes events; nobody holds its pipe, so nothing stops it but a person or the machine.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

from qwenlab.failures import explain
from qwenlab.jobs import Job


def main() -> int:
    """Train the run named on the command line; the exit code says whether it ended well."""
    job = Job(Path(sys.argv[1]))
    os.environ["HF_HUB_OFFLINE"] = "1"  # training talks to nobody
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    began = time.monotonic()
    try:
        job.report("phase", name="loading")
        from qwenlab.training.trainer import train

        stopped = train(job)
    except BaseException as error:
        traceback.print_exc()
        job.finish("failed", explain(error))
        return 2
    job.report("timing", seconds=time.monotonic() - began)
    job.finish("stopped" if stopped else "finished")
    return 0


if __name__ == "__main__":
    sys.exit(main())
