"""An open data set: its samples, what is known of them, and a history that a crash cannot take away."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import attached, checks, journal, labels
from qwenlab.conversations.checks import Problem, attached_check, plain_text
from qwenlab.conversations.dataset import DataSet, editable, free_path, keep_base, keep_version, sweep
from qwenlab.conversations.facts import Facts, searchable
from qwenlab.conversations.history import inverse
from qwenlab.conversations.journal import Change, Journal, Record, Step
from qwenlab.conversations.recovery import recover
from qwenlab.conversations.sample import Sample, too_deep
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace

CHECKED_AT_ONCE = 5000
"""Sets up to this size are checked again after every edit; larger ones when the person asks."""
LONGEST_LOG = 16 * 2**20
"""A log that grew beyond this many bytes is cut at the next save, to the last `KEPT_STEPS`."""
KEPT_STEPS = 500
COPIED_AT_ONCE = 4 * 2**20
"""Files up to this many bytes are copied while the first edit waits; larger ones just after it."""


class Document:
    """One open data set with its history; shared by all windows, so an edit in one is seen in the other.

    Attributes:
        dataset: the file and its samples.
        facts: what is known of each sample, in the same order.
        revision: a number that changes with every edit.
        saved: when the file was last written by this lab; None when it was not.
        kept: when the last edit was put on disk, in the log or in the file.
        orphan: whether there are edits here and another program wrote the file since they were begun; both are kept
            until the person saves over it (`save(overwrite=True)`), saves a copy, or drops the edits (`discard`).
    """

    def __init__(self, dataset: DataSet, workspace: Workspace, facts: list[Facts] | None = None) -> None:
        self.dataset = dataset
        self.workspace = workspace
        self.facts = [Facts(sample) for sample in dataset.samples] if facts is None else facts
        self.revision = 0
        self.saved: datetime | None = None
        self.kept: datetime | None = None
        self.checked = False
        self.extras: checks.Extras | None = None
        self.lock = threading.RLock()
        self._counts: tuple[Any, Counter[str]] = (None, Counter())
        self._tags: tuple[Any, list[str]] = (None, [])
        self._deleted: tuple[Any, list[tuple[int, Sample]]] = (None, [])
        self._journal = Journal(workspace, dataset.path)
        self.schema = attached_check(dataset)
        self._plain = plain_text(dataset.settings())
        self._history, self.orphan = recover(dataset, self.facts, self._journal)
        if len(self.samples) <= CHECKED_AT_ONCE:
            self.check()

    @classmethod
    def open(cls, path: Path, workspace: Workspace) -> Document:
        """Open a train.json, with the edits that were made since it was last saved.

        Raises:
            DataError: when it cannot be read.
        """
        facts: list[Facts] = []
        try:
            dataset = DataSet.open(path, facts)
        except DataError:
            # Another program may have removed or spoilt a file whose edits stand in the log.
            found = cls(DataSet(path, [], digest="unreadable"), workspace)
            if found.orphan:
                return found
            raise
        return cls(dataset, workspace, facts)

    @property
    def samples(self) -> list[Sample]:
        """The samples in file order; change them through `change` only."""
        return self.dataset.samples

    @property
    def edited(self) -> bool:
        """Whether there are edits that the file does not have yet."""
        return self._history.edited

    def outdated(self) -> bool:
        """Whether the set must be opened again, because something else wrote it and nothing unsaved is here.

        When something unsaved is here, it is marked as an `orphan` instead.
        """
        with self.lock:
            if self._journal.overtaken:
                return True
            if self.dataset.touched():
                changed = self.dataset.changed_on_disk()
                self.orphan = changed and self.edited
            else:
                changed = self.orphan
            return changed and not self.edited

    # --- editing -----------------------------------------------------------------------------------------

    def change(self, changes: Change | Sequence[Change], mark: str = "") -> None:
        """Make one step; it is on disk when this returns.

        Args:
            changes: made in this order; each index counts after the changes before it.
            mark: steps in a row with the same mark, such as typing in one turn, merge into one.

        Raises:
            QwenlabError: when it cannot be written; nothing is changed then.
            IndexError: when another sample, or none, stands where a change is meant; nothing is changed then.
        """
        made = (changes,) if isinstance(changes, Change) else changes
        wanted = tuple(_stamped(change) for change in made if _changes_something(change))
        if not wanted:
            return
        with self.lock:
            step = Step(wanted, mark)
            merge = self._history.merges(step)
            apply = self._prepared(step.changes)
            self._own()
            self._append(journal.step_record(step, merge))
            self._history.push(step, merge)
            apply()

    def seal(self) -> None:
        """Let the next edit be a step of its own."""
        self._history.seal()

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._history.undone)

    def undo(self) -> int | None:
        """Take back the last step; returns which sample it touched."""
        with self.lock:
            if not self.can_undo:
                return None
            step = self._history.done[-1]
            apply = self._prepared(inverse(step))
            self._append({"do": "undo"})
            self._history.undo()
            apply()
            return step.at

    def redo(self) -> int | None:
        """Do the last undone step again; returns which sample it touched."""
        with self.lock:
            if not self.can_redo:
                return None
            step = self._history.undone[-1]
            apply = self._prepared(step.changes)
            self._append({"do": "redo"})
            self._history.redo()
            apply()
            return step.at

    def deleted(self) -> list[tuple[int, Sample]]:
        """Samples that were deleted and do not stand in the set any more, newest first: (index then, sample)."""
        if self._deleted[0] != self.revision:
            here = {known.same for known in self.facts}
            found: list[tuple[int, Sample]] = []
            for index, sample in self._history.deleted():
                same = Facts(sample).same
                if same not in here:
                    here.add(same)
                    found.append((index, sample))
            self._deleted = (self.revision, found)
        return self._deleted[1]

    def _prepared(self, changes: Sequence[Change]) -> Callable[[], None]:
        """Do all of an edit that can fail; what is returned makes it, once it is on disk."""
        if any(change.new is not None and too_deep(change.new.raw) for change in changes):
            raise QwenlabError(
                "The sample has too many lists and objects inside each other.",
                "Write it with fewer levels of brackets.",
                zh=("样本中列表和对象的嵌套层数太多。", "请减少括号的层数。"),
            )
        after = journal.applied(self.samples, changes)
        known = iter([self._known(change.new) for change in changes if change.new is not None])

        def apply() -> None:
            self.dataset.samples = after
            journal.apply(self.facts, changes, lambda _: next(known))
            self.revision += 1
            if len(after) <= CHECKED_AT_ONCE:
                checks.across(self.facts)

        return apply

    def _known(self, sample: Sample) -> Facts:
        found = Facts(sample)
        found.findings = tuple(checks.findings(sample, self.schema_for(found.id), self.extras))
        return found

    # --- on disk -----------------------------------------------------------------------------------------

    def _own(self) -> None:
        """A shipped set is copied into the workspace before its first edit; the copy is what is edited."""
        path = editable(self.workspace, self.dataset.path)
        if path == self.dataset.path:
            return
        own = Journal(self.workspace, path)
        if own.read() or own.claimed_elsewhere or files.sha256(path) != self.dataset.digest:
            raise DataError("edited_meanwhile")  # there was a copy already, with edits
        self._journal.close()
        self.dataset.moved(path)
        self._journal = own

    def _append(self, record: Record) -> None:
        self._journal.claim()
        if not self.edited:
            self._begin()
        self._journal.append(record)
        self.kept = datetime.now()

    def _begin(self) -> None:
        """Before the first edit since a save: the log says which file it is made on, and a copy of that is kept.

        A large file is copied just after the edit. Only when another program writes it, and the lab is killed, in the
        same moment, is there no such copy; the edits are then put aside, whole, instead of being shown.
        """
        dataset, base = self.dataset, self._journal.base
        digest = dataset.digest
        if dataset.touched() and dataset.changed_on_disk():
            digest = dataset.write_as_it_is(base)
        elif dataset.size <= COPIED_AT_ONCE:
            _keep_base(dataset.path, base, digest)
        else:
            threading.Thread(target=_keep_base, args=(dataset.path, base, digest), daemon=True).start()
        saved: Record = {"do": "saved", "digest": digest}
        if not self.can_undo and not self.can_redo:
            self._journal.rewrite([saved])
        elif digest != dataset.digest:
            self._journal.append(saved)

    def save(self, overwrite: bool = False) -> None:
        """Write the file and what the lab keeps beside it; the version it replaces is kept.

        Raises:
            DataError: when the file changed on disk meanwhile, unless `overwrite`.
            QwenlabError: when it cannot be written.
        """
        with self.lock:
            self.seal()
            if self.edited or self.dataset.changed_on_disk():
                self.dataset.save(overwrite, self._announce)
                # Not needed to recover; only says that nothing of ours is missing when another program writes later.
                with suppress(QwenlabError):
                    self._journal.append({"do": "saved", "digest": self.dataset.digest})
                    sweep(self.dataset.path)
            self._written()

    def _announce(self, digest: str) -> None:
        """Before the file is written: whatever a crash leaves of log, labels and file then fits together."""
        self._journal.claim()
        # The labels first: where only they changed, the file has the new digest before it is written.
        labels.write(self.dataset.path, self.samples, self.facts)
        self._append({"do": "saving", "digest": digest})

    def save_copy(self) -> None:
        """Save under a new name in the workspace and go on with that file, history included."""
        with self.lock:
            path = free_path(self.workspace.data, self.dataset.name)
            copy, before = Journal(self.workspace, path), self._journal
            if copy.read():  # of a file of that name which is gone
                copy.put_aside()

            def announce(digest: str) -> None:
                copy.rewrite([*self._history.records(), {"do": "saved", "digest": digest}])
                labels.write(path, self.samples, self.facts)

            try:
                self.dataset.save_as(path, announce)
            except BaseException:
                copy.close()
                raise
            self._journal = copy
            self._written()
            with suppress(QwenlabError):
                before.forget()
            before.close()

    def discard(self) -> None:
        """Drop the edits that the file does not have and close; they are kept as a version, so nothing is lost."""
        with self.lock:
            if self.edited:
                self._journal.claim()
                part = self._journal.folder / "discarded.json"
                files.write_bytes(part, self.dataset.to_bytes())
                keep_version(part, of=self.dataset.path)
                part.unlink()
                self._journal.forget()
            self.close()

    def close(self) -> None:
        """Let other processes edit this file."""
        with self.lock:
            self._journal.close()

    def _written(self) -> None:
        self._history.saved()
        self.orphan = False
        self.saved = self.kept = datetime.now()
        if self._journal.size > LONGEST_LOG:
            self._history.trim(KEPT_STEPS, LONGEST_LOG // 2)
            with suppress(QwenlabError):  # it is only long
                self._journal.rewrite([*self._history.records(), {"do": "saved", "digest": self.dataset.digest}])

    # --- what is wrong -----------------------------------------------------------------------------------

    def schema_for(self, sample_id: str) -> SchemaCheck | None:
        """The schema that this sample's answers must satisfy; None when it answers in plain text."""
        return None if self._plain(sample_id) else self.schema

    def satisfy(self, file: Path | None) -> None:
        """Judge the answers by the schema in this file, or of this suite, from now on; None: by none.

        Raises:
            DataError: when it holds no usable schema; the one before stays then.
        """
        with self.lock:
            self._own()
            before = attached.schema_file(self.dataset.path)
            attached.name_schema(self.dataset.path, file)
            try:
                self.schema = attached_check(self.dataset)
            except DataError:
                attached.name_schema(self.dataset.path, before)
                raise
            for known in self.facts:
                known.findings = None
            self.checked = False
            self.revision += 1
            if len(self.samples) <= CHECKED_AT_ONCE:
                self.check()

    def check(self, progress: Callable[[int, int], None] | None = None, extras: checks.Extras | None = None) -> None:
        """Check every sample and the set as a whole; edits may go on meanwhile."""
        with self.lock:
            samples, facts = list(self.samples), list(self.facts)
        self.extras = extras or self.extras
        checks.check_facts(samples, facts, self.schema, self._plain, progress, self.extras)
        with self.lock:
            self.checked = True
            self.revision += 1

    def problems(self) -> list[Problem]:
        """All problems that are known; in a large set those of the last check and of the edits since."""
        return checks.problems(self.facts)

    def counts(self) -> Counter[str]:
        """How many samples have each kind of problem; "any" counts samples with one at least."""
        if self._counts[0] != self.revision:
            found: Counter[str] = Counter()
            for known in self.facts:
                if known.findings or known.across:
                    found.update({code for _, code, _ in known.problems})
                    found["any"] += 1
            self._counts = (self.revision, found)
        return self._counts[1]

    def tags(self) -> list[str]:
        """Every tag in use, in alphabetical order."""
        if self._tags[0] != self.revision:
            self._tags = (self.revision, sorted({tag for known in self.facts for tag in known.labels.tags}))
        return self._tags[1]

    def find(self, search: str, keep: Callable[[Facts], bool] | None = None) -> list[int]:
        """Positions of the samples in which every word of `search` stands and that `keep` wants."""
        facts = self.facts
        found = list(range(len(facts)))
        for word in searchable([search]).split():
            found = [at for at in found if word in facts[at].text or word in facts[at].label_text]
        return found if keep is None else [at for at in found if keep(facts[at])]


def _changes_something(change: Change) -> bool:
    old, new = change.old, change.new
    if old is None or new is None:
        return old is not new
    return old.labels != new.labels or old != new


def _stamped(change: Change) -> Change:
    if change.new is None:
        return change
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return replace(change, new=change.new.with_labels(replace(change.new.labels, edited=now)))


def _keep_base(path: Path, base: Path, digest: str) -> None:
    with suppress(OSError):  # the edits themselves are safe in the log
        keep_base(path, base, digest)
