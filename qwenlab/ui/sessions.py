"""Who is logged in, and how long one who guesses passwords has to wait; knows nothing of the web."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping

HOURS = 12.0
"""How long a login holds."""
FREE_TRIES = 5
LONGEST_WAIT = 60.0
"""Seconds. Everybody can try again after this, so that nobody is locked out for good."""
FORGET = 900.0
"""Seconds after which wrong passwords of an address are forgotten."""
MOST_ADDRESSES = 10_000


class Sessions:
    """Random tokens of those who logged in; only their digests are kept, and in memory only.

    Args:
        users: gives name -> hash of the password as it is now: whoever is removed, or has another password, is out.
    """

    def __init__(self, users: Callable[[], Mapping[str, str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._users = users
        self._clock = clock
        self._open: dict[bytes, tuple[str, str, float]] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, kept: str) -> str:
        """A new token for a user whose password, with the hash `kept`, was right."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            self._open = {key: one for key, one in self._open.items() if one[2] > now}
            self._open[_digest(token)] = (name, kept, now + HOURS * 3600)
        return token

    def user(self, token: str | None) -> str | None:
        """The name of who holds this token; None when nobody does, or does no longer."""
        known = self._open.get(_digest(token)) if token else None
        if known is None or known[2] <= self._clock() or self._users().get(known[0]) != known[1]:
            return None
        return known[0]

    def end(self, token: str | None) -> None:
        """Log out."""
        with self._lock:
            self._open.pop(_digest(token or ""), None)


class Brake:
    """Slows down who sends wrong passwords: some are free, then each address waits longer, up to a minute.

    It counts addresses and not names: a stranger must not be able to lock the owner out by using the owner's name.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def enter(self, address: str) -> float:
        """Seconds to wait before this address may try; 0 when it may, and then the try is counted as wrong at first."""
        with self._lock:
            now = self._clock()
            number, last = self._wrong.get(address, (0, now))
            if now - last > FORGET:
                number = 0
            wait = min(2.0 ** (number - FREE_TRIES), LONGEST_WAIT) if number >= FREE_TRIES else 0.0
            if now < last + wait:
                return last + wait - now
            if len(self._wrong) >= MOST_ADDRESSES:
                self._wrong = {one: seen for one, seen in self._wrong.items() if now - seen[1] <= LONGEST_WAIT}
            self._wrong[address] = (min(number + 1, 64), now)
            return 0.0

    def passed(self, address: str) -> None:
        """The password was right."""
        with self._lock:
            self._wrong.pop(address, None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
