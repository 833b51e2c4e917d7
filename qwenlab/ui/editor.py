"""The conversation editor without a page: what is open, what was edited, what can be undone."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from qwenlab.conversations import strict_json
from qwenlab.conversations.checks import (
    Problem,
    SchemaCheck,
    answer_problems,
    check,
    check_sample,
    compile_schema,
    plain_text,
)
from qwenlab.conversations.dataset import DataSet, editable
from qwenlab.conversations.sample import Sample, Turn
from qwenlab.conversations.words import DataError
from qwenlab.workspace import Workspace

PAGE = 25
CHECKED_AT_ONCE = 5000
"""Sets up to this size are checked again after every edit; larger ones when the person asks."""


@dataclass(frozen=True)
class Change:
    """One step of the history: `old` became `new` at `index`; None stands for no sample."""

    index: int
    old: Sample | None
    new: Sample | None
    mark: str = ""


class Document:
    """One open data set with its history; shared by all windows, so an edit in one is seen in the other."""

    def __init__(self, dataset: DataSet, workspace: Workspace) -> None:
        self.dataset = dataset
        self.workspace = workspace
        self.revision = 0
        self.saved: datetime | None = None
        self.lock = threading.RLock()
        self._undo: list[Change] = []
        self._redo: list[Change] = []
        self._problems: tuple[int, list[Problem]] | None = None
        schema = dataset.attached_schema()
        self.schema: SchemaCheck | None = compile_schema(schema, dataset) if schema is not None else None
        self._plain = plain_text(dataset.settings())

    @classmethod
    def open(cls, path: Path, workspace: Workspace) -> Document:
        """Open a train.json. Raises DataError when it cannot be read."""
        return cls(DataSet.open(path), workspace)

    @property
    def samples(self) -> list[Sample]:
        """The samples in file order; change them through `change` only."""
        return self.dataset.samples

    def change(self, change: Change) -> None:
        """Apply one step and remember it; steps with the same mark, such as typing in one turn, merge."""
        with self.lock:
            last = self._undo[-1] if self._undo else None
            if change.mark and last and last.mark == change.mark and last.index == change.index:
                self._undo[-1] = replace(last, new=change.new)
            else:
                self._undo.append(change)
            self._redo.clear()
            self._apply(change.index, change.old, change.new)

    def seal(self) -> None:
        """Let the next edit be a step of its own."""
        if self._undo and self._undo[-1].mark:
            self._undo[-1] = replace(self._undo[-1], mark="")

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
            step = self._undo.pop()
            self._redo.append(step)
            self._apply(step.index, step.new, step.old)
            return step.index

    def redo(self) -> int | None:
        """Do the last undone step again; returns which sample it touched."""
        with self.lock:
            if not self._redo:
                return None
            step = self._redo.pop()
            self._undo.append(replace(step, mark=""))
            self._apply(step.index, step.old, step.new)
            return step.index

    def _apply(self, index: int, old: Sample | None, new: Sample | None) -> None:
        if old is None and new is not None:
            self.samples.insert(index, new)
        elif new is None:
            del self.samples[index]
        else:
            self.samples[index] = new
        self.revision += 1

    def save(self, overwrite: bool = False) -> None:
        """Write the file; a shipped set is saved as a copy in the workspace.

        Raises:
            DataError: when the file changed on disk meanwhile, unless `overwrite`.
            QwenlabError: when it cannot be written.
        """
        with self.lock:
            if self.dataset.edited:
                self.dataset.path = editable(self.workspace, self.dataset.path)
            self.dataset.save(overwrite)
            self.saved = datetime.now()

    def save_copy(self) -> None:
        """Save under a new name in the workspace and go on with that file."""
        with self.lock:
            self.dataset.save_as(free_path(self.workspace.data, self.dataset.name))
            self.saved = datetime.now()

    def problems(self, now: bool = False) -> list[Problem]:
        """All problems; in a large set those of the last check, unless `now`."""
        known = self._problems
        fresh = known is not None and known[0] == self.revision
        if known is not None and (fresh or (not now and len(self.samples) > CHECKED_AT_ONCE)):
            return known[1]
        with self.lock:
            revision = self.revision
            found = check(self.dataset, self.schema.schema if self.schema else None)
            self._problems = (revision, found)
        return found

    def schema_for(self, sample: Sample) -> SchemaCheck | None:
        """The schema that this sample's answers must satisfy; None when it answers in plain text."""
        return None if self._plain(sample) else self.schema


