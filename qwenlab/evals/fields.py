"""Comparing an answer with what was expected, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwenlab.evals import pointer as pointers
from qwenlab.evals.pointer import EVERY, MISSING
from qwenlab.evals.rules import EXACT, Code, Rule


@dataclass(frozen=True)
class FieldScore:
    """How one value of an answer compares with the expected one.

    Attributes:
        pointer: where it stands (RFC 6901).
        expected, actual: JSON values; None also where there is none, which `code` tells
            ("unexpected": nothing was expected; "missing" and "unreadable": nothing was there).
        ok: whether it counts as right.
        weight: its share in the field accuracy.
        critical: whether a mistake here is fatal to the case.
        code: why; `words.explain` says it in a sentence.
        tolerance: of a number rule, for the explanation.
    """

    pointer: str
    expected: Any
    actual: Any
    ok: bool
    weight: float = 1.0
    critical: bool = False
    code: Code = "equal"
    tolerance: float = 0.0


def compare(
    expected: Any,
    actual: Any,
    rules: Mapping[str, Rule],
    accept: Mapping[str, Sequence[Any]] | None = None,
) -> list[FieldScore]:
    """Score every value of `expected` that is not ignored, and every key that was not asked for.

    A value that no rule names is compared with `exact`; a list without a rule is compared item by item. In the
    pointer of a rule, "*" stands for every item of a list. A key that is expected to be null must be there,
    unless its parent is expected to be null or absent. Where an expected null has rules below it, those fields
    are what is compared (so a document has the same fields whether its amount was said or not). A key beyond the
    expected ones is one wrong field, whatever stands below it.

    Args:
        accept: per pointer, values that are as right as the expected one.
    """
    return list(_Comparison(rules, accept or {}).walk("", expected, actual))


def unreadable(expected: Any, rules: Mapping[str, Rule]) -> list[FieldScore]:
    """The fields of an answer that could not be read: all of them wrong."""
    fields = _Comparison(rules, {}).walk("", expected, MISSING)
    return [replace(field, ok=False, code="unreadable", actual=None) for field in fields]


class _Comparison:
    def __init__(self, rules: Mapping[str, Rule], accept: Mapping[str, Sequence[Any]]) -> None:
        self.rules = rules
        self.accept = accept
        self.patterns = [(pointers.split(name), rule) for name, rule in rules.items() if f"/{EVERY}" in name]

    def rule_at(self, pointer: str) -> Rule | None:
        rule = self.rules.get(pointer)
        if rule is not None or not self.patterns:
            return rule
        keys = pointers.split(pointer)
        return next((rule for pattern, rule in self.patterns if _matches(pattern, keys)), None)

    def walk(self, pointer: str, expected: Any, actual: Any, parent_null: bool = False) -> Iterator[FieldScore]:
        scores = list(self._against(pointer, expected, actual, parent_null))
        if pointer in self.accept and not all(score.ok for score in scores):
            for value in self.accept[pointer]:
                others = list(self._against(pointer, value, actual, parent_null))
                if others and all(score.ok for score in others):
                    yield from others
                    return
        yield from scores

    def _against(self, pointer: str, expected: Any, actual: Any, parent_null: bool) -> Iterator[FieldScore]:
        rule = self.rule_at(pointer)
        if rule is not None and rule.rule == "ignore":
            return
        below = self._keys_below(pointer) if expected is None and rule is None else []
        if below:
            yield from self._null_with_rules_below(pointer, below, actual, parent_null)
        elif rule is None and isinstance(expected, dict) and expected:
            yield from self._object(pointer, expected, actual)
        elif rule is None and isinstance(expected, list) and expected:
            yield from self._list(pointer, expected, actual)
        else:
            yield self._leaf(pointer, rule or EXACT, expected, actual, parent_null)

    def _object(self, pointer: str, expected: dict[str, Any], actual: Any) -> Iterator[FieldScore]:
        given = actual if isinstance(actual, dict) else {}
        for key, value in expected.items():
            yield from self.walk(pointers.join(pointer, key), value, given.get(key, MISSING))
        yield from self._extras(pointer, expected, given)

    def _list(self, pointer: str, expected: list[Any], actual: Any) -> Iterator[FieldScore]:
        given = actual if isinstance(actual, list) else []
        for index, value in enumerate(expected):
            item = given[index] if index < len(given) else MISSING
            yield from self.walk(pointers.join(pointer, index), value, item)
        for index in range(len(expected), len(given)):
            yield from self._extra(pointers.join(pointer, index), given[index])

    def _null_with_rules_below(
        self, pointer: str, keys: list[str], actual: Any, parent_null: bool
    ) -> Iterator[FieldScore]:
        """Expected null, but the suite has rules for `pointer/key`: those fields are expected to be null."""
        for key in keys:
            if isinstance(actual, dict):
                value, below_null = actual.get(key, MISSING), True
            elif actual is None or actual is MISSING:  # a missing key is forgiven only below a null or absent one
                value, below_null = actual, actual is None or parent_null
            else:
                value, below_null = actual, True
            yield from self.walk(pointers.join(pointer, key), None, value, below_null)
        if isinstance(actual, dict):
            yield from self._extras(pointer, keys, actual)

    def _keys_below(self, pointer: str) -> list[str]:
        """Keys directly below `pointer` that rules name, in the order of the suite."""
        if not self.rules:
            return []
        start = pointer + "/"
        found = (pointers.split(name[len(pointer) :])[0] for name in self.rules if name.startswith(start))
        return [key for key in dict.fromkeys(found) if key != EVERY]

    def _extras(self, pointer: str, expected: Any, given: dict[str, Any]) -> Iterator[FieldScore]:
        for key, value in given.items():
            if key not in expected:
                yield from self._extra(pointers.join(pointer, key), value)

    def _extra(self, pointer: str, value: Any) -> Iterator[FieldScore]:
        rule = self.rule_at(pointer) or EXACT
        if rule.rule != "ignore":
            yield FieldScore(pointer, None, value, False, rule.weight, rule.critical, "unexpected")

    def _leaf(self, pointer: str, rule: Rule, expected: Any, actual: Any, parent_null: bool) -> FieldScore:
        if actual is MISSING:
            ok = expected is None and parent_null
            code: Code = "equal" if ok else "missing"
            return FieldScore(pointer, expected, None, ok, rule.weight, rule.critical, code)
        code = rule.judge(expected, actual)
        return FieldScore(pointer, expected, actual, code == "equal", rule.weight, rule.critical, code, rule.tolerance)


def _matches(pattern: list[str], keys: list[str]) -> bool:
    return len(pattern) == len(keys) and all(
        want == key or (want == EVERY and key.isascii() and key.isdigit())
        for want, key in zip(pattern, keys, strict=True)
    )
