"""A suite examined before it examines anyone: its own expected answers must pass it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.evals import pointer as pointers
from qwenlab.evals.bilingual import ReasonError, Words, meant
from qwenlab.evals.fields import compare
from qwenlab.evals.pointer import EVERY
from qwenlab.evals.rules import unsuited
from qwenlab.evals.scoring import text_answer_ok
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.words import explain, explain_violation


def audit(suite: Suite, file: str) -> None:
    """Refuse a suite that does not hold together.

    Ids are unique; each expected answer satisfies the schema, suits its rules and scores 100 % against itself;
    pointers of rules exist in the schema or in an expected answer; accepted values stand at expected places.

    Raises:
        QwenlabError: naming the file and the case.
    """
    seen: set[str] = set()
    for case in suite.cases:
        if case.id in seen:
            raise QwenlabError(
                f'{file}: the case id "{case.id}" stands twice.',
                "Give each case its own id.",
                zh=(f"{file}：用例编号“{case.id}”出现了两次。", "请给每个用例一个单独的编号。"),
            )
        seen.add(case.id)
    if suite.is_json:
        _audit_pointers(suite, file)
        for case in suite.cases:
            _audit_json_case(suite, case, file)
    else:
        if suite.fields:
            raise QwenlabError(
                f'{file} has "fields" but no "schema".',
                "Add a schema ({} accepts any JSON).",
                zh=(f"{file} 有“fields”，却没有“schema”。", "请加上“schema”（写 {} 则接受任何 JSON）。"),
            )
        for case in suite.cases:
            _audit_text_case(case, file)


def _audit_json_case(suite: Suite, case: Case, file: str) -> None:
    place = _place(case, file)
    if "rule" in case.model_fields_set:
        raise QwenlabError(
            f'{place.en}: "rule" is for text cases.',
            'Use "fields" of the suite instead.',
            zh=(f"{place.zh}：“rule”只用于文本用例。", "请改用测试集的“fields”。"),
        )
    violations = suite.check.violations(case.expected)
    if violations:
        first = violations[0]
        raise QwenlabError(
            f"{place.en}: the expected answer breaks the schema at {first.pointer or 'the whole answer'}: "
            f"{explain_violation(first, 'en')}.",
            "Correct the expected answer or the schema.",
            zh=(
                f"{place.zh}：期望答案不符合 Schema，位置 {first.pointer or '整个答案'}："
                f"{explain_violation(first, 'zh')}。",
                "请改正期望答案或 Schema。",
            ),
        )
    for name, rule in suite.fields.items():
        value = pointers.resolve(case.expected, name)
        reason = None if value is pointers.MISSING else unsuited(rule, value)
        if reason:
            raise QwenlabError(
                f"{place.en}: {name} {reason.en}.",
                "Correct the expected answer or the rule.",
                zh=(f"{place.zh}：{name} {reason.zh}。", "请改正期望答案或规则。"),
            )
    for name in case.accept:
        if _bad_pointer(name) or not pointers.exists_in(case.expected, pointers.split(name)):
            raise QwenlabError(
                f'{place.en}: "accept" names {name}, which is not in the expected answer.',
                "Correct the pointer.",
                zh=(f"{place.zh}：“accept”指向 {name}，但期望答案中没有它。", "请改正这个路径。"),
            )
    wrong = [score for score in compare(case.expected, case.expected, suite.fields) if not score.ok]
    if wrong:
        raise QwenlabError(
            f"{place.en}: the expected answer fails its own rules at {wrong[0].pointer}: {explain(wrong[0], 'en')}",
            "Correct the expected answer or the rule.",
            zh=(
                f"{place.zh}：期望答案不满足自己的规则，位置 {wrong[0].pointer}：{explain(wrong[0], 'zh')}",
                "请改正期望答案或规则。",
            ),
        )


def _audit_text_case(case: Case, file: str) -> None:
    place = _place(case, file)
    if case.accept:
        raise QwenlabError(
            f'{place.en}: "accept" is for JSON cases.',
            'Use rule any_of, or add a "schema".',
            zh=(f"{place.zh}：“accept”只用于 JSON 用例。", "请使用规则 any_of，或加上“schema”。"),
        )
    texts = [case.expected] if isinstance(case.expected, str) else case.expected
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise QwenlabError(
            f"{place.en}: the expected answer of a text case must be text.",
            'Add a "schema" if answers are JSON.',
            zh=(f"{place.zh}：文本用例的期望答案必须是文本。", "如果回答是 JSON，请加上“schema”。"),
        )
    if isinstance(case.expected, list) and case.rule in ("equals", "regex"):
        raise QwenlabError(
            f"{place.en}: rule {case.rule} takes one text.",
            "Use rule any_of for several.",
            zh=(f"{place.zh}：规则 {case.rule} 只接受一个文本。", "需要多个时请使用规则 any_of。"),
        )
    if case.rule == "regex":
        try:
            re.compile(case.expected)
        except re.error as error:
            raise QwenlabError(
                f"{place.en}: the pattern is no regular expression: {error}.",
                "Correct it.",
                zh=(f"{place.zh}：期望答案不是合法的正则表达式（{error}）。", "请改正它。"),
            ) from error
    elif case.rule != "not_contains" and not text_answer_ok(
        case, "\n".join(texts[:1] if case.rule == "any_of" else texts)
    ):
        raise QwenlabError(
            f"{place.en}: the expected answer fails its own rule.",
            "Correct it.",
            zh=(f"{place.zh}：期望答案不满足自己的规则。", "请改正它。"),
        )


def _place(case: Case, file: str) -> Words:
    return Words(f'{file}, case "{case.id}"', f"{file}，用例“{case.id}”")


# --- pointers against the schema --------------------------------------------------------------------------


def _audit_pointers(suite: Suite, file: str) -> None:
    for name in suite.fields:
        reason = _bad_pointer(name)
        if reason:
            raise QwenlabError(
                f"{file}: {reason.en}.",
                'Write pointers such as "/amount/value".',
                zh=(f"{file}：{reason.zh}。", "请写成“/amount/value”这样的路径。"),
            )
        keys = pointers.split(name)
        if any(pointers.exists_in(case.expected, keys) for case in suite.cases):
            continue
        unknown = _unknown_key([suite.json_schema], keys, suite.json_schema)
        if unknown:
            key, known = unknown
            listed = Words(f"It has: {', '.join(sorted(known))}.", f"其中有：{'、'.join(sorted(known))}。")
            hint = meant(key, known, listed)
            raise QwenlabError(
                f'{file}: "fields" names {name}, but the schema has no "{key}" there.',
                hint.en,
                zh=(f"{file}：“fields”指向 {name}，但 Schema 在那里没有“{key}”。", hint.zh),
            )


def _bad_pointer(name: str) -> Words | None:
    try:
        pointers.split(name)
    except ReasonError as error:
        return error.words
    return None


def _unknown_key(schemas: list[Any], keys: list[str], root: Any) -> tuple[str, set[str]] | None:
    """The first key that no branch of the schema knows, with the known ones; None where that cannot be told."""
    if not keys:
        return None
    branches = [branch for schema in schemas for branch in _branches(schema, root, 0)]
    known: set[str] = set()
    below: list[Any] = []
    for branch in branches:
        if "patternProperties" in branch or branch.get("additionalProperties", False) is not False:
            return None
        known |= set(branch.get("properties", {}))
        if keys[0] in branch.get("properties", {}):
            below.append(branch["properties"][keys[0]])
        if keys[0] == EVERY or keys[0].isdigit():
            below += [branch["items"]] if "items" in branch else branch.get("prefixItems", [])
    if below:
        return _unknown_key(below, keys[1:], root)
    return (keys[0], known) if known else None


def _branches(schema: Any, root: Any, depth: int) -> Iterator[dict[str, Any]]:
    """The schema, what it refers to, and its alternatives."""
    if not isinstance(schema, dict) or depth > 20:
        return
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target = pointers.resolve(root, reference[1:]) if reference[1:2] in ("", "/") else pointers.MISSING
        yield from _branches(target, root, depth + 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, []):
            yield from _branches(branch, root, depth + 1)
    for keyword in ("then", "else"):
        yield from _branches(schema.get(keyword), root, depth + 1)
