"""YAML changed in place says exactly what was wanted, and leaves comments and order elsewhere alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.evals.bilingual import ReasonError
from qwenlab.evals.yaml_edit import rewritten
from qwenlab.evals.yaml_text import entries, flow, parse_yaml

SUITE = """\
# the head
name: mine   # its name
system: >-
  Be brief
  and kind.
fields:
  # amounts matter
  /amount: {rule: number, tolerance: 0.01}   # a cent
  /intent: enum
thresholds:
cases:
- id: c1   # first
  prompt: |
    two
    lines
  expected: {intent: refund, amount: 5}

# between
- {id: c2, prompt: q, expected: {intent: other, amount: 1}}
language: en
# the end"""


def test_only_the_changed_lines_change() -> None:
    content = parse_yaml(SUITE)
    content["fields"]["/amount"]["tolerance"] = 0.5
    content["fields"]["/new"] = {"rule": "text"}
    content["cases"][0]["prompt"] = "other"
    content["cases"].insert(1, {"id": "c3", "prompt": "x: y", "expected": None})
    content["thresholds"] = {"usable": 0.9}
    del content["language"]
    text = rewritten(SUITE, content)
    assert parse_yaml(text) == content
    for kept in (
        "# the head",
        "name: mine   # its name",
        "  # amounts matter",
        "0.5}   # a cent",
        "# between",
        "# the end",
    ):
        assert kept in text
    assert "- id: c1   # first" in text
    assert "  Be brief\n  and kind." in text


CHANGES: list[tuple[str, str, Any]] = [
    ("a flow list gets longer", "a: [1, 2] # x\nb: 3\n", {"a": [1, 2, 3], "b": 3}),
    ("a flow list loses all", "a: [1, 2] # x\nb: 3\n", {"a": [], "b": 3}),
    ("a block list loses all", "a:\n- 1\n- 2\nb: 3\n", {"a": [], "b": 3}),
    ("a block list loses the first", "a:\n- 1\n- 2 # two\nb: 3\n", {"a": [2], "b": 3}),
    ("a block mapping becomes empty", "a:\n  x: 1\nb: 3\n", {"a": {}, "b": 3}),
    ("a value becomes a mapping", "a: 1 # one\n", {"a": {"x": [None, True]}}),
    ("nothing becomes something", "a:\nb: 2\n", {"a": "x", "b": 2}),
    ("the first key goes", "a: 1\nb: 2\n", {"b": 2}),
    ("the first key of an item goes", "- a: 1\n  b: 2\n- 3\n", [{"b": 2}, 3]),
    ("a folded text is replaced", "a: >\n  one\n  two\n\nb: 1\n", {"a": "x", "b": 1}),
    ("no newline at the end", "a: 1", {"a": 1, "b": 2}),
    ("anchors", "a: &x {k: 1}\nb: *x\n", {"a": {"k": 1}, "b": {"k": 2}}),
    ("windows line ends", "a: 1\r\nb: 2\r\n", {"a": 3, "b": 2}),
    ("a dash alone on its line", "a:\n-\n  x: 1\n- 2\n", {"a": [2]}),
    ("one is not 1.0 and not true", "a: 1\n", {"a": True}),
]


@pytest.mark.parametrize(("text", "after"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_it_says_what_was_wanted(text: str, after: Any) -> None:
    assert json.dumps(parse_yaml(rewritten(text, after))) == json.dumps(after)


TEXT = st.text(max_size=12).filter(lambda text: text.isprintable() or text.isspace() or not text)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
    | st.sampled_from(["no", "null", "~", "1e3", "0123", "2024-03-17", "- x", "a: b", "#", "*a", "&a", "|"])
    | st.sampled_from(["\u2028", "\x85"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | st.sampled_from(["a", "b"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
MAPPING = st.dictionaries(st.sampled_from(["a", "b", "c", "/x/*/y"]), VALUE, min_size=1)


@settings(max_examples=200, deadline=None)
@given(VALUE)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.dumps(parse_yaml(flow(value))) == json.dumps(value)
    assert json.dumps(parse_yaml(entries({"k": value}))) == json.dumps({"k": value})


@settings(max_examples=300, deadline=None)
@given(MAPPING, MAPPING, st.booleans())
def test_any_mapping_is_turned_into_any_other(before: dict[str, Any], after: dict[str, Any], by_hand: bool) -> None:
    text = entries(before)
    if by_hand:
        text = yaml.safe_dump(before, allow_unicode=True, default_flow_style=False)
        try:
            parse_yaml(text)
        except ReasonError:  # what another program writes and this reader refuses
            return
    found = parse_yaml(rewritten(text, after))
    assert json.dumps(found, sort_keys=True) == json.dumps(after, sort_keys=True)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [{','.join([f'*{before}'] * 9)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]", "a: !!timestamp 2001-01-01", "a: !!binary aGk=", "a: !!set {x}", "a: !!python/name:os.system x",
        "a: 1e999", "a: !!float .nan", "a: !!float .inf", "? [a]\n: b", "[" * 5000, "a: [" * 150,
        BOMB,
        'a: "\\ud800"', "a: \x00", "a: !!int x", "a: !!bool maybe", "%YAML 9.9\n---\na: 1", "a: 1\n---\nb: 2", "<<: *x",
        "a: " + "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_json_or_a_bomb_is_refused_in_words(text: str) -> None:
    with pytest.raises(ReasonError) as caught:
        parse_yaml(text)
    assert caught.value.words.en
    assert caught.value.words.zh
