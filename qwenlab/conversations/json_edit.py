"""Changes one place of a JSON text and leaves every other byte as it is: order, layout, numbers as written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from qwenlab.conversations import strict_json

# In a text that is known to be JSON, whatever is neither white space, string nor sign is a number or a word.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_KINDS = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}


class Literal(str):
    """A value already written as JSON, such as 1.50, which is to stand there just so."""

    __slots__ = ()


@dataclass(slots=True)
class Node:
    """One value of a JSON text.

    Attributes:
        start, end: where it stands in the text.
        kind: "object", "array", "string", "number", "boolean" or "null".
        members: what an object or array holds, in the order of the text.
    """

    start: int
    end: int
    kind: str
    members: list[Member] = field(default_factory=list)


@dataclass(slots=True)
class Member:
    """One entry of an object or array.

    Attributes:
        key: its key, or in an array its position as digits.
        start: where the key begins, or in an array the value.
    """

    key: str
    start: int
    value: Node


def parse(text: str) -> Node:
    """Where everything stands in a JSON text.

    Raises:
        NotJsonError: when it is no JSON.
    """
    strict_json.read(text)
    outside = Node(0, len(text), "array")
    open_nodes, key = [outside], None
    for token in _TOKEN.finditer(text):
        sign, top = token[0][0], open_nodes[-1]
        if sign in "]}":
            open_nodes.pop().end = token.end()
        elif sign == '"' and top.kind == "object" and key is None:
            key = (json.loads(token[0]), token.start())
        elif sign not in ",:":
            node = Node(token.start(), token.end(), _KINDS.get(sign, "number"))
            name, start = key or (str(len(top.members)), node.start)
            top.members.append(Member(name, start, node))
            key = None
            if sign in "[{":
                open_nodes.append(node)
    return outside.members[0].value


def keys_of(pointer: str) -> list[str]:
    """The keys of a JSON pointer (RFC 6901). Raises IndexError when it is none."""
    if pointer and not pointer.startswith("/"):
        raise IndexError(f"{pointer!r} is no JSON pointer")
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]


def below(pointer: str, key: str | int) -> str:
    """The pointer to `key` within what stands at `pointer`."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def set_value(text: str, pointer: str, value: Any) -> str:
    """Replace the value at `pointer`.

    Args:
        text: JSON.
        pointer: where the value stands (RFC 6901); "" is the whole.
        value: anything JSON can hold, or a `Literal`.

    Raises:
        NotJsonError: when the text is no JSON.
        IndexError: when nothing stands at `pointer`.
    """
    root = parse(text)
    way = _way(root, pointer)
    node, around = way[-1], way[-2] if len(way) > 1 else root
    written = _Layout(text, root).write(value, spread=_is_spread(text, around), indent=_line_indent(text, node.start))
    return text[: node.start] + written + text[node.end :]


def remove(text: str, pointer: str) -> str:
    """Take an array item or a key with its value out.

    Raises:
        NotJsonError: when the text is no JSON.
        IndexError: when nothing stands at `pointer`, or it is the whole.
    """
    holder, at = _holder(parse(text), pointer)
    members = holder.members
    if len(members) == 1:
        start, end = holder.start + 1, holder.end - 1
    elif at == len(members) - 1:
        start, end = members[at - 1].value.end, members[at].value.end
    else:
        start, end = members[at].start, members[at + 1].start
    return text[:start] + text[end:]


def insert(text: str, pointer: str, value: Any, at: int | None = None) -> str:
    """Put in an array item or a new key, laid out as its neighbours are.

    Args:
        text: JSON.
        pointer: of the new value; in an array the last key is its position, or "-" for the end.
        value: anything JSON can hold, or a `Literal`.
        at: in an object, how many keys stand before the new one; None puts it last.

    Raises:
        NotJsonError: when the text is no JSON.
        IndexError: when there is no such object or array, or the key stands there already.
    """
    keys = keys_of(pointer)
    if not keys:
        raise IndexError("the whole stands there already")
    root = parse(text)
    holder = _way(root, pointer.rpartition("/")[0])[-1]
    members, layout = holder.members, _Layout(text, root)
    if holder.kind == "array":
        place = len(members) if keys[-1] == "-" else _position(keys[-1], len(members))
        head = ""
    elif holder.kind == "object" and all(member.key != keys[-1] for member in members):
        place = len(members) if at is None else min(max(at, 0), len(members))
        head = json.dumps(keys[-1], ensure_ascii=False) + layout.colon
    else:
        raise IndexError(f"nothing can be put at {pointer!r}")
    if not members:
        return text[: holder.start + 1] + layout.first(head, value, holder) + text[holder.end - 1 :]
    spread = _is_spread(text, holder)
    written = head + layout.write(value, spread, _line_indent(text, members[0].start))
    if place == 0:
        start = members[0].start
        return text[:start] + written + layout.gap(holder, 1) + text[start:]
    end = members[place - 1].value.end
    return text[:end] + layout.gap(holder, place) + written + text[end:]


