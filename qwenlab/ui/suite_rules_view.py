"""The rules and settings of a suite as HTML: one row a field, and in words what an error in it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from qwenlab.evals import schema_places, words
from qwenlab.evals.asked_gates import PAIRED
from qwenlab.evals.report import MEASURES, REPEATED
from qwenlab.evals.rules import RuleName
from qwenlab.ui import answer_view, suite_actions
from qwenlab.ui.components import Html, escape
from qwenlab.ui.suite_editing import Desk
from qwenlab.ui.suite_editor_view import bad, box, button, like_json, line, select
from qwenlab.ui.texts import Translator

RULES = get_args(RuleName)
ITEM_RULES = ("exact", "text", "number", "date")
GENERATION = {"max_new_tokens": "256", "temperature": "0", "top_p": "1", "seed": "0"}


def rows(desk: Desk) -> list[str]:
    """Pointers of the fields that are judged: those of the schema, and whatever else has a rule."""
    ruled = desk.rules()
    leaves = schema_places.leaves(desk.now.schema) if isinstance(desk.now.schema, dict) else []
    found = [one for one in leaves if not any(one.startswith(f"{above}/") for above in ruled)]
    at = {pointer: place for place, pointer in enumerate(leaves)}
    extra = [one for one in ruled if one not in found]

    def place(pointer: str) -> int:
        below = [number for leaf, number in at.items() if leaf.startswith(f"{pointer}/")]
        return at.get(pointer, min(below, default=len(at)))

    return sorted([*found, *extra], key=place)


def rules_table(desk: Desk, t: Translator, seq: int = 0) -> Html:
    """One row a field: its rule, what belongs to the rule, its weight, whether it is critical, what an error costs."""
    if desk.now.schema is None:
        return Html(
            f'<div class="suite-desk rules" data-seq="{seq}"><p class="quiet">{escape(t("rules_none"))}</p></div>'
        )
    known, pointers = desk.rules(), rows(desk)
    total = sum(
        _weight(known.get(pointer, {})) for pointer in pointers if known.get(pointer, {}).get("rule") != "ignore"
    )
    head = "".join(
        f'<th title="{escape(t(f"{key}_about"))}">{escape(t(key))}</th>'
        for key in ("rules_field", "rules_rule", "rules_more", "rules_weight", "rules_critical", "rules_cost")
    )
    body = "".join(_row(pointer, known.get(pointer, {}), total, desk, t) for pointer in pointers)
    return Html(
        f'<div class="conversation suite-desk rules" data-seq="{seq}">'
        f'<div class="bar"><span class="quiet">{escape(t("rules_about"))}</span><span class="push"></span>'
        f"{button('propose', t('rules_propose'), t('rules_propose_about'))}</div>"
        f'<div class="scroll"><table class="plain"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></div>"
    )


def _row(pointer: str, rule: Mapping[str, Any], total: float, desk: Desk, t: Translator) -> str:
    name = str(rule.get("rule", "exact"))
    options = [(one, t(f"rule_{one}")) for one in RULES]
    if name not in RULES:
        options.append((name, name))
    weight, wrong = desk.typed.get(f"weight {pointer}", (f"{_weight(rule):g}", ""))
    critical = rule.get("critical") is True
    label = answer_view.place_name(pointer) or t("compare_whole")
    ticked, said = " checked" if critical else "", [t(f"rules_{part}") for part in ("rule", "weight", "critical")]
    return (
        f'<tr><th scope="row">{escape(label)}</th>'
        f"<td>{select('rule', f'{label}: {said[0]}', name, options, pointer=pointer)}</td>"
        f"<td>{_more(pointer, name, rule, desk, t)}</td>"
        f"<td>{line('weight', f'{label}: {said[1]}', weight, pointer=pointer)}{bad(wrong)}</td>"
        f'<td><input type="checkbox" data-set="critical" data-pointer="{escape(pointer)}" '
        f'data-value="{str(critical).lower()}"{ticked} aria-label="{escape(label)}: {escape(said[2])}"></td>'
        f'<td class="cost">{escape(_cost(name, _weight(rule), critical, total, t))}</td></tr>'
    )


def _weight(rule: Mapping[str, Any]) -> float:
    weight = rule.get("weight", 1)
    return float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) else 1.0


def _cost(name: str, weight: float, critical: bool, total: float, t: Translator) -> str:
    if name == "ignore":
        return t("rules_cost_nothing")
    if critical:
        return t("rules_cost_all")
    return t("rules_cost_share", share=f"{100 * weight / total:.0f}" if total else "0")


def _more(pointer: str, name: str, rule: Mapping[str, Any], desk: Desk, t: Translator) -> str:
    """What belongs to a rule: tolerance, values, pattern, or how the entries of a list are judged."""
    if name == "number":
        typed, wrong = desk.typed.get(f"tolerance {pointer}", (f"{rule.get('tolerance', 0):g}", ""))
        label = t("rules_tolerance")
        return f"<label>± {line('tolerance', label, typed, pointer=pointer)}</label>{bad(wrong)}"
    if name == "regex":
        return line("pattern", t("rules_pattern"), str(rule.get("pattern") or ""), t("rules_pattern"), pointer=pointer)
    if name in ("enum", "any_of"):
        listed = values_text(rule.get("values"))
        holder = t("rules_values_any" if name == "any_of" else "rules_values_enum")
        typed, wrong = desk.typed.get(f"values {pointer}", (listed, ""))
        return line("values", t("rules_values"), typed, holder, pointer=pointer) + bad(wrong)
    if name in ("list", "set"):
        inner = rule.get("items")
        chosen = str(inner.get("rule", "exact")) if isinstance(inner, Mapping) else str(inner or "exact")
        options = [(one, t("rules_items", rule=t(f"rule_{one}"))) for one in ITEM_RULES]
        return select("items", t("rules_items_label"), chosen, options, pointer=pointer)
    return f'<span class="quiet">{escape(t(f"rule_{name}_about"))}</span>' if name in RULES else ""


def values_text(values: Any) -> str:
    """Values with commas between; as a JSON list where that could be read in another way."""
    known = values if isinstance(values, list) else []
    plain = all(not isinstance(one, str) or not (like_json(one) or "," in one or "，" in one) for one in known)
    if plain and not any(isinstance(one, dict | list) for one in known):
        return ", ".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in known)
    return json.dumps(known, ensure_ascii=False)


def settings(desk: Desk, t: Translator, seq: int = 0) -> Html:
    """System prompt, how contestants decode, thresholds, what must not be lost, and the schema as text."""
    head = desk.now.head
    generation = "".join(
        _setting("generation", key, _number(head.get("generation"), key), default, t(f"settings_{key}"), desk)
        for key, default in GENERATION.items()
    )
    often = _number(head.get("generation"), "repeats") not in ("", "1")
    measures = (*MEASURES, *REPEATED) if often else MEASURES
    thresholds = "".join(
        _setting(
            "thresholds", key, _percent(head.get("thresholds"), key), "–", words.measure_name(key, t.language), desk
        )
        for key in measures
    )
    losses = "".join(_loss(one, desk, t) for one in PAIRED)
    schema, system = "", str(head.get("system") or "")
    if desk.now.schema is not None:
        text = json.dumps(desk.now.schema, ensure_ascii=False, indent=2)
        typed, wrong = desk.typed.get("schema", (text, ""))
        schema = (
            f"<details data-fold=schema><summary>{escape(t('settings_schema'))}</summary>"
            f"{box('schema', t('settings_schema'), typed, 'code')}{bad(wrong)}</details>"
        )
    return Html(
        f'<div class="conversation suite-desk settings" data-seq="{seq}">'
        f'<div class="turn other"><div class="bar"><b>{escape(t("settings_system"))}</b></div>'
        f"{box('suite_system', t('settings_system'), system, holder=t('cases_no_system'))}</div>"
        f'<b>{escape(t("settings_generation"))}</b><div class="grid">{generation}</div>'
        f'<b>{escape(t("settings_thresholds"))}</b> <span class="quiet">{escape(t("settings_thresholds_about"))}</span>'
        f'<div class="grid">{thresholds}</div>'
        f'<b>{escape(t("settings_losses"))}</b> <span class="quiet">{escape(t("settings_losses_about"))}</span>'
        f'<div class="grid losses">{losses}</div>{schema}</div>'
    )


def _loss(measure: str, desk: Desk, t: Translator) -> str:
    """Whether the last contestant may lose in a measure against the first, and how much."""
    known, name = suite_actions.losses(desk), words.measure_name(measure, t.language)
    margin = known.get(measure)
    chosen = "free" if measure not in known else "sure" if margin is None else "margin"
    options = [(one, t(f"settings_loss_{one}")) for one in ("free", "sure", "margin")]
    box = ""
    if chosen == "margin":
        label = f"{name}: {t('settings_loss_most')}"
        typed, wrong = desk.typed.get(f"loss_most {measure}", (_percent(known, measure), ""))
        box = f"{line('loss_most', label, typed, key=measure)}{bad(wrong)}"
    return f"<label><span>{escape(name)}</span>{select('loss', name, chosen, options, key=measure)}{box}</label>"


def _setting(part: str, key: str, text: str, default: str, label: str, desk: Desk) -> str:
    typed, wrong = desk.typed.get(f"{part} {key}", (text, ""))
    return f"<label><span>{escape(label)}</span>{line(part, label, typed, default, key=key)}{bad(wrong)}</label>"


def _number(group: Any, key: str) -> str:
    value = group.get(key) if isinstance(group, Mapping) else None
    return "" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def _percent(group: Any, key: str) -> str:
    value = group.get(key) if isinstance(group, Mapping) else None
    return f"{100 * value:g}" if isinstance(value, int | float) else "" if value is None else str(value)
