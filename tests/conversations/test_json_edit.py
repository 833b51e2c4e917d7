"""One place of a JSON text changes, and no other byte does."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.conversations import json_edit, strict_json
from qwenlab.conversations.json_edit import Literal, below, insert, keys_of, move, remove, set_value
from qwenlab.conversations.strict_json import NotJsonError

ODD = st.sampled_from(["a/b", "~", "", '"', "\\", "键"])
WORDS = ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-9999, 9999) | st.floats(-1e6, 1e6) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)
WHITE = st.text(" \t\n\r", max_size=3)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """JSON in one of the usual layouts, or with white space strewn in."""
    value = draw(VALUES)
    layout = draw(st.sampled_from(["line", "tight", "two", "tab", "crlf", "ascii", "strewn"]))
    if layout == "tight":
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if layout in ("two", "crlf"):
        text = json.dumps(value, ensure_ascii=False, indent=2)
        return text.replace("\n", "\r\n") if layout == "crlf" else text
    if layout == "tab":
        return json.dumps(value, ensure_ascii=False, indent="\t")
    if layout == "ascii":
        return json.dumps(value)
    text = json.dumps(value, ensure_ascii=False)
    if layout == "strewn":
        return "".join(draw(WHITE) + token + draw(WHITE) for token in re.findall(json_edit._TOKEN, text))
    return text


def places(value: Any, pointer: str = "") -> list[str]:
    found = [pointer]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, below(pointer, key))
    return found


def holder_of(value: Any, pointer: str) -> tuple[Any, Any]:
    *way, last = keys_of(pointer)
    for key in way:
        value = value[int(key) if isinstance(value, list) else key]
    return value, int(last) if isinstance(value, list) else last


def the_same(found: Any, expected: Any) -> bool:
    """Equal in value, type and order of keys."""
    return json.dumps(found) == json.dumps(expected)


@given(texts(), VALUES, st.data())
def test_set_value_changes_that_value_and_no_other_byte(text: str, value: Any, data: st.DataObject) -> None:
    before = strict_json.read(text)
    pointer = data.draw(st.sampled_from(places(before)))
    after = set_value(text, pointer, value)
    node = json_edit._way(json_edit.parse(text), pointer)[-1]
    assert after.startswith(text[: node.start])
    assert after.endswith(text[node.end :])
    written = after[node.start : len(after) - (len(text) - node.end)]
    assert the_same(json.loads(written), value)
    expected = deepcopy(before)
    if pointer:
        holder, key = holder_of(expected, pointer)
        holder[key] = value
    else:
        expected = value
    assert the_same(strict_json.read(after), expected)


@given(texts(), st.data())
def test_setting_what_stands_there_as_literal_changes_nothing(text: str, data: st.DataObject) -> None:
    pointer = data.draw(st.sampled_from(places(strict_json.read(text))))
    node = json_edit._way(json_edit.parse(text), pointer)[-1]
    assert set_value(text, pointer, Literal(text[node.start : node.end])) == text


@given(texts(), VALUES, WORDS, st.data())
def test_insert_and_remove_are_each_other_s_inverse(text: str, value: Any, word: str, data: st.DataObject) -> None:
    before = strict_json.read(text)
    holders = [at for at in places(before) if isinstance(_at(before, at), dict | list)]
    if not holders:
        return
    pointer = data.draw(st.sampled_from(holders))
    holder = _at(deepcopy(before), pointer)
    place = data.draw(st.integers(0, len(holder)))
    if isinstance(holder, dict):
        if word in holder:
            return
        expected: Any = dict([*list(holder.items())[:place], (word, value), *list(holder.items())[place:]])
        inside = below(pointer, word)
        after = insert(text, inside, value, at=place)
    else:
        expected = [*holder[:place], value, *holder[place:]]
        inside = below(pointer, place)
        after = insert(text, inside, value)
    assert the_same(_at(strict_json.read(after), pointer), expected)
    back = remove(after, inside)
    assert the_same(strict_json.read(back), before)
    if holder:  # the white space between empty brackets is not kept
        assert back == text


@given(texts(), st.data())
def test_remove_takes_out_one_member_and_every_other_literal_stays(text: str, data: st.DataObject) -> None:
    before = strict_json.read(text)
    pointer = data.draw(st.sampled_from(places(before)))
    if not pointer:
        with pytest.raises(IndexError):
            remove(text, pointer)
        return
    expected = deepcopy(before)
    holder, key = holder_of(expected, pointer)
    del holder[key]
    after = remove(text, pointer)
    assert the_same(strict_json.read(after), expected)
    # A subsequence of the old text: nothing was written anew.
    rest = iter(text)
    assert all(sign in rest for sign in after)


@given(texts(), st.integers(-3, 3), st.data())
def test_move_swaps_two_items_byte_for_byte(text: str, by: int, data: st.DataObject) -> None:
    before = strict_json.read(text)
    items = [at for at in places(before) if at and isinstance(holder_of(before, at)[0], list)]
    if not items:
        return
    pointer = data.draw(st.sampled_from(items))
    expected = deepcopy(before)
    holder, at = holder_of(expected, pointer)
    after = move(text, pointer, by)
    if not 0 <= at + by < len(holder):
        assert after == text
        return
    holder[at], holder[at + by] = holder[at + by], holder[at]
    assert the_same(strict_json.read(after), expected)
    assert sorted(after) == sorted(text)
    assert move(after, below(pointer.rpartition("/")[0], at + by), -by) == text


def _at(value: Any, pointer: str) -> Any:
    for key in keys_of(pointer):
        value = value[int(key) if isinstance(value, list) else key]
    return value


PRETTY = '{\n  "price": 1.50,\n  "parts": [\n    "lid"\n  ],\n  "none": {}\n}'


@pytest.mark.parametrize(
    ("text", "made", "expected"),
    [
        ('{"a": 1.50, "b": 2e3}', lambda text: set_value(text, "/b", Literal("7.00")), '{"a": 1.50, "b": 7.00}'),
        ('{"a":1,"b":[1]}', lambda text: insert(text, "/b/-", {"c": 2}), '{"a":1,"b":[1,{"c":2}]}'),
        ('{"a":1}', lambda text: insert(text, "/b", None), '{"a":1,"b":null}'),
        ('{ "a" : 1 }', lambda text: insert(text, "/b", [1, 2]), '{ "a" : 1, "b" : [1, 2] }'),
        ("[]", lambda text: insert(text, "/0", "你好"), '["你好"]'),
        (PRETTY, lambda text: insert(text, "/parts/0", "box"), PRETTY.replace('"lid"', '"box",\n    "lid"')),
        (PRETTY, lambda text: insert(text, "/none/x", 1), PRETTY.replace("{}", '{\n    "x": 1\n  }')),
        (PRETTY, lambda text: set_value(text, "/price", {"v": 1}), PRETTY.replace("1.50", '{\n    "v": 1\n  }')),
        (PRETTY, lambda text: insert(text, "/new", True, at=1), PRETTY.replace("1.50,", '1.50,\n  "new": true,')),
        (PRETTY, lambda text: remove(text, "/parts/0"), PRETTY.replace('[\n    "lid"\n  ]', "[]")),
        (PRETTY, lambda text: remove(text, "/none"), PRETTY.replace(',\n  "none": {}', "")),
    ],
)
def test_what_is_added_looks_like_what_stands_there(text: str, made: Any, expected: str) -> None:
    assert made(text) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: set_value('{"a": 1}', "/b", 1),
        lambda: set_value('{"a": 1}', "a", 1),
        lambda: set_value("[1]", "/01", 1),
        lambda: insert('{"a": 1}', "/a", 1),
        lambda: insert('{"a": 1}', "/a/b", 1),
        lambda: insert("[1]", "/3", 1),
        lambda: insert("[1]", "/²", 1),
        lambda: insert("[1]", "", 1),
        lambda: remove("[1]", ""),
        lambda: remove("[1]", "/1"),
        lambda: move('{"a": 1}', "/a", 1),
    ],
)
def test_place_that_is_not_there_is_refused(wrong: Any) -> None:
    with pytest.raises(IndexError):
        wrong()


@pytest.mark.parametrize("text", ["", "{", '{"a": 1, "a": 2}', "[NaN]", "\ufeff{}", "[" * 1000])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(NotJsonError):
        set_value(text, "", 1)


def test_large_text_is_edited_quickly() -> None:
    text = json.dumps({"long": "x\\" * 500_000, "list": list(range(20_000)), "end": 1})
    assert set_value(text, "/end", 2) == text[: -len("1}")] + "2}"
