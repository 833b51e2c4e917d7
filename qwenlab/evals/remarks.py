"""What is to be said of a result beside its figures: of repeated answers, of format and content, and of the cache."""

from __future__ import annotations

from qwenlab.evals import format_split, repeats
from qwenlab.evals.bilingual import Words
from qwenlab.evals.result import ContestantResult, Result
from qwenlab.evals.words import Language

_CACHED = Words(
    "{name}: {known} answers were known from earlier tests of the same weights, {asked} were asked anew.",
    "{name}：{known} 个回答取自同一权重以前的测试，{asked} 个是重新提问的。",
)
_UNJUDGED = Words(
    "{name}: {number} answers could not be judged, because a rule or the schema failed; they count neither as right "
    "nor as wrong. {why}",
    "{name}：有 {number} 个回答无法评判（规则或 Schema 出错），既不算对也不算错。{why}",
)


def remarks(found: Result, language: Language) -> list[str]:
    """A sentence each, in the order in which they matter."""
    said = [_unjudged(one, language) for one in found.contestants]
    said += [repeats.sentence(one.name, one.repeats, language) for one in found.contestants if one.repeats]
    said += [format_split.sentence(one, language) for one in found.splits]
    said += [_cached(one, language) for one in found.contestants if one.cached]
    return [one for one in said if one]


def _unjudged(one: ContestantResult, language: Language) -> str:
    reasons = [score.unjudged for scores in one.rounds for score in scores if score.unjudged]
    if not reasons:
        return ""
    return getattr(_UNJUDGED, language).format(name=one.name, number=len(reasons), why=getattr(reasons[0], language))


def _cached(one: ContestantResult, language: Language) -> str:
    return getattr(_CACHED, language).format(name=one.name, known=one.cached, asked=one.fresh)
