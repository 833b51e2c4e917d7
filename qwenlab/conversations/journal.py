"""Every accepted edit on disk before the page says so: an append-only log beside the data set's file.

The train.json is only rewritten when the person saves. Until then, and after a crash, the edits stand here; so do
undo and redo. One line is one record; a last line that a crash cut short is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.conversations.sample import Labels, Sample, to_json
from qwenlab.conversations.words import DataError
from qwenlab.workspace import Workspace


@dataclass(frozen=True)
class Change:
    """`old` became `new` at `index`; None stands for no sample."""

    index: int
    old: Sample | None
    new: Sample | None


@dataclass(frozen=True)
class Step:
    """What one undo takes back: one change, or many made at once.

    Attributes:
        changes: in the order they were made.
        mark: steps in a row with the same mark, such as typing in one turn, merge into one.
    """

    changes: tuple[Change, ...]
    mark: str = ""

    @property
    def at(self) -> int:
        """The first sample it touched."""
        return self.changes[0].index if self.changes else 0


Record = dict[str, Any]
"""{"do": "step" | "undo" | "redo" | "saved", ...}"""


class Journal:
    """The log of one data set.

    Args:
        path: the train.json; the log of each file has its own folder in the workspace.
    """

    def __init__(self, workspace: Workspace, path: Path) -> None:
        place = path.resolve()
        short = hashlib.sha256(str(place).encode("utf-8", "surrogateescape")).hexdigest()[:10]
        self.folder = workspace.edits / f"{path.name.removesuffix('.json')}-{short}"
        self._file = self.folder / "journal.jsonl"
        self._lock = FileLock(self.folder / "lock", blocking=False)
        self._handle: int | None = None
        self._seen = 0

    @property
    def base(self) -> Path:
        """A copy of the file that the edits since the last save were made on."""
        return self.folder / "base.json"

    def records(self) -> list[Record]:
        """What the log holds, up to the first line that is not whole."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        self._seen = len(content)
        return list(_whole_lines(content))

    def claim(self) -> None:
        """Be the only process that edits this file, until `close` or the process ends.

        Raises:
            DataError: when another process does.
        """
        if self._lock.is_locked:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise DataError("edited_elsewhere") from error
        if self.size != self._seen:  # another process edited the file and ended since this one opened it
            self._lock.release()
            raise DataError("edited_meanwhile")

    @property
    def claimed_elsewhere(self) -> bool:
        """Whether another process edits this file just now."""
        if self._lock.is_locked or not self.folder.exists():
            return False
        try:
            self._lock.acquire()
        except Timeout:
            return True
        self._lock.release()
        return False

    def append(self, record: Record) -> None:
        """Write one record; it is on disk when this returns.

        Raises:
            DataError: when another process edits this file.
            QwenlabError: when the disk is full or cannot be written.
        """
        self.claim()
        line = to_json(record, tight=True).encode("utf-8") + b"\n"
        try:
            if self._handle is None:
                self._handle = self._open()
            start = os.lseek(self._handle, 0, os.SEEK_END)
            try:
                _write_all(self._handle, line)
                os.fsync(self._handle)
            except OSError:
                os.ftruncate(self._handle, start)
                raise
        except OSError as error:
            raise DataError("journal_unwritable", path=self._file, why=error.strerror) from error

    def _open(self) -> int:
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        content = _read_all(handle)
        whole = sum(len(line) for line in content.splitlines(keepends=True) if _is_whole(line))
        torn = content[whole:]
        if torn:  # a crash in the middle of a write: nothing after it was ever accepted
            os.ftruncate(handle, whole)
        files.sync_folder(self.folder)
        return handle

    def note_saved(self, digest: str) -> None:
        """Say that the file has, or is just about to have, this content."""
        self.append({"do": "saved", "digest": digest})

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the log as a whole, durably."""
        self.claim()
        content = b"".join(to_json(record, tight=True).encode("utf-8") + b"\n" for record in records)
        self._close_handle()
        files.write_bytes(self._file, content)

    def forget(self) -> None:
        """Drop the log: what it holds stands elsewhere now."""
        self.rewrite([])
        self.close()

    def put_aside(self) -> Path:
        """Keep the log under another name, out of the way; returns its folder."""
        self.close()
        names = (self.folder.with_name(f"{self.folder.name}.aside-{number}") for number in range(1, 10_000))
        aside = next(name for name in names if not name.exists())
        self.folder.replace(aside)
        return aside

    @property
    def size(self) -> int:
        """Bytes of the log."""
        return self._file.stat().st_size if self._file.exists() else 0

    def close(self) -> None:
        """Let other processes edit this file."""
        self._close_handle()
        self._lock.release()

    def _close_handle(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def step_record(step: Step, merge: bool = False) -> Record:
    """The record of a step; `merge` when it only goes on with the step before."""
    changes = [[change.index, _packed(change.old), _packed(change.new)] for change in step.changes]
    record: Record = {"do": "step", "changes": changes}
    if step.mark:
        record["mark"] = step.mark
    if merge:
        record["merge"] = True
    return record


def step_of(record: Record) -> Step:
    """Read what `step_record` wrote."""
    changes = (Change(index, _unpacked(old), _unpacked(new)) for index, old, new in record["changes"])
    return Step(tuple(changes), record.get("mark", ""))


def merged(before: Step, after: Step) -> Step:
    """Two steps in the same words as one."""
    first, last = before.changes[0], after.changes[-1]
    return Step((Change(first.index, first.old, last.new),), after.mark)


def inverse(step: Step) -> tuple[Change, ...]:
    """The changes that take a step back."""
    return tuple(Change(change.index, change.new, change.old) for change in reversed(step.changes))


def apply(samples: list[Any], changes: Sequence[Change], make: Any = lambda sample: sample) -> None:
    """Make the changes in `samples`, or in any list kept beside it with `make` of each new sample."""
    for change in changes:
        if change.old is None and change.new is not None:
            samples.insert(change.index, make(change.new))
        elif change.new is None:
            del samples[change.index]
        else:
            samples[change.index] = make(change.new)


def _packed(sample: Sample | None) -> Record | None:
    if sample is None:
        return None
    found: Record = {"raw": sample.raw} if sample.source is None else {"source": sample.source}
    labels = sample.labels.to_json()
    return {**found, "labels": labels} if labels else found


def _unpacked(found: Record | None) -> Sample | None:
    if found is None:
        return None
    labels = Labels.of(found.get("labels"))
    return Sample.unread(found["source"], labels) if "source" in found else Sample(found["raw"], labels=labels)


def _whole_lines(content: bytes) -> Iterator[Record]:
    for line in content.splitlines(keepends=True):
        if not _is_whole(line):
            return
        yield json.loads(line)


def _is_whole(line: bytes) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _read_all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    parts = []
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
