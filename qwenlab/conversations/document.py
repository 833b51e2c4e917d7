"""An open data set: its samples, what is known of them, and a history that a crash cannot take away."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import checks, journal
from qwenlab.conversations.checks import Problem, SchemaCheck, compile_schema, plain_text
from qwenlab.conversations.dataset import DataSet, editable, free_path, keep_version, sidecar
from qwenlab.conversations.facts import Facts, Finding, searchable
from qwenlab.conversations.journal import Change, Journal, Record, Step
from qwenlab.conversations.sample import NO_LABELS, Labels, Sample, to_json
from qwenlab.conversations.words import DataError
from qwenlab.workspace import Workspace

CHECKED_AT_ONCE = 5000
"""Sets up to this size are checked again after every edit; larger ones when the person asks."""
LONGEST_LOG = 16 * 2**20
"""A log that grew beyond this many bytes is cut at the next save, to the last `KEPT_STEPS`."""
KEPT_STEPS = 500


class Document:
    """One open data set with its history; shared by all windows, so an edit in one is seen in the other.

    Attributes:
        dataset: the file and its samples.
        facts: what is known of each sample, in the same order.
        revision: a number that changes with every edit.
        saved: when the file was last written by this lab; None when it was not.
        kept: when the last edit was put on disk, in the log or in the file.
        orphan: whether the edits belong to an older version of a file that another program changed since.
    """

    def __init__(self, dataset: DataSet, workspace: Workspace) -> None:
        self.dataset = dataset
        self.workspace = workspace
        self.revision = 0
        self.saved: datetime | None = None
        self.kept: datetime | None = None
        self.orphan = False
        self.lock = threading.RLock()
        self._undo: list[Step] = []
        self._redo: list[Step] = []
        self._sealed = False
        self._saved_step: Step | None = None
        self._counts: tuple[Any, Counter[str]] = (None, Counter())
        self._journal = Journal(workspace, dataset.path)
        schema = dataset.attached_schema()
        self.schema: SchemaCheck | None = compile_schema(schema, dataset) if schema is not None else None
        self._plain = plain_text(dataset.settings())
        self._recover()
        self.facts = [Facts(sample) for sample in self.samples]
        _attach_labels(dataset, self.facts)
        self.checked = False
        self._check_if_small()

    @classmethod
    def open(cls, path: Path, workspace: Workspace) -> Document:
        """Open a train.json, with the edits that were made since it was last saved.

        Raises:
            DataError: when it cannot be read.
        """
        return cls(DataSet.open(path), workspace)

    @property
    def samples(self) -> list[Sample]:
        """The samples in file order; change them through `change` only."""
        return self.dataset.samples

    @property
    def edited(self) -> bool:
        """Whether there are edits that the file does not have yet."""
        return (self._undo[-1] if self._undo else None) is not self._saved_step

    # --- editing -----------------------------------------------------------------------------------------

    def change(self, changes: Change | Sequence[Change], mark: str = "") -> None:
        """Make one step; it is on disk when this returns.

        Args:
            changes: made in this order; each index counts after the changes before it.
            mark: steps in a row with the same mark, such as typing in one turn, merge into one.

        Raises:
            QwenlabError: when it cannot be written; nothing is changed then.
        """
        with self.lock:
            self._own()
            made = (changes,) if isinstance(changes, Change) else tuple(changes)
            if not made:
                return
            step = Step(tuple(_stamped(change) for change in made), mark)
            last = self._undo[-1] if self._undo else None
            merge = bool(mark and last and not self._sealed and last.mark == mark and last.at == step.at)
            self._append(journal.step_record(step, merge))
            self._push(step, merge)
            self._apply(step.changes)

    def seal(self) -> None:
        """Let the next edit be a step of its own."""
        self._sealed = True

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._redo)

    def undo(self) -> int | None:
        """Take back the last step; returns which sample it touched."""
        with self.lock:
            if not self._undo:
                return None
            self._own()
            self._append({"do": "undo"})
            step = self._undo.pop()
            self._redo.append(step)
            self._apply(journal.inverse(step))
            return step.at

    def redo(self) -> int | None:
        """Do the last undone step again; returns which sample it touched."""
        with self.lock:
            if not self._redo:
                return None
            self._own()
            self._append({"do": "redo"})
            step = self._redo.pop()
            self._undo.append(step)
            self._sealed = True
            self._apply(step.changes)
            return step.at

    def deleted(self) -> list[tuple[int, Sample]]:
        """Samples that were deleted and do not stand in the set any more, newest first: (index then, sample)."""
        here = {known.same for known in self.facts}
        found: list[tuple[int, Sample]] = []
        for step in reversed(self._undo):
            for change in reversed(step.changes):
                if change.old is not None and change.new is None:
                    same = Facts(change.old).same
                    if same not in here:
                        here.add(same)
                        found.append((change.index, change.old))
        return found

    def _push(self, step: Step, merge: bool) -> None:
        if merge:
            self._undo[-1] = journal.merged(self._undo[-1], step)
        else:
            self._undo.append(step)
        self._redo.clear()
        self._sealed = False

    def _apply(self, changes: Sequence[Change]) -> None:
        journal.apply(self.samples, changes)
        journal.apply(self.facts, changes, self._known)
        self.revision += 1
        if len(self.samples) <= CHECKED_AT_ONCE:
            checks.across(self.facts)

    def _known(self, sample: Sample) -> Facts:
        found = Facts(sample)
        found.findings = tuple(checks.findings(sample, self.schema_for(found.id)))
        return found

    # --- on disk -----------------------------------------------------------------------------------------

    def _own(self) -> None:
        """A shipped set is copied into the workspace before its first edit; the copy is what is edited."""
        path = editable(self.workspace, self.dataset.path)
        if path != self.dataset.path:
            self._journal.close()
            self.dataset.path = path
            self._journal = Journal(self.workspace, path)

    def _append(self, record: Record) -> None:
        self._journal.claim()
        if not self.edited:
            self._begin()
        self._journal.append(record)
        self.kept = datetime.now()

    def _begin(self) -> None:
        """Before the first edit since a save: note which file it is made on, and keep a copy of that file."""
        if self._journal.size == 0:
            self._journal.note_saved(self.dataset.digest)
        # Only needed when another program writes the file meanwhile, so no edit waits for it.
        threading.Thread(target=self._keep_base, args=(self._journal.base, self.dataset.digest), daemon=True).start()

    def _keep_base(self, base: Path, digest: str) -> None:
        try:
            if not base.exists() or files.sha256(base) != digest:
                part = base.with_suffix(".part")
                shutil.copyfile(self.dataset.path, part)
                if files.sha256(part) == digest:
                    part.replace(base)
        except OSError:
            return  # the edits themselves are safe in the log

    def save(self, overwrite: bool = False) -> None:
        """Write the file and what the lab keeps beside it; the version it replaces is kept.

        Raises:
            DataError: when the file changed on disk meanwhile, unless `overwrite`.
            QwenlabError: when it cannot be written.
        """
        with self.lock:
            if self.edited:
                self._own()
            # Said in the log before the file is written: whichever of the two a crash leaves, they fit together.
            self.dataset.save(overwrite, lambda digest: self._journal.note_saved(digest))
            self._written()

    def save_copy(self) -> None:
        """Save under a new name in the workspace and go on with that file, history included."""
        with self.lock:
            before = self._journal
            self.dataset.save_as(free_path(self.workspace.data, self.dataset.name))
            before.forget()
            self._journal = Journal(self.workspace, self.dataset.path)
            self._rewrite_log()
            self._written()

    def discard(self) -> None:
        """Drop the edits that the file does not have; they are kept as a version, so nothing is lost."""
        with self.lock:
            if self.edited:
                part = self._journal.folder / "discarded.json"
                files.write_bytes(part, self.dataset.to_bytes())
                keep_version(part, of=self.dataset.path)
                part.unlink()
            self._journal.forget()

    def close(self) -> None:
        """Let other processes edit this file."""
        self._journal.close()

    def _written(self) -> None:
        _write_labels(self.dataset, self.facts)
        self._saved_step = self._undo[-1] if self._undo else None
        self._sealed = True
        self.orphan = False
        if self._journal.size > LONGEST_LOG:
            self._rewrite_log()
        self.saved = self.kept = datetime.now()

    def _rewrite_log(self) -> None:
        self._undo = self._undo[-KEPT_STEPS:]
        # What was undone stands in the log as steps made and taken back.
        ahead = list(reversed(self._redo))
        self._journal.rewrite(
            [
                *(journal.step_record(step) for step in (*self._undo, *ahead)),
                *({"do": "undo"} for _ in ahead),
                {"do": "saved", "digest": self.dataset.digest},
            ]
        )

    def _recover(self) -> None:
        """Read the log: history from before the last save, then the edits that the file does not have yet.

        Raises:
            DataError: when the log does not fit the file; it is put aside, and the next opening goes on without it.
        """
        records = self._journal.records()
        if not records or self._journal.claimed_elsewhere:
            return
        at = _last_saved(records, self.dataset.digest)
        if at is None and all(record["do"] == "saved" for record in records[-1:]):
            return  # another program wrote the file, and nothing of ours is missing in it
        if at is None:
            base = self._journal.base
            at = _last_saved(records, files.sha256(base)) if base.exists() else None
            if at is not None:
                self.dataset.adopt(DataSet.open(base))
                self.orphan = True
        try:
            if at is None:
                raise ValueError("made on a file that is gone")
            self._replay(records[: at + 1], apply=False)
            self._saved_step = self._undo[-1] if self._undo else None
            self._replay(records[at + 1 :], apply=True)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            aside = self._journal.put_aside()
            raise DataError("journal_odd", name=self.dataset.path.name, folder=aside) from error
        self._sealed = True

    def _replay(self, records: Iterable[Record], apply: bool) -> None:
        for record in records:
            changes: tuple[Change, ...] = ()
            if record["do"] == "step":
                step = journal.step_of(record)
                self._push(step, bool(record.get("merge")))
                changes = step.changes
            elif record["do"] == "undo":
                step = self._undo.pop()
                self._redo.append(step)
                changes = journal.inverse(step)
            elif record["do"] == "redo":
                step = self._redo.pop()
                self._undo.append(step)
                changes = step.changes
            if apply:
                for change in changes:
                    if change.old is not None and self.samples[change.index] != change.old:
                        raise ValueError("another sample stands there")
                    journal.apply(self.samples, (change,))

    # --- what is wrong -----------------------------------------------------------------------------------

    def schema_for(self, sample_id: str) -> SchemaCheck | None:
        """The schema that this sample's answers must satisfy; None when it answers in plain text."""
        return None if self._plain(sample_id) else self.schema

    def check(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Check every sample and the set as a whole; edits may go on meanwhile."""
        with self.lock:
            samples, facts = list(self.samples), list(self.facts)
        checks.check_facts(samples, facts, self.schema, self._plain, progress)
        self.checked = True
        self.revision += 1

    def _check_if_small(self) -> None:
        if len(self.samples) <= CHECKED_AT_ONCE:
            checks.check_facts(self.samples, self.facts, self.schema, self._plain)
            self.checked = True

    def problems(self) -> list[Problem]:
        """All problems that are known; in a large set those of the last check and of the edits since."""
        return checks.problems(self.facts)

    def problems_at(self, index: int) -> tuple[Finding, ...]:
        """What is wrong with one sample."""
        return self.facts[index].problems

    def counts(self) -> Counter[str]:
        """How many samples have each kind of problem; "any" counts samples with one at least."""
        if self._counts[0] != self.revision:
            found: Counter[str] = Counter()
            for known in self.facts:
                if known.problems:
                    found.update({code for _, code, _ in known.problems})
                    found["any"] += 1
            self._counts = (self.revision, found)
        return self._counts[1]

    def tags(self) -> list[str]:
        """Every tag in use, in alphabetical order."""
        return sorted({tag for known in self.facts for tag in known.labels.tags})

    def find(self, search: str, keep: Callable[[Facts], bool] | None = None) -> list[int]:
        """Positions of the samples in which every word of `search` stands and that `keep` wants."""
        words = searchable([search]).split()
        return [
            index
            for index, known in enumerate(self.facts)
            if (not words or known.contains(words)) and (keep is None or keep(known))
        ]


def _stamped(change: Change) -> Change:
    if change.new is None:
        return change
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return replace(change, new=change.new.with_labels(replace(change.new.labels, edited=now)))


def _last_saved(records: Sequence[Record], digest: str) -> int | None:
    """The last record that says the file has this digest."""
    return next((at for at in reversed(range(len(records))) if records[at].get("digest") == digest), None)


def _attach_labels(dataset: DataSet, facts: Sequence[Facts]) -> None:
    """Give the samples the labels that NAME.lab.json has for them; those that the log knew already stay."""
    found = dataset.settings().get("samples")
    if not isinstance(found, dict) or not found:
        return
    hashed = any(key.startswith("#") for key in found)
    for at, key in _label_keys(dataset.samples, facts, hashed):
        labels = Labels.of(found.get(key))
        if labels != NO_LABELS and facts[at].labels == NO_LABELS:
            dataset.samples[at] = dataset.samples[at].with_labels(labels)
            facts[at].relabel(labels)


def _write_labels(dataset: DataSet, facts: Sequence[Facts]) -> None:
    """Write every sample's labels into NAME.lab.json."""
    settings = dataset.settings()
    labelled = _label_keys(dataset.samples, facts, hashed=False)
    found = {
        key or content_key(dataset.samples[at]): facts[at].labels.to_json()
        for at, key in labelled
        if facts[at].labels != NO_LABELS
    }
    if found != settings.get("samples", {}):
        files.write_json(sidecar(dataset.path), {**settings, "samples": found})


def _label_keys(samples: Sequence[Sample], facts: Sequence[Facts], hashed: bool) -> Iterator[tuple[int, str]]:
    """(position, key) of every sample: its id, or when that is empty or taken the hash of its content."""
    taken: set[str] = set()
    for at, known in enumerate(facts):
        if known.id and known.id not in taken:
            taken.add(known.id)
            yield at, known.id
        else:
            yield at, content_key(samples[at]) if hashed else ""


def content_key(sample: Sample) -> str:
    """ "#" and a hash of what the sample says."""
    text = to_json(sample.raw, tight=True)
    return "#" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
