"""Everything that is wrong with a suite at once, for whoever is writing it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from qwenlab.errors import QwenlabError
from qwenlab.evals import audit, suite_mistakes
from qwenlab.evals.audit import Fault
from qwenlab.evals.suite_files import Written
from qwenlab.evals.suite_model import Suite


@dataclass(frozen=True)
class Examined:
    """A suite under the loupe.

    Attributes:
        suite: of all cases that can be read; None when its rules or settings cannot, or no case can.
        faults: what is wrong; cases by their position among those written.
    """

    suite: Suite | None
    faults: tuple[Fault, ...]

    def of(self, case: int | None) -> list[QwenlabError]:
        """What is wrong with one case, or (None) with the suite as a whole."""
        return [fault.error for fault in self.faults if fault.case == case]


def examine(written: Written) -> Examined:
    """Find what is wrong: of each case the first thing."""
    content, file = written.content(), str(written.file)
    positions = range(len(written.cases))
    found: list[Fault] = []
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        mistakes = suite_mistakes.each(error, content, file, written.places())
        found = [Fault(case, said) for case, said in mistakes.items()]
        positions = [at for at in positions if at not in mistakes]  # type: ignore[assignment]
        if None in mistakes or not positions:
            return Examined(None, tuple(found))
        suite = Suite.model_validate({**content, "cases": [content["cases"][at] for at in positions]})
    try:
        _ = suite.check
    except QwenlabError as error:
        return Examined(None, (*found, Fault(None, error)))
    audited = audit.faults(suite, file)
    found += [Fault(None if one.case is None else positions[one.case], one.error) for one in audited]
    return Examined(
        audit.with_good_pointers(suite), tuple(sorted(found, key=lambda one: -1 if one.case is None else one.case))
    )
