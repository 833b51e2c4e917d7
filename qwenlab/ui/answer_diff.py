"""How answers side by side differ: value by value where they are JSON, word by word where they are text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from qwenlab.evals import pointer as pointers
from qwenlab.evals.fields import FieldScore
from qwenlab.evals.pointer import MISSING
from qwenlab.ui.judging import Judgement

Mark = Literal["same", "differs", "missing"]
MOST_WORDS = 2000
"""Longer texts are not compared word by word: it would take seconds."""
ALIKE = 0.25
"""Share of equal words below which marking the differing ones would mark everything."""

_WORDS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Value:
    """One value in one column.

    Attributes:
        value: the JSON value; MISSING where there is none.
        score: how it compares with what was expected; None when nothing was.
    """

    value: Any
    score: FieldScore | None = None


@dataclass(frozen=True)
class Row:
    """One place in the answers, and what each column has there; None for a column that could not be read.

    Attributes:
        expected: MISSING where nothing is known or nothing was expected.
    """

    pointer: str
    expected: Any
    values: tuple[Value | None, ...]


def rows(judgements: Sequence[Judgement | None], alike: bool = False) -> list[Row]:
    """The places where a value is wrong, or where the columns that can be read do not hold the same.

    Args:
        judgements: one per column; None for one without an answer.
        alike: the other places instead.
    """
    tables = [_values(one) if one is not None and one.reading.parsed else None for one in judgements]
    order = dict.fromkeys(pointer for table in tables if table is not None for pointer in table)
    found = []
    for pointer in order:
        values = tuple(None if table is None else table.get(pointer, Value(MISSING)) for table in tables)
        there = [one for one in values if one is not None]
        wrong = any(one.score is not None and not one.score.ok for one in there)
        differs = wrong or any(not _equal(one.value, there[0].value) for one in there[1:])
        if differs != alike:
            found.append(Row(pointer, _expected(there), values))
    return found


def _values(found: Judgement) -> Mapping[str, Value]:
    """Pointer -> value, in the order of the answer; by the fields that are compared where an answer is expected."""
    if found.fields is None:
        return {pointer: Value(value) for pointer, value in leaves(found.reading.value)}
    return {
        one.pointer: Value(MISSING if one.code in ("missing", "unreadable") else one.actual, one)
        for one in found.fields
    }


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, with its place; an empty object or list is one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, pointers.join(pointer, key))
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from leaves(inner, pointers.join(pointer, at))
    else:
        yield pointer, value


def _equal(left: Any, right: Any) -> bool:
    if left is MISSING or right is MISSING:
        return left is right
    return type(left) is type(right) and left == right


def _expected(values: Sequence[Value]) -> Any:
    scores = [one.score for one in values if one.score is not None]
    if not scores or scores[0].code == "unexpected":
        return MISSING
    return scores[0].expected


# --- word by word ----------------------------------------------------------------------------------------


def against(expected: str, text: str) -> list[tuple[Mark, str]]:
    """The text in pieces: as expected, not so, and what is missing in it."""
    return list(_against(expected, text))


@lru_cache(maxsize=256)
def _against(expected: str, text: str) -> tuple[tuple[Mark, str], ...]:
    left, right = _WORDS.findall(expected), _WORDS.findall(text)
    matcher = _matcher(left, right)
    if matcher is None:
        return (("same", text),)
    found: list[tuple[Mark, str]] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            found.append(("same", "".join(right[c:d])))
            continue
        if b > a and "".join(left[a:b]).strip():
            found.append(("missing", "".join(left[a:b])))
        if d > c:
            found.append(("differs", "".join(right[c:d])))
    return tuple(found)


def among(texts: Sequence[str]) -> list[list[tuple[Mark, str]]]:
    """Each text in pieces: what all the others say too, and what they do not."""
    return [list(pieces) for pieces in _among(tuple(texts))]


@lru_cache(maxsize=128)
def _among(texts: tuple[str, ...]) -> tuple[tuple[tuple[Mark, str], ...], ...]:
    words = [_WORDS.findall(text) for text in texts]
    shared = [[True] * len(one) for one in words]
    for at, left in enumerate(words):
        for other in range(at + 1, len(words)):
            matcher = _matcher(left, words[other])
            if matcher is None:
                continue
            for kind, a, b, c, d in matcher.get_opcodes():
                if kind != "equal":
                    shared[at][a:b] = [False] * (b - a)
                    shared[other][c:d] = [False] * (d - c)
    return tuple(tuple(_pieces(one, equal)) for one, equal in zip(words, shared, strict=True))


def _matcher(left: list[str], right: list[str]) -> difflib.SequenceMatcher[str] | None:
    """None where a comparison would take too long or mark everything."""
    if max(len(left), len(right)) > MOST_WORDS:
        return None
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    shared = sum(not word.isspace() for a, _, n in matcher.get_matching_blocks() for word in left[a : a + n])
    spoken = sum(not word.isspace() for word in (*left, *right))
    return matcher if 2 * shared >= ALIKE * spoken else None


def _pieces(words: list[str], equal: list[bool]) -> Iterator[tuple[Mark, str]]:
    start = 0
    for at in range(1, len(words) + 1):
        if at == len(words) or equal[at] != equal[start]:
            yield ("same" if equal[start] else "differs"), "".join(words[start:at])
            start = at
