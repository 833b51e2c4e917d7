"""Reading one RFC 8259 value and nothing less: what `json.loads` lets through is refused here."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 200
"""Deepest nesting that is read. RFC 8259 leaves the limit to the reader; without one, hostile text ends in a crash."""
MAX_DIGITS = 1000
"""Longest integer that is read; longer ones cannot even be printed again by default."""

_BRACKET_OR_STRING = re.compile(r'[\[{]|[\]}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class NotStrict(ValueError):  # noqa: N818 - a finding about the text, not a failure of the program
    """The text is not one strict JSON value; `flag` says which trap it fell into, "" for plain bad syntax."""

    def __init__(self, flag: str = "") -> None:
        super().__init__(flag or "not JSON")
        self.flag = flag


def parse_strict(text: str) -> Any:
    """Return the one RFC 8259 value that `text` consists of.

    Only JSON white space may stand around it. Keys must be unique, numbers finite, strings free of lone
    surrogates (they cannot be written as UTF-8), nesting at most `MAX_DEPTH`.

    Raises:
        NotStrict: with the flag "duplicate_keys", "not_a_number", "number_too_large", "lone_surrogate",
            "too_deep", "byte_order_mark" or "".
    """
    if text.startswith("\ufeff"):
        raise NotStrict("byte_order_mark")
    if depth(text) > MAX_DEPTH:
        raise NotStrict("too_deep")
    try:
        value = _DECODER.decode(text)
    except NotStrict:
        raise
    except ValueError as error:
        raise NotStrict from error
    except RecursionError as error:  # the caller stands deep in the stack already
        raise NotStrict("too_deep") from error
    if _SURROGATE.search(text) and not _encodable(value):
        raise NotStrict("lone_surrogate")
    return value


def depth(text: str) -> int:
    """Deepest nesting of brackets outside strings, in one pass over the text."""
    level = deepest = 0
    for match in _BRACKET_OR_STRING.finditer(text):
        sign = match[0][0]
        if sign in "[{":
            level += 1
            deepest = max(deepest, level)
        elif sign in "]}":
            level -= 1
    return deepest


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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict("duplicate_keys")
    return found


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise NotStrict("number_too_large")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # 1e999: grammar allows it, no double can hold it
        raise NotStrict("number_too_large")
    return number


def _constant(name: str) -> Any:
    raise NotStrict("not_a_number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant)
