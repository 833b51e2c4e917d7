"""How fast an endpoint is asked: several requests at once, a limit per minute, and patience where it is busy."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

CONCURRENT = 8
SILENCE_SECONDS = 120.0
"""How long a server may say nothing: a long prompt takes time before the first word."""
RETRIES = 4
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer the same request later."""
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WISH = 0.5, 30.0, 600.0
"""Seconds: before the first retry, doubled with each; at most; and at most where the server names a time itself."""
GONE = 3
"""Requests in a row that failed after all retries; then the server is taken for dead, and nobody waits for it again."""


@dataclass(frozen=True)
class Pace:
    """How an endpoint is asked.

    Attributes:
        concurrent: requests at the same time.
        per_minute: at most so many requests are begun in a minute; None for no limit.
        retries: how often a request is repeated that failed for a reason that may pass.
        silence_seconds: a server that says nothing for so long has failed.
    """

    concurrent: int = CONCURRENT
    per_minute: float | None = None
    retries: int = RETRIES
    silence_seconds: float = SILENCE_SECONDS


class Turns:
    """Who may ask when; shared by all threads that ask one endpoint."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 60 / pace.per_minute if pace.per_minute else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next = self._held = 0.0
        self._failed = 0

    def wait(self, gone: threading.Event) -> bool:
        """Wait for the next turn; False when `gone` was set meanwhile."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next, self._held)
            self._next = start + self._gap
        while (left := start - self._clock()) > 0:
            if gone.wait(left):
                return False
            start = max(start, self._held)  # a server may have asked for a pause meanwhile
        return not gone.is_set()

    def hold(self, seconds: float) -> None:
        """Nobody begins a request for so long: the server asked for it."""
        with self._lock:
            self._held = max(self._held, self._clock() + seconds)

    def ended(self, well: bool) -> None:
        """A request got its answer, or failed after all retries."""
        with self._lock:
            self._failed = 0 if well else self._failed + 1

    @property
    def server_is_gone(self) -> bool:
        """Whether so many requests have failed that waiting for the server is of no use."""
        return self._failed >= GONE


def pause(attempt: int) -> float:
    """Seconds before repeating a request for the `attempt`-th time, from 0; random, so that not all come at once."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt) * random.uniform(0.5, 1.0)


def wished_pause(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None where it says nothing usable."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        seconds = (until - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), LONGEST_WISH) if seconds == seconds else None
