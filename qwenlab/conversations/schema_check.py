"""Does an answer satisfy its JSON Schema, and if not, where and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from qwenlab.conversations import patterns, words


class SchemaCheck:
    """A compiled JSON Schema: quick to say yes, and in words why not.

    Raises:
        ValueError: when the schema itself is wrong.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        import jsonschema_rs

        self.schema = dict(schema)
        self._fast = jsonschema_rs.validator_for(self.schema)
        self._slow: Any = None

    def why_not(self, value: Any) -> list[dict[str, Any]]:
        """One entry per violation: pointer, keyword and what its sentence names; empty when valid."""
        if self._fast.is_valid(value):
            return []
        if self._slow is None:  # slow to import, and only needed for words
            from jsonschema.validators import validator_for

            self._slow = patterns.for_schemas(validator_for(self.schema))(self.schema)
        errors = sorted(
            (one for error in self._slow.iter_errors(value) for one in _meant(error)),
            key=lambda error: [str(step) for step in error.absolute_path],
        )
        return [_violation(error) for error in errors] or [{"pointer": "/", "keyword": "other", "message": "not valid"}]


def _meant(error: Any) -> list[Any]:
    """Where none of several alternatives fits: what is wrong with the only one of the value's type."""
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        return [error]
    wrong: dict[Any, list[Any]] = {}
    for inner in error.context:
        wrong.setdefault(inner.schema_path[0], []).append(inner)
    kinds = ("type", "const", "enum")
    meant = [found for found in wrong.values() if not any(one.validator in kinds and not one.path for one in found)]
    return [one for inner in meant[0] for one in _meant(inner)] if len(meant) == 1 else [error]


def _violation(error: Any) -> dict[str, Any]:
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path]
    wanted = error.validator_value
    found: dict[str, Any] = {
        "pointer": "/" + "/".join(steps),
        "keyword": error.validator if error.validator in words.SCHEMA else "other",
        "message": error.message,
        "value": _short(error.instance),
        "wanted": " / ".join(map(str, wanted))
        if error.validator == "type" and isinstance(wanted, list)
        else wanted
        if isinstance(wanted, str)
        else _short(wanted),
        "found": _kind(error.instance),
    }
    if error.validator == "required":
        found["missing"] = ", ".join(key for key in wanted if key not in error.instance)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        found["extra"] = ", ".join(key for key in error.instance if key not in known)
    return found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
