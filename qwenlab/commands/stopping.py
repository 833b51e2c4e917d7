"""A verb that computes in one long piece ends soon after its job is asked to stop."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from qwenlab.jobs import Job

LOOK_SECONDS = 0.3


@contextlib.contextmanager
def stoppable(job: Job | None) -> Iterator[None]:
    """Raise KeyboardInterrupt in this block, which runs in the main thread, once the job is asked to stop."""
    if job is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            if job.asked_to_stop():
                _interrupt()
                return

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)


def _interrupt() -> None:
    main = threading.main_thread().ident
    if os.name == "nt" or main is None:
        _thread.interrupt_main()
    else:
        signal.pthread_kill(main, signal.SIGINT)  # also ends a wait for another process
