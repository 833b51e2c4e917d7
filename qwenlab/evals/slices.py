"""Parts of a suite by tag, language and length: what is reached there, and where a contestant is surely worse."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from qwenlab.evals.compare import FEWEST, Rounds
from qwenlab.evals.group_tests import fisher_less, holm, shuffled_less
from qwenlab.evals.paired_tests import ALPHA
from qwenlab.evals.rates import Rate, rate
from qwenlab.evals.report import percent
from qwenlab.evals.result import Result
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.words import Language

Kind = Literal["tag", "language", "length"]
LENGTHS = ("short", "medium", "long")


@dataclass(frozen=True)
class Slice:
    """Some cases of a suite that have something in common.

    Attributes:
        kind, name: a tag, a language (en, zh), or short, medium or long. cases: their ids.
    """

    kind: Kind
    name: str
    cases: frozenset[str]


@dataclass(frozen=True)
class SliceRate:
    """What one contestant reached on a slice.

    Attributes:
        passed: share of cases passed; field_accuracy: mean; both with intervals, leaked cases left out. Of a case that
            was asked several times, the mean over its answers.
        rest: share passed of all other cases.
        p: that it is as good as the rest, two-sided, corrected for the number of slices looked at (Holm); None where
            the slice or the rest has too few cases to be judged.
        worse: whether it is surely worse than the rest.
        repeats: answers to each case.
    """

    contestant: str
    slice: Slice
    passed: Rate
    field_accuracy: Rate
    rest: Rate | None
    p: float | None
    worse: bool
    repeats: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values; rates as fractions of 1."""
        plain = {
            name: None if found is None else {"value": found.value, "n": found.n, "interval": [found.low, found.high]}
            for name, found in (("passed", self.passed), ("field_accuracy", self.field_accuracy), ("rest", self.rest))
        }
        return {
            "contestant": self.contestant,
            "kind": self.slice.kind,
            "name": self.slice.name,
            **plain,
            "p": self.p,
            "worse": self.worse,
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
        }


@dataclass(frozen=True)
class _Worth:
    """What a contestant's answers to one case are worth: shares between 0 and 1."""

    case: str
    passed: float
    field_accuracy: float


def slices(suite: Suite) -> list[Slice]:
    """The languages, tags and lengths of a suite, each set of cases once under its first name.

    What holds of every case is no slice. Lengths are thirds of the cases of each language, by the characters of the
    question: a Chinese question is short among Chinese ones.
    """
    named: dict[tuple[Kind, str], list[str]] = {}
    for case in suite.cases:
        named.setdefault(("language", case.language), []).append(case.id)
    for case in suite.cases:
        for tag in case.tags:
            named.setdefault(("tag", tag), []).append(case.id)
    for third, found in zip(LENGTHS, _thirds(suite.cases), strict=True):
        named[("length", third)] = found
    seen = {frozenset(case.id for case in suite.cases), frozenset[str]()}
    kept = []
    for (kind, name), ids in named.items():
        cases = frozenset(ids)
        if cases not in seen:
            seen.add(cases)
            kept.append(Slice(kind, name, cases))
    return kept


