"""Reads exactly one RFC 8259 value: unique keys, no NaN or Infinity, nothing before or after it."""

from __future__ import annotations

import json
from typing import Any


class NotJsonError(ValueError):
    """The text is not one JSON value.

    Attributes:
        code: which sentence of `words` says it.
        values: what that sentence names, such as line and column.
    """

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:  # json.loads would silently keep the last one
            raise NotJsonError("json_duplicate_key", key=key)
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise NotJsonError("json_constant", name=name)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)

REASONS = (
    ("Expecting ',' delimiter", "json_comma"),
    ("Expecting ':' delimiter", "json_colon"),
    ("Expecting property name", "json_key"),
    ("Illegal trailing comma", "json_trailing_comma"),
    ("Unterminated string", "json_open_string"),
    ("Invalid control character", "json_control"),
    ("Invalid \\", "json_escape"),
    ("Extra data", "json_extra"),
    ("Expecting value", "json_value"),
)


def reason(error: json.JSONDecodeError) -> str:
    """The code in `words` for what Python's reader says."""
    return next((code for start, code in REASONS if error.msg.startswith(start)), "json_value")


def read(text: str) -> Any:
    """Return the one value that `text` is.

    Raises:
        NotJsonError: saying why it is none, with line and column where there is a place.
    """
    if not text.strip(" \t\n\r"):
        raise NotJsonError("json_empty")
    if text.startswith("\ufeff"):
        raise NotJsonError("json_bom")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(reason(error), line=error.lineno, column=error.colno) from error
    except RecursionError as error:
        raise NotJsonError("json_deep") from error
    except NotJsonError:
        raise
    except ValueError as error:  # a number with more digits than Python converts
        raise NotJsonError("json_number") from error


def pretty(text: str) -> str:
    """The same value with an indent of two, non-ASCII text as it is. Raises NotJsonError."""
    return json.dumps(read(text), ensure_ascii=False, indent=2)
