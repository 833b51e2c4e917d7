"""Why an answer did not pass, in sentences: for the reports that leave the page."""

from __future__ import annotations

from qwenlab.evals import pointer as pointers
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
    if not score.passed and not score.errored and not score.unjudged and score.rung not in (None, "strict"):
        reasons.insert(0, _sentence(describe_rung(score.rung, language), language))
    if score.parsed and not score.passed:
        reasons += [_at(one.pointer, explain(one, language), language) for one in score.fields if not one.ok]
    return reasons


def of_form(score: CaseScore, answered: Answered | None, language: Language) -> list[str]:
    """The reasons that neither the rung nor a single value shows: no answer, a flag, a broken schema, a wrong text."""
    if score.passed:
        return []
    if score.errored:
        said = answered.answer.error_in(language) if answered else ""
        return [said or _sentence(describe_flag("not_answered", language), language)]
    reasons = [
        _sentence(describe_flag(flag, language), language) for flag in score.flags if flag not in _NAMED_ELSEWHERE
    ]
    if score.unjudged:
        reasons.append(getattr(score.unjudged, language))
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


def place(pointer: str, language: Language) -> str:
    """/amount/value as a person reads it: amount › value."""
    return " › ".join(pointers.split(pointer)) or ("whole answer" if language == "en" else "整个回答")


def _at(pointer: str, words: str, language: Language) -> str:
    ended = words if words.endswith((".", "。")) else words + ("." if language == "en" else "。")
    return f"{place(pointer, language)}{': ' if language == 'en' else '：'}{ended}"
