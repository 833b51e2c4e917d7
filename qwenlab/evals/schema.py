"""Checking an answer against the suite's JSON Schema, and saying in plain words where it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from qwenlab.conversations import patterns
from qwenlab.errors import QwenlabError
from qwenlab.evals import pointer as pointers

MAX_VIOLATIONS = 20
"""More are not listed for one answer."""


@dataclass(frozen=True)
class Violation:
    """One place where an answer breaks the schema.

    Attributes:
        pointer: where in the answer.
        keyword: the schema keyword that is broken ("type", "required", ...); "" when unknown.
        wanted: the keyword's value in the schema; for "required" and "additionalProperties" the key in question.
        message: the validator's own English sentence, for keywords that `words` has no sentence for.
    """

    pointer: str
    keyword: str
    wanted: Any = None
    message: str = ""
    found: Any = field(default=None, compare=False)


class SchemaCheck:
    """A compiled JSON Schema (draft 2020-12 unless it names another). `format` is checked; nothing is fetched.

    Raises:
        QwenlabError: when the schema itself is not valid, or refers to another document.
    """

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        self.schema = schema
        try:
            self._validator = jsonschema_rs.validator_for(schema, validate_formats=True, offline=True)
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise QwenlabError(
                f"The JSON Schema is not valid: {reason}.",
                "Correct the schema; all it refers to must stand in it.",
                zh=(f"JSON Schema 不合法：{reason}。", "请改正它；它引用的内容都必须写在它里面。"),
            ) from error

    def is_valid(self, value: Any) -> bool:
        """Whether the value satisfies the schema."""
        return self._validator.is_valid(value)

    def violations(self, value: Any) -> list[Violation]:
        """Where the value breaks the schema, at most `MAX_VIOLATIONS`; empty when it is valid."""
        if self.is_valid(value):
            return []
        found = _explained(self.schema, value)
        if not found:  # the two validators disagree: the fast one decides, in its own words
            error = next(iter(self._validator.iter_errors(value)))
            found = [Violation(pointers.from_keys(error.instance_path), "", message=error.message)]
        return found


def _explained(schema: dict[str, Any] | bool, value: Any) -> list[Violation]:
    import jsonschema
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for

    cls = patterns.for_schemas(validator_for(schema, default=jsonschema.Draft202012Validator))
    validator = cls(schema, format_checker=cls.FORMAT_CHECKER)
    found: list[Violation] = []
    try:
        for error in validator.iter_errors(value):
            # Of an anyOf or oneOf, the branch that came closest says more than "none of them matches".
            deepest = best_match([error]) if error.context else error
            found.extend(_types_wanted(error) or _violations_of(deepest or error))
            if len(found) >= MAX_VIOLATIONS:
                break
    except Exception:  # a broken explanation must not break the score
        return found
    return found[:MAX_VIOLATIONS]


def _types_wanted(error: Any) -> list[Violation]:
    """An anyOf whose every branch fails on the type of the same value is one wrong type: "null or object"."""
    branches = list(error.context or [])
    if not branches or any(branch.validator != "type" or len(branch.relative_path) for branch in branches):
        return []
    wanted: list[str] = []
    for branch in branches:
        types = branch.validator_value
        wanted.extend([types] if isinstance(types, str) else types)
    return [Violation(pointers.from_keys(error.absolute_path), "type", wanted, error.message, error.instance)]


def _violations_of(error: Any) -> list[Violation]:
    pointer = pointers.from_keys(error.absolute_path)
    keyword, wanted = str(error.validator), error.validator_value
    instance = error.instance
    if keyword == "additionalProperties" and wanted is False and isinstance(instance, dict):
        known = error.schema.get("properties", {})
        extras = [key for key in instance if key not in known]
        return [Violation(pointers.join(pointer, key), keyword, key, error.message, instance[key]) for key in extras]
    if keyword == "required" and isinstance(instance, dict):
        # jsonschema reports one error per missing key; its message names the key first.
        missing = next((key for key in wanted if key not in instance and repr(key) in error.message), None)
        return [Violation(pointers.join(pointer, missing or ""), keyword, missing, error.message)]
    return [Violation(pointer, keyword, wanted, error.message, instance)]
