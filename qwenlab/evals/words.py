"""What the harness says to people, in English and in Chinese."""

from __future__ import annotations

import json
from typing import Any, Literal

from qwenlab.evals.fields import FieldScore
from qwenlab.evals.schema import Violation

Language = Literal["en", "zh"]

_FIELD: dict[str, dict[Language, str]] = {
    "equal": {"en": "Right.", "zh": "正确。"},
    "differs": {"en": "Expected {expected}, got {actual}.", "zh": "应为 {expected}，实为 {actual}。"},
    "wrong_type": {
        "en": "Expected {expected} ({expected_type}), got {actual} ({actual_type}).",
        "zh": "应为 {expected}（{expected_type}），实为 {actual}（{actual_type}）。",
    },
    "number_as_string": {
        "en": "The number {expected} was written as text, {actual}: leave out the quotes.",
        "zh": "数字 {expected} 被写成了文本 {actual}：应去掉引号。",
    },
    "not_null": {
        "en": "Nothing was expected here (null), got {actual}.",
        "zh": "此处应为空（null），实为 {actual}。",
    },
    "null": {"en": "Expected {expected}, but it was left empty (null).", "zh": "应为 {expected}，却留空（null）。"},
    "not_a_date": {
        "en": "Expected the date {expected}, got {actual}, which is no ISO date such as 2024-03-17.",
        "zh": "应为日期 {expected}，实为 {actual}，不是 2024-03-17 这样的标准日期。",
    },
    "not_allowed": {
        "en": "Expected {expected}, got {actual}, which is not one of the allowed values.",
        "zh": "应为 {expected}，实为 {actual}，不在允许的取值之中。",
    },
    "pattern": {
        "en": "{actual} does not have the required form (such as {expected}).",
        "zh": "{actual} 不符合要求的格式（例如 {expected}）。",
    },
    "order": {
        "en": "The right items in another order: expected {expected}, got {actual}.",
        "zh": "内容正确但顺序不同：应为 {expected}，实为 {actual}。",
    },
    "outside_tolerance": {
        "en": "Expected {expected}, give or take {tolerance}; got {actual}.",
        "zh": "应为 {expected}（允许误差 {tolerance}），实为 {actual}。",
    },
    "missing": {"en": "Expected {expected}, but this field is missing.", "zh": "应为 {expected}，但缺少此字段。"},
    "unexpected": {
        "en": "This field was not asked for; got {actual}.",
        "zh": "多出的字段，实为 {actual}。",
    },
    "unreadable": {
        "en": "Expected {expected}, but the answer could not be read as JSON.",
        "zh": "应为 {expected}，但回答无法作为 JSON 读取。",
    },
}

_TYPES: dict[str, dict[Language, str]] = {
    "null": {"en": "nothing", "zh": "空值"},
    "boolean": {"en": "true or false", "zh": "真假值"},
    "integer": {"en": "a whole number", "zh": "整数"},
    "number": {"en": "a number", "zh": "数字"},
    "string": {"en": "text", "zh": "文本"},
    "array": {"en": "a list", "zh": "列表"},
    "object": {"en": "an object", "zh": "对象"},
}

_VIOLATION: dict[str, dict[Language, str]] = {
    "required": {"en": "this field is required but missing", "zh": "缺少必填字段"},
    "additionalProperties": {"en": "this field is not allowed", "zh": "不允许出现此字段"},
    "type": {"en": "{found} should be {types}", "zh": "{found} 应为{types}"},
    "enum": {"en": "{found} is not one of {wanted}", "zh": "{found} 不在允许的取值 {wanted} 之中"},
    "const": {"en": "{found} should be {wanted}", "zh": "{found} 应为 {wanted}"},
    "pattern": {"en": "{found} does not match the pattern {wanted}", "zh": "{found} 不符合格式 {wanted}"},
    "format": {"en": "{found} is not written as {wanted}", "zh": "{found} 不是规定的写法（{wanted}）"},
    "minimum": {"en": "{found} is less than {wanted}", "zh": "{found} 小于 {wanted}"},
    "maximum": {"en": "{found} is more than {wanted}", "zh": "{found} 大于 {wanted}"},
    "exclusiveMinimum": {"en": "{found} is not more than {wanted}", "zh": "{found} 应大于 {wanted}"},
    "exclusiveMaximum": {"en": "{found} is not less than {wanted}", "zh": "{found} 应小于 {wanted}"},
    "multipleOf": {"en": "{found} is not a multiple of {wanted}", "zh": "{found} 不是 {wanted} 的倍数"},
    "minLength": {"en": "{found} is shorter than {wanted} characters", "zh": "{found} 少于 {wanted} 个字符"},
    "maxLength": {"en": "{found} is longer than {wanted} characters", "zh": "{found} 多于 {wanted} 个字符"},
    "minItems": {"en": "fewer than {wanted} items", "zh": "少于 {wanted} 项"},
    "maxItems": {"en": "more than {wanted} items", "zh": "多于 {wanted} 项"},
    "uniqueItems": {"en": "the same item stands twice", "zh": "有重复的项"},
    "anyOf": {"en": "{found} fits none of the allowed forms", "zh": "{found} 不符合任何一种允许的形式"},
    "oneOf": {"en": "{found} does not fit exactly one allowed form", "zh": "{found} 不恰好符合一种允许的形式"},
}

