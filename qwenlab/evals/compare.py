"""Two contestants on the same cases: better, worse, or cannot tell."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwenlab.errors import QwenlabError
from qwenlab.evals import paired_tests
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite_model import PairedMeasure
from qwenlab.evals.words import Language, measure_name

FEWEST = paired_tests.FEWEST


@dataclass(frozen=True)
class Verdict:
    """How `name` does against `base` on the cases that both were asked.

    Attributes:
        measure: what was compared: a pass/fail measure, or "field_accuracy".
        code: better, worse, or cannot_tell.
        n: cases. fixed, broken: cases that got better, and worse; of repeated answers, on average.
        difference: mean of (name - base), -1..1. low, high: its 95 % bootstrap interval, groups kept together.
        p: of the exact paired test for pass/fail; None for field accuracy, where the interval decides.
        cases_needed: about how many more cases would tell a difference of this size; None when there is none
            to tell, or it is told already.
        repeats: answers to each case.
    """

    base: str
    name: str
    measure: str
    code: Literal["better", "worse", "cannot_tell"]
    n: int
    fixed: int
    broken: int
    difference: float
    low: float
    high: float
    p: float | None = None
    cases_needed: int | None = None
    repeats: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        return {**vars(self), "sentence": sentence(self, "en")}


Rounds = Sequence[Sequence[CaseScore]]
"""Scores of the first answer to every case, of the second, and so on."""


def compare_passes(
    base: Sequence[CaseScore],
    other: Sequence[CaseScore],
    names: tuple[str, str] = ("base", "tuned"),
    measure: PairedMeasure = "passed",
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> Verdict:
    """Compare pass/fail of one answer to each case (see `compare_rounds`)."""
    return compare_rounds([base], [other], names, measure, groups, leaked)


def compare_fields(
    base: Sequence[CaseScore],
    other: Sequence[CaseScore],
    names: tuple[str, str] = ("base", "tuned"),
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> Verdict:
    """Compare field accuracy of one answer to each case (see `compare_rounds`)."""
    return compare_rounds([base], [other], names, "field_accuracy", groups, leaked)


def compare_rounds(
    base: Rounds,
    other: Rounds,
    names: tuple[str, str],
    measure: PairedMeasure = "passed",
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> Verdict:
    """Compare two contestants in pairs, their first answers to each case with each other, their second ones, and so on.

    However often it was asked, a case is one piece of evidence, and cases that share a template are one together.
    Pass/fail is judged by an exact McNemar test, generalized to such groups; of field accuracy the paired bootstrap
    interval of the mean difference decides. What could not be judged is left out, and rounds that only one has.

    Args:
        names: of base and other, for the sentence. groups: case id -> group. leaked: case ids left out.

    Raises:
        QwenlabError: when the two did not answer the same cases.
    """
    found: dict[str, list[float]] = {}
    rounds = min(len(base), len(other))
    for left, right in zip(base[:rounds], other[:rounds], strict=True):
        for case, before, after in _pairs(left, right, leaked):
            found.setdefault(case, []).append(_worth(after, measure) - _worth(before, measure))
    means = {case: math.fsum(values) / len(values) for case, values in found.items()}
    grouped = _grouped(means, groups or {})
    low, high = paired_tests.bootstrap_mean(grouped) if grouped else (0.0, 0.0)
    difference = math.fsum(means.values()) / len(means) if means else 0.0
    p: float | None = None
    if measure == "field_accuracy":
        sure = sum(any(group) for group in grouped) >= FEWEST and (low > 0 or high < 0)
        needed = None if sure else paired_tests.means_needed(grouped)
    else:
        sums = _grouped({case: math.fsum(values) for case, values in found.items()}, groups or {})
        p = paired_tests.sign_flip([round(math.fsum(group)) for group in sums])
        sure = p < paired_tests.ALPHA and difference != 0
        needed = None if sure or not means else paired_tests.pairs_needed(grouped)
    code: Literal["better", "worse", "cannot_tell"] = "cannot_tell"
    if sure:
        code = "better" if difference > 0 else "worse"
    return Verdict(
        *names,
        measure=measure,
        code=code,
        n=len(means),
        fixed=sum(value > 0 for value in means.values()),
        broken=sum(value < 0 for value in means.values()),
        difference=difference,
        low=low,
        high=high,
        p=p,
        cases_needed=None if needed is None else max(1, needed - len(means)),
        repeats=max(1, rounds),
    )


def _worth(score: CaseScore, measure: PairedMeasure) -> float:
    if measure == "strict":
        return float(score.rung == "strict" and not score.errored)
    return float(getattr(score, measure))


def _pairs(
    base: Sequence[CaseScore], other: Sequence[CaseScore], leaked: Collection[str]
) -> list[tuple[str, CaseScore, CaseScore]]:
    left = {score.case_id: score for score in base}
    right = {score.case_id: score for score in other}
    if left.keys() != right.keys():
        apart = sorted(left.keys() ^ right.keys())
        raise QwenlabError(
            f'The two contestants did not answer the same cases ("{apart[0]}" and {len(apart) - 1} more).',
            "Let both answer the whole suite first.",
            zh=(
                f"两个测试对象回答的用例不同（“{apart[0]}”等 {len(apart)} 个）。",
                "请先让两者都答完整个测试集。",
            ),
        )
    pairs = [(case, score, right[case]) for case, score in left.items() if case not in leaked]
    return [pair for pair in pairs if not pair[1].unjudged and not pair[2].unjudged]


def _grouped(differences: Mapping[str, float], groups: Mapping[str, str]) -> list[list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for case, value in differences.items():
        key = ("group", groups[case]) if groups.get(case) else ("case", case)
        found.setdefault(key, []).append(value)
    return list(found.values())


# --- in words ---------------------------------------------------------------------------------------------

_SENTENCE: dict[str, dict[Language, str]] = {
    "better": {
        "en": "{name} is better than {base} ({measure}): {up}, {down} of {cases}; sure{p}.",
        "zh": "{name} 优于 {base}（{measure}）：{cases}中{up}，{down}；可以确定{p}。",
    },
    "worse": {
        "en": "{name} is worse than {base} ({measure}): {down}, {up} of {cases}; sure{p}.",
        "zh": "{name} 不如 {base}（{measure}）：{cases}中{down}，{up}；可以确定{p}。",
    },
    "cannot_tell": {
        "en": "Cannot tell whether {name} is better than {base} ({measure}): {up}, {down} of {cases}{p}{more}.",
        "zh": "无法判断 {name} 是否优于 {base}（{measure}）：{cases}中{up}，{down}{p}{more}。",
    },
}


def sentence(verdict: Verdict, language: Language) -> str:
    """The verdict in one sentence."""
    english = language == "en"
    p = ""
    if verdict.p is not None:
        p = f"p {'< 0.001' if verdict.p < 0.001 else f'= {verdict.p:.3f}'}"
        p = f" ({p})" if english else f"（{p}）"
    more = ""
    if verdict.cases_needed:
        count = _about(verdict.cases_needed)
        more = f"; about {count} more cases would" if english else f"；再有大约 {count} 例才能判断"
    elif verdict.code == "cannot_tell" and verdict.n:
        more = "; no difference was seen" if english else "；没有看到差别"
    measure = measure_name(verdict.measure, language)
    template = _SENTENCE[verdict.code][language]
    return template.format(
        name=verdict.name, base=verdict.base, measure=measure, p=p, more=more, **_counts(verdict, language)
    )


def _counts(verdict: Verdict, language: Language) -> dict[str, str]:
    """How many cases changed, of how many; of those asked several times, on average over their answers."""
    up, down, n, repeats = verdict.fixed, verdict.broken, verdict.n, verdict.repeats
    if language == "en":
        if repeats == 1:
            return {"up": f"{up} fixed", "down": f"{down} broken", "cases": str(n)}
        return {"up": f"{up} better", "down": f"{down} worse", "cases": f"{n}, each asked {repeats} times"}
    if repeats == 1:
        return {"up": f"改好 {up} 例", "down": f"改坏 {down} 例", "cases": f"{n} 例"}
    return {"up": f"变好 {up} 例", "down": f"变差 {down} 例", "cases": f"{n} 例（每例回答 {repeats} 次）"}


_MEANING: dict[str, dict[Language, str]] = {
    "chance": {
        "en": "If the two were equally good, chance alone would show a difference at least this large in {percent} of "
        "tests like this one; below 5 % we call it sure.",
        "zh": "如果两者其实一样好，仅凭偶然，{percent}的同类测试也会出现至少这么大的差别；低于 5% 才算可以确定。",
    },
    "interval": {
        "en": "The true difference lies between {low} and {high} points (95 % confidence); we call it sure when that "
        "range does not reach 0.",
        "zh": "真实差别在 {low} 到 {high} 个百分点之间（95% 置信度）；这个范围不包含 0 才算可以确定。",
    },
    "few": {
        "en": "Fewer than {number} independent cases differ, and from so few nothing can be told.",
        "zh": "有差别的独立用例不足 {number} 个，太少，无法判断。",
    },
    "more": {
        "en": "It does not say that they are equal, only that these cases are too few: if the difference stays as it "
        "is, about {number} more cases would settle it four times out of five.",
        "zh": "这并不表示两者一样好，只是用例太少：如果差别保持不变，再有大约 {number} 例，五次中有四次能得出结论。",
    },
    "same": {
        "en": "It does not say that they are equal: on these cases they gained as much as they lost, so how many more "
        "would tell cannot be said.",
        "zh": "这并不表示两者一样好：在这些用例上得失相抵，因此无法估计还需要多少例。",
    },
}


def meaning(verdict: Verdict, language: Language) -> str:
    """What a verdict rests on, and what "cannot tell" means and what would help; "" without cases."""
    if not verdict.n:
        return ""
    said = []
    if verdict.p is not None:
        percent = "< 0.1 %" if verdict.p < 0.001 else f"{100 * verdict.p:.{1 if verdict.p < 0.1 else 0}f} %"
        said.append(_MEANING["chance"][language].format(percent=percent))
    else:
        low, high = (f"{100 * end:+.1f}" for end in (verdict.low, verdict.high))
        said.append(_MEANING["interval"][language].format(low=low, high=high))
    if verdict.code == "cannot_tell":
        if verdict.p is None and (verdict.low > 0 or verdict.high < 0):
            said.append(_MEANING["few"][language].format(number=FEWEST))
        needed = verdict.cases_needed
        key = "more" if needed else "same"
        said.append(_MEANING[key][language].format(number=_about(needed) if needed else ""))
    return (" " if language == "en" else "").join(said)


def _about(count: int) -> str:
    """Rounded up to two digits: more would pretend to a precision that a guess does not have."""
    step = max(1, 10 ** (len(str(count)) - 2))
    return f"{math.ceil(count / step) * step:,}"
