"""The gate on held-out answers: a step of an export must not make the right words much less likely, beyond doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenlab.evals.paired_tests import FEWEST, bootstrap_mean
from qwenlab.evals.words import Language

ALLOWED = 0.10
"""Share by which a token of the right answer may become less likely. A 4-bit file that is sound stays far below; one
above it makes an answer of 40 tokens 70 times less likely."""


@dataclass(frozen=True)
class NotLessLikely:
    """How much less likely `contestant` finds what held-out conversations answer than `base` does.

    Attributes:
        rise: mean rise of the negative log-likelihood of an answer's token, in nats. low, high: its 95 % bootstrap
            interval, conversations kept whole.
        n: conversations.
    """

    base: str
    contestant: str
    rise: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, base: str, contestant: str, rises: Sequence[float]) -> NotLessLikely:
        """Args: rises: of each conversation (one or more), in nats."""
        return cls(
            base, contestant, math.fsum(rises) / len(rises), *bootstrap_mean([[one] for one in rises]), len(rises)
        )

    @property
    def passed(self) -> bool:
        """Whether a loss above what is allowed is not certain; from very few conversations nothing is."""
        return self.n < FEWEST or change(self.low) >= -ALLOWED

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        return {
            "kind": "not_less_likely",
            **vars(self),
            "allowed": ALLOWED,
            "passed": self.passed,
            "sentence": sentence(self, "en"),
        }


def change(rise: float) -> float:
    """By which share a token became likelier (or less likely, below 0), of a rise in nats."""
    return math.exp(-rise) - 1


def percent(share: float) -> str:
    """With its sign, to a tenth."""
    return f"{100 * share:+.1f}"


def sentence(gate: NotLessLikely, language: Language) -> str:
    """What was allowed and what was found, with its interval and the conversations it stands on."""
    found, low, high = (percent(change(value)) for value in (gate.rise, gate.high, gate.low))
    allowed, few = f"{100 * ALLOWED:.0f} %", gate.n < FEWEST
    if language == "zh":
        said = (
            f"{gate.contestant} {'达到' if gate.passed else '未达到'}“正确答案的可能性与 {gate.base} 相比，"
            f"每个 token 最多低 {allowed}”：{gate.n} 段未参与训练的对话上平均每个 token {found} %（{low} 至 {high}）"
        )
        return said + (f"；{gate.n} 段对话太少，看不出变差。" if few else "。")
    said = (
        f'{gate.contestant} {"meets" if gate.passed else "misses"} "right answers at most {allowed} less likely '
        f'a token than with {gate.base}": {found} % ({low} to {high}) on {gate.n} held-out conversations'
    )
    return said + (f"; {gate.n} are too few to notice a loss." if few else ".")
