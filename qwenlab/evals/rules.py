"""How one value of an answer is judged: the rule a suite names for a field, and what it accepts."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qwenlab.conversations import patterns
from qwenlab.conversations.patterns import PatternError
from qwenlab.evals.bilingual import ReasonError, Words

RuleName = Literal["exact", "text", "number", "date", "enum", "any_of", "regex", "list", "set", "ignore"]
Code = Literal[
    "equal", "differs", "wrong_type", "number_as_string", "not_null", "null", "not_a_date", "not_allowed",
    "pattern", "order", "outside_tolerance", "missing", "unexpected", "unreadable",
]  # fmt: skip
"""Why a field got its score; the words for it are in `words`."""

_TRIMMED = " \t\r\n\"'`“”‘’「」『』《》.,;:!?…。，、；：！？·~-—"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Rule(BaseModel):
    """The rule of one field.

    exact: the same JSON value (1 equals 1.0, true does not equal 1). text: equal after NFKC (full-width forms),
    casefold, collapsed white space, and without quotes and punctuation around it. number: at most `tolerance`
    apart; a number written as a string is wrong. date: the same calendar day, as an ISO date or date-time.
    enum: exact, out of `values` where given. any_of: exact, or one of `values`. regex: a string that `pattern`
    matches as a whole. list: the same items in the same order. set: the same items in any order (as often).
    ignore: not scored. Items of list and set are judged by `items`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: RuleName = "exact"
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    values: list[Any] | None = None
    pattern: str | None = None
    items: Rule | None = None
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    critical: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"rule": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settings_belong(self) -> Rule:
        belongs = {
            "tolerance": ("number",), "values": ("enum", "any_of"), "pattern": ("regex",), "items": ("list", "set"),
        }  # fmt: skip
        for setting, names in belongs.items():
            if setting in self.model_fields_set and self.rule not in names:
                raise ReasonError(
                    f'"{setting}" belongs to rule {" or ".join(names)}, not to {self.rule}',
                    f"“{setting}”属于规则 {' 或 '.join(names)}，不能用于 {self.rule}",
                )
        if self.rule == "any_of" and not self.values:
            raise ReasonError('rule any_of needs "values"', "规则 any_of 需要“values”")
        if self.rule == "regex":
            if self.pattern is None:
                raise ReasonError('rule regex needs "pattern"', "规则 regex 需要“pattern”")
            try:
                patterns.compiled(self.pattern)
            except PatternError as error:
                en, zh = error.what.rstrip("."), error.say("zh")[0].rstrip("。")
                raise ReasonError(f"the pattern cannot be used: {en}", f"“pattern”无法使用：{zh}") from error
        return self

    def judge(self, expected: Any, actual: Any) -> Code:
        """Compare two JSON values; "equal" or why not."""
        code = _JUDGES[self.rule](self, expected, actual)
        if code == "equal":
            return code
        if expected is None:
            return "not_null"
        if actual is None:
            return "null"
        if _is_number(expected) and isinstance(actual, str):
            return "number_as_string" if read_number(actual) == _exact(expected) else "wrong_type"
        return code


EXACT = Rule()


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: 1 equals 1.0, true never equals 1, key order does not matter."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def normalize_text(text: str) -> str:
    """NFKC, casefold, one space between words, no quotes or punctuation around; never emptied by that."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = " ".join(folded.split())
    return plain.strip(_TRIMMED) or plain


def read_number(text: str) -> Fraction | None:
    """The number a person would read in a string ("1,299.00", "１２"), or None."""
    plain = unicodedata.normalize("NFKC", text).strip().replace(",", "")
    return Fraction(plain) if len(plain) < 400 and _NUMBER.fullmatch(plain) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exact(number: int | float) -> Fraction:
    """The decimal number as it was written, so that 1.01 and 1.00 are 0.01 apart and not a hair more."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if _is_number(value) else type(value).__name__


def _judge_exact(rule: Rule, expected: Any, actual: Any) -> Code:
    if same(expected, actual):
        return "equal"
    return "differs" if _type_of(expected) == _type_of(actual) else "wrong_type"


def _judge_text(rule: Rule, expected: Any, actual: Any) -> Code:
    if isinstance(expected, str) and isinstance(actual, str):
        return "equal" if normalize_text(expected) == normalize_text(actual) else "differs"
    return _judge_exact(rule, expected, actual)


