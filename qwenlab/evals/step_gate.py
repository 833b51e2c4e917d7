"""The gate of one step of an export: what was made must not be worse than what it was made from, beyond doubt."""

from __future__ import annotations

from qwenlab.evals.compare import compare_fields, compare_passes
from qwenlab.evals.gates import NoLoss
from qwenlab.evals.result import Result


def judge_step(result: Result, before: str, after: str) -> list[NoLoss]:
    """Usable-as-is and field accuracy (of a text suite: usable and passed) of two contestants, in pairs.

    Raises:
        QwenlabError: when one is not in the result, or was asked other cases.
    """
    left, right = result.contestant(before), result.contestant(after)
    names, groups, leaked = (before, after), result.suite.groups, result.leaked
    found = [compare_passes(left.scores, right.scores, names, "usable", groups, leaked)]
    if result.suite.is_json:
        found.append(compare_fields(left.scores, right.scores, names, groups, leaked))
    else:
        found.append(compare_passes(left.scores, right.scores, names, "passed", groups, leaked))
    return [NoLoss(one) for one in found]
