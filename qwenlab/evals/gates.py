"""Gates: what a contestant must reach, or must not lose against the first one; each said in one sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from qwenlab.evals.asked_gates import Asked, of_suite, remembered
from qwenlab.evals.compare import FEWEST, Verdict
from qwenlab.evals.rates import Z95, Rate
from qwenlab.evals.report import Summary
from qwenlab.evals.result import Result
from qwenlab.evals.suite_model import PairedMeasure, Suite
from qwenlab.evals.words import Language, measure_name

MEANS = ("field_accuracy", "field_accuracy_parsed")
"""Measures that are a mean over cases, not a count of them."""
_HAIR = 1e-9


@dataclass(frozen=True)
class Gate:
    """A threshold and what was reached.

    Attributes:
        contestant: whom it judges. measure, wanted: the least rate of it, a fraction of 1.
        rate: what was reached, errors in the denominator; None where it could not be taken.
        errors: cases without an answer among them.
    """

    contestant: str
    measure: str
    wanted: float
    rate: Rate | None
    errors: int = 0

    @property
    def reached(self) -> float | None:
        """The rate as a fraction of 1."""
        return None if self.rate is None else self.rate.value

    @property
    def passed(self) -> bool:
        """Whether the threshold is met; a measure that could not be taken does not meet it."""
        return self.reached is not None and self.reached >= self.wanted - _HAIR

    @property
    def missing(self) -> int:
        """How many more cases would have to be right; for a mean, as much as so many whole cases."""
        if self.rate is None or self.passed:
            return 0
        return math.ceil((self.wanted - self.rate.value) * self.rate.n - _HAIR)

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies on one side of the threshold."""
        return self.rate is not None and (self.rate.low >= self.wanted or self.rate.high < self.wanted)

    @property
    def cases_needed(self) -> int | None:
        """The fewest cases that could show the threshold, all being right (Wilson); None where there are as many.

        Also None for 100 %, which no number of cases shows.
        """
        if self.rate is None or self.wanted >= 1:
            return None
        needed = math.ceil(Z95**2 * self.wanted / (1 - self.wanted) - _HAIR)
        return needed if self.rate.n < needed else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        rate = self.rate
        return {
            "kind": "threshold",
            "contestant": self.contestant,
            "measure": self.measure,
            "wanted": self.wanted,
            "reached": self.reached,
            "interval": None if rate is None else [rate.low, rate.high],
            "n": 0 if rate is None else rate.n,
            "errors": self.errors,
            "missing": self.missing,
            "sure": self.sure,
            "cases_needed": self.cases_needed,
            "passed": self.passed,
            "sentence": sentence(self, "en"),
        }


@dataclass(frozen=True)
class NoLoss:
    """A gate against the first contestant, on the cases that both were asked.

    Attributes:
        verdict: the paired comparison.
        margin: the loss that must be excluded, a fraction of 1; None: only a sure loss misses the gate.
    """

    verdict: Verdict
    margin: float | None = None

    @property
    def contestant(self) -> str:
        """Whom it judges."""
        return self.verdict.name

    @property
    def measure(self) -> str:
        """What is compared."""
        return self.verdict.measure

    @property
    def passed(self) -> bool:
        """Whether it is not worse beyond doubt, or, with a margin, surely not worse by more than that."""
        if self.margin is None:
            return self.verdict.code != "worse"
        return self.verdict.n > 0 and self.verdict.low >= -self.margin - _HAIR

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        verdict = self.verdict
        return {
            "kind": "not_worse",
            "contestant": verdict.name,
            "base": verdict.base,
            "measure": verdict.measure,
            "margin": self.margin,
            "difference": verdict.difference,
            "interval": [verdict.low, verdict.high],
            "n": verdict.n,
            "passed": self.passed,
            "sentence": sentence(self, "en"),
        }


AnyGate = Gate | NoLoss


# --- judging ---------------------------------------------------------------------------------------------


def gates(summary: Summary, suite: Suite, name: str = "") -> list[Gate]:
    """The suite's thresholds, each with what one contestant reached; alone, it is held against nobody."""
    return [_reached(one, summary, name) for one in of_suite(suite) if one.least is not None]


def judge(result: Result) -> list[AnyGate]:
    """The suite's own gates for the last contestant, and in their place or beside them what was asked of this result.

    Gates of a contestant that was not asked every case are left out: they cannot be judged yet.
    """
    if not result.contestants:
        return []
    first, last = result.contestants[0], result.judged.name
    own = [replace(one, contestant=last) for one in of_suite(result.suite)]
    asked = {(one.contestant, one.measure, one.least is None): one for one in (*own, *remembered(result.folder))}
    complete = {one.name: one for one in result.contestants if one.complete}
    found: list[AnyGate] = []
    for one in asked.values():
        contestant = complete.get(one.contestant)
        if contestant is None:
            continue
        if one.least is not None:
            found.append(_reached(one, contestant.summary, contestant.name))
        elif first.complete and contestant.name != first.name:
            measure: PairedMeasure = one.measure  # type: ignore[assignment]  # `asked_gates` let no other through
            found.append(NoLoss(result.verdict(first, contestant, measure), one.margin))
    return found


