"""Reads exactly one RFC 8259 value: unique keys, no NaN or Infinity, nothing before or after it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

MAX_DEPTH = 200
"""Deepest nesting that is read. RFC 8259 leaves the limit to the reader; without one, hostile text ends in a crash."""
MAX_DIGITS = 1000
"""Longest integer that is read; longer ones cannot even be printed again by default."""

_BRACKET_OR_STRING = re.compile(r'[\[{]|[\]}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


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
    found = dict(pairs)
    if len(found) != len(pairs):  # json.loads would silently keep the last one
        raise NotJsonError("json_duplicate_key", key=Counter(key for key, _ in pairs).most_common(1)[0][0])
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise NotJsonError("json_number")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # 1e999: the grammar allows it, no double can hold it
        raise NotJsonError("json_number")
    return number


def _no_constant(name: str) -> Any:
    raise NotJsonError("json_constant", name=name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_int=_integer, parse_float=_float, parse_constant=_no_constant
)

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

    Only JSON white space may stand around it. Keys must be unique, numbers finite, strings free of lone
    surrogates (they cannot be written as UTF-8), nesting at most `MAX_DEPTH`.

    Raises:
        NotJsonError: saying why it is none, with line and column where there is a place.
    """
    if not text.strip(" \t\n\r"):
        raise NotJsonError("json_empty")
    if text.startswith("\ufeff"):
        raise NotJsonError("json_bom")
    if too_deep(text):
        raise NotJsonError("json_deep")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJsonError(reason(error), line=error.lineno, column=error.colno) from error
    except RecursionError as error:  # the caller stands deep in the stack already
        raise NotJsonError("json_deep") from error
    if _SURROGATE.search(text) and not _encodable(value):
        raise NotJsonError("json_surrogate")
    return value


def pretty(text: str) -> str:
    """The same value with an indent of two, non-ASCII text as it is. Raises NotJsonError."""
    return json.dumps(read(text), ensure_ascii=False, indent=2)


def too_deep(text: str) -> bool:
    """Whether brackets outside strings nest deeper than `MAX_DEPTH`."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    level = 0
    for match in _BRACKET_OR_STRING.finditer(text):
        sign = match[0][0]
        if sign in "[{":
            level += 1
            if level > MAX_DEPTH:
                return True
        elif sign in "]}":
            level -= 1
    return False


def closing_bracket(text: str, start: int) -> int | None:
    """Index just past the bracket that closes the one at `start`, strings skipped; None when it never closes."""
    level = 0
    for match in _BRACKET_OR_STRING.finditer(text, start):
        sign = match[0][0]
        if sign in "[{":
            level += 1
        elif sign in "]}":
            level -= 1
            if level == 0:
                return match.end()
    return None


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
