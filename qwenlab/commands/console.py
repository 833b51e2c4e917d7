"""What a verb prints: results on standard output, progress and errors on standard error or into a job."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job

DONE, BELOW, FAILED = 0, 1, 2
"""Exit codes: done; a gate or check failed; could not run."""
BAR = 24
PER_SECOND, BURST = 5, 32
"""Answers of a batch come at once, and what the last of them says holds until the next batch."""
SOON = 2.0
"""Seconds before which nothing is said about the time left."""


class Console:
    """One verb's mouth.

    Args:
        machine: print one JSON object instead of words.
        job: also report progress and the end into this job folder.
    """

    def __init__(self, machine: bool = False, job: Job | None = None) -> None:
        self.machine = machine
        self.job = job
        self._out = sys.stdout
        self._credit, self._seen = float(BURST), time.monotonic()
        self._begun: dict[str, tuple[float, float]] = {}
        self._line = ""

    def alone(self) -> AbstractContextManager[object]:
        """Keep standard output for the result where a machine reads it: some libraries print their greetings there."""
        return contextlib.redirect_stdout(sys.stderr) if self.machine else contextlib.nullcontext()

    def progress(self, what: str, fraction: float, **details: Any) -> None:
        """Show how far `what` is, 0 to 1; at most PER_SECOND times a second, but all of a burst.

        Args:
            details: more to report; without `seconds_left` the time so far tells what is left.
        """
        now, ended = time.monotonic(), fraction >= 1
        details.setdefault("seconds_left", self._left(what, fraction, now))
        self._credit = min(BURST, self._credit + (now - self._seen) * PER_SECOND)
        self._seen = now
        if self._credit < 1 and not ended:
            return
        self._credit -= 1
        if self.job:
            self.job.report("progress", what=what, fraction=round(fraction, 4), **details)
            return
        left = details.get("seconds_left")
        tail = f"  {clock(left)} left" if left is not None and not ended else ""
        filled = round(BAR * min(1.0, fraction))
        self._draw(f"{what:<28} [{'#' * filled}{'.' * (BAR - filled)}] {fraction:4.0%}{tail}", ended)

    def _left(self, what: str, fraction: float, now: float) -> float | None:
        begun, first = self._begun.setdefault(what, (now, fraction))
        if fraction <= first or now - begun < SOON:
            return None
        return round((now - begun) * (1 - fraction) / (fraction - first), 1)

    def _draw(self, line: str, ended: bool) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r" + line.ljust(len(self._line)) + ("\n" if ended else ""))
        elif ended:  # a log file wants no animation
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
        self._line = "" if ended else line

    def asked_to_stop(self) -> bool:
        """Whether a person asked the job that this verb is to stop."""
        return self.job is not None and self.job.asked_to_stop()

    def say(self, text: str) -> None:
        """A line for people, kept out of machine output."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def result(self, value: dict[str, Any], text: str) -> None:
        """The verb's outcome, as JSON for machines or as text for people."""
        self._out.write((json.dumps(value, ensure_ascii=False, allow_nan=False) if self.machine else text) + "\n")
        self._out.flush()

    def raw(self, content: bytes) -> None:
        """The verb's outcome where it is a whole file."""
        self._out.buffer.write(content)
        self._out.flush()

    def error(self, error: QwenlabError) -> None:
        """What happened and what to do."""
        if self.machine:
            self._out.write(json.dumps({"error": error.what, "remedy": error.remedy}, ensure_ascii=False) + "\n")
        sys.stderr.write(f"Error: {error}\n")


def clock(seconds: float) -> str:
    """Seconds as 1:05 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