def move(text: str, pointer: str, by: int) -> str:
    """Let an array item change places with the one `by` further; nothing happens beyond the ends.

    Raises:
        NotJsonError: when the text is no JSON.
        IndexError: when no array item stands at `pointer`.
    """
    holder, at = _holder(parse(text), pointer)
    if holder.kind != "array":
        raise IndexError(f"{pointer!r} is no array item")
    to = at + by
    if by == 0 or not 0 <= to < len(holder.members):
        return text
    first, second = (holder.members[index].value for index in sorted((at, to)))
    return (
        text[: first.start]
        + text[second.start : second.end]
        + text[first.end : second.start]
        + text[first.start : first.end]
        + text[second.end :]
    )


def _way(root: Node, pointer: str) -> list[Node]:
    """All nodes from the whole to the one at `pointer`."""
    way = [root]
    for key in keys_of(pointer):
        found = next((member.value for member in way[-1].members if member.key == key), None)
        if found is None:
            raise IndexError(f"nothing stands at {pointer!r}")
        way.append(found)
    return way


def _holder(root: Node, pointer: str) -> tuple[Node, int]:
    """The object or array that holds `pointer`, and which of its members that is."""
    way = _way(root, pointer)
    if len(way) < 2:
        raise IndexError("the whole is no member")
    return way[-2], next(at for at, member in enumerate(way[-2].members) if member.value is way[-1])


def _position(key: str, last: int) -> int:
    if not (key.isascii() and key.isdigit() and int(key) <= last):
        raise IndexError(f"{key!r} is no position in a list of {last}")
    return int(key)


def _is_spread(text: str, node: Node) -> bool:
    """Whether each member stands on a line of its own."""
    return bool(node.members) and "\n" in text[node.start : node.members[0].start]


def _line_indent(text: str, at: int) -> str:
    """The white space that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


class _Layout:
    """How a JSON text is laid out, so that what is added looks like what stands there."""

    def __init__(self, text: str, root: Node) -> None:
        self.text = text
        self.colon, self.comma, self.unit, self.newline = ": ", "", None, "\n"
        self.padding = ""
        nodes = [root]
        for node in nodes:
            nodes += [member.value for member in node.members]
        holders = [node for node in nodes if node.members]
        spread = next((node for node in holders if _is_spread(text, node)), None)
        if spread is not None:
            inner, outer = _line_indent(text, spread.members[0].start), _line_indent(text, spread.end - 1)
            self.unit = inner.removeprefix(outer)
            self.newline = "\r\n" if "\r\n" in text[spread.start : spread.members[0].start] else "\n"
        keyed = next((node.members[0] for node in holders if node.kind == "object"), None)
        if keyed is not None:
            self.colon = re.sub(r"[\r\n]", "", text[_token_end(text, keyed.start) : keyed.value.start])
        flat = [node for node in holders if not _is_spread(text, node)]
        if flat:
            self.padding = text[flat[0].start + 1 : flat[0].members[0].start]
        gaps = (self._between(node, at) for node in flat for at in range(1, len(node.members)))
        self.comma = next((gap for gap in gaps if "\n" not in gap), "," if self.colon == ":" else ", ")

    def write(self, value: Any, spread: bool, indent: str) -> str:
        """A value as text; `indent` is what the line it stands on begins with."""
        if isinstance(value, Literal):
            return str(value)
        if spread and self.unit is not None:
            lines = json.dumps(value, ensure_ascii=False, indent=self.unit, separators=(",", self.colon)).split("\n")
            return (self.newline + indent).join(lines)
        return json.dumps(value, ensure_ascii=False, separators=(self.comma, self.colon))

    def first(self, head: str, value: Any, holder: Node) -> str:
        """What stands between the brackets once the first member is in."""
        if self.unit is None:
            return self.padding + head + self.write(value, False, "") + self.padding
        outer = _line_indent(self.text, holder.start)
        inner = outer + self.unit
        return self.newline + inner + head + self.write(value, True, inner) + self.newline + outer

    def gap(self, holder: Node, at: int) -> str:
        """What stands, or would stand, between member `at` - 1 and member `at`."""
        members = holder.members
        if len(members) > 1:
            return self._between(holder, min(max(at, 1), len(members) - 1))
        if _is_spread(self.text, holder):
            return "," + self.text[holder.start + 1 : members[0].start]
        return self.comma

    def _between(self, holder: Node, at: int) -> str:
        return self.text[holder.members[at - 1].value.end : holder.members[at].start]


def _token_end(text: str, start: int) -> int:
    token = _TOKEN.match(text, start)
    return token.end() if token else start
