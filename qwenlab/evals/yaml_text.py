"""Reading YAML as the JSON it stands for: no dates, no yes/no, no octal, no repeated keys."""

from __future__ import annotations

import re
from typing import Any

import yaml

from qwenlab.evals.bilingual import ReasonError


class _Loader(yaml.SafeLoader):
    """YAML's JSON schema: 2024-03-17 stays text, `no` stays text, 0123 stays text, keys are unique text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$"),
    list("-0123456789"),
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
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


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(node.value)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def parse_yaml(text: str) -> Any:
    """The value of a YAML (or JSON) text.

    Raises:
        ReasonError: with the line, when it cannot be read.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except ReasonError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        where = (f"line {mark.line + 1}: ", f"第 {mark.line + 1} 行：") if mark else ("", "")
        raise ReasonError(f"{where[0]}{problem}", f"{where[1]}YAML 写法有误（{problem}）") from error
