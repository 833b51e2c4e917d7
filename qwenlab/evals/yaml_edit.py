"""Changing a YAML text so that it says something else, while comments, order and style elsewhere stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import yaml

from qwenlab.evals.bilingual import ReasonError
from qwenlab.evals.yaml_text import Loader, entries, flow, parse_yaml


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _ByLinesError(Exception):
    """A part that cannot be changed line by line; it is written anew as a whole."""


def rewritten(text: str, after: Mapping[str, Any] | list[Any]) -> str:
    """The text of a YAML mapping or list, changed as little as makes it say `after` (JSON values).

    Where it is too twisted for that (anchors, merged keys), all of it is written anew and its comments are lost.

    Raises:
        ReasonError: when the text cannot be read.
    """
    before = parse_yaml(text)
    if _same(before, after):
        return text
    root = yaml.compose(text, Loader=Loader)
    if isinstance(before, dict | list) and root is not None and "\r" not in text:
        changed = text
        for edit in sorted(_edits(text, root, before, after), key=lambda edit: edit.start, reverse=True):
            changed = changed[: edit.start] + edit.text + changed[edit.end :]
        try:
            if _same(parse_yaml(changed), after):
                return changed
        except ReasonError:
            pass
    return entries(after) if isinstance(after, Mapping) else "".join(f"- {flow(item)}\n" for item in after)


def _same(left: Any, right: Any) -> bool:
    return _canonical(left) == _canonical(right)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _edits(text: str, node: yaml.Node, before: Any, after: Any) -> list[_Edit]:
    if _same(before, after):
        return []
    try:
        if isinstance(node, yaml.MappingNode) and isinstance(after, Mapping) and after:
            return list(_in_mapping(text, node, before, after))
        if isinstance(node, yaml.SequenceNode) and isinstance(after, list) and after:
            return list(_in_list(text, node, before, after))
    except _ByLinesError:
        pass
    return [_replaced(text, node, after)]


def _in_mapping(
    text: str, node: yaml.MappingNode, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[_Edit]:
    if node.flow_style and before.keys() != after.keys():
        raise _ByLinesError
    for key, value in node.value:
        if key.value in after:
            yield from _edits(text, value, before[key.value], after[key.value])
        else:
            yield _cut(text, key, value)
    new = {key: value for key, value in after.items() if key not in before}
    if new:
        column = node.value[0][0].start_mark.column
        yield _added(text, _line_end(text, _end(node)), entries(new, " " * column))


def _in_list(text: str, node: yaml.SequenceNode, before: Sequence[Any], after: Sequence[Any]) -> Iterator[_Edit]:
    if node.flow_style:
        if len(before) != len(after):
            raise _ByLinesError
        for item, old, new in zip(node.value, before, after, strict=True):
            yield from _edits(text, item, old, new)
        return
    dash = " " * node.start_mark.column + "- "
    old_items, new_items = list(map(_canonical, before)), list(map(_canonical, after))
    for kind, a, b, c, d in SequenceMatcher(None, old_items, new_items, autojunk=False).get_opcodes():
        paired = min(b - a, d - c)
        if kind != "equal":
            for at in range(paired):
                yield from _edits(text, node.value[a + at], before[a + at], after[c + at])
            for at in range(a + paired, b):
                yield _cut(text, node.value[at], node.value[at], dash.strip())
            if c + paired < d:
                lines = "".join(f"{dash}{flow(value)}\n" for value in after[c + paired : d])
                here = a + paired
                start = _line_end(text, _end(node.value[here - 1])) if here else _line_start(text, node.value[0])
                yield _added(text, start, lines)


def _replaced(text: str, node: yaml.Node, after: Any) -> _Edit:
    start, end = node.start_mark.index, _end(node)
    new = flow(after)
    if start == end:  # "key:" with nothing behind it
        return _Edit(start, end, f" {new}")
    return _Edit(start, end, new + ("\n" if text[end - 1] == "\n" else ""))


def _cut(text: str, first: yaml.Node, last: yaml.Node, before: str = "") -> _Edit:
    """Take out the lines of an entry, with its dash where it has one."""
    start = _line_start(text, first)
    if text[start : first.start_mark.index].strip() != before:
        raise _ByLinesError
    return _Edit(start, _line_end(text, _end(last)), "")


def _added(text: str, at: int, lines: str) -> _Edit:
    return _Edit(at, at, lines if not at or text[at - 1] == "\n" else f"\n{lines}")


def _line_start(text: str, node: yaml.Node) -> int:
    return text.rfind("\n", 0, node.start_mark.index) + 1


def _line_end(text: str, index: int) -> int:
    """Just past the line that ends at `index` or goes on from there."""
    if index and text[index - 1] == "\n":
        return index
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _end(node: yaml.Node) -> int:
    """Where a value ends; a block's own mark stands at whatever comes after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)
