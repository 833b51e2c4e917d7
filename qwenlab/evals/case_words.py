"""Why an answer did not pass, in sentences: for the reports that leave the page."""

from __future__ import annotations

from qwenlab.evals.answers import Answered
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.words import Language, describe_flag, describe_rung, explain, explain_violation

_NAMED_ELSEWHERE = ("number_as_string", "error", "not_answered")
"""Flags that a sentence about a field, or about the error, says already."""


def why(score: CaseScore, answered: Answered | None, language: Language) -> list[str]:
    """Every reason why an answer did not pass, the form first; empty for one that passed.

    Args:
        answered: the raw answer, for what an error said; None for a case without one.
    """
    reasons = of_form(score, answered, language)
    if score.parsed and not score.passed:
        reasons += [_at(one.pointer, explain(one, language), language) for one in score.fields if not one.ok]
    return reasons


def of_form(score: CaseScore, answered: Answered | None, language: Language) -> list[str]:
    """The reasons that no single value shows: no answer, no strict JSON, a broken schema, a text that is not right."""
    if score.passed:
        return []
    if score.errored:
        said = answered.answer.error_in(language) if answered else ""
        return [said or _sentence(describe_flag("not_answered", language), language)]
    reasons = []
    if score.rung not in (None, "strict"):
        reasons.append(_sentence(describe_rung(score.rung, language), language))
    reasons += [
        _sentence(describe_flag(flag, language), language) for flag in score.flags if flag not in _NAMED_ELSEWHERE
    ]
    # A wrong value is explained as one: that the schema refuses it too adds nothing.
    wrong = {one.pointer for one in score.fields if not one.ok}
    reasons += [
        _at(one.pointer, explain_violation(one, language), language)
        for one in score.violations
        if one.pointer not in wrong
    ]
    if score.rung is None and score.usable:
        reasons.append("Not the expected answer." if language == "en" else "不是期望的回答。")
    return reasons


def _sentence(words: str, language: Language) -> str:
    return words[:1].upper() + words[1:] + "." if language == "en" else words + "。"


def _at(pointer: str, words: str, language: Language) -> str:
    place = pointer or ("whole answer" if language == "en" else "整个回答")
    return f"{place}: {words}" if language == "en" else f"{place}：{words}"
