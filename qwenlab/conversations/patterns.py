"""Regular expressions that come with a file: no pattern, however twisted, can make the lab wait."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import regex

from qwenlab.errors import QwenlabError

SECONDS = 0.25
"""How long one pattern may look at one text."""
LONGEST = 2000
_COPIES = regex.compile(r"\{([0-9]+)")
_MOST_COPIES = 1_000_000


class PatternError(QwenlabError):
    """A pattern that cannot be used, or that takes too long."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """A pattern made ready.

    Raises:
        PatternError: when it is no regular expression, or so large that making it ready takes long.
    """
    copies = math.prod(max(1, int(number[:9])) for number in _COPIES.findall(pattern))
    if len(pattern) > LONGEST or copies > _MOST_COPIES:
        raise _unusable(pattern, "it is too large", "它太大了")
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise _unusable(pattern, reason, f"写法有误（{reason}）") from error


def search(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in the text. Raises PatternError, also after `SECONDS`."""
    return _within_time(pattern, compiled(pattern).search, text)


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text. Raises PatternError, also after `SECONDS`."""
    return _within_time(pattern, compiled(pattern).fullmatch, text)


def _within_time(pattern: str, look: Any, text: str) -> bool:
    try:
        return look(text, timeout=SECONDS) is not None
    except (TimeoutError, MemoryError, RecursionError) as error:
        shown = _short(pattern)
        raise PatternError(
            f"The pattern {shown} takes too long on a text of {len(text)} characters.",
            "Write it more simply, without repeats inside repeats such as (a+)+.",
            zh=(
                f"正则表达式 {shown} 在 {len(text)} 个字符的文本上耗时过长。",
                "请写得简单些，不要在重复中再套重复，如 (a+)+。",
            ),
        ) from error


@lru_cache(maxsize=16)
def for_schemas(validator: Any) -> Any:
    """jsonschema's validator class, with all patterns looked for in limited time; unevaluatedProperties is left out."""
    from jsonschema import validators
    from jsonschema.exceptions import ValidationError

    def pattern(_: Any, wanted: Any, instance: Any, __: Any) -> Any:
        if isinstance(instance, str) and not search(str(wanted), instance):
            yield ValidationError(f"{instance!r} does not match {wanted!r}")

    def named(checker: Any, wanted: Any, instance: Any, _: Any) -> Any:
        for one, inner in wanted.items() if isinstance(instance, dict) else ():
            for key in instance:
                if search(one, key):
                    yield from checker.descend(instance[key], inner, path=key, schema_path=one)

    def additional(checker: Any, wanted: Any, instance: Any, schema: Any) -> Any:
        known, by_pattern = schema.get("properties", {}), schema.get("patternProperties", {})
        keys = [key for key in instance if key not in known] if isinstance(instance, dict) else []
        extras = [key for key in keys if not any(search(one, key) for one in by_pattern)]
        if isinstance(wanted, dict):
            for key in extras:
                yield from checker.descend(instance[key], wanted, path=key)
        elif extras and not wanted:
            yield ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, extras))})")

    safe = {"pattern": pattern, "patternProperties": named, "additionalProperties": additional}
    return validators.extend(validator, {**safe, "unevaluatedProperties": None})


def _unusable(pattern: str, en: str, zh: str) -> PatternError:
    shown = _short(pattern)
    return PatternError(
        f"The pattern {shown} is no regular expression that can be used: {en}.",
        "Correct it.",
        zh=(f"正则表达式 {shown} 无法使用：{zh}。", "请改正它。"),
    )


def _short(pattern: str) -> str:
    return pattern if len(pattern) <= 60 else pattern[:59] + "…"