def _reached(asked: Asked, summary: Summary, name: str) -> Gate:
    return Gate(name, asked.measure, asked.least or 0.0, summary.rates.get(asked.measure), summary.errors)


# --- in words --------------------------------------------------------------------------------------------


def sentence(gate: AnyGate, language: Language) -> str:
    """What was asked and what was reached, with its interval and the cases it stands on."""
    return _threshold_sentence(gate, language) if isinstance(gate, Gate) else _loss_sentence(gate, language)


def _threshold_sentence(gate: Gate, language: Language) -> str:
    english = language == "en"
    measure, wanted = measure_name(gate.measure, language), _percent(gate.wanted)
    who = gate.contestant or ("the answers" if english else "回答")
    if gate.rate is None:
        if english:
            return f"{who}: {measure} could not be measured, at least {wanted} is wanted."
        return f"{who}：{measure}无法测得，要求至少 {wanted}。"
    rate = gate.rate
    reached = f"{_percent(rate.value)} ({100 * rate.low:.0f}-{100 * rate.high:.0f})"
    if english:
        mark = "meets" if gate.passed else "misses"
        said = f'{who} {mark} "at least {wanted} {measure}": {reached} of {rate.n} cases'
    else:
        mark = "达到" if gate.passed else "未达到"
        said = f"{who} {mark}“{measure}至少 {wanted}”：{rate.n} 个用例中为 {reached}"
    return said + _errors(gate, language) + _missing(gate, language) + _doubt(gate, language)


def _errors(gate: Gate, language: Language) -> str:
    if not gate.errors:
        return ""
    if language == "en":
        return f", {gate.errors} of them without an answer, which counts as wrong"
    return f"，其中 {gate.errors} 个没有回答（按错误计）"


def _missing(gate: Gate, language: Language) -> str:
    if not gate.missing:
        return ""
    mean = gate.measure in MEANS
    if language == "en":
        plural = "case" if gate.missing == 1 else "cases"
        return f"; as much as {gate.missing} whole {plural} short" if mean else f"; {gate.missing} {plural} short"
    return f"；差距相当于 {gate.missing} 个完整用例" if mean else f"；还差 {gate.missing} 个用例"


def _doubt(gate: Gate, language: Language) -> str:
    english = language == "en"
    if gate.cases_needed:
        few, needed = gate.rate.n if gate.rate else 0, gate.cases_needed
        if english:
            return f". {few} cases are too few to be sure of it: that takes {needed} or more, all right."
        return f"。{few} 个用例太少，无法确定：至少要 {needed} 个且全部正确。"
    if gate.sure or gate.wanted in (0, 1):
        return "." if english else "。"
    if gate.passed:
        return ", which other cases might not confirm." if english else "，换一批用例未必如此。"
    return ", which may be chance." if english else "，这可能是偶然。"


def _loss_sentence(gate: NoLoss, language: Language) -> str:
    verdict, english = gate.verdict, language == "en"
    measure = measure_name(verdict.measure, language)
    seen = f"{_points(verdict.difference)} ({_points(verdict.low)} {'to' if english else '至'} {_points(verdict.high)})"
    most = "" if gate.margin is None else _points(gate.margin, signed=False)
    if english:
        wanted = f"at most {most} points worse than" if most else "not worse than"
        mark = "meets" if gate.passed else "misses"
        said = f'{verdict.name} {mark} "{wanted} {verdict.base} ({measure})": {seen} points on {verdict.n} cases'
        said += f", {verdict.fixed} better and {verdict.broken} worse"
    else:
        wanted = f"最多比 {verdict.base} 差 {most} 个百分点" if most else f"不差于 {verdict.base}"
        mark = "达到" if gate.passed else "未达到"
        said = f"{verdict.name} {mark}“{measure}{wanted}”：{verdict.n} 个用例上相差 {seen} 个百分点"
        said += f"，{verdict.fixed} 个变好，{verdict.broken} 个变差"
    if verdict.n < FEWEST:
        n = verdict.n
        return said + (f"; {n} cases are too few to notice a loss." if english else f"；{n} 个用例太少，看不出变差。")
    if gate.passed and gate.margin is None and verdict.code == "cannot_tell" and verdict.low < 0:
        hidden = _points(-verdict.low, False)
        said += f"; a loss of up to {hidden} points may still hide" if english else f"；仍可能差 {hidden} 个百分点以内"
    return said + ("." if english else "。")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float, signed: bool = True) -> str:
    return f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"
