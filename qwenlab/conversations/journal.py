"""Every accepted edit on disk before the page says so: an append-only log beside the data set's file.

The train.json is only rewritten when the person saves. Until then, and after a crash, the edits stand here; so do
undo and redo. One line is one record; a last line that a crash cut short was never accepted and is dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.conversations.sample import Labels, Sample, to_json
from qwenlab.conversations.words import DataError
from qwenlab.workspace import Workspace

PATIENCE = 0.5
"""Seconds to wait for a claim: another process may just be looking whether there is one."""


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
"""{"do": "step" | "undo" | "redo"}, or {"do": "saving" | "saved", "digest": what the file is getting or has}."""


class Journal:
    """The log of one data set.

    Only the process that claimed it writes; what others did since it was read here is never written over.

    Args:
        path: the train.json; the log of each file has its own folder in the workspace.
    """

    def __init__(self, workspace: Workspace, path: Path) -> None:
        place = path.resolve()
        self._name = path.name
        short = hashlib.sha256(str(place).encode("utf-8", "surrogateescape")).hexdigest()[:10]
        self.folder = workspace.edits / f"{path.name.removesuffix('.json')[:60]}-{short}"
        self._file = self.folder / "journal.jsonl"
        # Not one claim per thread: each action of the page may run in another one.
        self._lock = FileLock(self.folder / "lock", thread_local=False)
        self._handle: int | None = None
        self._end = 0
        self._seen: Any = "never"

    @property
    def base(self) -> Path:
        """A copy of the file that the edits since the last save were made on."""
        return self.folder / "base.json"

    # --- reading -----------------------------------------------------------------------------------------

    def read(self) -> list[Record]:
        """What the log holds; nothing while another process edits the file.

        Raises:
            DataError: when it cannot be read, or a line before the last one is damaged (the log is then put aside).
        """
        if self.claimed_elsewhere:
            self._seen = "elsewhere"
            return []
        self._seen = self._stamp()
        try:
            content = self._file.read_bytes() if self._seen else b""
        except OSError as error:
            raise DataError("file_unreadable", path=self._file, why=error.strerror) from error
        records, self._end = _records(content)
        if content.count(b"\n", self._end) > 1:
            raise DataError("journal_odd", name=self._name, folder=self.put_aside())
        return records

    @property
    def claimed_elsewhere(self) -> bool:
        """Whether another process edits this file just now."""
        if self._lock.is_locked or not self.folder.exists():
            return False
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return True
        except OSError:  # nobody can edit here; `claim` says why
            return False
        self._lock.release()
        return False

    @property
    def overtaken(self) -> bool:
        """Whether another process wrote the log since it was read here, and does so no more."""
        return not self._lock.is_locked and self._stamp() != self._seen and not self.claimed_elsewhere

    @property
    def size(self) -> int:
        """Bytes of the log."""
        return self._end

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    # --- writing -----------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Be the only process that edits this file, until `close` or the process ends.

        Raises:
            DataError: when another process edits it, or did since it was read here.
        """
        if self._lock.is_locked:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise DataError("edited_elsewhere") from error
        except (OSError, NotImplementedError) as error:
            raise self._unwritable(error) from error
        if self._stamp() != self._seen:
            self._lock.release()
            raise DataError("edited_meanwhile")

    def append(self, record: Record) -> None:
        """Write one record; it is on disk when this returns.

        Raises:
            DataError: when another process edits this file, or when it cannot be written; nothing is written then.
        """
        self.claim()
        line = _line(record)
        try:
            handle = self._opened()
            # Leftovers of a crash, or of a write that failed and could not even be taken back.
            if os.fstat(handle).st_size != self._end:
                os.ftruncate(handle, self._end)
            os.lseek(handle, self._end, os.SEEK_SET)
            _write_all(handle, line)
            os.fsync(handle)
        except OSError as error:
            if self._handle is not None:
                with suppress(OSError):
                    os.ftruncate(self._handle, self._end)
            raise self._unwritable(error) from error
        self._end += len(line)

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace the log as a whole, durably.

        Raises:
            QwenlabError: when it cannot be written; the old log is then unchanged.
        """
        self.claim()
        content = b"".join(_line(record) for record in records)
        self._close_handle()
        files.write_bytes(self._file, content)
        self._end = len(content)

    def forget(self) -> None:
        """Drop the log: what it holds stands elsewhere now."""
        if self._file.exists():
            self.rewrite([])
        self.close()

    def put_aside(self) -> Path:
        """Keep the log and its base under another name, out of the way; returns their folder."""
        self.claim()
        names = (self.folder.with_name(f"{self.folder.name}.aside-{number}") for number in range(1, 10_000))
        aside = next(name for name in names if not name.exists())
        aside.mkdir()
        self._close_handle()
        self._end = 0
        for file in (self._file, self.base):
            with suppress(FileNotFoundError):
                file.replace(aside / file.name)
        self.close()
        return aside

    def close(self) -> None:
        """Let other processes edit this file."""
        self._close_handle()
        if self._lock.is_locked:
            self._seen = self._stamp()
            self._lock.release()

    def _opened(self) -> int:
        if self._handle is None:
            new = not self._file.exists()
            self._handle = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            if new:
                files.sync_folder(self.folder)
                files.sync_folder(self.folder.parent)
        return self._handle

    def _close_handle(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _unwritable(self, error: Exception) -> DataError:
        return DataError("journal_unwritable", path=self._file, why=getattr(error, "strerror", None) or error)


def fits(records: Sequence[Record], digest: str) -> int | None:
    """The last record that says the file has this content, or was about to get it.

    None when a later save is known to have succeeded: another program wrote the file since then.
    """
    for at in reversed(range(len(records))):
        if records[at].get("digest") == digest:
            return at
        if records[at]["do"] == "saved":
            return None
    return None


def last_saved(records: Sequence[Record]) -> int | None:
    """The last record of a save that succeeded."""
    return next((at for at in reversed(range(len(records))) if records[at]["do"] == "saved"), None)


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


def apply(items: list[Any], changes: Iterable[Change], make: Callable[[Sample], Any] = lambda sample: sample) -> None:
    """Make the changes in the list of samples, or in any list kept beside it with `make` of each new sample."""
    for change in changes:
        if change.new is None:
            del items[change.index]
        elif change.old is None:
            items.insert(change.index, make(change.new))
        else:
            items[change.index] = make(change.new)


def applied(samples: Sequence[Sample], changes: Iterable[Change]) -> list[Sample]:
    """The samples after the changes.

    Raises:
        IndexError: when another sample, or none, stands where a change was meant.
    """
    after = list(samples)
    for change in changes:
        if not 0 <= change.index < len(after) + (change.old is None):
            raise IndexError("there is no such sample")
        if change.old is not None and after[change.index] != change.old:
            raise IndexError("another sample stands there")
        apply(after, [change])
    return after


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


def _line(record: Record) -> bytes:
    return to_json(record, tight=True).encode("utf-8") + b"\n"


def _records(content: bytes) -> tuple[list[Record], int]:
    """The records up to the first line that is not whole, and how many bytes they are."""
    found: list[Record] = []
    end = 0
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            break
        if not isinstance(record, dict) or "do" not in record:
            break
        found.append(record)
        end += len(line)
    return found, end


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]
