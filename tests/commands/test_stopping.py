"""A verb in one long piece ends when its job is asked to stop, whatever it waits for."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.commands.stopping import stoppable
from qwenlab.jobs import Job

FOREVER = "import time; time.sleep(600)"


def wait_for_a_process() -> None:
    subprocess.run([sys.executable, "-c", FOREVER], check=False)


def compute() -> None:
    while True:
        sum(range(1000))


@pytest.mark.parametrize("work", [lambda: time.sleep(600), wait_for_a_process, compute])
def test_stop_ends_what_is_going_on(tmp_path: Path, work: Callable[[], None]) -> None:
    job = Job(tmp_path / "job")
    asking = threading.Timer(0.3, lambda: files.write_text(job.folder / "stop", ""))
    asking.start()
    with pytest.raises(KeyboardInterrupt), stoppable(job):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_work_that_ends_by_itself_is_left_alone(tmp_path: Path) -> None:
    job = Job(tmp_path / "job")
    with stoppable(job):
        pass
    files.write_text(job.folder / "stop", "")
    time.sleep(0.7)  # longer than it is looked for
    with stoppable(None):
        pass
