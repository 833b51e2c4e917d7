"""What takes a page too long to compute while somebody waits: done in a thread, looked at until it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""


@dataclass
class Task:
    """Something that is computed in a thread of its own.

    Attributes:
        key: what it is.
        done, all: how far it is; `all` is 0 before it can tell.
        result: None until it is finished, and when it failed.
        error: why it failed.
    """

    key: Any
    done: int = 0
    all: int = 0
    result: Any = None
    error: Exception | None = None
    finished: bool = False


class _DroppedError(Exception):
    """Something else is wanted now."""


class Background:
    """Computes what was asked for last; a page asks again and again until it is finished."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._task: Task | None = None

    def look(self, key: Any, work: Callable[[Progress], Any]) -> Task:
        """How far the task of that key is; it is started when another one, or none, was asked for before.

        Args:
            key: compared with ==; it names everything that the result depends on.
            work: gets a `progress` that it must call now and then.
        """
        with self._lock:
            if self._task is None or self._task.key != key:
                self._task = Task(key)
                threading.Thread(target=self._run, args=(self._task, work), daemon=True).start()
            return self._task

    def _run(self, task: Task, work: Callable[[Progress], Any]) -> None:
        def progress(done: int, all_: int) -> None:
            if task is not self._task:
                raise _DroppedError
            task.done, task.all = done, all_

        try:
            task.result = work(progress)
        except _DroppedError:
            return
        except Exception as error:  # shown where the result would be
            task.error = error
        task.finished = True