RUNG: dict[str, dict[Language, str]] = {
    "strict": {"en": "strict JSON", "zh": "严格 JSON"},
    "fenced": {"en": "JSON inside a Markdown fence", "zh": "包在 Markdown 代码块里的 JSON"},
    "extracted": {"en": "JSON with words around it", "zh": "夹在文字中的 JSON"},
    "repaired": {"en": "broken JSON, readable only after repair", "zh": "损坏的 JSON，修复后才能读取"},
    "none": {"en": "no JSON", "zh": "没有 JSON"},
}

FLAG: dict[str, dict[Language, str]] = {
    "empty": {"en": "empty answer", "zh": "回答为空"},
    "think_leak": {"en": "thinking leaked into the answer", "zh": "思考内容混入回答"},
    "several_values": {"en": "more than one JSON value", "zh": "不止一个 JSON 值"},
    "duplicate_keys": {"en": "the same key twice", "zh": "重复的键"},
    "not_a_number": {"en": "NaN or Infinity, which JSON does not have", "zh": "含有 JSON 没有的 NaN 或 Infinity"},
    "number_too_large": {"en": "a number too large to read", "zh": "数字过大，无法读取"},
    "lone_surrogate": {"en": "a broken character", "zh": "含有损坏的字符"},
    "too_deep": {"en": "nested too deeply", "zh": "嵌套过深"},
    "byte_order_mark": {"en": "an invisible mark at the start (BOM)", "zh": "开头有不可见标记（BOM）"},
    "truncated": {"en": "cut off at the length limit", "zh": "达到长度上限被截断"},
    "stopped": {"en": "stopped by a person", "zh": "被人停止"},
    "error": {"en": "no answer: an error occurred", "zh": "没有回答：发生错误"},
    "not_answered": {"en": "not answered", "zh": "未作答"},
    "grader_failed": {
        "en": "the answer could not be judged: a rule or the schema of the suite failed",
        "zh": "无法评判该回答：测试集的规则或 Schema 出错",
    },
    "number_as_string": {"en": "a number written as text", "zh": "数字被写成文本"},
}


def explain(score: FieldScore, language: Language) -> str:
    """One sentence saying why a field counts as right or wrong."""
    return _FIELD[score.code][language].format(
        expected=show(score.expected, language),
        actual=show(score.actual, language),
        expected_type=_type_name(score.expected, language),
        actual_type=_type_name(score.actual, language),
        tolerance=f"{score.tolerance:g}",
    )


def explain_violation(violation: Violation, language: Language) -> str:
    """A few words saying how a place breaks the schema, without its pointer."""
    template = _VIOLATION.get(violation.keyword)
    if template is None:
        return violation.message if language == "en" else f"不符合数据格式：{violation.message}"
    names = violation.wanted if isinstance(violation.wanted, list) else [violation.wanted]
    types = (" or " if language == "en" else "或").join(_TYPES.get(str(n), {}).get(language, str(n)) for n in names)
    return template[language].format(
        found=show(violation.found, language), wanted=show(violation.wanted, language), types=types
    )


def describe_rung(rung: str | None, language: Language) -> str:
    """The rung of the JSON ladder in a few words; "" for a text case."""
    return RUNG[rung][language] if rung else ""


def describe_flag(flag: str, language: Language) -> str:
    """A flag of a reading or a score in a few words."""
    return FLAG.get(flag, {}).get(language, flag)


def show(value: Any, language: Language, limit: int = 80) -> str:
    """A JSON value as a person reads it, in one short line."""
    if value is None:
        return "null"
    if isinstance(value, str):
        text = f'"{value}"' if language == "en" else f"“{value}”"
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _type_name(value: Any, language: Language) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return _TYPES[names.get(type(value), "null")][language]


MEASURE: dict[str, dict[Language, str]] = {
    "contestant": {"en": "contestant", "zh": "测试对象"},
    "n": {"en": "cases", "zh": "用例"},
    "errors": {"en": "errors", "zh": "出错"},
    "strict": {"en": "strict JSON", "zh": "严格 JSON"},
    "schema_valid": {"en": "schema valid", "zh": "符合格式"},
    "usable": {"en": "usable as is", "zh": "可直接使用"},
    "field_accuracy": {"en": "fields right", "zh": "字段正确"},
    "field_accuracy_parsed": {"en": "fields right where readable", "zh": "可读回答的字段正确"},
    "document_exact": {"en": "all fields right", "zh": "全部字段正确"},
    "passed": {"en": "passed", "zh": "通过"},
    "tokens_per_s": {"en": "tokens/s", "zh": "词元/秒"},
    "size": {"en": "size", "zh": "大小"},
}


def measure_name(measure: str, language: Language) -> str:
    """The name of a measure or of a scoreboard column."""
    return MEASURE[measure][language]
