"""Several answers to each case: how often they pass, whether all do, and whether they agree.

A case is one unit however often it was asked: its answers are averaged before anything is counted, so that asking five
times does not make five times as many cases.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwenlab.evals.answers import Answered
from qwenlab.evals.compare import Rounds
from qwenlab.evals.json_ladder import classify
from qwenlab.evals.rates import Rate, rate, wilson
from qwenlab.evals.report import Summary, summarize
from qwenlab.evals.suite_model import Suite
from qwenlab.evals.words import Language


@dataclass(frozen=True)
class CaseRepeats:
    """The answers to one case.

    Attributes:
        n: answers judged. passed: how many of them pass.
        agreement: share of the most frequent answer, JSON compared by value; None where there is no answer.
    """

    n: int
    passed: int
    agreement: float | None


@dataclass(frozen=True)
class Repeats:
    """All answers of one contestant, leaked cases left out of the rates.

    Attributes:
        n: answers to each case. errors, unjudged: answers that failed, and those whose judging failed, of all.
        cases: case id -> its answers.
        pass_at_1: mean over cases of the share of answers that pass: what one answer is worth.
        pass_all: share of cases all of whose answers pass (pass^n): what can be relied on.
        agreement: mean over cases of the share of the most frequent answer, right or wrong.
    """

    n: int
    errors: int
    unjudged: int
    cases: dict[str, CaseRepeats]
    pass_at_1: Rate | None
    pass_all: Rate | None
    agreement: Rate | None

    def to_json(self) -> dict[str, Any]:
        """Plain values: fractions of 1, their intervals apart."""
        rates = {"pass_at_1": self.pass_at_1, "pass_all": self.pass_all, "agreement": self.agreement}
        return {
            "n": self.n,
            "errors": self.errors,
            "unjudged": self.unjudged,
            **{name: found and found.value for name, found in rates.items()},
            "intervals": {name: found and [found.low, found.high] for name, found in rates.items()},
        }


def of_rounds(
    suite: Suite, rounds: Rounds, answers: Sequence[Mapping[str, Answered]], leaked: Collection[str]
) -> Repeats:
    """What the repeated answers say together; `answers` holds those of each round by case."""
    cases: dict[str, CaseRepeats] = {}
    for scores in zip(*rounds, strict=True):
        case = scores[0].case_id
        given = [one[case].answer.text for one, score in zip(answers, scores, strict=True) if not score.errored]
        as_json = scores[0].rung is not None
        judged = [score for score in scores if not score.unjudged]
        cases[case] = CaseRepeats(len(judged), sum(score.passed for score in judged), _agreement(given, as_json))
    counted = [found for case, found in cases.items() if case not in leaked and found.n]
    return Repeats(
        n=suite.generation.repeats,
        errors=sum(score.errored for scores in rounds for score in scores),
        unjudged=sum(score.unjudged is not None for scores in rounds for score in scores),
        cases=cases,
        pass_at_1=rate(found.passed / found.n for found in counted),
        pass_all=rate(found.passed == found.n for found in counted),
        agreement=rate(found.agreement for found in counted if found.agreement is not None),
    )


def _agreement(texts: Sequence[str], as_json: bool) -> float | None:
    if not texts:
        return None
    return Counter(_value(text, as_json) for text in texts).most_common(1)[0][1] / len(texts)


def _value(text: str, as_json: bool) -> str:
    """The same for answers that say the same: JSON by value, whatever stands around it; words without outer blanks."""
    reading = classify(text) if as_json else None
    return json.dumps(_plain(reading.value), sort_keys=True) if reading and reading.parsed else text.strip()


def _plain(value: Any) -> Any:
    """1.0 as 1."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def summary(rounds: Rounds, leaked: Collection[str]) -> Summary:
    """The rates are means over all answers, each case counted once; counts (errors, rungs, flags) are of the first."""
    each = [summarize(scores, leaked) for scores in rounds]
    first = each[0]
    rates = {measure: _mean([one.rates[measure] for one in each]) for measure in first.rates}
    fields = {name: _mean([one.by_field.get(name) for one in each]) for name in first.by_field}
    return replace(first, rates=rates, by_field={name: found for name, found in fields.items() if found})


def _mean(rates: Sequence[Rate | None]) -> Rate | None:
    known = [one for one in rates if one is not None]
    if not known:
        return None
    value, n = math.fsum(one.value for one in known) / len(known), max(one.n for one in known)
    return Rate(value, n, *wilson(value * n, n))


def sentence(name: str, found: Repeats, language: Language) -> str:
    """The three figures in words."""
    if found.pass_at_1 is None or found.pass_all is None:
        return ""
    same = found.agreement.value if found.agreement else 0.0
    n, one, every = found.n, found.pass_at_1.value, found.pass_all.value
    if language == "zh":
        return (
            f"{name}：每个用例回答 {n} 次。单次通过率 {one:.1%}；{n} 次全部通过的用例占 {every:.1%}；"
            f"同一用例的回答平均有 {same:.1%} 相同。"
        )
    return (
        f"{name} answered each case {n} times: one answer passes in {one:.1%}, all {n} pass for {every:.1%} of the "
        f"cases, and on average {same:.1%} of the answers to a case are the same."
    )
