"""What an open data set should be: a few lines of lists, against which the real one is tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Labels, Sample, Turn
from qwenlab.workspace import Workspace

SOURCES = (
    '{"id": "a", "x": [1.10, 1E5, -0.0], "conversations": [{"from": "human", "w": 2, "value": "\\u4f60好"}, '
    '{"value": "first", "from": "gpt"}]}',
    '{"conversations":[{"from":"user","value":"caf\\u00e9 \\ud83d\\ude00"},{"from":"assistant","value":"second"}]}',
    '{"id": "a",\n  "conversations": [{"from": "user", "value": "\\ud800"}, {"from": "assistant", "value": "third"}]}',
    '{ "id" : "b" , "conversations" : [ {"from":"user","value":1e400},{"from":"gpt","value":"fourth"} ], "n":NaN }',
    '{"conversations":[{"from":"user","value":"caf\\u00e9 \\ud83d\\ude00"},{"from":"assistant","value":"second"}]}',
)
"""Every oddity that a file may have: unknown keys, number literals, escapes, no id, an id twice, twins."""


class Entry(NamedTuple):
    """One sample: its id, its answer, its tags, and its exact text in the file while nobody edited it."""

    id: str
    answer: str
    tags: tuple[str, ...] = ()
    source: str | None = None


def entry_of(sample: Sample) -> Entry:
    return Entry(sample.id, sample.turns[-1].text, sample.labels.tags, sample.source)


def start(path: Path, sources: Sequence[str] = SOURCES) -> None:
    """Write the file that the tests begin with."""
    path.write_text("[\n  " + ",\n  ".join(sources) + "\n]\n", encoding="utf-8")


class Model:
    """The state of a data set and the states before and after it."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.now = tuple(entries)
        self.past: list[tuple[Entry, ...]] = []
        self.future: list[tuple[Entry, ...]] = []
        self.disk = self.now
        self.edited = False

    def edit(self, after: Sequence[Entry], merge: bool = False) -> None:
        if not merge:
            self.past.append(self.now)
        self.now = tuple(after)
        self.future.clear()

    def undo(self) -> None:
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()

    def redo(self) -> None:
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()

    def save(self) -> None:
        self.disk = self.now


def write_answer(document: Document, at: int, answer: str, mark: str = "") -> None:
    sample = document.samples[at]
    *before, last = sample.turns
    document.change(Change(at, sample, sample.with_turns([*before, Turn(last.role, answer, last.raw)])), mark)


def tag(document: Document, at: int, tags: tuple[str, ...]) -> None:
    sample = document.samples[at]
    document.change(Change(at, sample, sample.with_labels(Labels(tags, edited=sample.labels.edited))))


def new_sample(sample_id: str, answer: str) -> Sample:
    return Sample.make(sample_id, [("user", "q"), ("assistant", answer)])


def open_document(path: Path, home: Path) -> Document:
    return Document.open(path, Workspace(home))
