"""Gates: what a contestant must reach, or must not lose against the first one; each said in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals.compare import FEWEST, PassMeasure, Verdict, compare_fields, compare_passes
from qwenlab.evals.rates import Z95, Rate
from qwenlab.evals.report import MEASURES, Summary
from qwenlab.evals.result import Result
from qwenlab.evals.suite_model import Thresholds
from qwenlab.evals.words import Language, measure_name

ASKED = "gates.json"
"""In a result folder: the gates that were asked of it beside the suite's own thresholds."""
MEANS = ("field_accuracy", "field_accuracy_parsed")
"""Measures that are a mean over cases, not a count of them."""
PAIRED: tuple[str, ...] = (*get_args(PassMeasure), "field_accuracy")
_HAIR = 1e-9


@dataclass(frozen=True)
class Asked:
    """A gate before it is judged.

    Attributes:
        measure: see `report.MEASURES`. contestant: whom it judges; "" for the last one.
        least: the threshold, a fraction of 1; None where the contestant is held against the first one.
        margin: the largest loss against the first that must be excluded, a fraction of 1; None: it must only not be
            worse beyond doubt.
    """

    measure: str
    contestant: str = ""
    least: float | None = None
    margin: float | None = None


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


# --- asking ----------------------------------------------------------------------------------------------


def threshold(written: str) -> Asked:
    """Read "usable=0.9" or "tuned:usable=0.9".

    Raises:
        QwenlabError: when the measure is unknown or the rate is no fraction of 1.
    """
    name, measure, rate = _parts(written, MEASURES)
    return Asked(measure, name, least=_fraction(rate, written, "usable=0.9", ("threshold", "门槛")))


def not_worse(written: str) -> list[Asked]:
    """Read "field_accuracy,usable", or with a contestant and a margin "tuned:usable=0.02".

    Raises:
        QwenlabError: when a measure is unknown or a margin is no fraction of 1.
    """
    found = []
    for one in filter(None, (part.strip() for part in written.split(","))):
        name, measure, margin = _parts(one, PAIRED)
        known = None if margin is None else _fraction(margin, one, "usable=0.02", ("margin", "允许的差距"))
        found.append(Asked(measure, name, margin=known))
    return found


def _parts(written: str, known: Sequence[str]) -> tuple[str, str, str | None]:
    left, equals, value = written.partition("=")
    name, _, measure = left.rpartition(":")
    measure = measure.strip()
    if measure not in known:
        raise QwenlabError(
            f"There is no measure {measure}.{nearest(measure, known)}",
            f"Known: {', '.join(known)}.",
            zh=(f"没有指标 {measure}。{nearest(measure, known, 'zh')}", f"可用：{'、'.join(known)}。"),
        )
    return name.strip(), measure, value if equals else None


def _fraction(text: str | None, written: str, example: str, what: tuple[str, str]) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise QwenlabError(
            f"The {what[0]} {written!r} is no fraction of 1.",
            f"Write for example {example}.",
            zh=(f"{what[1]} {written!r} 不是 0 到 1 之间的数。", f"请写成例如 {example}。"),
        )
    return value


def of_suite(thresholds: Thresholds) -> list[Asked]:
    """The suite's own thresholds, which judge the last contestant."""
    return [Asked(measure, least=least) for measure, least in thresholds.model_dump(exclude_none=True).items()]


def resolve(written: Sequence[Asked], names: Sequence[str]) -> list[Asked]:
    """Gates of the command line, each with the contestant it judges.

    Args:
        names: of the contestants, in their order.

    Raises:
        QwenlabError: when a gate names none of them, or holds the first against itself.
    """
    found = []
    for one in written:
        name = one.contestant or names[-1]
        if name not in names:
            raise QwenlabError(
                f'A gate names the contestant "{name}", which is not asked.{nearest(name, names)}',
                f"Asked are: {', '.join(names)}.",
                zh=(
                    f"门槛写明了测试对象“{name}”，但没有测试它。{nearest(name, names, 'zh')}",
                    f"测试的有：{'、'.join(names)}。",
                ),
            )
        if one.least is None and name == names[0]:
            raise QwenlabError(
                f'"{name}" is the first contestant: it cannot be held against itself.',
                "Name the one to compare with first, then the one to judge.",
                zh=(f"“{name}”是第一个测试对象，不能与自己比较。", "请先写用来比较的对象，再写要评判的对象。"),
            )
        found.append(replace(one, contestant=name))
    return found


def remember(folder: Path, resolved: Sequence[Asked]) -> None:
    """Note in a result folder what was asked beside the suite's thresholds, so that every later report judges it."""
    if resolved or (folder / ASKED).exists():
        files.write_json(folder / ASKED, [asdict(one) for one in resolved])


# --- judging ---------------------------------------------------------------------------------------------


def gates(summary: Summary, thresholds: Thresholds, name: str = "") -> list[Gate]:
    """The suite's thresholds, each with what one contestant reached."""
    return [_reached(one, summary, name) for one in of_suite(thresholds)]


def judge(result: Result) -> list[AnyGate]:
    """The suite's thresholds for the last contestant, and in their place or beside them what was asked of this result.

    Gates of a contestant that was not asked every case are left out: they cannot be judged yet.
    """
    if not result.contestants:
        return []
    first, last = result.contestants[0], result.contestants[-1].name
    path = result.folder / ASKED
    written = [Asked(**one) for one in files.read_json(path)] if path.exists() else []
    own = [replace(one, contestant=last) for one in of_suite(result.suite.thresholds)]
    asked = {(one.contestant, one.measure, one.least is None): one for one in (*own, *written)}
    complete = {one.name: one for one in result.contestants if one.complete}
    found: list[AnyGate] = []
    for one in asked.values():
        contestant = complete.get(one.contestant)
        if contestant is None:
            continue
        if one.least is not None:
            found.append(_reached(one, contestant.summary, contestant.name))
        elif first.complete and contestant.name != first.name:
            found.append(NoLoss(_verdict(one.measure, result, contestant.name), one.margin))
    return found


def _reached(asked: Asked, summary: Summary, name: str) -> Gate:
    return Gate(name, asked.measure, asked.least or 0.0, summary.rates.get(asked.measure), summary.errors)


def _verdict(measure: str, result: Result, name: str) -> Verdict:
    first, other = result.contestants[0], result.contestant(name)
    names, groups, leaked = (first.name, name), result.suite.groups, result.leaked
    if measure == "field_accuracy":
        return compare_fields(first.scores, other.scores, names, groups, leaked)
    passes: PassMeasure = measure  # type: ignore[assignment]  # `_parts` let no other through
    return compare_passes(first.scores, other.scores, names, passes, groups, leaked)


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
