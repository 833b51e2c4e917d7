"""What a proof found, in plain values and in words of both languages: it goes with the export as scorecard.json."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from qwenlab.evals import case_words, gates, likelihood_gate, step_gate
from qwenlab.evals.gates import NoLoss
from qwenlab.evals.likelihood_gate import NotLessLikely
from qwenlab.evals.report import Row
from qwenlab.evals.result import Result
from qwenlab.evals.words import Language, measure_name
from qwenlab.export.prove_closeness import TOP

LANGUAGES: tuple[Language, ...] = ("en", "zh")
MEASURES = ("strict", "usable", "field_accuracy", "document_exact", "passed")
MOST_FAILURES = 20
"""Cases that the model card tells of; the result has all."""


def scorecard(
    result: Result, before: str, after: str, sizes: Mapping[str, int | None], closeness: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The proof of one step.

    Args:
        before, after: names of the contestants that the step leads from and to.
        sizes: bytes on disk of the contestants that its scoreboard shows.
        closeness: see `export.prove_closeness.compare`; None where it was not measured.

    Returns:
        {"passed", "sentence", "details", "rows", "failures", "fixed", "broken", "closeness", ...}.
    """
    judged = step_gate.judge_step(result, before, after)
    near = NotLessLikely.of(before, after, closeness["rises"]) if closeness else None
    every: list[NoLoss | NotLessLikely] = [*judged, near] if near else [*judged]
    left, right = ({one.case_id: one for one in result.contestant(name).scores} for name in (before, after))
    counted = [case for case in left if case not in result.leaked]
    failed = [case for case in counted if not right[case].passed]
    details: dict[Language, list[str]] = {language: [] for language in LANGUAGES}
    for language in LANGUAGES:
        details[language] += [gates.sentence(gate, language) for gate in judged]
        if near:
            details[language].append(likelihood_gate.sentence(near, language))
        if closeness:
            details[language].append(_closeness_sentence(closeness, language))
        if len(failed) > MOST_FAILURES:
            details[language].append(_more_failures(len(failed), language))
    return {
        "suite": result.suite.name,
        "suite_fingerprint": result.suite.fingerprint(),
        "result": result.folder.name,
        "made": time.time(),
        "before": before,
        "after": after,
        "cases": len(counted),
        "passed": all(gate.passed for gate in every),
        "sentence": {language: _sentence(judged, near, language) for language in LANGUAGES},
        "details": details,
        "gates": [gate.to_json() for gate in every],
        "rows": [_row(one.row(sizes[one.name])) for one in result.contestants if one.complete and one.name in sizes],
        "fixed": [case for case in counted if right[case].passed and not left[case].passed],
        "broken": [case for case in counted if left[case].passed and not right[case].passed],
        "failures": [_failure(result, after, case) for case in failed[:MOST_FAILURES]],
        "closeness": dict(closeness) if closeness else None,
    }


def _row(row: Row) -> dict[str, Any]:
    rates = {name: found.value if (found := row.summary.rates.get(name)) else None for name in MEASURES}
    if rates["strict"] is not None:
        rates["passed"] = None  # for JSON this is "usable" and "document_exact" together
    else:
        rates["field_accuracy"] = rates["document_exact"] = None
    speed = None if row.tokens_per_s is None else round(row.tokens_per_s, 1)
    return {"name": row.name, "n": row.summary.n, **rates, "tokens_per_s": speed, "bytes": row.bytes}


def _failure(result: Result, name: str, case: str) -> dict[str, str]:
    found = result.contestant(name)
    score = next(one for one in found.scores if one.case_id == case)
    words: dict[str, str] = {
        language: " ".join(case_words.why(score, found.answers.get(case), language)) for language in LANGUAGES
    }
    return {"case": case, **words}


def _sentence(judged: Sequence[NoLoss], near: NotLessLikely | None, language: Language) -> str:
    """The one sentence that a person needs."""
    first, last, english = judged[0].verdict, judged[-1].verdict, language == "en"
    reason = _reason(judged, near, language)
    if reason and english:
        return f"{first.name} failed its check, do not deploy it: {reason}."
    if reason:
        return f"{first.name} 未通过检查，请勿部署：{reason}。"
    measure = measure_name(last.measure, language)
    if english:
        return (
            f"{first.name} passed its check: on {first.n} cases no loss against {first.base} can be seen "
            f"({measure}: {last.broken} worse, {last.fixed} better)."
        )
    return (
        f"{first.name} 通过检查：{first.n} 个用例上看不出它比 {first.base} 差"
        f"（{measure}：变差 {last.broken} 个，变好 {last.fixed} 个）。"
    )


def _reason(judged: Sequence[NoLoss], near: NotLessLikely | None, language: Language) -> str:
    """Why the check failed; "" when it did not."""
    missed = next((gate.verdict for gate in judged if not gate.passed), None)
    if missed:
        measure = measure_name(missed.measure, language)
        if language == "zh":
            return (
                f"可以确定它比 {missed.base} 差"
                f"（{measure}：{missed.n} 个用例中变差 {missed.broken} 个，变好 {missed.fixed} 个）"
            )
        return (
            f"it is worse than {missed.base} beyond doubt "
            f"({measure}: {missed.broken} worse, {missed.fixed} better of {missed.n} cases)"
        )
    if near is None or near.passed:
        return ""
    lost, allowed = f"{-100 * likelihood_gate.change(near.rise):.0f} %", f"{100 * likelihood_gate.ALLOWED:.0f} %"
    if language == "zh":
        return (
            f"在 {near.n} 段未参与训练的对话上，正确答案的每个 token 的可能性比 {near.base} 平均少 {lost}，"
            f"可以确定超过允许的 {allowed}"
        )
    return (
        f"on {near.n} held-out conversations each token of the right answers is {lost} less likely than with "
        f"{near.base}, beyond doubt more than the {allowed} that are allowed"
    )


def _closeness_sentence(found: Mapping[str, Any], language: Language) -> str:
    same = f"{100 * found['same_next_token'] / found['tokens']:.1f} %"
    values = f"{found['nll']:.3f} / {found['nll_reference']:.3f}"
    if language == "zh":
        return (
            f"在 {found['rows']} 段未参与训练的对话的 {found['tokens']} 个 token 上，与 16 位合并模型相比：KL 散度 "
            f"{found['kl']:.4f}（0 为完全相同；最可能的 {TOP} 个 token 逐个计算，其余合并），"
            f"首选 token 相同的占 {same}，负对数似然 {values}。"
        )
    return (
        f"Next token against the 16-bit merged model, on {found['tokens']} answer tokens of {found['rows']} held-out "
        f"conversations: KL divergence {found['kl']:.4f} nats (0: the same; the {TOP} likeliest tokens one by one, the "
        f"rest as one), the same first choice in {same}, negative log-likelihood {values}."
    )


def _more_failures(failed: int, language: Language) -> str:
    if language == "zh":
        return f"共有 {failed} 个用例未通过，模型卡列出前 {MOST_FAILURES} 个。"
    return f"{failed} cases did not pass; the card names the first {MOST_FAILURES}."
