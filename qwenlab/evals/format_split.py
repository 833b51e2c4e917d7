"""How much of the error is format, and how much content: the same questions again with the schema enforced."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from qwenlab.evals.compare import Rounds
from qwenlab.evals.words import Language


@dataclass(frozen=True)
class FormatSplit:
    """The JSON cases of one contestant, asked freely and with the schema enforced.

    Attributes:
        name, enforced: the two. n: cases that both answered; leaked ones and errors are left out.
        right: passed freely, with every answer to them. format: failed freely, right once enforced. content: wrong both
            ways.
        lost: of those right freely, wrong once enforced.
        fields_free, fields_enforced: field accuracy over the n cases.
    """

    name: str
    enforced: str
    n: int
    right: int
    format: int
    content: int
    lost: int
    fields_free: float
    fields_enforced: float

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the English sentence."""
        return {**asdict(self), "sentence": sentence(self, "en")}


def split(names: tuple[str, str], free: Rounds, forced: Rounds, leaked: Collection[str] = ()) -> FormatSplit:
    """Compare the answers of one contestant given freely and under the schema.

    Args:
        names: of the free and of the enforced contestant.
    """
    other = {scores[0].case_id: scores for scores in zip(*forced, strict=True)}
    pairs = [
        (scores, other[case])
        for scores in zip(*free, strict=True)
        if (case := scores[0].case_id) in other and case not in leaked and scores[0].rung is not None
    ]
    pairs = [pair for pair in pairs if not any(score.errored or score.unjudged for side in pair for score in side)]
    right = Counter((all(one.passed for one in before), all(one.passed for one in after)) for before, after in pairs)
    return FormatSplit(
        *names,
        n=len(pairs),
        right=right[True, True] + right[True, False],
        format=right[False, True],
        content=right[False, False],
        lost=right[True, False],
        fields_free=_mean(score.field_accuracy for before, _ in pairs for score in before),
        fields_enforced=_mean(score.field_accuracy for _, after in pairs for score in after),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return math.fsum(found) / len(found) if found else 0.0


def sentence(found: FormatSplit, language: Language) -> str:
    """What enforcing the schema would change, in words."""
    wrong = found.format + found.content
    if language == "zh":
        if not found.n:
            return f"{found.name}：没有可比较的 JSON 回答，无法区分格式错误和内容错误。"
        lost = f"；原本正确的有 {found.lost} 个在强制后变错" if found.lost else ""
        return (
            f"{found.name}：{found.n} 个用例中有 {wrong} 个未通过，其中 {found.format} 个只是格式问题"
            f"（强制 Schema 后即正确），{found.content} 个是内容问题（强制后仍然错误）{lost}。"
        )
    if not found.n:
        return f"{found.name}: no JSON answers to compare, so format and content cannot be told apart."
    lost = f"; {found.lost} that were right are wrong once it is enforced" if found.lost else ""
    return (
        f"{found.name}: {wrong} of {found.n} cases failed, {found.format} by their format alone (right once the schema "
        f"is enforced), {found.content} by their content (wrong even then){lost}."
    )