def _judge_number(rule: Rule, expected: Any, actual: Any) -> Code:
    if not (_is_number(expected) and _is_number(actual)):
        return _judge_exact(rule, expected, actual)
    if not all(math.isfinite(value) for value in (expected, actual) if isinstance(value, float)):
        return "differs"
    if abs(_exact(expected) - _exact(actual)) <= _exact(rule.tolerance):
        return "equal"
    return "outside_tolerance" if rule.tolerance else "differs"


def read_date(value: Any) -> date | None:
    """The calendar day of an ISO date (2024-03-17) or date-time, or None."""
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        return date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value).date()
    except ValueError:
        return None


def _judge_date(rule: Rule, expected: Any, actual: Any) -> Code:
    wanted = read_date(expected)
    if wanted is None:
        return _judge_exact(rule, expected, actual)
    given = read_date(actual)
    if given is None:
        return "not_a_date" if isinstance(actual, str) else "wrong_type"
    return "equal" if given == wanted else "differs"


def _judge_enum(rule: Rule, expected: Any, actual: Any) -> Code:
    code = _judge_exact(rule, expected, actual)
    if code == "differs" and rule.values and not any(same(value, actual) for value in rule.values):
        return "not_allowed"
    return code


def _judge_any_of(rule: Rule, expected: Any, actual: Any) -> Code:
    if any(same(value, actual) for value in rule.values or []):
        return "equal"
    return _judge_exact(rule, expected, actual)


def _judge_regex(rule: Rule, expected: Any, actual: Any) -> Code:
    if expected is None or not isinstance(actual, str):
        return _judge_exact(rule, expected, actual)
    return "equal" if patterns.matches(rule.pattern or "", actual) else "pattern"


def _judge_list(rule: Rule, expected: Any, actual: Any) -> Code:
    if not (isinstance(expected, list) and isinstance(actual, list)):
        return _judge_exact(rule, expected, actual)
    item = rule.items or EXACT
    pairs = zip(expected, actual, strict=False)
    if len(expected) == len(actual) and all(item.judge(left, right) == "equal" for left, right in pairs):
        return "equal"
    return "order" if _pairs_up(item, expected, actual) else "differs"


def _judge_set(rule: Rule, expected: Any, actual: Any) -> Code:
    if not (isinstance(expected, list) and isinstance(actual, list)):
        return _judge_exact(rule, expected, actual)
    return "equal" if _pairs_up(rule.items or EXACT, expected, actual) else "differs"


def _pairs_up(item: Rule, expected: Sequence[Any], actual: Sequence[Any]) -> bool:
    """Whether every expected item finds a partner of its own (augmenting paths: tolerances may overlap)."""
    if len(expected) != len(actual):
        return False
    fits = [[right for right, value in enumerate(actual) if item.judge(left, value) == "equal"] for left in expected]
    owner: dict[int, int] = {}

    def place(left: int, tried: set[int]) -> bool:
        for right in fits[left]:
            if right not in tried:
                tried.add(right)
                if right not in owner or place(owner[right], tried):
                    owner[right] = left
                    return True
        return False

    return all(place(left, set()) for left in range(len(expected)))


def _judge_ignore(rule: Rule, expected: Any, actual: Any) -> Code:
    return "equal"


_JUDGES = {
    "exact": _judge_exact,
    "text": _judge_text,
    "number": _judge_number,
    "date": _judge_date,
    "enum": _judge_enum,
    "any_of": _judge_any_of,
    "regex": _judge_regex,
    "list": _judge_list,
    "set": _judge_set,
    "ignore": _judge_ignore,
}


def unsuited(rule: Rule, expected: Any) -> Words | None:
    """Why `expected` cannot be judged by `rule`, in words that follow the pointer; None when it can."""
    if expected is None:
        return None
    if rule.rule == "number" and not _is_number(expected):
        lack = Words("no number", "不是数字")
    elif rule.rule == "date" and read_date(expected) is None:
        lack = Words("no ISO date such as 2024-03-17", "不是 2024-03-17 这样的标准日期")
    elif rule.rule in ("list", "set") and not isinstance(expected, list):
        lack = Words("no list", "不是列表")
    elif rule.rule == "text" and not isinstance(expected, str):
        lack = Words("no text", "不是文本")
    elif rule.rule == "enum" and rule.values and not any(same(value, expected) for value in rule.values):
        lack = Words("not among its values", "不在它的取值之中")
    else:
        return None
    return Words(
        f"has rule {rule.rule}, but the expected value is {lack.en}", f"使用规则 {rule.rule}，但期望值{lack.zh}"
    )
