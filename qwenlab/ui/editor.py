"""The conversation editor without a page: what is open, what was edited, what can be undone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from qwenlab.conversations import fixes, strict_json
from qwenlab.conversations.checks import answer_problems, findings, severity
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Labels, Sample, Turn
from qwenlab.ui.json_apply import FormError

PAGE = 25
SORTS: dict[str, Callable[[Facts], Any] | None] = {
    "file": None,
    "longest": lambda known: -known.length,
    "shortest": lambda known: known.length,
    "id": lambda known: known.id.casefold(),
}
"""Orders of the list; "newest", the last edited first, is the fifth."""
LENGTHS = {"short": (0, 200), "middle": (200, 1000), "long": (1000, 2**62)}
"""Length filters: characters in all turns, from and below."""
DELETED = "deleted"


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
        self.tag = ""
        self.sort = "file"
        self.message = ""
        self.shape = "form"
        self.wrong: dict[tuple[int, str], FormError] = {}
        self.field: tuple[int, str] | None = None
        self.shown: Sample | None = None
        self._matches: tuple[Any, list[int]] = (None, [])

    # --- the list ----------------------------------------------------------------------------------------

    def matches(self) -> list[int]:
        """Positions of the samples that fit search and filters, in the order of the list."""
        key = (id(self.document), self.document.revision, self.search, self.wanted, self.tag, self.sort)
        if self._matches[0] != key:
            self._matches = (key, self._find())
        return self._matches[1]

    def _find(self) -> list[int]:
        facts = self.document.facts
        found = self.document.find(self.search, self._filter())
        if self.sort == "newest":
            found.sort(key=lambda index: facts[index].labels.edited, reverse=True)
        elif order := SORTS.get(self.sort):
            found.sort(key=lambda index: order(facts[index]))
        return found

    def _filter(self) -> Callable[[Facts], bool] | None:
        wanted, tag = self.wanted, self.tag
        tests: list[Callable[[Facts], bool]] = []
        if tag:
            tests.append(lambda known: tag in known.labels.tags)
        if wanted == "any":
            tests.append(lambda known: bool(known.problems))
        elif wanted == "edited":
            tests.append(lambda known: bool(known.labels.edited))
        elif wanted == "noted":
            tests.append(lambda known: bool(known.labels.note))
        elif wanted in LENGTHS:
            low, high = LENGTHS[wanted]
            tests.append(lambda known: low <= known.length < high)
        elif wanted and wanted != DELETED:
            tests.append(lambda known: any(code == wanted for _, code, _ in known.problems))
        return (lambda known: all(test(known) for test in tests)) if tests else None

    def pages(self) -> int:
        """How many pages of `PAGE` rows there are, at least one."""
        return max(1, -(-len(self.matches()) // PAGE))

    def rows(self) -> list[int]:
        """Positions of the samples on the current page."""
        self.page = min(max(self.page, 0), self.pages() - 1)
        return self.matches()[self.page * PAGE : (self.page + 1) * PAGE]

    def look_for(self, search: str, wanted: str, tag: str = "", sort: str = "file") -> None:
        """Set search words, filters and order; the list starts at its first page."""
        if (search, wanted, tag, sort) != (self.search, self.wanted, self.tag, self.sort):
            self.search, self.wanted, self.tag, self.sort, self.page = search, wanted, tag, sort, 0

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
        self.forget_fields()
        self.at = index
        matches = self.matches()
        if index in matches:
            self.page = matches.index(index) // PAGE

    def forget_fields(self) -> None:
        """Drop what was typed into a form and could not be taken: turns may have other places now."""
        self.wrong.clear()
        self.field = None

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

    def add_turn(self, role: str, after: int | None = None) -> None:
        """Add an empty turn: a system turn at the start, any other after the turn `after` or at the end.

        Args:
            role: "next" stands for whoever speaks after `after`.
            after: position of a turn; None: the end.
        """
        self.forget_fields()
        sample = self._whole()
        if role == "next":
            role = "assistant" if after is not None and sample.turns[after].role == "user" else "user"
        at = 0 if role == "system" else len(sample.turns) if after is None else after + 1
        turns = [*sample.turns[:at], Turn(role, ""), *sample.turns[at:]]
        self._put(sample.with_turns(turns))

    def delete_turn(self, turn: int) -> None:
        """Delete a turn."""
        self.forget_fields()
        sample = self._whole()
        self._put(sample.with_turns([*sample.turns[:turn], *sample.turns[turn + 1 :]]))

    def move_turn(self, turn: int, by: int) -> None:
        """Move a turn up (-1) or down (1)."""
        self.forget_fields()
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
        self._put(Sample(strict_json.read(text), labels=self._labels()))

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
        """Delete the open sample; undo or the list of deleted samples brings it back."""
        sample = self.sample
        if sample is not None:
            self.document.change(Change(self.at, sample, None))

    def restore(self, number: int) -> None:
        """Bring back a deleted sample, by its place in `Document.deleted`, where it stood."""
        index, sample = self.document.deleted()[number]
        at = min(index, len(self.document.samples))
        self.document.change(Change(at, None, sample))
        self.open(at)

    def split(self, turn: int) -> None:
        """Cut the conversation before `turn`: the rest becomes a sample of its own, with the same system turn."""
        self.forget_fields()
        sample = self._whole()
        turns = sample.turns
        if not 0 < turn < len(turns):
            raise IndexError("nothing to split off")
        system = [turns[0]] if turns[0].role == "system" else []
        if turn <= len(system):
            raise IndexError("nothing to split off")
        rest = sample.with_turns([*system, *turns[turn:]]).with_id(self._free_id(sample.id or "part"))
        first = sample.with_turns(turns[:turn])
        self.document.change([Change(self.at, sample, first), Change(self.at + 1, None, rest)])

    def move_sample(self, by: int) -> None:
        """Move the open sample up (-1) or down (1) in the file."""
        sample, to = self.sample, self.at + by
        if sample is not None and 0 <= to < len(self.document.samples):
            self.document.change([Change(self.at, sample, None), Change(to, None, sample)])
            self.open(to)

    def set_tags(self, words: str) -> None:
        """Tag the open sample; tags are parted by commas."""
        tags = [word.strip() for word in words.replace("，", ",").split(",")]
        self._label(replace(self._labels(), tags=tuple(dict.fromkeys(tag for tag in tags if tag))))

    def set_note(self, note: str) -> None:
        """Write a remark beside the open sample."""
        self._label(replace(self._labels(), note=note.strip()))

    def _labels(self) -> Labels:
        sample = self.sample
        if sample is None:
            raise IndexError("no sample is open")
        return sample.labels

    def _label(self, labels: Labels) -> None:
        sample = self.document.samples[self.at]
        if labels != sample.labels:
            self._put(sample.with_labels(labels))

    def fix(self, code: str, only: int | None = None, turn: int | None = None) -> None:
        """Mend every finding of this kind, or that of one sample or turn, as one step."""
        document = self.document
        document.seal()
        document.change(fixes.changes_for(document.samples, document.facts, code, document.schema_for, only, turn))

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
        schema = self.document.schema_for(sample.id)
        turns = sample.turns
        found: list[list[Verdict]] = [[] for _ in turns]
        known = self.document.facts[self.at].findings
        for turn_index, code, detail in known if known is not None else findings(sample, schema):
            if turn_index is not None:
                found[turn_index].append(Verdict("bad" if severity(code) == "error" else "warn", code, dict(detail)))
        for turn, verdicts in zip(turns, found, strict=True):
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
        self.document.change(Change(self.at, self.document.samples[self.at], sample), mark)

    def _insert(self, sample: Sample) -> None:
        at = self.at + 1 if self.document.samples else 0
        self.document.change(Change(at, None, sample))
        self.search = self.wanted = self.tag = ""
        self.open(at)

    def _free_id(self, stem: str) -> str:
        known = {facts.id for facts in self.document.facts}
        return next(name for name in (f"{stem}-{number}" for number in range(1, len(known) + 2)) if name not in known)


def looks_like_json(text: str) -> bool:
    """Whether a text is meant as a JSON object or list."""
    return text.lstrip()[:1] in ("{", "[")
