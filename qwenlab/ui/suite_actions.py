"""What is done in the editor of a suite, turned into steps of its history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from qwenlab.conversations import strict_json, words
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.evals import pointer as pointers
from qwenlab.evals import rule_proposals, suite_edit
from qwenlab.evals.schema_inference import observe
from qwenlab.ui import json_form
from qwenlab.ui.json_apply import FormError, apply_form
from qwenlab.ui.suite_editing import Desk
from qwenlab.ui.texts import Translator

KEPT_WITH_RULE = ("weight", "critical")
"""Settings of a field that stay when its rule changes."""
FIRST_MARGIN = 0.02
"""What a margin is when it is first asked for, a fraction of 1."""


class NotTakenError(ValueError):
    """Something typed that its box cannot take; it stays there with why."""

    def __init__(self, key: str, why: str = "") -> None:
        super().__init__(key)
        self.key = key
        self.why = why


def perform(desk: Desk, data: Mapping[str, Any], t: Translator) -> None:
    """Do what the page sent: first what was typed, then the action.

    Args:
        data: {"do", "typed": [{"set": name of the box, "text", "at"/"pointer"/"key"}], ...}.

    Raises:
        QwenlabError: when a version cannot be read.
    """
    for typed in data.get("typed") or []:
        _take(desk, typed, t)
    action = str(data.get("do", ""))
    if action in json_form.ACTIONS:
        _form(desk, data)
    elif action in _ACTIONS:
        _ACTIONS[action](desk, data)


def _take(desk: Desk, typed: Mapping[str, Any], t: Translator) -> None:
    if typed.get("open") not in (None, str(desk.at)):  # another case is open by now
        return
    name, text = str(typed.get("set", "")), str(typed.get("text", ""))
    place = str(typed.get("pointer") or typed.get("key") or "")
    slot = f"{name} {place}" if place or name in ("weight", "tolerance", "accept") else name
    try:
        _SETTERS[name](desk, typed, text)
    except (NotTakenError, NotJsonError) as error:
        why = (
            words.json_reason(error.code, t.language, **error.values) if isinstance(error, NotJsonError) else error.why
        )
        key = "cases_not_json" if isinstance(error, NotJsonError) else error.key
        desk.typed[slot] = (text, t(key, why=why))
    except (KeyError, IndexError):  # a box of a case that is not open any more
        return
    else:
        desk.typed.pop(slot, None)


# --- the open case ---------------------------------------------------------------------------------------


def _set_turn(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    at, turns = int(typed["at"]), desk.turns()
    turns[at] = (turns[at][0], text)
    desk.set_turns(turns, f"turn {at}")


def _set_tags(desk: Desk, _: Mapping[str, Any], text: str) -> None:
    tags = [tag.strip() for tag in text.replace("，", ",").split(",")]
    desk.change(tags=[tag for tag in dict.fromkeys(tags) if tag] or None)


def _set_system(desk: Desk, _: Mapping[str, Any], text: str) -> None:
    if desk.raw.get("system") is not None:
        desk.change("system", system=text)


def _system_kind(desk: Desk, _: Mapping[str, Any], text: str) -> None:
    desk.change(system=str(desk.now.head.get("system") or "") if text == "own" else None)


def _accept(desk: Desk) -> dict[str, Any]:
    known = desk.raw.get("accept")
    return dict(known) if isinstance(known, Mapping) else {}


def _set_accept(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    """One accepted value a line: JSON, or a text as it stands."""
    known, pointer = _accept(desk), str(typed["pointer"])
    if pointer not in known:
        raise KeyError(pointer)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    desk.change(f"accept {pointer}", accept={**known, pointer: [_value(line) for line in lines]})


def _value(line: str) -> Any:
    try:
        return strict_json.read(line)
    except NotJsonError:
        return line


def _add_accept(desk: Desk, _: Mapping[str, Any], text: str) -> None:
    if text:
        desk.change(accept={**_accept(desk), text: []})


def _drop_accept(desk: Desk, data: Mapping[str, Any]) -> None:
    known = _accept(desk)
    known.pop(str(data.get("pointer", "")), None)
    desk.change(accept=known or None)


def _add_turns(desk: Desk, _: Mapping[str, Any]) -> None:
    desk.set_turns([*desk.turns(), ("assistant", ""), ("user", "")])


def _drop_turn(desk: Desk, data: Mapping[str, Any]) -> None:
    turns = desk.turns()
    at = int(data.get("at", -1))
    if len(turns) > 1 and 0 <= at < len(turns):
        desk.set_turns([*turns[:at], *turns[at + 1 :]])


def _form(desk: Desk, data: Mapping[str, Any]) -> None:
    """Take one field of the expected answer's form; what cannot be taken stays in the field, with why."""
    pointer = str(data.get("pointer", ""))
    if desk.schema is None or not desk.as_json:
        return
    try:
        text = apply_form(desk.expected_text(), desk.schema, data)
    except FormError as error:
        desk.wrong[pointer] = error
        return
    except (NotJsonError, IndexError):
        return
    desk.wrong.pop(pointer, None)
    desk.expect(strict_json.read(text), f"form {pointer}" if data.get("do") == "form" else "")


