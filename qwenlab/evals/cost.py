"""What the errors of a contestant cost, in words: by their weights, and everything where the field is critical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qwenlab.evals import pointer as pointers
from qwenlab.evals.pointer import EVERY
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.words import Language

NAMED = 4
"""Critical fields that the sentence names."""


@dataclass(frozen=True)
class Costs:
    """What the errors on a suite cost (see `CaseScore.cost`).

    Attributes:
        n: cases. share: mean cost, 0..1; 0 without cases.
        unusable: answers that cannot be used as they are, or that never came; each costs everything.
        vetoed: usable answers with an error in a critical field; each costs everything, too.
        critical: pointer of each critical field -> usable answers in which it is wrong.
        partial: mean cost of the errors in all other fields, 0..1 of the whole suite.
    """

    n: int
    share: float
    unusable: int
    vetoed: int
    critical: dict[str, int]
    partial: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


def costs(scores: Iterable[CaseScore]) -> Costs:
    """Add up what errors cost, over the cases that count (see `report.summarize` for those that do not)."""
    found = [score for score in scores if not score.unjudged]
    usable = [score for score in found if score.usable]
    critical: Counter[str] = Counter()
    for score in usable:
        critical.update({_pooled(field.pointer) for field in score.fields if field.critical and not field.ok})
    total = sum(score.cost for score in found)
    unusable, vetoed = len(found) - len(usable), sum(not score.critical_ok for score in usable)
    number = len(found) or 1
    partial = max(0.0, total - unusable - vetoed)
    return Costs(len(found), total / number, unusable, vetoed, dict(critical.most_common()), partial / number)


_SENTENCE: dict[str, dict[Language, str]] = {
    "none": {"en": "{name}: errors cost nothing.", "zh": "{name}：没有错误代价。"},
    "some": {"en": "{name}: errors cost {share} of 100: {parts}.", "zh": "{name}：错误代价为 {share} / 100：{parts}。"},
    "unusable": {
        "en": "{number} of {n} answers cannot be used at all",
        "zh": "{n} 个回答中有 {number} 个完全不能用",
    },
    "vetoed": {
        "en": "lost to an error in a critical field: {number} ({fields})",
        "zh": "因关键字段出错而作废的有 {number} 个（{fields}）",
    },
    "partial": {"en": "errors in other fields cost {share}", "zh": "其他字段的错误代价为 {share}"},
}


def sentence(name: str, found: Costs, language: Language) -> str:
    """What the errors of `name` cost, out of 100, and where that comes from."""
    if not found.share:
        return _SENTENCE["none"][language].format(name=name)
    comma = ", " if language == "en" else "，"
    fields = [f"{_place(pointer)} {number}" for pointer, number in found.critical.items()]
    named = comma.join(fields[:NAMED] + (["…"] if len(fields) > NAMED else []))
    said: dict[str, dict[str, object]] = {}
    if found.unusable:
        said["unusable"] = {"number": found.unusable, "n": found.n}
    if found.vetoed:
        said["vetoed"] = {"number": found.vetoed, "fields": named}
    if found.partial > 1e-9:
        said["partial"] = {"share": _of_hundred(found.partial)}
    parts = [_SENTENCE[key][language].format(**values) for key, values in said.items()]
    return _SENTENCE["some"][language].format(name=name, share=_of_hundred(found.share), parts=comma.join(parts))


def _of_hundred(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0")


def _pooled(pointer: str) -> str:
    return "".join(f"/{EVERY}" if key.isdigit() else f"/{pointers.escape(key)}" for key in pointers.split(pointer))


def _place(pointer: str) -> str:
    return " › ".join(pointers.split(pointer)) or "/"
