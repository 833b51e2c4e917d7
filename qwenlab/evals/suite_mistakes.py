"""What is wrong with a suite that does not fit its model, as one sentence with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from qwenlab.errors import QwenlabError
from qwenlab.evals.bilingual import ReasonError, Words, meant
from qwenlab.evals.rules import Rule
from qwenlab.evals.suite_model import Case, GenerationSettings, Suite, Thresholds, Turn

_WHOLE = Words("a whole number", "整数")
_NUMBER = Words("a number", "数字")
_TRUTH = Words("true or false", " true 或 false")
_MAPPING = Words("a mapping of keys to values", "“键: 值”的形式")
_WANTED = {
    "string_type": Words("text", "文本"),
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": Words("a finite number", "有限的数字"),
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "list_type": Words("a list", "列表"),
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "literal_error": Words("{expected}", " {choices} 之一"),
    "greater_than": Words("more than {gt:g}", "大于 {gt:g} 的数"),
    "greater_than_equal": Words("at least {ge:g}", "不小于 {ge:g} 的数"),
    "less_than": Words("less than {lt:g}", "小于 {lt:g} 的数"),
    "less_than_equal": Words("at most {le:g}", "不大于 {le:g} 的数"),
}
"""What must stand there, by pydantic's name of the mistake."""


def first(error: ValidationError, content: Mapping[str, Any], file: str, origin: list[Words]) -> QwenlabError:
    """The first mistake as one sentence naming file, case and key, with the nearest known key.

    Args:
        content: the suite as it was read.
        origin: where each case stands; a case beyond it is counted in `file`.
    """
    return _said(error.errors(include_url=False)[0], content, file, origin)


def each(
    error: ValidationError, content: Mapping[str, Any], file: str, origin: list[Words]
) -> dict[int | None, QwenlabError]:
    """The first mistake of each case by its position, and that of everything else under None."""
    found: dict[int | None, QwenlabError] = {}
    for problem in error.errors(include_url=False):
        location = problem["loc"]
        case = location[1] if location[:1] == ("cases",) and len(location) > 1 else None
        if case not in found:
            found[case if isinstance(case, int) else None] = _said(problem, content, file, origin)
    return found


def _said(problem: Mapping[str, Any], content: Mapping[str, Any], file: str, origin: list[Words]) -> QwenlabError:
    location = list(problem["loc"])
    place, inner = Words(file, file), location
    if location[:1] == ["cases"] and len(location) > 1 and isinstance(location[1], int):
        place, inner = _case_place(content, file, origin, location[1]), location[2:]
    if problem["type"] == "extra_forbidden":
        known = _known_keys(location)
        listed = Words(f"Known keys: {', '.join(known)}.", f"可用的键：{'、'.join(known)}。")
        hint = meant(str(inner[-1]), known, listed)
        zh = (f"{place.zh}：未知的键“{inner[-1]}”。", hint.zh)
        return QwenlabError(f'{place.en}: unknown key "{inner[-1]}".', hint.en, zh=zh)
    name, reason = ".".join(str(part) for part in inner), _reason(problem)
    named = Words(f'"{name}": ', f"“{name}”：") if name else Words("", "")
    return QwenlabError(
        f"{place.en}: {named.en}{reason.en}.",
        "Correct it and try again.",
        zh=(f"{place.zh}：{named.zh}{reason.zh}。", "请改正后重试。"),
    )


def case_of(file: str, index: int) -> Words:
    """A case by its place in a file, counted from 0."""
    return Words(f"{file}, case {index + 1}", f"{file} 第 {index + 1} 个用例")


def _reason(problem: Mapping[str, Any]) -> Words:
    kind, context = problem["type"], problem.get("ctx", {})
    if isinstance(context.get("error"), ReasonError):
        reason: Words = context["error"].words
        return reason
    if kind == "missing":
        return Words("this key is missing", "缺少这个键")
    if kind in ("string_too_short", "too_short"):
        return Words("must not be empty", "不能为空")
    if kind in _WANTED:
        wanted = _WANTED[kind]
        choices = str(context.get("expected", "")).replace("'", "").replace(" or ", "、").replace(", ", "、")
        return Words(f"must be {wanted.en.format(**context)}", f"应为{wanted.zh.format(**context, choices=choices)}")
    return Words(problem["msg"], f"写法有误（{problem['msg']}）")


def _case_place(content: Mapping[str, Any], file: str, origin: list[Words], index: int) -> Words:
    case = content["cases"][index]
    place = origin[index] if index < len(origin) else case_of(file, index)
    identity = case.get("id") if isinstance(case, Mapping) else None
    return place if identity is None else Words(f'{place.en} ("{identity}")', f"{place.zh}（“{identity}”）")


def _known_keys(location: list[Any]) -> list[str]:
    models: dict[Any, type[BaseModel]] = {"fields": Rule, "generation": GenerationSettings, "thresholds": Thresholds}
    model: type[BaseModel] = Suite
    if len(location) > 1:
        model = models.get(location[0], Case)
        if "history" in location[:-1]:
            model = Turn
    return [field.alias or name for name, field in model.model_fields.items()]