# --- the list --------------------------------------------------------------------------------------------


def _find(desk: Desk, **wanted: str) -> None:
    for name, value in wanted.items():
        if getattr(desk, name) != value:
            setattr(desk, name, value)
            desk.page = 0


def _step(desk: Desk, data: Mapping[str, Any]) -> None:
    by, matches = int(data.get("by", 1)), desk.matches()
    beyond = [at for at in matches if (at - desk.at) * by > 0]
    if beyond:
        desk.open(beyond[0] if by > 0 else beyond[-1])


# --- rules and settings ----------------------------------------------------------------------------------


def _rule(desk: Desk, typed: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    pointer = str(typed["pointer"])
    return pointer, desk.rules().get(pointer, {"rule": "exact"})


def _put_rule(desk: Desk, pointer: str, rule: dict[str, Any], mark: str = "") -> None:
    rules = desk.rules()
    if rule == {"rule": "exact"} and pointer not in rules:
        return
    desk.set_rules({**rules, pointer: rule}, mark)


def _set_rule(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    pointer, rule = _rule(desk, typed)
    if text == rule.get("rule"):
        return
    kept = {key: rule[key] for key in KEPT_WITH_RULE if key in rule}
    if text == "any_of":  # it must name what it accepts
        kept = {"values": _seen_at(desk, pointer), **kept}
    if text == "regex":
        kept = {"pattern": ".*", **kept}
    _put_rule(desk, pointer, {"rule": text, **kept})


def _seen_at(desk: Desk, pointer: str) -> list[Any]:
    """The values that the expected answers have at a place, each once."""
    found: list[Any] = []
    for case in desk.now.cases:
        expected = case.raw.get("expected") if isinstance(case.raw, dict) else None
        value = pointers.resolve(expected, pointer)
        if value is not pointers.MISSING and value is not None and value not in found:
            found.append(value)
    return found[:50]


def _set_number(name: str) -> Callable[[Desk, Mapping[str, Any], str], None]:
    def set_it(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
        pointer, rule = _rule(desk, typed)
        number = _read_number(text, "rules_not_positive" if name == "weight" else "rules_not_number")
        if name == "weight" and number <= 0 or number < 0:
            raise NotTakenError("rules_not_positive" if name == "weight" else "rules_not_number")
        default = 1 if name == "weight" else 0
        rest = {key: value for key, value in rule.items() if key != name}
        _put_rule(desk, pointer, rest if number == default else {**rest, name: number}, f"{name} {pointer}")

    return set_it


def _read_number(text: str, key: str) -> int | float:
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        raise NotTakenError(key) from None
    if not math.isfinite(number):
        raise NotTakenError(key)
    return int(number) if number == int(number) else number


def _set_critical(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    pointer, rule = _rule(desk, typed)
    rest = {key: value for key, value in rule.items() if key != "critical"}
    _put_rule(desk, pointer, {**rest, "critical": True} if text == "true" else rest)


def _set_pattern(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    pointer, rule = _rule(desk, typed)
    _put_rule(desk, pointer, {**rule, "pattern": text})


def _set_values(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    pointer, rule = _rule(desk, typed)
    if text.lstrip().startswith("["):
        values = strict_json.read(text.strip())
    else:
        values = [_value(one.strip()) for one in text.replace("，", ",").split(",") if one.strip()]
    rest = {key: value for key, value in rule.items() if key != "values"}
    _put_rule(desk, pointer, {**rest, "values": values} if values else rest)


def _set_items(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    pointer, rule = _rule(desk, typed)
    rest = {key: value for key, value in rule.items() if key != "items"}
    _put_rule(desk, pointer, rest if text == "exact" else {**rest, "items": {"rule": text}})


def _propose(desk: Desk, _: Mapping[str, Any]) -> None:
    """The rules that suit the expected answers as they are now."""
    values = [
        case.raw["expected"]
        for case in desk.now.cases
        if isinstance(case.raw, dict) and "expected" in case.raw and "rule" not in case.raw
    ]
    found = rule_proposals.propose(observe(values))
    if found:
        desk.set_rules({one.pointer: one.rule for one in found})


def _set_generation(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    key = str(typed["key"])
    value = _read_number(text, "rules_not_number") if text.strip() else None
    desk.set_setting("generation", key, value, f"generation {key}")


def _read_percent(text: str) -> float | None:
    plain = text.strip().rstrip("%％").strip()
    value = _read_number(plain, "settings_not_percent") if plain else None
    if value is not None and not 0 <= value <= 100:
        raise NotTakenError("settings_not_percent")
    return None if value is None else round(value / 100, 6)


def _set_threshold(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    key = str(typed["key"])
    desk.set_setting("thresholds", key, _read_percent(text), f"threshold {key}")


def losses(desk: Desk) -> dict[str, Any]:
    """Measure -> the loss against the first contestant that must be excluded, None where it must only not be sure."""
    known = desk.now.head.get("not_worse")
    if isinstance(known, Mapping):
        return {str(measure): margin for measure, margin in known.items()}
    return dict.fromkeys(map(str, known)) if isinstance(known, list) else {}


def _put_losses(desk: Desk, found: dict[str, Any], mark: str = "") -> None:
    plain = all(margin is None for margin in found.values())
    after = suite_edit.with_head(desk.now, not_worse=(list(found) or None) if plain else found)
    if suite_edit.differs(after, desk.now):
        desk.editing.put(after, mark)


def _set_loss(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    """Choose for a measure: a loss is "free", must not be "sure", or has a "margin"."""
    measure, known = str(typed["key"]), losses(desk)
    others = {key: margin for key, margin in known.items() if key != measure}
    margin = None if text == "sure" else known.get(measure) or FIRST_MARGIN
    _put_losses(desk, others if text == "free" else {**others, measure: margin})


def _set_loss_most(desk: Desk, typed: Mapping[str, Any], text: str) -> None:
    measure, known = str(typed["key"]), losses(desk)
    most = _read_percent(text)
    if most is None:
        raise NotTakenError("settings_not_percent")
    if known.get(measure) is not None:
        _put_losses(desk, {**known, measure: most}, f"loss {measure}")


def _set_schema(desk: Desk, _: Mapping[str, Any], text: str) -> None:
    schema = strict_json.read(text)
    if not isinstance(schema, dict):
        raise NotTakenError("settings_schema_object")
    desk.editing.put(suite_edit.with_schema(desk.now, schema), "schema")


_SETTERS: dict[str, Callable[[Desk, Mapping[str, Any], str], None]] = {
    "search": lambda desk, typed, text: _find(desk, search=text),
    "wanted": lambda desk, typed, text: _find(desk, wanted=text),
    "trial": lambda desk, typed, text: setattr(desk, "trial", text),
    "id": lambda desk, typed, text: desk.change("id", id=text.strip()),
    "turn": _set_turn,
    "tags": _set_tags,
    "group": lambda desk, typed, text: desk.change("group", group=text.strip() or None),
    "system": _set_system,
    "system_kind": _system_kind,
    "expected": lambda desk, typed, text: desk.set_expected(text, "expected"),
    "rule_of_text": lambda desk, typed, text: desk.set_rule_of_text(text),
    "accept": _set_accept,
    "accept_add": _add_accept,
    "rule": _set_rule,
    "weight": _set_number("weight"),
    "tolerance": _set_number("tolerance"),
    "critical": _set_critical,
    "pattern": _set_pattern,
    "values": _set_values,
    "items": _set_items,
    "suite_system": lambda desk, typed, text: desk.set_setting("", "system", text, "system"),
    "generation": _set_generation,
    "thresholds": _set_threshold,
    "loss": _set_loss,
    "loss_most": _set_loss_most,
    "schema": _set_schema,
}
_ACTIONS: dict[str, Callable[[Desk, Mapping[str, Any]], None]] = {
    "open": lambda desk, data: desk.open(int(data.get("at", 0))),
    "page": lambda desk, data: setattr(desk, "page", int(data.get("page", 0))),
    "step": _step,
    "add": lambda desk, data: desk.add_case(),
    "duplicate": lambda desk, data: desk.duplicate(),
    "delete": lambda desk, data: desk.delete(),
    "add_turns": _add_turns,
    "drop_turn": _drop_turn,
    "drop_accept": _drop_accept,
    "shape": lambda desk, data: setattr(desk, "shape", str(data.get("role", "form"))),
    "propose": _propose,
    "undo": lambda desk, data: desk.editing.undo(),
    "redo": lambda desk, data: desk.editing.redo(),
}
