"""One answer as HTML: the rung it stands on, where it breaks the schema, and which of its values are wrong."""

from __future__ import annotations

from collections.abc import Sequence

from qwenlab.evals import words
from qwenlab.evals.fields import FieldScore
from qwenlab.evals.schema import Violation
from qwenlab.ui.components import NOTHING, Html, badge, escape, table
from qwenlab.ui.texts import Translator

RUNG_KINDS = {"strict": "ok", "fenced": "warn", "extracted": "warn", "repaired": "bad", "none": "bad"}
FINISHES = {
    "stop": ("none", "compare_ended"),
    "length": ("warn", "compare_cut"),
    "stopped": ("none", "compare_stopped"),
    "context": ("bad", "compare_no_room"),
    "error": ("bad", "compare_failed"),
}


def rung(name: str, t: Translator, json_wanted: bool = True) -> Html:
    """The rung as a badge; that there is no JSON is no fault where none is wanted."""
    kind = RUNG_KINDS[name] if json_wanted or name != "none" else "none"
    return badge(kind, words.describe_rung(name, t.language), t("compare_rung_about"))


def flags(found: Sequence[str], t: Translator) -> Html:
    """What else was noticed, one badge each."""
    return Html(" ".join(badge("warn", words.describe_flag(flag, t.language)) for flag in found))


def schema(violations: Sequence[Violation], t: Translator) -> Html:
    """Whether the value fits the schema; if not, the first place where it does not."""
    if not violations:
        return badge("ok", t("compare_schema_ok"))
    more = len(violations) - 1
    said = t("compare_schema_bad", where=violation(violations[0], t))
    return badge("bad", said + (t("compare_more", number=more) if more else ""))


def violation(one: Violation, t: Translator) -> str:
    """A place and what is wrong there, in words."""
    place = place_name(one.pointer)
    colon = "：" if t.language == "zh" else ": "
    said = words.explain_violation(one, t.language)
    return f"{place}{colon}{said}" if place else said


def violation_list(violations: Sequence[Violation], t: Translator) -> Html:
    """Every place where an answer breaks the schema."""
    lines = "".join(f"<li>{escape(violation(one, t))}</li>" for one in violations)
    return Html(f'<ul class="violations">{lines}</ul>') if lines else NOTHING


def place_name(pointer: str) -> str:
    """/amount/value as a person reads it: amount › value."""
    keys = [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]
    return " › ".join(keys)


def values_right(fields: Sequence[FieldScore], t: Translator) -> Html:
    """How many of the values are right."""
    right = sum(one.ok for one in fields)
    kind = "ok" if right == len(fields) else "bad" if any(one.critical and not one.ok for one in fields) else "warn"
    return badge(kind, t("compare_values_right", right=right, number=len(fields)))


def differences(fields: Sequence[FieldScore], t: Translator, everything: bool = False) -> Html:
    """Value by value: what was expected, what came, and why it counts as wrong; the wrong ones first.

    Args:
        everything: also the right values.
    """
    shown = sorted((one for one in fields if everything or not one.ok), key=lambda one: one.ok)
    if not shown or all(one.code == "unreadable" for one in shown):  # one badge says it; a long table would not help
        return NOTHING
    headers = [t("compare_value"), t("compare_wanted"), t("compare_got"), t("compare_why")]
    return Html(f'<div class="differences">{table(headers, [_difference(one, t) for one in shown])}</div>')


def _difference(one: FieldScore, t: Translator) -> list[Html]:
    sign = Html(f'<i class="{"ok" if one.ok else "bad"}">{"✓" if one.ok else "✗"}</i>')
    critical = Html(f' <small title="{escape(t("compare_critical_about"))}">{escape(t("compare_critical"))}</small>')
    place = Html(f"{sign} {escape(place_name(one.pointer) or t('compare_whole'))}{critical if one.critical else ''}")
    nothing = Html('<span class="quiet">–</span>')
    expected = nothing if one.code == "unexpected" else _value(one.expected, t)
    actual = nothing if one.code in ("missing", "unreadable") else _value(one.actual, t)
    why = NOTHING if one.ok else escape(words.explain(one, t.language))
    return [place, expected, Html(f'<span class="{"" if one.ok else "wrong"}">{actual}</span>'), why]


def _value(value: object, t: Translator) -> Html:
    return Html(f"<code>{escape(words.show(value, t.language))}</code>")


def seconds(number: float, t: Translator) -> str:
    """Short times with one decimal: 0.4 s."""
    return t("compare_seconds", number=f"{number:.1f}")
