"""Many test cases at once, with their expected answers, to the open data set: one step that one undo takes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from qwenlab.conversations import checks
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import burned
from qwenlab.evals.suite import Case, Suite
from qwenlab.ui.judging import expected_text
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

ORIGIN = "from-test"


@dataclass(frozen=True)
class Lot:
    """What becomes of cases that are to be sent.

    Attributes:
        fresh: the samples that would be added, in the order of the cases; the ids of their cases beside them.
        there: cases that stand in the data set already. contradicted: cases whose question stands there with
            another answer. refused: cases without one right answer, or whose answer breaks the data set's rules.
    """

    fresh: tuple[tuple[str, Sample], ...]
    there: tuple[str, ...]
    contradicted: tuple[str, ...]
    refused: tuple[str, ...]

    @property
    def cases(self) -> list[str]:
        """The ids of the cases that would be added."""
        return [case for case, _ in self.fresh]


def look(document: Document | None, suite: Suite, cases: Sequence[Case]) -> Lot:
    """Part the cases by what the data set has of them already; None stands for an empty one."""
    standing = document.facts if document is not None else []
    known, taken = {facts.asked: facts for facts in standing}, {facts.id for facts in standing}
    free = (name for number in count(1) if (name := f"{ORIGIN}-{number:04}") not in taken)
    fresh: list[tuple[str, Sample]] = []
    there: list[str] = []
    contradicted: list[str] = []
    refused: list[str] = []
    for case in cases:
        answer = right_answer(case, suite)
        turns = [(message["role"], message["content"]) for message in case.messages(suite)]
        facts = Facts(Sample.make("", [*turns, ("assistant", answer or "")]))
        if facts.asked in known:
            (there if known[facts.asked].answer == facts.answer else contradicted).append(case.id)
            continue
        sample = Sample.make(next(free), [*turns, ("assistant", answer or "")], origin=f"{suite.name} {case.id}")
        if answer is None or _wrong(document, sample):
            refused.append(case.id)
            continue
        known[facts.asked] = facts
        fresh.append((case.id, sample))
    return Lot(tuple(fresh), tuple(there), tuple(contradicted), tuple(refused))


def right_answer(case: Case, suite: Suite) -> str | None:
    """The answer to train on; None for a text case that names no whole answer (contains, not_contains, regex)."""
    if suite.as_json(case) or case.rule == "equals":
        return expected_text(case, suite)
    if case.rule == "any_of":
        return case.expected if isinstance(case.expected, str) else next(iter(case.expected), None)
    return None


def send(lab: Lab, t: Translator, suite: Suite, cases: Sequence[Case]) -> tuple[Lot, Document, bool]:
    """Add the cases that are not there yet, in one step, save, and note that they are burned.

    Returns:
        what became of them, the data set, and whether it was saved; it is not while others' edits are unsaved.

    Raises:
        QwenlabError: when the data set cannot be read or written.
    """
    document = lab.document()
    if document is None:
        lab.choose(dataset=str(new_data_set(lab.workspace, Path(t("new_set_name")).name, [])))
        document = lab.document()
    if document is None:
        raise QwenlabError(t("no_data_set"))
    with document.lock:
        lot = look(document, suite, cases)
        others_edits, before = document.edited, document.dataset.path
        first = len(document.samples)
        document.change([Change(first + at, None, sample) for at, (_, sample) in enumerate(lot.fresh)])
        if lot.fresh and not others_edits:  # unsaved edits of the Data tab are saved by whoever made them
            document.save()
        if document.dataset.path != before:
            lab.saved_as(document)
        sent = {case: sample.id for case, sample in lot.fresh}
        burned.mark(lab.workspace, suite.name, sent, document.dataset.path)
    return lot, document, not others_edits


def _wrong(document: Document | None, sample: Sample) -> bool:
    schema = document.schema_for(sample.id) if document is not None else None
    return any(one.severity == "error" for one in checks.check_sample(sample, 0, schema))
