"""Cases by contestants: where each answer stands, which cases the filters find, and in which order they are listed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qwenlab.evals.pointer import EVERY
from qwenlab.evals.result import Result
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Case

PAGE = 25
FILTERS = (
    "all", "broken", "fixed", "both_wrong", "both_right", "all_right", "format", "content", "enforced", "errors",
    "unjudged", "leaked",
)  # fmt: skip
"""The filters; broken, fixed, both_wrong and both_right part the cases that two contestants answered."""
PAIRED = ("broken", "fixed")
RARE = ("enforced", "errors", "unjudged", "leaked")
"""Offered only where they find something."""


@dataclass
class View:
    """What one browser window looks at. Kept in gr.State: never compared or copied by value.

    Attributes:
        folder: the chosen result; None for the newest.
        reference, judged: the two contestants that are compared; "" for the first, and for the last.
        wanted: the filter. words, tag, language, field: what the cases are narrowed to; "" for nothing.
            A field is one that the judged contestant has wrong.
        page: from 0. case: the open case, or "".
        measure: what the plot over time shows.
        keeping: whether the open case is being made a training sample. sending: whether all the listed ones are.
    """

    folder: Path | None = None
    reference: str = ""
    judged: str = ""
    wanted: str = "all"
    words: str = ""
    tag: str = ""
    language: str = ""
    field: str = ""
    page: int = 0
    case: str = ""
    measure: str = "passed"
    keeping: bool = False
    sending: bool = False

    def choose(self, part: str, value: str) -> None:
        """Change what is listed or compared; the list starts at its first page."""
        setattr(self, part, value)
        self.page, self.sending = 0, False


def mark_of(score: CaseScore | None) -> str:
    """Where one answer stands: passed, wrong (usable, but not right), unusable, unjudged, error or waiting."""
    if score is None:
        return "waiting"
    if score.unjudged:
        return "unjudged"
    if score.errored:
        return "error"
    if score.passed:
        return "passed"
    return "wrong" if score.usable else "unusable"


def pair(result: Result, view: View) -> tuple[int, int] | None:
    """Places of the reference and of the contestant that is compared with it; None with fewer than two.

    Unless they are chosen, the first one and the last one that answers freely.
    """
    names = [one.name for one in result.contestants]
    if len(names) < 2:
        return None
    reference = names.index(view.reference) if view.reference in names else 0
    if view.judged in names and view.judged != names[reference]:
        return reference, names.index(view.judged)
    others = [at for at in range(len(names)) if at != reference]
    free = [at for at in others if not result.contestants[at].enforced_for]
    return reference, (free or others)[-1]


class Matrix:
    """The cases of a result as one window wants to see them.

    Attributes:
        pair: the places of the two that are compared. cases: all that fit words, tag, language and field, flips
            first. found: filter -> cases of these. wanted: the filter that is on.
    """

    def __init__(self, result: Result, view: View) -> None:
        self.result = result
        self.scores = [{score.case_id: score for score in one.scores} for one in result.contestants]
        self.pair = pair(result, view)
        last = len(self.scores) - 1
        self.reference, self.judged = self.pair or (last, last)
        self.enforced = self._enforced()
        fitting = [case for case in result.suite.cases if self._fits(case, view)]
        self.cases = sorted(fitting, key=lambda case: self.flip(case.id))
        tests: dict[str, Callable[[str], bool]] = {
            "all": lambda case: True,
            "broken": lambda case: self.flip(case) == 0,
            "fixed": lambda case: self.flip(case) == 1,
            "both_wrong": lambda case: self._both(case) == (False, False),
            "both_right": lambda case: self._both(case) == (True, True),
            "all_right": lambda case: all(one.right.get(case) for one in result.contestants),
            "format": lambda case: self._judged(case, lambda score: score.document_exact and not score.usable),
            "content": lambda case: self._judged(case, lambda score: score.usable and not score.document_exact),
            "enforced": lambda case: self._right(self.judged, case) is False and bool(self._right(self.enforced, case)),
            "errors": lambda case: any(case in scores and scores[case].errored for scores in self.scores),
            "unjudged": lambda case: any(case in scores and scores[case].unjudged for scores in self.scores),
            "leaked": lambda case: case in result.leaked,
        }
        self.found = {name: [case for case in self.cases if tests[name](case.id)] for name in FILTERS}
        self.wanted = view.wanted if view.wanted in self.filters() else "all"

    @property
    def listed(self) -> list[Case]:
        """The cases that the filter finds."""
        return self.found[self.wanted]

    def filters(self) -> list[str]:
        """The filters that make sense here."""
        return [
            name
            for name in FILTERS
            if not (self.pair is None and name in PAIRED)
            and not (len(self.scores) < 3 and name == "all_right")
            and (name not in RARE or self.found[name])
        ]

    def score(self, at: int, case: str) -> CaseScore | None:
        """What the contestant at that place is worth on a case; None while it has no answer."""
        return self.scores[at].get(case)

    def flip(self, case: str) -> int:
        """0: the judged one broke it; 1: it fixed it; 2: neither."""
        both = self._both(case) if self.pair is not None else (None, None)
        return 0 if both == (True, False) else 1 if both == (False, True) else 2

    def around(self, case: str) -> tuple[int | None, str, str]:
        """The place of a case in the list from 0, and the ids before and after it; "" where there is none.

        Outside the list, the first one comes next.
        """
        ids = [one.id for one in self.listed]
        if case not in ids:
            return None, "", ids[0] if ids else ""
        at = ids.index(case)
        return at, ids[at - 1] if at else "", ids[at + 1] if at + 1 < len(ids) else ""

    def _both(self, case: str) -> tuple[bool | None, bool | None]:
        return self._right(self.reference, case), self._right(self.judged, case)

    def _right(self, at: int | None, case: str) -> bool | None:
        """Whether every answer of one contestant to a case passes; None where that is not known."""
        return self.result.contestants[at].right.get(case) if at is not None and self.scores else None

    def _enforced(self) -> int | None:
        """The place of whoever answers for the judged one with the schema enforced."""
        names = [one.enforced_for for one in self.result.contestants]
        judged = self.result.contestants[self.judged].name if names else ""
        return names.index(judged) if judged and judged in names else None

    def _judged(self, case: str, test: Callable[[CaseScore], bool]) -> bool:
        score = self.score(self.judged, case) if self.scores else None
        return score is not None and not score.errored and not score.unjudged and test(score)

    def _fits(self, case: Case, view: View) -> bool:
        if (view.tag and view.tag not in case.tags) or (view.language and case.language != view.language):
            return False
        if view.field and not self._judged(case.id, lambda score: view.field in wrong_fields(score)):
            return False
        wanted = view.words.casefold().split()
        if not wanted:
            return True
        text = self._text(case).casefold()
        return all(word in text for word in wanted)

    def _text(self, case: Case) -> str:
        """Everything of a case that words are looked for in: question, expected and given answers, tags."""
        turns = [turn.content for turn in case.history or []]
        lots = [answers for one in self.result.contestants for answers in one.given]
        given = [answers[case.id].answer.text for answers in lots if case.id in answers]
        expected = json.dumps(case.expected, ensure_ascii=False)
        return "\n".join([case.id, case.prompt or "", *turns, expected, *case.tags, *given])


def wrong_fields(score: CaseScore) -> set[str]:
    """The fields of a suite that an answer has wrong, as `Summary.by_field` names them."""
    return {general(field.pointer) for field in score.fields if not field.ok}


def general(pointer: str) -> str:
    """A pointer with "*" for every place in a list: /lines/0/name becomes /lines/*/name."""
    return "/".join(EVERY if key.isdigit() else key for key in pointer.split("/"))


def tags(result: Result) -> Counter[str]:
    """Every tag with the number of its cases."""
    return Counter(tag for case in result.suite.cases for tag in case.tags)


def languages(result: Result) -> Counter[str]:
    """Every language with the number of its cases."""
    return Counter(case.language for case in result.suite.cases)
