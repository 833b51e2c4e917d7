"""Two contestants on the same cases: better, worse, or cannot tell."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwenlab.errors import QwenlabError
from qwenlab.evals import paired_tests
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.words import Language, measure_name

PassMeasure = Literal["passed", "usable", "document_exact", "strict", "schema_valid"]

FEWEST = paired_tests.FEWEST


@dataclass(frozen=True)
class Verdict:
    """How `name` does against `base` on the cases that both were asked.

    Attributes:
        measure: what was compared: a pass/fail measure, or "field_accuracy".
        code: better, worse, or cannot_tell.
        n: pairs of answers. fixed, broken: cases that got better, and worse.
        difference: mean of (name - base), -1..1. low, high: its 95 % bootstrap interval, groups kept together.
        p: of the exact paired test for pass/fail; None for field accuracy, where the interval decides.
        cases_needed: about how many more cases would tell a difference of this size; None when there is none
            to tell, or it is told already.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        return {**vars(self), "sentence": sentence(self, "en")}


def compare_passes(
    base: Sequence[CaseScore],
    other: Sequence[CaseScore],
    names: tuple[str, str] = ("base", "tuned"),
    measure: PassMeasure = "passed",
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> Verdict:
    """Compare pass/fail in pairs: exact McNemar, generalized to groups of cases that share a template.

    Args:
        names: of base and other, for the sentence. groups: case id -> group. leaked: case ids left out.

    Raises:
        QwenlabError: when the two did not answer the same cases.
    """
    pairs = _pairs(base, other, leaked)
    differences = {case: int(_holds(right, measure)) - int(_holds(left, measure)) for case, left, right in pairs}
    grouped = _grouped(differences, groups or {})
    p = paired_tests.sign_flip([int(sum(group)) for group in grouped])
    fixed = sum(value > 0 for value in differences.values())
    broken = sum(value < 0 for value in differences.values())
    n = len(differences)
    sure = p < paired_tests.ALPHA and fixed != broken
    code: Literal["better", "worse", "cannot_tell"] = "cannot_tell"
    if sure:
        code = "better" if fixed > broken else "worse"
    needed = None if sure or n == 0 else paired_tests.pairs_needed(grouped)
    return _verdict(names, measure, code, grouped, fixed, broken, p, needed)


def compare_fields(
    base: Sequence[CaseScore],
    other: Sequence[CaseScore],
    names: tuple[str, str] = ("base", "tuned"),
    groups: Mapping[str, str] | None = None,
    leaked: Collection[str] = (),
) -> Verdict:
    """Compare field accuracy in pairs: the paired bootstrap interval of the mean difference decides.

    Raises:
        QwenlabError: when the two did not answer the same cases.
    """
    pairs = _pairs(base, other, leaked)
    differences = {case: right.field_accuracy - left.field_accuracy for case, left, right in pairs}
    grouped = _grouped(differences, groups or {})
    fixed = sum(value > 0 for value in differences.values())
    broken = sum(value < 0 for value in differences.values())
    low, high = paired_tests.bootstrap_mean(grouped) if grouped else (0.0, 0.0)
    code: Literal["better", "worse", "cannot_tell"] = "cannot_tell"
    if sum(any(group) for group in grouped) >= FEWEST and (low > 0 or high < 0):
        code = "better" if low > 0 else "worse"
    needed = None if code != "cannot_tell" else paired_tests.means_needed(grouped)
    return _verdict(names, "field_accuracy", code, grouped, fixed, broken, None, needed)


def _verdict(
    names: tuple[str, str],
    measure: str,
    code: Literal["better", "worse", "cannot_tell"],
    grouped: list[list[float]],
    fixed: int,
    broken: int,
    p: float | None,
    needed: int | None,
) -> Verdict:
    values = [value for group in grouped for value in group]
    low, high = paired_tests.bootstrap_mean(grouped) if grouped else (0.0, 0.0)
    difference = math.fsum(values) / len(values) if values else 0.0
    more = None if needed is None else max(1, needed - len(values))
    return Verdict(names[0], names[1], measure, code, len(values), fixed, broken, difference, low, high, p, more)


def _holds(score: CaseScore, measure: PassMeasure) -> bool:
    if measure == "strict":
        return score.rung == "strict" and not score.errored
    return bool(getattr(score, measure))


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
        "en": "{name} is better than {base} ({measure}): {fixed} fixed, {broken} broken of {n}; sure{p}.",
        "zh": "{name} 优于 {base}（{measure}）：{n} 例中改好 {fixed} 例，改坏 {broken} 例；可以确定{p}。",
    },
    "worse": {
        "en": "{name} is worse than {base} ({measure}): {broken} broken, {fixed} fixed of {n}; sure{p}.",
        "zh": "{name} 不如 {base}（{measure}）：{n} 例中改坏 {broken} 例，改好 {fixed} 例；可以确定{p}。",
    },
    "cannot_tell": {
        "en": "Cannot tell whether {name} is better than {base} ({measure}): {fixed} fixed, {broken} broken of "
        "{n}{p}{more}.",
        "zh": "无法判断 {name} 是否优于 {base}（{measure}）：{n} 例中改好 {fixed} 例，改坏 {broken} 例{p}{more}。",
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
    return _SENTENCE[verdict.code][language].format(
        name=verdict.name,
        base=verdict.base,
        measure=measure_name(verdict.measure, language),
        fixed=verdict.fixed,
        broken=verdict.broken,
        n=verdict.n,
        p=p,
        more=more,
    )


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