@dataclass(frozen=True)
class Verdict:
    """What a turn's text is: kind "ok", "warn", "bad" or "none"; the code and what it names."""

    kind: str
    code: str
    detail: dict[str, Any]


class EditorState:
    """What one browser window looks at. Kept in gr.State: never compared or copied by value."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.at = 0
        self.page = 0
        self.search = ""
        self.wanted = ""
        self.message = ""
        self.shown: Sample | None = None
        self._matches: tuple[Any, list[int]] = (None, [])

    # --- the list ----------------------------------------------------------------------------------------

    def matches(self) -> list[int]:
        """Positions of the samples that fit search and filter."""
        key = (id(self.document), self.document.revision, self.search, self.wanted)
        if self._matches[0] != key:
            self._matches = (key, self._find())
        return self._matches[1]

    def _find(self) -> list[int]:
        samples = self.document.samples
        found = range(len(samples))
        if self.wanted:
            named = {
                problem.sample_index for problem in self.document.problems() if self.wanted in ("any", problem.code)
            }
            found = [index for index in found if index in named]  # type: ignore[assignment]
        words = self.search.casefold().split()
        if not words:
            return list(found)
        return [index for index in found if _contains(samples[index], words)]

    def pages(self) -> int:
        """How many pages of `PAGE` rows there are, at least one."""
        return max(1, -(-len(self.matches()) // PAGE))

    def rows(self) -> list[int]:
        """Positions of the samples on the current page."""
        self.page = min(max(self.page, 0), self.pages() - 1)
        return self.matches()[self.page * PAGE : (self.page + 1) * PAGE]

    def look_for(self, search: str, wanted: str) -> None:
        """Set search words and problem filter; the list starts at its first page."""
        if (search, wanted) != (self.search, self.wanted):
            self.search, self.wanted, self.page = search, wanted, 0

    def counts(self) -> Counter[str]:
        """How many samples have each kind of problem; "any" counts samples with one at least."""
        pairs = {(problem.sample_index, problem.code) for problem in self.document.problems()}
        found = Counter(code for _, code in pairs)
        found["any"] = len({index for index, _ in pairs})
        return found

    # --- the open conversation ---------------------------------------------------------------------------

    @property
    def sample(self) -> Sample | None:
        """The open sample; None in an empty set."""
        samples = self.document.samples
        self.at = min(max(self.at, 0), max(len(samples) - 1, 0))
        return samples[self.at] if samples else None

    def open(self, index: int) -> None:
        """Open the sample at `index` and show its page of the list."""
        self.document.seal()
        self.at = index
        matches = self.matches()
        if index in matches:
            self.page = matches.index(index) // PAGE

    def step(self, by: int) -> None:
        """Open the next (1) or previous (-1) sample of the list as it is filtered."""
        matches = self.matches()
        beyond = [index for index in matches if (index - self.at) * by > 0]
        if beyond:
            self.open(beyond[0] if by > 0 else beyond[-1])

    def stale(self) -> bool:
        """Whether another window changed the open sample since this one showed it."""
        return self.shown is not None and self.shown is not self.sample

    def set_text(self, turn: int, text: str) -> None:
        """Write the words of a turn; typing on in the same turn is one step of the history."""
        sample = self._whole()
        turns = list(sample.turns)
        if turns[turn].text != text:
            turns[turn] = replace(turns[turn], text=text)
            self._put(sample.with_turns(turns), mark=f"text {turn}")

    def set_role(self, turn: int, role: str) -> None:
        """Change who speaks."""
        sample = self._whole()
        turns = list(sample.turns)
        turns[turn] = replace(turns[turn], role=role)
        self._put(sample.with_turns(turns))

    def add_turn(self, role: str) -> None:
        """Add an empty turn: a system turn at the start, any other at the end."""
        sample = self._whole()
        at = 0 if role == "system" else len(sample.turns)
        turns = [*sample.turns[:at], Turn(role, ""), *sample.turns[at:]]
        self._put(sample.with_turns(turns))

    def delete_turn(self, turn: int) -> None:
        """Delete a turn."""
        sample = self._whole()
        self._put(sample.with_turns([*sample.turns[:turn], *sample.turns[turn + 1 :]]))

    def move_turn(self, turn: int, by: int) -> None:
        """Move a turn up (-1) or down (1)."""
        sample = self._whole()
        turns = list(sample.turns)
        if 0 <= turn + by < len(turns):
            turns[turn], turns[turn + by] = turns[turn + by], turns[turn]
            self._put(sample.with_turns(turns))

    def pretty(self, turn: int) -> None:
        """Indent a turn's JSON, or put it back on one line when it already is indented.

        Raises:
            NotJsonError: when it is no JSON.
        """
        text = self._whole().turns[turn].text
        indented = strict_json.pretty(text)
        if text == indented:
            indented = json.dumps(strict_json.read(text), ensure_ascii=False)
        self.document.seal()
        self.set_text(turn, indented)
        self.document.seal()

    def set_id(self, sample_id: str) -> None:
        """Rename the sample."""
        sample = self._whole()
        if sample.id != sample_id:
            self._put(sample.with_id(sample_id))

    def set_raw(self, text: str) -> None:
        """Replace a broken sample by the JSON that the person wrote.

        Raises:
            NotJsonError: when it is no JSON.
        """
        self._put(Sample(strict_json.read(text)))

    def new_sample(self) -> None:
        """Add a sample after the open one, with its system turn if it has one."""
        before = self.sample
        turns = [("system", turn.text) for turn in (before.turns[:1] if before else ()) if turn.role == "system"]
        self._insert(Sample.make(self._free_id("new"), [*turns, ("user", ""), ("assistant", "")]))

    def duplicate(self) -> None:
        """Copy the open sample to the place after it."""
        sample = self._whole()
        self._insert(sample.with_id(self._free_id(sample.id or "copy")))

    def delete_sample(self) -> None:
        """Delete the open sample."""
        sample = self.sample
        if sample is not None:
            self.document.change(Change(self.at, sample, None))

    def undo(self) -> None:
        """Take back the last step and show where it was."""
        self._show(self.document.undo())

    def redo(self) -> None:
        """Do the last undone step again and show where it was."""
        self._show(self.document.redo())

    def verdicts(self) -> list[list[Verdict]]:
        """What to say beside each turn of the open sample."""
        sample = self.sample
        if sample is None:
            return []
        schema = self.document.schema_for(sample)
        found: list[list[Verdict]] = [[] for _ in sample.turns]
        for problem in check_sample(sample, self.at, schema):
            if problem.turn_index is not None:
                kind = "bad" if problem.severity == "error" else "warn"
                found[problem.turn_index].append(Verdict(kind, problem.code, dict(problem.detail)))
        for turn, verdicts in zip(sample.turns, found, strict=True):
            if turn.role == "assistant" and not verdicts and looks_like_json(turn.text):
                wrong = answer_problems(turn.text, None)
                if wrong:
                    verdicts.append(Verdict("warn", *wrong[0]))
                else:
                    verdicts.append(Verdict("ok", "schema_ok" if schema else "json_ok", {}))
        return found

    def _show(self, index: int | None) -> None:
        if index is not None:
            self.open(min(index, max(len(self.document.samples) - 1, 0)))

    def _whole(self) -> Sample:
        sample = self.sample
        if sample is None or sample.broken():
            raise IndexError("no conversation is open")
        return sample

    def _put(self, sample: Sample, mark: str = "") -> None:
        self.document.change(Change(self.at, self.document.samples[self.at], sample, mark))

    def _insert(self, sample: Sample) -> None:
        at = self.at + 1 if self.document.samples else 0
        self.document.change(Change(at, None, sample))
        self.search = self.wanted = ""
        self.open(at)

    def _free_id(self, stem: str) -> str:
        known = {sample.id for sample in self.document.samples}
        return next(name for name in (f"{stem}-{number}" for number in range(1, len(known) + 2)) if name not in known)


def looks_like_json(text: str) -> bool:
    """Whether a text is meant as a JSON object or list."""
    return text.lstrip()[:1] in ("{", "[")


def free_path(folder: Path, name: str) -> Path:
    """NAME.train.json in `folder`, with a number when it is taken."""
    path, number = folder / f"{name}.train.json", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.train.json"
    return path


def new_data_set(workspace: Workspace, name: str, samples: list[Sample]) -> Path:
    """Make a new data set in the workspace under a free name and return its path."""
    path = free_path(workspace.data, name)
    try:
        DataSet.new(path, samples).save()
    except DataError:  # another window took the name in between
        return new_data_set(workspace, name, samples)
    return path


def _contains(sample: Sample, words: list[str]) -> bool:
    text = " ".join((sample.id, *(turn.text for turn in sample.turns))).casefold()
    return all(word in text for word in words)
