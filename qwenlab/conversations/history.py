"""Undo and redo of a data set: the steps made, the steps taken back, and which of them the file has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qwenlab.conversations.journal import Change, Record, Step, step_of, step_record
from qwenlab.conversations.sample import Sample, to_json


class History:
    """Two stacks of steps; the same object in the running lab and when a log is read again."""

    def __init__(self) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self._sealed = True
        self._saved: Step | None = None

    @property
    def edited(self) -> bool:
        """Whether there are steps that the file does not have."""
        return self._last is not self._saved

    @property
    def _last(self) -> Step | None:
        return self.done[-1] if self.done else None

    def saved(self) -> None:
        """The file has what was done up to now."""
        self._saved = self._last
        self._sealed = True

    def seal(self) -> None:
        """Let the next step stand by itself."""
        self._sealed = True

    def merges(self, step: Step) -> bool:
        """Whether a step only goes on with the one before."""
        last = self._last
        return bool(step.mark and last and not self._sealed and last.mark == step.mark and last.at == step.at)

    def push(self, step: Step, merge: bool = False) -> Sequence[Change]:
        """A step was made; returns its changes."""
        if merge:
            before = self.done.pop().changes[0]
            whole = Change(before.index, before.old, step.changes[-1].new)
            self.done.append(Step((whole,), step.mark))
        else:
            self.done.append(step)
        self.undone.clear()
        self._sealed = False
        return step.changes

    def undo(self) -> Sequence[Change]:
        """The last step was taken back; returns the changes that do so."""
        self.undone.append(self.done.pop())
        self._sealed = True
        return inverse(self.undone[-1])

    def redo(self) -> Sequence[Change]:
        """The last step taken back was made again; returns its changes."""
        self.done.append(self.undone.pop())
        self._sealed = True
        return self.done[-1].changes

    def follow(self, record: Record) -> Sequence[Change]:
        """Do what a record of the log says; returns the changes that it made.

        Raises:
            IndexError, KeyError, TypeError, ValueError, AttributeError: when it makes no sense here.
        """
        if record["do"] == "step":
            return self.push(step_of(record), bool(record.get("merge")))
        if record["do"] == "undo":
            return self.undo()
        if record["do"] == "redo":
            return self.redo()
        if record["do"] not in ("saving", "saved"):
            raise ValueError("written by another version")
        return ()

    def records(self) -> list[Record]:
        """A log that leads to this history."""
        ahead = list(reversed(self.undone))  # it stands in the log as steps made and taken back
        return [*(step_record(step) for step in (*self.done, *ahead)), *({"do": "undo"} for _ in ahead)]

    def trim(self, steps: int, size: int) -> None:
        """Forget all but the last `steps`, and of those what makes a log larger than `size` bytes; one stays."""
        kept: list[Step] = []
        for step in reversed(self.done[-steps:]):
            size -= len(to_json(step_record(step), tight=True).encode("utf-8"))
            if size < 0 and kept:
                break
            kept.append(step)
        self.done = kept[::-1]

    def deleted(self) -> Iterator[tuple[int, Sample]]:
        """Samples that steps deleted, newest first: (index then, sample)."""
        for step in reversed(self.done):
            for change in reversed(step.changes):
                if change.old is not None and change.new is None:
                    yield change.index, change.old


def inverse(step: Step) -> tuple[Change, ...]:
    """The changes that take a step back."""
    return tuple(Change(change.index, change.new, change.old) for change in reversed(step.changes))
