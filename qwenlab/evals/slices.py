"""Parts of a suite by tag, language and length: what is reached there, and where a contestant is surely worse."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwenlab.evals.compare import FEWEST
from qwenlab.evals.group_tests import fisher_less, holm, shuffled_less
from qwenlab.evals.paired_tests import ALPHA
from qwenlab.evals.rates import Rate, rate
from qwenlab.evals.report import percent
from qwenlab.evals.result import Result
from qwenlab.evals.scoring import CaseScore
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
        passed: share of cases passed; field_accuracy: mean; both with intervals, leaked cases left out.
        rest: share passed of all other cases.
        p: that it is as good as the rest, two-sided, corrected for the number of slices looked at (Holm); None where
            the slice or the rest has too few cases to be judged.
        worse: whether it is surely worse than the rest.
    """

    contestant: str
    slice: Slice
    passed: Rate
    field_accuracy: Rate
    rest: Rate | None
    p: float | None
    worse: bool

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
        }


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
    scores: Sequence[CaseScore],
    found: Sequence[Slice],
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> list[SliceRate]:
    """What one contestant reached on each slice, slices without a counted case left out.

    Args:
        groups: case id -> group; cases of one group are not taken for independent ones.
        leaked: ids of cases that count nowhere.
    """
    counted = {score.case_id: score for score in scores if not score.unjudged and score.case_id not in leaked}
    parts = []
    for one in found:
        inside = [score for case, score in counted.items() if case in one.cases]
        outside = [score for case, score in counted.items() if case not in one.cases]
        if inside:
            parts.append((one, inside, outside, _chance(inside, outside, groups or {})))
    corrected = iter(holm([p for *_, p in parts if p is not None]))
    return [_rated(contestant, one, inside, outside, p, corrected) for one, inside, outside, p in parts]


def of_result(result: Result) -> list[SliceRate]:
    """The slices of every complete contestant that answers freely, in their order."""
    found = slices(result.suite)
    return [
        one
        for contestant in result.contestants
        if contestant.complete and not contestant.enforced_for
        for one in slice_rates(contestant.name, contestant.scores, found, result.suite.groups, result.leaked)
    ]


def _rated(
    contestant: str,
    one: Slice,
    inside: Sequence[CaseScore],
    outside: Sequence[CaseScore],
    p: float | None,
    corrected: Iterator[float],
) -> SliceRate:
    passed, accuracy = rate(score.passed for score in inside), rate(score.field_accuracy for score in inside)
    rest = rate(score.passed for score in outside)
    assert passed is not None
    assert accuracy is not None
    sure = None if p is None else next(corrected)
    worse = sure is not None and rest is not None and sure < ALPHA and passed.value < rest.value
    return SliceRate(contestant, one, passed, accuracy, rest, sure, worse)


def _chance(inside: Sequence[CaseScore], outside: Sequence[CaseScore], groups: Mapping[str, str]) -> float | None:
    """Two-sided p, not corrected; None with too few cases on a side.

    Fisher's exact test; where cases share a group and it finds something, whole groups are shuffled too and the larger
    p counts.
    """
    if min(len(inside), len(outside)) < FEWEST:
        return None
    right, rest_right = sum(score.passed for score in inside), sum(score.passed for score in outside)
    p = fisher_less(right, len(inside), rest_right, len(outside))
    if 2 * p < ALPHA and any(groups.get(score.case_id) for score in (*inside, *outside)):
        p = max(p, shuffled_less(_grouped(inside, groups), _grouped(outside, groups)))
    return min(1.0, 2 * p)


def _grouped(scores: Sequence[CaseScore], groups: Mapping[str, str]) -> list[list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for score in scores:
        group = groups.get(score.case_id)
        found.setdefault(("group", group) if group else ("case", score.case_id), []).append(float(score.passed))
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
    if language == "en":
        return (
            f"{one.contestant} is surely worse on {name(one.slice, 'en')}: {here} of {one.passed.n} pass, "
            f"{rest} of the others."
        )
    return (
        f"{one.contestant} 在{name(one.slice, 'zh')}上确实更差：{one.passed.n} 个用例通过 {here}，其余用例通过 {rest}。"
    )