def _thirds(cases: Sequence[Case]) -> list[list[str]]:
    """Ids of the short, medium and long questions by their middle rank; equal lengths stay together."""
    thirds: list[list[str]] = [[], [], []]
    for language in ("en", "zh"):
        spoken = [case for case in cases if case.language == language]
        lengths = sorted(len(case.question) for case in spoken)
        for case in spoken:
            below, upto = (side(lengths, len(case.question)) for side in (bisect_left, bisect_right))
            thirds[3 * (below + upto) // (2 * len(lengths))].append(case.id)
    return thirds


def slice_rates(
    contestant: str,
    rounds: Rounds,
    found: Sequence[Slice],
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> list[SliceRate]:
    """What one contestant reached on each slice, slices without a counted case left out.

    Args:
        rounds: the scores of the first answer to every case, of the second, and so on.
        groups: case id -> group; cases of one group are not taken for independent ones.
        leaked: ids of cases that count nowhere.
    """
    counted = [worth for worth in _worths(rounds) if worth.case not in leaked]
    parts = []
    for one in found:
        inside = [worth for worth in counted if worth.case in one.cases]
        outside = [worth for worth in counted if worth.case not in one.cases]
        if inside:
            parts.append((one, inside, outside, _chance(inside, outside, groups or {})))
    corrected = iter(holm([p for *_, p in parts if p is not None]))
    rated = [_rated(contestant, one, inside, outside, p, corrected) for one, inside, outside, p in parts]
    return [replace(one, repeats=len(rounds)) for one in rated]


def _worths(rounds: Rounds) -> list[_Worth]:
    """One per case that could be judged, however often it was asked: a case is one piece of evidence."""
    found = []
    for scores in zip(*rounds, strict=True):
        judged = [score for score in scores if not score.unjudged]
        if judged:
            passed = sum(score.passed for score in judged) / len(judged)
            accuracy = math.fsum(score.field_accuracy for score in judged) / len(judged)
            found.append(_Worth(scores[0].case_id, passed, accuracy))
    return found


def of_result(result: Result) -> list[SliceRate]:
    """The slices of every complete contestant that answers freely, in their order."""
    found = slices(result.suite)
    return [
        one
        for contestant in result.contestants
        if contestant.complete and not contestant.enforced_for
        for one in slice_rates(contestant.name, contestant.rounds, found, result.suite.groups, result.leaked)
    ]


def _rated(
    contestant: str,
    one: Slice,
    inside: Sequence[_Worth],
    outside: Sequence[_Worth],
    p: float | None,
    corrected: Iterator[float],
) -> SliceRate:
    passed, accuracy = rate(one.passed for one in inside), rate(one.field_accuracy for one in inside)
    rest = rate(one.passed for one in outside)
    assert passed is not None
    assert accuracy is not None
    sure = None if p is None else next(corrected)
    worse = sure is not None and rest is not None and sure < ALPHA and passed.value < rest.value
    return SliceRate(contestant, one, passed, accuracy, rest, sure, worse)


def _chance(inside: Sequence[_Worth], outside: Sequence[_Worth], groups: Mapping[str, str]) -> float | None:
    """Two-sided p, not corrected; None with too few cases on a side.

    Fisher's exact test; where cases share a group and it finds something, whole groups are shuffled too and the larger
    p counts. Where some answers to a case pass and some do not, there is nothing to count: cases are shuffled at once.
    """
    if min(len(inside), len(outside)) < FEWEST:
        return None
    everyone, p = (*inside, *outside), 0.0
    if counts := all(one.passed in (0, 1) for one in everyone):
        right, rest_right = (round(sum(one.passed for one in side)) for side in (inside, outside))
        p = fisher_less(right, len(inside), rest_right, len(outside))
    if not counts or (2 * p < ALPHA and any(groups.get(one.case) for one in everyone)):
        p = max(p, shuffled_less(_grouped(inside, groups), _grouped(outside, groups)))
    return min(1.0, 2 * p)


def _grouped(worths: Sequence[_Worth], groups: Mapping[str, str]) -> list[list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for one in worths:
        group = groups.get(one.case)
        found.setdefault(("group", group) if group else ("case", one.case), []).append(one.passed)
    return list(found.values())


# --- in words --------------------------------------------------------------------------------------------

_NAMES: dict[tuple[str, str], dict[Language, str]] = {
    ("language", "en"): {"en": "English questions", "zh": "英文问题"},
    ("language", "zh"): {"en": "Chinese questions", "zh": "中文问题"},
    ("length", "short"): {"en": "short questions", "zh": "较短的问题"},
    ("length", "medium"): {"en": "medium-long questions", "zh": "中等长度的问题"},
    ("length", "long"): {"en": "long questions", "zh": "较长的问题"},
}


_LABELS: dict[tuple[str, str], dict[Language, str]] = {
    ("language", "en"): {"en": "English", "zh": "英文"},
    ("language", "zh"): {"en": "Chinese", "zh": "中文"},
    ("length", "short"): {"en": "short", "zh": "较短"},
    ("length", "medium"): {"en": "medium", "zh": "中等"},
    ("length", "long"): {"en": "long", "zh": "较长"},
}


def name(one: Slice, language: Language) -> str:
    """What the cases of a slice are called."""
    known = _NAMES.get((one.kind, one.name))
    if known:
        return known[language]
    return f'questions tagged "{one.name}"' if language == "en" else f"带标签“{one.name}”的问题"


def label(one: Slice, language: Language) -> str:
    """The same, short, for a table that says what kind of slice it is."""
    known = _LABELS.get((one.kind, one.name))
    return known[language] if known else one.name


def sentence(one: SliceRate, language: Language) -> str:
    """That a contestant is surely worse on this slice; "" where that is not sure."""
    if not one.worse:
        return ""
    here, rest = percent(one.passed), percent(one.rest)
    if one.repeats > 1 and language == "en":
        return (
            f"{one.contestant} is surely worse on {name(one.slice, 'en')}: {here} of the answers to these "
            f"{one.passed.n} cases pass, {rest} of the answers to the others."
        )
    if one.repeats > 1:
        return (
            f"{one.contestant} 在{name(one.slice, 'zh')}上确实更差：这 {one.passed.n} 个用例的回答通过 {here}，"
            f"其余用例的回答通过 {rest}。"
        )
    if language == "en":
        return (
            f"{one.contestant} is surely worse on {name(one.slice, 'en')}: {here} of {one.passed.n} pass, "
            f"{rest} of the others."
        )
    return (
        f"{one.contestant} 在{name(one.slice, 'zh')}上确实更差：{one.passed.n} 个用例通过 {here}，其余用例通过 {rest}。"
    )
