"""A JSON answer as a form made from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qwenlab.conversations import json_edit, strict_json, words
from qwenlab.conversations.json_edit import Node, below
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.ui.components import NOTHING, SIGNS, Html, escape
from qwenlab.ui.json_apply import ACTIONS, NUMBER, FormError, apply_form
from qwenlab.ui.json_shape import DEEPEST, HOLDS, Shape, fold, inside, json_kind, kind_of, listed, shape_of
from qwenlab.ui.texts import Translator

MOST_FIELDS = 200
"""Larger answers, and deeper ones than `DEEPEST`, are edited as text."""


KINDS = {
    "string": "form_kind_text",
    "date": "form_kind_text",
    "number": "form_kind_number",
    "integer": "form_kind_whole",
    "boolean": "form_kind_yes_no",
    "enum": "form_kind_choice",
    "object": "form_kind_group",
    "array": "form_kind_list",
    "json": "form_kind_json",
}


def possible(text: str, schema: SchemaCheck | None) -> Literal["form", "huge", "start", "none"]:
    """Whether an answer can be shown as a form.

    Returns:
        "form"; "huge" when it is too large; "start" when it is empty and a form can begin it; "none" otherwise.
    """
    if schema is None or shape_of(schema.schema, schema.schema, {}).kind != "object":
        return "none"
    if not text.strip():
        return "start"
    try:
        root = json_edit.parse(text)
    except NotJsonError:
        return "none"
    if root.kind != "object":
        return "none"
    level, fields, depth = [root], 1, 0
    while level and fields <= MOST_FIELDS and depth <= DEEPEST:
        level = [member.value for node in level for member in node.members]
        fields, depth = fields + len(level), depth + 1
    return "form" if not level else "huge"


def toggle(text: str, schema: SchemaCheck | None, as_form: bool, t: Translator) -> Html:
    """For the tools of a turn: the button to the other way of editing, or why there is no form.

    Args:
        as_form: whether the window shows forms now.
    """
    kind = possible(text, schema)
    if kind == "huge":
        return Html(f'<small class="quiet">{escape(t("form_huge", fields=MOST_FIELDS, depth=DEEPEST))}</small>')
    if kind == "start":
        return _button("form_add", "", t("form_start"), t("form_show_about"))
    if kind == "none":
        return NOTHING
    to, name, about = "text", t("form_show_text"), t("form_show_text_about")
    if not as_form:
        to, name, about = "form", t("form_show"), t("form_show_about")
    return Html(
        f'<button type="button" data-do="shape" data-role="{to}" title="{escape(about)}">{escape(name)}</button>'
    )


def form(
    text: str, schema: SchemaCheck | None, turn: int, t: Translator, wrong: Mapping[str, FormError] | None = None
) -> Html | None:
    """An answer as a form.

    Args:
        text: the answer.
        schema: what it must satisfy.
        turn: its position, from 0.
        t: the page's language.
        wrong: what was typed that could not be taken, by pointer.

    Returns:
        None when `possible` does not say "form"; the text is shown then.
    """
    if schema is None or possible(text, schema) != "form":
        return None
    page = _Form(text, schema, t, wrong or {})
    label = escape(t("form_of_turn", number=turn + 1))
    whole = _Place("", "", schema.schema, json_edit.parse(text), strict_json.read(text))
    return Html(f'<div class="form" role="group" aria-label="{label}">{page.members(whole)}</div>')


@dataclass(frozen=True)
class _Place:
    """One field: what it is called, what is asked, and what stands there (`node` None: nothing)."""

    pointer: str
    name: str
    schema: Any
    node: Node | None
    value: Any
    required: bool = False
    tools: str = ""


class _Form:
    """The HTML of one answer."""

    def __init__(self, text: str, check: SchemaCheck, t: Translator, wrong: Mapping[str, FormError]) -> None:
        self.text, self.root, self.t, self.wrong = text, check.schema, t, wrong
        self.faults: dict[str, list[dict[str, Any]]] = {}
        for fault in check.why_not(strict_json.read(text)):
            pointer = "" if fault["pointer"] == "/" else fault["pointer"]
            self.faults.setdefault(pointer, []).append(fault)

    def messages(self, pointer: str, named: Sequence[str] = (), deep: bool = False) -> str:
        """What is wrong at a place; keys in `named` are missing and say so themselves; `deep`: below it, too."""
        lines = [self.wrong[pointer].say(self.t)] if pointer in self.wrong else []
        for place, faults in self.faults.items():
            if place != pointer and not (deep and place.startswith(pointer + "/")):
                continue
            for fault in faults:
                if fault["keyword"] != "required" or not set(fault["missing"].split(", ")) <= set(named):
                    said = {key: value for key, value in fault.items() if key not in ("keyword", "pointer")}
                    why = words.schema_reason(fault["keyword"], self.t.language, **said)
                    lines.append(why if place == pointer else f"{place}: {why}")
        return "".join(f'<p class="bad"><i>{SIGNS["bad"]}</i> {escape(line)}</p>' for line in dict.fromkeys(lines))

    def members(self, at: _Place) -> str:
        """What is wrong with an object, then its fields: in the order of the schema, then whatever else is there."""
        schema = shape_of(at.schema, self.root, at.value).schema
        there = {member.key: member.value for member in at.node.members} if at.node else {}
        must, known = schema.get("required", []), schema.get("properties", {})
        found = self.messages(at.pointer, named=[key for key in must if key in known])
        for key in dict.fromkeys([*known, *there]):
            pointer, asked = below(at.pointer, key), inside(schema, key, False)
            name = str(fold(asked, self.root).get("title") or key)
            tools = self.drop(pointer, key) if key in there and key not in must else ""
            found += self.place(_Place(pointer, name, asked, there.get(key), at.value.get(key), key in must, tools))
        return found

    def items(self, at: _Place, shape: Shape) -> str:
        """The entries of a list, and the button for one more."""
        t, nodes, found = self.t, at.node.members if at.node else [], []
        for place, member in enumerate(nodes):
            pointer, name = below(at.pointer, place), f"{at.name} {place + 1}"
            tools = (
                _button("form_move", pointer, "↑", t("form_up", name=name), by=-1, off=place == 0)
                + _button("form_move", pointer, "↓", t("form_down", name=name), by=1, off=place == len(nodes) - 1)
                + self.drop(pointer, name)
            )
            asked = inside(shape.schema, member.key, True)
            found.append(self.place(_Place(pointer, name, asked, member.value, at.value[place], tools=tools)))
        return self.messages(at.pointer) + "".join(found) + _button("form_add", at.pointer, t("form_add_item"))

    def drop(self, pointer: str, name: str) -> str:
        """The button that takes a place out."""
        return _button("form_drop", pointer, "×", self.t("form_drop", name=name))

    def place(self, at: _Place) -> str:
        """One field, group of fields or list."""
        shape = shape_of(at.schema, self.root, at.value)
        if at.node is not None and at.node.kind == shape.kind and shape.kind in ("object", "array"):
            inner = self.members(at) if shape.kind == "object" else self.items(at, shape)
            return (
                f"<fieldset><legend>{self.name(at)} {self.branches(at, shape)}{at.tools}</legend>"
                f"{self.help(at, shape)}{inner}</fieldset>"
            )
        missing = ""
        if at.required and at.node is None:
            why = words.schema_reason("required", self.t.language, missing=at.name)
            missing = f'<p class="bad"><i>{SIGNS["bad"]}</i> {escape(why)}</p>'
        branches, (control, tools) = self.branches(at, shape), self.control(at, shape)
        return (
            f'<div class="field"><label>{self.name(at)}{branches if not control else ""}{control}</label>'
            f'<span class="tools">{branches if control else ""}{tools}{at.tools}</span>'
            f"{self.help(at, shape)}{missing}{self.messages(at.pointer, deep=True)}</div>"
        )

    def name(self, at: _Place) -> str:
        """What the field is called, with its sign when it must be there."""
        sign = f' <b class="required" title="{escape(self.t("form_required"))}">*</b>' if at.required else ""
        return f'<span class="name">{escape(at.name)}{sign}</span>'

    def help(self, at: _Place, shape: Shape) -> str:
        """The schema's own words about the field."""
        about = fold(at.schema, self.root).get("description") or shape.schema.get("description")
        return f'<small class="quiet">{escape(about)}</small>' if about else ""

    def control(self, at: _Place, shape: Shape) -> tuple[str, str]:
        """What a person writes or chooses in, and buttons beside it."""
        t, kind, there = self.t, shape.kind, at.node is not None
        odd = there and at.value is not None and kind in HOLDS and HOLDS[kind] != json_kind(at.value)
        if kind == "null":
            return f'<span class="quiet">{escape(t("form_null"))}</span>', ""
        if kind in ("enum", "boolean") and not odd:
            return self.select(at, shape), ""
        if kind in ("object", "array") and not odd:
            several = shape.nullable or len(shape.others) > 1
            return "", "" if several else _button("form_add", at.pointer, t("form_add_part"))
        typed = self.wrong[at.pointer].typed if at.pointer in self.wrong else None
        if odd or kind == "json":
            source = self.text[at.node.start : at.node.end] if at.node else ""
            return self.box(at, "json", source if typed is None else typed, "code"), self.mend(at, kind)
        source = "" if at.value is None else at.value
        if kind in ("number", "integer") and at.node is not None and at.value is not None:
            source = self.text[at.node.start : at.node.end]  # as it is written: 1.50
        tools = ""
        if shape.nullable:
            tools = _button(
                *("form", at.pointer, t("form_null"), t("form_set_null")),
                kind="null",
                off=there and at.value is None,
            )
        if kind == "string":
            return self.box(at, "string", source if typed is None else typed, "words"), tools
        return self.line(at, kind, source if typed is None else typed), tools

    def box(self, at: _Place, kind: str, text: str, style: str) -> str:
        """A text box that grows with its text; the parser drops the line break after the tag."""
        return (
            f'<textarea rows="1" spellcheck="false" class="{style}" {self.marks(at, kind)} '
            f'placeholder="{escape(self.empty(at))}">\n{escape(text)}</textarea>'
        )

    def line(self, at: _Place, kind: str, text: str) -> str:
        """A box for a number or a day."""
        looks = 'type="date"' if kind == "date" else 'inputmode="decimal" autocomplete="off"'
        marks = self.marks(at, "string" if kind == "date" else "number")
        return (
            f'<input {looks} {marks} value="{escape(text)}" data-value="{escape(text)}" '
            f'placeholder="{escape(self.empty(at))}">'
        )

    def marks(self, at: _Place, kind: str) -> str:
        """What tells the script which field a box is."""
        wrong = ' aria-invalid="true"' if at.pointer in self.wrong or at.pointer in self.faults else ""
        return f'data-part="form" data-pointer="{escape(at.pointer)}" data-kind="{kind}"{wrong}'

    def empty(self, at: _Place) -> str:
        """What an empty box says."""
        return self.t("form_absent") if at.node is None else self.t("form_null") if at.value is None else ""

    def select(self, at: _Place, shape: Shape) -> str:
        """A choice among the schema's words; what stands there instead is kept as an option."""
        options = [(json.dumps(word, ensure_ascii=False), self.word(word)) for word in _choices(shape)]
        kind = "boolean" if shape.kind == "boolean" else "enum"
        return self.choice(at, kind, options, json.dumps(at.value, ensure_ascii=False) if at.node else "", at.value)

    def choice(self, at: _Place, kind: str, options: list[tuple[str, str]], chosen: str, value: Any) -> str:
        """A select; `chosen` is "" where nothing is there yet."""
        lines = "".join(
            f'<option value="{escape(one)}"{" selected" if one == chosen else ""}>{escape(said)}</option>'
            for one, said in options
        )
        if chosen not in dict(options):
            said = self.t("form_absent") if not chosen else self.t("form_choose") if value is None else self.word(value)
            off = " disabled" if value is None else ""
            lines = f'<option value="{escape(chosen)}" selected{off}>{escape(said)}</option>{lines}'
        label = escape(f"{at.name}: {self.t('form_kind')}" if kind == "branch" else at.name)
        return f'<select {self.marks(at, kind)} data-value="{escape(chosen)}" aria-label="{label}">{lines}</select>'

    def word(self, value: Any) -> str:
        """A value of an enum as a person reads it."""
        said = {None: "form_null", True: "form_yes", False: "form_no"}
        if value is None or isinstance(value, bool):
            return self.t(said[value])
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def branches(self, at: _Place, shape: Shape) -> str:
        """The choice between alternatives, where there is more than one and no other control says null."""
        plain = len(shape.others) == 1 and shape.kind not in ("object", "array")
        if plain or not shape.others or len(shape.others) + shape.nullable < 2:
            return ""
        options = [("null", self.t("form_null"))] if shape.nullable else []
        for number, other in enumerate(shape.others):
            kind = kind_of(other, None)
            said = self.t("form_filled" if len(shape.others) == 1 else KINDS[kind])
            options.append((str(number), str(other.get("title") or said)))
        chosen = "" if at.node is None else "null" if at.value is None else str(shape.chosen)
        return self.choice(at, "branch", options, chosen, at.value)

    def mend(self, at: _Place, kind: str) -> str:
        """The button that writes a number as text, or text as a number, where the schema wants the other."""
        if kind in ("number", "integer") and isinstance(at.value, str) and NUMBER.fullmatch(at.value.strip()):
            return _button("form", at.pointer, self.t("form_as_number"), kind="number", text=at.value)
        if kind in ("string", "date") and json_kind(at.value) == "number" and at.node:
            source = self.text[at.node.start : at.node.end]
            return _button("form", at.pointer, self.t("form_as_text"), kind="string", text=source)
        return ""


def _choices(shape: Shape) -> list[Any]:
    found = [True, False] if shape.kind == "boolean" else listed(shape.schema)
    return [*found, None] if shape.nullable else found


def _button(
    do: str,
    pointer: str,
    sign: str,
    about: str = "",
    kind: str = "",
    text: str = "",
    by: int = 0,
    off: bool = False,
) -> Html:
    """A button of the form; json_form.js sends what it carries."""
    extra = f' data-kind="{kind}" data-text="{escape(text)}"' if kind else ""
    extra += f' data-by="{by}"' if by else ""
    label = escape(about or sign)
    return Html(
        f'<button type="button" data-do="{do}" data-pointer="{escape(pointer)}" title="{label}" aria-label="{label}"'
        f"{extra}{' disabled' if off else ''}>{escape(sign)}</button>"
    )


__all__ = ["ACTIONS", "FormError", "apply_form", "form", "possible", "toggle"]
