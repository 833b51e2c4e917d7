"""The training process: `python -m qwenlab.commands.training_worker RUN_FOLDER`; here training meets the tests."""

from __future__ import annotations

import sys

from qwenlab.commands.judge import judge_of
from qwenlab.training import worker

if __name__ == "__main__":
    sys.exit(worker.main(judge_of))
