"""What a suite's results say over time, and how its parts do: the figures behind the plot and the table of slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals.rates import Rate, rate
from qwenlab.evals.result import RESULT, Result
from qwenlab.evals.suite import Case
from qwenlab.ui import suites
from qwenlab.workspace import Workspace

LENGTHS = ("short", "middle", "long")
FEWEST = 3
"""A part with fewer cases is no part: its rate would say nothing."""


@dataclass(frozen=True)
class Past:
    """One earlier result of a suite.

    Attributes:
        folder: the result. began: seconds since the epoch. fingerprint: of the suite as it was.
        rates: contestant -> rate of the measure asked for, of those who were asked every case.
    """

    folder: Path
    began: float
    fingerprint: str
    rates: dict[str, Rate]


def history(workspace: Workspace, suite: str, measure: str) -> list[Past]:
    """The results of a suite of that name, oldest first; those without a figure of this measure are left out."""
    found = []
    for folder in reversed(suites.results(workspace)):
        about = _about(folder)
        if about.get("suite") != suite:
            continue
        rates = {str(one["name"]): known for one in about["contestants"] if (known := _rate(one, measure))}
        if rates:
            found.append(Past(folder, suites.began(folder), str(about.get("suite_fingerprint", "")), rates))
    return found


def _about(folder: Path) -> dict[str, Any]:
    path = folder / RESULT
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (OSError, QwenlabError):
        return {}


@lru_cache(maxsize=512)
def _read(path: Path, _changed: int) -> dict[str, Any]:
    found = files.read_json(path)
    return found if isinstance(found, dict) and isinstance(found.get("contestants"), list) else {}


def _rate(about: Mapping[str, Any], measure: str) -> Rate | None:
    value, interval = about.get(measure), (about.get("intervals") or {}).get(measure)
    if not about.get("complete") or value is None or not interval:
        return None
    return Rate(float(value), int(about.get("n", 0)), float(interval[0]), float(interval[1]))


# --- slices ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slice:
    """Some of the cases: those of a language, a length, or a tag.

    Attributes:
        kind: "language", "length" or "tag". name: the language's code, one of LENGTHS, or the tag.
        number: cases, leaked ones left out. rates: contestant -> share of these that passed.
    """

    kind: str
    name: str
    number: int
    rates: dict[str, Rate]


def slices(result: Result) -> list[Slice]:
    """Pass rates by language, by length of the question (thirds), and by tag; what all cases share is no slice."""
    cases = [case for case in result.suite.cases if case.id not in result.leaked]
    passed = {one.name: {score.case_id: score.passed for score in one.scores} for one in result.contestants}
    groups: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        groups.setdefault(("language", case.language), []).append(case.id)
    for name, part in _thirds(cases):
        groups[("length", name)] = [case.id for case in part]
    for tag in sorted({tag for case in cases for tag in case.tags}):
        groups[("tag", tag)] = [case.id for case in cases if tag in case.tags]
    return [
        Slice(kind, name, len(ids), _passed(passed, ids))
        for (kind, name), ids in groups.items()
        if FEWEST <= len(ids) < len(cases)
    ]


def _thirds(cases: Sequence[Case]) -> Iterable[tuple[str, Sequence[Case]]]:
    """The cases by the length of their question, in three parts as equal as they can be."""
    by_length = sorted(cases, key=lambda case: len(case.question))
    ends = [len(cases) * part // len(LENGTHS) for part in range(len(LENGTHS) + 1)]
    return [(name, by_length[start:end]) for name, start, end in zip(LENGTHS, ends, ends[1:], strict=False)]


def _passed(passed: Mapping[str, Mapping[str, bool]], ids: Sequence[str]) -> dict[str, Rate]:
    rates = {name: rate(float(known[case]) for case in ids if case in known) for name, known in passed.items()}
    return {name: found for name, found in rates.items() if found is not None}
