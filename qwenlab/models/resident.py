"""What a loaded model is to those who share it: one batch at a time, and how much memory it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 0.05
"""Between two looks at `should_stop` while somebody else's batch computes."""


class StoppedError(Exception):
    """The person stopped it before it began, or in the middle of a step."""


class Resident:
    """A model in memory.

    Attributes:
        lock: held while it computes.
        served: batches begun so far; with `busy` it tells whether anybody still uses it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.served = 0

    @property
    def busy(self) -> bool:
        """Whether it computes right now."""
        return self.lock.locked()

    @property
    def bytes(self) -> int:
        """Memory it holds."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what does not go by itself once nobody holds the model."""

    @contextmanager
    def turn(self, should_stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Compute alone.

        Raises:
            StoppedError: when `should_stop()` became true while others computed.
        """
        while not self.lock.acquire(timeout=LOOK_SECONDS):
            if should_stop():
                raise StoppedError
        try:
            self.served += 1
            yield
        finally:
            self.lock.release()
