"""A suite examined before it examines anyone: its own expected answers must pass it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import pointer as pointers
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
            raise QwenlabError(f'{file}: the case id "{case.id}" stands twice.', "Give each case its own id.")
        seen.add(case.id)
    if suite.is_json:
        _audit_pointers(suite, file)
        for case in suite.cases:
            _audit_json_case(suite, case, file)
    else:
        if suite.fields:
            raise QwenlabError(f'{file} has "fields" but no "schema".', "Add a schema ({} accepts any JSON).")
        for case in suite.cases:
            _audit_text_case(case, file)


def _audit_json_case(suite: Suite, case: Case, file: str) -> None:
    place = f'{file}, case "{case.id}"'
    if "rule" in case.model_fields_set:
        raise QwenlabError(f'{place}: "rule" is for text cases.', 'Use "fields" of the suite instead.')
    violations = suite.check.violations(case.expected)
    if violations:
        where = violations[0].pointer or "the whole answer"
        raise QwenlabError(
            f"{place}: the expected answer breaks the schema at {where}: {explain_violation(violations[0], 'en')}.",
            "Correct the expected answer or the schema.",
        )
    for name, rule in suite.fields.items():
        value = pointers.resolve(case.expected, name)
        reason = "" if value is pointers.MISSING else unsuited(rule, value)
        if reason:
            raise QwenlabError(f"{place}: {name} {reason}.", "Correct the expected answer or the rule.")
    for name in case.accept:
        if _bad_pointer(name) or not pointers.exists_in(case.expected, pointers.split(name)):
            raise QwenlabError(
                f'{place}: "accept" names {name}, which is not in the expected answer.', "Correct the pointer."
            )
    wrong = [score for score in compare(case.expected, case.expected, suite.fields) if not score.ok]
    if wrong:
        raise QwenlabError(
            f"{place}: the expected answer fails its own rules at {wrong[0].pointer}: {explain(wrong[0], 'en')}",
            "Correct the expected answer or the rule.",
        )


def _audit_text_case(case: Case, file: str) -> None:
    place = f'{file}, case "{case.id}"'
    if case.accept:
        raise QwenlabError(f'{place}: "accept" is for JSON cases.', 'Use rule any_of, or add a "schema".')
    texts = [case.expected] if isinstance(case.expected, str) else case.expected
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise QwenlabError(
            f"{place}: the expected answer of a text case must be text.", 'Add a "schema" if answers are JSON.'
        )
    if isinstance(case.expected, list) and case.rule in ("equals", "regex"):
        raise QwenlabError(f"{place}: rule {case.rule} takes one text.", "Use rule any_of for several.")
    if case.rule == "regex":
        try:
            re.compile(case.expected)
        except re.error as error:
            raise QwenlabError(f"{place}: the pattern is no regular expression: {error}.", "Correct it.") from error
    elif case.rule != "not_contains" and not text_answer_ok(
        case, "\n".join(texts[:1] if case.rule == "any_of" else texts)
    ):
        raise QwenlabError(f"{place}: the expected answer fails its own rule.", "Correct it.")


# --- pointers against the schema --------------------------------------------------------------------------


def _audit_pointers(suite: Suite, file: str) -> None:
    for name in suite.fields:
        reason = _bad_pointer(name)
        if reason:
            raise QwenlabError(f"{file}: {reason}.", 'Write pointers such as "/amount/value".')
        keys = pointers.split(name)
        if any(pointers.exists_in(case.expected, keys) for case in suite.cases):
            continue
        unknown = _unknown_key([suite.json_schema], keys, suite.json_schema)
        if unknown:
            key, known = unknown
            raise QwenlabError(
                f'{file}: "fields" names {name}, but the schema has no "{key}" there.',
                nearest(key, known).strip() or f"It has: {', '.join(sorted(known))}.",
            )


def _bad_pointer(name: str) -> str:
    try:
        pointers.split(name)
    except ValueError as error:
        return str(error)
    return ""


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
