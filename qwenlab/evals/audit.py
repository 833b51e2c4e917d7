"""A suite examined before it examines anyone: its own expected answers must pass it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qwenlab.conversations import patterns
from qwenlab.conversations.patterns import PatternError
from qwenlab.errors import QwenlabError
from qwenlab.evals import pointer as pointers
from qwenlab.evals import schema_places
from qwenlab.evals.bilingual import ReasonError, Words, meant
from qwenlab.evals.fields import compare
from qwenlab.evals.rules import same, unsuited
from qwenlab.evals.scoring import text_answer_ok
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.evals.words import explain, explain_violation, show

_CHARACTERS_A_TOKEN = 8
"""An answer with more characters than this for each token it may have is surely cut off."""


@dataclass(frozen=True)
class Fault:
    """One thing that does not hold together: `case` is its position, None where the suite as a whole is meant."""

    case: int | None
    error: QwenlabError


def audit(suite: Suite, file: str) -> None:
    """Refuse a suite that does not hold together (see `faults`).

    Raises:
        QwenlabError: naming the file and the case.
    """
    for fault in faults(suite, file):
        raise fault.error


def faults(suite: Suite, file: str) -> Iterator[Fault]:
    """What does not hold together; of each case the first thing.

    Ids are unique, and no question is asked twice with different answers; each expected answer satisfies the schema,
    suits its rules, scores 100 % against itself and has room in `max_new_tokens`; pointers of rules exist in the
    schema or in an expected answer; accepted values stand at expected places and satisfy the schema; thresholds are
    for measures that the suite has.
    """
    for look in (_audit_thresholds, _audit_fields):
        try:
            look(suite, file)
        except QwenlabError as error:
            yield Fault(None, error)
    suite = with_good_pointers(suite)
    ids: set[str] = set()
    asked: dict[str, Case] = {}
    for at, case in enumerate(suite.cases):
        try:
            _audit_id(case, ids, file)
            (_audit_json_case if suite.as_json(case) else _audit_text_case)(suite, case, file)
            _audit_room(suite, case, file)
            _audit_question(suite, case, asked, file)
        except QwenlabError as error:
            yield Fault(at, error)


def with_good_pointers(suite: Suite) -> Suite:
    """The suite without rules whose pointer is none, so that its cases can be judged all the same."""
    good = {name: rule for name, rule in suite.fields.items() if not _bad_pointer(name)}
    return suite if len(good) == len(suite.fields) else suite.model_copy(update={"fields": good})


def _audit_id(case: Case, seen: set[str], file: str) -> None:
    if case.id in seen:
        raise QwenlabError(
            f'{file}: the case id "{case.id}" stands twice.',
            "Give each case its own id.",
            zh=(f"{file}：用例编号“{case.id}”出现了两次。", "请给每个用例一个单独的编号。"),
        )
    seen.add(case.id)


def _audit_thresholds(suite: Suite, file: str) -> None:
    for measure in ("strict", "schema_valid"):
        asked = getattr(suite.thresholds, measure) is not None or measure in suite.not_worse
        if asked and not any(map(suite.as_json, suite.cases)):
            raise QwenlabError(
                f'{file}: the threshold "{measure}" is about JSON, and no case expects JSON.',
                'Use "passed" or "usable".',
                zh=(f"{file}：门槛“{measure}”针对 JSON，但没有用例期望 JSON。", "请改用“passed”或“usable”。"),
            )


def _audit_fields(suite: Suite, file: str) -> None:
    if suite.is_json:
        _audit_pointers(suite, file)
    elif suite.fields:
        raise QwenlabError(
            f'{file} has "fields" but no "schema".',
            "Add a schema ({} accepts any JSON).",
            zh=(f"{file} 有“fields”，却没有“schema”。", "请加上“schema”（写 {} 则接受任何 JSON）。"),
        )


def _audit_room(suite: Suite, case: Case, file: str) -> None:
    room = suite.generation.max_new_tokens
    shortest = json.dumps(case.expected, ensure_ascii=False, separators=(",", ":")) if suite.as_json(case) else ""
    if len(shortest) > _CHARACTERS_A_TOKEN * room:
        place = _place(case, file)
        raise QwenlabError(
            f"{place.en}: the expected answer has {len(shortest)} characters, too many for {room} tokens.",
            'Raise "max_new_tokens" under "generation".',
            zh=(
                f"{place.zh}：期望答案有 {len(shortest)} 个字符，{room} 个词元放不下。",
                "请调大“generation”中的“max_new_tokens”。",
            ),
        )


def _audit_question(suite: Suite, case: Case, asked: dict[str, Case], file: str) -> None:
    if not suite.as_json(case) and case.rule != "equals":  # several such rules may look at one answer
        return
    other = asked.setdefault(json.dumps([suite.as_json(case), case.messages(suite)], sort_keys=True), case)
    if not same(other.expected, case.expected):
        place = _place(case, file)
        raise QwenlabError(
            f'{place.en}: case "{other.id}" asks the same and expects another answer.',
            'Delete one of them, or name both answers: "accept" for JSON, rule any_of for text.',
            zh=(
                f"{place.zh}：用例“{other.id}”问的相同，期望答案却不同。",
                "请删除其中一个，或同时写出两种答案：JSON 用“accept”，文本用规则 any_of。",
            ),
        )


def _audit_json_case(suite: Suite, case: Case, file: str) -> None:
    place = _place(case, file)
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
    _audit_accept(suite, case, place)
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


def _audit_accept(suite: Suite, case: Case, place: Words) -> None:
    for name in case.accept:
        if _bad_pointer(name) or not pointers.exists_in(case.expected, pointers.split(name)):
            raise QwenlabError(
                f'{place.en}: "accept" names {name}, which is not in the expected answer.',
                "Correct the pointer.",
                zh=(f"{place.zh}：“accept”指向 {name}，但期望答案中没有它。", "请改正这个路径。"),
            )
        for value in case.accept[name]:
            broken = suite.check.violations(pointers.replaced(case.expected, pointers.split(name), value))
            if broken:
                shown, why = show(value, "en"), explain_violation(broken[0], "en")
                raise QwenlabError(
                    f'{place.en}: "accept" allows {shown} at {name}, which breaks the schema: {why}.',
                    "Correct it or take it out.",
                    zh=(
                        f"{place.zh}：“accept”允许 {name} 为 {show(value, 'zh')}，但不符合 Schema："
                        f"{explain_violation(broken[0], 'zh')}。",
                        "请改正或去掉它。",
                    ),
                )


def _audit_text_case(suite: Suite, case: Case, file: str) -> None:
    place = _place(case, file)
    if case.accept:
        raise QwenlabError(
            f'{place.en}: "accept" is for JSON cases.',
            "Use rule any_of for a text.",
            zh=(f"{place.zh}：“accept”只用于 JSON 用例。", "文本请使用规则 any_of。"),
        )
    texts = [case.expected] if isinstance(case.expected, str) else case.expected
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        otherwise = Words('Add a "schema" if answers are JSON.', "如果回答是 JSON，请加上“schema”。")
        if suite.is_json:
            otherwise = Words(
                'A case with "rule" is one of text: leave "rule" out if the answer is JSON (its rules are "fields").',
                "带“rule”的用例是文本用例：如果回答是 JSON，请去掉“rule”（规则写在“fields”中）。",
            )
        raise QwenlabError(
            f"{place.en}: the expected answer of a text case must be text.",
            otherwise.en,
            zh=(f"{place.zh}：文本用例的期望答案必须是文本。", otherwise.zh),
        )
    if isinstance(case.expected, list) and case.rule in ("equals", "regex"):
        raise QwenlabError(
            f"{place.en}: rule {case.rule} takes one text.",
            "Use rule any_of for several.",
            zh=(f"{place.zh}：规则 {case.rule} 只接受一个文本。", "需要多个时请使用规则 any_of。"),
        )
    if case.rule == "regex":
        try:
            patterns.compiled(case.expected)
        except PatternError as error:
            why, todo = error.say("zh")
            said = (f"{place.zh}：{why}", todo)
            raise QwenlabError(f"{place.en}: {error.what}", error.remedy, zh=said) from error
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
        unknown = _unknown_key(suite.json_schema, keys)
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


def _unknown_key(schema: Any, keys: list[str]) -> tuple[str, set[str]] | None:
    """The first key that no branch of the schema knows, with the known ones; None where that cannot be told."""
    schemas = [schema]
    for key in keys:
        schemas, known, is_open = schema_places.below(schemas, key, schema)
        if is_open:
            return None
        if not schemas:
            return (key, known) if known else None
    return None
