"""The peak of a process is its own."""

from __future__ import annotations

import subprocess
import sys

MEGABYTE = 1 << 20
ASK = "from qwenlab.training import memory; print(memory.peak())"


def test_peak_is_not_that_of_the_process_that_started_it() -> None:
    large = f"import subprocess, sys; held = b'x' * {400 * MEGABYTE}; subprocess.run([sys.executable, '-c', {ASK!r}])"
    told = subprocess.run([sys.executable, "-c", large], capture_output=True, text=True, check=True)
    assert MEGABYTE < int(told.stdout) < 300 * MEGABYTE


def test_peak_remembers_what_was_given_back() -> None:
    work = f"held = b'x' * {400 * MEGABYTE}; del held; {ASK}"
    told = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True)
    assert int(told.stdout) > 400 * MEGABYTE
