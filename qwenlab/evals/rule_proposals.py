"""Which rule suits each field of answers like these, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from qwenlab.evals import field_names
from qwenlab.evals.bilingual import Words
from qwenlab.evals.rules import read_date
from qwenlab.evals.schema_inference import Place, Seen, places

LONG_TEXT = 60
"""Characters from which two right wordings of a text rarely agree."""


@dataclass(frozen=True)
class Proposal:
    """The rule for one field.

    Attributes:
        pointer: of the field. rule: as it stands in a suite.
        reason: why this rule. evidence: how often the field was seen.
    """

    pointer: str
    rule: dict[str, Any]
    reason: Words
    evidence: Words = field(default=Words("", ""))


def propose(seen: Seen) -> list[Proposal]:
    """One proposal per field that holds a value, in the order of the answers."""
    return list(_below(seen))


def _below(root: Seen) -> Iterator[Proposal]:
    closed: list[str] = []
    for place in places(root):
        if any(place.pointer.startswith(above) for above in closed):
            continue
        rule, reason = _rule(place)
        if rule is None:
            continue
        closed.append(place.pointer + "/")
        yield Proposal(place.pointer, rule, reason, place.evidence())


def _rule(place: Place) -> tuple[dict[str, Any] | None, Words]:
    seen = place.seen
    kinds = seen.kinds.keys() - {"null"}
    if kinds == {"object"} and not seen.is_table and seen.keys:
        return None, Words("", "")
    if kinds == {"array"}:
        return _list(place)
    if not kinds:
        return {"rule": "exact"}, Words("it was always empty (null)", "一直为空（null）")
    if kinds <= {"integer", "number"}:
        return _number(place)
    if kinds == {"string"}:
        return _text(place)
    if kinds == {"boolean"}:
        return {"rule": "exact"}, Words("yes or no", "是或否")
    if kinds == {"object"}:
        return {"rule": "exact"}, Words("compared as a whole", "作为整体比较")
    return {"rule": "exact"}, Words("values of several types: compared as they are", "取值类型不一：按原样比较")


def _list(place: Place) -> tuple[dict[str, Any] | None, Words]:
    items = place.seen.items
    kinds = items.kinds.keys() - {"null"} if items else set()
    if kinds == {"object"}:
        return None, Words("", "")  # entry by entry, so that each wrong value counts by itself
    inner: dict[str, Any] | None = None
    if items and kinds == {"string"} and items.choices() is None:
        inner = {"rule": "text"}
    if items and kinds and kinds <= {"integer", "number"} and items.decimals:
        inner = {"rule": "number", "tolerance": _tolerance(items)}
    rule = {"rule": "set", **({"items": inner} if inner else {})}
    return rule, Words(
        "a list: the same entries in any order (choose list where the order counts)",
        "列表：内容相同即可，不论顺序（顺序重要时请改为 list）",
    )


def _number(place: Place) -> tuple[dict[str, Any], Words]:
    rule: dict[str, Any] = {"rule": "number"}
    if place.seen.decimals:
        rule["tolerance"] = _tolerance(place.seen)
    if field_names.is_amount(place.pointer):
        return rule | {"critical": True}, Words(
            "an amount: a wrong one makes the whole answer worthless", "金额：错了整个回答就没有价值"
        )
    if field_names.identifies(place.pointer):
        return {"rule": "exact", "critical": True}, Words(
            "an identifying number: it must be exactly right", "标识号码：必须完全正确"
        )
    return rule, Words("a number: 5 and 5.0 are the same", "数字：5 与 5.0 相同")


def _tolerance(seen: Seen) -> float:
    return float(f"1e-{min(max(seen.decimals, 2), 6)}")


def _text(place: Place) -> tuple[dict[str, Any], Words]:
    texts = place.seen.texts
    if all(read_date(text) for text in texts):
        return {"rule": "date"}, Words("always a date: the same day", "一直是日期：同一天即可")
    choices = place.seen.choices()
    if choices is not None and len(choices) > 1:
        listed = ", ".join(choices[:4]) + (", …" if len(choices) > 4 else "")
        return {"rule": "enum"}, Words(
            f"{len(choices)} values that repeat ({listed})", f"{len(choices)} 种重复出现的取值（{listed}）"
        )
    if field_names.identifies(place.pointer) or _are_codes(texts):
        return {"rule": "exact", "critical": True}, Words(
            "it identifies something: every character must be right", "用于标识：每个字符都必须正确"
        )
    if median(map(len, texts)) > LONG_TEXT:
        return {"rule": "text", "weight": 0.5}, Words(
            "a long text: two right wordings rarely agree, so it counts half (or choose ignore)",
            "较长的文本：两种正确的说法很少一字不差，因此只计一半（也可改为 ignore）",
        )
    return {"rule": "text"}, Words(
        "free text: capitals, full-width forms and punctuation around it make no difference",
        "自由文本：大小写、全角半角和首尾标点不计",
    )


def _are_codes(texts: Collection[str]) -> bool:
    """Whether texts are codes: nearly all different, without blanks, with a digit each."""
    return len(texts) >= 8 and all(
        text.isascii()
        and text.isprintable()
        and " " not in text
        and any(sign.isdigit() for sign in text)
        and len(text) > 3
        for text in texts
    )
