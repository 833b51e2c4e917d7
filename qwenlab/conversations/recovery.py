"""A file and the log of its edits put together again, after a restart or a crash."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab import files
from qwenlab.conversations import journal, labels
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.history import History
from qwenlab.conversations.journal import Change, Journal, Record
from qwenlab.conversations.words import DataError


def recover(dataset: DataSet, facts: list[Facts], log: Journal) -> tuple[History, bool]:
    """Make the edits that the file does not have yet, and bring back labels and history.

    Args:
        dataset: as the file is; its samples are changed.
        facts: of those samples; changed with them.
        log: of this file.

    Returns:
        The history, and whether the edits belong to an older version of the file: another program wrote it since.

    Raises:
        DataError: when the log does not fit the file; it is put aside, and the next opening goes on without it.
    """
    records = log.read()
    try:
        return _follow(records, dataset, facts, log)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("journal_odd", name=dataset.path.name, folder=log.put_aside()) from error


def _follow(records: Sequence[Record], dataset: DataSet, facts: list[Facts], log: Journal) -> tuple[History, bool]:
    here = journal.fits(records, dataset.digest)
    saved = journal.last_saved(records) if here is None else here
    history = History()
    made: list[Sequence[Change]] = []
    for at, record in enumerate(records):
        made.append(history.follow(record))
        if at == saved:
            history.saved()
    history.seal()
    start = len(records) if here is None else here
    orphan = here is None and history.edited
    if orphan:
        start = _back_to_base(records, dataset, facts, log)
    elif here is None:  # another program wrote the file, and nothing of ours is missing in it
        history = History()
    # The labels fit the file; edits since then bring their own.
    labels.attach(dataset.path, dataset.samples, facts)
    changes = [change for group in made[start + 1 :] for change in group]
    dataset.samples = journal.applied(dataset.samples, changes)
    journal.apply(facts, changes, Facts)
    return history, orphan


def _back_to_base(records: Sequence[Record], dataset: DataSet, facts: list[Facts], log: Journal) -> int:
    """Go back to the copy of the file that the edits were made on; returns the record that names it."""
    digest = files.sha256(log.base) if log.base.exists() else ""
    at = next((at for at in reversed(range(len(records))) if records[at].get("digest") == digest), None)
    if at is None:
        raise ValueError("made on a file that is gone")
    facts.clear()
    dataset.adopt(DataSet.open(log.base, facts))
    return at
