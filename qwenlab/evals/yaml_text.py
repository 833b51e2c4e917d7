"""YAML read, and written, as the JSON it stands for: no dates, no yes/no, no octal, no repeated keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import yaml

from qwenlab.evals.bilingual import ReasonError

MOST_VALUES = 2_000_000
"""Values that a text may stand for; with anchors a few lines could stand for billions."""
DEEPEST = 100
"""Mappings and lists inside each other; more would exhaust other readers of the suite."""


class Loader(yaml.SafeLoader):
    """YAML's JSON schema: 2024-03-17 stays text, `no` stays text, 0123 stays text, keys are unique text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    yaml_constructors = {  # no other tags: dates, bytes and sets are not JSON
        tag: found
        for tag, found in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "str")
    }


Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$"),
    list("-0123456789"),
)


def _mapping(loader: Loader, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _at(key_node, "keys must be text", "键必须是文本")
        key = key_node.value
        if key in found:
            raise _at(key_node, f'the key "{key}" stands twice', f"键“{key}”出现了两次")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _at(node: yaml.Node, en: str, zh: str) -> ReasonError:
    line = node.start_mark.line + 1
    return ReasonError(f"line {line}: {en}", f"第 {line} 行：{zh}")


def _list(loader: Loader, node: yaml.SequenceNode) -> list[Any]:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _float(loader: Loader, node: yaml.ScalarNode) -> float:
    number = float(node.value)
    if not math.isfinite(number):
        raise _at(node, f"{node.value[:40]} is not a number that JSON has", f"{node.value[:40]} 不是 JSON 中的数字")
    return number


def _measured(node: yaml.Node, known: dict[int, int], depth: int = 0) -> int:
    """How many values a node stands for, its anchors followed."""
    if depth > DEEPEST:
        raise _at(node, "it is nested too deeply to be read", "嵌套层数太多，无法读取")
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_VALUES  # of a node that stands inside itself
        pairs = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in node.value for one in pair]
        known[id(node)] = 1 + sum(_measured(one, known, depth + 1) for one in pairs)
    if known[id(node)] >= MOST_VALUES:
        raise _at(node, "its anchors stand for too many values", "其中的锚点展开后内容过多")
    return known[id(node)]


Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
Loader.add_constructor("tag:yaml.org,2002:seq", _list)
Loader.add_constructor("tag:yaml.org,2002:float", _float)


_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.*-]*")
_WORDS_OF_YAML = {"null", "true", "false"}
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
LONGEST_LINE = 110


def flow(value: Any) -> str:
    """One line of YAML that `parse_yaml` reads as `value` (a JSON value)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_word(str(key))}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _word(value) if isinstance(value, str) else json.dumps(value, allow_nan=False)


def entries(value: Mapping[str, Any], indent: str = "") -> str:
    """Lines of YAML, one for each key; long mappings and lists get a line for each of their own entries."""
    return "".join(f"{indent}{_word(key)}:{_below(inner, indent)}\n" for key, inner in value.items())


def _below(value: Any, indent: str) -> str:
    line = f" {flow(value)}"
    if len(line) <= LONGEST_LINE or not value:
        return line
    if isinstance(value, Mapping):
        return "\n" + entries(value, indent + "  ").rstrip("\n")
    if isinstance(value, list):
        return "".join(f"\n{indent}  - {flow(item)}" for item in value)
    return line


def _word(text: str) -> str:
    """A text, in quotes unless it is a plain word."""
    if _PLAIN.fullmatch(text) and text not in _WORDS_OF_YAML:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda sign: f"\\u{ord(sign[0]):04x}", quoted)


def parse_yaml(text: str) -> Any:
    """The value of a YAML (or JSON) text.

    Raises:
        ReasonError: with the line, when it cannot be read.
    """
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measured(node, {})
        value = loader.construct_document(node)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:  # a lone surrogate, which no file can hold
        raise ReasonError("it contains half of a character", "含有残缺的字符") from error
    except ReasonError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError, KeyError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = (f"line {mark.line + 1}: ", f"第 {mark.line + 1} 行：") if mark else ("", "")
        raise ReasonError(f"{where[0]}{problem}", f"{where[1]}YAML 写法有误（{problem}）") from error
