"""What every form of report says of a result, found once: verdicts, gates, slices, steps, flips, history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from qwenlab.evals import gates, history, slices, steps
from qwenlab.evals.compare import Verdict
from qwenlab.evals.gates import AnyGate
from qwenlab.evals.history import History
from qwenlab.evals.result import ContestantResult, Result
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.slices import SliceRate
from qwenlab.evals.steps import Step
from qwenlab.evals.words import Language

Change = Literal["broken", "fixed", "failed", "unjudged", "passed"]
CHANGES: tuple[Change, ...] = get_args(Change)


@dataclass(frozen=True)
class Findings:
    """A result and what is to be said of it, in one language.

    Attributes:
        time: of the last answer, seconds since the epoch; 0 without one.
        history: of its suite, up to this result; None where this is the first.
    """

    result: Result
    language: Language
    time: float
    history: History | None = None

    @cached_property
    def contestants(self) -> list[ContestantResult]:
        """Those that were asked every case and answered freely; what the others reached cannot be compared."""
        return [one for one in self.result.contestants if one.complete and not one.enforced_for]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Every contestant against the first."""
        return self.result.verdicts()

    @cached_property
    def gates(self) -> list[AnyGate]:
        """See `gates.judge`."""
        return gates.judge(self.result)

    @cached_property
    def slices(self) -> list[SliceRate]:
        """See `slices.of_result`."""
        return slices.of_result(self.result)

    @cached_property
    def since_last(self) -> list[Verdict]:
        """See `history.since_last`."""
        return history.since_last(self.history) if self.history else []

    @cached_property
    def scores(self) -> dict[str, dict[str, CaseScore]]:
        """Contestant -> case id -> score."""
        return {one.name: {score.case_id: score for score in one.scores} for one in self.contestants}

    @cached_property
    def changes(self) -> dict[str, Change]:
        """Case id -> how the last contestant does against the first; alone, whether it passes.

        Asked several times, a case passes where every answer does.
        """
        if not self.contestants:
            return {}
        first, last = self.contestants[0].right, self.contestants[-1].right
        names: dict[tuple[bool | None, bool | None], Change] = {
            (True, False): "broken",
            (False, True): "fixed",
            (False, False): "failed",
            (True, True): "passed",
        }
        return {case.id: names.get((first[case.id], last[case.id]), "unjudged") for case in self.result.suite.cases}

    @cached_property
    def steps(self) -> list[Step]:
        """From base to int4, one artefact after the other; none for a single step, which is a plain comparison."""
        found = steps.steps(self.result)
        return found if len(found) > 1 else []


def gather(result: Result, language: Language | None = None, results: Path | None = None) -> Findings:
    """Everything to be said of a result.

    Args:
        language: of the report; None for the suite's own.
        results: the folder of all results, for the history of the suite.
    """
    past = history.until(history.read_history(results, result.suite.name), result.folder) if results else None
    known = past if past and len(past.results) > 1 else None
    time = max((one.time for one in result.contestants), default=0.0)
    return Findings(result, language or suite_language(result), time, known)


def suite_language(result: Result) -> Language:
    """The language a suite names, or else the one most of its questions are in; English where they are as many."""
    named = result.suite.language.lower()[:2]
    if named in ("en", "zh"):
        return "zh" if named == "zh" else "en"
    spoken = Counter(case.language for case in result.suite.cases)
    return "zh" if spoken["zh"] > spoken["en"] else "en"


def surely_worse(found: Sequence[SliceRate], language: Language) -> list[str]:
    """A sentence for each slice on which a contestant is surely worse than on the rest."""
    return [slices.sentence(one, language) for one in found if one.worse]
