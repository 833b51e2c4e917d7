"""A suite that chooses among a run's checkpoints: which cases are asked, what the answers are worth, and who was asked.

Cases that helped to choose flatter the chosen one, so the run remembers them, and a later test keeps them apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from qwenlab import files
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import find_suite, load_suite, suite_from
from qwenlab.evals.suite_model import Suite
from qwenlab.workspace import Workspace

SUITE, CHOSEN_BY = "suite.json", "chosen_by.json"
"""In a run's folder: its copy of the suite, and which cases of it were asked while the run was trained."""


def deciding(workspace: Workspace, named: str, languages: Collection[str]) -> Suite | None:
    """The suite that is to choose; None when none is named.

    Args:
        named: name or path, or "".
        languages: what the run trains.

    Raises:
        QwenlabError: when there is no such suite, it cannot be read, or it has no case in these languages.
    """
    if not named:
        return None
    suite = load_suite(find_suite(workspace, named))
    suite.only(languages)
    return suite


def part(suite: Suite, languages: Collection[str], most: int) -> Suite:
    """The cases in these languages; `most` of them, evenly spread over the suite, or all where it is 0.

    They are decoded greedily, so that the same weights get the same score.

    Raises:
        QwenlabError: when no case is in these languages.
    """
    cases = suite.only(languages).cases
    count = min(most, len(cases)) if most else len(cases)
    chosen = [cases[at * len(cases) // count] for at in range(count)]
    greedy = suite.generation.model_copy(update={"temperature": 0.0, "repeats": 1})
    return suite.model_copy(update={"cases": chosen, "generation": greedy})


def worth(scores: Sequence[CaseScore]) -> float:
    """What answers are worth in business, 0..1: the share of right fields, an unusable answer counting as none right.

    Of a text suite that is the share of cases passed. An answer that cannot be used as it is costs a person's time,
    however right its fields are; and fields tell two checkpoints apart long before whole documents do.
    """
    if not scores:
        return 0.0
    return math.fsum(score.field_accuracy for score in scores if score.usable) / len(scores)


def kept(run: Path) -> Suite:
    """The run's own copy of its suite.

    Raises:
        QwenlabError: when it has none, or it cannot be read.
    """
    return suite_from(files.read_json(run / SUITE), str(run / SUITE))


def remember(run: Path, suite: Suite, asked: Suite) -> None:
    """Note in the run's folder that `asked`, a part of `suite`, helps to choose."""
    value = {"suite": suite.name, "fingerprint": suite.fingerprint(), "cases": [case.id for case in asked.cases]}
    if not (run / CHOSEN_BY).exists() or files.read_json(run / CHOSEN_BY) != value:
        files.write_json(run / CHOSEN_BY, value)


def used(suite: Suite, runs: Iterable[Path]) -> set[str]:
    """Ids of the cases of `suite` that helped to choose a checkpoint of one of the runs.

    A case is known by its id in a suite of that name, and by its question in any suite.
    """
    found: set[str] = set()
    for run in runs:
        if not (run / CHOSEN_BY).exists():
            continue
        about = files.read_json(run / CHOSEN_BY)
        asked = {case.question for case in kept(run).cases if case.id in about["cases"]}
        named = set(about["cases"]) if about["suite"] == suite.name else set()
        found |= {case.id for case in suite.cases if case.id in named or case.question in asked}
    return found
